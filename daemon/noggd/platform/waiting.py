"""How the event loop waits: before it sleeps it looks again for a moment, while that pays.

A process that sleeps has to be woken, and on a processor that has gone to sleep too, that takes longer than most
requests do. An app that asks one thing after the other has its next request out before. So the loop looks again for
some microseconds, but only as long as something does come that soon; hypervisors do so for their guests (KVM's
halt polling). An app that asks now and then never causes it. Not here: what is waited for.
"""

from __future__ import annotations

import asyncio
import os
from selectors import DefaultSelector, SelectorKey
from time import perf_counter
from typing import Final

PATIENCE: Final = 60e-6
"""Seconds for which it looks: about as long as falling asleep and being woken take."""
SOON: Final = 2 * PATIENCE
"""Seconds after which something came so soon, the waking included, that looking would have found it."""
SURE: Final = 4
"""The most times that it is remembered to have paid; it looks while half of them are left."""

_Ready = list[tuple[SelectorKey, int]]


class PatientSelector(DefaultSelector):
    """The system's selector, which looks again before it sleeps if that has paid of late."""

    def __init__(self) -> None:
        super().__init__()
        self._paid = 0

    def select(self, timeout: float | None = None) -> _Ready:
        """Return what is ready, within `timeout` seconds (None: as soon as anything is)."""
        if timeout is not None and timeout <= PATIENCE:
            return super().select(timeout)
        began = perf_counter()
        if self._paid >= SURE // 2:
            ready = self._look(began + PATIENCE)
            self._paid = min(SURE, self._paid + 1) if ready else self._paid - 1
            return ready or super().select(timeout)
        ready = super().select(timeout)
        if ready and perf_counter() - began < SOON:
            self._paid += 1
        elif self._paid:
            self._paid -= 1
        return ready

    def _look(self, until: float) -> _Ready:
        while not (ready := super().select(0)) and perf_counter() < until:
            os.sched_yield()  # whoever has something to do on this core goes first
        return ready


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop for a daemon; on a single core looking would keep the others from what is waited for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return asyncio.SelectorEventLoop(PatientSelector() if cores > 1 else None)
