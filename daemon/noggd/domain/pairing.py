"""Pairing two devices by a short code: both sides as state machines, message in, message out.

    1  joiner -> inviter   version, number of the window, joiner's key, SPAKE2 element
    2  inviter -> joiner   SPAKE2 element
    3  joiner -> inviter   confirmation, sealed: certificate, signature, name, former identities, addresses
    4  inviter -> joiner   confirmation, sealed: certificate, the group's statements, addresses

Everything after the SPAKE2 elements is keyed by the exchange and by both devices' keys: the joiner takes
the inviter's from the TLS connection, never from a message, so a man in the middle who owns both
connections ends with different keys on the two sides. A window allows few guesses, and a guess is spent
before it is compared. A joiner sends message 3 to whoever answers, so it too must run a code only once.

Time, randomness and transport are the caller's. docs/protocol.md has every byte.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from nogg.errors import ProtocolError
from nogg.ids import is_identity_id
from noggd.domain.addresses import valid_addresses
from noggd.domain.codes import Code
from noggd.domain.devices import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    Certificate,
    Signer,
    check_certificate,
    is_device_name,
    signed_by,
)
from noggd.domain.membership import Group, evaluate
from noggd.domain.pairing_wire import (
    CONFIRMATION_BYTES,
    MAX_MESSAGE,
    MAX_WELCOME,
    Keys,
    Refused,
    answer,
    as_bytes,
    as_text,
    decode,
    encode,
)
from noggd.domain.pake import MESSAGE_BYTES, Exchange
from noggd.domain.statements import Genesis, Statement, read_statement

VERSION: Final = 1
GUESSES: Final = 3
PARALLEL: Final = 4
"""Runs at a time, so that one who stalls does not hold the window."""
RUNS: Final = 20
"""Runs of one window, finished or not; each costs 16 ms of a core on either side."""
MAX_ALIASES: Final = 64


class Invitation:
    """What one code still allows: time, guesses, runs. The inviter's side of any number of runs.

    `prepared` are the exchanges that runs will use, one each: made beforehand, because the time that making
    one takes depends on the password. `expires_at` is in the unit of the `now` arguments.
    """

    def __init__(self, code: Code, own: Certificate, prepared: list[Exchange], expires_at: float) -> None:
        self.code = code
        self.own = own
        self.expires_at = expires_at
        self.guesses = GUESSES
        self.running = 0
        self.closed: str | None = None
        self._prepared = prepared

    def is_open(self, now: float) -> bool:
        """Say whether a code may still be tried; closes the invitation when it has run out of anything."""
        if self.closed is None and now >= self.expires_at:
            self.close("expired")
        elif self.closed is None and self.guesses <= 0:
            self.close("guesses")
        elif self.closed is None and not self._prepared and not self.running:
            self.close("runs")
        return self.closed is None

    def close(self, why: str) -> None:
        """End the invitation for good; nobody can finish a run from here on."""
        if self.closed is None:
            self.closed = why
            self._prepared.clear()

    def begin(self, now: float) -> Answer:
        """Start a run; raises Refused. The caller ends it with `end`, whatever happens."""
        if not self.is_open(now):
            raise Refused("closed")
        if self.running >= PARALLEL or not self._prepared:
            raise Refused("busy")
        self.running += 1
        return Answer(self, self._prepared.pop())

    def end(self) -> None:
        """Note that a run is over."""
        self.running -= 1


class Joiner(NamedTuple):
    """Who joins, proved: the certificate is that of the key that ran the exchange."""

    certificate: Certificate
    name: str
    identities: tuple[str, ...]
    addresses: tuple[str, ...]


class Answer:
    """The inviter's side of one run: `element`, `proof`, `welcome`, in this order, each once."""

    def __init__(self, invitation: Invitation, exchange: Exchange) -> None:
        self._invitation = invitation
        self._exchange = exchange
        self._keys: Keys | None = None
        self._joiner = b""

    def element(self, message: bytes) -> bytes:
        """Take message 1, return message 2. Takes 9 ms; touches nothing that other runs use."""
        fields = decode(message, MAX_MESSAGE)
        if fields.get("v") != VERSION:
            raise Refused("version")
        if fields.get("number") != self._invitation.code.number:
            raise Refused("number")
        self._joiner = as_bytes(fields.get("key"), KEY_BYTES)
        if self._joiner == self._invitation.own.key:
            raise Refused("self")
        element = as_bytes(fields.get("pake"), MESSAGE_BYTES)
        secret = self._exchange.finish(element)
        self._keys = Keys.derive(
            secret,
            self._invitation.code,
            self._invitation.own.key,
            self._joiner,
            element,
            self._exchange.message,
        )
        return encode({"pake": as_text(self._exchange.message)})

    def proof(self, message: bytes, now: float) -> Joiner:
        """Take message 3: spend a guess, then look. Success closes the invitation. Raises Refused.

        Must not run in parallel with another run's `proof`.
        """
        keys, self._keys = self._keys, None
        assert keys is not None
        fields = decode(message, MAX_MESSAGE)
        confirmation = as_bytes(fields.get("confirm"), CONFIRMATION_BYTES)
        box = as_bytes(fields.get("box"))
        if not self._invitation.is_open(now):
            raise Refused("closed")
        self._invitation.guesses -= 1
        if not hmac.compare_digest(confirmation, keys.confirmation("joiner")):
            self._invitation.is_open(now)
            raise Refused("code")
        self._invitation.close("used")
        self._keys = keys
        opened = keys.open("joiner", box)
        certificate = check_certificate(as_bytes(opened.get("certificate")))
        if certificate.key != self._joiner:
            raise ProtocolError("the joiner's certificate is not for the key that paired")
        if not signed_by(certificate.key, as_bytes(opened.get("signature"), SIGNATURE_BYTES), keys.signed):
            raise ProtocolError("the joiner does not hold its key")
        name, identities = opened.get("name"), opened.get("identities")
        if not isinstance(name, str) or not is_device_name(name):
            raise ProtocolError("the joiner's name is not one")
        return Joiner(certificate, name, _identities(identities), valid_addresses(opened.get("addresses")))

    def welcome(
        self,
        statements: Iterable[Statement],
        addresses: Mapping[str, Iterable[str]],
        named: bool,
        name: str,
    ) -> bytes:
        """Return message 4, to be sent once the joiner's add is on disk.

        `statements`: the group's, the genesis first. `addresses`: where devices were last reached. `named`:
        whether the group has a username, which then replaces the joiner's. `name`: what this device is called.
        """
        assert self._keys is not None
        sealed = self._keys.seal(
            "inviter",
            {
                "certificate": as_text(self._invitation.own.der),
                "statements": [statement.raw.decode("ascii") for statement in statements],
                "addresses": {device: list(known) for device, known in addresses.items()},
                "named": named,
                "name": name,
            },
        )
        return encode({"confirm": as_text(self._keys.confirmation("inviter")), "box": as_text(sealed)})


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a joiner was given: the group with both devices in it, and where its devices were last reached."""

    inviter: str
    group: Group
    genesis: Genesis
    statements: tuple[Statement, ...]
    addresses: Mapping[str, tuple[str, ...]]
    named: bool
    name: str
    """What the inviter is called now; empty where it did not tell."""


class Joining:
    """The joiner's side of one run: `element`, `proof`, `finish`, in this order, each once.

    `inviter` is the certificate that the TLS connection showed. Making one object per typed code, and never a
    second, is the caller's duty.
    """

    def __init__(
        self, code: Code, own: Signer, inviter: Certificate, exchange: Exchange, about: Mapping[str, object]
    ) -> None:
        self._code = code
        self._own = own
        self._inviter = inviter
        self._exchange = exchange
        self._about = about
        self._keys: Keys | None = None

    def element(self) -> bytes:
        """Return message 1, which tells nothing about the code but its number."""
        return encode(
            {
                "v": VERSION,
                "number": self._code.number,
                "key": as_text(self._own.certificate.key),
                "pake": as_text(self._exchange.message),
            }
        )

    def proof(self, message: bytes) -> bytes:
        """Take message 2, return message 3: from here on the code counts as tried. Raises Refused."""
        fields = answer(message, MAX_MESSAGE)
        element = as_bytes(fields.get("pake"), MESSAGE_BYTES)
        own = self._own.certificate
        secret = self._exchange.finish(element)
        keys = self._keys = Keys.derive(
            secret, self._code, self._inviter.key, own.key, self._exchange.message, element
        )
        sealed = keys.seal(
            "joiner",
            {
                **self._about,
                "certificate": as_text(own.der),
                "signature": as_text(self._own.sign(keys.signed)),
            },
        )
        return encode({"confirm": as_text(keys.confirmation("joiner")), "box": as_text(sealed)})

    def finish(self, message: bytes) -> Welcome:
        """Take message 4 and return the group that was joined. Raises Refused, or ProtocolError."""
        keys, self._keys = self._keys, None
        assert keys is not None
        fields = answer(message, MAX_WELCOME)
        if not hmac.compare_digest(
            as_bytes(fields.get("confirm"), CONFIRMATION_BYTES), keys.confirmation("inviter")
        ):
            raise Refused("code")
        opened = keys.open("inviter", as_bytes(fields.get("box")))
        if as_bytes(opened.get("certificate")) != self._inviter.der:
            raise ProtocolError("the inviter is not who the connection was made with")
        return self._read(opened)

    def _read(self, opened: Mapping[str, object]) -> Welcome:
        raw = opened.get("statements")
        if not isinstance(raw, list) or not raw or not all(isinstance(item, str) for item in raw):
            raise ProtocolError("a welcome holds the group's statements")
        genesis, *others = (read_statement(item.encode("utf-8", "replace")) for item in raw)
        if not isinstance(genesis, Genesis):
            raise ProtocolError("a group's first statement is its genesis")
        group = evaluate(genesis, others)
        for certificate in (self._own.certificate, self._inviter):
            member = group.members.get(certificate.device)
            if member is None or member.certificate != certificate:
                raise ProtocolError("a welcome makes both devices members of one group")
        addresses, name = opened.get("addresses"), opened.get("name")
        known = addresses.items() if isinstance(addresses, dict) else ()
        return Welcome(
            inviter=self._inviter.device,
            group=group,
            genesis=genesis,
            statements=tuple(others),
            addresses={device: valid_addresses(where) for device, where in known if device in group.members},
            named=opened.get("named") is True,
            name=name if isinstance(name, str) and is_device_name(name) else "",
        )


def about(name: str, identities: Iterable[str], addresses: Iterable[str]) -> dict[str, object]:
    """Return what a joiner tells about itself: its name, identity ids that it went by, where to reach it."""
    return {"name": name, "identities": list(identities), "addresses": list(addresses)}


def _identities(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or len(values) > MAX_ALIASES:
        raise ProtocolError("the joiner's former identities are a short list")
    if not all(is_identity_id(value) for value in values):
        raise ProtocolError("a former identity of the joiner is not one")
    return tuple(sorted(set(values)))
