"""`nogg demo`: two throw-away devices show in a few seconds what the daemon promises.

The story is told here step by step; how a throw-away daemon is run is in `throwaway`.
"""

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from noggd.cli.base import Command, pass_state
from noggd.cli.exits import Failure
from noggd.cli.output import style
from noggd.cli.state import State
from noggd.cli.throwaway import Device, knock

PATIENCE = 20.0
"""Seconds after which something that should have arrived counts as lost."""
_STEP = 0.005

GARDEN = "garden.k3v9x2m7q4w8z1pd"
STUDIO = "studio.h5t8r2y6n1c4b7fs"
PASSWORD = "open sesame"  # noqa: S105 - it guards nothing


@click.command(cls=Command)
@pass_state
def demo(state: State) -> None:
    """Show what it does, with two throw-away devices.

    They pair, sync, merge, crash and refuse a stranger. Nothing outside a temporary folder is touched,
    nothing leaves this machine. Exits 1 if anything is not as promised.
    """
    story = Story(quiet=state.output.json)
    with _ends_in_order(), tempfile.TemporaryDirectory(prefix="nogg-demo-") as folder, ExitStack() as running:
        story.say(f"Two devices of one person, played by two daemons in {folder}")
        laptop, phone = (Device(name, Path(folder)) for name in ("laptop", "phone"))
        for device in (laptop, phone):
            running.callback(device.kill)
        tell(story, laptop, phone)
    story.say("")
    story.say(
        style("All as promised.", "green") + " The two devices are gone again. Now yours: nogg daemon start"
    )
    if state.output.json:
        state.output.document({"ok": True, "steps": story.steps})


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end it as Ctrl-C does: the daemons and their folder go with it."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signals = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in signals}
    try:
        for number in signals:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, end)
        yield
    finally:
        for number in signals:
            signal.signal(number, before[number])


class Story:
    """Numbers the steps of the demonstration and keeps how long each took."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self.steps: list[dict[str, object]] = []

    def say(self, text: str) -> None:
        """Tell a line, unless only JSON is wanted."""
        if not self._quiet:
            click.echo(text)

    def step(self, title: str, action: Callable[[], list[str]]) -> None:
        """Do one step, tell what came out."""
        self.say("")
        self.say(style(f"{len(self.steps) + 1}. {title}", "bold"))
        begun = time.monotonic()
        for line in action():
            self.say(f"   {line}")
        self.steps.append({"step": title, "ms": round((time.monotonic() - begun) * 1000)})


def tell(story: Story, laptop: Device, phone: Device) -> None:
    """Tell the story of two devices; raises Failure at the first thing that is not as promised."""
    story.step("Each device starts with a store and a key of its own.", lambda: _start(laptop, phone))
    story.step("The laptop shows a one-time code, the phone takes it.", lambda: _pair(laptop, phone))
    story.step("A microcosm opened on the laptop appears on the phone.", lambda: _share(laptop, phone))
    story.step("The laptop sets a password, and dies at once: kill -9.", lambda: _crash(laptop))
    story.step("Meanwhile the phone, alone, goes on working.", lambda: _alone(phone))
    story.step("The laptop comes back: nothing is lost, both changes merge.", lambda: _merge(laptop, phone))
    story.step("A stranger knocks at the laptop's port.", lambda: _stranger(laptop))


def _start(laptop: Device, phone: Device) -> list[str]:
    for device in (laptop, phone):
        device.launch()  # both load at the same time
    for device in (laptop, phone):
        device.wait_until_ready()
        device.call("device.rename", name=device.name)
    return [f"{d.name.ljust(7)} {d.call('hello')['device']['id']}" for d in (laptop, phone)]


def _pair(laptop: Device, phone: Device) -> list[str]:
    invitation = laptop.call("pair.invite")
    address = invitation["addresses"][0]
    phone.call("pair.join", code=invitation["code"], address=address)
    until("the devices are connected", lambda: _online(laptop) and _online(phone))
    return [
        f"laptop$ nogg pair                       shows {invitation['code']}",
        f"phone$  nogg pair {invitation['code']} --address {address}",
        "paired: each trusts the other's key now, and nobody had to copy one",
    ]


def _online(device: Device) -> bool:
    return any(peer["state"] == "online" for peer in device.call("sync.status")["peers"])


def _share(laptop: Device, phone: Device) -> list[str]:
    laptop.call("reference.register", microcosmID=GARDEN)
    begun = time.monotonic()
    until("the phone has the garden", lambda: phone.look(GARDEN) is not None)
    took = (time.monotonic() - begun) * 1000
    return [f"laptop$ nogg open {GARDEN}", f"phone$  nogg list    shows it {took:.0f} ms later"]


def _crash(laptop: Device) -> list[str]:
    laptop.call("reference.update", microcosmID=GARDEN, password=PASSWORD)
    laptop.call("reference.register", microcosmID=STUDIO)
    laptop.kill()
    return [
        f"laptop$ nogg update {GARDEN} --password-stdin    answered",
        f"laptop$ nogg open {STUDIO}                       answered",
        "laptop  killed, without a moment to tidy up",
    ]


def _alone(phone: Device) -> list[str]:
    phone.call("reference.update", microcosmID=GARDEN, view="spatial")
    return [f"phone$  nogg update {GARDEN} --view spatial"]


def _merge(laptop: Device, phone: Device) -> list[str]:
    laptop.launch()
    laptop.wait_until_ready()
    kept = laptop.look(GARDEN)
    expect(kept is not None and kept["password"] == PASSWORD, "the laptop lost an answered change")
    expect(laptop.look(STUDIO) is not None, "the laptop lost an answered registration")
    for device in (laptop, phone):
        until(f"the {device.name} has password and view", lambda device=device: _whole(device))  # type: ignore[misc]
    until("the two devices agree", lambda: _shared(laptop) == _shared(phone))
    return [
        "laptop  has everything that it had answered, and the phone's change too",
        f"both    {GARDEN}: password from the laptop, view from the phone",
        f"both    {STUDIO}",
    ]


def _whole(device: Device) -> bool:
    garden = device.look(GARDEN)
    complete = garden is not None and garden["password"] == PASSWORD and garden["view"] == "spatial"
    return complete and device.look(STUDIO) is not None


def _shared(device: Device) -> list[dict[str, Any]]:
    """Return what devices must agree on: all but the revision, which each counts by itself."""
    references = device.call("reference.list")["references"]
    return [{key: value for key, value in one.items() if key != "revision"} for one in references]


def _stranger(laptop: Device) -> list[str]:
    heard = knock(laptop.address())
    expect(heard == b"", f"the stranger was told {len(heard)} bytes")
    return ["refused: it learns nothing, not even a name"]


def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait until something holds; raises Failure if it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise Failure(f"not as promised: after {PATIENCE:.0f} s it is not so that {what}")
        time.sleep(_STEP)


def expect(holds: bool, otherwise: str) -> None:
    """Raise Failure unless something holds."""
    if not holds:
        raise Failure(f"not as promised: {otherwise}")
