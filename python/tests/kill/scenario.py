"""What a run is made of, and how it went."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass, field

from .checker import Broken, Violation


class Moment(enum.Enum):
    """What the consumer does when it is killed."""

    FLOWING = "while records flow"
    CATCHING_UP = "while it catches up"
    STALLED = "while its writes hang"
    STARTING = "soon after its start"


@dataclass(frozen=True)
class Scenario:
    """The same seed makes the same records, kinds of kill and delays. `per_second` bounds the records fed."""

    seed: int
    records: int
    per_second: int
    moments: tuple[Moment, ...]


def mixed_moments(seed: int, kills: int) -> tuple[Moment, ...]:
    """Kinds of kill in random order; five kills or more have every kind among them."""
    kinds = [Moment.STALLED, Moment.FLOWING, Moment.CATCHING_UP, Moment.STARTING, Moment.STALLED]
    moments = [kinds[index % len(kinds)] for index in range(kills)]
    random.Random(seed).shuffle(moments)
    return tuple(moments)


@dataclass(frozen=True)
class Kill:
    """One kill: records below the committed offsets and records in the log right after it."""

    moment: Moment
    committed: int
    fed: int
    broken: frozenset[Broken]

    def __str__(self) -> str:
        found = "".join(f"; {broken.name}" for broken in sorted(self.broken, key=lambda broken: broken.name))
        return f"killed {self.moment.value}: {self.committed} of {self.fed} records committed{found}"


@dataclass
class Result:
    """How a run ended."""

    scenario: Scenario
    kills: list[Kill] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    writes: int = 0
    held: int = 0
    swallowed: int = 0
    dead: int = 0
    dead_copies: int = 0
    seconds: float = 0.0

    def broken(self) -> set[Broken]:
        """The promises that were broken."""
        return {violation.broken for violation in self.violations}

    def summary(self) -> str:
        """One line for the log of a test run."""
        scenario = self.scenario
        return (
            f"seed {scenario.seed}: {scenario.records} records, {len(self.kills)} kills, {self.writes} writes "
            f"({self.held} held back), {self.swallowed} more swallowed, {self.dead} dead letters "
            f"in {self.dead_copies} copies, {len(self.violations)} violations, {self.seconds:.0f} s"
        )

    def report(self, of_each: int = 5) -> str:
        """The summary and the first violations of each kind."""
        return "\n".join([self.summary(), *map(str, self.kills), *self.examples(of_each)])

    def examples(self, of_each: int) -> list[str]:
        """The first violations of each kind, and how many there are."""
        lines = []
        for broken in Broken:
            found = [str(violation) for violation in self.violations if violation.broken is broken]
            lines += found[:of_each]
            if len(found) > of_each:
                lines.append(f"... and {len(found) - of_each} more of these")
        return lines
