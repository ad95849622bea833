"""Pairing over real connections: codes, tickets, what they come to, and what goes wrong."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nogg.errors import InvalidParams, PairingFailed, StorageFailed
from noggd.core.asking import ask
from noggd.domain.changes import Origin
from noggd.domain.codes import Ticket, read_code, read_ticket
from tests.unit.services.devices import Device, devices, paired, until


def wrong(code: str) -> str:
    """The same code with another last word."""
    number, *words = code.split("-")
    return "-".join([number, *words[:2], "zoo" if words[2] != "zoo" else "zone"])


async def join(device: Device, other: Device, code: str) -> dict[str, Any]:
    return await device.pairing.join(code=code, ticket=None, address=other.address)


def states(device: Device) -> list[str]:
    return [told["state"] for told in device.told]


async def test_a_code_and_an_address_pair(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await b.register("of.b")
        identities = {a.core.identity_id, b.core.identity_id}
        invited = await a.pairing.invite(600, None)
        assert invited["addresses"] == [a.address]
        assert 0 < invited["expires_at"] - a.now() <= 600_000
        result = await join(b, a, invited["code"].upper().replace("-", " "))
        assert result == {"device": {"id": a.id, "name": "a"}, "merged": {"sessions": 1, "references": 1}}
        assert not a.pairing.is_open
        assert a.told == [{"state": "open"}, {"state": "paired", "device": {"id": b.id, "name": "b"}}]
        assert b.told == [{"state": "paired", "device": {"id": a.id, "name": "a"}}]
        await until(lambda: a.has() == b.has() == {"of.b"})
        assert a.core.identity_id == b.core.identity_id
        assert set(a.core.aliases) == set(b.core.aliases) == identities - {a.core.identity_id}


async def test_a_ticket_needs_nothing_else(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        invited = await a.pairing.invite(600, None)
        ticket = read_ticket(invited["ticket"])
        assert (ticket.device, ticket.addresses) == (a.id, (a.address,))
        assert ticket.code == read_code(invited["code"])
        result = await b.pairing.join(code=None, ticket=invited["ticket"], address=None)
        assert result["device"]["id"] == a.id
        await until(lambda: a.linked(b) and b.linked(a))


async def test_a_ticket_tries_all_its_addresses(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        invited = await a.pairing.invite(600, ["127.0.0.1:9", a.address])
        assert invited["addresses"] == ["127.0.0.1:9", a.address]
        await b.pairing.join(code=None, ticket=invited["ticket"], address=None)


async def test_what_the_joiner_removed_while_alone_removes_nothing_from_the_group(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await b.register("shared.one")
        await b.remove("shared.one")
        await a.register("shared.one")
        await paired(a, b)
        await until(lambda: a.has() == b.has() == {"shared.one"})


async def test_three_wrong_codes_close_the_window(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]
        for _ in range(3):
            with pytest.raises(PairingFailed, match="wrong code"):
                await join(b, a, wrong(code))
        with pytest.raises(PairingFailed, match="takes no code"):
            await join(b, a, code)
        assert states(a) == ["open", "failed"]
        assert states(b) == []
        assert a.peers.status()["peers"] == b.peers.status()["peers"] == []


async def test_the_right_code_after_a_wrong_one(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]
        with pytest.raises(PairingFailed, match="wrong code"):
            await join(b, a, wrong(code))
        await join(b, a, code)


async def test_a_code_is_used_up_by_success(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        code = (await a.pairing.invite(600, None))["code"]
        await join(b, a, code)
        with pytest.raises(PairingFailed, match="takes no code"):
            await join(c, a, code)


async def test_a_second_invitation_replaces_the_first(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        first = (await a.pairing.invite(600, None))["code"]
        second = (await a.pairing.invite(600, None))["code"]
        assert states(a) == ["open", "closed", "open"]
        with pytest.raises(PairingFailed):
            await join(b, a, first)
        await join(b, a, second)


async def test_a_cancelled_invitation_takes_nobody(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]
        await a.pairing.cancel()
        await a.pairing.cancel()
        assert states(a) == ["open", "closed"]
        with pytest.raises(PairingFailed, match="takes no code"):
            await join(b, a, code)


async def test_time_closes_the_window_by_itself(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(0.05, None))["code"]
        await until(lambda: states(a) == ["open", "closed"])
        assert not a.pairing.is_open
        with pytest.raises(PairingFailed, match="takes no code"):
            await join(b, a, code)


async def test_who_is_in_a_group_must_leave_it_first(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await paired(a, b)
        code = (await c.pairing.invite(600, None))["code"]
        with pytest.raises(PairingFailed) as caught:
            await join(b, c, code)
        assert "leave" in (caught.value.hint or "")
        assert c.pairing.is_open  # nothing was even tried


async def test_a_ticket_that_leads_to_another_device_is_not_even_tried(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "m") as (a, b, m):
        invited = await a.pairing.invite(600, [m.address])
        await m.pairing.invite(600, None)
        runs = m.pairing._inviting._invitation
        with pytest.raises(PairingFailed, match="could not be reached"):
            await b.pairing.join(code=None, ticket=invited["ticket"], address=None)
        assert runs is not None
        assert len(runs._prepared) == 20


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"code": "17-apple-river"}, "a number and three words"),
        ({"code": "17-apple-river-qqqq"}, "word 3"),
        ({"code": "17-apple-river-stone"}, "not found"),
        ({"ticket": "nogg1:AAAA"}, "cut off"),
        ({"code": "17-apple-river-stone", "address": "127.0.0.1:9"}, "could not be reached"),
    ],
)
async def test_what_cannot_lead_to_a_device(tmp_path: Path, given: dict[str, str], why: str) -> None:
    async with devices(tmp_path, "b") as (b,):
        with pytest.raises(PairingFailed, match=why):
            await b.pairing.join(**({"code": None, "ticket": None, "address": None} | given))


async def test_addresses_that_are_none_are_invalid_parameters(tmp_path: Path) -> None:
    async with devices(tmp_path, "b") as (b,):
        with pytest.raises(InvalidParams):
            await b.pairing.join(code="17-apple-river-stone", ticket=None, address="not an address")
        with pytest.raises(InvalidParams):
            await b.pairing.invite(600, ["fine:1", "not an address"])
        assert not b.pairing.is_open


async def test_tickets_of_this_device_and_of_the_past_are_refused(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        own = await b.pairing.invite(600, None)
        with pytest.raises(PairingFailed, match="this very device"):
            await b.pairing.join(code=None, ticket=own["ticket"], address=None)
        old = Ticket(read_code("17-apple-river-stone"), a.id, 1000, (a.address,))
        with pytest.raises(PairingFailed, match="expired"):
            await b.pairing.join(code=None, ticket=old.text, address=None)


async def test_a_window_of_another_number_costs_no_guess(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]
        number = int(code.split("-")[0])
        other = "-".join([str(number % 999 + 1), *code.split("-")[1:]])
        for _ in range(4):
            with pytest.raises(PairingFailed, match="another code"):
                await join(b, a, other)
        await join(b, a, code)


async def test_discovery_finds_the_window_of_a_code(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]
        asked: list[int] = []

        async def locate(number: int) -> list[list[str]]:
            asked.append(number)
            found = [[a.address, "127.0.0.1:9"], ["127.0.0.1:9"]]  # a device may have several addresses
            return found[:1] if len(asked) > 1 else found

        b.pairing._joiner._locate = locate
        with pytest.raises(PairingFailed, match="more than one"):
            await b.pairing.join(code=code, ticket=None, address=None)
        await b.pairing.join(code=code, ticket=None, address=None)
        assert asked == [read_code(code).number] * 2


async def test_nothing_is_tried_twice_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One join is one connection and one run, however it fails."""
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]
        invitation = a.pairing._inviting._invitation
        assert invitation is not None
        with pytest.raises(PairingFailed):
            await join(b, a, wrong(code))
        assert (len(invitation._prepared), invitation.guesses) == (19, 2)
        monkeypatch.setattr("noggd.services.pairing.joining.MESSAGE_TIMEOUT", 0.0)
        with pytest.raises(PairingFailed, match="hung up"):
            await join(b, a, code)
        await until(lambda: invitation.running == 0)
        assert len(invitation._prepared) >= 18


async def test_an_inviter_that_cannot_store_it_takes_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]

        async def full(*_: object) -> None:
            raise StorageFailed(retryable=True)

        monkeypatch.setattr(a.trust, "add", full)
        with pytest.raises(PairingFailed, match="could not finish"):
            await join(b, a, code)
        assert len(a.trust.group.members) == len(b.trust.group.members) == 1
        assert states(a) == ["open", "failed"]


async def test_a_joiner_that_dies_in_the_middle_leaves_no_group_behind(tmp_path: Path) -> None:
    """Before the inviter has stored it there is nothing; a joiner cut off behind that is still alone."""
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]
        joining = asyncio.ensure_future(join(b, a, code))
        await until(lambda: a.pairing._inviting._invitation and a.pairing._inviting._invitation.running)
        joining.cancel()
        await until(
            lambda: not a.pairing._inviting._invitation or not a.pairing._inviting._invitation.running
        )
        assert len(b.trust.group.members) == 1
        await b.restart()
        assert len(b.trust.group.members) == 1


async def test_a_crash_between_joining_and_the_documents_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await b.register("shared.one")
        await b.remove("shared.one")
        await a.register("shared.one")

        async def crash(*_: object) -> None:
            raise asyncio.CancelledError

        with monkeypatch.context() as crashing:
            crashing.setattr(b.pairing._joiner, "make_ready", crash)
            with pytest.raises(asyncio.CancelledError):
                await a.pair(b)
        assert b.trust.others == {}  # nobody is talked to before the documents are ready
        await b.restart()
        await until(lambda: a.linked(b) and b.linked(a))
        await until(lambda: a.has() == b.has() == {"shared.one"})


async def test_the_username_of_the_group_stays_unless_it_is_empty(tmp_path: Path) -> None:
    from noggd.core.asking import ask
    from noggd.domain.changes import Origin

    async def name(device: Device, username: str) -> None:
        origin = Origin(device.id)
        await ask(
            lambda reply: device.core.change_person(
                lambda person: person.set_username(device.now(), username), reply, origin
            )
        )

    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await name(b, "of b")
        await paired(a, b)
        await until(lambda: a.core.username == b.core.username == "of b")
        await name(c, "of c")
        await a.pair(c)
        await until(lambda: a.core.username == b.core.username == c.core.username == "of b")


async def test_the_inviter_is_called_by_the_name_that_it_was_given(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        origin = Origin(a.core.device)
        await ask(
            lambda r: a.core.change_person(lambda person: person.rename_device(a.now(), "desk"), r, origin)
        )
        assert (await a.pair(b))["device"] == {"id": a.id, "name": "desk"}
