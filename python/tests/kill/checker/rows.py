"""Rows against the records that made them, column by column."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..ledger import Ledger
from ..workload import Fate, row_id, row_values, version_of
from .evidence import Committed, Row
from .stamps import write_stamps
from .violation import Broken, Violation


@dataclass(frozen=True, slots=True)
class _Record:
    version: int
    stamp: int
    offset: int


@dataclass(slots=True)
class _Sent:
    """The records of one row in offset order; the first `settled` are below the committed offset."""

    user: int
    partition: int
    records: list[_Record] = field(default_factory=list)
    settled: int = 0

    def newest_settled(self) -> str:
        """The record that must be there at least, for messages."""
        record = self.records[self.settled - 1]
        return f"partition {self.partition} offset {record.offset} is below the committed one: version {record.version}"


def check_rows(
    ledger: Ledger, committed: Sequence[Committed], rows: Mapping[uuid.UUID, Row], missing: Broken
) -> list[Violation]:
    """Every row holds what its records say, and there is no row that nobody sent.

    A row may be as new as its newest record and must be as new as its newest record below the committed offset; what
    is not is reported as `missing`. Each column is that of the newest record that has a value for it. With everything
    committed this leaves one right content for each row.
    """
    sent = _sent_by_row(ledger, committed)
    violations: list[Violation] = []
    for identity, records in sent.items():
        row = rows.get(identity)
        if row is not None:
            violations += _row_violations(identity, records, row, missing)
        elif records.settled:
            violations.append(Violation(missing, f"{records.newest_settled()} of {identity}, and there is no such row"))
    violations += [Violation(Broken.WRONG_ROW, f"nobody sent row {identity}") for identity in rows.keys() - sent.keys()]
    return violations


def _sent_by_row(ledger: Ledger, committed: Sequence[Committed]) -> dict[uuid.UUID, _Sent]:
    by_user: dict[int, _Sent] = {}
    for partition, commit in enumerate(committed):
        entries = ledger.below(partition, ledger.end(partition))
        for entry, stamp in zip(entries, write_stamps(entries), strict=True):
            if entry.fate is not Fate.STORED or stamp is None:
                continue
            sent = by_user.setdefault(entry.user, _Sent(entry.user, partition))
            sent.records.append(_Record(entry.version, stamp, entry.offset))
            if entry.offset < commit.position:
                sent.settled = len(sent.records)
    return {row_id(user): sent for user, sent in by_user.items()}


def _row_violations(identity: uuid.UUID, sent: _Sent, row: Row, missing: Broken) -> Iterator[Violation]:
    # Every record sets the user name, and it names the record: it tells how new the row is.
    username = row.values.get("username")
    named = version_of(username) if username is not None else None
    versions = [record.version for record in sent.records]
    if named is None or named[0] != sent.user or named[1] not in versions:
        yield Violation(Broken.WRONG_ROW, f"{identity} username: nobody sent {username!r}")
        return
    newest = versions.index(named[1])
    if newest < sent.settled - 1:
        text = f"{sent.newest_settled()} of {identity}, and the row holds version {versions[newest]}"
        yield Violation(missing, text)
    for column, allowed in _allowed(sent, newest).items():
        value, stamp = row.values.get(column), row.stamps.get(column)
        if value not in allowed:
            expected = " or ".join(map(repr, allowed))
            yield Violation(Broken.WRONG_ROW, f"{identity} column {column}: {value!r}, not {expected}")
        elif stamp != allowed[value]:
            text = f"{identity} column {column}: {stamp}, its record's stamp is {allowed[value]}"
            yield Violation(Broken.WRONG_STAMP, text)


def _allowed(sent: _Sent, newest: int) -> dict[str, dict[str | None, int | None]]:
    """What each column may hold, with the stamp that goes with it, in a row whose newest record is this one.

    A column that the newest record leaves alone holds the value of an older one. Which of them is certain below the
    committed offset alone: of the records above it that are older than the newest, any may be there or not.
    """
    last = sent.records[newest]
    allowed: dict[str, dict[str | None, int | None]] = defaultdict(dict)
    open_columns = []
    for column, value in row_values(sent.user, last.version).items():
        if value is not None:
            allowed[column] = {value: last.stamp}
        else:
            open_columns.append(column)
    for index in range(newest - 1, -1, -1):
        if not open_columns:
            break
        record = sent.records[index]
        values = row_values(sent.user, record.version)
        for column in list(open_columns):
            value = values[column]
            if value is None:
                continue
            allowed[column][value] = record.stamp
            if index < sent.settled:
                open_columns.remove(column)
    for column in open_columns:
        allowed[column][None] = None
    return allowed
