"""`users.vrl` on the wheel's own engine, against the mapping computed in Python."""

from __future__ import annotations

import copy
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

import millstream as ms
from millstream.sample_api import created_users_row, people
from millstream.sample_api.rows import COLUMNS

ROOT = Path(__file__).parents[3]
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "millstream")


@pytest.fixture(scope="module")
def program() -> ms.Remap:
    return ms.Remap.from_file(ROOT / "dags/users.vrl")


def remapped(program: ms.Remap, *records: dict[str, Any]) -> ms.Records:
    return ms.Records.from_pylist(list(records)).remap(program)


def person(**changes: Any) -> dict[str, Any]:
    """One person, with what stands at a dotted path replaced (`name__first="X"`) or removed (`...`)."""
    made = copy.deepcopy(people("vrl", 1, 1, nat=("GB",))[0])
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = made
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return made


def test_every_person_becomes_the_row_that_python_computes(program: ms.Remap) -> None:
    page = people("vrl", 1, 3000)
    rows = remapped(program, *page)
    assert rows.rejected == []
    assert rows.to_pylist() == [created_users_row(entry) for entry in page]


def test_columns_are_those_of_the_avro_schema_and_the_table() -> None:
    schema = json.loads((ROOT / "dags/users.avsc").read_text())
    assert tuple(field["name"] for field in schema["fields"]) == COLUMNS
    table = (ROOT / "spark-replacement/cql/spark_streams.cql").read_text()
    declared = [line.split()[0] for line in table.splitlines() if line.startswith("    ") and line.split()[1] in TYPES]
    assert tuple(declared) == COLUMNS


TYPES = ("uuid", "text,", "text")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"login__uuid": ...}, "missing_id"),
        ({"login__uuid": None}, "missing_id"),
        ({"login__uuid": ""}, "missing_id"),
        ({"login": "none"}, "missing_id"),
        ({"login": ...}, "missing_id"),
        ({"name": ...}, "missing_name"),
        ({"name__first": ...}, "missing_name"),
        ({"name__first": "   "}, "missing_name"),
        ({"name__last": None}, "missing_name"),
        ({"name": ["Ada"]}, "missing_name"),
    ],
)
def test_without_id_or_name_there_is_no_row(program: ms.Remap, changes: dict[str, Any], code: str) -> None:
    rows = remapped(program, person(), person(**changes), person())
    assert len(rows) == 2
    (rejection,) = rows.rejected
    assert (rejection.index, rejection.code) == (1, f"validation:{code}")


@pytest.mark.parametrize("login", ["not-a-uuid", "ünïcode", "1234", "94e6fd2d-c688-43e6-9646-6b7128fe4c8"])
def test_an_id_that_is_no_uuid_becomes_one(program: ms.Remap, login: str) -> None:
    (row,) = remapped(program, person(login__uuid=login)).to_pylist()
    assert row["id"] == str(uuid.uuid5(NAMESPACE, login))


def test_a_uuid_is_kept_in_lower_case(program: ms.Remap) -> None:
    login = str(uuid.uuid4())
    (row,) = remapped(program, person(login__uuid=login.upper())).to_pylist()
    assert row["id"] == login


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({"location__postcode": 12345}, "post_code", "12345"),
        ({"location__postcode": "0123"}, "post_code", "0123"),
        ({"location__postcode": ...}, "post_code", None),
        ({"location__postcode": {"a": 1}}, "post_code", None),
        ({"location": ...}, "address", None),
        ({"gender": None}, "gender", None),
        ({"phone": ...}, "phone", None),
        ({"picture": "none"}, "picture", None),
        ({"dob__date": 5}, "dob", None),
        ({"name__first": " Ada "}, "first_name", "Ada"),
    ],
)
def test_what_is_missing_or_odd_stays_null(
    program: ms.Remap, changes: dict[str, Any], column: str, value: str | None
) -> None:
    (row,) = remapped(program, person(**changes)).to_pylist()
    assert row[column] == value
    assert tuple(sorted(row)) == tuple(sorted(COLUMNS))


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "1 Mill Lane, Ripon, North Yorkshire, United Kingdom"),
        ({"location__state": ...}, "1 Mill Lane, Ripon, United Kingdom"),
        ({"location__street": ...}, "Ripon, North Yorkshire, United Kingdom"),
        ({"location__street__number": ...}, "Mill Lane, Ripon, North Yorkshire, United Kingdom"),
    ],
)
def test_an_address_has_no_empty_parts(program: ms.Remap, changes: dict[str, Any], address: str) -> None:
    where = {"street": {"number": 1, "name": "Mill Lane"}, "city": "Ripon", "state": "North Yorkshire"}
    entry = person(location={**where, "country": "United Kingdom"})
    for path, value in changes.items():
        assert value is ...
        *parents, last = path.split("__")
        place = entry
        for parent in parents:
            place = place[parent]
        del place[last]
    (row,) = remapped(program, entry).to_pylist()
    assert row["address"] == address
