"""SPAKE2 behind two functions, so that the library can be replaced without touching the protocol.

Two sides that know the same short password agree on a strong key; who does not know it can try one password
per run and learns nothing else. Not here: identities, confirmation and everything that is bound to the key
(`noggd.domain.pairing`). The library is imported when pairing is used: it costs 60 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nogg.errors import ProtocolError

MESSAGE_BYTES: Final = 33


class Exchange:
    """One run of one side; `message` is what the other side needs. Good for one `finish` only."""

    def __init__(self, side: Any) -> None:  # the library ships no types
        self._side = side
        self.message: bytes = side.start()
        assert len(self.message) == MESSAGE_BYTES

    def finish(self, message: bytes) -> bytes:
        """Return the shared key (32 bytes); ProtocolError for anything but a fresh element from the other side.

        The library takes trailing bytes, so the length is checked here.
        """
        if len(message) != MESSAGE_BYTES:
            raise ProtocolError("an element of the key exchange has the wrong length")
        try:
            key = self._side.finish(message)
        except Exception as error:  # the library reports bad elements in many ways, assertions among them
            raise ProtocolError("an element of the key exchange is not acceptable") from error
        assert isinstance(key, bytes)
        return key


def begin(password: bytes, *, inviter: bool, random: Callable[[int], bytes]) -> Exchange:
    """Start one side of a run. `random` returns that many random bytes. Takes about 7 ms."""
    from spake2 import SPAKE2_A, SPAKE2_B

    side = SPAKE2_B if inviter else SPAKE2_A
    return Exchange(side(password, entropy_f=random))
