"""Devices and groups for tests: keys from fixed seeds, statements without randomness."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nogg.ids import identity_id
from noggd.domain import statements
from noggd.domain.devices import Certificate, make_certificate
from noggd.domain.membership import Group, evaluate
from noggd.domain.statements import Add, Genesis, Leave, Remove, Statement


class Device:
    """A device that signs with a key made from a number."""

    def __init__(self, seed: int) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"%d" % seed).digest())
        self.certificate: Certificate = make_certificate(
            self.private.public_key().public_bytes_raw(), self.private.sign
        )
        self.id = self.certificate.device
        self.name = f"device {seed}"

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


@dataclass
class World:
    """A group with its founder and what was stated in it."""

    founder: Device
    genesis: Genesis = field(init=False)
    said: list[Statement] = field(default_factory=list)
    nonces: int = 0

    def __post_init__(self) -> None:
        self.genesis = statements.make_genesis(
            self.founder, self.founder.name, identity_id(b"g" * 27), self.nonce()
        )

    def nonce(self) -> bytes:
        self.nonces += 1
        return self.nonces.to_bytes(16, "big")

    def via(self, device: Device) -> str:
        """The newest statement that took the device in."""
        taken_in = [s.id for s in self.said if isinstance(s, Add) and s.certificate.device == device.id]
        return taken_in[-1] if taken_in else self.genesis.id

    def add(self, by: Device, new: Device, *, via: str | None = None, aliases: tuple[str, ...] = ()) -> Add:
        made = statements.make_add(
            by, self.genesis.id, via or self.via(by), new.certificate, new.name, self.nonce(), aliases
        )
        self.said.append(made)
        return made

    def remove(self, by: Device, device: Device, keep: frozenset[str] | set[str] = frozenset()) -> Remove:
        made = statements.make_remove(by, self.genesis.id, device.id, keep)
        self.said.append(made)
        return made

    def leave(self, device: Device, of: set[str] | None = None, keep: set[str] | None = None) -> Leave:
        made = statements.make_leave(device, self.genesis.id, of or {self.via(device)}, keep or set())
        self.said.append(made)
        return made

    def group(self) -> Group:
        return evaluate(self.genesis, self.said)

    def members(self) -> set[str]:
        return set(self.group().members)
