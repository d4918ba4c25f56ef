"""Tables for people."""

from millstream.devstack import tables


def test_columns_are_aligned() -> None:
    text = tables.aligned(("name", "n"), [("a", 1), ("longer", 1000)], right=(1,))
    assert text.splitlines() == ["name       n", "a          1", "longer  1000"]


def test_nothing_is_a_dash_and_no_line_ends_in_spaces() -> None:
    assert tables.aligned(("a", "long name"), [(None, "x")]) == "a  long name\n-  x"


def test_a_value_breaks_neither_its_row_nor_the_terminal() -> None:
    assert tables.aligned(("v",), [("a\nb\x1b[31m\t",)]).splitlines() == ["v", "a\\nb\\x1b[31m\\t"]


def test_wide_letters_take_two_columns_and_marks_none() -> None:
    rows = [("東京", 1), ("e\u0301", 2)]
    assert tables.aligned(("name", "n"), rows).splitlines() == ["name  n", "東京  1", "e\u0301     2"]


def test_memory_is_in_mebibytes() -> None:
    assert tables.mebibytes(3 * 1024 * 1024 + 5) == "3 MiB"
