"""The write stamp that each record of a partition must have given its cells."""

from __future__ import annotations

from collections.abc import Sequence

from ..ledger import Entry

STEP = 8
"""Least distance in microseconds between the stamps of two records of a partition."""


def write_stamps(entries: Sequence[Entry]) -> list[int | None]:
    """The stamp of each record of a partition, which are given from its first offset on in offset order.

    A record whose timestamp lies in the future has none and leaves the others as they were.
    """
    stamps: list[int | None] = []
    last = 0
    for entry in entries:
        if entry.kind == "future_timestamp":
            stamps.append(None)
            continue
        last = max(max(entry.timestamp_ms, 0) * 1000, last + STEP)
        stamps.append(last)
    return stamps
