"""What the writer does by and by: accesses into the journal and the documents, compaction of maps and journal.

Timers only decide when; the work is done inside batches, or in the journal's thread between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from noggd.core.batch import Batch
from noggd.core.replicas import Replicas
from noggd.domain.changes import Origin

if TYPE_CHECKING:
    from noggd.core.writer import Core

TOUCH_DELAY = 0.3
"""Seconds until an access is in the journal (contract: 1)."""

DOCUMENT_DELAY = 3.0
"""Seconds until accesses are in the document and on their way to peers (contract: 5)."""

SECRET_DELAY = 20.0
"""Seconds until the journal is compacted after a secret went (contract: 60 until its bytes are gone)."""

COMPACT_BYTES = 4 << 20
"""Bytes of records after which the journal is compacted."""

COMPACT_AT_STOP = 128 << 10
"""Bytes of records that a stop leaves behind; more are compacted, for the next start would read each of them."""


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call."""


class Loop(Protocol):
    """What the core needs of an event loop; simulations bring their own."""

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> object:
        """Call in the next turn."""

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Call after so many seconds."""

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: Any) -> object:
        """Call in the next turn, from any thread."""


class Maintenance:
    """The timers of one core."""

    def __init__(self, core: Core, loop: Loop) -> None:
        self._core = core
        self._loop = loop
        self._touches: dict[tuple[str, str], tuple[int, Origin]] = {}
        self._timers: dict[str, Timer] = {}
        self._compaction_wanted = False
        self.size = 0
        """Bytes of the records that the journal holds behind its snapshots."""

    def _after(self, name: str, seconds: float, run: Callable[[], object]) -> None:
        if name not in self._timers:
            self._timers[name] = self._loop.call_later(seconds, self._fire, name, run)

    def _fire(self, name: str, run: Callable[[], object]) -> None:
        del self._timers[name]
        run()

    def touch(self, session: str, microcosm_id: str, stamp: int, origin: Origin) -> None:
        """Note an access: only the latest of a reference is written."""
        self._touches[session, microcosm_id] = (stamp, origin)
        self._after("touches", TOUCH_DELAY, self.write_touches)

    def write_touches(self) -> None:
        """Put the accesses that were noted into the journal."""
        touches, self._touches = self._touches, {}
        if touches:
            self._core.submit(lambda batch: _run_touches(batch, touches), lambda result: None)
            self._after("documents", DOCUMENT_DELAY, self._write_documents)

    def _write_documents(self) -> None:
        self._core.submit(lambda batch: batch.hurry(), lambda result: None)

    def note_waiting(self, replicas: Replicas, secret: bool) -> None:
        """Note what a former process left for later: accesses, and a replaced `secret` in the journal."""
        if secret:
            self._after("secret", SECRET_DELAY, self.want_compaction)
        if any(session.maps.later for session in replicas.sessions.values()):
            self._after("documents", DOCUMENT_DELAY, self._write_documents)

    def written(self, batch: Batch) -> None:
        """Note what a batch left behind."""
        self.size += batch.size
        if batch.secret_left:
            self._after("secret", SECRET_DELAY, self.want_compaction)
        if self.size > COMPACT_BYTES:
            self.want_compaction()
        touched = [maps for name in batch.touched if (maps := batch.replicas.maps(name)) is not None]
        if any(maps.compaction_due or maps.reload_due for maps in touched):
            self._core.compact_maps(lambda result: None)

    def want_compaction(self) -> None:
        """Compact the journal as soon as nothing is being written."""
        self._compaction_wanted = True
        self._core.wake()

    def between_batches(self) -> None:
        """Do what needs memory and disk to be equal: called between batches."""
        if self._compaction_wanted:
            self._compaction_wanted = False
            self.size = 0
            self._core.compact_journal(self._compacted)

    def _compacted(self, error: BaseException | None) -> None:
        if error is not None:
            self._after("secret", SECRET_DELAY, self.want_compaction)

    def close(self) -> None:
        """Write what waits, let no replaced secret stay on the disk of a daemon that is off, stop the timers."""
        if "secret" in self._timers or self.size > COMPACT_AT_STOP:
            self.want_compaction()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.write_touches()
        for timer in self._timers.values():
            timer.cancel()


def _run_touches(batch: Batch, touches: dict[tuple[str, str], tuple[int, Origin]]) -> None:
    for (session, microcosm_id), (stamp, origin) in touches.items():
        batch.touch(session, microcosm_id, stamp, origin)
