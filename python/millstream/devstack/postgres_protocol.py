"""The packet that opens a PostgreSQL conversation, and what comes back. Source: protocol 3.0, "Message Formats"."""

from __future__ import annotations

import struct

LARGEST_MESSAGE = 1 << 16
_PROTOCOL_3_0 = 196_608


def startup_packet(user: str, database: str) -> bytes:
    """StartupMessage for this user and database."""
    fields = b"".join(part.encode("utf-8") + b"\0" for part in ("user", user, "database", database))
    return struct.pack(">ii", 8 + len(fields) + 1, _PROTOCOL_3_0) + fields + b"\0"


def parse_header(header: bytes) -> tuple[str, int]:
    """Kind letter and body length of a server message; ValueError when it is none."""
    if len(header) != 5:
        raise ValueError(f"a message header of {len(header)} bytes instead of 5")
    kind = chr(header[0])
    length = int.from_bytes(header[1:], "big", signed=True) - 4
    if kind not in "REN" or not 0 <= length <= LARGEST_MESSAGE:
        raise ValueError(f"a message {kind!r} of {length} bytes: this is no PostgreSQL server")
    return kind, length


def parse_error(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse by their letter: `C` is the SQLSTATE, `M` the message."""
    fields = {}
    for part in body.split(b"\0"):
        if part:
            fields[chr(part[0])] = part[1:].decode("utf-8", errors="replace")
    return fields


def check_first_answer(kind: str, body: bytes) -> None:
    """Raise ValueError unless the server asks for a login or lets the client in, that is, unless it serves."""
    if kind == "R":
        return
    fields = parse_error(body)
    raise ValueError(f"{fields.get('C', '?')}: {fields.get('M', 'no message')}")
