"""Networks of the tests' own: a namespace for each device, a switch between them. Nothing leaves the machine."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemons import Daemon
from tests.network.switch import Switch, fill_in_checksums, within

_numbers = itertools.count(1)
PORT = 7734
WRONG_CLOCK = Path(__file__).with_name("wrong_clock.py")


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def why_not() -> str | None:
    """Say why no namespace can be made here, if none can."""
    if not sys.platform.startswith("linux") or shutil.which("ip") is None:
        return "needs iproute2 on Linux"
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    name = f"nogg-try-{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if done.returncode != 0:
        return f"no network namespaces here: {done.stderr.strip()}"
    # some containers let one be made, and then not be entered
    done = subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], capture_output=True, text=True)
    ip("netns", "del", name)
    return f"network namespaces cannot be entered here: {done.stderr.strip()}" if done.returncode else None


class Host(Daemon):
    """A daemon on a machine of its own, as far as the network goes: it has one interface, `e0`."""

    def __init__(self, folder: Path, namespace: str, port: str, *flags: str) -> None:
        super().__init__(folder, *flags)
        self.namespace = namespace
        self.port = port
        self.addresses: list[str] = []
        self._clock = folder / "clock"

    def command(self) -> list[str]:
        places = ["--socket", self.socket, "--state-dir", self.state, "--config", self.config]
        self.set_clock(0)
        service = [sys.executable, WRONG_CLOCK, self._clock, *places, *self.flags]
        return ["ip", "netns", "exec", self.namespace, *map(str, service)]

    def set_clock(self, milliseconds: int) -> None:
        """Let its wall clock be wrong by so much from now on."""
        ready = self._clock.with_suffix(".new")
        ready.write_text(str(milliseconds))
        ready.replace(self._clock)

    def move(self, *addresses: str) -> None:
        """Be at other addresses, ADDRESS/LENGTH."""
        for address in self.addresses:
            ip("-n", self.namespace, "address", "del", address, "dev", "e0")
        for address in addresses:
            quick = ["nodad"] if ":" in address else []
            ip("-n", self.namespace, "address", "add", address, "dev", "e0", *quick)
        self.addresses = list(addresses)


class Lab:
    """Makes hosts and the switch between them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"nogg{os.getpid()}-{next(_numbers)}"
        self.hosts: list[Host] = []
        self._spaces: list[str] = []
        self._space(self._name)
        self.switch = Switch(self._name)

    def _space(self, name: str) -> None:
        ip("netns", "add", name)
        self._spaces.append(name)

    def host(self, name: str, *addresses: str, flags: tuple[str, ...] = ()) -> Host:
        """Return a host that is connected; its daemon is not started yet."""
        space, port = f"{self._name}-{name}", f"p-{name}"
        self._space(space)
        no_autoconf = "net.ipv6.conf.default.addr_gen_mode=1"
        subprocess.run(["ip", "netns", "exec", space, "sysctl", "-qw", no_autoconf], capture_output=True)
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "link", "add", "e0", "type", "veth", "peer", "name", port, "netns", self._name)
        within(space, lambda: fill_in_checksums("e0"))
        ip("-n", self._name, "link", "set", port, "up")
        ip("-n", space, "link", "set", "e0", "up")
        self.switch.plug(port)
        host = Host(self._folder / name, space, port, *flags)
        host.move(*addresses)
        self.hosts.append(host)
        return host

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        self.switch.close()
        for space in self._spaces:
            with contextlib.suppress(AssertionError):
                ip("netns", "del", space)


@pytest.fixture(scope="module")
def make_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Lab]]:
    """Give networks, which go with their hosts when the module's tests have ended."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    labs: list[Lab] = []

    def make() -> Lab:
        labs.append(Lab(tmp_path_factory.mktemp("lab")))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab: Callable[[], Lab], request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A network for one test."""
    made = make_lab()
    yield made
    for host in made.hosts:
        host.close()
        print(host.words())
