"""VRL programs in Python: kept, split, left out, rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

import millstream as ms

ROWS = ms.Records.from_pylist([{"n": n} for n in range(6)])
PROGRAM = """
n = int!(.n)
if n == 0 { . = [] }
else if n == 1 { . = [{"n": 10}, {"n": 11}] }
else if n == 2 { reject("too_two", "no twos") }
else if n == 3 { abort }
else if n == 4 { .x = to_int!("four") }
else { .x = n }
"""


def test_a_program_keeps_splits_leaves_out_and_rejects() -> None:
    rows = ROWS.remap(ms.Remap(PROGRAM, name="six.vrl"))
    assert rows.to_pylist() == [{"n": 10}, {"n": 11}, {"n": 5, "x": 5}]
    assert [(r.index, r.code, r.record) for r in rows.rejected] == [
        (2, "validation:too_two", {"n": 2}),
        (3, "aborted", {"n": 3}),
        (4, "program_error", {"n": 4}),
    ]
    assert rows.rejected[0].message == "no twos"
    assert "six.vrl:" in rows.rejected[2].message
    assert repr(rows) == "<Records: 3 records, 3 rejected; n>"
    assert ROWS.rejected == []
    assert rows[:1].rejected == []


def test_the_rows_a_program_was_given_are_not_changed() -> None:
    rows = ms.Records.from_pylist([{"a": {"b": 1}}])
    assert rows.remap(ms.Remap(".a.b = 2\n.c = 3")).to_pylist() == [{"a": {"b": 2}, "c": 3}]
    assert rows.to_pylist() == [{"a": {"b": 1}}]


@pytest.mark.parametrize("name", ["now()", "random_int(0, 1)", "uuid_v4()", 'get_env_var!("HOME")', 'dns_lookup!("a")'])
def test_what_a_replay_cannot_repeat_is_refused(name: str) -> None:
    with pytest.raises(ms.RemapError, match="not allowed") as caught:
        ms.Remap(f".a = {name}")
    assert caught.value.retryable is False
    assert "1:6" in caught.value.details


def test_a_program_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "twice.vrl"
    path.write_text(".n = int!(.n) * 2\n")
    for form in (path, str(path)):
        assert ROWS[1:2].remap(ms.Remap.from_file(form)).to_pylist() == [{"n": 2}]
    assert repr(ms.Remap.from_file(path)) == "<Remap twice.vrl>"
    path.write_text(".n = \n.m = }")
    with pytest.raises(ms.RemapError, match=r"^twice\.vrl: \d+:\d+: "):
        ms.Remap.from_file(path)
    with pytest.raises(ms.ConfigError, match=r"none\.vrl"):
        ms.Remap.from_file(tmp_path / "none.vrl")


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(ms.RemapError, match=r"^program: 1:6: call to undefined function nothing"):
        ms.Remap(".a = nothing()")
