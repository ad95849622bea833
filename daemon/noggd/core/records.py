"""What one batch leaves in the journal, as bytes: updates of documents, revisions, accesses not yet in a document.

Layout: 4 bytes length of the header, the header (JSON), then the updates one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from nogg.errors import ProtocolError


@dataclass(slots=True)
class Record:
    """One batch.

    `updates`: (document, update) in order. `changes`: per session the revision records (`revisions.as_record`).
    `touches`: per session stamps of last access by reference that no update holds yet. `clock`: the hybrid
    logical clock after the batch. `secret`: the batch replaced one, which older records or snapshots still hold.
    """

    clock: int = 0
    updates: list[tuple[str, bytes]] = field(default_factory=list)
    changes: dict[str, list[Any]] = field(default_factory=dict)
    touches: dict[str, dict[str, int]] = field(default_factory=dict)
    secret: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to keep."""
        return not (self.updates or self.changes or self.touches)

    def encode(self) -> bytes:
        """Return the record as bytes for the journal."""
        header = to_json(
            {
                "clock": self.clock,
                "updates": [(name, len(update)) for name, update in self.updates],
                "changes": self.changes,
                "touches": self.touches,
                **({"secret": True} if self.secret else {}),
            }
        )
        return b"".join([len(header).to_bytes(4, "big"), header, *(update for _, update in self.updates)])


def decode(data: bytes) -> Record:
    """Read a record of the journal. Raises ProtocolError where it is not one."""
    length = int.from_bytes(data[:4], "big")
    try:
        header = from_json(data[4 : 4 + length])
        record = Record(header["clock"], [], header["changes"], header["touches"], "secret" in header)
        start = 4 + length
        for name, size in header["updates"]:
            record.updates.append((name, data[start : start + size]))
            start += size
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError("a record of the journal cannot be read") from error
    if start != len(data):
        raise ProtocolError("a record of the journal has the wrong length")
    return record
