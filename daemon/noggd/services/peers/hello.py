"""What two devices say about themselves and their group: the content of `hello` and `statements` frames.

Here: writing and reading them, without trust. Not here: what is concluded from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from nogg.errors import ProtocolError
from nogg.ids import parse_device_id
from noggd.domain.addresses import valid_addresses
from noggd.domain.devices import is_device_name
from noggd.domain.replica import MAX_DOCUMENTS
from noggd.domain.statements import MAX_STATEMENT

VERSION: Final = 1
SCHEMA: Final = 1
"""Version of the documents that this program can write."""
MAX_DEVICES: Final = 512
"""Devices whose addresses one hello may tell."""
MAX_STATEMENTS: Final = 16_384
_MAX_CLOCK: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class Seen:
    """What a device remembers of the one it talks to.

    In which run it was linked last, and how much it has of what that wrote under its client id, by document.
    """

    run: str
    client: int
    clocks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Hello:
    """About a device: its clock (Unix milliseconds), its name, where it and others were reached.

    `instance` names one life of its daemon, `run` the same as its store remembers it (empty: not at all),
    `client` is the Y client id that it writes under, `digest` (hex) stands for the statements that it
    holds, `seen` is what it remembers of the device that it greets.
    """

    clock: int
    name: str
    instance: str
    digest: str
    run: str = ""
    client: int = 0
    seen: Seen | None = None
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protocol: int = VERSION
    schema: int = SCHEMA

    def encode(self) -> bytes:
        """Return the content of a hello frame."""
        fields: dict[str, object] = {
            "protocol": self.protocol,
            "schema": self.schema,
            "clock": self.clock,
            "name": self.name,
            "instance": self.instance,
            "digest": self.digest,
            "run": self.run,
            "client": self.client,
            "addresses": {device: list(known) for device, known in self.addresses.items()},
        }
        if self.seen is not None:
            seen = {"run": self.seen.run, "client": self.seen.client, "clocks": dict(self.seen.clocks)}
            fields["seen"] = seen
        return json.dumps(fields, separators=(",", ":")).encode("ascii")


def read_hello(content: bytes) -> Hello:
    """Read the content of a hello frame, or raise ProtocolError. Unknown fields are those of later versions."""
    fields = _object(content)
    numbers = [fields.get(name) for name in ("protocol", "schema", "clock")]
    texts = [fields.get(name) for name in ("instance", "digest")]
    name, addresses = fields.get("name"), fields.get("addresses")
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 < n < _MAX_CLOCK for n in numbers):
        raise ProtocolError("a hello tells versions and a clock")
    if not all(isinstance(text, str) and 0 < len(text) <= 64 and text.isascii() for text in texts):
        raise ProtocolError("a hello names the run and the statements")
    if not isinstance(addresses, dict) or len(addresses) > MAX_DEVICES:
        raise ProtocolError("a hello tells a bounded number of addresses")
    protocol, schema, clock = (number for number in numbers if isinstance(number, int))
    instance, digest = (text for text in texts if isinstance(text, str))
    run, client = fields.get("run", ""), fields.get("client", 0)
    if not isinstance(run, str) or len(run) > 64 or not _is_count(client):
        raise ProtocolError("a hello names the run and the client id of its sender")
    return Hello(
        clock=clock,
        name=name if isinstance(name, str) and is_device_name(name) else "",
        instance=instance,
        digest=digest,
        run=run,
        client=client,
        seen=_seen(fields.get("seen")),
        addresses={d: valid_addresses(known) for d, known in addresses.items() if _is_device(d)},
        protocol=protocol,
        schema=schema,
    )


def _seen(value: object) -> Seen | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ProtocolError("what is remembered of a device is an object")
    run, client, clocks = value.get("run"), value.get("client"), value.get("clocks")
    if not isinstance(run, str) or not 0 < len(run) <= 64 or not _is_count(client):
        raise ProtocolError("what is remembered of a device names a run and a client id")
    if (
        not isinstance(clocks, dict)
        or len(clocks) > MAX_DOCUMENTS
        or not all(map(_is_count, clocks.values()))
    ):
        raise ProtocolError("what is remembered of a device counts its operations by document")
    return Seen(run, client, clocks)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_CLOCK


def encode_statements(statements: Iterable[bytes]) -> bytes:
    """Return the content of a statements frame, from statements as they were signed."""
    return json.dumps([raw.decode("ascii") for raw in statements], separators=(",", ":")).encode("ascii")


def read_statements(content: bytes) -> list[bytes]:
    """Read the content of a statements frame, or raise ProtocolError; the statements are not checked yet."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("statements are a JSON array") from error
    if not isinstance(found, list) or len(found) > MAX_STATEMENTS:
        raise ProtocolError("statements are a JSON array of bounded length")
    if not all(isinstance(raw, str) and raw.isascii() and len(raw) <= MAX_STATEMENT for raw in found):
        raise ProtocolError("a statement is an ASCII text of bounded length")
    return [raw.encode("ascii") for raw in found]


def _object(content: bytes) -> dict[str, object]:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a hello is a JSON object") from error
    if not isinstance(fields, dict):
        raise ProtocolError("a hello is a JSON object")
    return fields


def _is_device(text: str) -> bool:
    try:
        return parse_device_id(text) == text
    except ValueError:
        return False
