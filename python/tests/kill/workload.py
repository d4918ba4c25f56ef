"""The records of a run: versions of users, poison of several kinds and tombstones, all from one seed."""

from __future__ import annotations

import enum
import functools
import itertools
import json
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COLUMNS = (
    "first_name",
    "last_name",
    "gender",
    "address",
    "post_code",
    "email",
    "username",
    "dob",
    "registered_date",
    "phone",
    "picture",
)
"""The table's columns without its key, id."""

VERSIONS_PER_USER = 5
"""Records of one user on average: 200,000 records update 40,000 rows."""

MAX_RECORD_BYTES = 16_384
"""What the consumer is told to take at most."""

_POISON_SHARE = 0.01
_TOMBSTONE_SHARE = 0.001
_DAY_MS = 86_400_000
# Clocks of producers differ: some records are older than those before them in the log.
_BACKDATED_SHARE = 0.02
_BACKDATED_MS = 20_000
_NAMESPACE = uuid.UUID("6f2a3a52-0a7f-4d0b-9a51-6f3f5f0c8f11")

Headers = tuple[tuple[str, bytes | None], ...]


class Fate(enum.Enum):
    """What must become of a record."""

    STORED = "stored"
    DEAD = "dead"
    TOMBSTONE = "tombstone"


@dataclass(frozen=True, slots=True)
class Planned:
    """One record before it is sent. `user` and `version` name the row it makes, where it makes one."""

    fate: Fate
    kind: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    age_ms: int
    """How far its timestamp lies before the moment of sending; negative is in the future."""
    user: int = -1
    version: int = 0


@functools.cache
def row_id(user: int) -> uuid.UUID:
    """The primary key of a user's row."""
    return uuid.uuid5(_NAMESPACE, str(user))


def row_values(user: int, version: int) -> dict[str, str | None]:
    """The columns (without id) that this version of a user carries; None is absent or null in the record."""
    return {
        "first_name": f"Zoë {user}",
        "last_name": f"O'Brien-{version} \u4e2d\u6587",
        "gender": "female" if (user + version) % 2 else "male",
        # Empty is a value; only null leaves what was there.
        "address": "" if (user + version) % 13 == 0 else f"{version} High Street, \U0001f3e0 {user}, State, Country",
        "post_code": f"{user * 7 + version:06d}",
        "email": f"user{user}.{version}@example.com",
        "username": f"{user}.{version}",
        "dob": f"19{user % 90 + 10}-01-02T03:04:05.{version:03d}Z",
        "registered_date": f"2020-01-02T03:04:05.{version:03d}Z",
        "phone": None if (user + version) % 7 == 0 else f"+{user:08d}{version}",
        "picture": None if (user + version) % 11 == 0 else f"https://example.com/{user}/{version}.jpg",
    }


def version_of(username: str) -> tuple[int, int] | None:
    """The (user, version) that a row's `username` names; None where no record of ours wrote it."""
    user, dot, version = username.partition(".")
    if not (dot and user.isascii() and user.isdigit() and version.isascii() and version.isdigit()):
        return None
    return int(user), int(version)


def _body(user: int, version: int) -> Body:
    # An absent field and a null are the same to a merged row; both are sent.
    values = {
        name: value for name, value in row_values(user, version).items() if value is not None or name == "picture"
    }
    return {"id": str(row_id(user)), "ignored": {"list": [1, 2.5, None], "text": "x" * 40}, **values}


def _json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


Body = dict[str, object]

_POISON: dict[str, Callable[[random.Random, Body], bytes]] = {
    "not_json": lambda generator, _: b"\xfe" + generator.randbytes(generator.randrange(200)),
    "truncated": lambda generator, body: _json(body)[: generator.randrange(1, 200)],
    "trailing": lambda _, body: _json(body) + b" {}",
    "empty": lambda *_: b"",
    "not_an_object": lambda _, body: _json([body]),
    "too_deep": lambda _, body: _json(body)[:-1] + b', "deep": ' + b"[" * 200 + b"]" * 200 + b"}",
    "too_large": lambda _, body: _json({**body, "ignored": "x" * MAX_RECORD_BYTES}),
    "missing_id": lambda _, body: _json({name: value for name, value in body.items() if name != "id"}),
    "null_id": lambda _, body: _json({**body, "id": None}),
    "bad_uuid": lambda _, body: _json({**body, "id": "not-a-uuid"}),
    "wrong_type": lambda _, body: _json({**body, "first_name": {"nested": True}}),
    "future_timestamp": lambda _, body: _json(body),
}
"""Kinds of poison: each makes a value that cannot be stored of a user's fields."""

POISON_CODES = {
    "not_json": "bad_json",
    "truncated": "bad_json",
    "trailing": "bad_json",
    "empty": "empty_value",
    "not_an_object": "not_an_object",
    "too_deep": "too_deep",
    "too_large": "too_large",
    "missing_id": "validation:key_missing",
    "null_id": "validation:key_missing",
    "bad_uuid": "type_mismatch",
    "wrong_type": "type_mismatch",
    "future_timestamp": "timestamp_future",
}
"""The dead-letter code of each kind of poison; the codes are stable."""


def plan(seed: int, records: int) -> Iterator[Planned]:
    """The records of a run in the order they are sent."""
    generator = random.Random(seed)
    users = max(1, records // VERSIONS_PER_USER)
    versions = [0] * users
    # Each kind in turn, so that a short run has all of them too.
    kinds = itertools.cycle(_POISON)
    for index in range(records):
        user = generator.randrange(users)
        share = generator.random()
        age = generator.randrange(1, _BACKDATED_MS) if generator.random() < _BACKDATED_SHARE else 0
        if share < _POISON_SHARE:
            yield _poison(generator, next(kinds), user, index, age)
        elif share < _POISON_SHARE + _TOMBSTONE_SHARE:
            yield Planned(Fate.TOMBSTONE, "tombstone", str(row_id(user)).encode(), None, (), age)
        else:
            versions[user] += 1
            version = versions[user]
            headers: Headers = (("trace", str(index).encode()),) if index % 3 == 0 else ()
            value = _json(_body(user, version))
            yield Planned(Fate.STORED, "user", str(row_id(user)).encode(), value, headers, age, user, version)


def _poison(generator: random.Random, kind: str, user: int, index: int, age: int) -> Planned:
    key = None if kind == "not_json" else str(row_id(user)).encode()
    # It looks like a newer version of a real user: were it ever written, the row would show it.
    value = _POISON[kind](generator, _body(user, 900_000_000 + index))
    # A repeated name, raw bytes, a null, and names that dead letters carry themselves.
    headers: Headers = (
        ("h", b"1"),
        ("h", generator.randbytes(8)),
        ("null", None),
        ("empty", b""),
        ("x-dlq-code", b"an earlier life"),
        ("__connect.errors.offset", b"0"),
        ("index", str(index).encode()),
    )
    return Planned(Fate.DEAD, kind, key, value, headers, -_DAY_MS if kind == "future_timestamp" else age)
