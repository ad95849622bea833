"""The window that a code opens on this device: how long, how often, and what a stranger gets through it.

One window at a time; it ends by success, cancelling, expiry, too many wrong guesses, or a newer one. Not here: the
protocol itself (`noggd.domain.pairing`) and the connections (the links' service).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from nogg.errors import InvalidParams, NoggError, PairingFailed, ProtocolError
from noggd.core import Core
from noggd.domain import pake
from noggd.domain.addresses import MAX_ADDRESSES, parse_address
from noggd.domain.codes import CODE_BYTES, Code, Ticket, make_code
from noggd.domain.pairing import RUNS, Answer, Invitation, Joiner
from noggd.domain.pairing_wire import Refused
from noggd.services.pairing.ports import Network, Stranger
from noggd.storage.trust import Trust

MESSAGE_TIMEOUT: Final = 5.0
"""Seconds for each message of a stranger."""

Json = dict[str, Any]

log = logging.getLogger(__name__)


class Inviting:
    """The inviter's side. `tell` takes what `pair.changed` says, `now` gives Unix milliseconds."""

    def __init__(
        self, core: Core, trust: Trust, now: Callable[[], int], tell: Callable[[Json], None]
    ) -> None:
        self.network: Network
        self._core = core
        self._trust = trust
        self._now = now
        self._tell = tell
        self._invitation: Invitation | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether strangers may come in."""
        return self._invitation is not None and self._invitation.is_open(time.monotonic())

    @property
    def number(self) -> int | None:
        """The public number of the code whose window is open."""
        return self._invitation.code.number if self._invitation is not None and self.is_open else None

    async def invite(self, ttl_s: float, addresses: Sequence[str] | None) -> Json:
        """Open a window, in place of one that is open; return code, ticket, end and addresses.

        Raises InvalidParams for an address that is none, PairingFailed if this device was removed from its group.
        """
        where = self._addresses(addresses)
        if self._trust.removed:
            raise PairingFailed(
                "this device was removed from its group",
                hint="`nogg device leave` makes it independent again",
            )
        async with self._turn:
            self.close("replaced")
            code = make_code(secrets.token_bytes(CODE_BYTES))
            prepared = await asyncio.to_thread(_prepare, code)
            expires_at = self._now() + round(ttl_s * 1000)
            self._invitation = Invitation(
                code, self._trust.key.certificate, prepared, time.monotonic() + ttl_s
            )
            self._timer = asyncio.get_running_loop().call_later(ttl_s, self._look)
            self.network.refresh_tls()
        self._tell({"state": "open"})
        log.info("pairing: window %d is open for %d s", code.number, ttl_s)
        ticket = Ticket(code, self._trust.device, expires_at // 1000, tuple(where)).text
        return {"code": code.text, "ticket": ticket, "expires_at": expires_at, "addresses": where}

    def _addresses(self, given: Sequence[str] | None) -> list[str]:
        """Return the addresses for the ticket: those that were given, or all at which this device listens."""
        listening = self.network.addresses()
        if given is None:
            return listening
        port = parse_address(listening[0]).port if listening else None
        found: dict[str, None] = {}
        for nth, text in enumerate(given):
            try:
                found[str(parse_address(text, default_port=port))] = None
            except ValueError as error:
                raise InvalidParams(errors=[{"path": f"addresses.{nth}", "message": str(error)}]) from error
        return list(found)[:MAX_ADDRESSES]

    def close(self, why: str) -> None:
        """Close the window, if one is open."""
        if self._invitation is not None:
            self._invitation.close(why)
            self._look()

    def _look(self) -> None:
        """Close what is at its end: TLS must take no strangers from then on."""
        if self._invitation is None or self.is_open:
            return
        why = self._invitation.closed
        log.info("pairing: window %d is closed: %s", self._invitation.code.number, why)
        self._invitation = None
        if self._timer is not None:
            self._timer.cancel()
        self.network.refresh_tls()
        if why in ("guesses", "runs", "failed"):
            self._tell({"state": "failed"})
        elif why != "used":
            self._tell({"state": "closed"})

    # A stranger

    async def answer(self, stranger: Stranger) -> None:
        """Run the protocol with a stranger that came in through the window."""
        invitation = self._invitation
        try:
            if invitation is None:
                raise Refused("closed")
            run = invitation.begin(time.monotonic())
        except Refused as refused:
            await _say(stranger, refused.message)
            return
        try:
            await self._run(run, stranger)
        except Refused as refused:
            log.info("pairing: a stranger was refused: %s", refused.reason)
            await _say(stranger, refused.message)
        except (ProtocolError, TimeoutError, EOFError) as error:
            log.info("pairing: a stranger gave up or misbehaved: %s", str(error) or type(error).__name__)
        finally:
            invitation.end()
            self._look()

    async def _run(self, run: Answer, stranger: Stranger) -> None:
        first = await _receive(stranger)
        await stranger.send(await asyncio.to_thread(run.element, first))
        joiner = run.proof(await _receive(stranger), time.monotonic())
        welcome = await self._take_in(run, joiner)
        device = joiner.certificate.device
        log.info("pairing: %s has joined", device)
        await stranger.send(welcome)
        self._tell({"state": "paired", "device": {"id": device, "name": joiner.name}})
        await self.network.apply_members()
        with suppress(EOFError, TimeoutError):
            await _receive(stranger)  # the joiner hangs up when it has read all

    async def _take_in(self, run: Answer, joiner: Joiner) -> bytes:
        """Make the joiner a member, on disk, and return the message that tells it so."""
        trust, device = self._trust, joiner.certificate.device
        if device in trust.group.evicted:
            raise Refused("removed")
        try:
            await trust.add(joiner.certificate, joiner.name, joiner.identities)
        except NoggError as error:
            log.warning("pairing: the joiner could not be taken in: %s", error.message)
            self._tell({"state": "failed"})
            raise Refused("failed") from error
        trust.note(device, name=joiner.name, addresses=joiner.addresses)
        known = {other: peer.addresses for other, peer in trust.peers.items() if other in trust.group.members}
        addresses = {**known, trust.device: tuple(self.network.addresses())}
        name = self._core.device_names.get(trust.device) or trust.name_of(trust.device)
        return run.welcome(trust.statements, addresses, bool(self._core.username), name)


def _prepare(code: Code) -> list[pake.Exchange]:
    return [pake.begin(code.password, inviter=True, random=secrets.token_bytes) for _ in range(RUNS)]


async def _receive(stranger: Stranger) -> bytes:
    async with asyncio.timeout(MESSAGE_TIMEOUT):
        return await stranger.receive()


async def _say(stranger: Stranger, message: bytes) -> None:
    with suppress(EOFError):
        await stranger.send(message)
