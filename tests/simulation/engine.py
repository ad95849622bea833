"""Virtual time: an event loop and a disk that do one thing at a time, in an order that a seed decides."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from noggd.storage.journal import Loaded

MAX_STEPS = 20_000
"""Steps of one history, far more than any takes: what goes beyond goes round and round."""


class Timer:
    """Something that will be called, unless it is cancelled or its owner is dead by then."""

    __slots__ = ("arguments", "life", "run")

    def __init__(self, run: Callable[..., object], arguments: tuple[Any, ...], life: Life | None) -> None:
        self.run: Callable[..., object] | None = run
        self.arguments = arguments
        self.life = life

    def cancel(self) -> None:
        self.run = None


class Engine:
    """All that is going to happen, ordered by virtual seconds. `trace` sums up all that was said."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.time = 0.0
        self.steps = 0
        self.trace = sha256()
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._marks: list[tuple[int, int, Callable[[], object]]] = []

    def after(
        self, seconds: float, run: Callable[..., object], *arguments: Any, life: Life | None = None
    ) -> Timer:
        timer = Timer(run, arguments, life)
        self._count += 1
        heapq.heappush(self._heap, (self.time + seconds, self._count, timer))
        return timer

    def after_steps(self, steps: int, run: Callable[[], object]) -> None:
        """Call between two steps of whatever is going on, so many from now."""
        self._count += 1
        heapq.heappush(self._marks, (self.steps + steps, self._count, run))

    def run_until(self, time: float) -> None:
        heap, marks = self._heap, self._marks
        while heap and heap[0][0] <= time:
            self.time, _, timer = heapq.heappop(heap)
            if timer.run is not None and (timer.life is None or timer.life.alive):
                asyncio._set_running_loop(cast(Any, timer.life))  # the one that links ask for
                timer.run(*timer.arguments)
                self.steps += 1
                assert self.steps < MAX_STEPS, "it never ends"
                while marks and marks[0][0] <= self.steps:
                    heapq.heappop(marks)[2]()
        asyncio._set_running_loop(None)
        self.time = max(self.time, time)


class Life:
    """One run of a device's process: its loop. Nothing that was to happen in it happens after its end."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.alive = True

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> Timer:
        return self.engine.after(0.0, callback, *arguments, life=self)

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        return self.engine.after(delay, callback, *arguments, life=self)

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: Any) -> Timer:
        return self.call_later(self.engine.random.uniform(0, 0.0005), callback, *arguments)


class Disk:
    """A journal in memory that survives the process; what was not appended yet does not.

    It comes formatted, with the Y client id and the epoch that else would be drawn by chance.
    """

    path = Path("simulated")

    def __init__(self, engine: Engine) -> None:
        self.snapshots: dict[str, bytes] = {}
        self.records: list[tuple[int, bytes]] = []
        self.meta = {
            "clients": str(engine.random.getrandbits(32) | 1),
            "epoch": f"{engine.random.getrandbits(64):016x}",
        }
        self.last_seq = 0

    def load(self) -> Loaded:
        return Loaded(dict(self.snapshots), [record for _, record in self.records], dict(self.meta))

    def append(self, record: bytes) -> int:
        self.last_seq += 1
        self.records.append((self.last_seq, record))
        return self.last_seq

    def compact(
        self, snapshots: Mapping[str, bytes], upto: int, meta: Mapping[str, str] | None = None
    ) -> None:
        self.snapshots = dict(snapshots)
        self.records = [(seq, record) for seq, record in self.records if seq > upto]
        self.meta.update(meta or {})

    def set_meta(self, notes: Mapping[str, str]) -> None:
        self.meta.update(notes)


class Writer:
    """As `JournalWriter`: first in, first out; each piece of work takes a while and may never be done."""

    def __init__(self, journal: Disk, life: Life) -> None:
        self.journal = journal
        self._life = life
        self._free_at = 0.0

    @property
    def prompt(self) -> bool:
        engine = self._life.engine
        return self._free_at <= engine.time and engine.random.random() < 0.5

    def append_now(self, record: bytes) -> None:
        self.journal.append(record)

    def submit(self, record: bytes, done: Callable[[BaseException | None], None]) -> None:
        self._do(lambda: self.journal.append(record), lambda _, error: done(error))

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self._do(work, done)

    def _do(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        engine = self._life.engine
        self._free_at = max(self._free_at, engine.time) + engine.random.uniform(0.0001, 0.02)
        self._life.call_later(self._free_at - engine.time, lambda: done(work(), None))
