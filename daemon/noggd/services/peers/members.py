"""What follows when the group changes: links end, the core counts other maps, everybody is told.

Here: carrying a change of membership into the core and over the links, and the two acts of a person that make one:
evicting a device, and leaving. Not here: who is a member (`noggd.storage.trust`, `noggd.domain.membership`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from nogg.errors import NoggError, NotPaired
from noggd.core import Core
from noggd.core.asking import ask
from noggd.services.peers.links import Links
from noggd.storage.trust import Trust

ACKNOWLEDGED_WITHIN: Final = 2.0
"""Seconds that eviction and leaving wait for others to have it on disk."""
RETRY: Final = 10.0
"""Seconds until a change that the disk did not take is tried again."""

log = logging.getLogger(__name__)

Acks = Mapping[str, asyncio.Future[None]]


class Members:
    """Keeps core and links in step with the group. `refresh` lets TLS and the dialler follow."""

    def __init__(self, core: Core, trust: Trust, links: Links, refresh: Callable[[], None]) -> None:
        self._core = core
        self._trust = trust
        self._links = links
        self._refresh = refresh
        self._due = asyncio.Event()
        self._turn = asyncio.Lock()
        self._acks: Acks = {}
        self._counted = trust.counted
        """Whose writings the core counts."""

    def changed(self) -> None:
        """React to a change of the group: at once where it is about security, in time for the rest."""
        self._refresh()
        self._links.end_strangers()
        self._acks = self._links.say_statements()
        self._due.set()
        self._core.announce_devices()

    async def keep(self) -> None:
        """Carry changes into the core as they come, for ever."""
        loop = asyncio.get_running_loop()
        self._due.set()
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self.apply()
            except NoggError as error:
                log.warning("a change of the group is not in the documents yet: %s", error.message)
                loop.call_later(RETRY, self._due.set)

    async def apply(self) -> None:
        """Let the core count just the members' maps, after it took over what former members had written.

        A device that was removed itself goes on with what it has: for it nothing changes until it leaves.
        """
        async with self._turn:
            trust, core = self._trust, self._core
            if trust.removed or trust.state.joining is not None:
                return
            group = trust.group
            if (core.identity_id, core.aliases) != (group.identity, group.aliases):
                core.identity_id, core.aliases = group.identity, group.aliases
                core.announce_identity()
            if core.device != trust.device:
                await ask(lambda reply: core.become(trust.device, trust.counted, reply))
            members, former = frozenset(group.members), trust.to_take_over
            waiting = former
            for device in sorted(former):
                waiting -= {device}
                await self._take_over(device, members | waiting)
            if former:
                await trust.note_taken_over(former)
            elif members != self._counted:
                await ask(lambda reply: core.set_members(members, reply))
            self._counted = members

    async def _take_over(self, device: str, counted: frozenset[str]) -> None:
        """Take over what a device had written. Who is yet to be taken over must still count, or is lost."""
        core = self._core
        await ask(lambda reply: core.exclude(device, counted, reply))

    # Acts

    async def evict(self, device: str) -> list[str]:
        """Shut a device out for good; return the members that do not know of it yet. Raises NotPaired."""
        if device == self._trust.device:
            raise NotPaired("a device cannot evict itself", hint="`nogg device leave` leaves the group")
        await self._trust.remove(device)
        log.warning("evicted %s", device)
        acks = self._acks
        await self.apply()
        done = await self._acknowledged(acks)
        return [other for other in self._trust.others if other not in done]

    async def leave(self) -> None:
        """Leave the group, tell it as far as it can be reached, and go on alone with the data.

        With a new key if the old one was removed, or may have been. A device that is alone stays as it is.
        """
        trust = self._trust
        if len(trust.group.members) < 2 and not trust.removed and not trust.state.refused:
            return
        name = self._core.device_names.get(trust.device) or trust.name_of(trust.device)
        if not trust.removed:
            farewell = [trust.farewell()]
            links = {link.device: link for link in self._links.chosen()}
            await self._acknowledged({device: link.stating.say(farewell) for device, link in links.items()})
        await trust.found(name, new_key=trust.removed or trust.state.refused)
        log.warning("left the group")
        await self.apply()

    @staticmethod
    async def _acknowledged(acks: Acks) -> set[str]:
        """Wait a while; return who has it on disk."""
        if acks:
            await asyncio.wait(acks.values(), timeout=ACKNOWLEDGED_WITHIN)
        return {device for device, ack in acks.items() if ack.done() and not ack.cancelled()}
