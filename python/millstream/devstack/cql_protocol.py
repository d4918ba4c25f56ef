"""The two CQL frames that tell whether Cassandra serves clients. Source: native protocol v4, sections 2 and 4."""

from __future__ import annotations

import struct

HEADER_BYTES = 9
LARGEST_BODY = 1 << 20

ERROR = 0x00
READY = 0x02
AUTHENTICATE = 0x03
SUPPORTED = 0x06
_STARTUP = 0x01
_OPTIONS = 0x05
_REQUEST_V4 = 0x04
_RESPONSE_V4 = 0x84


def _frame(opcode: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">BBhBi", _REQUEST_V4, 0, stream, opcode, len(body)) + body


def _string(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return struct.pack(">H", len(encoded)) + encoded


def options_request(stream: int) -> bytes:
    """OPTIONS: asks which startup options the server takes; answered before any login."""
    return _frame(_OPTIONS, stream, b"")


def startup_request(stream: int) -> bytes:
    """STARTUP: opens the conversation; answered by READY, or by AUTHENTICATE where a login is asked for."""
    return _frame(_STARTUP, stream, struct.pack(">H", 1) + _string("CQL_VERSION") + _string("3.0.0"))


def parse_header(header: bytes) -> tuple[int, int, int]:
    """Stream, opcode and body length of a response frame; ValueError when it is no v4 response."""
    if len(header) != HEADER_BYTES:
        raise ValueError(f"a frame header of {len(header)} bytes instead of {HEADER_BYTES}")
    version, _, stream, opcode, length = struct.unpack(">BBhBi", header)
    if version != _RESPONSE_V4:
        raise ValueError(
            f"the first byte is {version:#04x}, not {_RESPONSE_V4:#04x}: this is no CQL server of protocol v4"
        )
    if not 0 <= length <= LARGEST_BODY:
        raise ValueError(f"a frame body of {length} bytes")
    return stream, opcode, length
