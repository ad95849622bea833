"""Virtual time: an event loop and a disk that do one thing at a time, in an order that a seed decides."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from noggd.storage.journal import Loaded


class Timer:
    """Something that will be called, unless it is cancelled or its owner is dead by then."""

    def __init__(self, run: Callable[[], object]) -> None:
        self.run: Callable[[], object] | None = run

    def cancel(self) -> None:
        self.run = None


class Engine:
    """All that is going to happen, ordered by virtual seconds."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.time = 0.0
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def after(self, seconds: float, run: Callable[[], object]) -> Timer:
        timer = Timer(run)
        self._count += 1
        heapq.heappush(self._heap, (self.time + seconds, self._count, timer))
        return timer

    def step(self) -> bool:
        """Let the next thing happen; False if there is none."""
        while self._heap:
            self.time, _, timer = heapq.heappop(self._heap)
            if timer.run is not None:
                timer.run()
                return True
        return False

    def run_until(self, time: float) -> None:
        while self._heap and self._heap[0][0] <= time:
            self.step()
        self.time = max(self.time, time)


class Life:
    """One run of a device's process: its loop. Nothing that was to happen in it happens after its end."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.alive = True

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> Timer:
        return self.call_later(0.0, callback, *arguments)

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        return self.engine.after(delay, lambda: callback(*arguments) if self.alive else None)

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: Any) -> Timer:
        return self.call_later(self.engine.random.uniform(0, 0.0005), callback, *arguments)


class Disk:
    """A journal in memory that survives the process; what was not appended yet does not."""

    path = Path("simulated")

    def __init__(self) -> None:
        self.snapshots: dict[str, bytes] = {}
        self.records: list[tuple[int, bytes]] = []
        self.meta: dict[str, str] = {}
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
        def work() -> None:
            self.journal.append(record)
            done(None)

        self._later(work)

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self._later(lambda: done(work(), None))

    def _later(self, work: Callable[[], None]) -> None:
        engine = self._life.engine
        self._free_at = max(self._free_at, engine.time) + engine.random.uniform(0.0001, 0.02)
        self._life.call_later(self._free_at - engine.time, work)
