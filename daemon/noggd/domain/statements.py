"""What devices state about their group, signed: who founded it, who joined, who was removed, who left.

Here: the four kinds of statement, their one encoding, making and reading them. A statement is canonical
JSON (keys sorted, no spaces, ASCII) with the signature inside; reading accepts exactly what making writes,
and never returns one whose signature does not hold. Not here: what a set of statements means
(`noggd.domain.membership`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from nogg.errors import ProtocolError
from nogg.ids import is_identity_id, parse_device_id
from noggd.domain.devices import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    Certificate,
    Signer,
    check_certificate,
    device_of_key,
    is_device_name,
    signed_by,
)

NONCE_BYTES: Final = 16
MAX_STATEMENT: Final = 16 * 1024
"""Bytes of one statement; a removal that keeps 256 devices has 12 KB."""
MAX_LISTED: Final = 256
"""Entries of a list in a statement."""

S = TypeVar("S", bound="Statement")

_LABEL: Final = b"nogg-member-1"
"""Stands before what is signed and hashed, so that no signature made for anything else can be passed off."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What all kinds share: `id` (hash of what is signed), `by` (the signer's device), `raw` (its bytes)."""

    id: str
    by: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Genesis(Statement):
    """A device founds a group for a person; its id is the group's id."""

    certificate: Certificate
    name: str
    identity: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Add(Statement):
    """A member takes in a device. `via` is the statement by which the signer itself is a member.

    `aliases` are the identity ids that the joiner went by before.
    """

    group: str
    via: str
    certificate: Certificate
    name: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remove(Statement):
    """A member removes a device for good; of what that device had added only `keep` (ids of adds) stays."""

    group: str
    device: str
    keep: frozenset[str]


@dataclass(frozen=True, slots=True)
class Leave(Statement):
    """A device ends its own membership by the statements `of`; of what it had added only `keep` stays."""

    group: str
    of: frozenset[str]
    keep: frozenset[str]


def make_genesis(
    signer: Signer, name: str, identity: str, nonce: bytes, aliases: Iterable[str] = ()
) -> Genesis:
    """Found a group of one. `nonce` is 16 random bytes: they make its id unlike any other."""
    body = {
        "aliases": sorted(set(aliases)),
        "certificate": _text(signer.certificate.der),
        "identity": identity,
        "name": name,
        "nonce": _text(nonce),
        "t": "genesis",
    }
    return _sign(signer, body, Genesis)


def make_add(
    signer: Signer,
    group: str,
    via: str,
    certificate: Certificate,
    name: str,
    nonce: bytes,
    aliases: Iterable[str] = (),
) -> Add:
    """State that the device of `certificate` joins; `nonce` as in `make_genesis`."""
    body = {
        "aliases": sorted(set(aliases)),
        "certificate": _text(certificate.der),
        "group": group,
        "name": name,
        "nonce": _text(nonce),
        "t": "add",
        "via": via,
    }
    return _sign(signer, body, Add)


def make_remove(signer: Signer, group: str, device: str, keep: Iterable[str]) -> Remove:
    """State that `device` is removed for good."""
    return _sign(signer, {"device": device, "group": group, "keep": sorted(set(keep)), "t": "remove"}, Remove)


def make_leave(signer: Signer, group: str, of: Iterable[str], keep: Iterable[str]) -> Leave:
    """State that the signer leaves the group."""
    body = {"group": group, "keep": sorted(set(keep)), "of": sorted(set(of)), "t": "leave"}
    return _sign(signer, body, Leave)


def _sign(signer: Signer, fields: Mapping[str, object], kind: type[S]) -> S:
    body = {**fields, "by": _text(signer.certificate.key)}
    signature = signer.sign(_LABEL + _canonical(body))
    made = read_statement(_canonical({**body, "sig": _text(signature)}))
    assert isinstance(made, kind)
    return made


def read_statement(raw: bytes, *, signed: bool = False) -> Statement:
    """Return the statement that these bytes are; ProtocolError unless it is whole, canonical and signed.

    `signed`: the bytes are as they were when their signatures held, which is then not checked again.
    """
    if len(raw) > MAX_STATEMENT:
        raise ProtocolError(f"a statement has at most {MAX_STATEMENT} bytes")
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a statement must be JSON") from error
    if not isinstance(fields, dict) or _canonical(fields) != raw:
        raise ProtocolError("a statement must be one JSON object in its canonical form")
    reader = _READERS.get(kind) if isinstance(kind := fields.get("t"), str) else None
    if reader is None:
        raise ProtocolError("unknown kind of statement")
    signature, key = _bytes(fields.pop("sig", None), SIGNATURE_BYTES), _bytes(fields.get("by"), KEY_BYTES)
    stated = _LABEL + _canonical(fields)
    common = Statement(_text(hashlib.sha256(stated).digest()), device_of_key(key), raw)
    statement = reader(fields, common, signed)
    if not signed and not signed_by(key, signature, stated):
        raise ProtocolError("the signature of a statement does not hold")
    return statement


def _genesis(fields: Mapping[str, object], common: Statement, signed: bool) -> Genesis:
    _expect(fields, "aliases", "by", "certificate", "identity", "name", "nonce", "t")
    certificate = check_certificate(_bytes(fields["certificate"]), signed=signed)
    if certificate.device != common.by:
        raise ProtocolError("a group is founded by the device that signs")
    _bytes(fields["nonce"], NONCE_BYTES)
    aliases = tuple(_identity(alias) for alias in _list(fields["aliases"]))
    return Genesis(
        common.id,
        common.by,
        common.raw,
        certificate,
        _name(fields["name"]),
        _identity(fields["identity"]),
        aliases,
    )


def _add(fields: Mapping[str, object], common: Statement, signed: bool) -> Add:
    _expect(fields, "aliases", "by", "certificate", "group", "name", "nonce", "t", "via")
    _bytes(fields["nonce"], NONCE_BYTES)
    return Add(
        common.id,
        common.by,
        common.raw,
        _reference(fields["group"]),
        _reference(fields["via"]),
        check_certificate(_bytes(fields["certificate"]), signed=signed),
        _name(fields["name"]),
        tuple(_identity(alias) for alias in _list(fields["aliases"])),
    )


def _remove(fields: Mapping[str, object], common: Statement, _signed: bool) -> Remove:
    _expect(fields, "by", "device", "group", "keep", "t")
    return Remove(
        common.id,
        common.by,
        common.raw,
        _reference(fields["group"]),
        _device(fields["device"]),
        _references(fields["keep"]),
    )


def _leave(fields: Mapping[str, object], common: Statement, _signed: bool) -> Leave:
    _expect(fields, "by", "group", "keep", "of", "t")
    return Leave(
        common.id,
        common.by,
        common.raw,
        _reference(fields["group"]),
        _references(fields["of"]),
        _references(fields["keep"]),
    )


_READERS: Final[dict[str, Callable[[Mapping[str, object], Statement, bool], Statement]]] = {
    "genesis": _genesis,
    "add": _add,
    "remove": _remove,
    "leave": _leave,
}


def _canonical(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _expect(fields: Mapping[str, object], *names: str) -> None:
    if fields.keys() != set(names):
        raise ProtocolError("a statement has exactly the fields of its kind")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _bytes(value: object, size: int | None = None) -> bytes:
    """Read base64 (URL alphabet, no padding); several spellings of the same bytes are not accepted."""
    if not isinstance(value, str):
        raise ProtocolError("a statement holds bytes as base64 text")
    try:
        data = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("a statement holds bytes as base64 text") from error
    if _text(data) != value or (size is not None and len(data) != size):
        raise ProtocolError("bytes in a statement are misspelt or of the wrong number")
    return data


def _reference(value: object) -> str:
    return _text(_bytes(value, hashlib.sha256().digest_size))


def _references(value: object) -> frozenset[str]:
    items: Sequence[str] = [_reference(item) for item in _list(value)]
    return frozenset(items)


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) > MAX_LISTED:
        raise ProtocolError(f"a list in a statement has at most {MAX_LISTED} entries")
    if not all(isinstance(item, str) for item in value) or value != sorted(set(value)):
        raise ProtocolError("a list in a statement is sorted and has no doubles")
    return value


def _identity(value: object) -> str:
    if not isinstance(value, str) or not is_identity_id(value):
        raise ProtocolError("not the id of a person")
    return value


def _device(value: object) -> str:
    try:
        if isinstance(value, str) and parse_device_id(value) == value:
            return value
    except ValueError as error:
        raise ProtocolError("not the id of a device") from error
    raise ProtocolError("not the id of a device")


def _name(value: object) -> str:
    if not isinstance(value, str) or not is_device_name(value):
        raise ProtocolError("not the name of a device")
    return value
