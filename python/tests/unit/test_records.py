"""Records: what goes in comes out, and what cannot go in says where."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import types
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import millstream as ms

UTC = datetime.timezone.utc


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class Address:
    street: str
    number: int


@dataclass
class Person:
    name: str
    addresses: list[Address] = field(default_factory=list)


class Model:
    """What pydantic's models can do."""

    def model_dump(self) -> dict[str, Any]:
        return {"name": "Ada"}


def taken_in(value: Any) -> Any:
    return ms.Records.from_pylist([{"v": value}])[0]["v"]


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(json_like)
def test_what_goes_in_comes_out(value: Any) -> None:
    assert taken_in(value) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, 2), [1, 2]),
        (2**63, "9223372036854775808"),
        (-(2**70), str(-(2**70))),
        (decimal.Decimal("1.50"), "1.50"),
        (decimal.Decimal("1E+3"), "1000"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (datetime.date(2026, 2, 28), "2026-02-28"),
        (datetime.time(1, 2, 3, 4), "01:02:03.000004"),
        (
            datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
            datetime.datetime(2026, 1, 1, 10, tzinfo=UTC),
        ),
        (bytearray(b"\xff\x00"), b"\xff\x00"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Person("Ada", [Address("Elm", 3)]), {"name": "Ada", "addresses": [{"street": "Elm", "number": 3}]}),
        (Model(), {"name": "Ada"}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (collections.ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
    ],
)
def test_what_counts_as_what(value: Any, expected: Any) -> None:
    assert taken_in(value) == expected
    assert type(taken_in(value)) is type(expected)


@pytest.mark.parametrize(
    ("value", "path", "said"),
    [
        (float("nan"), "v", "NaN"),
        (decimal.Decimal("sNaN"), "v", "not finite"),
        (datetime.datetime(2026, 1, 1), "v", "time zone"),
        (datetime.time(1, tzinfo=UTC), "v", "time zone"),
        ("\ud800", "v", "surrogate"),
        ({"a b": [1, {"c": {2}}]}, 'v."a b"[1].c', "set"),
        ({1: 2}, "v", "int, not str"),
        ([Person("Ada", [{3}])], "v[0].addresses[0]", "set"),  # type: ignore[list-item]
        (Person, "v", "type"),
        (object(), "v", "object"),
        (1j, "v", "complex"),
    ],
)
def test_what_cannot_be_represented_says_where(value: Any, path: str, said: str) -> None:
    with pytest.raises(ms.EncodeError, match=said) as caught:
        ms.Records.from_pylist([{}, {"v": value}])
    assert (caught.value.index, caught.value.path, caught.value.retryable) == (1, path, False)
    assert str(caught.value).startswith(f"record 1: {path}: ")


def test_an_endless_value_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ms.EncodeError, match="levels"):
        ms.Records.from_pylist([endless])


def test_what_an_object_itself_raises_goes_on() -> None:
    class Broken:
        def model_dump(self) -> None:
            raise ZeroDivisionError("its own")

    with pytest.raises(ZeroDivisionError, match="its own"):
        ms.Records.from_pylist([Broken()])


@pytest.mark.parametrize("one", [{"a": 1}, "text", b"bytes", Model(), types.MappingProxyType({})], ids=repr)
def test_one_record_is_not_many(one: Any) -> None:
    with pytest.raises(TypeError, match="put it into a list"):
        ms.Records.from_pylist(one)


def numbers(count: int) -> ms.Records:
    return ms.Records.from_pylist({"n": n} for n in range(count))


@given(st.integers(0, 12), st.slices(12))
def test_slices_are_those_of_a_list(count: int, part: slice) -> None:
    rows, expected = numbers(count), [{"n": n} for n in range(count)]
    assert rows[part].to_pylist() == expected[part]
    assert rows[part][part].to_pylist() == expected[part][part]
    assert len(rows[part]) == len(expected[part])


def test_records_are_a_sequence() -> None:
    rows = numbers(3)
    assert (len(rows), bool(rows), bool(numbers(0))) == (3, True, False)
    assert list(rows) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert rows[-1] == {"n": 2}
    assert {"n": 1} in rows
    for index in (3, -4):
        with pytest.raises(IndexError):
            rows[index]


def test_printing_shows_names_and_no_values() -> None:
    rows = ms.Records.from_pylist([{"name": "Ada", "mail": "a@b.example"}])
    assert repr(rows) == "<Records: 1 records; mail, name>"


def test_select_picks_by_path() -> None:
    rows = ms.Records.from_pylist([{"name": {"first": "Ada"}, "tags": ["x", "y"]}, {}])
    picked = rows.select({"first": "name.first", "tag": "tags[1]"})
    assert picked.to_pylist() == [{"first": "Ada", "tag": "y"}, {"first": None, "tag": None}]
    assert rows.select(["tags"]).to_pylist() == [{"tags": ["x", "y"]}, {"tags": None}]
    with pytest.raises(ms.ConfigError, match=r"a\.\.b"):
        rows.select({"a": "a..b"})
    with pytest.raises(TypeError):
        rows.select("tags")


def test_map_gives_what_the_function_makes() -> None:
    rows = numbers(3).map(lambda row: {"n": row["n"] * 2})
    assert rows.to_pylist() == [{"n": 0}, {"n": 2}, {"n": 4}]
    assert numbers(1).map(lambda _row: Person("Ada")).to_pylist() == [{"name": "Ada", "addresses": []}]
    with pytest.raises(ms.EncodeError, match="returned None") as caught:
        numbers(3).map(lambda row: row if row["n"] < 2 else None)
    assert caught.value.index == 2
    with pytest.raises(ZeroDivisionError):
        numbers(3).map(lambda row: 1 / row["n"])
    with pytest.raises(TypeError, match="function"):
        numbers(3).map("n")  # type: ignore[arg-type]


@pytest.mark.parametrize("condition", ["int(.n) >= 2 ?? false", "# two and up\n.n == 2 || .n == 3 # no more"])
def test_filter_by_an_expression(condition: str) -> None:
    assert numbers(4).filter(condition).to_pylist() == [{"n": 2}, {"n": 3}]


def test_filter_by_a_function() -> None:
    assert numbers(4).filter(lambda row: row["n"] >= 2).to_pylist() == [{"n": 2}, {"n": 3}]
    with pytest.raises(TypeError, match="VRL"):
        numbers(4).filter(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("condition", ["", ".n", ".n ==", "now() == 1", "}) { . = {} }"])
def test_a_condition_that_is_none_is_refused(condition: str) -> None:
    with pytest.raises(ms.RemapError, match=r"^condition: \d+:\d+: "):
        numbers(1).filter(condition)


def test_a_condition_that_fails_on_a_record_rejects_it() -> None:
    rows = ms.Records.from_pylist([{"n": 1}, {"n": "x"}, {"n": 3}])
    kept = rows.filter("to_int!(.n) > 1")
    assert kept.to_pylist() == [{"n": 3}]
    assert [(rejected.index, rejected.code, rejected.record) for rejected in kept.rejected] == [
        (1, "program_error", {"n": "x"})
    ]
