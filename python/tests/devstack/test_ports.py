"""Which port a server gets."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from millstream.devstack import ports
from millstream.devstack.errors import StartError


def test_the_usual_port_where_it_is_free() -> None:
    assert ports.choose(9092, free=lambda port: True) == 9092


@pytest.mark.parametrize(
    ("taken", "always_free", "usual_is_free"), [({9092}, False, True), ((), True, True), ((), False, False)]
)
def test_another_where_it_is_promised_not_wanted_or_taken(
    taken: set[int], always_free: bool, usual_is_free: bool
) -> None:
    def free(port: int) -> bool:
        return port != 9092 or usual_is_free

    assert ports.choose(9092, taken, always_free=always_free, free=free) != 9092


def test_a_free_port_is_below_those_of_outgoing_connections() -> None:
    first = ports.ephemeral_start(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii"))
    assert all(1024 <= ports.free_port() < first for _ in range(50))


def test_no_free_port_is_an_error_that_says_so() -> None:
    with pytest.raises(StartError, match="no free port between"):
        ports.free_port(free=lambda port: False)


@pytest.mark.parametrize("text", ["", "nonsense"])
def test_a_setting_that_cannot_be_read_has_a_default(text: str) -> None:
    assert ports.ephemeral_start(text) == 32_768


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_somebody_listens_on_is_not_free(address: str) -> None:
    with socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)
