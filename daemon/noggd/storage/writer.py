"""The journal's own thread: commits wait for the disk here, not in the event loop.

Strictly first in, first out. Not here: what belongs into one commit (the core decides), and the store itself.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Final, TypeVar

from nogg.errors import ShuttingDown
from noggd.storage.journal import Journal

T = TypeVar("T")

PROMPT: Final = 0.0008
"""Seconds that the median append of late may take for the next to be done in the caller's thread."""
SLOW: Final = 0.01
"""Seconds that an append is taken to last before any was measured, and after one failed."""


class JournalWriter:
    """Runs work on a journal one after the other in a thread of its own, until :meth:`close`.

    Callbacks run in that thread. `submit` and `run` belong to one thread, the core's.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._jobs: SimpleQueue[Callable[[], Callable[[], None]] | None] = SimpleQueue()
        self._accepted = 0
        self._finished = 0
        self._failed_upto = 0
        self._pace = SLOW
        self._failure: BaseException | None = None
        self._broken: BaseException | None = None
        self._closed = False
        self._thread = Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    @property
    def prompt(self) -> bool:
        """Whether `append_now` would be quick: nothing is queued or running, and the disk has been fast of late."""
        return self._finished == self._accepted and self._pace < PROMPT

    def append_now(self, record: bytes) -> BaseException | None:
        """Append a record in the calling thread, which saves two changes of thread; only while `prompt`."""
        return self._append(record)

    def _append(self, record: bytes) -> BaseException | None:
        started = perf_counter()
        try:
            self.journal.append(record)
        except BaseException as error:
            self._pace = SLOW
            return error
        took = perf_counter() - started
        # steps of equal size up and down settle at the median, which a rare slow append does not move
        self._pace = min(SLOW, self._pace * 1.2) if took > self._pace else self._pace / 1.2
        return None

    def submit(self, record: bytes, done: Callable[[BaseException | None], None]) -> None:
        """Append a record, then call `done` with None or what went wrong.

        When an append fails, those that were submitted behind it fail with it: they were made on top of it.
        """
        number = self._accept()

        def job() -> Callable[[], None]:
            error = self._failure if number <= self._failed_upto else None
            if error is None and (error := self._append(record)) is not None:
                self._failure = error
                self._failed_upto = self._accepted
            return lambda: done(error)

        self._jobs.put(job)

    def run(self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        """Do other work on the journal, then call `done` with its result, or with None and what went wrong."""
        self._accept()

        def job() -> Callable[[], None]:
            try:
                result = work()
            except BaseException as caught:  # handed to the caller, whatever it is
                error = caught
                return lambda: done(None, error)
            return lambda: done(result, None)

        self._jobs.put(job)

    def close(self) -> None:
        """Finish what was accepted and end the thread. The journal stays open; its owner closes it.

        Raises what a callback raised, if one did.
        """
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        if self._broken is not None:
            raise self._broken

    def _accept(self) -> int:
        if self._closed:
            raise ShuttingDown
        self._accepted += 1
        return self._accepted

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(job)
            del job  # it holds what it was asked with, and the next one may be long in coming

    def _do(self, job: Callable[[], Callable[[], None]]) -> None:
        tell = job()
        self._finished += 1  # first, so that whoever is told finds the journal free
        try:
            tell()
        except BaseException as error:  # a callback failed: what is queued must reach the disk all the same
            self._broken = self._broken or error
