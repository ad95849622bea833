"""Waiting until other devices have stored a revision: `sync.wait`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from nogg.errors import NotPaired, Timeout
from noggd.core import Core
from noggd.core.asking import ask
from noggd.core.replicas import document_of
from noggd.domain.update import decode_state_vector
from noggd.services.peers.links import Links
from noggd.storage.trust import Trust

Json = dict[str, Any]


async def wait_until_stored(
    core: Core,
    trust: Trust,
    links: Links,
    session: str,
    revision: int,
    devices: str | Sequence[str],
    timeout_s: float,
) -> list[Json]:
    """Return who has stored a revision of a session, and since when that is known, as soon as enough have.

    A revision that is not there yet is waited for too; one so old that its state is not known any more may
    be answered a little late, never early. Raises Timeout with those who have it by then, NotPaired for a
    device that is no member.
    """
    waiting = _Waiting(core, links, session, _wanted(trust, devices), devices == "any")
    stop = [links.known.watch(waiting.look), core.listen(lambda _: waiting.look())]
    try:
        async with asyncio.timeout(timeout_s):
            while core.view(session).revision < revision:
                await waiting.moved()
            waiting.target = links.known.state_with(session, revision)
            if waiting.target is None:
                await ask(core.settle)
                waiting.target = decode_state_vector(core.vector(document_of(session)))
            while not waiting.enough():
                await waiting.moved()
    except TimeoutError:
        raise Timeout(
            f"not all of the devices have stored revision {revision} of {session}", synced=waiting.rows()
        ) from None
    finally:
        for end in stop:
            end()
    return waiting.rows()


def _wanted(trust: Trust, devices: str | Sequence[str]) -> list[str]:
    if isinstance(devices, str):
        return sorted(trust.others)
    strangers = [device for device in devices if device not in trust.others and device != trust.device]
    if strangers:
        raise NotPaired(f"no such device: {strangers[0]}")
    return [device for device in devices if device != trust.device]


class _Waiting:
    """Who has it so far. `any_one`: one is enough."""

    def __init__(self, core: Core, links: Links, session: str, wanted: Sequence[str], any_one: bool) -> None:
        self.target: Mapping[int, int] | None = None
        self._core = core
        self._links = links
        self._document = document_of(session)
        self._wanted = wanted
        self._any_one = any_one
        self._since: dict[str, int] = {}
        self._news = asyncio.Event()

    def look(self) -> None:
        self._news.set()

    async def moved(self) -> None:
        await self._news.wait()
        self._news.clear()

    def enough(self) -> bool:
        if self.target is None:
            return False
        for device in self._wanted:
            has = self._links.known.stored_by(device, self._document, self._links.of(device))
            if all(has.get(client, 0) >= clock for client, clock in self.target.items()):
                self._since.setdefault(device, self._core.now())
        return bool(self._since) if self._any_one else len(self._since) == len(set(self._wanted))

    def rows(self) -> list[Json]:
        return [{"device": device, "at": at} for device, at in self._since.items()]
