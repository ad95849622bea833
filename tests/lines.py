"""The local API without a client: lines in, lines out."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds; reached only by a test that fails."""


def request(id_: object, method: str, /, **params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}).encode()


class Line:
    """A socket that writes and reads lines, and nothing more."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self._file = self.socket.makefile("rb")

    def send(self, *lines: bytes) -> None:
        self.socket.sendall(b"".join(line + b"\n" for line in lines))

    def read(self) -> dict[str, Any]:
        line = self._file.readline()
        assert line.endswith(b"\n"), "the connection ended"
        message: dict[str, Any] = json.loads(line)
        return message

    def ended(self) -> bool:
        return self._file.read() == b""

    def close(self) -> None:
        self._file.close()
        self.socket.close()
