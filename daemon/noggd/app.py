"""The daemon as the list of its parts: what is opened, in which order, and so in which order it is closed.

    lock ─ sockets (hello answers) ─ trust ─ store ─ core ─ pairing, peers ─ local API (all answers) ─ discovery

Stopping goes the other way: apps are answered, links are closed, the core is drained, apps are told, and the lock
goes last. Nothing here decides anything about sessions or devices.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nogg.paths import Paths
from noggd.core import Core, open_core
from noggd.domain.changes import Origin
from noggd.platform import logs, systemd
from noggd.platform.clock import now_ms
from noggd.platform.config import ConfigError, Settings, changed
from noggd.platform.files import InstanceLock, private_directory, sweep
from noggd.platform.limits import allow_many_descriptors
from noggd.platform.unix_socket import ListeningSocket
from noggd.services.discovery import Discovery, Surroundings
from noggd.services.health import Facts, Health, own_version
from noggd.services.lifeline import lifeline
from noggd.services.local_api import Parts, listen
from noggd.services.pairing import Pairing, open_pairing
from noggd.services.peers import Peers, open_peers
from noggd.storage.journal import STORE, Journal
from noggd.storage.trust import Trust, open_trust
from noggd.storage.unfinished import check_finished

KEY_CREDENTIAL = "noggd.device.pem"
"""systemd's credential (LoadCredential=) that may hold the key of a device which is set up anew."""

NAME_MAX = 64
"""Characters of a host's name that become the device's."""

log = logging.getLogger(__name__)


async def run(settings: Settings, paths: Paths, reload: Callable[[], Settings]) -> None:
    """Run the daemon until it is told to stop.

    `reload` reads the settings again and raises ConfigError. Raises what the parts raise when they cannot be
    opened: AlreadyRunning, UnsafePath, SocketInUse, StoreBroken.
    """
    asyncio.get_running_loop().set_exception_handler(logs.fault_in_loop)
    allow_many_descriptors()
    private_directory(paths.state)
    name = settings.device_name or socket.gethostname()[:NAME_MAX] or "device"
    face = Face(name)
    stop = asyncio.Event()
    reloader = Reloader(settings, reload)
    with InstanceLock(paths.state) as lock, local_sockets(paths) as door:
        async with (
            signals(stop.set, reloader),
            listen(door.sockets, face.about) as api,
            trusted(paths, name) as trust,
            stored(paths) as journal,
            open_core(journal, trust.device, trust.counted, now_ms) as core,
        ):
            await introduce(core, trust, name)
            finder = Discovery(trust, now_ms) if settings.discovery else None
            async with (
                open_pairing(core, trust, now_ms, finder.locate if finder else None) as pairing,
                open_peers(core, trust, now_ms, settings.listen, pairing) as peers,
            ):
                await pairing.attach(peers)
                face.core = core
                about = Facts(
                    core=core,
                    journal=journal,
                    lock=lock,
                    places=paths,
                    settings=lambda: reloader.settings,
                    socket=door.path,
                    peers=lambda: peers.status()["peers"],
                    connections=lambda: len(api.connections),
                    subscriptions=lambda: len(api.hub),
                    stop=stop.set,
                )
                health = Health(about)
                alive = lifeline(core.prove, lambda: tell(health, WATCHDOG=1), systemd.watchdog_interval())
                found = discovered(finder, trust, pairing, peers)
                async with api.serving(Parts(core, pairing, peers, health)), alive, found:
                    spare_the_collector()
                    tell(health, READY=1)
                    log.info("ready, device %s", core.device)
                    await stop.wait()
                    systemd.notify(STOPPING=1, STATUS="stopping")
                    log.info("stopping")


class Face:
    """What `hello` says of the daemon, as far as it is known: little before the store is loaded."""

    def __init__(self, name: str) -> None:
        self.core: Core | None = None
        self._name = name

    def about(self) -> dict[str, Any]:
        """Return the daemon, the device and the epoch."""
        core = self.core
        device = {"id": core.device if core else "", "name": self._name}
        if core is not None:
            device["name"] = core.device_names.get(core.device, self._name)
        epoch = core.epoch if core else "loading"
        return {"daemon": {"name": "noggd", "version": own_version()}, "device": device, "epoch": epoch}


class Reloader:
    """What SIGHUP does: read the settings again and use what can change while we run."""

    def __init__(self, settings: Settings, read: Callable[[], Settings]) -> None:
        self.settings = settings
        self._read = read

    def __call__(self) -> None:
        """Reload; settings that cannot be used leave the old ones in force."""
        systemd.notify_reloading()
        try:
            settings = self._read()
        except ConfigError as error:
            log.error("not reloaded: %s", error)
        else:
            live, later = changed(self.settings, settings)
            logs.set_up(settings.log_level, settings.log_format)
            self.settings = settings
            log.info("reloaded: %s", ", ".join(live) or "nothing changed that takes effect now")
            if later:
                log.warning("%s will change with the next start", ", ".join(later))
        systemd.notify(READY=1)


class Door(NamedTuple):
    """Where apps come in; `path` is None where systemd holds it."""

    sockets: list[socket.socket]
    path: Path | None


@contextmanager
def local_sockets(paths: Paths) -> Iterator[Door]:
    """Take the sockets that systemd passed, or bind our own."""
    passed = [each for each in systemd.passed_sockets() if each.family == socket.AF_UNIX]
    if passed:
        yield Door(passed, None)
        return
    own = ListeningSocket(paths.socket)
    try:
        yield Door([own.socket], paths.socket)
    finally:
        own.close()


@asynccontextmanager
async def signals(stop: Callable[[], None], reload: Callable[[], None]) -> AsyncIterator[None]:
    """Stop at SIGTERM and SIGINT, reload at SIGHUP."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    yield


@asynccontextmanager
async def trusted(paths: Paths, name: str) -> AsyncIterator[Trust]:
    """Open who is trusted; a first start makes the device's key, or takes it from the credential of that name."""
    check_finished(paths.state)
    sweep(paths.state)
    key = systemd.credential(KEY_CREDENTIAL)
    trust = await asyncio.to_thread(open_trust, paths.state, name, given_key=key)
    try:
        yield trust
    finally:
        await trust.close()


@asynccontextmanager
async def stored(paths: Paths) -> AsyncIterator[Journal]:
    """Open the journal, in a thread: reading it through takes a while."""
    journal = await asyncio.to_thread(Journal, paths.state / STORE)
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)


@asynccontextmanager
async def discovered(
    finder: Discovery | None, trust: Trust, pairing: Pairing, peers: Peers
) -> AsyncIterator[None]:
    """Find and be found on the local network, if that is wanted: what is heard of a member is dialled."""
    if finder is None:
        yield
        return
    peers.moved = finder.renew
    ends = [trust.listen(finder.renew), pairing.listen(lambda _: finder.renew())]
    async with finder.running(Surroundings(peers.announced, lambda: pairing.number, peers.found)):
        yield
    for end in ends:
        end()


def tell(health: Health, **fields: int) -> None:
    """Tell systemd something, and how things are in a line."""
    systemd.notify(**fields, STATUS=health.line())


def spare_the_collector() -> None:
    """Let the garbage collector leave alone what was loaded, and look at the rest less often.

    Sessions are trees, freed by counting references; looking for cycles among them took a third of each change. It
    was off so far: imports and loading leave some hundred small cycles, and looking for them took 0.1 s.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)


async def introduce(core: Core, trust: Trust, name: str) -> None:
    """Tell the core who the person is, and name this device if it has no name yet."""
    core.identity_id, core.aliases = trust.group.identity, trust.group.aliases
    if core.device not in core.device_names:
        named = asyncio.get_running_loop().create_future()
        core.change_person(
            lambda person: person.rename_device(core.now(), name), named.set_result, Origin(core.device)
        )
        await named  # whether it could be stored or not: a device without a name works too
