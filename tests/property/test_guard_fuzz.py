"""Whatever bytes come: accepted, Rejected or Incomplete; and what is accepted harms neither yrs nor our peers."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Map

from noggd.domain.guard import Checked, Guard, Incomplete, Rejected, decode_state_vector
from tests.yjs_wire import CLIENTS, ROOT, Replica, history, in_one_order, mutate

OWN = CLIENTS[0]


def guard(state: bytes) -> Guard:
    made = Guard(OWN, frozenset({ROOT}))
    made.load(state)
    return made


def document(state: bytes) -> Doc[Any]:
    doc: Doc[Any] = Doc(client_id=OWN)
    doc.get(ROOT, type=Map)
    doc.apply_update(state)
    return doc


def view(doc: Doc[Any]) -> str:
    """The contents as text: NaN equals itself there."""
    root: Map[Any] = doc.get(ROOT, type=Map)
    devices = root.to_py() or {}
    return repr(sorted((device, sorted(entries.items())) for device, entries in devices.items()))


def honest_updates(replicas: list[Replica]) -> list[bytes]:
    me, *peers = replicas
    found = [peer.doc.get_update(me.doc.get_state()) for peer in peers]
    found += [peer.doc.get_update() for peer in peers]
    found += [made for peer in peers for made in peer.updates[-3:]]
    return [in_one_order(made) for made in found if made != b"\x00\x00"]


def verdict(judge: Guard, data: bytes) -> Checked | None:
    """Accept, Rejected, Incomplete; anything else fails the test that asks."""
    with suppress(Rejected, Incomplete):
        return judge.check(data)
    return None


def applies_without_harm(base: bytes, judge: Guard, data: bytes, checked: Checked) -> None:
    doc = document(base)
    doc.apply_update(data)
    judge.accept(checked)
    assert decode_state_vector(doc.get_state()) == judge.vector, "a part of it is pending"
    whole = doc.get_update()
    assert guard(whole).vector == judge.vector, "our own state would be refused"
    assert view(document(whole)) == view(doc), "a restart would read something else"
    written: list[bytes] = []
    subscription = doc.observe(lambda event: written.append(event.update))
    root: Map[Any] = doc.get(ROOT, type=Map)
    with doc.transaction():
        for device in {"device-0", *root.keys()}:
            root[device] = Map({"x": 1.0})
    doc.unobserve(subscription)
    for made in written:
        judge.own_write(made)
    assert decode_state_vector(doc.get_state()) == judge.vector


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 2**40))
def test_mutated_updates(seed: int) -> None:
    dice = random.Random(seed)
    replicas = history(seed, dice.randint(4, 25))
    base = replicas[0].doc.get_update()
    updates = honest_updates(replicas)
    for _ in range(10 if updates else 0):
        data = mutate(dice.choice(updates), dice)
        judge = guard(base)
        checked = verdict(judge, data)
        if checked is not None:
            applies_without_harm(base, judge, data, checked)


def test_the_mutations_reach_every_verdict() -> None:
    """A fuzz test whose inputs were all refused at the first byte would prove nothing."""
    found: Counter[str] = Counter()
    for seed in range(120):
        dice = random.Random(seed)
        replicas = history(seed, 15)
        judge = guard(replicas[0].doc.get_update())
        for data in honest_updates(replicas):
            try:
                judge.check(mutate(data, dice))
            except (Rejected, Incomplete) as refused:
                found[str(refused)] += 1
            else:
                found["accepted"] += 1
    assert found["accepted"] > 100
    assert len(found) > 25


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    verdict(guard(b"\x00\x00"), data)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**40), st.data())
def test_honest_updates_with_a_few_bytes_changed(seed: int, data: st.DataObject) -> None:
    replicas = history(seed % 50)
    base = replicas[0].doc.get_update()
    for update in honest_updates(replicas):
        changed = bytearray(update)
        changes = st.tuples(st.integers(0, len(update) - 1), st.integers(0, 255))
        for at, byte in data.draw(st.lists(changes, max_size=3)):
            changed[at] = byte
        judge = guard(base)
        checked = verdict(judge, bytes(changed))
        if checked is not None:
            applies_without_harm(base, judge, bytes(changed), checked)
