"""The records of a run: versions of users, poison of several kinds and tombstones, all from one seed."""

from __future__ import annotations

import enum
import functools
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

COLUMNS = (
    "id",
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

VERSIONS_PER_USER = 5
"""Records of one user on average: 200,000 records update 40,000 rows."""

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


POISON_CODES: dict[str, str | None] = {
    "not_json": "bad_json",
    "truncated": "bad_json",
    "empty": "empty_value",
    "not_an_object": "not_an_object",
    "missing_id": None,
    "bad_uuid": None,
    "wrong_type": None,
    "future_timestamp": "timestamp_future",
}
"""Kinds of poison and the dead-letter code of each, where the code is part of the contract."""


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
        "address": f"{version} High Street, \U0001f3e0 {user}, State, Country",
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


def _body(user: int, version: int) -> dict[str, object]:
    body: dict[str, object] = {"id": str(row_id(user)), "ignored": {"list": [1, 2.5, None], "text": "x" * 40}}
    for column, value in row_values(user, version).items():
        # An absent field and a null are the same to a merged row; both are sent.
        if value is not None or column == "picture":
            body[column] = value
    return body


def _json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def plan(seed: int, records: int) -> Iterator[Planned]:
    """The records of a run in the order they are sent."""
    generator = random.Random(seed)
    users = max(1, records // VERSIONS_PER_USER)
    versions = [0] * users
    poisons = list(POISON_CODES)
    for index in range(records):
        user = generator.randrange(users)
        share = generator.random()
        age = generator.randrange(1, _BACKDATED_MS) if generator.random() < _BACKDATED_SHARE else 0
        if share < _POISON_SHARE:
            # Each kind in turn, so that a short run has all of them too.
            kind = poisons[index % len(poisons)]
            yield _poison(generator, kind, user, index, age)
        elif share < _POISON_SHARE + _TOMBSTONE_SHARE:
            yield Planned(Fate.TOMBSTONE, "tombstone", str(row_id(user)).encode(), None, (), age)
        else:
            versions[user] += 1
            version = versions[user]
            headers: Headers = (("trace", str(index).encode()),) if index % 3 == 0 else ()
            value = _json(_body(user, version))
            yield Planned(Fate.STORED, "user", str(row_id(user)).encode(), value, headers, age, user, version)


def _poison(generator: random.Random, kind: str, user: int, index: int, age: int) -> Planned:
    # It looks like a newer version of a real user: were it ever written, the row would show it.
    body = _body(user, 900_000_000 + index)
    key: bytes | None = str(row_id(user)).encode()
    if kind == "not_json":
        value, key = generator.randbytes(generator.randrange(1, 200)).replace(b"{", b"\xff"), None
        value = b"\xfe" + value
    elif kind == "truncated":
        whole = _json(body)
        value = whole[: generator.randrange(1, len(whole) - 1)]
    elif kind == "empty":
        value = b""
    elif kind == "not_an_object":
        value = _json([body])
    else:
        if kind == "missing_id":
            del body["id"]
        elif kind == "bad_uuid":
            body["id"] = "not-a-uuid"
        elif kind == "wrong_type":
            body["first_name"] = {"nested": True}
        else:
            age = -_DAY_MS
        value = _json(body)
    # A repeated name, raw bytes and a null, and a name that dead letters carry themselves.
    headers: Headers = (
        ("h", b"1"),
        ("h", generator.randbytes(8)),
        ("null", None),
        ("empty", b""),
        ("x-dlq-code", b"an earlier life"),
        ("index", str(index).encode()),
    )
    return Planned(Fate.DEAD, kind, key, value, headers, age)
