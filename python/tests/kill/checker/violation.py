"""What can be found broken."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Broken(enum.Enum):
    """Which promise was broken."""

    UNSETTLED = "an offset below the committed one is not settled"
    LOST = "a record left no trace"
    WRONG_ROW = "a row does not hold what its records say"
    WRONG_STAMP = "a cell does not carry its record's write stamp"
    DEAD_LETTER = "the dead-letter topic is not what it must be"
    METADATA = "the commit metadata does not add up"
    WENT_BACK = "a committed offset went back"
    LAG = "records are left behind"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, with the place where it shows."""

    broken: Broken
    detail: str

    def __str__(self) -> str:
        return f"{self.broken.value}: {self.detail}"
