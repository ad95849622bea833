"""What the simulation must find: each takes one safety away from the real parts, as a mistake would.

A simulation that nothing can fail shows nothing. `find` says how many of some seeds see each of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from noggd.core.batch import Batch
from noggd.domain import fold, state
from noggd.domain.document import Document
from noggd.domain.entries import REMOVED
from noggd.domain.fold import Folded, Row, Written
from noggd.domain.guard import Checked, Guard, Incomplete
from noggd.domain.hlc import HybridClock
from noggd.domain.replica import Replica
from noggd.domain.revisions import Revisions
from noggd.domain.update import read_structs
from tests.simulation.chaos import play
from tests.simulation.engine import Writer

Patch = pytest.MonkeyPatch


def answer_before_the_disk(patch: Patch) -> None:
    def submit(self: Writer, record: bytes, done: Callable[[BaseException | None], None]) -> None:
        self._life.call_soon(done, None)
        self._do(lambda: self.journal.append(record), lambda result, error: None)

    patch.setattr(Writer, "submit", submit)


def merge_over_gaps(patch: Patch) -> None:
    careful = Guard.check

    def check(self: Guard, update: bytes) -> Checked:
        try:
            return careful(self, update)
        except Incomplete:
            checked = Checked()
            sections, _ = read_structs(update, None)
            checked.clocks = {
                client: section.end
                for client, section in sections.items()
                if section.end > self.vector.get(client, 0)
            }
            return checked

    patch.setattr(Guard, "check", check)


def relay_what_is_known(patch: Patch) -> None:
    apply = Document.apply

    def always_fresh(self: Document, update: bytes) -> object:
        changes = apply(self, update)
        self.fresh = True
        return changes

    patch.setattr(Document, "apply", always_fresh)


def oldest_value_wins(patch: Patch) -> None:
    def backwards(rows: Sequence[Row]) -> Folded:
        folded = fold.fold_any(rows)
        written = [Written(row.password.stamp, row.device, row.password) for row in rows if row.password]
        return folded._replace(password=min(written)) if folded.password and written else folded

    patch.setattr(state, "fold", backwards)


def own_value_wins(patch: Patch) -> None:
    """The order of devices decides, each puts itself first."""

    def first_come(rows: Sequence[Row]) -> Folded:
        folded = fold.fold_any(rows)
        own = [row for row in rows if row.password is not None][:1]
        if folded.password is None or not own:
            return folded
        assert own[0].password is not None
        return folded._replace(password=Written(own[0].password.stamp, own[0].device, own[0].password))

    patch.setattr(state, "fold", first_come)


def keep_a_far_clock_s_stamps(patch: Patch) -> None:
    patch.setattr(Batch, "mend_clock", lambda self, now: 0)


def send_what_a_far_clock_stamped(patch: Patch) -> None:
    patch.setattr(Replica, "hold_back", lambda self, held_back: [])


def removals_that_return(patch: Patch) -> None:
    patch.setattr(fold, "is_present", lambda act, gone, forgot: act.kind != REMOVED)


def ignore_the_clocks_of_others(patch: Patch) -> None:
    patch.setattr(HybridClock, "see", lambda self, stamp: None)


def lose_changes_on_reconnect(patch: Patch) -> None:
    def begin(self: Replica, documents: Any) -> list[Any]:
        for name in documents:
            shared = self._shared(name)
            shared.begun = shared.live = True
        return []

    patch.setattr(Replica, "begin", begin)
    no_keep_alive(patch)


def no_keep_alive(patch: Patch) -> None:
    patch.setattr(Replica, "summarise", lambda self, documents: [])


def forget_accesses(patch: Patch) -> None:
    patch.setattr(Batch, "hurry", lambda self: None)


def journal_without_revisions(patch: Patch) -> None:
    patch.setattr(Revisions, "apply", lambda self, record: None)


def compact_beside_the_queue(patch: Patch) -> None:
    def run(self: Writer, work: Callable[[], Any], done: Callable[[Any, Any], None]) -> None:
        self._life.call_later(self._life.engine.random.uniform(0, 0.05), lambda: done(work(), None))

    patch.setattr(Writer, "run", run)


ABLATIONS: dict[str, Callable[[Patch], None]] = {
    each.__name__: each
    for each in (
        answer_before_the_disk,
        merge_over_gaps,
        relay_what_is_known,
        oldest_value_wins,
        own_value_wins,
        keep_a_far_clock_s_stamps,
        send_what_a_far_clock_stamped,
        removals_that_return,
        ignore_the_clocks_of_others,
        lose_changes_on_reconnect,
        no_keep_alive,
        forget_accesses,
        journal_without_revisions,
        compact_beside_the_queue,
    )
}


def find(ablation: Callable[[Patch], None], seeds: Sequence[int], enough: int | None = None) -> list[int]:
    """Return the seeds that see it; no more than `enough`."""
    found: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        ablation(patch)
        for seed in seeds:
            if len(found) == enough:
                break
            try:
                play(seed)
            except Exception:  # whatever it is, the seed found it
                found.append(seed)
    return found
