"""Two kinds of replica that the tests compare: a real Yjs document in Node, and ours, driven the same way.

No assertions here.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from noggd.domain.changes import Origin
from noggd.domain.document import Document
from noggd.domain.entries import Field
from noggd.domain.hlc import HybridClock
from noggd.domain.maps import DeviceMaps
from noggd.domain.reference import Reference
from noggd.domain.session import Session

HERE = Path(__file__).parent


class YjsError(Exception):
    """Yjs raised an exception."""


class Yjs:
    """The Node process with its one Y.Doc; `fresh` starts it over."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(HERE / "replica.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE
        )

    def close(self) -> None:
        """End the process, which ends by itself with its input."""
        self._process.communicate(timeout=10)

    def _ask(self, command: str, **rest: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **rest}).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise YjsError(answer["error"])
        return answer.get("result")

    def fresh(self, client: int | None = None) -> int:
        """Begin an empty document; returns its client id."""
        return int(self._ask("fresh", **({} if client is None else {"client": client})))

    def apply(self, update: bytes) -> None:
        """Apply one update."""
        self._ask("apply", update=_text(update))

    def write(self, device: str, entries: dict[str, object]) -> bytes:
        """Write entries of a device map (None deletes) as one transaction; returns its update."""
        return _only(self._ask("write", name=device, entries=entries))

    def replace(self, device: str, entries: dict[str, object]) -> bytes:
        """Put a new map in the place of a device's."""
        return _only(self._ask("replace", name=device, entries=entries))

    def misuse(
        self, key: str, *, device: str | None = None, shared: str | None = None, value: str = ""
    ) -> bytes:
        """Write what does not belong there: a `shared` type or an odd `value`, in a map or the root."""
        target = {} if device is None else {"name": device}
        what = {"value": value} if shared is None else {"type": shared}
        return _only(self._ask("misuse", key=key, **target, **what))

    @property
    def vector(self) -> bytes:
        """The state vector."""
        return base64.b64decode(self._ask("vector"))

    def missing(self, vector: bytes | None = None) -> bytes:
        """What a replica with this state vector lacks; None: everything."""
        return base64.b64decode(self._ask("missing", **({} if vector is None else {"vector": _text(vector)})))

    def merged(self, updates: list[bytes]) -> bytes:
        """The updates as one."""
        return base64.b64decode(self._ask("merged", parts=[_text(update) for update in updates]))

    def entries(self) -> dict[str, dict[str, Any]]:
        """The stored entries of every device map."""
        found: dict[str, dict[str, Any]] = self._ask("entries")
        return found

    def fold(self, members: list[str] | None = None) -> dict[str, Any]:
        """What the second implementation of the fold makes of the document."""
        found: dict[str, Any] = self._ask("fold", members=members)
        return found


def _text(update: bytes) -> str:
    return base64.b64encode(update).decode()


def _only(updates: list[str]) -> bytes:
    assert len(updates) == 1, "one transaction makes one update"
    return base64.b64decode(updates[0])


class Replica:
    """One device of ours with one session; `outbox` holds the updates that it made and nobody has fetched."""

    def __init__(self, device: str, client: int, members: frozenset[str] | None = None) -> None:
        self.device = device
        self.document = Document(client, device)
        self.session = Session("default", device, HybridClock(), self.document, members)
        self.outbox: list[bytes] = []

    @property
    def maps(self) -> DeviceMaps:
        """The device maps behind the session."""
        return self.session.maps

    def act(self, operation: Callable[[Session], Any]) -> object:
        """Run one command of the session, as the core does; returns its result."""
        result, _ = self.session.perform(lambda: operation(self.session), Origin(self.device))
        self.maps.hurry()
        self.outbox += self.maps.flush()
        return result

    def receive(self, update: bytes) -> None:
        """Merge a peer's update, as the core does."""
        self.session.merge(update, Origin("peer"))
        self.outbox += self.maps.flush()

    def compact(self, now: int) -> None:
        """Rewrite the own map."""
        self.outbox += self.session.compact(now)

    def fetch(self, other: Replica) -> None:
        """Receive what `other` has and we lack."""
        self.receive(other.document.missing(self.document.state_vector))

    def fold(self) -> dict[str, Any]:
        """What the person sees here, in the form of the second implementation."""
        session = self.session
        actives = sorted(session.maps.each("a"), key=lambda each: (each[1].stamp, each[0]))
        return {
            "references": {name: _fields(each) for name, each in session.references.items()},
            "conflicts": {
                name: [rival.field.value for rival in rivals] for name, rivals in session.rivals.items()
            },
            "restorable": {each.microcosm_id: _fields(each) for each in session.restorable(0)},
            "active": {device: entry.value for device, entry in actives if isinstance(entry, Field)},
        }


def _fields(reference: Reference) -> dict[str, Any]:
    return {
        "lastAccessed": reference.last_accessed,
        "password": reference.password,
        "view": reference.view,
    }
