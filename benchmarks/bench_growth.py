"""What a million touches leave behind: the document's size and the memory, against a fresh one that looks the same.

Three devices of one person, in one process of its own, exchange every update; each writes its touches to the
document in batches, as the daemon does. `python -m benchmarks.bench_growth TOUCHES` is that process.
"""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import Row
from benchmarks.plan import Plan
from noggd.domain.changes import Origin
from noggd.domain.document import Document
from noggd.domain.hlc import HybridClock
from noggd.domain.session import Session

_REFERENCES = 1000
_BATCH = 500
_NOW = 1_795_335_450_387
_DEVICES = ("A" * 55, "B" * 55, "C" * 55)


class Device:
    """One of the person's devices."""

    def __init__(self, name: str, client: int) -> None:
        self.origin = Origin(name)
        self.document = Document(client, name)
        self.session = Session("default", name, HybridClock(), self.document)

    def touch(self, microcosm_id: str, now: int) -> None:
        """Count an access."""
        self.session.perform(lambda: self.session.touch(now, microcosm_id), self.origin)

    def register(self, microcosm_id: str, now: int) -> None:
        """Make a reference."""
        self.session.perform(lambda: self.session.register(now, microcosm_id, "spatial"), self.origin)

    def write(self, now: int, others: list[Device]) -> None:
        """Write what waits into the document and give it to the others; compact when it is time."""
        maps = self.session.maps
        maps.hurry()
        updates = maps.flush()
        if maps.compaction_due:
            updates += self.session.compact(now)
        for update in updates:
            for other in others:
                other.session.merge(update, self.origin)


def live(touches: int) -> dict[str, int]:
    """Make `touches` accesses spread over three devices; return bytes of the document and resident memory."""
    rng = random.Random(1)
    ids = [f"growth.{i:016}" for i in range(_REFERENCES)]
    devices = [Device(name, client) for client, name in enumerate(_DEVICES, start=1)]
    for microcosm_id in ids:
        devices[0].register(microcosm_id, _NOW)
    devices[0].write(_NOW, devices[1:])
    now = _NOW
    for batch in range(max(touches // _BATCH, 3)):
        device = devices[batch % 3]
        for microcosm_id in rng.choices(ids, k=_BATCH):
            now += 7
            device.touch(microcosm_id, now)
        device.write(now, [other for other in devices if other is not device])
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return {
        "document": max(len(each.document.encode()) for each in devices),
        "resident": int(resident) * 1024,
    }


def _measure(touches: int) -> Any:
    command = [sys.executable, "-m", "benchmarks.bench_growth", str(touches)]
    done = subprocess.run(
        command, check=True, capture_output=True, timeout=600, cwd=Path(__file__).parents[1]
    )
    return json.loads(done.stdout)


def growth(plan: Plan) -> list[Row]:
    """`n` touches of 1,000 references by 3 devices, against a document that was touched about twice."""
    worn, fresh = _measure(plan.n), _measure(3 * _REFERENCES)  # one round: it comes out the same each time
    about, peer = f"{plan.n:,} touches, each written, ", "fresh, same state"
    return [
        Row(about + "document", worn["document"] / 1e3, "kB", 3.0, peer, fresh["document"] / 1e3),
        Row(about + "resident", worn["resident"] / 1e6, "MB", 1.5, peer, fresh["resident"] / 1e6),
    ]


if __name__ == "__main__":
    print(json.dumps(live(int(sys.argv[1]))))
