"""How much of a benchmark is done, and against whom. No measuring here."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator

from benchmarks.peers import PEERS, Peer
from benchmarks.processes import Unavailable


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` of `n`, whatever the two count in a benchmark, against as many of `peers` as there are."""

    rounds: int
    n: int
    peers: tuple[Peer, ...] = PEERS

    def each_peer(self) -> Iterator[Peer]:
        """The peers that are here, one after the other; why others are not is said."""
        reasons = []
        for peer in self.peers:
            try:
                peer.install()
            except Unavailable as reason:
                reasons.append(str(reason))
                print(f"without {peer.name}: {reason}", file=sys.stderr)
            else:
                yield peer
        if len(reasons) == len(self.peers):
            raise Unavailable(reasons[0])
