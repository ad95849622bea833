"""One device: a read and a durable register over the socket, against Redis and a bare disk."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.daemons import daemon
from benchmarks.figures import Row, median, paired_ratio, quantile
from benchmarks.plan import Plan
from benchmarks.processes import one_core, scratch
from benchmarks.redis_server import redis_server, request
from benchmarks.requests import ask, call, connect, rate, times_us

_REFERENCES = 1000


def _id(n: int) -> str:
    return f"bench.{n:016}"


def _value(n: int) -> bytes:
    """What Redis keeps for a reference: as many bytes as our own answer has."""
    return (
        b'{"microcosmID":"%s","lastAccessed":1795335450387,"password":null,"view":"spatial"}'
        % _id(n).encode()
    )


def read(plan: Plan) -> list[Row]:
    """`reference.get` without touch against Redis GET, 1,000 references, one request after the other."""
    with (
        one_core(),
        scratch() as folder,
        daemon(folder / "d") as ours,
        redis_server(folder, durable=False) as redis,
    ):
        here, there = connect(ours.socket), connect(redis)
        with here, there:
            for i in range(_REFERENCES):
                ask(here, call("reference.register", microcosmID=_id(i), view="spatial"))
                ask(there, request(b"SET", _id(i).encode(), _value(i)))
            ids = [_id(i * 7 % _REFERENCES) for i in range(plan.n)]
            gets = [call("reference.get", microcosmID=name, touch=False) for name in ids]
            theirs = [request(b"GET", name.encode()) for name in ids]
            assert ids[0].encode() in ask(here, gets[0])
            assert ids[0].encode() in ask(there, theirs[0])
            found = [(times_us(here, gets), times_us(there, theirs)) for _ in range(plan.rounds)]
    return [_against("read, p50", found, "Redis GET", target=2.3, stretch=1.6)]


def register(plan: Plan) -> list[Row]:
    """A durable `reference.register` against Redis SET with an fsync before each answer."""
    with scratch() as folder, daemon(folder / "d") as ours, redis_server(folder, durable=True) as redis:
        here, there = connect(ours.socket), connect(redis)
        with here, there:
            found = []
            for turn in range(plan.rounds + 1):
                numbers = range(turn * plan.n, (turn + 1) * plan.n)
                registers = [call("reference.register", microcosmID=_id(i), view="spatial") for i in numbers]
                sets = [request(b"SET", _id(i).encode(), _value(i)) for i in numbers]
                found.append((times_us(here, registers), times_us(there, sets)))
    return [_against("durable register, p50", found[1:], "Redis SET, fsync always", target=1.6)]


_Round = tuple[list[float], list[float]]
"""Ours and the peer's times of one round."""


def _against(what: str, found: list[_Round], peer: str, target: float, stretch: float | None = None) -> Row:
    """Compare the middle of each round; the slowest hundredth is noted beside it."""
    (ours, theirs), (slow, slow_theirs) = (
        ([quantile(a, q) for a, _ in found], [quantile(b, q) for _, b in found]) for q in (0.5, 0.99)
    )
    note = f"p99 {median(slow):.0f} against {median(slow_theirs):.0f}"
    ratio = paired_ratio(ours, theirs)
    return Row(what, median(ours), "µs", target, peer, median(theirs), ratio, stretch, note=note)


def _raw_rate(folder: Path, n: int) -> float:
    """Appends of one register's bytes per second, each followed by fdatasync."""
    descriptor = os.open(folder / "raw", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        start = time.perf_counter()
        for _ in range(n):
            os.write(descriptor, b"x" * 115)
            os.fdatasync(descriptor)
        return n / (time.perf_counter() - start)
    finally:
        os.close(descriptor)


def register_16(plan: Plan) -> list[Row]:
    """16 clients that each register and wait, against a loop of append and fdatasync."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch())
        ours = stack.enter_context(daemon(folder / "d"))
        clients = [stack.enter_context(connect(ours.socket)) for _ in range(16)]
        serial = itertools.count()

        def registers() -> Iterator[bytes]:
            while True:
                yield call("reference.register", microcosmID=_id(next(serial)), view="spatial")

        found = []
        for _ in range(plan.rounds):
            raw = _raw_rate(folder, plan.n // 4)
            found.append((rate(clients, [registers() for _ in clients], plan.n), raw))
    ours_s, raw_s = [a for a, _ in found], [b for _, b in found]
    what, peer = "durable registers, 16 clients", "append + fdatasync"
    ratio = paired_ratio(ours_s, raw_s)
    return [Row(what, median(ours_s), "per s", 2.5, peer, median(raw_s), ratio, at_least=True)]
