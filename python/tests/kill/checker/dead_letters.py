"""The dead-letter topic against the bad records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..ledger import Entry, Ledger
from ..workload import POISON_CODES, Fate
from .evidence import Committed, Copy, Place
from .stamps import write_stamps
from .violation import Broken, Violation


def check_dead_letters(
    ledger: Ledger, committed: Sequence[Committed], copies: Sequence[Copy], starts: int, missing: Broken
) -> list[Violation]:
    """Every bad record below the committed offset has a dead letter; there are no others, and each holds its bytes.

    A missing one is reported as `missing`. A consumer that was started so many times reads a record at most as often,
    so a record has at most `starts` copies.
    """
    found, violations = _by_source(ledger.topic, copies)
    expected: dict[Place, tuple[Entry, int | None]] = {}
    for partition, commit in enumerate(committed):
        entries = ledger.below(partition, ledger.end(partition))
        for entry, stamp in zip(entries, write_stamps(entries), strict=True):
            if entry.fate is not Fate.DEAD:
                continue
            expected[partition, entry.offset] = (entry, stamp)
            if entry.offset < commit.position and (partition, entry.offset) not in found:
                text = f"partition {partition} offset {entry.offset} ({entry.kind}) is not in the dead-letter topic"
                violations.append(Violation(missing, text))
    for place, its_copies in sorted(found.items()):
        if place not in expected:
            violations.append(Violation(Broken.DEAD_LETTER, f"{place} is not a bad record"))
            continue
        if len(its_copies) > starts:
            text = f"{place} is there {len(its_copies)} times after {starts} starts"
            violations.append(Violation(Broken.DEAD_LETTER, text))
        entry, stamp = expected[place]
        violations += [
            Violation(Broken.DEAD_LETTER, f"{place} ({entry.kind}): {problem}")
            for copy in its_copies
            for problem in _copy_problems(entry, stamp, copy)
        ]
    return violations


def _by_source(topic: str, copies: Sequence[Copy]) -> tuple[dict[Place, list[Copy]], list[Violation]]:
    by_source: dict[Place, list[Copy]] = defaultdict(list)
    violations = []
    for copy in copies:
        source = _source(copy)
        if source is None or source[0] != topic:
            text = f"a dead letter names no record of {topic}: {copy.headers!r}"
            violations.append(Violation(Broken.DEAD_LETTER, text))
        else:
            by_source[source[1:]].append(copy)
    return by_source, violations


def _source(copy: Copy) -> tuple[str, int, int] | None:
    # The last headers of those names: the record may have brought some of its own.
    found = dict(copy.headers)
    topic, partition, offset = (found.get(f"__connect.errors.{name}") for name in ("topic", "partition", "offset"))
    if topic is None or partition is None or offset is None or not (partition.isdigit() and offset.isdigit()):
        return None
    return topic.decode(errors="replace"), int(partition), int(offset)


def _copy_problems(entry: Entry, stamp: int | None, copy: Copy) -> Iterator[str]:
    if copy.key != entry.key:
        yield f"key {copy.key!r}, not {entry.key!r}"
    if copy.value != entry.value:
        yield f"its value differs: {_difference(entry.value, copy.value)}"
    own, added = copy.headers[: len(entry.headers)], copy.headers[len(entry.headers) :]
    if own != entry.headers:
        yield f"headers begin with {own!r}, not {entry.headers!r}"
    expected = {
        "x-dlq-code": POISON_CODES.get(entry.kind, "").encode(),
        "x-dlq-timestamp": str(entry.timestamp_ms).encode(),
        "x-millstream-w": None if stamp is None else str(stamp).encode(),
    }
    for name, wanted in expected.items():
        values = [value for header, value in added if header == name]
        if values != ([] if wanted is None else [wanted]):
            yield f"{name} is {values!r}, not {wanted!r}"


def _difference(sent: bytes | None, found: bytes | None) -> str:
    if sent is None or found is None:
        return f"{found!r}, not {sent!r}"
    shorter = min(len(sent), len(found))
    first = next((at for at in range(shorter) if sent[at] != found[at]), shorter)
    return f"from byte {first} on, {len(found)} bytes, not {len(sent)}"
