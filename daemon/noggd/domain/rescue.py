"""Fetching every document whole over one link, for a device that forgot what it wrote: a state machine.

A device that was restored from a backup learns from a peer that it has written more than it knows of. It
then takes the peer's documents as they are and starts over from them. The peer names its documents by its
own sync step 1s, all of them before it answers anything, so the first answer is proof that they are
complete. Not here: what is done with the documents (`noggd.domain.maps`), and that the link is given up
afterwards.
"""

from __future__ import annotations

from typing import Final

from noggd.domain.frames import Frame, Step1, Step2
from noggd.domain.replica import MAX_DOCUMENTS
from noggd.domain.update import encode_state_vector

FIRST: Final = "person"
"""The document that every device has."""


class Rescue:
    """`states` holds what has come; `complete` says that it is all."""

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}
        self.complete = False
        self._named: dict[str, None] = {}

    def begin(self) -> list[Frame]:
        """Return what to send first."""
        return [Step1(FIRST, encode_state_vector({}))]

    def receive(self, frame: Frame) -> list[Frame]:
        """Take a frame; return what to send. What is neither a name nor an answer does not matter now."""
        match frame:
            case Step1(document, _) if len(self._named) < MAX_DOCUMENTS:
                self._named[document] = None
            case Step2(document, update) if not self.complete:
                self.states[document] = update
                self.complete = self.states.keys() >= self._named.keys()
                if document == FIRST:
                    empty = encode_state_vector({})
                    return [Step1(named, empty) for named in self._named if named != FIRST]
        return []
