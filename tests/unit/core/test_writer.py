"""The single writer over a real journal: durable before told, all or nothing, in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nogg.errors import NotFound, ProtocolError, ShuttingDown, StorageFailed
from noggd.core import Core, open_core
from noggd.core.batch import Merged
from noggd.core.records import decode
from noggd.domain.changes import Change, DevicesChange, EpochChange, IdentityChange, Origin
from noggd.domain.document import Document, Incomplete
from noggd.domain.session import Session
from noggd.domain.update import decode_state_vector
from noggd.storage.journal import Journal

HERE = Origin("dA", "test")
NOW = 1_700_000_000_000


class Seat:
    """A core in a folder, with calls that wait for their reply."""

    def __init__(self, core: Core, journal: Journal) -> None:
        self.core = core
        self.journal = journal
        self.told: list[Any] = []
        self.updates: list[tuple[str, bytes, str]] = []
        core.listen(self.told.append)
        core.on_update(lambda *update: self.updates.append(update))

    def start(self, operation: Callable[[Session], object], session: str = "default") -> Awaitable[Any]:
        return self.call(lambda reply: self.core.change(session, operation, reply, HERE))

    def call(self, submit: Callable[[Callable[[Any], None]], None]) -> Awaitable[Any]:
        future = asyncio.get_running_loop().create_future()
        submit(future.set_result)
        return future

    def register(self, name: str, **fields: Any) -> Awaitable[Any]:
        return self.start(lambda session: session.register(self.core.now(), name, **fields))


@asynccontextmanager
async def seat_in(
    folder: Path, device: str = "dA", now: Callable[[], int] = lambda: NOW
) -> AsyncIterator[Seat]:
    journal = Journal(folder / f"{device}.db")
    try:
        async with open_core(journal, device, None, now) as core:
            yield Seat(core, journal)
    finally:
        journal.close()


@pytest.fixture
async def seat(tmp_path: Path) -> AsyncIterator[Seat]:
    async with seat_in(tmp_path) as seat:
        yield seat


async def test_a_change_is_on_disk_before_it_is_answered_or_told(seat: Seat) -> None:
    before = seat.journal.last_seq
    seen_at_reply: list[int] = []
    done = asyncio.get_running_loop().create_future()

    def reply(result: object) -> None:
        seen_at_reply.append(seat.journal.last_seq)
        assert seat.told == [], "the reply comes first"
        done.set_result(result)

    seat.core.change("default", lambda session: session.register(NOW, "m.1"), reply, HERE)
    assert seat.core.view("default").references == {}, "reads see what is durable"
    await done
    assert seen_at_reply == [before + 1]
    assert seat.core.view("default").references.keys() == {"m.1"}
    change = seat.told[0]
    assert isinstance(change, Change)
    assert change.origin == HERE
    assert [document for document, _, _ in seat.updates] == ["person", "session/default"]


async def test_what_arrives_together_shares_one_record(seat: Seat) -> None:
    before = seat.journal.last_seq
    results = await asyncio.gather(*(seat.register(f"m.{n}") for n in range(50)))
    assert [result.revision for result in results] == list(range(1, 51))
    assert seat.journal.last_seq == before + 1
    assert [change.revision for change in seat.told] == list(range(1, 51)), "one revision, one event"


async def test_an_error_changes_nothing_for_the_others(seat: Seat) -> None:
    good, bad, later = await asyncio.gather(
        seat.register("m.1"),
        seat.start(lambda session: session.update(NOW, "m.9", {"view": "x"})),
        seat.register("m.2"),
    )
    assert good.revision == 1
    assert isinstance(bad, NotFound)
    assert later.revision == 2


async def test_reading_a_session_that_does_not_exist_does_not_make_it(seat: Seat) -> None:
    assert await seat.start(lambda session: session.remove(NOW, "m.1"), "other") == {"removed": False}
    found = await seat.call(lambda reply: seat.core.query("other", lambda session: session.revision, reply))
    assert found == 0
    assert seat.core.sessions == set()
    assert seat.core.documents() == ["person"]
    assert seat.journal.last_seq == 0


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with seat_in(tmp_path) as seat:
        await seat.register("m.1", password="secret")
        await seat.register("m.2")
        await seat.start(lambda session: session.remove(NOW, "m.2"))
        await seat.start(lambda session: session.set_active(NOW, "m.1"))
        await seat.call(
            lambda reply: seat.core.change_person(lambda person: person.set_username(NOW, "Ada"), reply, HERE)
        )
        epoch, view = seat.core.epoch, seat.core.view("default")
    for _ in range(2):
        async with seat_in(tmp_path) as seat:
            again = seat.core.view("default")
            assert seat.core.epoch == epoch
            assert (again.revision, again.active) == (view.revision, view.active)
            assert again.references["m.1"].value() == view.references["m.1"].value()
            assert again.since(1) == view.since(1) == ([], ["m.2"], True)
            assert seat.core.username == "Ada"
            assert seat.core.sessions == {"default"}
            await seat.call(seat.core.compact_journal)


async def test_a_touch_shows_at_once_and_survives(tmp_path: Path) -> None:
    time = [NOW]
    async with seat_in(tmp_path, now=lambda: time[0]) as seat:
        await seat.register("m.1")
        time[0] += 5000
        seat.core.touch("default", "m.1", HERE)
        seat.core.touch("default", "m.9", HERE)
        assert seat.core.view("default").references["m.1"].last_accessed == NOW + 5000
        assert seat.core.view("default").revision == 1, "its revision comes with the commit"
        await seat.register("m.2")
    async with seat_in(tmp_path) as seat:
        assert seat.core.view("default").references["m.1"].last_accessed == NOW + 5000
        assert seat.core.view("default").revision == 3


async def test_an_access_keeps_its_moment_whatever_happens_before_it_is_written(tmp_path: Path) -> None:
    time = [NOW]
    async with seat_in(tmp_path, now=lambda: time[0]) as seat:
        await seat.register("m.1")
        await seat.register("m.2")
        time[0] += 100
        seat.core.touch("default", "m.1", HERE)
        seat.core.touch("default", "m.2", HERE)
        time[0] += 100
        await seat.register("m.3")
        await seat.start(
            lambda session: session.set(time[0], microcosms=[{"microcosmID": "m.2", "lastAccessed": 5}])
        )
        await seat.start(lambda session: session.register(time[0], "m.1"))
        time[0] += 100
        accessed = {name: one.last_accessed for name, one in seat.core.view("default").references.items()}
    assert accessed == {"m.1": NOW + 200, "m.2": 5}
    async with seat_in(tmp_path) as seat:
        again = {name: one.last_accessed for name, one in seat.core.view("default").references.items()}
        assert again == accessed, "what was set after an access stays as it was set"


async def test_an_access_is_not_moved_by_a_later_act_on_another_reference(tmp_path: Path) -> None:
    time = [NOW]
    async with seat_in(tmp_path, now=lambda: time[0]) as seat:
        await seat.register("m.1")
        time[0] += 100
        seat.core.touch("default", "m.1", HERE)
        time[0] += 100
        await seat.register("m.2")
    async with seat_in(tmp_path) as seat:
        assert seat.core.view("default").references["m.1"].last_accessed == NOW + 100


async def test_a_full_disk_keeps_nothing_and_recovers(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    await seat.register("m.1", view="before")
    append = seat.journal.append

    def refuse(record: bytes) -> int:
        raise StorageFailed(retryable=True)

    monkeypatch.setattr(seat.journal, "append", refuse)
    failed = await asyncio.gather(
        seat.register("m.2"), seat.start(lambda session: session.update(NOW, "m.1", {"view": "after"}))
    )
    assert all(isinstance(error, StorageFailed) for error in failed)
    assert seat.core.view("default").references.keys() == {"m.1"}
    assert seat.core.view("default").references["m.1"].view == "before"
    assert len(seat.told) == 1
    monkeypatch.setattr(seat.journal, "append", append)
    again = await seat.register("m.1")
    assert again.view == "before", "memory equals disk"
    assert again.revision == 1


async def test_two_cores_sync_by_updates_and_by_state(tmp_path: Path) -> None:
    async with seat_in(tmp_path, "dA") as a, seat_in(tmp_path, "dB") as b:
        await a.register("m.1", password="one")
        await b.register("m.1", view="canvas")
        for source, target in ((a, b), (b, a)):
            states = await target.call(target.core.state)
            for document in source.core.documents():
                vector = states[document][0] if document in states else b"\x00"
                update = await source.call(partial(source.core.missing, document, vector))
                merge = partial(target.core.merge, document, update, source.core.device)
                assert isinstance(await target.call(merge), Merged)
        assert a.core.view("default").references["m.1"].view == "canvas"
        assert b.core.view("default").references["m.1"].password == "one"
        assert a.told[-1].origin == Origin("dB")
        assert ("session/default", "dB") in [(document, source) for document, _, source in a.updates]


async def test_an_update_that_runs_ahead_asks_for_a_sync(tmp_path: Path) -> None:
    async with seat_in(tmp_path, "dA") as a, seat_in(tmp_path, "dB") as b:
        await a.register("m.1")
        await a.register("m.2")
        ahead = [update for document, update, _ in a.updates if document == "session/default"][1]
        result = await b.call(lambda reply: b.core.merge("session/default", ahead, "dA", reply))
        assert isinstance(result, Incomplete)
        assert b.journal.last_seq == 0
        result = await b.call(lambda reply: b.core.merge("session/default", b"\xff" * 9, "dA", reply))
        assert isinstance(result, ProtocolError)
        result = await b.call(lambda reply: b.core.merge("elsewhere", b"\x00\x00", "dA", reply))
        assert isinstance(result, ProtocolError)


async def test_a_known_update_is_not_journalled_again(tmp_path: Path) -> None:
    async with seat_in(tmp_path, "dA") as a, seat_in(tmp_path, "dB") as b:
        await a.register("m.1")
        update = a.updates[-1][1]
        clocks = decode_state_vector(a.core.vector("session/default"))
        for brought in (clocks, {}):
            merged = await b.call(lambda reply: b.core.merge("session/default", update, "dA", reply))
            assert merged == Merged(brought, trespassed=False)
        assert b.journal.last_seq == 1
        assert len(b.updates) == 1


async def test_a_dropped_session_is_gone_for_everyone(seat: Seat) -> None:
    await seat.register("m.1")
    dropped = await seat.call(lambda reply: seat.core.drop_session("default", reply, HERE))
    assert dropped == {"dropped": True}
    assert seat.core.sessions == set()
    assert seat.core.view("default").references == {}
    dropped = await seat.call(lambda reply: seat.core.drop_session("never", reply, HERE))
    assert dropped == {"dropped": False}
    await seat.register("m.2")
    assert seat.core.sessions == {"default"}


async def test_a_secret_leaves_the_journal_by_compaction(seat: Seat, tmp_path: Path) -> None:
    await seat.register("m.1", password="first-secret")
    await seat.register("m.1", password="other-secret")

    def stored() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert b"first-secret" in stored()
    assert await seat.call(seat.core.compact_journal) is None
    assert b"first-secret" not in stored()
    assert b"other-secret" in stored()


async def test_identity_and_devices_are_told(seat: Seat) -> None:
    seat.core.identity_id = "identity_x"
    await seat.call(
        lambda reply: seat.core.change_person(lambda person: person.set_username(NOW, "Ada"), reply, HERE)
    )
    await seat.call(
        lambda reply: seat.core.change_person(lambda person: person.rename_device(NOW, "laptop"), reply, HERE)
    )
    assert seat.told == [IdentityChange("identity_x", "Ada"), DevicesChange()]
    assert seat.core.device_names == {"dA": "laptop"}


async def test_an_excluded_device_counts_no_more_but_what_it_wrote_stays(tmp_path: Path) -> None:
    async with seat_in(tmp_path, "dA") as a, seat_in(tmp_path, "dB") as b:
        await b.register("m.1", password="theirs")
        for document, update, _ in b.updates:
            await a.call(partial(a.core.merge, document, update, "dB"))
        await a.call(lambda reply: a.core.exclude("dB", frozenset({"dA"}), reply))
        assert a.core.view("default").references["m.1"].password == "theirs"
        assert a.core.sessions == {"default"}
        records = a.journal.load().records
        assert decode(records[-1]).updates
    async with seat_in(tmp_path, "dA") as a:
        assert a.core.view("default").references["m.1"].password == "theirs"


async def test_nothing_is_taken_while_it_stops(tmp_path: Path) -> None:
    async with seat_in(tmp_path) as seat:
        accepted = seat.register("m.1")
        await seat.core.drain()
        assert (await accepted).revision == 1
        assert isinstance(await seat.register("m.2"), ShuttingDown)


def restore(folder: Path, backup: bytes) -> None:
    for file in folder.glob("dA.db*"):
        file.unlink()
    (folder / "dA.db").write_bytes(backup)


async def test_a_device_that_was_rolled_back_starts_a_new_life(tmp_path: Path) -> None:
    async with seat_in(tmp_path, "dA") as a:
        await a.register("m.1", password="kept")
        epoch = a.core.epoch
    backup = (tmp_path / "dA.db").read_bytes()
    async with seat_in(tmp_path, "dA") as a, seat_in(tmp_path, "dB") as b:
        await a.register("m.2", password="told to the other")
        for document in a.core.documents():
            update = await a.call(partial(a.core.missing, document, b"\x00"))
            assert isinstance(await b.call(partial(b.core.merge, document, update, "dA")), Merged)
    restore(tmp_path, backup)
    async with seat_in(tmp_path, "dA") as a, seat_in(tmp_path, "dB") as b:
        await a.register("m.3")
        states = {
            document: await b.call(partial(b.core.missing, document, b"\x00"))
            for document in b.core.documents()
        }
        assert await a.call(partial(a.core.rescue, states)) is None
        assert a.core.view("default").references.keys() == {"m.1", "m.2", "m.3"}
        assert a.core.epoch != epoch
        assert len(a.core.clients) == 2
        assert EpochChange(a.core.epoch) in a.told
        for document in a.core.documents():
            update = await a.call(partial(a.core.missing, document, b"\x00"))
            assert isinstance(await b.call(partial(b.core.merge, document, update, "dA")), Merged)
        assert b.core.view("default").references.keys() == {"m.1", "m.2", "m.3"}
    async with seat_in(tmp_path, "dA") as a:
        assert a.core.view("default").references["m.2"].password == "told to the other"
        assert len(a.core.clients) == 2


async def test_what_a_fast_clock_stamped_is_stamped_anew(tmp_path: Path) -> None:
    time = [NOW + 365 * 24 * 3600 * 1000]
    async with seat_in(tmp_path, "dA", lambda: time[0]) as a, seat_in(tmp_path, "dB") as b:
        await a.register("m.1", password="one")
        await a.register("m.2", password="two")
        await a.start(lambda session: session.remove(time[0], "m.2"))
        await a.register("m.2", view="second life")
        await a.start(lambda session: session.remove(time[0], "m.1"))
        time[0] = NOW
        assert await a.call(a.core.mend_clock) == 5
        assert await a.call(a.core.mend_clock) == 0
        reference = a.core.view("default").references["m.2"]
        assert (reference.view, reference.password) == ("second life", None), "the order of acts stays"
        assert reference.last_accessed <= NOW + 1
        assert a.core.clock >> 10 <= NOW + 1
        restored = await a.start(lambda session: session.restore(NOW, "m.1"))
        assert restored.password == "one"
        for document in a.core.documents():
            update = await a.call(partial(a.core.missing, document, b"\x00"))
            assert isinstance(await b.call(partial(b.core.merge, document, update, "dA")), Merged)
        time[0] = NOW + 5
        later = await b.start(lambda session: session.update(NOW + 5, "m.2", {"view": "later"}))
        assert later.view == "later", "an act of another device wins again"
        assert b.core.clock >> 10 <= NOW + 5


async def test_an_access_that_waits_is_stamped_anew_too(tmp_path: Path) -> None:
    time = [NOW + 365 * 24 * 3600 * 1000]
    async with seat_in(tmp_path, "dA", lambda: time[0]) as a:
        await a.register("m.1")
        a.core.touch("default", "m.1", HERE)
        time[0] = NOW
        await a.call(a.core.mend_clock)
        await a.call(a.core.settle)
        assert a.core.clock >> 10 <= NOW + 1
        assert a.core.view("default").references["m.1"].last_accessed <= NOW + 1


async def test_stamps_that_others_led_ahead_stay(tmp_path: Path) -> None:
    async with seat_in(tmp_path, "dA", lambda: NOW + 3600_000) as a, seat_in(tmp_path, "dB") as b:
        await a.register("m.1")
        for document, update, _ in a.updates:
            await b.call(partial(b.core.merge, document, update, "dA"))
        await b.register("m.1", view="after it")
        assert await b.call(b.core.mend_clock) == 0


async def test_a_listener_that_fails_harms_nobody(seat: Seat) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of the listener")

    seat.core.listen(fail)
    seat.core.on_update(fail)
    seat.core.change("default", lambda session: session.register(NOW, "m.1"), fail, HERE)
    later: list[Any] = []
    seat.core.listen(later.append)
    assert (await seat.register("m.2")).revision == 2
    assert [change.revision for change in later] == [1, 2]
    assert seat.core.view("default").references.keys() == {"m.1", "m.2"}


async def test_what_a_peers_compactions_leave_here_goes_by_and_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its replaced maps are joined only when a document is loaded; who only listens has to do that too."""
    monkeypatch.setattr("noggd.domain.maps.COMPACT_AFTER", 100)
    async with seat_in(tmp_path, "dA") as a, seat_in(tmp_path, "dB") as b:
        for turn in range(2000):
            await a.start(lambda s, n=turn: s.register(NOW, f"ref.{n % 20}", f"view{n}"))  # type: ignore[misc] # mypy: defaults of lambdas
        for update in a.updates:
            await b.call(partial(b.core.merge, update[0], update[1], "dA"))
        name = "session/default"
        loaded = Document(1, "dC", await b.call(partial(b.core.missing, name, b"\x00")))
        assert len(await b.call(partial(b.core.missing, name, b"\x00"))) < 2 * len(loaded.encode())
        assert b.core.view("default").ordered()[0].view == a.core.view("default").ordered()[0].view


async def test_the_persons_map_is_compacted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noggd.domain.maps.COMPACT_AFTER", 100)
    async with seat_in(tmp_path, "dA") as a:
        for turn in range(500):
            name = f"session{turn % 5}"
            await a.start(lambda session: session.register(NOW, "some.where"), name)
            await a.call(lambda reply, name=name: a.core.drop_session(name, reply, HERE))  # type: ignore[misc] # mypy: defaults of lambdas
        assert len(await a.call(partial(a.core.missing, "person", b"\x00"))) < 1000
        await a.start(lambda session: session.register(NOW, "some.where"), "session3")
    async with seat_in(tmp_path, "dA") as a:
        assert a.core.sessions == {"session3"}
