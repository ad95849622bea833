"""A daemon small enough to be obviously right, for tests of the client: one session, in memory, no sockets."""

from __future__ import annotations

import json
from typing import Any

from nogg import errors
from nogg.ids import seed_order

Json = dict[str, Any]
IDENTITY = "identity_" + "a" * 36


class FakeDaemon:
    """Speaks the local API as the contract says; time goes by one millisecond a change."""

    def __init__(self) -> None:
        self.epoch = "epoch1"
        self.revision = 0
        self.active: str | None = None
        self.references: dict[str, Json] = {}
        self.username: str | None = None
        self.ready = True
        self.refuse: errors.NoggError | None = None
        self.peers: list[Peer] = []
        self.seen: list[str] = []
        self._changed_at: dict[str, int] = {}
        self._explicit = 0

    def connect(self) -> Peer:
        peer = Peer(self)
        self.peers.append(peer)
        return peer

    def touch(self, microcosm_id: str) -> None:
        """An access by somebody else."""
        self._commit([microcosm_id], explicit=False)
        self.references[microcosm_id]["lastAccessed"] = self.revision
        self._tell()

    def change(self, method: str, **params: object) -> Any:
        """A change by somebody else."""
        result = self._run(method, params)
        self._tell()
        return result

    def state(self) -> Json:
        listed = sorted(self.references.values(), key=lambda each: seed_order(each["microcosmID"]))
        return {"active": self.active, "microcosms": listed}

    def _commit(self, keys: list[str], *, explicit: bool = True) -> int:
        self.revision += 1
        for key in keys:
            self._changed_at[key] = self.revision
        if explicit:
            self._explicit = self.revision
        return self.revision

    def _tell(self) -> None:
        for peer in self.peers:
            peer.tell()

    def difference(self, since: int) -> Json:
        changed = [key for key, at in self._changed_at.items() if at > since]
        found: Json = {
            "set": {key: dict(self.references[key]) for key in changed if key in self.references},
            "removed": [key for key in changed if key not in self.references and key != "*active"],
        }
        return found | ({"active": self.active} if "*active" in changed else {})

    def _run(self, method: str, params: Json) -> Any:
        handler = getattr(self, "do_" + method.replace(".", "_"), None)
        if handler is None:
            raise errors.MethodNotFound
        params = {key: value for key, value in params.items() if key != "session"}
        expected = params.pop("if_revision", None)
        if expected is not None and expected < self._explicit:
            raise errors.Conflict(revision=self.revision)
        return handler(**params)

    def do_reference_register(
        self,
        microcosmID: str,  # noqa: N803 (the wire's name)
        view: str | None = None,
        password: str | None = None,
    ) -> Json:
        old = self.references.get(microcosmID, {"view": None, "password": None, "revision": 0})
        new = {"view": view or old["view"], "password": password or old["password"]}
        explicit = microcosmID not in self.references or any(old[key] != new[key] for key in new)
        revision = self._commit([microcosmID], explicit=explicit)
        kept = revision if explicit else old["revision"]
        self.references[microcosmID] = {
            "microcosmID": microcosmID, "lastAccessed": revision, **new, "revision": kept,
        }  # fmt: skip
        return dict(self.references[microcosmID])

    def do_reference_update(self, microcosmID: str, **fields: object) -> Json:  # noqa: N803 (the wire's name)
        if microcosmID not in self.references:
            raise errors.NotFound
        self.references[microcosmID] |= {**fields, "revision": self._commit([microcosmID])}
        return dict(self.references[microcosmID])

    def do_reference_get(self, microcosmID: str, touch: bool = True) -> Json | bool:  # noqa: N803 (the wire's name)
        if microcosmID not in self.references:
            return False
        before = dict(self.references[microcosmID])
        if touch:
            self.references[microcosmID]["lastAccessed"] = self._commit([microcosmID], explicit=False)
        return before

    def do_reference_remove(self, microcosmID: str) -> Json:  # noqa: N803 (the wire's name)
        if microcosmID not in self.references:
            return {"removed": False}
        del self.references[microcosmID]
        self._commit([microcosmID])
        return {"removed": True}

    def do_active_set(self, microcosmID: str | None) -> Json:  # noqa: N803 (the wire's name)
        if microcosmID != self.active:
            self.active = microcosmID
            self._commit(["*active"])
        return {"active": self.active, "revision": self.revision}

    def do_session_set(self, **partial: Any) -> Json:
        keys = []
        if "active" in partial:
            self.active, keys = partial["active"], ["*active"]
        if "microcosms" in partial:
            keys += [*self.references, *(each["microcosmID"] for each in partial["microcosms"])]
            blank = {"password": None, "view": None, "lastAccessed": self.revision + 1}
            self.references = {
                each["microcosmID"]: {**blank, **each, "revision": self.revision + 1}
                for each in partial["microcosms"]
            }
        return {"revision": self._commit(keys)}

    def do_session_reset(self) -> Json:
        return self.do_session_set(active=None, microcosms=[])

    def do_session_get(self) -> Json:
        return {**self.state(), "epoch": self.epoch, "revision": self.revision}

    def do_session_open(self, ephemeral: bool) -> Json:
        return {"session": "private-1", "epoch": self.epoch, "revision": self.revision}

    def do_identity_get(self) -> Json:
        return {"identityID": IDENTITY, "username": self.username, "aliases": []}

    def do_identity_set(self, username: str | None) -> Json:
        self.username = username
        for peer in self.peers:
            peer.say(
                {
                    "jsonrpc": "2.0",
                    "method": "identity.changed",
                    "params": {"identity": self.do_identity_get()},
                }
            )
        return self.do_identity_get()


class Peer:
    """One connection; `out` is what the daemon said, `paused` a reader that gets its changes folded later."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self.daemon = daemon
        self.out = b""
        self.paused = False
        self.told: dict[str, int] = {}
        self._input = b""

    def say(self, message: Json) -> None:
        self.out += json.dumps(message, separators=(",", ":")).encode() + b"\n"

    def take(self) -> bytes:
        out, self.out = self.out, b""
        return out

    def feed(self, data: bytes) -> None:
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            self.daemon.seen.append(request["method"])
            try:
                result = self._answer(request["method"], request["params"])
            except errors.NoggError as error:
                self.say({"jsonrpc": "2.0", "id": request["id"], "error": error.to_wire()})
            else:
                self.say({"jsonrpc": "2.0", "id": request["id"], "result": result})
            self.daemon._tell()

    def tell(self) -> None:
        """Say what changed since the last time; several changes become one while `paused`."""
        if self.paused:
            return
        for subscription, told in self.told.items():
            if told != self.daemon.revision:
                change = self.daemon.difference(told)
                header = {"subscription": subscription, "session": "default", "origin": {"device": "d"}}
                params = {**header, "from": told, "revision": self.daemon.revision, **change}
                self.told[subscription] = self.daemon.revision
                self.say({"jsonrpc": "2.0", "method": "session.changed", "params": params})

    def _answer(self, method: str, params: Json) -> Any:
        daemon = self.daemon
        if method == "hello":
            return {"protocol": 1, "supported": [1], "epoch": daemon.epoch, "ready": daemon.ready}
        if daemon.refuse is not None:
            raise daemon.refuse
        if method == "session.subscribe":
            return self._subscribe(params)
        if method == "session.unsubscribe":
            del self.told[params["subscription"]]
            return {}
        return daemon._run(method, params)

    def _subscribe(self, params: Json) -> Json:
        daemon, since = self.daemon, params.get("since")
        known = since["revision"] if since and since["epoch"] == daemon.epoch else None
        fresh = known is None or known > daemon.revision
        name = f"s{len(daemon.seen)}"
        self.told[name] = daemon.revision
        state: Json = {
            "active": daemon.active,
            "set": {k: dict(v) for k, v in daemon.references.items()},
            "removed": [],
        }
        return {
            "subscription": name,
            "epoch": daemon.epoch,
            "revision": daemon.revision,
            "fresh": fresh,
            "identity": daemon.do_identity_get(),
            **(state if fresh else daemon.difference(known or 0)),
        }
