import asyncio
import json
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nogg.errors import LimitExceeded, NotPaired, StorageFailed
from nogg.ids import is_identity_id
from noggd.domain.statements import Add, Leave, make_remove
from noggd.platform.files import write_private
from noggd.storage import trust_file
from noggd.storage.keys import make_key
from noggd.storage.schema import StoreBroken, StoreTooNew
from noggd.storage.trust import Peer, Trust, open_trust
from tests.unit.domain.group import Device, World

B, C = Device(2), Device(3)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Trust]:
    trust = open_trust(directory, "laptop")
    try:
        yield trust
    finally:
        await trust.close()


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


async def test_a_first_start_founds_a_group_of_one_that_lasts(state: Path) -> None:
    async with opened(state) as first:
        assert set(first.group.members) == {first.device}
        assert is_identity_id(first.group.identity)
        assert first.name_of(first.device) == "laptop"
    assert modes(state) == {"device.pem": 0o600, "trust.json": 0o600}
    async with opened(state) as again:
        assert (again.device, again.group) == (first.device, first.group)


async def test_additions_and_removals_are_on_disk_when_they_are_answered(state: Path) -> None:
    async with opened(state) as trust:
        told: list[set[str]] = []
        trust.listen(lambda: told.append(set(trust.group.members)))
        add = await trust.add(B.certificate, "phone", ["identity_" + "a" * 36])
        assert trust_file.load(state)[1] == trust.state  # type: ignore[index]  # it is there
        await trust.add(C.certificate, "tablet", [trust.group.identity])
        assert trust.group.aliases == ("identity_" + "a" * 36,)
        assert set(trust.others) == {B.id, C.id}
        removal = await trust.remove(B.id)
        assert removal.keep == frozenset()
        assert told == [{trust.device, B.id}, {trust.device, B.id, C.id}, {trust.device, C.id}]
        assert set(trust.group.evicted) == {B.id}
        assert trust.name_of(B.id) == "phone"
        assert await trust.admit([add, removal]) == []
    async with opened(state) as again:
        assert again.group == trust.group


async def test_a_removal_keeps_what_the_removed_one_added(state: Path) -> None:
    async with opened(state) as trust:
        add = await trust.add(B.certificate, "phone", [])
        world = World(B)
        world.genesis, world.said = trust.state.genesis, [add]
        by_b = world.add(B, C)
        await trust.admit([by_b])
        assert (await trust.remove(B.id)).keep == {by_b.id}
        assert set(trust.others) == {C.id}


async def test_what_former_members_wrote_is_taken_over_once(state: Path) -> None:
    async with opened(state) as trust:
        await trust.add(B.certificate, "phone", [])
        await trust.add(C.certificate, "tablet", [])
        await trust.remove(B.id)
        assert trust.to_take_over == {B.id}
        assert trust.counted == {trust.device, B.id, C.id}
    async with opened(state) as again:
        assert again.to_take_over == {B.id}
        await again.note_taken_over(frozenset({B.id}))
        assert again.to_take_over == frozenset()
        assert again.counted == {again.device, C.id}
        await again.found("laptop", new_key=True)
        assert again.to_take_over == {trust.device, C.id}
        await again.note_taken_over(frozenset({C.id}))
        assert again.counted == {again.device, trust.device}


async def test_strangers_cannot_be_removed(state: Path) -> None:
    async with opened(state) as trust:
        with pytest.raises(NotPaired):
            await trust.remove(B.id)


async def test_who_was_removed_trusts_nobody_and_can_say_nothing(state: Path) -> None:
    async with opened(state) as trust:
        add = await trust.add(B.certificate, "phone", [])
        await trust.admit([make_remove(B, trust.group.id, trust.device, [add.id])])
        assert trust.removed
        assert trust.others == {}
        assert trust.to_take_over == frozenset()
        assert trust.device in trust.counted
        with pytest.raises(NotPaired):
            await trust.add(C.certificate, "c", [])
        with pytest.raises(NotPaired):
            await trust.remove(B.id)


async def test_leaving_and_founding_anew_keeps_the_person(state: Path) -> None:
    async with opened(state) as trust:
        await trust.add(B.certificate, "phone", ["identity_" + "a" * 36])
        old = trust.group
        farewell = trust.farewell()
        assert isinstance(farewell, Leave)
        assert farewell.keep == {s.id for s in trust.statements if isinstance(s, Add)}
        device = trust.device
        await trust.note_port(7734)
        await trust.found("laptop", new_key=False)
        assert trust.device == device
        assert set(trust.group.members) == {device}
        assert (trust.group.identity, trust.group.aliases) == (old.identity, old.aliases)
        assert trust.group.id != old.id
        assert trust.state.port == 7734
        assert trust.peers == {}


async def test_a_new_key_makes_another_device(state: Path) -> None:
    async with opened(state) as trust:
        device = trust.device
        await trust.found("laptop", new_key=True)
        assert trust.device != device
        assert set(trust.group.members) == {trust.device}
        assert trust.key.path == state / "device.pem"
        await trust.add(B.certificate, "phone", [])
    async with opened(state) as again:
        assert again.device == trust.device
        assert set(again.others) == {B.id}


async def test_adopting_a_group_is_remembered_until_the_documents_are_ready(state: Path) -> None:
    async with opened(state) as trust:
        world = World(B)
        device = Device(7)
        device.certificate = trust.key.certificate
        world.add(B, device)
        world.add(B, C)
        await trust.adopt(world.genesis, world.said, {B.id: ("10.0.0.1:7734",)}, named=True)
        assert set(trust.group.members) == {B.id, C.id, trust.device}
        assert trust.peers[B.id].addresses == ("10.0.0.1:7734",)
    async with opened(state) as again:
        assert again.state.joining is True
        await again.joined()
    async with opened(state) as once_more:
        assert once_more.state.joining is None
        assert set(once_more.others) == {B.id, C.id}


async def test_notes_about_peers_are_kept(state: Path) -> None:
    async with opened(state) as trust:
        trust.note(B.id, name="phone", addresses=["a:1", "b:1"], last_seen=5)
        trust.note(B.id, addresses=["b:1", "c:1"], last_seen=3)
        await trust.note_refused(True)
    async with opened(state) as again:
        assert again.peers == {B.id: Peer("phone", ("b:1", "c:1", "a:1"), 5)}
        assert again.name_of(B.id) == "phone"
        assert again.name_of(C.id) == ""
        assert again.state.refused


async def test_a_full_disk_changes_nothing_and_passes(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(state) as trust:
        group = trust.group

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(trust_file, "write_private", full)
            with pytest.raises(StorageFailed):
                await trust.add(B.certificate, "phone", [])
        assert trust.group == group
        await trust.add(B.certificate, "phone", [])
        assert set(trust.others) == {B.id}


async def test_a_change_is_made_whole_even_if_its_caller_is_cancelled(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    writing, go_on = threading.Event(), threading.Event()

    def slow(path: Path, data: bytes) -> None:
        writing.set()
        go_on.wait(10)
        write_private(path, data)

    async with opened(state) as trust:
        monkeypatch.setattr(trust_file, "write_private", slow)
        adding = asyncio.ensure_future(trust.add(B.certificate, "phone", []))
        await asyncio.to_thread(writing.wait, 10)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        go_on.set()
        await trust.add(C.certificate, "tablet", [])
        assert set(trust.others) == {B.id, C.id}


async def test_the_file_is_bounded_by_what_is_admitted(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noggd.domain.membership.MAX_ADDS", 1)
    async with opened(state) as trust:
        await trust.add(B.certificate, "phone", [])
        with pytest.raises(LimitExceeded):
            await trust.add(C.certificate, "tablet", [])


async def test_what_cannot_be_read_is_never_an_empty_group(state: Path) -> None:
    async with opened(state) as trust:
        await trust.add(B.certificate, "phone", [])
    path = state / "trust.json"
    good = path.read_text()
    content = json.loads(good)
    forged = content["statements"][0].replace("phone", "phony")
    for bad in (
        "",
        "{}",
        "[]",
        "null",
        good[: len(good) // 2],
        good.replace('"version": 1', '"version": null'),
        json.dumps(content | {"statements": [forged]}),
        json.dumps(content | {"genesis": content["statements"][0]}),
        json.dumps(content | {"device": B.id}),
        json.dumps(content | {"peers": []}),
        json.dumps(content | {"port": "x"}),
        "[" * 100_000,
        "\0" * len(good),
    ):
        path.write_text(bad)
        with pytest.raises(StoreBroken):
            open_trust(state, "laptop")
        assert path.read_text() == bad
    path.write_text(json.dumps(content | {"version": 2}))
    with pytest.raises(StoreTooNew):
        open_trust(state, "laptop")
    path.write_text(good)
    assert open_trust(state, "laptop").group == trust.group


def _cryptography_to_read(state: Path) -> bool:
    """Say whether a process that reads the file of trust has to load cryptography."""
    read = "from noggd.storage.trust_file import load; load(Path(sys.argv[1]))"
    code = f"import sys; from pathlib import Path; {read}; print('cryptography' in sys.modules)"
    run = [sys.executable, "-c", code, str(state)]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout == "True\n"


async def test_what_was_checked_once_needs_no_cryptography(state: Path) -> None:
    """It costs 8 MB and 25 ms; a file without the digest, from an older version, is checked as before."""
    async with opened(state) as trust:
        await trust.add(B.certificate, "phone", [])
        group = trust.group
    assert not _cryptography_to_read(state)
    content = json.loads((state / "trust.json").read_text())
    del content["checked"]
    (state / "trust.json").write_text(json.dumps(content))
    assert _cryptography_to_read(state)
    assert open_trust(state, "laptop").group == group


async def test_one_file_without_the_other_is_not_a_first_start(state: Path) -> None:
    async with opened(state):
        pass
    (state / "trust.json").rename(state / "away")
    with pytest.raises(StoreBroken, match=r"trust\.json is missing"):
        open_trust(state, "laptop")
    (state / "away").rename(state / "trust.json")
    (state / "device.pem").unlink()
    with pytest.raises(StoreBroken):
        open_trust(state, "laptop")
    make_key(state / "device.pem")
    with pytest.raises(StoreBroken, match="is not the key"):
        open_trust(state, "laptop")


@pytest.mark.parametrize("crash", ["after the key", "before the rename"])
async def test_a_crash_while_the_key_is_replaced_leaves_one_that_fits(
    state: Path, crash: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    def stop(*_: object) -> None:
        raise Crash

    async with opened(state) as trust:
        old = trust.device
        if crash == "after the key":
            monkeypatch.setattr(trust_file, "write_private", stop)
        else:
            rename = Path.rename
            monkeypatch.setattr(
                Path,
                "replace",
                lambda path, to: stop() if path.name == "device-new.pem" else rename(path, to),
            )
        with pytest.raises(Crash):
            await trust.found("laptop", new_key=True)
        monkeypatch.undo()
    assert (state / "device-new.pem").exists()
    async with opened(state) as again:
        assert (again.device == old) is (crash == "after the key")
        assert set(again.group.members) == {again.device}
    assert not (state / "device-new.pem").exists()


async def test_any_host_name_can_name_the_device(state: Path) -> None:
    trust = open_trust(state, "\u202e\n")
    assert trust.name_of(trust.device) == "device"
    await trust.close()


async def test_a_crash_in_the_first_start_starts_again(state: Path) -> None:
    make_key(state / "device-new.pem")
    async with opened(state) as trust:
        assert set(trust.group.members) == {trust.device}


async def test_a_device_that_is_set_up_anew_keeps_its_key_or_its_person(state: Path, tmp_path: Path) -> None:
    trust = open_trust(state, "laptop")
    device, person = trust.device, trust.group.identity
    await trust.close()
    anew = tmp_path / "anew"
    anew.mkdir()
    same = open_trust(anew, "laptop", given_key=state / "device.pem", identity=person)
    assert (same.device, same.group.identity) == (device, person)
    await same.close()
    again = open_trust(anew, "laptop", given_key=state / "trust.json")
    assert again.device == device, "later starts look at nothing that is given"
    await again.close()


def test_what_is_no_key_is_not_taken_for_one(state: Path, tmp_path: Path) -> None:
    anew = tmp_path / "anew"
    anew.mkdir()
    (tmp_path / "no.pem").write_text("nothing")
    with pytest.raises(StoreBroken):
        open_trust(anew, "laptop", given_key=tmp_path / "no.pem")
    assert list(anew.iterdir()) == []
