"""`users_stream` as somebody sees it who opens Airflow in a browser. Pictures are kept in the test's folder."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from millstream.devstack.airflow import PASSWORD, USER, Airflow
from millstream.devstack.airflow_rest import AirflowRest
from millstream.devstack.consumer import Consumer

from .checker import DAG_ID, Checker, assert_delivered, finished

# Airflow and Chromium start within the first test.
pytestmark = pytest.mark.timeout(600)

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PAGE_MILLISECONDS = 90_000
FIRST_RUN_SECONDS = 120


@pytest.fixture
def page(airflow: Airflow) -> Iterator[Page]:
    """The page of `users_stream`, signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        opened = browser.new_page(viewport={"width": 1400, "height": 1200})
        opened.set_default_timeout(PAGE_MILLISECONDS)
        expect.set_options(timeout=PAGE_MILLISECONDS)
        address = f"{airflow.url}/dags/{DAG_ID}"
        # Airflow asks for the login first.
        opened.goto(address)
        opened.fill("input[name=username]", USER)
        opened.fill("input[name=password]", PASSWORD)
        opened.get_by_role("button", name="Sign in").click()
        opened.wait_for_url(address)
        yield opened
        browser.close()


def test_only_unpaused_by_the_toggle(
    page: Page, rest: AirflowRest, consumer: Consumer, checker: Checker, tmp_path: Path
) -> None:
    before = {run["dag_run_id"] for run in rest.runs(DAG_ID)}
    toggle = page.get_by_test_id("toggle-pause").first
    expect(toggle).to_be_visible()
    page.screenshot(path=tmp_path / "paused.png")
    toggle.click()
    run = first_new_run(rest, before)
    assert run["run_type"] == "scheduled"
    report = finished(rest, run["dag_run_id"])
    assert report["topic"] == "users_created"
    assert_delivered(checker, report, pages=2, results=500)
    page.goto(page.url + f"/runs/{run['dag_run_id']}")
    expect(page.get_by_test_id("state-badge").first).to_have_text(re.compile("success", re.IGNORECASE))
    page.screenshot(path=tmp_path / "succeeded.png")


def first_new_run(rest: AirflowRest, before: set[str]) -> dict[str, Any]:
    deadline = time.monotonic() + FIRST_RUN_SECONDS
    while time.monotonic() < deadline:
        for run in reversed(rest.runs(DAG_ID)):
            if run["dag_run_id"] not in before:
                return dict(run)
        time.sleep(0.3)
    pytest.fail(f"turning the toggle started no run within {FIRST_RUN_SECONDS} s")


def test_the_trigger_form_says_what_may_be_entered(page: Page, rest: AirflowRest, tmp_path: Path) -> None:
    page.get_by_test_id("trigger-dag-button").first.click()
    form = page.get_by_role("dialog")
    pages = form.locator("input[name=element_pages]")
    expect(pages).to_have_attribute("aria-valuemax", "100")
    expect(pages).to_have_value("2")
    expect(form.locator("input[name=element_results]")).to_have_attribute("aria-valuemax", "5000")
    expect(form.locator("input[name=element_format]")).to_have_value("json")
    expect(form.locator("input[name=element_topic]")).to_have_value("")
    for description in ("Pages to fetch, 1 to 100", "People on a page, 1 to 5000", "users_created for JSON"):
        expect(form.get_by_text(description)).to_be_visible()
    page.screenshot(path=tmp_path / "form.png")


def test_the_page_explains_the_dag(page: Page, rest: AirflowRest, tmp_path: Path) -> None:
    page.get_by_test_id("markdown-button").first.click()
    documentation = page.get_by_role("dialog")
    for connection in ("users_api", "kafka_default", "schema_registry_default"):
        expect(documentation.get_by_role("cell", name=connection, exact=True)).to_be_visible()
    page.screenshot(path=tmp_path / "documentation.png")
