"""SIGKILL at random moments while records flow loses nothing; builds that break the promise are caught.

Sizes come from the environment: MILLSTREAM_KILL_RECORDS (default 200000), MILLSTREAM_KILL_KILLS (10),
MILLSTREAM_KILL_RATE (records per second, 4000), MILLSTREAM_KILL_SEED (random, printed).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from .checker import Broken
from .killrun import KillRun, Result, Scenario

pytestmark = pytest.mark.timeout(1800)


def _scenario() -> Scenario:
    def size(name: str, default: int) -> int:
        return int(os.environ.get(f"MILLSTREAM_KILL_{name}", default))

    return Scenario(
        seed=size("SEED", secrets.randbelow(1_000_000)),
        records=size("RECORDS", 200_000),
        kills=size("KILLS", 10),
        per_second=size("RATE", 4_000),
    )


def _run(binary: Path, servers: Mapping[str, str], folder: Path) -> Result:
    scenario = _scenario()
    print(f"\n{scenario}", flush=True)
    run = KillRun(scenario, binary, servers["MILLSTREAM_KAFKA"], servers["MILLSTREAM_CASSANDRA"], folder)
    return run.run(lambda line: print(line, flush=True))


def test_nothing_is_lost_through_kills(binaries: Mapping[str, Path], servers: Mapping[str, str], tmp_path: Path) -> None:
    result = _run(binaries[""], servers, tmp_path)

    assert not result.violations, result.report()
    assert len(result.kills) == result.scenario.kills


@pytest.mark.parametrize("fault", ["fault-commit-before-acknowledgement", "fault-offsets-past-hole"])
def test_a_build_that_commits_too_early_is_caught(
    fault: str, binaries: Mapping[str, Path], servers: Mapping[str, str], tmp_path: Path
) -> None:
    result = _run(binaries[fault], servers, tmp_path)

    assert Broken.UNSETTLED in result.broken, f"{fault} was not noticed\n{result.report()}"
