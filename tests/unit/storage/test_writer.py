"""The writer works in order, tells each caller what became of its record, and finishes what it accepted."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nogg.errors import ShuttingDown, StorageFailed
from noggd.storage.journal import Journal
from noggd.storage.writer import JournalWriter


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[JournalWriter]:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        made = JournalWriter(journal)
        yield made
        made.close()


class Gate:
    """Work that waits, so that more can be queued behind it."""

    def __init__(self, writer: JournalWriter) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        writer.run(self.wait, lambda _, error: None)
        assert self.entered.wait(10)

    def wait(self) -> None:
        self.entered.set()
        assert self.open.wait(10)


def test_records_are_stored_in_order_and_each_is_answered(writer: JournalWriter) -> None:
    answers: list[tuple[int, BaseException | None]] = []
    for number in range(20):
        writer.submit(b"%d" % number, lambda error, number=number: answers.append((number, error)))  # type: ignore[misc]  # a default binds the number
    writer.close()
    assert answers == [(number, None) for number in range(20)]
    assert writer.journal.load().records == [b"%d" % number for number in range(20)]


def test_the_answer_comes_after_the_record_is_in_the_journal(writer: JournalWriter) -> None:
    seen: list[int] = []
    writer.submit(b"x", lambda error: seen.append(writer.journal.last_seq))
    writer.close()
    assert seen == [1]


def test_other_work_waits_its_turn_and_hands_over_its_result(writer: JournalWriter) -> None:
    results: list[object] = []
    writer.submit(b"one", lambda error: None)
    writer.run(lambda: writer.journal.load().records, lambda found, error: results.extend((found, error)))
    writer.submit(b"two", lambda error: None)
    writer.close()
    assert results == [[b"one"], None]


def test_other_work_that_fails_hands_over_the_error(writer: JournalWriter) -> None:
    results: list[object] = []

    def fail() -> None:
        raise KeyError("x")

    writer.run(fail, lambda found, error: results.extend((found, error)))
    writer.submit(b"one", lambda error: results.append(error))
    writer.close()
    assert results[0] is None
    assert isinstance(results[1], KeyError)
    assert results[2] is None


def test_what_was_submitted_behind_a_failed_append_fails_with_it(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(writer)
    answers: list[BaseException | None] = []
    real = writer.journal.append

    def fail_once(_record: bytes) -> int:
        monkeypatch.setattr(writer.journal, "append", real)
        raise StorageFailed(retryable=True)

    monkeypatch.setattr(writer.journal, "append", fail_once)
    for record in (b"a", b"b", b"c"):
        writer.submit(record, answers.append)
    results: list[object] = []
    writer.run(writer.journal.load, lambda found, error: results.append(found))
    gate.open.set()
    later = threading.Event()
    writer.run(lambda: None, lambda _, error: later.set())
    assert later.wait(10)
    assert len(answers) == 3
    assert all(isinstance(error, StorageFailed) for error in answers)
    assert results == [({}, [], {})]
    writer.submit(b"d", answers.append)
    writer.close()
    assert answers[3] is None
    assert writer.journal.load().records == [b"d"]


class Asker:
    """Somebody who waits for an answer."""

    def __init__(self) -> None:
        self.answered = threading.Event()

    def answer(self, error: BaseException | None) -> None:
        self.answered.set()


def test_nothing_of_what_was_done_is_kept_while_there_is_nothing_to_do(writer: JournalWriter) -> None:
    asker = Asker()
    answered, gone = asker.answered, threading.Event()
    weakref.finalize(asker, gone.set)
    writer.submit(b"x", asker.answer)
    del asker
    assert answered.wait(10)
    assert gone.wait(10)


def test_an_append_in_the_callers_thread_is_for_a_quick_disk_and_an_empty_queue(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = [0.0]

    def ticking(seconds: float) -> None:
        def tick() -> float:
            time[0] += seconds
            return time[0]

        monkeypatch.setattr("noggd.storage.writer.perf_counter", tick)

    before = writer.prompt  # nothing is known about the disk yet
    ticking(0.0001)
    for _ in range(100):
        assert writer.append_now(b"x") is None
    assert (before, writer.prompt) == (False, True)
    seen: list[bool] = []
    gate = Gate(writer)
    seen.append(writer.prompt)
    writer.submit(b"y", lambda error: seen.append(writer.prompt))
    gate.open.set()
    writer.close()
    assert seen == [False, True], "what waits goes first; who is told finds the journal free"
    assert (before, writer.prompt) == (False, True)
    ticking(0.004)
    writer.append_now(b"z")
    assert (before, writer.prompt) == (False, True), "one slow append happens to every disk"
    for _ in range(30):
        writer.append_now(b"z")
    assert (before, writer.prompt) == (False, False)
    assert writer.journal.load().records == [*[b"x"] * 100, b"y", *[b"z"] * 31]


def test_a_failed_append_in_the_callers_thread_is_returned(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = StorageFailed(retryable=True)

    def refuse(record: bytes) -> int:
        raise failure

    monkeypatch.setattr(writer.journal, "append", refuse)
    assert writer.append_now(b"x") is failure
    assert not writer.prompt


def test_closing_finishes_what_was_accepted_and_takes_nothing_new(writer: JournalWriter) -> None:
    gate = Gate(writer)
    answers: list[BaseException | None] = []
    for _ in range(10):
        writer.submit(b"x", answers.append)
    gate.open.set()
    writer.close()
    writer.close()
    assert answers == [None] * 10
    with pytest.raises(ShuttingDown):
        writer.submit(b"y", answers.append)
    with pytest.raises(ShuttingDown):
        writer.run(lambda: None, lambda _, error: None)
    assert len(answers) == 10


def test_a_callback_that_fails_stops_nothing_and_is_told_at_the_end(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        writer = JournalWriter(journal)
        answers: list[BaseException | None] = []

        def fail(_error: BaseException | None) -> None:
            raise RuntimeError("the loop is closed")

        writer.submit(b"a", fail)
        writer.submit(b"b", answers.append)
        with pytest.raises(RuntimeError, match="the loop is closed"):
            writer.close()
        assert answers == [None]
        assert journal.load().records == [b"a", b"b"]
