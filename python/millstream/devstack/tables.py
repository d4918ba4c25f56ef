"""Aligned text tables."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def aligned(header: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> str:
    """Rows under a header, columns two spaces apart; the columns in `right` are set flush right."""
    texts = [[_cell(value) for value in row] for row in (header, *rows)]
    widths = [max(_width(row[column]) for row in texts) for column in range(len(header))]
    lines = []
    for row in texts:
        cells = (
            _padded(text, width, right=column in right)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    # A line break inside a value must not break the row, nor an escape sequence reach the terminal.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(value))


def _width(text: str) -> int:
    """Columns the text takes on a terminal: letters of East Asia take two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def mebibytes(size: int) -> str:
    """A memory size for people."""
    return f"{size / (1 << 20):.0f} MiB"
