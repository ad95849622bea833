"""A network switch in a thread, whose cables can be cut, slowed down and made to lose frames.

It carries Ethernet frames between network namespaces by packet sockets, so it works where the kernel has neither a
bridge nor netem, and it can count what goes through.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ETH_P_ALL = 3
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
CLONE_NEWNET = 0x40000000
FRAME = 65_536


def within(namespace: str, act: Callable[[], T]) -> T:
    """Call something in a network namespace: a thread of its own enters it, and the process stays where it is."""
    results: list[T] = []

    def enter() -> None:
        with (Path("/run/netns") / namespace).open() as place:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        results.append(act())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return results[0]


def fill_in_checksums(interface: str) -> None:
    """Let the kernel write checksums itself: there is no hardware behind a packet socket that would."""
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCETHTOOL, request)


class Switch:
    """Carries frames between its ports. `loss` (0 to 1) and `delay` (seconds) hold for every frame, `lost` counts.

    `islands` are sets of ports that reach only each other; `deaf` are pairs (from, to) that lose everything.
    """

    def __init__(self, namespace: str) -> None:
        self.loss = 0.0
        self.lost = 0
        self.delay = 0.0
        self.islands: list[set[str]] = []
        self.deaf: set[tuple[str, str]] = set()
        self.multicasts: list[tuple[str, bytes]] = []
        self._namespace = namespace
        self._random = random.Random(4)
        self._ports: dict[str, socket.socket] = {}
        self._known: dict[bytes, str] = {}
        self._late: list[tuple[float, int, str, bytes]] = []
        self._sequence = 0
        self._wake, self._bell = os.pipe()
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def plug(self, port: str) -> None:
        """Take an interface of the switch's namespace as a port."""

        def open_port() -> socket.socket:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            raw.bind((port, ETH_P_ALL))
            raw.setblocking(False)
            return raw

        self._ports[port] = within(self._namespace, open_port)
        os.write(self._bell, b"!")

    def mend(self) -> None:
        """Be a good network again."""
        self.loss, self.delay, self.islands, self.deaf = 0.0, 0.0, [], set()

    def close(self) -> None:
        """Carry nothing more."""
        self._running = False
        os.write(self._bell, b"!")
        self._thread.join()
        for raw in self._ports.values():
            raw.close()
        os.close(self._wake)
        os.close(self._bell)

    def _run(self) -> None:
        while self._running:
            ports = {raw.fileno(): name for name, raw in list(self._ports.items())}
            wait = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            ready, _, _ = select.select([self._wake, *ports], [], [], wait)
            for descriptor in ready:
                if descriptor == self._wake:
                    os.read(self._wake, 64)
                else:
                    for frame in self._frames(ports[descriptor]):
                        self._carry(ports[descriptor], frame)
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, port, frame = heapq.heappop(self._late)
                self._send(port, frame)

    def _frames(self, port: str) -> Iterator[bytes]:
        with contextlib.suppress(OSError):
            for _ in range(64):
                frame, address = self._ports[port].recvfrom(FRAME)
                if address[2] != socket.PACKET_OUTGOING:
                    yield frame

    def _carry(self, source: str, frame: bytes) -> None:
        self._known[frame[6:12]] = source
        if frame[0] & 1 and frame[:6] != b"\xff" * 6:
            self.multicasts.append((source, frame))
        known = self._known.get(frame[:6])
        for port in [known] if known else list(self._ports):
            if port == source:
                continue
            if not self._joined(source, port) or self._random.random() < self.loss:
                self.lost += 1
            elif self.delay:
                self._sequence += 1
                heapq.heappush(self._late, (time.monotonic() + self.delay, self._sequence, port, frame))
            else:
                self._send(port, frame)

    def _joined(self, source: str, port: str) -> bool:
        if (source, port) in self.deaf:
            return False
        return all((source in island) == (port in island) for island in self.islands)

    def _send(self, port: str, frame: bytes) -> None:
        with contextlib.suppress(OSError):  # a full queue loses frames, as cables do
            self._ports[port].send(frame)
