"""Airflow's page in Chromium: FAB's login, then the toggle of the DAG."""

from __future__ import annotations

from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
MILLISECONDS = 90_000


def turn_toggle(url: str, dag_id: str, user: str, password: str) -> None:
    """Signs in and turns the toggle of a paused DAG, as a person would."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 1200})
            page.set_default_timeout(MILLISECONDS)
            expect.set_options(timeout=MILLISECONDS)
            sign_in(page, f"{url}/dags/{dag_id}", user, password)
            toggle = page.get_by_test_id("toggle-pause").first
            expect(toggle).to_be_visible()
            with page.expect_response(lambda response: response.request.method == "PATCH") as taken:
                toggle.click()
            if not taken.value.ok:
                raise RuntimeError(f"Airflow refused the toggle of {dag_id}: {taken.value.status}")
        finally:
            browser.close()


def refused_sign_in(url: str, user: str, password: str) -> str:
    """What the login page says to a wrong password."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            page = browser.new_page()
            page.set_default_timeout(MILLISECONDS)
            page.goto(url)
            _fill(page, user, password)
            return page.locator(".alert").first.inner_text().strip()
        finally:
            browser.close()


def sign_in(page: Page, address: str, user: str, password: str) -> None:
    """Opens the address by way of the login that Airflow asks for first."""
    page.goto(address)
    _fill(page, user, password)
    page.wait_for_url(address)


def _fill(page: Page, user: str, password: str) -> None:
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.locator("input[type=submit]").first.click()
