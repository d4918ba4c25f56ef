"""The judge finds each kind of violation, and nothing where all is well.

The evidence comes from a model of what the consumer leaves behind: cells that keep the value of the newest stamp, and
a dead letter for each bad record.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from zlib import crc32

import pytest

from .checker import (
    Broken,
    Committed,
    Copy,
    Row,
    Violation,
    check_commits,
    check_dead_letters,
    check_lag,
    check_progress,
    check_rows,
)
from .ledger import Entry, Ledger
from .workload import COLUMNS, POISON_CODES, Fate, plan, row_id, row_values

TOPIC = "users"
PARTITIONS = 3
RECORDS = 3_000
START_MS = 1_700_000_000_000


@dataclass
class World:
    """What was sent and what is there of it; the tests spoil one thing each."""

    ledger: Ledger
    committed: list[Committed]
    rows: dict[uuid.UUID, Row]
    copies: list[Copy]
    ends: list[int]
    versions: dict[int, list[tuple[int, int]]]
    """Version and stamp of each record of a user in offset order."""

    def violations(self, missing: Broken = Broken.LOST, *, starts: int = 1) -> list[Violation]:
        """What the judge says at the end of a run, or right after a kill with UNSETTLED."""
        found = [
            *check_commits(self.ledger, self.committed),
            *check_rows(self.ledger, self.committed, self.rows, missing),
            *check_dead_letters(self.ledger, self.committed, self.copies, starts, missing),
        ]
        return found if missing is Broken.UNSETTLED else [*found, *check_lag(self.committed, self.ends)]

    def entry(self, wanted: Callable[[Entry], bool]) -> Entry:
        """The last record of this kind."""
        entries = [entry for at in range(PARTITIONS) for entry in self.ledger.below(at, self.ledger.end(at))]
        return next(entry for entry in reversed(entries) if wanted(entry))

    def user(self, wanted: Callable[[list[tuple[int, int]]], bool]) -> int:
        """A user whose versions are like this."""
        return next(user for user, versions in self.versions.items() if wanted(versions))


def stamps(entries: list[Entry]) -> list[int]:
    """Write stamps in offset order; that of a record from the future is one that no cell has."""
    found: list[int] = []
    last = 0
    for entry in entries:
        if entry.kind == "future_timestamp":
            found.append(-1)
            continue
        last = max(entry.timestamp_ms * 1000, last + 8)
        found.append(last)
    return found


def write(rows: dict[uuid.UUID, Row], user: int, version: int, stamp: int) -> None:
    """An INSERT as Cassandra takes it: each cell keeps the newest stamp, what is not set is left alone."""
    row = rows.setdefault(row_id(user), Row(dict.fromkeys(COLUMNS), dict.fromkeys(COLUMNS)))
    values, written = dict(row.values), dict(row.stamps)
    for column, value in row_values(user, version).items():
        if value is not None and stamp > (written[column] or 0):
            values[column], written[column] = value, stamp
    rows[row_id(user)] = Row(values, written)


def copy_of(entry: Entry, stamp: int) -> Copy:
    """The dead letter of a bad record."""
    added = {
        "__connect.errors.topic": TOPIC,
        "__connect.errors.partition": str(entry.partition),
        "__connect.errors.offset": str(entry.offset),
        "x-dlq-code": POISON_CODES[entry.kind],
        "x-dlq-timestamp": str(entry.timestamp_ms),
    }
    if stamp >= 0:
        added["x-millstream-w"] = str(stamp)
    return Copy(entry.key, entry.value, entry.headers + tuple((name, text.encode()) for name, text in added.items()))


def metadata(entries: list[Entry]) -> str:
    """What a commit behind these records says."""
    counts = {fate.value: sum(entry.fate is fate for entry in entries) for fate in Fate}
    last = max(stamps(entries), default=0)
    return json.dumps({"v": 1, "first": 0, "lw": last, "program_hash": "", "clean": True, "n": {**counts, "gap": 0}})


@pytest.fixture
def world() -> World:
    """A run that ended as it must."""
    return world_at(1.0)


def world_at(share: float) -> World:
    """A world in which everything is stored and this share of each partition is committed."""
    made = make(share)
    return replace(
        made, committed=list(made.committed), rows=dict(made.rows), copies=list(made.copies), ends=list(made.ends)
    )


@functools.cache
def make(share: float) -> World:
    ledger, ends = Ledger(TOPIC, PARTITIONS), [0] * PARTITIONS
    for planned in plan(7, RECORDS):
        partition = crc32(planned.key or b"") % PARTITIONS
        timestamp = START_MS + ends[partition] - planned.age_ms
        ledger.delivered(planned, partition, ends[partition], timestamp)
        ends[partition] += 1
    rows: dict[uuid.UUID, Row] = {}
    versions: dict[int, list[tuple[int, int]]] = defaultdict(list)
    copies, committed = [], []
    for partition, end in enumerate(ends):
        entries = ledger.below(partition, end)
        for entry, stamp in zip(entries, stamps(entries), strict=True):
            if entry.fate is Fate.STORED:
                write(rows, entry.user, entry.version, stamp)
                versions[entry.user].append((entry.version, stamp))
            elif entry.fate is Fate.DEAD:
                copies.append(copy_of(entry, stamp))
        offset = int(end * share)
        committed.append(Committed(offset, metadata(ledger.below(partition, offset))))
    return World(ledger, committed, rows, copies, ends, versions)


def broken(violations: list[Violation]) -> set[Broken]:
    return {violation.broken for violation in violations}


def test_a_sound_world_has_no_violation(world: World) -> None:
    assert world.violations() == []
    assert {copy.headers[-3][1] for copy in world.copies} >= {b"bad_json", b"type_mismatch"}


def test_what_is_not_committed_may_be_there_or_not() -> None:
    ahead, behind = world_at(0.5), world_at(0.5)
    behind.rows.clear()
    behind.copies.clear()
    for partition, commit in enumerate(behind.committed):
        entries = behind.ledger.below(partition, commit.position)
        for entry, stamp in zip(entries, stamps(entries), strict=True):
            if entry.fate is Fate.STORED:
                write(behind.rows, entry.user, entry.version, stamp)
            elif entry.fate is Fate.DEAD:
                behind.copies.append(copy_of(entry, stamp))

    assert ahead.violations(Broken.UNSETTLED) == []
    assert behind.violations(Broken.UNSETTLED) == []
    # The same at the end of a run: records are left, and nothing else is wrong.
    assert broken(ahead.violations()) == {Broken.LAG}


@pytest.mark.parametrize("missing", [Broken.LOST, Broken.UNSETTLED])
def test_a_lost_row_is_found(world: World, missing: Broken) -> None:
    del world.rows[row_id(world.user(lambda versions: len(versions) == 1))]

    assert [violation.broken for violation in world.violations(missing)] == [missing]


@pytest.mark.parametrize("missing", [Broken.LOST, Broken.UNSETTLED])
def test_a_stale_row_is_found(world: World, missing: Broken) -> None:
    user = world.user(lambda versions: len(versions) > 2)
    del world.rows[row_id(user)]
    for version, stamp in world.versions[user][:-1]:
        write(world.rows, user, version, stamp)

    assert [violation.broken for violation in world.violations(missing)] == [missing]


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "username"])
def test_a_row_of_mixed_versions_is_found(world: World, column: str) -> None:
    def differ(user: int) -> bool:
        values = [row_values(user, version)[column] for version, _ in world.versions[user][-2:]]
        return len(values) == 2 and None not in values and (values[0] != values[1] or column == "first_name")

    # Both of its newest versions have a value for the column, another one each.
    user = next(user for user in world.versions if differ(user))
    (older, older_stamp), _ = world.versions[user][-2:]
    row = world.rows[row_id(user)]
    value = {column: row_values(user, older)[column]}
    world.rows[row_id(user)] = Row({**row.values, **value}, {**row.stamps, column: older_stamp})

    assert len(world.violations()) == 1
    # A first name is the same in each version: its stamp alone tells.
    wanted = Broken.WRONG_STAMP if column == "first_name" else Broken.WRONG_ROW
    assert broken(world.violations()) == {wanted}


@pytest.mark.parametrize("column", ["phone", "picture"])
def test_a_null_that_wiped_an_older_value_is_found(world: World, column: str) -> None:
    def newest_is_null(user: int) -> bool:
        values = [row_values(user, version)[column] for version, _ in world.versions[user]]
        return values[-1] is None and any(value is not None for value in values)

    user = next(user for user in world.versions if newest_is_null(user))
    row = world.rows[row_id(user)]
    world.rows[row_id(user)] = Row({**row.values, column: None}, {**row.stamps, column: None})

    assert [violation.broken for violation in world.violations()] == [Broken.WRONG_ROW]


def test_a_write_by_the_clock_is_found(world: World) -> None:
    identity, row = next(iter(world.rows.items()))
    world.rows[identity] = Row(row.values, {**row.stamps, "email": (row.stamps["email"] or 0) + 1})

    assert [violation.broken for violation in world.violations()] == [Broken.WRONG_STAMP]


def test_a_row_that_nobody_sent_is_found(world: World) -> None:
    identity, row = next(iter(world.rows.items()))
    world.rows[uuid.UUID(int=1)] = row
    world.rows[identity] = Row({**row.values, "username": "900000001"}, row.stamps)

    assert [violation.broken for violation in world.violations()] == [Broken.WRONG_ROW] * 2


def test_poison_that_was_stored_is_found(world: World) -> None:
    user = world.user(lambda versions: len(versions) > 1)
    write(world.rows, user, 900_000_001, START_MS * 2000)

    assert broken(world.violations()) == {Broken.WRONG_ROW}


@pytest.mark.parametrize("missing", [Broken.LOST, Broken.UNSETTLED])
@pytest.mark.parametrize("kind", POISON_CODES)
def test_a_missing_dead_letter_is_found(world: World, kind: str, missing: Broken) -> None:
    entry = world.entry(lambda entry: entry.kind == kind)
    world.copies = [copy for copy in world.copies if source(copy) != (entry.partition, entry.offset)]

    assert [violation.broken for violation in world.violations(missing)] == [missing]


def source(copy: Copy) -> tuple[int, int]:
    found = dict(copy.headers)
    return int(found["__connect.errors.partition"] or b""), int(found["__connect.errors.offset"] or b"")


def with_header(copy: Copy, name: str, value: bytes | None) -> Copy:
    """The copy with the last header of this name changed."""
    at = max(index for index, (header, _) in enumerate(copy.headers) if header == name)
    return replace(copy, headers=(*copy.headers[:at], (name, value), *copy.headers[at + 1 :]))


SPOILS: dict[str, Callable[[Copy], Copy]] = {
    "a byte of the value": lambda copy: replace(copy, value=(copy.value or b"")[:-1] + b"\x00"),
    "a value that was cut": lambda copy: replace(copy, value=(copy.value or b"")[:-1]),
    "null for a value": lambda copy: replace(copy, value=None),
    "a byte of the key": lambda copy: replace(copy, key=(copy.key or b"")[:-1] + b"\x00"),
    "null for a key": lambda copy: replace(copy, key=None),
    "empty for a null header": lambda copy: with_header(copy, "null", b""),
    "a header's value": lambda copy: with_header(copy, "index", b"x"),
    "headers out of order": lambda copy: replace(copy, headers=(copy.headers[1], copy.headers[0], *copy.headers[2:])),
    "a header that is gone": lambda copy: replace(copy, headers=copy.headers[1:]),
    "another code": lambda copy: with_header(copy, "x-dlq-code", b"bad_magic"),
    "another timestamp": lambda copy: with_header(copy, "x-dlq-timestamp", b"1"),
    "another stamp": lambda copy: with_header(copy, "x-millstream-w", b"1"),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_an_altered_dead_letter_is_found(world: World, spoil: Callable[[Copy], Copy]) -> None:
    at = next(at for at, copy in enumerate(world.copies) if copy.key is not None and len(copy.value or b"") > 1)
    # As a second copy: the first one is right.
    world.copies.append(spoil(world.copies[at]))

    assert [violation.broken for violation in world.violations(starts=2)] == [Broken.DEAD_LETTER]


def test_a_null_value_for_an_empty_one_is_found(world: World) -> None:
    at = next(at for at, copy in enumerate(world.copies) if copy.value == b"")
    world.copies[at] = replace(world.copies[at], value=None)

    assert [violation.broken for violation in world.violations()] == [Broken.DEAD_LETTER]


def test_a_dead_letter_more_than_the_consumer_was_started_is_found(world: World) -> None:
    world.copies += [world.copies[0]] * 2

    assert world.violations(starts=3) == []
    assert [violation.broken for violation in world.violations(starts=2)] == [Broken.DEAD_LETTER]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("__connect.errors.topic", b"another"),
        ("__connect.errors.offset", None),
        ("__connect.errors.offset", b"x"),
        ("__connect.errors.partition", b"-1"),
    ],
)
def test_a_dead_letter_of_no_record_is_found(world: World, name: str, value: bytes | None) -> None:
    world.copies.append(with_header(world.copies[0], name, value))

    assert [violation.broken for violation in world.violations(starts=2)] == [Broken.DEAD_LETTER]


def test_a_good_record_among_the_dead_is_found(world: World) -> None:
    good = world.entry(lambda entry: entry.fate is Fate.STORED)
    copy = with_header(world.copies[0], "__connect.errors.partition", str(good.partition).encode())
    world.copies.append(with_header(copy, "__connect.errors.offset", str(good.offset).encode()))

    assert [violation.broken for violation in world.violations()] == [Broken.DEAD_LETTER]


METADATA: dict[str, Callable[[dict[str, object], dict[str, int]], object]] = {
    "one stored too many": lambda _, counts: counts.update(stored=counts["stored"] + 1),
    "one counted under another name": lambda _, counts: counts.update(
        stored=counts["stored"] + 1, dead=counts["dead"] - 1
    ),
    "a gap": lambda _, counts: counts.update(gap=1, stored=counts["stored"] - 1),
    "a name nobody knows": lambda _, counts: counts.update(other=1, stored=counts["stored"] - 1),
    "another first": lambda whole, _: whole.update(first=1),
    "another stamp": lambda whole, _: whole.update(lw=1),
    "another version": lambda whole, _: whole.update(v=2),
    "no counts": lambda whole, _: whole.pop("n"),
    "too long": lambda whole, _: whole.update(filler="x" * 4096),
}


@pytest.mark.parametrize("spoil", METADATA.values(), ids=METADATA)
def test_metadata_that_does_not_add_up_is_found(
    world: World, spoil: Callable[[dict[str, object], dict[str, int]], object]
) -> None:
    whole = json.loads(world.committed[1].metadata)
    spoil(whole, whole["n"])
    world.committed[1] = Committed(world.committed[1].offset, json.dumps(whole))

    assert broken(world.violations()) == {Broken.METADATA}


@pytest.mark.parametrize("text", ["", "null", "[]", '{"v": 1'])
def test_metadata_that_cannot_be_read_is_found(world: World, text: str) -> None:
    world.committed[0] = Committed(world.committed[0].offset, text)

    assert [violation.broken for violation in world.violations()] == [Broken.METADATA]


def test_an_unclean_stop_is_found(world: World) -> None:
    text = world.committed[0].metadata.replace('"clean": true', '"clean": false')
    world.committed[0] = Committed(world.committed[0].offset, text)

    assert world.violations() == []
    stopped = check_commits(world.ledger, world.committed, stopped=True)
    assert [violation.broken for violation in stopped] == [Broken.METADATA]


@pytest.mark.parametrize("fate", [Fate.STORED, Fate.DEAD])
def test_an_offset_that_is_committed_past_an_unsettled_record_is_found(fate: Fate) -> None:
    # What a kill leaves: of partition 0 everything below one record is settled, and that one is not.
    world = world_at(0.5)
    entries = world.ledger.below(0, world.ledger.end(0))
    hole = next(at for at in range(len(entries) // 2, len(entries)) if entries[at].fate is fate)
    world.rows.pop(row_id(entries[hole].user), None)
    for entry, stamp in zip(entries[:hole], stamps(entries), strict=False):
        if entry.user == entries[hole].user and entry.fate is Fate.STORED:
            write(world.rows, entry.user, entry.version, stamp)
    world.copies = [copy for copy in world.copies if source(copy) != (0, hole)]

    world.committed[0] = Committed(hole, metadata(entries[:hole]))
    assert world.violations(Broken.UNSETTLED) == []
    world.committed[0] = Committed(hole + 1, metadata(entries[: hole + 1]))
    assert broken(world.violations(Broken.UNSETTLED)) == {Broken.UNSETTLED}


def test_an_offset_beyond_the_log_is_found(world: World) -> None:
    world.committed[2] = Committed(world.ends[2] + 1, world.committed[2].metadata)

    assert broken(world.violations(Broken.UNSETTLED)) == {Broken.UNSETTLED}


def test_an_offset_that_went_back_is_found() -> None:
    before = [Committed(5), Committed(None), Committed(3)]

    assert check_progress(before, [Committed(5), Committed(1), Committed(3)]) == []
    later = [Committed(5), Committed(1), Committed(None)]
    assert [violation.broken for violation in check_progress(before, later)] == [Broken.WENT_BACK]


def test_lag_is_found(world: World) -> None:
    world.ends[0] += 1

    assert [violation.broken for violation in world.violations()] == [Broken.LAG]
