"""Our documents beside real Yjs: what we write it reads alike, what it writes in the documented shape we take."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Iterator

import pytest

from noggd.domain.changes import Origin
from noggd.domain.document import Document
from noggd.domain.entries import REGISTERED, Act, Field
from noggd.domain.guard import Incomplete, OwnClient, Rejected, encode_state_vector
from noggd.domain.hlc import stamp_at
from tests.interop.replicas import HERE, Replica, Yjs

pytestmark = pytest.mark.node

NOW = 1_795_335_450_387
IDS = ["alpha.aaaaaaaaaaaaaaaa", "beta.bbbbbbbbbbbbbbbb", "__proto__", "a-b_c.D"]
JS_DEVICE = "JAVASCR-IPTDEVI-CEAAAAA"


@pytest.fixture(scope="module")
def node() -> Iterator[Yjs]:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (Debian: apt install nodejs npm)")
    if not (HERE / "node_modules" / "yjs").is_dir():
        pytest.skip("Yjs is not installed: npm ci --prefix tests/interop")
    process = Yjs()
    yield process
    process.close()


@pytest.fixture
def yjs(node: Yjs) -> Yjs:
    node.fresh()
    return node


def register(
    replica: Replica, now: int, name: str, view: str | None = None, password: str | None = None
) -> None:
    replica.act(lambda session: session.register(now, name, view, password))


def random_act(replica: Replica, rng: random.Random, now: int) -> None:
    """One command, of those that an app can give, with arguments that often collide."""
    name, other = rng.choice(IDS), rng.choice(IDS)
    view, password = rng.choice([None, "spatial", "list"]), rng.choice([None, "one", "two", "drei 😀"])
    session = replica.session
    entry = {
        "microcosmID": other,
        "lastAccessed": now - rng.randrange(50_000),
        "view": view,
        "password": password,
    }
    choices: list[Callable[[], object]] = [
        lambda: replica.act(lambda s: s.register(now, name, view, password)),
        lambda: replica.act(lambda s: s.touch(now, name)),
        lambda: replica.act(lambda s: s.remove(now, name)),
        lambda: replica.act(lambda s: s.set_active(now, rng.choice([None, name]))),
        lambda: replica.act(lambda s: s.set(now, microcosms=[entry])),
        lambda: replica.act(lambda s: s.import_entries(now, [entry])),
        lambda: replica.act(lambda s: s.forget(now, name)),
        lambda: replica.compact(now),
    ]
    if name in session.references:
        choices.append(
            lambda: replica.act(lambda s: s.update(now, name, {"view": view, "password": password}))
        )
        choices.append(lambda: replica.act(lambda s: s.register(now, name, None, password)))
    if name in session.removed:
        choices.append(lambda: replica.act(lambda s: s.restore(now, name)))
    if name in session.rivals:
        choices.append(
            lambda: replica.act(lambda s: s.resolve(now, name, session.rivals[name][0].field.value))
        )
    rng.choice(choices)()


@pytest.mark.parametrize("seed", range(40))
def test_both_folds_of_a_random_history_agree(yjs: Yjs, seed: int) -> None:
    rng = random.Random(seed)
    replicas = [Replica(device, client) for client, device in enumerate(["AAA", "BBB", "CCC"], start=1)]
    for step in range(60):
        replica = rng.choice(replicas)
        skew = {"AAA": 0, "BBB": 30_000, "CCC": -30_000}[replica.device]
        random_act(replica, rng, NOW + step * 700 + skew)
        if rng.random() < 0.3:
            a, b = rng.sample(replicas, 2)
            a.fetch(b)
        if rng.random() < 0.3:
            yjs.apply(replica.document.missing(yjs.vector))
    while any(replica.outbox for replica in replicas):
        for replica in replicas:
            replica.outbox.clear()
        for a, b in itertools.permutations(replicas, 2):
            a.fetch(b)
    yjs.apply(replicas[0].document.encode())

    assert replicas[0].fold() == replicas[1].fold() == replicas[2].fold() == yjs.fold()
    assert yjs.entries() == replicas[0].document.devices()


def test_histories_reach_what_they_are_meant_to_compare() -> None:
    """The random histories hold conflicts, restorable references and all the rest, or agreeing means little."""
    met: set[str] = set()
    for seed in range(40):
        rng = random.Random(seed)
        a, b = Replica("AAA", 1), Replica("BBB", 2)
        for step in range(60):
            random_act(rng.choice([a, b]), rng, NOW + step * 700)
            if rng.random() < 0.2:
                a.fetch(b)
                b.fetch(a)
            met |= {kind for kind, found in a.fold().items() if found}
    assert met == {"references", "conflicts", "restorable", "active"}


@pytest.mark.parametrize("seed", range(10))
def test_only_the_maps_of_members_count_and_what_they_adopted(yjs: Yjs, seed: int) -> None:
    rng = random.Random(seed)
    a, b = Replica("AAA", 1), Replica("BBB", 2)
    for step in range(30):
        random_act(rng.choice([a, b]), rng, NOW + step * 700)
        if rng.random() < 0.3:
            a.fetch(b)
            b.fetch(a)
    a.fetch(b)
    for key, entry in a.maps.entries["BBB"].items():
        a.session.put(f"x/BBB/{key}", entry)
    a.outbox += a.maps.flush()
    with_both = a.fold()
    register(b, NOW + 60_000, "written.after-it-had-left")
    a.fetch(b)
    a.maps.set_members(frozenset({"AAA"}))
    a.session.refresh(Origin("AAA"))
    yjs.apply(a.document.encode())

    assert a.fold() == yjs.fold(["AAA"]) == with_both
    assert yjs.fold() != with_both


@pytest.mark.parametrize("turned", [False, True])
def test_the_newest_of_two_adoptions_counts(yjs: Yjs, turned: bool) -> None:
    a, b = Replica("AAA", 1), Replica("BBB", 2)
    first, second = (b, a) if turned else (a, b)
    for replica, stamp, view in ((first, stamp_at(NOW), "early"), (second, stamp_at(NOW + 1), "late")):
        replica.session.put(f"x/CCC/r/{IDS[0]}", Act(stamp, REGISTERED))
        replica.session.put(f"x/CCC/v/{IDS[0]}", Field(stamp, view))
        replica.outbox += replica.maps.flush()
    for one, other in ((a, b), (b, a)):
        one.fetch(other)
        one.session.refresh(Origin(one.device))
        yjs.fresh()
        yjs.apply(one.document.encode())
        assert one.fold() == yjs.fold()
        assert one.session.references[IDS[0]].view == "late"


def test_yjs_answers_the_same_state_vector(yjs: Yjs) -> None:
    a, b = Replica("AAA", 7), Replica("BBB", 9)
    a.act(lambda s: s.register(NOW, IDS[0], "spatial"))
    b.act(lambda s: s.register(NOW, IDS[1]))
    a.fetch(b)
    yjs.apply(a.document.encode())

    assert yjs.vector == a.document.state_vector
    assert b.document.state_vector != yjs.vector


def test_a_reference_written_by_yjs_is_one_of_ours(yjs: Yjs) -> None:
    a = Replica("AAA", 1)
    a.act(lambda s: s.register(NOW, IDS[0], "spatial", "old"))
    yjs.apply(a.document.encode())
    later = stamp_at(NOW + 5)

    update = yjs.write(JS_DEVICE, {
        f"r/{IDS[1]}": later,
        f"v/{IDS[1]}": [later, "list"],
        f"p/{IDS[0]}": [later, "new", {"AAA": a.maps.own[f"p/{IDS[0]}"].stamp}],
        f"t/{IDS[0]}": later,
        "a": [later, IDS[1]],
    })  # fmt: skip
    a.receive(update)

    assert a.fold() == yjs.fold()
    assert a.session.references[IDS[1]].view == "list"
    assert a.session.references[IDS[0]].password == "new"
    assert a.session.references[IDS[0]].last_accessed == NOW + 5
    assert not a.session.rivals, "the author had seen the password that it replaced"
    assert all(type(entry.stamp) is int for _, entry in a.maps.each(f"t/{IDS[0]}")), (
        "numbers of Yjs are floats"
    )


def test_yjs_may_compact_its_own_map(yjs: Yjs) -> None:
    a = Replica("AAA", 1)
    first = stamp_at(NOW)
    a.receive(yjs.write(JS_DEVICE, {f"r/{IDS[0]}": first, f"t/{IDS[0]}": first + 1}))
    a.receive(yjs.replace(JS_DEVICE, {f"r/{IDS[0]}": first}))

    assert a.document.devices()[JS_DEVICE] == {f"r/{IDS[0]}": first}
    assert a.fold() == yjs.fold()


def test_our_compaction_reaches_yjs(yjs: Yjs) -> None:
    a = Replica("AAA", 1)
    for step in range(50):
        register(a, NOW + step, IDS[0], f"view {step}")
    a.compact(NOW + 100)
    for update in a.outbox:
        yjs.apply(update)

    assert yjs.entries() == a.document.devices()
    assert len(yjs.missing()) < 300, "what was replaced leaves no values behind"


def test_updates_merged_by_yjs_are_taken(yjs: Yjs) -> None:
    a, b = Replica("AAA", 1), Replica("BBB", 2)
    for step in range(5):
        register(a, NOW + step, IDS[step % 3], f"view {step}")
    b.receive(yjs.merged(a.outbox))

    assert b.fold() == a.fold()


def dependent_updates() -> tuple[Replica, list[bytes]]:
    """Five updates of one author, each standing on the one before."""
    a = Replica("AAA", 1)
    a.act(lambda s: s.register(NOW, IDS[0], "one", "secret"))
    a.act(lambda s: s.update(NOW + 1, IDS[0], {"view": "two"}))
    a.act(lambda s: s.register(NOW + 2, IDS[1], "three"))
    a.act(lambda s: s.remove(NOW + 3, IDS[0]))
    a.act(lambda s: s.restore(NOW + 4, IDS[0]))
    assert len(a.outbox) == 5
    return a, a.outbox


def test_out_of_order_updates_are_refused_whole_and_a_state_vector_heals(yjs: Yjs) -> None:
    """In all 120 orders: what runs ahead changes nothing here (yrs would lose data), Yjs ends equal."""
    a, updates = dependent_updates()
    refused = 0
    for order in itertools.permutations(updates):
        b = Replica("BBB", 2)
        yjs.fresh()
        for update in order:
            yjs.apply(update)
            before = b.document.encode()
            try:
                b.receive(update)
            except Incomplete:
                refused += 1
                assert b.document.encode() == before
        b.fetch(a)
        assert b.fold() == a.fold() == yjs.fold()
    assert refused > 120


def test_a_lost_update_leaves_yjs_and_us_at_the_same_place(yjs: Yjs) -> None:
    a, updates = dependent_updates()
    b = Replica("BBB", 2)
    for update in (updates[0], updates[2]):
        yjs.apply(update)
    b.receive(updates[0])
    with pytest.raises(Incomplete):
        b.receive(updates[2])

    assert b.document.state_vector == yjs.vector
    missing = a.document.missing(yjs.vector)
    yjs.apply(missing)
    b.receive(missing)
    assert b.fold() == a.fold() == yjs.fold()


@pytest.mark.parametrize("type_", ["array", "text", "xml", "map"])
def test_shared_types_inside_a_device_map_are_refused(yjs: Yjs, type_: str) -> None:
    document = Document(1, "AAA")
    document.apply(yjs.write(JS_DEVICE, {"a": [stamp_at(NOW), None]}))
    before = document.encode()
    with pytest.raises(Rejected):
        document.apply(yjs.misuse(f"r/{IDS[0]}", device=JS_DEVICE, shared=type_))
    assert document.encode() == before


@pytest.mark.parametrize("type_", ["array", "text", "xml"])
def test_only_maps_stand_in_the_root(yjs: Yjs, type_: str) -> None:
    with pytest.raises(Rejected):
        Document(1, "AAA").apply(yjs.misuse(JS_DEVICE, shared=type_))


def test_plain_values_in_the_root_are_refused(yjs: Yjs) -> None:
    with pytest.raises(Rejected):
        Document(1, "AAA").apply(yjs.misuse(JS_DEVICE, value="date"))


@pytest.mark.parametrize("value", ["undefined", "bigint", "date", "bytes", "nan", "infinity"])
def test_odd_values_of_javascript_count_as_absent_or_are_refused(yjs: Yjs, value: str) -> None:
    a = Replica("AAA", 1)
    a.act(lambda s: s.register(NOW, IDS[0], "spatial"))
    yjs.apply(a.document.encode())
    before = a.fold()
    for kind in "rvpt":
        update = yjs.misuse(f"{kind}/{IDS[0]}", device=JS_DEVICE, value=value)
        try:
            a.receive(update)
        except Rejected:
            break  # a client id whose update was refused cannot go on: its next one leaves a gap
        assert a.fold() == before


def test_writes_under_our_client_id_are_refused(yjs: Yjs) -> None:
    a = Replica("AAA", 4711)
    a.act(lambda s: s.register(NOW, IDS[0]))
    yjs.fresh(client=4711)
    with pytest.raises(OwnClient):
        a.receive(yjs.write(JS_DEVICE, {f"r/{number}": stamp_at(NOW) for number in range(20)}))


def test_yjs_reads_our_state_vector_of_nothing(yjs: Yjs) -> None:
    update = yjs.write(JS_DEVICE, {f"r/{IDS[0]}": stamp_at(NOW)})
    assert yjs.missing(encode_state_vector({})) == yjs.missing() == update
