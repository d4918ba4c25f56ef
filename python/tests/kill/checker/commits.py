"""Committed offsets and what their metadata says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from ..ledger import Entry, Ledger
from .evidence import Committed
from .stamps import write_stamps
from .violation import Broken, Violation

_METADATA_VERSION = 1
_METADATA_BYTES = 4096


def check_commits(ledger: Ledger, committed: Sequence[Committed], *, stopped: bool = False) -> list[Violation]:
    """The metadata says how each record below the offset ended; `stopped`: after an orderly stop."""
    violations = []
    for partition, commit in enumerate(committed):
        if commit.offset is None:
            continue
        where = f"partition {partition} committed {commit.offset} {commit.metadata!r}"
        if commit.offset > ledger.end(partition):
            text = f"{where}: beyond the end of the log, {ledger.end(partition)}"
            violations.append(Violation(Broken.UNSETTLED, text))
            continue
        violations += [
            Violation(Broken.METADATA, f"{where}: {problem}")
            for problem in _metadata_problems(ledger.below(partition, commit.offset), commit, stopped)
        ]
    return violations


def _metadata_problems(entries: Sequence[Entry], commit: Committed, stopped: bool) -> Iterator[str]:
    if len(commit.metadata.encode()) >= _METADATA_BYTES:
        yield "as long as Kafka's limit or longer"
        return
    try:
        parsed = json.loads(commit.metadata)
        version, first, last, clean = parsed["v"], parsed["first"], parsed["lw"], parsed["clean"]
        counts = {str(name): int(count) for name, count in parsed["n"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"unreadable ({error!r})"
        return
    if version != _METADATA_VERSION:
        yield f"version {version}, not {_METADATA_VERSION}"
    if first != 0:
        yield f"first is {first}; the log begins at 0"
    moved = commit.position - first
    if moved != sum(counts.values()):
        yield f"committed - first is {moved}, the counts add up to {sum(counts.values())}"
    fed = Counter(entry.fate.value for entry in entries)
    for name in sorted({*counts, *fed}):
        if counts.get(name, 0) != fed[name]:
            yield f"n.{name} is {counts.get(name, 0)}, the log has {fed[name]}"
    stamps = [stamp for stamp in write_stamps(entries) if stamp is not None]
    expected = stamps[-1] if stamps else 0
    if last != expected:
        yield f"lw is {last}, the records make it {expected}"
    if stopped and clean is not True:
        yield "not marked clean after an orderly stop"


def check_progress(before: Sequence[Committed], after: Sequence[Committed]) -> list[Violation]:
    """No committed offset went back between two looks."""
    return [
        Violation(Broken.WENT_BACK, f"partition {partition}: from {earlier.offset} to {later.offset}")
        for partition, (earlier, later) in enumerate(zip(before, after, strict=True))
        if later.position < earlier.position
    ]


def check_lag(committed: Sequence[Committed], ends: Sequence[int]) -> list[Violation]:
    """Everything in the log is committed."""
    return [
        Violation(Broken.LAG, f"partition {partition}: committed {commit.offset}, end {end}")
        for partition, (commit, end) in enumerate(zip(committed, ends, strict=True))
        if commit.position != end
    ]
