"""The runs of this daemon over its store, to notice that the store is an old copy of itself.

Each run has a random name, kept in the store with how many operations each document held of our client id
when the run began. A peer remembers during which run it last talked to us, and how much of what we wrote it
had then. A store that does not know that run, or ended it with less, was restored from a backup or copied:
it would write something else under the same clocks, and no state vector would show it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nogg.errors import ProtocolError

KEY: Final = "runs"
"""Where the store keeps them."""
MAX_RUNS: Final = 1000
"""Runs that are remembered; whoever has not talked to us for longer finds nothing suspicious."""
MAX_DETAILED: Final = 50
"""Runs of which the clocks are remembered too."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its name, the client id it wrote under (0: not known any more), clocks by document when it began."""

    name: str
    client: int
    clocks: Mapping[str, int]


class Runs:
    """All runs that are remembered, the present one last."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs

    @classmethod
    def read(cls, text: str) -> Runs:
        """Read what the store holds; ProtocolError where it is not what was written."""
        try:
            return cls(
                [Run(str(name), int(client), dict(clocks)) for name, client, clocks in json.loads(text)]
            )
        except (ValueError, TypeError) as error:
            raise ProtocolError("the runs in the store cannot be read") from error

    def encode(self) -> str:
        """Return what the store keeps."""
        return json.dumps([[run.name, run.client, run.clocks] for run in self._runs], separators=(",", ":"))

    def begin(self, name: str, client: int, clocks: Mapping[str, int]) -> None:
        """Begin a run."""
        self._runs.append(Run(name, client, dict(clocks)))
        del self._runs[:-MAX_RUNS]
        if len(self._runs) > MAX_DETAILED:
            plain = self._runs[-MAX_DETAILED - 1]
            self._runs[-MAX_DETAILED - 1] = Run(plain.name, 0, {})

    def adopt(self, name: str) -> None:
        """Take in a run that was forgotten, now that what it wrote was taken over from a peer."""
        if all(run.name != name for run in self._runs):
            self._runs.insert(-1, Run(name, 0, {}))

    def remembers(self, name: str, client: int, clocks: Mapping[str, int]) -> bool:
        """Say whether the run of this name is known, and had written at least so much under this client id."""
        place = next((nth for nth, run in enumerate(self._runs) if run.name == name), None)
        if place is None:
            return len(self._runs) >= MAX_RUNS
        if place + 1 == len(self._runs) or self._runs[place].client == 0:
            return True  # in the present run, what is beyond its clocks shows in the state vectors
        after = self._runs[place + 1]
        if after.client != client:
            return True
        return all(clock <= after.clocks.get(document, 0) for document, clock in clocks.items())
