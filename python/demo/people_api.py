"""Where people come from: randomuser.me when it answers, else the sample API that is shipped."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from millstream.sample_api import created_users_row

RANDOMUSER = "https://randomuser.me/api/"
LOOK_SECONDS = 5.0
FETCH_SECONDS = 30.0


def answers(url: str = RANDOMUSER) -> bool:
    """Whether the public API can be reached and gives a person."""
    try:
        with urllib.request.urlopen(f"{url}?results=1", timeout=LOOK_SECONDS) as answer:
            return bool(json.load(answer)["results"])
    except (OSError, ValueError, KeyError, TypeError, urllib.error.URLError):
        return False


def rows(url: str, seed: str, pages: int, results: int) -> dict[str, dict[str, str]]:
    """The rows that these pages must become, by id: fetched here once more and mapped in Python."""
    found: dict[str, dict[str, str]] = {}
    for page in range(1, pages + 1):
        query = urllib.parse.urlencode({"seed": seed, "page": page, "results": results})
        with urllib.request.urlopen(f"{url}?{query}", timeout=FETCH_SECONDS) as answer:
            people: list[dict[str, Any]] = json.load(answer)["results"]
        for row in map(created_users_row, people):
            found[row["id"]] = row
    return found
