"""What one request asks for: the parameters of randomuser.me, and those that make the server misbehave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from .nations import BY_CODE
from .people import GENDERS, MAX_RESULTS

FIELDS = (
    "gender", "name", "location", "email", "login", "dob", "registered", "phone", "cell", "id", "picture", "nat",
)  # fmt: skip
FAULTS = ("429", "500", "slow", "truncated", "wrong_type", "not_json", "endless")
MAX_PAGE = 1_000_000
MAX_SEED_CHARACTERS = 128


class BadQueryError(ValueError):
    """A parameter that cannot be served; the text names the parameter and its bounds."""


@dataclass(frozen=True)
class Fault:
    """One way to misbehave.

    `first_n`: only the first so many requests of a path and seed meet it; None means every one.
    `retry_after`: seconds named by a 429. `delay`: seconds between two bytes of a slow answer.
    """

    kind: str
    first_n: int | None = None
    retry_after: int = 1
    delay: float = 1.0


@dataclass(frozen=True)
class Query:
    """One page, fully named: equal queries have equal answers."""

    seed: str
    page: int = 1
    results: int = 1
    nat: tuple[str, ...] = ()
    gender: str | None = None
    fields: tuple[str, ...] = FIELDS

    def next_page(self) -> Query:
        return Query(self.seed, self.page + 1, self.results, self.nat, self.gender, self.fields)


def parse(query: str, default_seed: str, default_fault: Fault | None) -> tuple[Query, Fault | None]:
    """Reads a query string. Parameters that are not known are ignored, as randomuser.me does."""
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=False, max_num_fields=64))
    except ValueError as error:
        raise BadQueryError(f"the query has too many parameters: {error}") from error
    seed = given.get("seed") or default_seed
    if len(seed) > MAX_SEED_CHARACTERS:
        raise BadQueryError(f"seed must have at most {MAX_SEED_CHARACTERS} characters")
    gender = given.get("gender") or None
    if gender is not None and gender not in GENDERS:
        raise BadQueryError("gender must be female or male")
    wanted = Query(
        seed=seed,
        page=_integer(given, "page", 1, 1, MAX_PAGE),
        results=_integer(given, "results", 1, 1, MAX_RESULTS),
        nat=_nationalities(given.get("nat", "")),
        gender=gender,
        fields=_fields(given.get("inc", ""), given.get("exc", "")),
    )
    return wanted, _fault(given, default_fault)


def _integer(given: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = given.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not low <= int(text) <= high:
        raise BadQueryError(f"{name} must be a whole number from {low} to {high}")
    return int(text)


def _seconds(given: dict[str, str], name: str, default: float, high: float) -> float:
    text = given.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= high:
        raise BadQueryError(f"{name} must be a number of seconds from 0 to {high:g}")
    return value


def _listed(text: str, allowed: Sequence[str], name: str) -> tuple[str, ...]:
    entries = tuple(entry.strip() for entry in text.split(",") if entry.strip())
    for entry in entries:
        if entry not in allowed:
            raise BadQueryError(f"{name} must list some of {', '.join(allowed)}")
    return entries


def _nationalities(text: str) -> tuple[str, ...]:
    return _listed(text.upper(), tuple(BY_CODE), "nat")


def _fields(included: str, excluded: str) -> tuple[str, ...]:
    inc = _listed(included, FIELDS, "inc") or FIELDS
    exc = _listed(excluded, FIELDS, "exc")
    return tuple(field for field in FIELDS if field in inc and field not in exc)


def _fault(given: dict[str, str], default: Fault | None) -> Fault | None:
    kind = given.get("fail", "")
    if kind:
        if kind not in FAULTS:
            raise BadQueryError(f"fail must be one of {', '.join(FAULTS)}")
    elif default is None:
        return None
    base = default or Fault("")
    first_n = _integer(given, "first_n", -1, 0, 1_000_000)
    return Fault(
        kind=kind or base.kind,
        first_n=base.first_n if first_n < 0 else first_n,
        retry_after=_integer(given, "retry_after", base.retry_after, 0, 86_400),
        delay=_seconds(given, "delay", base.delay, 60.0),
    )
