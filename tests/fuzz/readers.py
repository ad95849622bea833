"""Every reader of foreign bytes, and how its input is changed: parse it or raise what it names, nothing else."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nogg.errors import ProtocolError
from noggd.core import records
from noggd.domain import codes, frames, pairing_wire, statements
from noggd.domain.guard import Guard, Incomplete
from noggd.domain.pairing_wire import Refused
from noggd.domain.replica import Replica
from noggd.domain.update import decode_state_vector, delete_set
from noggd.services.local_api import requests
from noggd.services.peers.hello import read_hello, read_statements
from noggd.storage import trust_file
from noggd.storage.journal import StoreBroken
from noggd.storage.keys import FILE as KEY_FILE
from noggd.storage.keys import make_key
from noggd.storage.schema import StoreTooNew

CORPUS = Path(__file__).parent / "corpus"
KNOWN = Path(__file__).parents[1] / "unit" / "corpus" / "guard"


class Reader(NamedTuple):
    """`read` takes bytes, and raises `errors` or nothing."""

    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]


def guard(data: bytes) -> None:
    Guard(2**31 + 3, frozenset({"devices"})).check(data)


def link(data: bytes) -> None:
    """A frame, and what is done with it."""
    frame = frames.read_frame(data)
    match frame:
        case frames.Hello(content):
            read_hello(content)
        case frames.Statements(content):
            for raw in read_statements(content):
                statements.read_statement(raw)
        case frames.StatementsStored():
            pass
        case _:
            Replica().receive(frame)


class TrustFile:
    """A state folder in which the file is replaced by what is read."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nogg-fuzz-"))
        make_key(self.folder / KEY_FILE)

    def __call__(self, data: bytes) -> None:
        (self.folder / trust_file.FILE).write_bytes(data)
        trust_file.load(self.folder)

    def close(self) -> None:
        shutil.rmtree(self.folder)


def pairing(data: bytes) -> None:
    fields = pairing_wire.answer(data, pairing_wire.MAX_MESSAGE)
    for value in fields.values():
        pairing_wire.as_bytes(value)


def readers(trust: TrustFile) -> dict[str, Reader]:
    """Each by the name of its corpus."""
    peer = (ProtocolError,)
    return {
        "guard": Reader(guard, (ProtocolError, Incomplete)),
        "frame": Reader(link, peer),
        "vector": Reader(decode_state_vector, peer),
        "deletes": Reader(delete_set, peer),
        "statement": Reader(statements.read_statement, peer),
        "pairing": Reader(pairing, (ProtocolError, Refused)),
        "code": Reader(lambda data: codes.read_code(data.decode("utf-8", "replace")), peer),
        "ticket": Reader(lambda data: codes.read_ticket(data.decode("utf-8", "replace")), peer),
        "line": Reader(requests.parse, (requests.Refused,)),
        "record": Reader(records.decode, peer),
        "trust": Reader(trust, (StoreBroken, StoreTooNew)),
    }


def seeds(name: str) -> list[bytes]:
    """The corpus of a reader: one input a line, in hexadecimal."""
    found = [bytes.fromhex(line) for line in (CORPUS / f"{name}.hex").read_text().split()]
    if name == "guard":
        texts = (path.read_text() for path in sorted(KNOWN.glob("*.hex")))
        found += [bytes.fromhex("".join(x for x in t.splitlines() if not x.startswith("#"))) for t in texts]
    return found


_ODD = (
    b"\x00",
    b"\xff",
    b"\x80" * 9,
    b"\x7f",
    b"[" * 40,
    b"{",
    b'"',
    b"\\ud800",
    b"1e999",
    b"-",
    b"9" * 5000,
    b"null",
)


def changed(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """Change an input in one to four places."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(out) + 1)
        match dice.randrange(7):
            case 0 if at < len(out):
                out[at] ^= 1 << dice.randrange(8)
            case 1 if at < len(out):
                out[at] = dice.randrange(256)
            case 2:
                del out[at : at + dice.choice((1, 2, 8, 64, len(out)))]
            case 3:
                out[at:at] = dice.choice(_ODD)
            case 4:
                out[at:at] = out[at : at + dice.choice((1, 4, 32))]
            case 5:
                other = dice.choice(others)
                out[at:] = other[dice.randrange(len(other) + 1) :]
            case _:
                out[at:at] = dice.randbytes(dice.randint(1, 6))
    return bytes(out[: 1 << 16])
