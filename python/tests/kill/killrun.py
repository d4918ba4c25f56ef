"""One run: records flow, the consumer is killed at random moments, and after each kill the judge looks."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from .checker import (
    Broken,
    Committed,
    Violation,
    check_commits,
    check_dead_letters,
    check_lag,
    check_progress,
    check_rows,
)
from .consumer_process import ConsumerProcess, write_config
from .feeder import Feeder
from .gate import CassandraGate
from .ledger import Ledger
from .observer import PARTITIONS, Observer
from .scenario import Kill, Moment, Result, Scenario
from .workload import plan

_POLL_SECONDS = 0.05
_PROGRESS_SECONDS = 90.0
_CATCH_UP_SECONDS = 300.0
# A stop may drain for 25 s and gets a few for its last commit.
_STOP_SECONDS = 32.0
# Writes that hang before the clock of a stall starts: an idle consumer has nothing to lose.
_STALLED_WRITES = 200
# Longer than two commits are apart; with the time until the writes hang, shorter than a write is waited for.
_STALL_SECONDS = (2.2, 3.5)
# Longer than the group waits for the dead member: some of these hit the wait, some the first records.
_STARTING_SECONDS = (0.0, 9.0)
# How much of the records that are to come has come when the consumer is killed.
_SHARE = (0.05, 0.9)


class RunError(Exception):
    """The run could not go on, so that it proves nothing."""


class KillRun:
    """Drives feeder, consumer and judge."""

    def __init__(self, scenario: Scenario, binary: Path, kafka: str, cassandra: str, folder: Path) -> None:
        self._scenario = scenario
        self._random = random.Random(scenario.seed + 1)
        self._observer = Observer(kafka, cassandra, uuid.uuid4().hex[:12])
        self._ledger = Ledger(self._observer.topic, PARTITIONS)
        self._gate = CassandraGate(cassandra, scenario.seed + 2)
        planned = plan(scenario.seed, scenario.records)
        self._feeder = Feeder(kafka, planned, self._ledger, scenario.per_second)
        self._kafka = kafka
        self._config = folder / "consumer.toml"
        self._consumer = ConsumerProcess(binary, self._config, folder / "consumer.log")
        self._result = Result(scenario)
        self._committed: Sequence[Committed] = [Committed(None)] * PARTITIONS

    def run(self, report: Callable[[str], None]) -> Result:
        """Run to the end, whatever is found on the way; a line is reported after each kill."""
        began = time.monotonic()
        with self._observer, self._gate, self._feeder, self._consumer:
            write_config(self._config, self._kafka, self._gate.address, self._observer)
            for index, moment in enumerate(self._scenario.moments):
                self._kill_once(index, moment)
                report(f"{time.monotonic() - began:4.0f} s, kill {index + 1}: {self._result.kills[-1]}")
            self._finish()
            self._result.seconds = time.monotonic() - began
        for line in [self._result.summary(), *self._result.examples(1)]:
            report(line)
        return self._result

    def _kill_once(self, index: int, moment: Moment) -> None:
        # Each kill has its part of the records, and so has the end after the last kill.
        parts = 2 * (len(self._scenario.moments) + 1)
        start, middle, end = (self._scenario.records * (2 * index + half) // parts for half in (0, 1, 2))
        position, forwarded = self._observer.position(), self._gate.forwarded
        self._consumer.start()
        if moment is Moment.STARTING:
            self._feeder.allow(end)
            self._consumer.watch(self._random.uniform(*_STARTING_SECONDS))
        elif moment is Moment.CATCHING_UP:
            self._feeder.allow(end)
            writes = forwarded + round((end - position) * self._random.uniform(*_SHARE))
            self._wait("writes after the start", lambda: self._gate.forwarded > writes, _CATCH_UP_SECONDS)
        else:
            self._feeder.allow(middle)
            # With what earlier kills left behind done, the kill comes anywhere in the log. A write too: one of the
            # faulty builds commits before its first one.
            self._wait("a write after the start", lambda: self._gate.forwarded > forwarded, _PROGRESS_SECONDS)
            settled = max(start, position + 1)
            self._wait("commits to catch up", lambda: self._observer.position() >= settled, _CATCH_UP_SECONDS)
            # The other half comes only now: the kill must not find an idle consumer.
            if moment is Moment.STALLED:
                self._stall(end)
            else:
                self._feeder.allow(end)
                target = middle + round((end - middle) * self._random.uniform(*_SHARE))
                self._wait("records to flow", lambda: self._feeder.sent >= target, _PROGRESS_SECONDS)
        self._consumer.kill()
        self._gate.reopen()
        self._look(moment)

    def _stall(self, end: int) -> None:
        swallowed = self._gate.swallowed
        self._gate.shut()
        self._feeder.allow(end)
        hanging = swallowed + _STALLED_WRITES
        self._wait("writes to hang", lambda: self._gate.swallowed >= hanging, _PROGRESS_SECONDS)
        self._consumer.watch(self._random.uniform(*_STALL_SECONDS))

    def _wait(self, what: str, reached: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not reached():
            self._feeder.check()
            if self._gate.problem is not None:
                raise RunError(self._gate.problem)
            if time.monotonic() > deadline:
                raise RunError(f"waited {timeout:.0f} s for {what}\n{self._consumer.log_tail()}")
            self._consumer.watch(_POLL_SECONDS)

    def _look(self, moment: Moment) -> None:
        # The consumer is dead. In this order: what was committed before the rows are read must be in them.
        committed = self._observer.last_committed()
        fed = self._feeder.allowance
        if not self._ledger.wait_total(fed, _PROGRESS_SECONDS):
            self._feeder.check()
            raise RunError(f"{self._ledger.total()} of {fed} records were acknowledged")
        violations = self._judge(committed, Broken.UNSETTLED)
        kill = Kill(
            moment,
            sum(commit.position for commit in committed),
            fed,
            frozenset(violation.broken for violation in violations),
        )
        self._result.kills.append(kill)

    def _judge(self, committed: Sequence[Committed], missing: Broken, *, stopped: bool = False) -> list[Violation]:
        copies = self._observer.dead_letters()
        violations = [
            *check_progress(self._committed, committed),
            *check_commits(self._ledger, committed, stopped=stopped),
            *check_rows(self._ledger, committed, self._observer.rows(), missing),
            *check_dead_letters(self._ledger, committed, copies, self._consumer.starts, missing),
        ]
        self._committed = committed
        self._result.violations += violations
        self._result.dead_copies = len(copies)
        self._result.dead = len({(dict(copy.headers).get("index")) for copy in copies})
        self._result.writes, self._result.held = self._gate.forwarded, self._gate.held
        self._result.swallowed = self._gate.swallowed
        return violations

    def _finish(self) -> None:
        records = self._scenario.records
        self._consumer.start()
        self._feeder.allow(records)
        self._wait("the last record to be acknowledged", lambda: self._ledger.total() == records, _CATCH_UP_SECONDS)
        ends = self._observer.ends()
        if sum(ends) != records:
            raise RunError(f"{records} records were fed, the log has {sum(ends)}")
        self._wait("lag 0", lambda: not check_lag(self._observer.committed(), ends), _CATCH_UP_SECONDS)
        code = self._consumer.terminate(_STOP_SECONDS)
        if code != 0:
            raise RunError(f"exit code {code} after SIGTERM\n{self._consumer.log_tail()}")
        if self._consumer.panicked():
            raise RunError(f"a thread of the consumer panicked\n{self._consumer.log_tail()}")
        committed = self._observer.last_committed()
        self._result.violations += check_lag(committed, self._observer.ends())
        self._judge(committed, Broken.LOST, stopped=True)
