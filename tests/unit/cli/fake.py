"""A daemon that answers from a script, for tests of output and exit codes only.

Requests are checked against the declared parameters and answers against the declared results, so that a
script cannot invent an API of its own.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nogg.errors import MethodNotFound, NoggError
from nogg.methods import METHODS

Answer = Any  # a result, a NoggError, or a function of the parameters that returns either

DEVICE = "AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD-EEEEEEE-FFFFFFF-GGGGGGG-HHHHHHH"
OTHER = "QQQQQQQ-BBBBBBB-CCCCCCC-DDDDDDD-EEEEEEE-FFFFFFF-GGGGGGG-HHHHHHH"


def reference(microcosm: str = "garden.1", **fields: object) -> dict[str, object]:
    blank = {"microcosmID": microcosm, "lastAccessed": 1_700_000_000_000, "password": None, "view": None}
    return {**blank, "revision": 7, **fields}


def device(**fields: object) -> dict[str, object]:
    mine = {"id": DEVICE, "name": "laptop", "self": True, "state": "online", "address": None}
    return {**mine, "last_seen": None, "active": None, **fields}


HELLO = {
    "protocol": 1, "supported": [1], "daemon": {"name": "noggd", "version": "9.9"},
    "device": {"id": DEVICE, "name": "laptop"}, "epoch": "e", "ready": True, "capabilities": [],
}  # fmt: skip
DAEMON = {
    "version": "1.2.3", "versions": {}, "protocol": 1, "pid": 42, "uptime_s": 7200.0, "ready": True, "epoch": "e",
    "device": {"id": DEVICE, "name": "laptop"}, "counts": {}, "sizes": {}, "health": {"ok": True, "problems": []},
}  # fmt: skip
PEER = {
    "device": OTHER, "name": "phone", "state": "online", "address": "h:1", "rtt_ms": 1.0, "last_sync": 1,
    "behind": 2,
}  # fmt: skip


class FakeDaemon:
    """Listens at `path` and answers every connection from `answers`; `asked` holds what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.after: dict[str, list[dict[str, Any]]] = {}  # notifications that follow an answer
        self.hang_up_after: set[str] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def params(self, method: str) -> dict[str, Any]:
        """Return the parameters of the only call of a method, without the defaulted session."""
        found = [params for name, params in self.asked if name == method]
        assert len(found) == 1, self.asked
        return {key: value for key, value in found[0].items() if (key, value) != ("session", "default")}

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(accepted,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        # the command may be gone at any moment, with what it was told unread
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line)
                connection.sendall(self._reply(request))
                for told in self.after.get(request["method"], []):
                    connection.sendall(json.dumps({"jsonrpc": "2.0", **told}).encode() + b"\n")
                if request["method"] in self.hang_up_after:
                    connection.shutdown(socket.SHUT_RDWR)
                    return

    def _reply(self, request: Mapping[str, Any]) -> bytes:
        method, params = request["method"], request.get("params", {})
        self.asked.append((method, params))
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            reply["result"] = self._result(method, params)
        except NoggError as error:
            reply["error"] = error.to_wire()
        return json.dumps(reply).encode() + b"\n"

    def _result(self, method: str, params: dict[str, Any]) -> object:
        if method not in METHODS:
            raise MethodNotFound
        if method not in ("device.evict", "sync.wait"):  # made-up device ids have no check letters
            METHODS[method].validate(params)
        answer = self.answers.get(method, NoggError(f"the script has no {method}"))
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(params)
        if isinstance(answer, NoggError):
            raise answer
        METHODS[method].check_result(answer)
        return answer
