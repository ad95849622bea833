"""Everything that can go wrong between an app and the daemon, as one tree.

Here: the error objects of the local API (contract, section 2), their numbers and stable type names, and the
two ways across the wire (`to_wire`, `from_wire`). Not here: exit statuses and texts for a terminal (the
command line's business), and anything about how requests are framed or checked.

    ProtocolError                  bytes that nobody can parse (a peer's, a file's or the wire's) NoggError
    a call that failed; `type` is its stable name, `code` its number ├── ParseError …
    InternalError JSON-RPC's own five ├── UnsupportedProtocol … Timeout   the daemon's, numbered 1 to 11 └──
    NotRunning, ConnectionLost the client's own; they never cross the wire
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar


class ProtocolError(ValueError):
    """Bytes or text from outside that cannot be parsed.

    The rule for every parser of this project, and the property its fuzz tests state: parse the input or raise
    this, nothing else.
    """


class NoggError(Exception):
    """A call failed. Catch this to catch every failure of the API.

    `message` is for people and never repeats a password; `hint` says what to do about it, if anything is
    known; `data` holds the further fields of the error object, by the names of the contract.
    """

    code: int = 0
    type: str = "error"
    default_message: ClassVar[str] = "the call failed"

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, data: Mapping[str, object] | None = None
    ) -> None:
        self.message = self.default_message if message is None else message
        self.hint = hint
        self.data: dict[str, object] = dict(data or {})
        super().__init__(self.message)

    def to_wire(self) -> dict[str, object]:
        """Return the JSON-RPC error object: `{code, message, data: {type, hint?, …}}`."""
        data: dict[str, object] = {"type": self.type}
        if self.hint is not None:
            data["hint"] = self.hint
        return {"code": self.code, "message": self.message, "data": data | self.data}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"


class ParseError(NoggError):
    """The line is not JSON, or holds NaN or Infinity."""

    code = -32700
    type = "parse_error"
    default_message = "the line is not valid JSON"


class InvalidRequest(NoggError):
    """JSON, but not a request: no method, a batch, nested too deeply."""

    code = -32600
    type = "invalid_request"
    default_message = "not a JSON-RPC 2.0 request"


class MethodNotFound(NoggError):
    """No such method."""

    code = -32601
    type = "method_not_found"
    default_message = "no such method"


class InvalidParams(NoggError):
    """Parameters that the method does not take; `errors` says which, without repeating what was given."""

    code = -32602
    type = "invalid_params"
    default_message = "invalid parameters"

    def __init__(
        self,
        message: str | None = None,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        hint: str | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        listed = [dict(error) for error in errors]
        if message is None and listed:
            message = "; ".join(f"{error['path']}: {error['message']}" for error in listed[:3])
        super().__init__(message, hint=hint, data={**(data or {}), "errors": listed})

    @property
    def errors(self) -> list[dict[str, str]]:
        """One `{path, message}` per fault; `path` is dotted, as in `ops.0.view`."""
        found = self.data.get("errors")
        return found if isinstance(found, list) else []


class InternalError(NoggError):
    """A fault of the daemon itself; its log has the details."""

    code = -32603
    type = "internal_error"
    default_message = "internal error; the daemon's log has the details"


class UnsupportedProtocol(NoggError):
    """`hello` asked for a protocol version that the daemon does not speak."""

    code = 1
    type = "unsupported_protocol"
    default_message = "this protocol version is not spoken here"

    def __init__(
        self, message: str | None = None, *, supported: Sequence[int], hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, data={"supported": list(supported)})


class Forbidden(NoggError):
    """The caller is not the daemon's user, or lacks the scope."""

    code = 2
    type = "forbidden"
    default_message = "not allowed"


class Conflict(NoggError):
    """`if_revision` did not match: somebody else changed it first."""

    code = 3
    type = "conflict"
    default_message = "it was changed by somebody else meanwhile"

    def __init__(
        self, message: str | None = None, *, revision: int, current: object = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, data={"revision": revision, "current": current})

    @property
    def revision(self) -> int:
        """The revision that it really has now."""
        found = self.data.get("revision")
        return found if isinstance(found, int) else 0


class NotFound(NoggError):
    """There is no such thing. Never raised by `reference.get`, which answers `false`."""

    code = 4
    type = "not_found"
    default_message = "not found"


class LimitExceeded(NoggError):
    """More than the daemon takes: `limit` names the rule, `max` its bound."""

    code = 5
    type = "limit_exceeded"
    default_message = "too much"

    def __init__(self, message: str | None = None, *, limit: str, max: int, hint: str | None = None) -> None:  # noqa: A002 (the contract's field name)
        super().__init__(
            message or f"over the limit of {max} ({limit})", hint=hint, data={"limit": limit, "max": max}
        )


class StorageFailed(NoggError):
    """Disk full or failing; nothing of the call was kept. `retryable` says whether trying again can help."""

    code = 6
    type = "storage_failed"
    default_message = "the change could not be stored; nothing of it was kept"

    def __init__(self, message: str | None = None, *, retryable: bool, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, data={"retryable": retryable})


class ShuttingDown(NoggError):
    """The daemon is stopping and takes nothing new."""

    code = 7
    type = "shutting_down"
    default_message = "the daemon is shutting down"


class NotPaired(NoggError):
    """No such device among the paired ones."""

    code = 8
    type = "not_paired"
    default_message = "not a paired device"


class PairingFailed(NoggError):
    """Wrong, used or expired code, or pairing is not possible as things stand."""

    code = 8
    type = "pairing_failed"
    default_message = "pairing failed"


class ReadOnly(NoggError):
    """The store or the peers' schema is newer than this version, so it only reads."""

    code = 9
    type = "read_only"
    default_message = "read-only: the data was written by a newer version"


class Starting(NoggError):
    """The store is still being loaded; try again in a moment."""

    code = 10
    type = "starting"
    default_message = "the daemon is starting"


class Timeout(NoggError):
    """Time ran out: that of `sync.wait` (`synced` says who has it), or a client's deadline for a reply."""

    code = 11
    type = "timeout"
    default_message = "time ran out"

    def __init__(
        self, message: str | None = None, *, synced: Sequence[object] | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, data={} if synced is None else {"synced": list(synced)})


class NotRunning(NoggError):
    """The daemon cannot be reached. Made by clients; the daemon never sends it."""

    type = "not_running"
    default_message = "the daemon is not running"

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(
            message, hint=hint or "start it with `nogg daemon start`, or run `noggd` in a terminal"
        )


class ConnectionLost(NoggError):
    """The connection ended in the middle; whether the call was carried out is unknown."""

    type = "connection_lost"
    default_message = "the connection to the daemon was lost"


class Disposed(NoggError):
    """The session object was disposed; make a new one."""

    type = "disposed"
    default_message = "this session object was disposed"


#: every error that the daemon may send, by its stable type name
WIRE_ERRORS: dict[str, type[NoggError]] = {
    error.type: error
    for error in (
        ParseError,
        InvalidRequest,
        MethodNotFound,
        InvalidParams,
        InternalError,
        UnsupportedProtocol,
        Forbidden,
        Conflict,
        NotFound,
        LimitExceeded,
        StorageFailed,
        ShuttingDown,
        NotPaired,
        PairingFailed,
        ReadOnly,
        Starting,
        Timeout,
    )
}


def from_wire(obj: object) -> NoggError:
    """Turn a JSON-RPC error object into the error it stands for.

    A type that this version does not know becomes a plain `NoggError` that keeps its number and type, so
    that a newer daemon does not break an older client. What is no error object at all raises
    `ProtocolError`.
    """
    if not isinstance(obj, dict):
        raise ProtocolError("an error reply must be an object")
    code, message, data = obj.get("code"), obj.get("message"), obj.get("data", {})
    if isinstance(code, bool) or not isinstance(code, int) or not isinstance(message, str):
        raise ProtocolError("an error reply needs an integer code and a message")
    if not isinstance(data, dict):
        data = {}  # JSON-RPC allows any data; only ours has a type
    name, hint = data.get("type"), data.get("hint")
    known = WIRE_ERRORS.get(name) if isinstance(name, str) else _by_code(code)
    error = NoggError.__new__(known or NoggError)
    NoggError.__init__(
        error,
        message,
        hint=hint if isinstance(hint, str) else None,
        data={key: value for key, value in data.items() if key not in ("type", "hint")},
    )
    if known is None:
        error.code, error.type = code, name if isinstance(name, str) else "error"
    return error


def _by_code(code: int) -> type[NoggError] | None:
    return next((error for error in WIRE_ERRORS.values() if error.code == code), None)
