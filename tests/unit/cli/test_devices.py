"""Commands on devices, the person, links and pairing."""

import time

import pytest

from nogg.errors import NotPaired, PairingFailed, Timeout
from tests.unit.cli.conftest import Nogg, Terminal
from tests.unit.cli.fake import DEVICE, OTHER, FakeDaemon, device

PHONE = device(id=OTHER, name="ph\x1bone", self=False, state="offline", last_seen=1, address="10.0.0.2:7734")
SOON = 4_000_000_000_000
JOINED = {"device": {"id": OTHER, "name": "phone"}, "merged": {"sessions": 1, "references": 4}}


@pytest.fixture
def group(daemon: FakeDaemon) -> FakeDaemon:
    """A group of two devices, and a session of four references."""
    peer = {"device": OTHER, "name": "phone", "state": "offline", "address": None, "rtt_ms": None}
    daemon.answers |= {
        "device.list": {"devices": [device(), PHONE]},
        "device.rename": {},
        "device.evict": {
            "passwords_to_change": [{"session": "default", "microcosmID": "garden.1"}],
            "unaware": [OTHER],
        },
        "device.leave": {},
        "identity.get": {"identityID": "identity_" + "a" * 36, "username": None, "aliases": []},
        "identity.set": lambda p: {
            "identityID": "identity_" + "a" * 36,
            "username": p["username"],
            "aliases": [],
        },
        "session.list": {
            "sessions": [
                {"session": "default", "revision": 1, "references": 3},
                {"session": "work", "revision": 1, "references": 1},
            ]
        },
        "sync.status": {"listen": "[::]:7734", "peers": [{**peer, "last_sync": None, "behind": None}]},
        "sync.wait": {"synced": [{"device": OTHER, "at": 1}]},
        "pair.invite": {
            "code": "7-apple-pear-plum",
            "ticket": "TICKET",
            "expires_at": SOON,
            "addresses": ["h:1", "h:2"],
        },
        "pair.join": JOINED,
        "pair.cancel": {},
        "session.subscribe": {
            "subscription": "s1",
            "epoch": "e",
            "revision": 1,
            "fresh": True,
            "set": {},
            "removed": [],
        },
    }
    return daemon


def test_devices_are_listed_safely(nogg: Nogg, group: FakeDaemon) -> None:
    rows = nogg("device", "list").out.splitlines()
    assert rows[1].startswith("laptop")
    assert "this device" in rows[1]
    assert rows[2].startswith("ph\\x1bone")
    assert OTHER in rows[2]


def test_this_device_is_renamed(nogg: Nogg, group: FakeDaemon) -> None:
    assert nogg("device", "rename", "Küche", "--json").json == {"name": "Küche"}
    assert group.params("device.rename") == {"name": "Küche"}


@pytest.mark.parametrize("wanted", [OTHER, OTHER.lower(), "QQQQ", "qqqqqqq bb", "ph\x1bone"])
def test_a_device_is_evicted_by_id_or_name(nogg: Nogg, group: FakeDaemon, wanted: str) -> None:
    run = nogg("device", "evict", wanted)
    assert run.status == 0
    assert group.params("device.evict") == {"device": OTHER}
    assert "garden.1" in run.out, "passwords to change are named"
    assert run.out.count(OTHER) == 2, "as evicted, and as not told yet"


def test_an_unclear_device_is_refused(nogg: Nogg, group: FakeDaemon) -> None:
    twin = device(id=OTHER.replace("H", "J"), name="phone", self=False)
    group.answers["device.list"] = {
        "devices": [device(), PHONE, twin, {**twin, "id": DEVICE.replace("A", "K")}]
    }
    assert nogg("device", "evict", "QQQ").status == 2
    assert nogg("device", "evict", "phone").status == 2
    assert nogg("device", "evict", "fridge").status == 1
    assert nogg("device", "evict", " ").status == 1
    assert "device.evict" not in dict(group.asked)


def test_an_eviction_of_nobody_ends_with_4(nogg: Nogg, group: FakeDaemon) -> None:
    group.answers["device.evict"] = NotPaired()
    assert nogg("device", "evict", "QQQ").status == 4


def test_leaving_asks_a_person(nogg: Nogg, group: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noggd.cli.asking.terminal", lambda: True)
    assert nogg("device", "leave", stdin="n\n").status == 130
    assert "device.leave" not in dict(group.asked)
    assert nogg("device", "leave", "--yes").status == 0


@pytest.mark.parametrize(("given", "sent"), [("Ada", "Ada"), ("", None)])
def test_the_person_is_named(nogg: Nogg, group: FakeDaemon, given: str, sent: str | None) -> None:
    assert nogg("identity", "--username", given, "--json").json["username"] == sent
    assert group.params("identity.set") == {"username": sent}


def test_a_nameless_person_is_told_how_to_change_that(nogg: Nogg, group: FakeDaemon) -> None:
    run = nogg("identity")
    assert run.status == 0
    assert "--username" in run.err
    assert "identity_aaa" in run.out


def test_sync_shows_the_links(nogg: Nogg, group: FakeDaemon) -> None:
    lines = nogg("sync").out.splitlines()
    assert lines[0] == "listening on [::]:7734"
    assert lines[2].split() == ["phone", "offline", "never"]
    group.answers["sync.status"]["peers"][0] |= {"fault": "its clock is 3 h ahead", "fix": "set it"}
    assert "phone: its clock is 3 h ahead. What to do: set it" in nogg("sync").out
    group.answers["sync.status"]["peers"] = []
    assert "nogg pair" in nogg("sync").out


@pytest.mark.parametrize(("wanted", "sent"), [("any", "any"), ("all", "all"), ("qqq", [OTHER])])
def test_sync_waits(nogg: Nogg, group: FakeDaemon, wanted: str, sent: object) -> None:
    assert nogg("sync", "--wait", wanted, "--timeout", "3").out == f"stored by {OTHER}\n"
    assert group.params("sync.wait") == {"devices": sent, "timeout_s": 3}


def test_a_wait_that_ran_out_ends_with_6(nogg: Nogg, group: FakeDaemon) -> None:
    group.answers["sync.wait"] = Timeout(synced=[])
    assert nogg("sync", "--wait", "all").status == 6


def test_an_invitation_shows_all_ways_in_and_waits(nogg: Nogg, group: FakeDaemon) -> None:
    group.after["pair.invite"] = [
        {"method": "pair.changed", "params": {"state": "open"}},
        {"method": "pair.changed", "params": {"state": "failed"}},
        {"method": "pair.changed", "params": {"state": "paired", "device": {"id": OTHER, "name": "phone"}}},
    ]
    run = nogg("pair")
    assert run.status == 0
    for shown in (
        "nogg pair 7-apple-pear-plum",
        "--address h:1",
        "--address h:2",
        "TICKET",
        "paired with phone",
    ):
        assert shown in run.out
    assert "Waiting" in run.err
    assert "wrong code" in run.err


def test_an_invitation_as_json_is_one_object_per_step(nogg: Nogg, group: FakeDaemon) -> None:
    group.after["pair.invite"] = [
        {"method": "pair.changed", "params": {"state": "paired", "device": {"id": OTHER, "name": "phone"}}}
    ]
    first, second = nogg("pair", "--json", "--ttl", "60").out.splitlines()
    assert '"code":"7-apple-pear-plum"' in first
    assert f'"id":"{OTHER}"' in second
    assert group.params("pair.invite") == {"ttl_s": 60}
    assert [name for name, _ in group.asked] == ["session.subscribe", "pair.invite"], "who waits must be told"


def test_an_invitation_need_not_be_waited_for(nogg: Nogg, group: FakeDaemon) -> None:
    begun = time.monotonic()
    assert nogg("pair", "--no-wait", "--json").json["code"] == "7-apple-pear-plum"
    assert time.monotonic() - begun < 5


def test_a_window_that_closes_ends_with_4(nogg: Nogg, group: FakeDaemon) -> None:
    group.after["pair.invite"] = [{"method": "pair.changed", "params": {"state": "closed"}}]
    run = nogg("pair", "--json")
    assert run.status == 4
    assert '"type":"pairing_failed"' in run.out.splitlines()[1]


def test_an_interrupted_invitation_is_withdrawn(
    nogg: Nogg, group: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("noggd.cli.pair._wait_for_join", interrupt)
    assert nogg("pair").status == 130
    assert "pair.cancel" in dict(group.asked)


def test_a_terminal_gets_a_qr_code(nogg: Nogg, group: FakeDaemon) -> None:
    from noggd.cli.pair import _invitation

    answer = group.answers["pair.invite"]
    assert len(list(_invitation(answer, qr=True))) > len(list(_invitation(answer, qr=False))) + 8


def test_joining_says_what_it_merged(nogg: Nogg, group: FakeDaemon) -> None:
    run = nogg("pair", "7-apple-pear-plum", "--address", "h:1", "--yes")
    assert run.status == 0
    assert "paired with phone" in run.out
    assert "4 references in 1 session\n" in run.out
    assert group.params("pair.join") == {"code": "7-apple-pear-plum", "address": "h:1"}


def test_words_and_tickets_are_both_taken(nogg: Nogg, group: FakeDaemon) -> None:
    assert nogg("pair", "7", "apple", "pear", "plum", "--yes").status == 0
    assert nogg("pair", "NOGG1:ABC", "--yes").status == 0
    assert [p for name, p in group.asked if name == "pair.join"] == [
        {"code": "7 apple pear plum"},
        {"ticket": "NOGG1:ABC"},
    ]


def test_joining_needs_consent(nogg: Nogg, group: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    run = nogg("pair", "7-apple-pear-plum")
    assert run.status == 2
    assert "this merges 4 references into that person's group" in run.err
    assert "--yes" in run.err
    monkeypatch.setattr("noggd.cli.pair.terminal", lambda: True)
    assert nogg("pair", "7-apple-pear-plum", stdin=Terminal("n\n")).status == 130
    assert "pair.join" not in dict(group.asked)
    asked = nogg("pair", "7-apple-pear-plum", stdin=Terminal("y\n"))
    assert asked.status == 0
    assert "This merges 4 references" in asked.err


def test_a_wrong_code_ends_with_4(nogg: Nogg, group: FakeDaemon) -> None:
    group.answers["pair.join"] = PairingFailed("wrong code")
    assert nogg("pair", "7-apple-pear-plum", "--yes").status == 4


def test_an_address_alone_is_refused(nogg: Nogg, group: FakeDaemon) -> None:
    assert nogg("pair", "--address", "h:1").status == 2
