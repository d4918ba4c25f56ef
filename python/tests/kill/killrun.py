"""One run: records flow, the consumer is killed at random moments, and after each kill the judge looks."""

from __future__ import annotations

import enum
import random
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .checker import (
    Broken,
    Violation,
    check_dead_letters,
    check_lag,
    check_metadata,
    check_rows,
    check_settled,
    dead_letters_by_source,
    expected_rows,
)
from .consumer_process import ConsumerProcess, write_config
from .feeder import Feeder
from .gate import CassandraGate
from .ledger import Ledger
from .observer import Observer
from .workload import Fate, plan

PARTITIONS = 6
_POLL_SECONDS = 0.1
_PROGRESS_SECONDS = 90.0
_CATCH_UP_SECONDS = 300.0
# A stop may drain for 25 s and gets a few for its last commit.
_STOP_SECONDS = 32.0
# Longer than two commits are apart, shorter than a write is waited for.
_STALL_SECONDS = (2.5, 4.0)
# Longer than the group waits for the dead member: some of these hit the wait, some the first records.
_STARTING_SECONDS = (0.0, 9.0)


class Moment(enum.Enum):
    """What the consumer does when it is killed."""

    FLOWING = "while records flow"
    STALLED = "while its writes hang"
    STARTING = "soon after its start"


@dataclass(frozen=True)
class Scenario:
    """What a run is made of; the same seed makes the same records, kinds of kill and delays."""

    seed: int
    records: int
    kills: int
    per_second: int


@dataclass
class Result:
    """How a run ended: at the first look that found something broken, or at its end."""

    scenario: Scenario
    kills: list[Moment] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    dead: int = 0
    dead_copies: int = 0
    seconds: float = 0.0

    @property
    def broken(self) -> set[Broken]:
        """The promises that were broken."""
        return {violation.broken for violation in self.violations}

    def summary(self) -> str:
        """One line for the log of a test run."""
        # What is read twice is dead-lettered twice: of all records, so many were handled again.
        again = round((self.dead_copies / self.dead - 1) * self.scenario.records) if self.dead else 0
        return (
            f"seed {self.scenario.seed}: {self.scenario.records} records, {len(self.kills)} kills, "
            f"about {again} records handled again, {len(self.violations)} violations, {self.seconds:.0f} s"
        )

    def report(self, most: int = 20) -> str:
        """The summary and the first violations."""
        return "\n".join([self.summary(), *map(str, self.violations[:most])])


def moments(scenario: Scenario) -> list[Moment]:
    """The kinds of kill of a run: every kind is there, in random order."""
    kinds = [Moment.STALLED, Moment.FLOWING, Moment.STALLED, Moment.FLOWING, Moment.STARTING]
    chosen = [kinds[index % len(kinds)] for index in range(scenario.kills)]
    random.Random(scenario.seed).shuffle(chosen)
    return chosen


class KillRun:
    """Drives feeder, consumer and judge."""

    def __init__(self, scenario: Scenario, binary: Path, bootstrap_servers: str, cassandra: str, folder: Path) -> None:
        self._scenario = scenario
        self._binary = binary
        self._servers = (bootstrap_servers, cassandra)
        self._folder = folder
        self._random = random.Random(scenario.seed + 1)
        self._ledger = Ledger(PARTITIONS)
        self._result = Result(scenario)

    def run(self, report: Callable[[str], None] = print) -> Result:
        """Run until something is broken or all is proven."""
        scenario, (kafka, cassandra) = self._scenario, self._servers
        began = time.monotonic()
        planned = plan(scenario.seed, scenario.records)
        with (
            Observer(kafka, cassandra, uuid.uuid4().hex[:12], PARTITIONS) as self._observer,
            CassandraGate(cassandra) as self._gate,
            Feeder(kafka, self._observer.topic, planned, self._ledger, scenario.per_second) as self._feeder,
        ):
            config = self._folder / "consumer.toml"
            write_config(config, kafka, self._gate.address, self._observer)
            with ConsumerProcess(self._binary, config, self._folder / "consumer.log") as self._consumer:
                for index, moment in enumerate(moments(scenario)):
                    self._kill_once(index, moment)
                    self._result.kills.append(moment)
                    self._result.seconds = time.monotonic() - began
                    report(f"kill {index + 1}, {moment.value}: {self._result.summary()}")
                    if self._result.violations:
                        return self._result
                self._finish()
        self._result.seconds = time.monotonic() - began
        report(self._result.summary())
        return self._result

    def _kill_once(self, index: int, moment: Moment) -> None:
        whole, phases = self._scenario.records, self._scenario.kills + 1
        start, middle, end = (whole * (2 * index + half) // (2 * phases) for half in (0, 1, 2))
        before = self._position()
        self._consumer.start()
        if moment is Moment.STARTING:
            self._feeder.allow(end)
            self._consumer.watch(self._random.uniform(*_STARTING_SECONDS))
        else:
            self._feeder.allow(middle)
            self._wait("a commit after the start", lambda: self._position() > before, _PROGRESS_SECONDS)
            if moment is Moment.STALLED:
                self._stall(end)
            else:
                # The other half flows only now, so that the kill never finds an idle consumer.
                self._feeder.allow(end)
                target = middle + round((end - middle) * self._random.uniform(0.05, 0.95))
                self._wait("records to flow", lambda: self._feeder.sent >= target, _PROGRESS_SECONDS)
                self._consumer.watch(self._random.uniform(0.0, 0.5))
        self._consumer.kill()
        self._gate.reopen()
        self._look()

    def _stall(self, end: int) -> None:
        swallowed = self._gate.swallowed
        self._gate.shut()
        self._feeder.allow(end)
        self._consumer.watch(self._random.uniform(*_STALL_SECONDS))
        if self._gate.swallowed == swallowed:
            raise AssertionError("the stall swallowed nothing: the consumer did not write through the gate")

    def _position(self) -> int:
        return sum(commit.offset or 0 for commit in self._observer.committed())

    def _wait(self, what: str, reached: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not reached():
            if self._feeder.failure is not None:
                raise AssertionError(f"the producer failed: {self._feeder.failure}")
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout:.0f} s for {what}\n{self._consumer.log_tail()}")
            self._consumer.watch(_POLL_SECONDS)

    def _look(self) -> None:
        # In this order: what was committed before the rows are read must be in them.
        committed = self._observer.committed()
        dead, violations = dead_letters_by_source(self._observer.topic, self._observer.dead_letters())
        usernames = self._observer.usernames()
        for partition, commit in enumerate(committed):
            if not self._ledger.wait_known(partition, commit.offset or 0, 30.0):
                raise AssertionError(f"partition {partition}: {commit.offset} is committed and the ledger does not reach it")
        violations += check_settled(self._ledger, committed, usernames, dead)
        violations += check_metadata(self._ledger, committed)
        self._result.violations += violations
        self._result.dead, self._result.dead_copies = len(dead), sum(map(len, dead.values()))

    def _finish(self) -> None:
        records = self._scenario.records
        self._consumer.start()
        self._feeder.allow(records)
        self._wait("the last record to be acknowledged", lambda: self._acknowledged() == records, _CATCH_UP_SECONDS)
        self._wait("lag 0", lambda: not check_lag(self._observer.committed(), self._observer.ends()), _CATCH_UP_SECONDS)
        try:
            code = self._consumer.terminate(_STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"SIGTERM did not end it in {_STOP_SECONDS:.0f} s\n{self._consumer.log_tail()}") from error
        if code != 0:
            raise AssertionError(f"exit code {code} after SIGTERM\n{self._consumer.log_tail()}")
        committed = self._observer.committed()
        dead, violations = dead_letters_by_source(self._observer.topic, self._observer.dead_letters())
        violations += check_lag(committed, self._observer.ends())
        violations += check_metadata(self._ledger, committed, stopped=True)
        violations += check_rows(expected_rows(self._ledger), self._observer.rows())
        violations += check_dead_letters(self._ledger, dead)
        self._result.violations += violations
        self._result.dead, self._result.dead_copies = len(dead), sum(map(len, dead.values()))
        if not any(entry.fate is Fate.DEAD for entry in self._ledger.all()):
            raise AssertionError("no poison was sent: the run proves nothing about it")

    def _acknowledged(self) -> int:
        return sum(self._ledger.end(partition) for partition in range(PARTITIONS))
