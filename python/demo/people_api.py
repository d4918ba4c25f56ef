"""Where people come from: randomuser.me when it answers, else the sample API that is shipped."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from millstream.sample_api import created_users_row

from .console import DemoFailedError

RANDOMUSER = "https://randomuser.me/api/"
LOOK_SECONDS = 5.0
FETCH_SECONDS = 30.0
TRIES = 4
PAUSE_SECONDS = 5.0


def answers(url: str = RANDOMUSER) -> bool:
    """Whether the public API can be reached and gives a person."""
    try:
        with urllib.request.urlopen(f"{url}?results=1", timeout=LOOK_SECONDS) as answer:
            return bool(json.load(answer)["results"])
    except (OSError, ValueError, KeyError, TypeError, urllib.error.URLError):
        return False


def rows(url: str, seed: str, pages: int, results: int) -> dict[str, dict[str, str]]:
    """The rows that these pages must become, by id: fetched here once more and mapped in Python.

    Raises:
        DemoFailedError: The API does not give them.
    """
    found: dict[str, dict[str, str]] = {}
    for page in range(1, pages + 1):
        query = urllib.parse.urlencode({"seed": seed, "page": page, "results": results})
        for row in map(created_users_row, _people(f"{url}?{query}")):
            found[row["id"]] = row
    return found


def _people(address: str) -> list[dict[str, Any]]:
    failure: Exception | None = None
    for turn in range(TRIES):
        if turn:
            # The public API limits how often it may be asked.
            time.sleep(PAUSE_SECONDS * turn)
        try:
            with urllib.request.urlopen(address, timeout=FETCH_SECONDS) as answer:
                return list(json.load(answer)["results"])
        except (OSError, ValueError, KeyError) as error:
            failure = error
    raise DemoFailedError(f"{address} gave no people to compare with, {TRIES} times: {failure}")
