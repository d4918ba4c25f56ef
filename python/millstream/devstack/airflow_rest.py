"""Airflow's REST API as far as development and tests need it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

ENDED = ("success", "failed")
REQUEST_SECONDS = 30.0


class RestError(RuntimeError):
    """A request that Airflow refused or did not answer."""


class AirflowRest:
    """A signed-in client; the token is fetched at the first request and again when it has expired."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._credentials = {"username": user, "password": password}
        self._token: str | None = None

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; `path` begins below `/api/v2`. Returns the answer's JSON, None when it has none.

        Raises:
            RestError: Any status but 2xx; the text has it and the answer.
        """
        if self._token is None:
            self._token = self._sign_in()
        try:
            return _exchange(method, f"{self._url}/api/v2{path}", body, self._token)
        except urllib.error.HTTPError as refused:
            if refused.code == 401:
                self._token = self._sign_in()
                return _exchange(method, f"{self._url}/api/v2{path}", body, self._token)
            text = refused.read(2000).decode(errors="replace")
            raise RestError(f"{method} {path}: {refused.code} {text}") from refused
        except OSError as error:
            raise RestError(f"{method} {path}: {error}") from error

    def wait_for_dag(self, dag_id: str, timeout: float = 120.0) -> dict[str, Any]:
        """The DAG, once Airflow has read its file.

        Raises:
            RestError: It is not there in time; the text has the import errors.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                found: dict[str, Any] = self.call("GET", f"/dags/{dag_id}/details")
                return found
            except RestError as missing:
                if time.monotonic() > deadline:
                    errors = self.call("GET", "/importErrors")["import_errors"]
                    traces = "\n".join(error["stack_trace"] for error in errors)
                    raise RestError(f"DAG {dag_id} did not appear: {missing}\n{traces}") from missing
            time.sleep(0.5)

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """Turns the DAG's toggle."""
        self.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": paused})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Starts a run; returns its id."""
        run = self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        return str(run["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The newest hundred runs, newest first."""
        answer = self.call("GET", f"/dags/{dag_id}/dagRuns?order_by=-run_after&limit=100")
        return list(answer["dag_runs"])

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 180.0) -> dict[str, Any]:
        """The run, once it has ended, whichever way.

        Raises:
            RestError: It has not ended in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            run: dict[str, Any] = self.call("GET", f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}")
            if run["state"] in ENDED:
                return run
            if time.monotonic() > deadline:
                raise RestError(f"run {run_id} of {dag_id} is still {run['state']} after {timeout:g} s")
            time.sleep(0.3)

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clears every task of the run, so that it runs again."""
        self.call("POST", f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/clear", {"dry_run": False, "only_failed": False})

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What the task returned (its XCom `return_value`)."""
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        value = self.call("GET", path)["value"]
        return json.loads(value) if isinstance(value, str) else value

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """The task instance: state, try number, times."""
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}"
        return dict(self.call("GET", path))

    def task_events(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> list[dict[str, Any]]:
        """The log of one try: events with `timestamp`, `level`, `logger`, `event`."""
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/logs/{attempt}?full_content=true"
        content = self.call("GET", path)["content"]
        return [entry if isinstance(entry, dict) else {"event": str(entry)} for entry in content]

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """The log of one try, one event a line with its level, and below it the errors it was raised from."""
        return "\n".join(line for event in self.task_events(dag_id, run_id, task_id, attempt) for line in _lines(event))

    def _sign_in(self) -> str:
        answer = _exchange("POST", f"{self._url}/auth/token", self._credentials, None)
        return str(answer["access_token"])


def _lines(event: dict[str, Any]) -> list[str]:
    errors = [f"  {error.get('exc_type')}: {error.get('exc_value')}" for error in event.get("error_detail") or []]
    return [f"{event.get('level', ''):8}{event.get('event', '')}", *errors]


def _quoted(run_id: str) -> str:
    return urllib.parse.quote(run_id, safe="")


def _exchange(method: str, url: str, body: Any, token: str | None) -> Any:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=content, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
        text = answer.read()
    return json.loads(text) if text else None
