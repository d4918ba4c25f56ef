"""Avro schemas with values for them: one of each type for the eye, and any combination for Hypothesis.

A value is what Python has for the type (Decimal, date, UUID ...), which fastavro, Confluent's serializer and ours all
take. `ours` says what our deserializer gives for it.
"""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

UTC = datetime.timezone.utc
Schema = Any


def record(**fields: Schema) -> Schema:
    """A record of these fields; a dict with the key `type` and `default` is taken as a whole field."""
    return {"type": "record", "name": "R", "namespace": "interop", "fields": [
        {"name": name, **kind} if isinstance(kind, dict) and "default" in kind else {"name": name, "type": kind}
        for name, kind in fields.items()
    ]}  # fmt: skip


def logical(base: str, name: str, **more: int) -> Schema:
    """A logical type on a primitive one."""
    return {"type": base, "logicalType": name, **more}


def fixed(name: str, size: int, **more: Any) -> Schema:
    """A fixed of that size."""
    return {"type": "fixed", "name": name, "size": size, **more}


def enum(name: str, *symbols: str) -> Schema:
    """An enum."""
    return {"type": "enum", "name": name, "symbols": list(symbols)}


def array(items: Schema) -> Schema:
    """An array."""
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    """A map."""
    return {"type": "map", "values": values}


@dataclass(frozen=True)
class Case:
    """A schema, a value that Python's implementations write, and what ours gives for it."""

    schema: Schema
    value: Any
    ours: Any

    @property
    def text(self) -> str:
        """The schema as JSON."""
        return json.dumps(self.schema)


def _case(kind: Schema, value: Any, ours: Any = ...) -> Case:
    return Case(record(v=kind), {"v": value}, {"v": value if ours is ... else ours})


INSTANT = datetime.datetime(2026, 2, 28, 23, 59, 59, 123_000, tzinfo=UTC)
INNER = {"type": "record", "name": "Inner", "fields": [{"name": "n", "type": "int"}, {"name": "s", "type": "string"}]}

CASES: dict[str, Case] = {
    # Confluent's reader wants at least one byte behind the frame.
    "null": Case(record(n="int", v="null"), {"n": 0, "v": None}, {"n": 0, "v": None}),
    "boolean": _case("boolean", True),
    "int_lowest": _case("int", -(2**31)),
    "int_highest": _case("int", 2**31 - 1),
    "long_lowest": _case("long", -(2**63)),
    "long_highest": _case("long", 2**63 - 1),
    "float": _case("float", -1.5),
    "double": _case("double", 1e300),
    "double_infinite": _case("double", float("-inf")),
    "bytes": _case("bytes", b"\x00\xff"),
    "string": _case("string", "å\u2028\U0001f600"),
    "string_empty": _case("string", ""),
    "fixed": _case(fixed("F", 3), b"\x01\x02\x03"),
    "enum": _case(enum("E", "A", "B", "C"), "C"),
    "array": _case(array("long"), [1, -1, 2**40]),
    "array_empty": _case(array("long"), []),
    "array_of_records": _case(array(INNER), [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}]),
    "map": _case(mapping("string"), {"a": "1"}),
    "map_empty": _case(mapping("string"), {}),
    "map_of_arrays": _case(mapping(array("int")), {"a": [1, 2]}),
    "record_in_record": _case(INNER, {"n": 7, "s": "x"}),
    "union_null": _case(["null", "string"], None),
    "union_string": _case(["null", "string"], "x"),
    "union_of_many_1": _case(["null", "long", "string", "boolean", array("int"), INNER], 2**40),
    "union_of_many_2": _case(["null", "long", "string", "boolean", array("int"), INNER], "x"),
    "union_of_many_3": _case(["null", "long", "string", "boolean", array("int"), INNER], True),
    "union_of_many_4": _case(["null", "long", "string", "boolean", array("int"), INNER], [1, 2]),
    "union_of_many_5": _case(["null", "long", "string", "boolean", array("int"), INNER], {"n": 1, "s": "x"}),
    "union_of_logical": _case(["null", logical("long", "timestamp-millis")], INSTANT),
    "decimal_bytes": _case(
        logical("bytes", "decimal", precision=10, scale=2), decimal.Decimal("-12345678.90"), "-12345678.90"
    ),
    "decimal_bytes_zero": _case(logical("bytes", "decimal", precision=10, scale=2), decimal.Decimal("0.00"), "0.00"),
    "decimal_bytes_large": _case(
        logical("bytes", "decimal", precision=38, scale=0), decimal.Decimal("9" * 38), "9" * 38
    ),
    "decimal_bytes_sign": _case(logical("bytes", "decimal", precision=4, scale=0), decimal.Decimal(128), "128"),
    "decimal_fixed": _case(
        fixed("D", 8, logicalType="decimal", precision=12, scale=3), decimal.Decimal("-1.500"), "-1.500"
    ),
    "date": _case(logical("int", "date"), datetime.date(1969, 12, 31), "1969-12-31"),
    "time_millis": _case(logical("int", "time-millis"), datetime.time(23, 59, 59, 999_000), "23:59:59.999"),
    "time_micros": _case(logical("long", "time-micros"), datetime.time(0, 0, 0, 1), "00:00:00.000001"),
    "time_whole": _case(logical("long", "time-micros"), datetime.time(12, 30), "12:30:00"),
    "timestamp_millis": _case(logical("long", "timestamp-millis"), INSTANT),
    "timestamp_micros": _case(logical("long", "timestamp-micros"), INSTANT.replace(microsecond=123_456)),
    "timestamp_before_1970": _case(logical("long", "timestamp-micros"), datetime.datetime(1901, 1, 1, 0, 0, 0, 1, UTC)),
    "uuid": _case(logical("string", "uuid"), uuid.UUID(int=0xABC), str(uuid.UUID(int=0xABC))),
    "unknown_logical_type": _case(logical("string", "colour"), "red"),
}  # fmt: skip

_SMALL = 3


@dataclass(frozen=True)
class _Leaf:
    schema: Schema
    values: st.SearchStrategy[Any]


def _decimals(precision: int, scale: int) -> st.SearchStrategy[decimal.Decimal]:
    bound = 10**precision - 1
    # A context of its own: the usual one would round to 28 digits.
    exact = decimal.Context(prec=60)
    return st.integers(-bound, bound).map(lambda digits: decimal.Decimal(digits).scaleb(-scale, exact))


def _instants(step: int) -> st.SearchStrategy[datetime.datetime]:
    drawn = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.just(UTC))
    return drawn.map(lambda instant: instant.replace(microsecond=instant.microsecond // step * step))


def _times(step: int) -> st.SearchStrategy[datetime.time]:
    return st.times().map(lambda time: time.replace(microsecond=time.microsecond // step * step))


_LEAVES = [
    _Leaf("boolean", st.booleans()),
    _Leaf("int", st.integers(-(2**31), 2**31 - 1)),
    _Leaf("long", st.integers(-(2**63), 2**63 - 1)),
    _Leaf("float", st.floats(width=32, allow_nan=False)),
    _Leaf("double", st.floats(allow_nan=False)),
    _Leaf("bytes", st.binary(max_size=20)),
    _Leaf("string", st.text(max_size=20)),
    _Leaf(logical("int", "date"), st.dates(datetime.date(1900, 1, 1), datetime.date(2200, 1, 1))),
    _Leaf(logical("int", "time-millis"), _times(1_000)),
    _Leaf(logical("long", "time-micros"), _times(1)),
    _Leaf(logical("long", "timestamp-millis"), _instants(1_000)),
    _Leaf(logical("long", "timestamp-micros"), _instants(1)),
    _Leaf(logical("string", "uuid"), st.uuids()),
]


Typed = tuple[Schema, st.SearchStrategy[Any]]


@st.composite
def typed(draw: st.DrawFn, depth: int = 3) -> Typed:
    """A type and the values it has. Names are unique because they are drawn as such."""
    simple = [_leaf, _decimal, _decimal_fixed, _fixed, _enum]
    nested = [_union, _array, _map, _nullable, lambda draw, depth: draw(records(depth))] if depth > 0 else []
    kind: Callable[[st.DrawFn, int], Typed] = draw(st.sampled_from([*simple, *nested]))
    return kind(draw, depth - 1)


def _name(draw: st.DrawFn) -> str:
    return "N" + draw(st.uuids(version=4)).hex


def _leaf(draw: st.DrawFn, _depth: int) -> Typed:
    leaf = draw(st.sampled_from(_LEAVES))
    return leaf.schema, leaf.values


def _digits(draw: st.DrawFn) -> tuple[dict[str, int], st.SearchStrategy[decimal.Decimal]]:
    precision = draw(st.integers(1, 30))
    scale = draw(st.integers(0, precision))
    return {"precision": precision, "scale": scale}, _decimals(precision, scale)


def _decimal(draw: st.DrawFn, _depth: int) -> Typed:
    digits, values = _digits(draw)
    return logical("bytes", "decimal", **digits), values


def _decimal_fixed(draw: st.DrawFn, _depth: int) -> Typed:
    digits, values = _digits(draw)
    return fixed(_name(draw), 13, logicalType="decimal", **digits), values


def _fixed(draw: st.DrawFn, _depth: int) -> Typed:
    size = draw(st.integers(1, 9))
    return fixed(_name(draw), size), st.binary(min_size=size, max_size=size)


def _enum(draw: st.DrawFn, _depth: int) -> Typed:
    names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
    symbols = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    return enum(_name(draw), *symbols), st.sampled_from(symbols)


def _union(_draw: st.DrawFn, _depth: int) -> Typed:
    # Types that no value of Python can be mistaken for.
    long = st.integers(-(2**63), 2**63 - 1)
    values = st.none() | st.text(max_size=5) | long | st.booleans() | st.binary(max_size=5)
    return ["null", "string", "long", "boolean", "bytes"], values


def _array(draw: st.DrawFn, depth: int) -> Typed:
    inner, values = draw(typed(depth))
    return array(inner), st.lists(values, max_size=_SMALL)


def _map(draw: st.DrawFn, depth: int) -> Typed:
    inner, values = draw(typed(depth))
    return mapping(inner), st.dictionaries(st.text(max_size=5), values, max_size=_SMALL)


def _nullable(draw: st.DrawFn, depth: int) -> Typed:
    inner, values = draw(typed(depth))
    if isinstance(inner, list):
        return inner, values
    return (["null", inner] if draw(st.booleans()) else [inner, "null"]), st.none() | values


@st.composite
def records(draw: st.DrawFn, depth: int = 3) -> Typed:
    """A record and the values it has."""
    name = "R" + draw(st.uuids(version=4)).hex
    kinds = draw(st.lists(typed(depth), min_size=0 if depth < _SMALL else 1, max_size=_SMALL))
    fields = [{"name": f"f{number}", "type": kind} for number, (kind, _) in enumerate(kinds)]
    values = st.fixed_dictionaries({f"f{number}": values for number, (_, values) in enumerate(kinds)})
    return {"type": "record", "name": name, "fields": fields}, values


def as_ours(value: Any) -> Any:
    """What our deserializer gives for a value of Python's implementations."""
    match value:
        case dict():
            shown: Any = {name: as_ours(item) for name, item in value.items()}
        case list():
            shown = [as_ours(item) for item in value]
        case decimal.Decimal():
            # Zero has no sign.
            shown = f"{value or abs(value):f}"
        case datetime.time():
            places = "microseconds" if value.microsecond % 1_000 else "milliseconds"
            shown = value.isoformat(places if value.microsecond else "seconds")
        case datetime.datetime():
            shown = value
        case datetime.date() | uuid.UUID():
            shown = str(value)
        case _:
            shown = value
    return shown
