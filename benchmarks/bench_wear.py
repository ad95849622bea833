"""What use leaves behind in real daemons: a million accesses, cycles of register and remove, restarts; and whether
an app notices when a daemon compacts.

Worn and fresh are the same devices with the same references, before and after. The document's size is what a
device that joins receives; what the domain alone leaves behind stands in `bench_growth`.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.apps import fill, flood
from benchmarks.bench_join import join_once
from benchmarks.daemons import Daemon, daemon, paired, resident_mb
from benchmarks.figures import Row, median
from benchmarks.plan import Plan
from benchmarks.processes import scratch, wait_until
from benchmarks.requests import call

_REFERENCES = 1000
_BLOCK = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class _Sizes:
    """Of the daemons that were looked at, the largest."""

    document_kb: float
    resident_mb: float
    store_kb: float

    def rows(self, what: str, fresh: _Sizes) -> list[Row]:
        """The growth since `fresh`, against what is promised for a million accesses."""
        peer = "fresh, same state"
        return [
            Row(f"{what}, document", self.document_kb, "kB", 3.0, peer, fresh.document_kb),
            Row(f"{what}, resident", self.resident_mb, "MB", 1.5, peer, fresh.resident_mb),
            Row(f"{what}, store", self.store_kb, "kB", None, peer, fresh.store_kb),
        ]


def _id(n: int) -> str:
    return f"wear.{n:016}"


def _held(device: Daemon) -> list[tuple[object, ...]]:
    """What it holds, without the revisions, which each device counts for itself."""
    references = device.call("reference.list", sort="id")["references"]
    return [(each["microcosmID"], each["lastAccessed"], each["view"]) for each in references]


def _same(devices: Sequence[Daemon]) -> bool:
    first, *others = [_held(each) for each in devices]
    return all(each == first for each in others)


def _settled(devices: Sequence[Daemon]) -> None:
    """Return when all devices hold the same, times of access included: then nothing waits to be written."""
    wait_until(lambda: _same(devices), "all devices hold the same references", 60)


def _sizes(folder: Path, devices: Sequence[Daemon]) -> _Sizes:
    _settled(devices)
    _, nbytes, _ = join_once(folder, devices[0], _REFERENCES)
    stores = [each.call("daemon.status")["sizes"]["store"] for each in devices]
    return _Sizes(nbytes / 1e3, max(map(resident_mb, devices)), max(stores) / 1e3)


def touches(plan: Plan) -> list[Row]:
    """`n` accesses of 1,000 references by the apps of three devices."""
    rng = random.Random(1)
    with scratch() as folder, paired(folder, 3) as devices:
        fill(devices[0], "wear", _REFERENCES)
        _settled(devices)
        _touch(devices, rng, 3 * _REFERENCES)
        fresh = _sizes(folder, devices)
        seconds = _touch(devices, rng, plan.n)
        rows = _sizes(folder, devices).rows(f"{plan.n:,} accesses through daemons", fresh)
    return [*rows[:1], dataclasses.replace(rows[1], note=f"{plan.n / seconds:,.0f} per s"), rows[2]]


def _touch(devices: Sequence[Daemon], rng: random.Random, n: int) -> float:
    """Count `n` accesses in all, spread over the devices at once; seconds."""
    each = n // len(devices)

    def accesses() -> Iterator[bytes]:
        for at in range(0, each, _BLOCK):
            ids = rng.choices(range(_REFERENCES), k=min(_BLOCK, each - at))
            yield b"".join(call("reference.get", microcosmID=_id(i)) for i in ids)

    start = time.perf_counter()
    flood([(device.socket, accesses(), each) for device in devices])
    return time.perf_counter() - start


def cycles(plan: Plan) -> list[Row]:
    """`n` times remove and register again, over 1,000 references of one of two devices."""

    def turns() -> Iterator[bytes]:
        for at in range(0, plan.n, _BLOCK // 2):
            ids = [_id(i % _REFERENCES) for i in range(at, min(at + _BLOCK // 2, plan.n))]
            yield b"".join(
                call("reference.remove", microcosmID=each)
                + call("reference.register", microcosmID=each, view="spatial")
                for each in ids
            )

    with scratch() as folder, paired(folder) as devices:
        fill(devices[0], "wear", _REFERENCES)
        fresh = _sizes(folder, devices)
        start = time.perf_counter()
        flood([(devices[0].socket, turns(), 2 * plan.n)])
        seconds = time.perf_counter() - start
        rows = _sizes(folder, devices).rows(f"{plan.n:,} times removed and registered", fresh)
    return [*rows[:1], dataclasses.replace(rows[1], note=f"{2 * plan.n / seconds:,.0f} per s"), rows[2]]


def restarts(plan: Plan) -> list[Row]:
    """`n` restarts of one daemon with 1,000 references, a change in each life."""
    ready_s = []
    with scratch() as folder:
        with daemon(folder / "d") as first:
            fill(first, "wear", _REFERENCES)
            fresh = _sizes(folder, [first])
        for turn in range(plan.n):
            with daemon(folder / "d") as again:
                ready_s.append(again.ready_s)
                again.call("reference.update", microcosmID=_id(turn % _REFERENCES), view=f"view{turn % 7}")
        with daemon(folder / "d") as last:
            rows = _sizes(folder, [last]).rows(f"{plan.n:,} restarts", fresh)
    tenth = max(plan.n // 10, 1)
    early, late = median(ready_s[:tenth]), median(ready_s[-tenth:])
    return [*rows, Row(f"{plan.n:,} restarts, ready", late, "s", 1.5, "the first tenth", early)]
