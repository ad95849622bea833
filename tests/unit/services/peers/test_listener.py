"""Where a device listens, what it tells others about that, and what it does when an address cannot be taken."""

import socket
from pathlib import Path

import pytest

from noggd.domain.addresses import Address
from noggd.services.peers import listener as module
from noggd.services.peers.listener import Listener
from noggd.storage.trust import open_trust
from tests.unit.services.devices import devices, paired, until

UNAVAILABLE = "203.0.113.1:0"  # an address for documentation: no machine has it


def listener(tmp_path: Path, *listen: str) -> Listener:
    trust = open_trust(tmp_path, "a")
    return Listener(trust, None, listen, None)  # type: ignore[arg-type] # links are used by connections only


async def test_addresses_that_cannot_be_taken_are_left_out(tmp_path: Path) -> None:
    one = listener(tmp_path, UNAVAILABLE, "127.0.0.1:0")
    await one.open()
    assert [str(address) for address in one.bound] == one.addresses()
    assert one.bound[0].host == "127.0.0.1"
    await one.close()


async def test_without_any_address_there_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        await listener(tmp_path, UNAVAILABLE).open()


async def test_a_named_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await listener(tmp_path, f"127.0.0.1:{taken.getsockname()[1]}").open()


async def test_the_usual_port_gives_way_to_whoever_came_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = (f"127.0.0.1:{taken.getsockname()[1]}",)
        monkeypatch.setattr(module, "DEFAULT_LISTEN", usual)
        one = listener(tmp_path, *usual)
        await one.open()
        assert one.bound[0].port != taken.getsockname()[1]
        await one.close()


async def test_two_addresses_share_one_port_of_free_choice(tmp_path: Path) -> None:
    one = listener(tmp_path, "127.0.0.1:0", "127.0.0.2:0")
    await one.open()
    assert one.bound[0].port == one.bound[1].port == one._trust.state.port
    await one.close()


async def test_every_address_of_the_machine_is_told_for_a_wildcard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "local_addresses", lambda: ["10.0.0.7", "2001:db8::7"])
    one = listener(tmp_path, "127.0.0.1:0")
    one.bound = [Address("::", 7734), Address("0.0.0.0", 7734)]
    assert one.addresses() == ["10.0.0.7:7734", "[2001:db8::7]:7734"]


async def test_devices_meet_over_ipv6(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", listen="[::1]:0") as (a, b):
        await paired(a, b)
        assert a.address.startswith("[::1]:")
        assert a.peers.listener.door.waiting == 0
        await a.register("over.six")
        await until(lambda: b.has() == {"over.six"})
        await b.restart()
        await until(lambda: a.linked(b))
