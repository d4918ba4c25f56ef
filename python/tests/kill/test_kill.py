"""SIGKILL at random moments while records flow loses nothing; builds that break the promise are caught.

Sizes come from the environment: MILLSTREAM_KILL_RECORDS (default 200000), MILLSTREAM_KILL_KILLS (10),
MILLSTREAM_KILL_RATE (records per second, 4000), MILLSTREAM_KILL_SEED (random; it is printed).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from .checker import Broken
from .killrun import KillRun
from .scenario import Moment, Result, Scenario, mixed_moments
from .workload import POISON_CODES

pytestmark = pytest.mark.timeout(1800)

# Enough to have thousands of records in each part, some hundred of which hang with poison among them.
_FAULTY_RECORDS = 30_000
_FAULTY_KILLS = 3


def _setting(name: str, default: int) -> int:
    return int(os.environ.get(f"MILLSTREAM_KILL_{name}", default))


def _seed() -> int:
    return _setting("SEED", secrets.randbelow(1_000_000))


@pytest.fixture
def run(
    servers: Mapping[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Scenario, Path], Result]:
    """Runs a scenario; its progress, the seed first, is shown even where all is well."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"  {line}", flush=True)

    def run_scenario(scenario: Scenario, binary: Path) -> Result:
        say(f"\n  seed {scenario.seed}: MILLSTREAM_KILL_SEED={scenario.seed} runs it again")
        return KillRun(scenario, binary, servers["MILLSTREAM_KAFKA"], servers["MILLSTREAM_CASSANDRA"], tmp_path).run(
            say
        )

    return run_scenario


def test_nothing_is_lost_through_kills(
    consumer_binary: Callable[[str], Path], run: Callable[[Scenario, Path], Result]
) -> None:
    seed, kills = _seed(), _setting("KILLS", 10)
    scenario = Scenario(seed, _setting("RECORDS", 200_000), _setting("RATE", 4_000), mixed_moments(seed, kills))

    result = run(scenario, consumer_binary(""))

    assert not result.violations, result.report()
    # The run was hard enough to prove something.
    assert len(result.kills) == kills
    assert sum(kill.committed < kill.fed for kill in result.kills) > kills // 2, "most kills found an idle consumer"
    assert result.held > 0
    assert result.swallowed > 0
    assert result.dead >= len(POISON_CODES)
    assert result.dead_copies > result.dead, "no kill made a record be read again"


@pytest.mark.parametrize("fault", ["fault-commit-before-acknowledgement", "fault-offsets-past-hole"])
def test_a_build_that_commits_too_early_is_caught(
    fault: str, consumer_binary: Callable[[str], Path], run: Callable[[Scenario, Path], Result]
) -> None:
    # Writes that hang for longer than two commits are apart leave nothing to chance: what is committed meanwhile and
    # was not written is not there after the kill.
    scenario = Scenario(_seed(), _FAULTY_RECORDS, _setting("RATE", 4_000), (Moment.STALLED,) * _FAULTY_KILLS)

    result = run(scenario, consumer_binary(fault))

    # Each kill shows it before the restart, and at the end records are gone for good.
    assert all(Broken.UNSETTLED in kill.broken for kill in result.kills), result.report()
    assert Broken.LOST in result.broken(), result.report()
