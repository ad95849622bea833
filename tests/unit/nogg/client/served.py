"""The small daemon behind a real socket, for tests of the shells."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.unit.nogg.client.fake import FakeDaemon, Peer


class Served:
    """Serves a `FakeDaemon` at `path` in threads; `stop` and `start` play a restart that keeps the state."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.daemon = FakeDaemon()
        self.lock = threading.RLock()
        self.left = threading.Condition(self.lock)
        self.connections: list[tuple[socket.socket, Peer]] = []
        self.deaf = False  # reads and never answers
        self._threads: list[threading.Thread] = []
        self.start()

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._begin(self._accept)

    def stop(self) -> None:
        """As a crash: everything ends, nothing is said."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        self.cut()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._threads.clear()

    def cut(self) -> None:
        with self.lock:
            for connection, peer in self.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                if peer in self.daemon.peers:
                    self.daemon.peers.remove(peer)
            self.connections.clear()

    def change(self, method: str, **params: object) -> Any:
        """A change by somebody else."""
        with self.lock:
            result = self.daemon.change(method, **params)
            self._flush()
            return result

    def say(self, data: bytes) -> None:
        with self.lock:
            for connection, _ in self.connections:
                connection.sendall(data)

    def wait_until_alone(self) -> None:
        """Until every client has closed its connection."""
        with self.left:
            assert self.left.wait_for(lambda: not self.connections, timeout=10)

    def _begin(self, work: Any, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self.lock:
                peer = self.daemon.connect()
                self.connections.append((connection, peer))
            self._begin(self._serve, connection, peer)

    def _serve(self, connection: socket.socket, peer: Peer) -> None:
        with connection:
            while data := self._read(connection):
                with self.lock:
                    peer.feed(data)
                    if self.deaf:
                        peer.take()
                    self._flush()
        with self.lock:
            if peer in self.daemon.peers:
                self.daemon.peers.remove(peer)
            self.connections = [each for each in self.connections if each[1] is not peer]
            self.left.notify_all()

    def _read(self, connection: socket.socket) -> bytes:
        try:
            return connection.recv(1 << 16)
        except OSError:
            return b""

    def _flush(self) -> None:
        for connection, peer in self.connections:
            with suppress(OSError):
                connection.sendall(peer.take())
