"""Seeds and reports of runs."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.airflow import RunReport, run_seed
from millstream.exceptions import RemapError


@dataclass
class Delivery:
    delivered: int
    offsets: dict[int, tuple[int, int]]


@dataclass
class Rejection:
    code: str


def test_seed_is_pinned() -> None:
    # A run cleared after an upgrade must fetch the same people.
    assert run_seed("users_stream", "manual__2026-11-21T14:49:59+00:00") == "c913c656aeee00b1"


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_other_ids_give_other_seeds(dag_a: str, run_a: str, dag_b: str, run_b: str) -> None:
    same = (dag_a, run_a) == (dag_b, run_b)
    assert (run_seed(dag_a, run_a) == run_seed(dag_b, run_b)) == same


def test_a_report_adds_pages_up() -> None:
    report = RunReport("users_created", "seed")
    report.add(3, [], Delivery(3, {0: (10, 11), 4: (7, 7)}))
    report.add(2, [], Delivery(2, {4: (8, 9)}))
    assert report.finish() == {
        "topic": "users_created",
        "seed": "seed",
        "fetched": 5,
        "delivered": 5,
        "offsets": {"0": [10, 11], "4": [7, 9]},
    }


def test_a_report_is_small_json_however_many_records() -> None:
    report = RunReport("users_created", "seed")
    for page in range(1000):
        report.add(5000, [], Delivery(5000, dict.fromkeys(range(6), (page * 900, page * 900 + 899))))
    assert len(json.dumps(report.finish())) < 1000


def test_rejected_records_are_an_error_that_counts_them() -> None:
    report = RunReport("users_created", "seed")
    report.add(5, [Rejection("missing_id"), Rejection("missing_name"), Rejection("missing_id")], Delivery(2, {}))
    with pytest.raises(RemapError, match=r"3 of 5 .* missing_id \(2\), missing_name \(1\); the other 2 ") as error:
        report.finish()
    assert not error.value.retryable
