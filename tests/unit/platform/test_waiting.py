"""Looking again before falling asleep: only while it pays, and nothing that is ready is ever missed."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from noggd.platform import waiting
from noggd.platform.waiting import PATIENCE, SURE, PatientSelector, new_event_loop

QUICK, SLOW = PATIENCE / 2, 1.0


class Time:
    """A system on which the next event comes `after` so many seconds, whether or not somebody sleeps until then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.due = 0.0
        self.slept = 0
        self.looked = 0
        monkeypatch.setattr(waiting, "perf_counter", self.tick)
        monkeypatch.setattr(selectors.DefaultSelector, "select", self.select)

    def tick(self) -> float:
        self.now += 1e-6
        return self.now

    def select(self, timeout: float | None = None) -> list[str]:
        if timeout == 0:
            self.looked += 1
        else:
            self.slept += 1
            until = self.due if timeout is None else min(self.due, self.now + timeout)
            self.now = max(self.now, until) + 1e-6
        return ["event"] if self.now >= self.due else []

    def wait(
        self, selector: PatientSelector, after: float, timeout: float | None = None
    ) -> tuple[bool, bool]:
        """Wait for an event; whether it was looked for, and slept."""
        self.slept = self.looked = 0
        self.due = self.now + after
        found = selector.select(timeout)
        assert bool(found) is (timeout is None or after <= timeout)
        return self.looked > 0, self.slept > 0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest.fixture
def selector() -> Iterator[PatientSelector]:
    with closing(PatientSelector()) as made:
        yield made


def test_it_sleeps_until_events_have_come_soon_and_then_looks(time: Time, selector: PatientSelector) -> None:
    seen = [time.wait(selector, QUICK) for _ in range(10)]
    learned = SURE // 2
    assert seen == [(False, True)] * learned + [(True, False)] * (10 - learned)


def test_now_and_then_is_never_looked_for(time: Time, selector: PatientSelector) -> None:
    assert {time.wait(selector, after) for after in [SLOW, QUICK, SLOW, SLOW] * 10} == {(False, True)}


def test_timers_that_run_out_soon_are_nothing_to_look_for(time: Time, selector: PatientSelector) -> None:
    assert {time.wait(selector, SLOW, timeout=1.5 * PATIENCE) for _ in range(20)} == {(False, True)}


def test_looking_ends_when_it_does_not_pay_any_more(time: Time, selector: PatientSelector) -> None:
    for _ in range(20):
        time.wait(selector, QUICK)
    seen = [time.wait(selector, SLOW) for _ in range(20)]
    in_vain = SURE // 2 + 1
    assert seen == [(True, True)] * in_vain + [(False, True)] * (20 - in_vain)


def test_it_looks_no_longer_than_its_patience(time: Time, selector: PatientSelector) -> None:
    for _ in range(20):
        time.wait(selector, QUICK)
    before = time.now
    time.wait(selector, SLOW)
    assert time.looked <= PATIENCE / 1e-6
    assert time.now - before < SLOW + 2 * PATIENCE


def test_a_timeout_ends_it_with_nothing(time: Time, selector: PatientSelector) -> None:
    for _ in range(20):
        time.wait(selector, QUICK)
    assert time.wait(selector, SLOW, timeout=SLOW / 2) == (True, True)
    assert time.wait(selector, SLOW, timeout=PATIENCE / 2) == (False, True), "too short to look first"
    assert time.wait(selector, SLOW, timeout=0) == (True, False), "a look is all that was asked for"


def test_real_descriptors_are_found_asleep_and_awake(selector: PatientSelector) -> None:
    here, there = socket.socketpair()
    with here, there:
        selector.register(here, selectors.EVENT_READ, "here")
        for _ in range(50):
            there.send(b"x")
            assert [key.data for key, _ in selector.select()] == ["here"]
            here.recv(1)
        assert selector.select(0.001) == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a core")
def test_on_a_single_core_nobody_is_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, kind in (({0}, False), ({0, 1}, True)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, cores=cores: cores)
        with closing(new_event_loop()) as loop:
            assert isinstance(loop._selector, PatientSelector) is kind  # type: ignore[attr-defined] # asyncio tells nobody
