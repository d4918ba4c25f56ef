"""The judge: what was sent against what stands in Kafka and Cassandra. Pure functions, no server in sight."""

from __future__ import annotations

import enum
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .ledger import Entry, Ledger
from .workload import POISON_CODES, Fate, Headers, row_id, row_values, version_of

STAMP_STEP = 8
"""Least distance in microseconds between the write stamps of two records of a partition."""

_METADATA_VERSION = 1
_METADATA_BYTES = 4096


class Broken(enum.Enum):
    """Which promise was broken."""

    UNSETTLED = "an offset below the committed one is not settled"
    LOST = "a good record is not in its row"
    WRONG_ROW = "a row does not hold what its newest records say"
    WRONG_STAMP = "a cell does not carry its record's write stamp"
    DEAD_LETTER = "the dead-letter topic is not what it must be"
    METADATA = "the commit metadata does not add up"
    LAG = "records are left behind"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, with the place where it shows."""

    broken: Broken
    detail: str

    def __str__(self) -> str:
        return f"{self.broken.value}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Committed:
    """A partition's committed offset; `offset` is None when the group has none."""

    offset: int | None
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """One record of the dead-letter topic, its own headers and those that were added."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: its columns without id, and the write stamps of some of them in microseconds."""

    values: Mapping[str, str | None]
    stamps: Mapping[str, int | None] = field(default_factory=dict)


Place = tuple[int, int]
"""Partition and offset in the source topic."""


def source_of(copy: Copy) -> tuple[str, int, int] | None:
    """Where a dead letter says it comes from: the last headers of those names, for its own may bear them too."""
    found: dict[str, bytes | None] = dict(copy.headers)
    try:
        topic, partition, offset = (found[f"__connect.errors.{name}"] for name in ("topic", "partition", "offset"))
        return (topic or b"").decode(), int(partition or b""), int(offset or b"")
    except (KeyError, ValueError):
        return None


def dead_letters_by_source(topic: str, copies: Sequence[Copy]) -> tuple[dict[Place, list[Copy]], list[Violation]]:
    """Dead letters by the record they stand for, and those that stand for none."""
    by_source: dict[Place, list[Copy]] = defaultdict(list)
    violations = []
    for copy in copies:
        source = source_of(copy)
        if source is None or source[0] != topic:
            violations.append(Violation(Broken.DEAD_LETTER, f"its headers name no record of {topic}: {copy.headers!r}"))
        else:
            by_source[source[1:]].append(copy)
    return by_source, violations


def check_settled(
    ledger: Ledger,
    committed: Sequence[Committed],
    usernames: Mapping[uuid.UUID, str | None],
    dead: Mapping[Place, Sequence[Copy]],
) -> list[Violation]:
    """Every record below a committed offset has its effect: a row of its version or a newer one, or a dead letter."""
    violations = []
    for partition, commit in enumerate(committed):
        for entry in ledger.below(partition, commit.offset or 0):
            place = f"partition {partition} offset {entry.offset} ({entry.kind}), committed {commit.offset}"
            if entry.fate is Fate.DEAD and (partition, entry.offset) not in dead:
                violations.append(Violation(Broken.UNSETTLED, f"{place}: not in the dead-letter topic"))
            if entry.fate is not Fate.STORED:
                continue
            username = usernames.get(row_id(entry.user))
            found = version_of(username) if username is not None else None
            if found is None or found[0] != entry.user or found[1] < entry.version:
                violations.append(Violation(Broken.UNSETTLED, f"{place}: version {entry.version} of a user, row has {username!r}"))
    return violations


def write_stamps(entries: Sequence[Entry]) -> list[int | None]:
    """The write stamp of each record of a partition in offset order; None for one from the future, which has none."""
    stamps: list[int | None] = []
    last = 0
    for entry in entries:
        if entry.kind == "future_timestamp":
            stamps.append(None)
            continue
        last = max(max(entry.timestamp_ms, 0) * 1000, last + STAMP_STEP)
        stamps.append(last)
    return stamps


def check_metadata(ledger: Ledger, committed: Sequence[Committed], *, stopped: bool = False) -> list[Violation]:
    """The commit metadata says how the records below the offset ended; `stopped` after an orderly stop."""
    violations = []
    for partition, commit in enumerate(committed):
        if commit.offset is None:
            continue
        for problem in _metadata_problems(ledger.below(partition, commit.offset), commit, stopped):
            text = f"partition {partition} committed {commit.offset} {commit.metadata!r}: {problem}"
            violations.append(Violation(Broken.METADATA, text))
    return violations


def _metadata_problems(entries: Sequence[Entry], commit: Committed, stopped: bool) -> list[str]:
    if len(commit.metadata.encode()) >= _METADATA_BYTES:
        return ["as long as Kafka's limit or longer"]
    try:
        parsed = json.loads(commit.metadata)
        version, first, last, clean = parsed["v"], parsed["first"], parsed["lw"], parsed["clean"]
        counts = {str(name): int(count) for name, count in parsed["n"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"unreadable ({error!r})"]
    problems = []
    if version != _METADATA_VERSION:
        problems.append(f"version {version}, not {_METADATA_VERSION}")
    if first != 0:
        problems.append(f"first is {first}; the log begins at 0")
    if (commit.offset or 0) - first != sum(counts.values()):
        problems.append(f"committed - first is {(commit.offset or 0) - first}, the counts add up to {sum(counts.values())}")
    expected = Counter(entry.fate.value for entry in entries)
    for name in sorted({*counts, *expected}):
        if counts.get(name, 0) != expected[name]:
            problems.append(f"n.{name} is {counts.get(name, 0)}, the log has {expected[name]}")
    stamps = [stamp for stamp in write_stamps(entries) if stamp is not None]
    if last != (stamps[-1] if stamps else 0):
        problems.append(f"lw is {last}, the records make it {stamps[-1] if stamps else 0}")
    if stopped and clean is not True:
        problems.append("not marked clean after an orderly stop")
    return problems


def check_lag(committed: Sequence[Committed], ends: Sequence[int]) -> list[Violation]:
    """Everything in the log is committed."""
    return [
        Violation(Broken.LAG, f"partition {partition}: committed {commit.offset}, end {end}")
        for partition, (commit, end) in enumerate(zip(committed, ends, strict=True))
        if (commit.offset or 0) != end
    ]


def expected_rows(ledger: Ledger) -> dict[uuid.UUID, Row]:
    """Every row as the records make it: each column its newest value that is not null, with that record's stamp."""
    values: dict[int, dict[str, str | None]] = defaultdict(dict)
    stamps: dict[int, dict[str, int | None]] = defaultdict(dict)
    for partition in range(ledger.partitions):
        entries = ledger.below(partition, ledger.end(partition))
        for entry, stamp in zip(entries, write_stamps(entries), strict=True):
            if entry.fate is not Fate.STORED:
                continue
            for column, value in row_values(entry.user, entry.version).items():
                if value is not None:
                    values[entry.user][column] = value
                    stamps[entry.user][column] = stamp
    return {row_id(user): Row(values[user], stamps[user]) for user in values}


def check_rows(expected: Mapping[uuid.UUID, Row], found: Mapping[uuid.UUID, Row]) -> list[Violation]:
    """Every expected row is there field by field and stamp by stamp, and there is no other."""
    violations = [Violation(Broken.LOST, f"no row {identity}") for identity in expected.keys() - found.keys()]
    violations += [Violation(Broken.WRONG_ROW, f"nobody sent {identity}") for identity in found.keys() - expected.keys()]
    for identity in expected.keys() & found.keys():
        wanted, row = expected[identity], found[identity]
        for column in sorted({*wanted.values, *row.values}):
            if row.values.get(column) != wanted.values.get(column):
                broken = Broken.LOST if column == "username" else Broken.WRONG_ROW
                text = f"{identity} {column}: {row.values.get(column)!r}, not {wanted.values.get(column)!r}"
                violations.append(Violation(broken, text))
        for column, stamp in row.stamps.items():
            if stamp != wanted.stamps.get(column):
                text = f"{identity} {column}: {stamp}, not {wanted.stamps.get(column)}"
                violations.append(Violation(Broken.WRONG_STAMP, text))
    return violations


def check_dead_letters(ledger: Ledger, dead: Mapping[Place, Sequence[Copy]]) -> list[Violation]:
    """The dead letters are exactly the bad records, each copy with the record's own bytes."""
    bad = {(entry.partition, entry.offset): entry for entry in ledger.all() if entry.fate is Fate.DEAD}
    violations = [Violation(Broken.DEAD_LETTER, f"missing {place} ({bad[place].kind})") for place in sorted(bad.keys() - dead.keys())]
    violations += [Violation(Broken.DEAD_LETTER, f"{place} is a good record") for place in sorted(dead.keys() - bad.keys())]
    for place in sorted(bad.keys() & dead.keys()):
        for copy in dead[place]:
            violations += [Violation(Broken.DEAD_LETTER, f"{place}: {text}") for text in _copy_problems(bad[place], copy)]
    return violations


def _copy_problems(entry: Entry, copy: Copy) -> list[str]:
    problems = []
    if copy.key != entry.key:
        problems.append(f"key {copy.key!r}, not {entry.key!r}")
    if copy.value != entry.value:
        problems.append(f"value {copy.value!r}, not {entry.value!r}")
    own, added = copy.headers[: len(entry.headers)], copy.headers[len(entry.headers) :]
    if own != entry.headers:
        problems.append(f"headers begin with {own!r}, not {entry.headers!r}")
    codes = [value for name, value in added if name == "x-dlq-code"]
    wanted = POISON_CODES.get(entry.kind)
    if len(codes) != 1 or not codes[0] or (wanted is not None and codes[0] != wanted.encode()):
        problems.append(f"{entry.kind} has the codes {codes!r}, not {wanted or 'one'}")
    return problems
