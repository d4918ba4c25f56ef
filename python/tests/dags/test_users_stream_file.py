"""What the DAG file declares, read by Airflow's own interpreter, and what it costs to parse."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DAG_FILE = ROOT / "dags/users_stream.py"
MAX_LINES = 80

READ = """
import importlib.util, json, os, sys, threading
import airflow.sdk
HEAVY = ("millstream", "requests", "confluent_kafka")
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("dag_file", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
dag = module.users_stream()
print("FACTS" + json.dumps({
    "dag_id": dag.dag_id,
    "schedule": dag.schedule,
    "start_date": dag.start_date.isoformat(),
    "catchup": dag.catchup,
    "max_active_runs": dag.max_active_runs,
    "tags": sorted(dag.tags),
    "doc_md": dag.doc_md,
    "params": {name: dict(dag.params.get_param(name).schema) for name in dag.params},
    "retries": [task.retries for task in dag.tasks],
    "back_off": [task.retry_exponential_backoff for task in dag.tasks],
    "tasks": [task.task_id for task in dag.tasks],
    "threads": threading.active_count(),
    "heavy": sorted(name for name in set(sys.modules) - before if name.split(".")[0] in HEAVY),
}))
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    program = Path(os.environ.get("MILLSTREAM_AIRFLOW", ROOT / ".venv-airflow/bin/airflow"))
    if not program.is_file():
        pytest.fail(f"no Airflow at {program}: make airflow-env, or set MILLSTREAM_AIRFLOW")
    ended = subprocess.run(
        [str(program.with_name("python")), "-c", READ, str(DAG_FILE)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path_factory.mktemp("home"))},
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("FACTS")]
    read: dict[str, Any] = json.loads(line.removeprefix("FACTS"))
    return read


def test_turning_it_on_is_enough(facts: dict[str, Any]) -> None:
    assert facts["dag_id"] == "users_stream"
    assert facts["schedule"] == "* * * * *"
    assert facts["start_date"] == "2026-01-01T00:00:00+00:00"
    assert facts["catchup"] is False
    assert facts["max_active_runs"] == 1


def test_it_explains_itself(facts: dict[str, Any]) -> None:
    assert "millstream" in facts["tags"]
    assert "users_api" in facts["doc_md"]


def test_params_have_bounds(facts: dict[str, Any]) -> None:
    params = facts["params"]
    assert (params["pages"]["minimum"], params["pages"]["maximum"]) == (1, 100)
    assert (params["results"]["minimum"], params["results"]["maximum"]) == (1, 5000)
    assert params["format"]["enum"] == ["json", "avro"]
    assert set(params) == {"pages", "results", "format", "topic"}


def test_parsing_it_loads_and_starts_nothing(facts: dict[str, Any]) -> None:
    assert facts["heavy"] == []
    assert facts["threads"] == 1


def test_it_declares_and_no_more(facts: dict[str, Any]) -> None:
    assert len(DAG_FILE.read_text().splitlines()) <= MAX_LINES
    assert facts["tasks"] == ["stream_users"]
    assert facts["retries"] == [3]
    # A factor, as Airflow 3.3 takes it: True is of the type that older ones took.
    assert [(type(factor), factor) for factor in facts["back_off"]] == [(float, 2.0)]
