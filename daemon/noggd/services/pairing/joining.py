"""Going through another device's window, with a code or a ticket, and joining its group.

A code is tried once: what fails after the first proof was sent is never tried again by itself. Not here:
the protocol (`noggd.domain.pairing`) and the connections (the links' service).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from nogg.errors import InvalidParams, PairingFailed, ProtocolError
from noggd.core import Core
from noggd.core.asking import ask
from noggd.domain import pake
from noggd.domain.addresses import parse_address
from noggd.domain.codes import Code, is_ticket, read_code, read_ticket
from noggd.domain.devices import check_certificate
from noggd.domain.pairing import Joining, Welcome, about
from noggd.domain.pairing_wire import Refused
from noggd.services.pairing.ports import Host, Network
from noggd.storage.trust import Trust

MESSAGE_TIMEOUT: Final = 15.0
"""Seconds for each message of the inviter, which may be slow and has to write to its disk."""

HINTS: Final = {
    "code": "make a new code there and type it carefully; if it fails again, somebody may be in between",
    "closed": "make a new code on the other device",
    "number": "compare the whole code, its number included",
    "removed": "`nogg device leave` gives this device a new key; then pair with a new code",
    "busy": "make a new code on the other device, and let only one device try it",
    "version": "bring both devices to the same version of noggd",
}

Json = dict[str, Any]
Locate = Callable[[int], Awaitable[list[list[str]]]]
"""Find the addresses of each of the devices that announce a window of this number on the local network."""

log = logging.getLogger(__name__)


class Joiner:
    """The joiner's side."""

    def __init__(self, core: Core, trust: Trust, now: Callable[[], int], locate: Locate | None) -> None:
        self.network: Network
        self._core = core
        self._trust = trust
        self._now = now
        self._locate = locate
        self._turn = asyncio.Lock()

    async def join(self, code: str | None, ticket: str | None, address: str | None) -> Json:
        """Join; return the inviter and what was merged. Raises PairingFailed, InvalidParams, StorageFailed."""
        if self._turn.locked():
            raise PairingFailed("this device is already pairing")
        async with self._turn:
            self._check_alone()
            secret, device, where = await self._where(code or ticket or "", address)
            try:
                host = await self._meet(where, device)
            except PairingFailed as error:
                self._blame_time(ticket or code or "", error)
                raise
            try:
                welcome = await self._run(secret, host)
            finally:
                host.close()
            return await self._enter(welcome, host.address)

    def _check_alone(self) -> None:
        trust = self._trust
        if trust.removed:
            raise PairingFailed(
                "this device was removed from its group",
                hint="`nogg device leave` gives it a new key; then pair",
            )
        if len(trust.group.members) > 1:
            raise PairingFailed(
                "this device already belongs to a group of devices",
                hint="`nogg device leave` leaves that group first; or pair the other device from here",
            )

    async def _where(self, text: str, address: str | None) -> tuple[Code, str | None, list[str]]:
        """Return the code, whose it is if that is known, and the addresses to try."""
        try:
            given = [] if address is None else [str(parse_address(address))]
        except ValueError as error:
            raise InvalidParams(errors=[{"path": "address", "message": str(error)}]) from error
        try:
            if is_ticket(text):
                ticket = read_ticket(text)
                if ticket.device == self._trust.device:
                    raise PairingFailed("this ticket was made on this very device")
                return ticket.code, ticket.device, given or list(ticket.addresses)
            code = read_code(text)
        except ProtocolError as error:
            raise PairingFailed(str(error)) from error
        return code, None, given or await self._find(code.number)

    def _blame_time(self, text: str, error: PairingFailed) -> None:
        """Say that the ticket has expired, where that explains it; the inviter's clock decides, not ours."""
        if is_ticket(text) and read_ticket(text).expires_at * 1000 < self._now():
            raise PairingFailed(
                "the ticket has expired", hint="make a new one on the other device"
            ) from error

    async def _find(self, number: int) -> list[str]:
        """Find the one device that announces this number; of several, one may be lying in wait."""
        found = await self._locate(number) if self._locate is not None else []
        if not found:
            raise PairingFailed(
                "the other device was not found on the local network",
                hint="add --address HOST:PORT as the other device shows it, or use its ticket",
            )
        if len(found) > 1:
            raise PairingFailed(
                "more than one device announces this number",
                hint="add --address HOST:PORT as the right device shows it, or use its ticket",
            )
        return found[0]

    async def _meet(self, where: list[str], device: str | None) -> Host:
        if not where:
            raise PairingFailed(
                "the ticket holds no address", hint="add --address HOST:PORT as the other device shows it"
            )
        try:
            host = await self.network.meet(where, device)
        except PermissionError as error:
            raise PairingFailed(
                "the other device takes no code at this moment: it has expired, was used or was cancelled",
                hint="make a new code on the other device",
            ) from error
        if host is None:
            who = "a device" if device is None else "the device of this ticket"
            raise PairingFailed(
                f"{who} could not be reached at {', '.join(where)}",
                hint="check that noggd runs there, and the address that it shows",
            )
        return host

    async def _run(self, code: Code, host: Host) -> Welcome:
        """Run the protocol, once."""
        trust = self._trust
        told = about(
            self._core.device_names.get(trust.device) or trust.name_of(trust.device),
            [trust.group.identity, *trust.group.aliases],
            self.network.addresses(),
        )
        try:
            shown = check_certificate(host.certificate)
            exchange = await asyncio.to_thread(
                pake.begin, code.password, inviter=False, random=secrets.token_bytes
            )
            joining = Joining(code, trust.key, shown, exchange, told)
            await _say(host, joining.element())
            proof = await asyncio.to_thread(joining.proof, await _receive(host))
            await _say(host, proof)
            return await asyncio.to_thread(joining.finish, await _receive(host))
        except Refused as refused:
            if refused.reason == "removed":
                await trust.note_refused(True)
            raise PairingFailed(str(refused), hint=HINTS.get(refused.reason)) from refused
        except ProtocolError as error:
            raise PairingFailed("the other device does not keep to the protocol") from error
        except (EOFError, TimeoutError) as error:
            raise PairingFailed("the other device hung up", hint="make a new code and try again") from error

    async def _enter(self, welcome: Welcome, address: str) -> Json:
        """Take on the group, then make the documents ready, then meet the others."""
        trust, inviter = self._trust, welcome.inviter
        known = {d: a for d, a in welcome.addresses.items() if d != trust.device}
        known[inviter] = tuple(dict.fromkeys([address, *known.get(inviter, ())]))
        await trust.adopt(welcome.genesis, welcome.statements, known, welcome.named)
        if welcome.name:
            trust.note(inviter, name=welcome.name)
        merged = await self.make_ready()
        self.network.dial()
        log.info("pairing: joined the group of %s", inviter)
        return {"device": {"id": inviter, "name": trust.name_of(inviter)}, "merged": merged}

    async def make_ready(self) -> Json:
        """Make the documents ready for the group that was joined; also what a crash in between left to do."""
        named = bool(self._trust.state.joining)
        merged: Json = await ask(lambda reply: self._core.join(not named, reply))
        await self._trust.joined()
        await self.network.apply_members()
        return merged


async def _say(host: Host, message: bytes) -> None:
    """Send a message; to a host that has hung up, why it did is still to be read."""
    with suppress(EOFError):
        await host.send(message)


async def _receive(host: Host) -> bytes:
    async with asyncio.timeout(MESSAGE_TIMEOUT):
        return await host.receive()
