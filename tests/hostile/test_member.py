"""A paired device that misbehaves, as real processes: it costs little, is named, and the others go on.

Each attack speaks the real protocol with a member's real key. While it runs, changes are written on the attacked
device and timed until the app on another device is told; the attacked daemon's memory is looked at; `sync.status`
must say what the attacker did and what to do about it. Run with `-s` to see the figures.
"""

from __future__ import annotations

import asyncio
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nogg.errors import Timeout
from noggd.domain.hlc import stamp_at
from noggd.platform.clock import now_ms
from noggd.services.peers.connection import Refused
from noggd.services.peers.hello import read_hello
from tests.daemons import running, until
from tests.hostile.group import Group, forget_peak, memory, words
from tests.hostile.peer import Hello, Seen, Statements, Step1, Step2, Stored, Summary, Talk, Update
from tests.yjs_wire import ANY, TYPE, Section, Struct, number
from tests.yjs_wire import Update as YUpdate

SESSION = "session/default"
MINE = 77
"""The attacker's Y client id."""
MEGABYTES = 64
SLOWEST = 3.0
"""Seconds for a change: a hundredth is usual, and machines that run tests are busy."""

Attack = Callable[[Group], Awaitable[object]]


@pytest.fixture(scope="module")
def made() -> Iterator[Group]:
    with tempfile.TemporaryDirectory(prefix="nogg-") as folder, running(Path(folder)) as daemons:
        yield Group(daemons)


@pytest.fixture
async def group(made: Group) -> AsyncIterator[Group]:
    made.fresh()
    yield made
    await made.member.leave()


def float64(number: float) -> bytes:
    return b"\x7b" + struct.pack(">d", number)


def writes(*structs: Struct, clock: int = 0, client: int = MINE) -> Update:
    return Update(SESSION, YUpdate([Section(client, clock, list(structs))]).encode())


def own_map(device: str) -> Struct:
    return Struct(TYPE, parent="devices", key=device, content=b"\x01")


def value(key: str, stamp: int, client: int = MINE, clock: int = 0) -> Struct:
    return Struct(ANY, parent=(client, clock), key=key, content=float64(stamp))


async def links(group: Group) -> Talk:
    return await group.member.greet(group.a_id, group.address)


# Floods


async def pings(group: Group) -> None:
    await (await links(group)).flood(b"", times=5000, ping=True)


async def pings_and_reads_nothing(group: Group) -> None:
    talk = await links(group)
    talk.connection.transport.pause_reading()
    await talk.flood(b"x" * 125, times=1000, ping=True)


async def hellos(group: Group) -> None:
    talk = await links(group)
    for port in range(1000, 30_000):
        if talk.ended:
            return
        talk.hello(addresses={group.c_id: [f"127.0.0.1:{port}"]})
        await talk.drained()


async def state_vectors(group: Group) -> None:
    """Each names clients that nobody has heard of."""
    talk = await links(group)
    for base in range(0, 10**9, 3000):
        if talk.ended:
            return
        named = b"".join(number(base + each) + number(1) for each in range(3000))
        talk.say(Stored("person", number(3000) + named))
        await talk.drained()


async def connects(group: Group) -> None:
    for _ in range(200):
        with suppress(Exception):  # it is turned away in more than one way
            (await links(group)).cut()


async def holds_links(group: Group) -> None:
    held = []
    for _ in range(60):
        with suppress(Exception):  # as above
            held.append(await group.member.connect(group.a_id, group.address))
    await asyncio.gather(*(talk.closed() for talk in held))


async def asks(group: Group) -> None:
    """For the same document, without waiting for an answer."""
    await (await links(group)).flood(Step1(SESSION, b"\0"))


async def opens_documents(group: Group) -> None:
    talk = await links(group)
    talk.say(*(Summary(f"session/s{each}", b"\0", bytes(32)) for each in range(3000)))
    await talk.closed()


async def statements(group: Group) -> None:
    talk = await links(group)
    await talk.flood(Statements(b"[" + b",".join([b'"{}"'] * 1000) + b"]"), times=20)


# Lies


async def answers_what_nobody_asked(group: Group) -> None:
    talk = await links(group)
    talk.say(*[Step2("person", b"\0\0")] * 3)
    await talk.closed()


async def impossible_clocks(group: Group) -> None:
    talk = await links(group)
    talk.say(Stored(SESSION, number(1) + number(5) + number(1 << 40)))
    await talk.closed()


async def claims_that_we_forgot(group: Group) -> None:
    """So that it starts over from what we send, which is next to nothing."""
    for each in range(12):
        with suppress(Exception):  # starting over ends the link, and in the end it is kept out
            talk = await group.member.connect(group.a_id, group.address)
            talk.hello(seen=Seen(f"no such run {each}", 5, {"person": 99}))
            await talk.until_asked()
            talk.say(Step2("person", b"\0\0"))
            await talk.closed()


async def stamps_of_next_year(group: Group) -> None:
    talk = await links(group)
    talk.say(
        writes(own_map(group.member.id), value("r/from.the.future", stamp_at(now_ms() + 365 * 86_400_000)))
    )
    await talk.closed()


async def forged_statement(group: Group) -> None:
    talk = await links(group)
    raws = [each.raw.decode() for each in group.member.trust.statements]
    forged = raws[-1].replace('"sig":"', '"sig":"AAAA')
    talk.say(
        Statements(("[" + ",".join('"' + raw.replace('"', '\\"') + '"' for raw in [forged]) + "]").encode())
    )
    await talk.closed()


# Bytes


async def nonsense(group: Group) -> None:
    talk = await links(group)
    talk.say(b"\xff" * 50)
    await talk.closed()


async def deep_values(group: Group) -> None:
    talk = await links(group)
    deep = Struct(ANY, parent=(MINE, 0), key="v/x.1", content=b"\x75\x01" * 30_000 + b"\x7e")
    talk.say(writes(own_map(group.member.id), deep))
    await talk.closed()


async def large_and_wrong_at_the_end(group: Group) -> None:
    """Nine megabytes of half a million structs, again and again: each is refused, and it is kept out longer."""
    names = b"".join(
        Struct(ANY, parent=(MINE, 0), key=f"v/{each}", content=b"\x7d\x01").encode()
        for each in range(300_000)
    )
    head = number(1) + number(300_002) + number(MINE) + number(0) + own_map(group.member.id).encode()
    for _ in range(3):
        with suppress(Exception):  # it is kept out
            talk = await links(group)
            talk.say(Update(SESSION, head + names + b"\x1f"))
            await talk.closed()


ATTACKS: dict[Attack, str] = {
    pings: "it pings again and again",
    pings_and_reads_nothing: "it pings again and again",
    hellos: "it says hello again and again",
    state_vectors: "the peer names more and more clients",
    connects: "it connects again and again",
    holds_links: "it opens more and more links",
    asks: "the peer asked twice without waiting for the answer",
    opens_documents: "too many documents on one link",
    statements: "statement",
    answers_what_nobody_asked: "an answer came that was not asked for",
    impossible_clocks: "impossible state vector",
    claims_that_we_forgot: "it claims again and again that this device has forgotten what it wrote",
    stamps_of_next_year: "it stamps changes more than a day ahead",
    forged_statement: "statement",
    nonsense: "a frame cannot be read",
    deep_values: "value nested too deeply",
    large_and_wrong_at_the_end: "struct outside a map",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_an_attack_is_contained_and_named(group: Group, attack: Attack) -> None:
    group.changes()
    before = memory(group.a)
    forget_peak(group.a)
    attacking = asyncio.ensure_future(attack(group))
    seconds = await asyncio.to_thread(group.changes)
    try:
        await asyncio.to_thread(until, lambda: ATTACKS[attack] in group.row().get("fault", ""), "the fault")
    finally:
        attacking.cancel()
        with suppress(asyncio.CancelledError, AssertionError, Refused, TimeoutError):
            await attacking
    grown = memory(group.a, "VmHWM") - before
    print(f"\n{attack.__name__}: {words(seconds)}; memory +{grown} MB; {group.row()['fault']}")
    assert grown < MEGABYTES
    assert max(seconds) < SLOWEST
    assert "nogg device evict" in group.row()["fix"]
    assert "Traceback" not in group.a.words()


async def test_what_it_writes_into_our_map_is_undone_and_named(group: Group) -> None:
    talk = await group.member.greet(group.a_id, group.address, client=MINE)
    client = next(read_hello(frame.content).client for frame in talk.heard if isinstance(frame, Hello))
    group.changes()
    talk.say(Step1(SESSION, b"\0"))
    await talk.until(lambda: any(isinstance(frame, Step2) for frame in talk.heard))
    forged = Struct(ANY, parent=(client, 0), key="r/forged.1", content=float64(stamp_at(now_ms())))
    talk.say(Update(SESSION, YUpdate([Section(MINE, 0, [forged])]).encode()))
    await asyncio.to_thread(until, lambda: group.row().get("fault"), "the fault")
    row = group.row()
    assert row["fault"] == "it wrote what only this device may write; that was undone"
    assert row["state"] == "online"
    group.changes()
    for daemon in (group.a, group.c):
        names = {each["microcosmID"] for each in daemon.call("session.get")["microcosms"]}
        assert "forged.1" not in names


async def test_a_false_acknowledgement_counts_for_the_liar_only(group: Group) -> None:
    talk = await links(group)
    group.c.stop()
    group.a.call("reference.register", microcosmID="waited.for")
    everything = number(4000) + b"".join(number(each) + number(1) for each in range(4000))
    talk.say(Stored(SESSION, everything))
    with pytest.raises(Timeout) as caught:
        await asyncio.to_thread(group.a.call, "sync.wait", devices=[group.c_id], timeout_s=0.3)
    assert caught.value.data["synced"] == []
    group.c.start()
    synced = await asyncio.to_thread(group.a.call, "sync.wait", devices=[group.c_id], timeout_s=60)
    assert [row["device"] for row in synced["synced"]] == [group.c_id]


async def test_a_clock_of_next_year_is_shown_and_moves_nobody(group: Group) -> None:
    year = 365 * 86_400_000
    await group.member.greet(group.a_id, group.address, clock=now_ms() + year)
    assert group.row()["clock_ahead_ms"] < -year + 60_000
    checks = group.a.call("daemon.doctor")["checks"]
    (about,) = [each for each in checks if "ahead of this device" in each["message"]]
    assert not about["ok"]
    assert about["fix"]
    group.changes()
    newest = max(each["lastAccessed"] for each in group.c.call("session.get")["microcosms"])
    assert newest < now_ms() + 60_000
