import asyncio
import socket

import pytest

from noggd.platform.door import Door


def test_a_door_counts_in_all_and_for_each_address() -> None:
    door = Door(limit=3, limit_each=2)
    assert door.enter(("10.0.0.1", 1))
    assert door.enter(("10.0.0.1", 2))
    assert not door.enter(("10.0.0.1", 3))
    assert door.enter(("10.0.0.2", 1))
    assert not door.enter(("10.0.0.3", 1))
    assert (door.waiting, door.turned_away) == (3, 2)


def test_who_left_makes_room_once() -> None:
    door = Door(limit=1, limit_each=1)
    assert door.enter(("a", 1))
    door.leave(("a", 1))
    door.leave(("a", 1))
    door.leave(("never", 1))
    assert door.waiting == 0
    assert door.enter(("a", 2))
    assert not door.enter(("a", 3))


def test_a_door_that_is_shut_lets_nobody_in() -> None:
    door = Door()
    assert door.enter(("a", 1))
    door.shut()
    assert not door.enter(("a", 2))


def test_accepted_connections_stand_in_the_door_until_they_close() -> None:
    door = Door(limit=2, limit_each=2)
    with door.listen("127.0.0.1", 0) as listener:
        listener.setblocking(True)
        address = listener.getsockname()
        clients = [socket.create_connection(address) for _ in range(3)]
        first, peer = listener.accept()
        assert peer == clients[0].getsockname()
        second, _ = listener.accept()
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        assert clients[2].recv(1) == b""  # closed without a word
        second.close()
        second.close()
        assert (door.waiting, door.turned_away) == (1, 1)
        first.close()
        assert door.waiting == 0
        for client in clients:
            client.close()


def test_an_event_loop_serves_through_the_door() -> None:
    async def run() -> None:
        door = Door(limit=1)
        loop = asyncio.get_running_loop()
        served: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

        class Greeter(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                served.put_nowait(transport)

        listener = door.listen("127.0.0.1", 0)
        server = await loop.create_server(Greeter, sock=listener)
        async with server:
            _, writer = await asyncio.open_connection(*listener.getsockname())
            transport = await served.get()
            turned_away, spare = await asyncio.open_connection(*listener.getsockname())
            assert await turned_away.read() == b""
            door.leave(transport.get_extra_info("peername"))
            _, third = await asyncio.open_connection(*listener.getsockname())
            await served.get()
            for one in (writer, spare, third):
                one.close()

    asyncio.run(run())


def test_ipv6_and_ipv4_can_share_a_port() -> None:
    with Door().listen("::1", 0) as six:
        port = six.getsockname()[1]
        with Door().listen("127.0.0.1", port) as four:
            assert four.getsockname()[1] == port


def test_a_taken_port_is_an_error() -> None:
    with Door().listen("127.0.0.1", 0) as one, pytest.raises(OSError, match="in use"):
        Door().listen("127.0.0.1", one.getsockname()[1])
