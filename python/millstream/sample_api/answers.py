"""Answers on the wire: whole ones, and those that are wrong on purpose."""

from __future__ import annotations

import asyncio
import json

from .query import Fault

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
FAULTS_WITH_BODY = ("slow", "truncated")
"""The faults that are a true answer sent wrongly; the others need no page."""
JSON = "application/json; charset=utf-8"
ENDLESS_BYTES = 256 * 1024 * 1024
SLOW_SECONDS = 300.0
_ENDLESS_CHUNK = b'{"gender":"female","name":{"title":"Ms","first":"Ada","last":"Endless"}},' * 200


def head(status: int, length: int, content_type: str = JSON, extra: str = "") -> bytes:
    """Status line and headers of an answer with a body of `length` bytes."""
    return (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {length}\r\n{extra}\r\n"
    ).encode("ascii")


def error(status: int, text: str, extra: str = "") -> bytes:
    """A whole error answer, its body `{"error": text}` as randomuser.me words them."""
    body = json.dumps({"error": text}).encode()
    return head(status, len(body), extra=extra) + body


async def misbehave(writer: asyncio.StreamWriter, fault: Fault, body: bytes) -> bool:
    """Sends what `fault` makes of `body`. True: the connection can take another request."""
    if fault.kind == "429":
        writer.write(error(429, "too many requests", f"Retry-After: {fault.retry_after}\r\n"))
    elif fault.kind == "500":
        writer.write(error(500, "something went wrong on purpose"))
    elif fault.kind == "not_json":
        page = b"<!DOCTYPE html><html><title>Down for maintenance</title><p>Back soon.</html>"
        writer.write(head(200, len(page), "text/html; charset=utf-8") + page)
    elif fault.kind == "wrong_type":
        page = b'{"results":"none today","info":{}}'
        writer.write(head(200, len(page)) + page)
    elif fault.kind == "truncated":
        writer.write(head(200, len(body) + 1000) + body)
        return False
    elif fault.kind == "slow":
        await _slowly(writer, body, fault.delay)
        return False
    else:
        await _endlessly(writer)
        return False
    return True


async def _slowly(writer: asyncio.StreamWriter, body: bytes, delay: float) -> None:
    writer.write(head(200, len(body)))
    loop = asyncio.get_running_loop()
    until = loop.time() + SLOW_SECONDS
    for at in range(len(body)):
        await writer.drain()
        await asyncio.sleep(delay)
        if writer.is_closing() or loop.time() > until:
            return
        writer.write(body[at : at + 1])


async def _endlessly(writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode("ascii"))
    frame = f"{len(_ENDLESS_CHUNK):x}\r\n".encode("ascii") + _ENDLESS_CHUNK + b"\r\n"
    start = b'{"results":['
    writer.write(f"{len(start):x}\r\n".encode("ascii") + start + b"\r\n")
    for _ in range(ENDLESS_BYTES // len(_ENDLESS_CHUNK)):
        if writer.is_closing():
            return
        writer.write(frame)
        await writer.drain()
