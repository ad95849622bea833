"""The file of trust: the group's signed statements, and how its members were last reached.

One JSON file, replaced whole and synced. It is the point at which a new key counts: the key waits in a file
of its own until the statements that go with it are on disk. What cannot be read is an error and never an
empty group, because that would forget who was removed. Not here: what is done with it
(`noggd.storage.trust`).

Nothing is written whose signatures were not checked, and the file bears a digest of that: where it fits, they are
not checked again. (Who can make it fit can read the device's key beside it.) So a start needs no cryptography.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from nogg.errors import ProtocolError
from noggd.domain.addresses import valid_addresses
from noggd.domain.devices import is_device_name
from noggd.domain.membership import memberships
from noggd.domain.statements import Add, Genesis, Statement, read_statement
from noggd.platform.files import sync_directory, write_private
from noggd.storage.keys import FILE as KEY_FILE
from noggd.storage.keys import DeviceKey, load_key
from noggd.storage.schema import StoreBroken, StoreTooNew

FILE: Final = "trust.json"
CHECKED: Final = "checked"
"""Where the digest stands; without it (a file from elsewhere) all signatures are checked."""
NEXT_KEY_FILE: Final = "device-new.pem"
VERSION: Final = 1
_HINT: Final = (
    "restore trust.json and device.pem from one backup of this device, or move both away and pair anew"
)


@dataclass(frozen=True, slots=True)
class State:
    """What must not be lost.

    `port` is the one that was taken when any free one was asked for. `joining` is set from the moment a
    group was joined until the documents are ready for it, and says whether that group has a username.
    `refused`: a member's device has refused us, which is how a removed device that was away finds out.
    `excluded`: former members whose writings were taken over into our own maps. `inherit`: devices of a
    group that was left, whose writings were not yet.
    """

    genesis: Genesis
    statements: Mapping[str, Statement] = field(default_factory=dict)
    port: int | None = None
    joining: bool | None = None
    refused: bool = False
    excluded: frozenset[str] = frozenset()
    inherit: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Peer:
    """What is remembered of another device: its last name, addresses (the best first), when it was last linked.

    `run` names the run of its daemon that it was linked in, `client` its Y client id then, `clocks` how
    much of what it wrote under it is here, by document.
    """

    name: str = ""
    addresses: tuple[str, ...] = ()
    last_seen: int | None = None
    run: str = ""
    client: int = 0
    clocks: Mapping[str, int] = field(default_factory=dict)


def save(directory: Path, device: str, state: State, peers: Mapping[str, Peer]) -> None:
    """Put trust on disk, then the key that waited for it, if any. Raises OSError."""
    genesis = state.genesis.raw.decode("ascii")
    statements = [statement.raw.decode("ascii") for statement in state.statements.values()]
    content = {
        "version": VERSION,
        "device": device,
        "genesis": genesis,
        "statements": statements,
        CHECKED: _digest(genesis, statements),
        "port": state.port,
        "joining": state.joining,
        "refused": state.refused,
        "excluded": sorted(state.excluded),
        "inherit": sorted(state.inherit),
        "peers": {peer: asdict(known) for peer, known in peers.items()},
    }
    write_private(directory / FILE, json.dumps(content, indent=1).encode("ascii") + b"\n")
    if (directory / NEXT_KEY_FILE).exists():
        (directory / NEXT_KEY_FILE).replace(directory / KEY_FILE)
        sync_directory(directory)


def load(directory: Path) -> tuple[DeviceKey, State, dict[str, Peer]] | None:
    """Read key and trust; None on a first start. Raises StoreBroken or StoreTooNew."""
    path = directory / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        if (directory / KEY_FILE).exists():
            raise StoreBroken(f"{path} is missing, but the device has a key", hint=_HINT) from None
        return None
    except OSError as error:
        raise StoreBroken(f"{path} cannot be read: {error}") from error
    try:
        content = json.loads(data)
        version = content["version"]
        if isinstance(version, int) and version > VERSION:
            raise StoreTooNew(f"{path} was written by a newer version of noggd")
        if version != VERSION:
            raise ProtocolError("it names no version")
        state = _state(content)
        peers = {device: _peer(known) for device, known in content["peers"].items()}
        device = content["device"]
    except (ProtocolError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreBroken(f"{path} cannot be read: {error}", hint=_HINT) from error
    taken_in = (s for s in (state.genesis, *state.statements.values()) if isinstance(s, (Genesis, Add)))
    key = _key(directory, device, {statement.certificate.der for statement in taken_in})
    if not memberships(state.genesis, state.statements.values(), key.device):
        raise StoreBroken(f"{path} is about a group that this device never was in", hint=_HINT)
    return key, state, peers


def _digest(genesis: str, statements: list[str]) -> str:
    """Return what stands for these statements as they were checked."""
    return hashlib.sha256("\n".join([genesis, *statements]).encode()).hexdigest()


def _key(directory: Path, device: object, signed: Container[bytes]) -> DeviceKey:
    """Return the key that the trust file is about, putting it in its place if it still waits."""
    current, waiting = directory / KEY_FILE, directory / NEXT_KEY_FILE
    if waiting.exists() and load_key(waiting, signed).device == device:
        waiting.replace(current)
        sync_directory(directory)
    key = load_key(current, signed)
    if key.device != device:
        raise StoreBroken(f"{current} is not the key of {directory / FILE}", hint=_HINT)
    waiting.unlink(missing_ok=True)  # a key whose statements never reached the disk
    return key


def _state(content: Mapping[str, Any]) -> State:
    signed = content.get(CHECKED) == _digest(content["genesis"], content["statements"])
    genesis = read_statement(content["genesis"].encode(), signed=signed)
    statements = [read_statement(text.encode(), signed=signed) for text in content["statements"]]
    port, joining, refused = content["port"], content["joining"], content["refused"]
    excluded, inherit = frozenset(content["excluded"]), frozenset(content["inherit"])
    if (
        not isinstance(genesis, Genesis)
        or not (port is None or (isinstance(port, int) and 0 < port < 65536))
        or not (joining is None or isinstance(joining, bool))
        or not isinstance(refused, bool)
        or not all(isinstance(device, str) for device in excluded | inherit)
    ):
        raise ProtocolError("a field has the wrong kind of value")
    return State(genesis, {s.id: s for s in statements}, port, joining, refused, excluded, inherit)


def _peer(known: Mapping[str, Any]) -> Peer:
    name, last_seen = known["name"], known["last_seen"]
    return Peer(
        name if is_device_name(name) else "",
        valid_addresses(known["addresses"]),
        last_seen if isinstance(last_seen, int) else None,
        str(known["run"]),
        int(known["client"]),
        {str(document): int(clock) for document, clock in known["clocks"].items()},
    )
