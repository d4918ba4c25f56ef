"""What was seen from outside: commits, dead letters, rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..workload import Headers

Place = tuple[int, int]
"""Partition and offset in the source topic."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A partition's committed offset; `offset` is None when the group has none."""

    offset: int | None
    metadata: str = ""

    @property
    def position(self) -> int:
        """The offset at which reading goes on; the log begins at 0."""
        return self.offset or 0


@dataclass(frozen=True, slots=True)
class Copy:
    """One record of the dead-letter topic; its own headers come first, then those that were added."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table without its key: the columns, and their write stamps in microseconds."""

    values: Mapping[str, str | None]
    stamps: Mapping[str, int | None]
