"""People in the shape of randomuser.me's answer, each a pure function of a seed and a position."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from .nations import BY_CODE, NATIONS, Nation

VERSION = "1.4"
MAX_RESULTS = 5000
"""People in one answer at most, as at randomuser.me."""

GENDERS = ("female", "male")

# Ages are counted to this day and not to today, so that an answer never changes.
_TODAY = datetime(2026, 1, 1, tzinfo=timezone.utc)
_EPOCH = datetime(1945, 1, 1, tzinfo=timezone.utc)
_BORN_WITHIN_DAYS = 60 * 365
_REGISTERED_SINCE = datetime(2002, 1, 1, tzinfo=timezone.utc)
_REGISTERED_WITHIN_DAYS = 23 * 365
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_ADJECTIVES = (
    "big", "black", "brown", "crazy", "golden", "happy", "heavy", "lazy", "organic", "purple", "silver", "tiny",
)  # fmt: skip
_ANIMALS = ("bear", "bird", "cat", "duck", "elephant", "frog", "goose", "koala", "leopard", "otter", "panda", "swan")
_PASSWORDS = ("anchor", "bluebird", "compass", "driftwood", "evergreen", "firefly", "granite", "horizon")
_TITLES = {"female": ("Miss", "Mrs", "Ms"), "male": ("Mr",)}


class _Draws:
    """A stream of small choices taken from one hash, much cheaper to start than a random generator."""

    def __init__(self, material: str) -> None:
        self._material = material.encode()
        self._block = 0
        self._pool = 0
        self._room = 1

    def below(self, bound: int) -> int:
        """The next choice in `range(bound)`; its bias is below 2**-64."""
        if self._room < bound << 64:
            digest = hashlib.blake2b(self._material, salt=self._block.to_bytes(16, "big")).digest()
            self._pool = int.from_bytes(digest, "big")
            self._room = 1 << 512
            self._block += 1
        self._room //= bound
        self._pool, choice = divmod(self._pool, bound)
        return choice

    def one_of(self, options: Sequence[str]) -> str:
        return options[self.below(len(options))]

    def fill(self, pattern: str) -> str:
        """`pattern` with a digit for each `#` and a capital letter for each `@`."""
        digits = pattern.count("#")
        number = iter(f"{self.below(10**digits):0{digits}d}") if digits else iter("")
        return "".join(
            next(number) if mark == "#" else self.one_of(_LETTERS) if mark == "@" else mark for mark in pattern
        )

    def moment(self, start: datetime, days: int) -> datetime:
        return start + timedelta(milliseconds=self.below(days * 86_400_000))


def person(seed: str, index: int, nat: Sequence[str] = (), gender: str | None = None) -> dict[str, Any]:
    """The person at `index` (from 0) of `seed`: the same one whatever page asks for it."""
    draws = _Draws(f"{seed}\0{index}\0{','.join(nat)}\0{gender or ''}")
    nations = [BY_CODE[code] for code in nat] if nat else NATIONS
    nation = nations[draws.below(len(nations))]
    gender = gender or draws.one_of(GENDERS)
    first = draws.one_of(nation.women if gender == "female" else nation.men)
    last = draws.one_of(nation.last_names)
    portrait = f"{'women' if gender == 'female' else 'men'}/{draws.below(100)}.jpg"
    pictures = "https://randomuser.me/api/portraits"
    return {
        "gender": gender,
        "name": {"title": draws.one_of(_TITLES[gender]), "first": first, "last": last},
        "location": _location(draws, nation),
        "email": f"{_mailbox(first)}.{_mailbox(last)}@example.com",
        "login": _login(draws),
        "dob": _dated(draws.moment(_EPOCH, _BORN_WITHIN_DAYS)),
        "registered": _dated(draws.moment(_REGISTERED_SINCE, _REGISTERED_WITHIN_DAYS)),
        "phone": draws.fill(nation.phone),
        "cell": draws.fill(nation.cell),
        "id": {
            "name": nation.id_name,
            "value": None if nation.id_value is None else draws.fill(nation.id_value),
        },
        "picture": {
            "large": f"{pictures}/{portrait}",
            "medium": f"{pictures}/med/{portrait}",
            "thumbnail": f"{pictures}/thumb/{portrait}",
        },
        "nat": nation.code,
    }


def people(
    seed: str, page: int = 1, results: int = 1, nat: Sequence[str] = (), gender: str | None = None
) -> list[dict[str, Any]]:
    """The people of one page, exactly as the server answers them.

    Pages are counted from 1. Person `i` of page `p` is person `(p - 1) * results + i` of the seed, so that
    neighbouring pages never overlap and the same people come back in pages of another size.
    """
    start = (page - 1) * results
    return [person(seed, index, nat, gender) for index in range(start, start + results)]


def render(seed: str, page: int, results: list[dict[str, Any]]) -> bytes:
    """The body of one answer: the people and randomuser.me's `info` object, as UTF-8 JSON."""
    answer = {
        "results": results,
        "info": {"seed": seed, "results": len(results), "page": page, "version": VERSION},
    }
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def _location(draws: _Draws, nation: Nation) -> dict[str, Any]:
    city, state = nation.cities[draws.below(len(nation.cities))]
    postcode: str | int
    if nation.postcode_is_number:
        smallest = 10 ** (len(nation.postcode) - 1)
        postcode = smallest + draws.below(9 * smallest)
    else:
        postcode = draws.fill(nation.postcode)
    return {
        "street": {"number": 1 + draws.below(9999), "name": draws.one_of(nation.streets)},
        "city": city,
        "state": state,
        "country": nation.country,
        "postcode": postcode,
        "coordinates": {
            "latitude": f"{draws.below(1_800_000) / 10_000 - 90:.4f}",
            "longitude": f"{draws.below(3_600_000) / 10_000 - 180:.4f}",
        },
        "timezone": {"offset": nation.timezone[0], "description": nation.timezone[1]},
    }


def _login(draws: _Draws) -> dict[str, str]:
    password = draws.one_of(_PASSWORDS)
    salt = "".join(draws.one_of(_LETTERS) for _ in range(8))
    salted = (password + salt).encode()
    return {
        "uuid": str(uuid.UUID(int=draws.below(1 << 128), version=4)),
        "username": f"{draws.one_of(_ADJECTIVES)}{draws.one_of(_ANIMALS)}{draws.below(1000):03d}",
        "password": password,
        "salt": salt,
        # These are fields of the answer's shape, not protection of anything.
        "md5": hashlib.md5(salted, usedforsecurity=False).hexdigest(),
        "sha1": hashlib.sha1(salted, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(salted).hexdigest(),
    }


def _dated(moment: datetime) -> dict[str, Any]:
    age = _TODAY.year - moment.year - ((_TODAY.month, _TODAY.day) < (moment.month, moment.day))
    return {"date": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "age": age}


def _mailbox(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
