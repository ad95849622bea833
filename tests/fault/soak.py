"""A day's worth of work in minutes, and whether anything of it stays behind in the process.

    python -m tests.fault.soak [--operations 1000000]     the long form: a million, some minutes

Two linked devices; apps change, read and touch, subscribe and go, and the other device comes and goes. Memory is
sampled by the way. What is bounded fills up in the first half, and the allocator finds its size; documents swell
until they are compacted, so the slope is a line through all samples of the second half. A leak grows with the work:
what that half adds must be next to nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nogg.blocking import Connection
from tests.daemons import Daemon, Daemons, running, until
from tests.lines import Line, request

NAMES = 400
BATCH = 200
"""Requests that an app sends before it reads the answers."""
ROUND = 5000
"""Operations between two samples; the other device is restarted every other one."""
SLOPE = 2.0
"""Bytes that an operation may leave behind in the long run: 2 MB after a million."""


Report = Callable[[int, int], object]


@dataclass(slots=True)
class Soaked:
    """What was seen: (operations, resident bytes) in order, and what was open before and after."""

    samples: list[tuple[int, int]] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def slope(self) -> float:
        """Bytes per operation in the last half, by the line that fits best."""
        late = self.samples[len(self.samples) // 2 :]
        mean_x, mean_y = (sum(column) / len(late) for column in zip(*late, strict=True))
        rise = sum((x - mean_x) * (y - mean_y) for x, y in late)
        return float(rise / sum((x - mean_x) ** 2 for x, _ in late))


def resident(daemon: Daemon) -> int:
    """Bytes of memory in use."""
    return int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1]) * 4096


def held(daemon: Daemon) -> dict[str, int]:
    """What a process can forget to give back; the least of a few looks, for the one before may still be closing."""
    looks = [_held(daemon) for _ in range(5)]
    return {name: min(look[name] for look in looks) for name in looks[0]}


def _held(daemon: Daemon) -> dict[str, int]:
    place = Path(f"/proc/{daemon.pid}")
    with Connection(daemon.socket) as app:
        counts = app.call("daemon.status")["counts"]
        return {
            "descriptors": sum(1 for _ in (place / "fd").iterdir()),  # this app's is always among them
            "threads": sum(1 for _ in (place / "task").iterdir()),
            "connections": counts["connections"],
            "subscriptions": counts["subscriptions"],
        }


def work(dice: random.Random) -> tuple[str, dict[str, Any]]:
    """Return an operation, as apps do them: mostly reads and accesses, some changes."""
    name = f"soak.{dice.randrange(NAMES)}"
    fields = {"microcosmID": name, "view": f"v{dice.randrange(99)}", "password": f"p{dice.randrange(9)}"}
    choices: list[tuple[int, str, dict[str, Any]]] = [
        (40, "reference.get", {"microcosmID": f"soak.{dice.randrange(NAMES // 4)}"}),
        (1, "reference.list", {}),
        (25, "reference.register", fields),
        (10, "reference.update", {**fields, "microcosmID": f"soak.{dice.randrange(NAMES // 4)}"}),
        (8, "active.set", {"microcosmID": name}),
        (4, "reference.remove", {"microcosmID": name}),
        (2, "reference.forget", {"microcosmID": name}),
        (
            3,
            "session.transact",
            {"ops": [{"op": "register", **fields}, {"op": "set_active", "microcosmID": name}]},
        ),
        (1, "daemon.status", {}),
        (1, "hello", {}),
        (1, "no.such", {}),
    ]
    _, method, params = dice.choices(choices, [weight for weight, _, _ in choices])[0]
    return method, params


@contextlib.contextmanager
def subscribers(daemon: Daemon, count: int) -> Iterator[None]:
    """Apps that listen for a while; they read nothing, and are told all the same."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            app = stack.enter_context(Connection(daemon.socket))
            app.call("session.subscribe")
        yield


def soak(
    daemons: Daemons, operations: int, seed: int, *, every: int = ROUND, report: Report = lambda *_: None
) -> Soaked:
    """Let two devices work."""
    dice, found = random.Random(seed), Soaked()
    a, b = daemons.together("a", "b")
    b.call("pair.join", code=a.call("pair.invite")["code"], address=a.call("sync.status")["listen"])
    until(lambda: linked(a), "the link")
    with contextlib.closing(Line(a.socket)) as first:
        run(first, dice, every)  # what is made once is no leak
    until(lambda: held(a)["connections"] == 1, "apps that left")
    found.before = held(a)
    began, done, rounds = time.monotonic(), 0, 0
    while done < operations:
        rounds += 1
        with subscribers(a, dice.randrange(8)), contextlib.closing(Line(a.socket)) as app:
            if rounds % 4 == 0:
                b.kill()
            run(app, dice, every)
            if rounds % 4 == 0:
                b.start()
        done += every
        found.samples.append((done, resident(a)))
        report(done, found.samples[-1][1])
    until(lambda: linked(a), "the link")
    until(lambda: same(a, b), "both in step")
    until(lambda: held(a)["connections"] == 1, "apps that left")
    found.after, found.seconds = held(a), time.monotonic() - began
    assert a.stop() == 0, a.words()
    assert "fault" not in a.words() + b.words()
    return found


def run(app: Line, dice: random.Random, count: int) -> None:
    """Do so many operations over one connection."""
    for first in range(0, count, BATCH):
        asked = [question(first + n, dice) for n in range(BATCH)]
        app.send(*asked)
        for _ in asked:
            app.read()


def question(number: int, dice: random.Random) -> bytes:
    """Return a request of an operation."""
    method, params = work(dice)
    return request(number, method, **params)


def linked(daemon: Daemon) -> bool:
    """Whether the other device is there."""
    return bool(daemon.call("sync.status")["peers"][0]["state"] == "online")


def same(a: Daemon, b: Daemon) -> bool:
    """Whether both tell the same."""
    states = [each.call("session.get")["microcosms"] for each in (a, b)]
    left, right = ([{**each, "revision": 0} for each in state] for state in states)
    return left == right


def _report(done: int, memory: int) -> None:
    if done % (10 * ROUND) == 0:
        print(f"{done:>9,} operations  {memory / 1e6:6.1f} MB", flush=True)


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nogg-") as folder, running(Path(folder)) as daemons:
        found = soak(daemons, chosen.operations, chosen.seed, report=_report)
    first, last = found.samples[0], found.samples[-1]
    grown = f"{first[1] / 1e6:.1f} to {last[1] / 1e6:.1f} MB resident"
    print(
        f"{last[0]:,} operations in {found.seconds:.0f} s: {grown}, {found.slope:+.2f} bytes each in the last half"
    )
    print(f"before {found.before}, after {found.after}")
    if found.slope > SLOPE or any(found.after[key] > found.before[key] for key in found.before):
        raise SystemExit("it leaks")


if __name__ == "__main__":
    main()
