"""Four hundred strangers in the door: silent ones and ones that stop after TLS began, from many addresses."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from noggd.domain.addresses import parse_address
from tests.daemons import Daemon, Daemons, until
from tests.hostile.group import forget_peak, memory, online, pair

DIALS = 400
MEGABYTES = 40


def dials(host: str, port: int, from_: list[str], stack: ExitStack) -> Iterator[socket.socket]:
    for number in range(DIALS):
        dialled = socket.socket()
        stack.callback(dialled.close)
        dialled.settimeout(10)
        dialled.bind((from_[number % len(from_)], 0))
        dialled.connect((host, port))
        yield dialled


def client_hello() -> bytes:
    """The first bytes of a handshake."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="x").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("addresses", [1, 64], ids=["one address", "many addresses"])
def test_strangers_in_the_door_keep_no_member_out(daemons: Daemons, addresses: int) -> None:
    a, b = daemons.together("a", "b")
    pair(a, b)
    until(lambda: online(a) == online(b) == 1, "a link")
    assert b.stop() == 0
    host, port = parse_address(str(a.call("sync.status")["listen"]))
    before = memory(a)
    forget_peak(a)
    hello = client_hello()
    with ExitStack() as stack:
        hosts = [f"127.0.{number}.1" for number in range(1, addresses + 1)]
        for number, dialled in enumerate(dials(host, port, hosts, stack)):
            if number % 2:
                with suppress(OSError):  # it was turned away
                    dialled.sendall(hello[: len(hello) // 2])
        connected(a, b)
    grown = memory(a, "VmHWM") - before
    print(f"\n{DIALS} dials, half of them silent, from {addresses} addresses: memory +{grown} MB")
    assert grown < MEGABYTES


def connected(a: Daemon, b: Daemon) -> None:
    """An honest device comes through while they stand there."""
    b.start()
    until(lambda: online(a) == 1, "the honest device")
    a.call("reference.register", microcosmID="came.through")
    until(lambda: [each["microcosmID"] for each in b.call("session.get")["microcosms"]] == ["came.through"])
