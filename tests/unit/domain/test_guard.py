"""The guard lets through what honest devices send, and nothing that yrs could die of, choke on or misread."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc, Map

from nogg.errors import ProtocolError
from noggd.domain.guard import (
    MAX_UPDATE,
    MAX_WRITERS,
    Guard,
    Incomplete,
    OwnClient,
    Rejected,
    decode_state_vector,
)
from noggd.domain.update import MAX_CLIENTS, MAX_CROWD
from tests.yjs_wire import (
    ANY,
    CLIENTS,
    DELETED,
    GC,
    ROOT,
    TYPE,
    Section,
    Struct,
    Update,
    decode,
    history,
    number,
)

OWN, OTHER, THIRD = 2**31 + 3, 9, 10
CORPUS = Path(__file__).parent.parent / "corpus" / "guard"


def guard(state: bytes = b"", own: int = OWN) -> Guard:
    made = Guard(own, frozenset({ROOT}))
    if state:
        made.load(state)
    return made


def corpus(path: Path) -> bytes:
    if path.suffix == ".bin":
        return path.read_bytes()
    return bytes.fromhex("".join(line for line in path.read_text().splitlines() if not line.startswith("#")))


def a_map(key: str = "device", **more: object) -> Struct:
    return Struct(TYPE, parent=ROOT, key=key, content=b"\x01", **more)  # type: ignore[arg-type]  # test shorthand


def a_value(client: int, clock: int = 0, key: str = "k", content: bytes = b"\x7e") -> Struct:
    """A value in the map (client, clock)."""
    return Struct(ANY, parent=(client, clock), key=key, content=content)


def after(client: int, clock: int, kind: int = ANY, content: bytes = b"\x7e") -> Struct:
    """A struct in place of the one at (client, clock)."""
    return Struct(kind, origin=(client, clock), content=b"\x01" if kind == TYPE else content)


def update(
    *sections: tuple[int, int, list[Struct]], deletes: list[tuple[int, int, int]] | None = None
) -> bytes:
    return Update(
        [Section(client, clock, structs) for client, clock, structs in sections],
        [(client, [(start, length)]) for client, start, length in deletes or []],
    ).encode()


def applies_whole(base: bytes, data: bytes, vector: dict[int, int]) -> bool:
    """Whether yrs takes the update without leaving a part of it pending."""
    doc: Doc[Any] = Doc()
    doc.get(ROOT, type=Map)
    if base:
        doc.apply_update(base)
    doc.apply_update(data)
    return decode_state_vector(doc.get_state()) == vector


def accepted(data: bytes, base: bytes = b"") -> Guard:
    """Check, apply and accept; the guard and yrs must agree on what is there then."""
    judge = guard(base)
    judge.accept(judge.check(data))
    assert applies_whole(base, data, judge.vector)
    return judge


class TestHonestUpdates:
    @pytest.mark.parametrize("seed", range(20))
    def test_states_and_differences_pass_and_the_vector_is_that_of_the_document(self, seed: int) -> None:
        one, two, three = history(seed, steps=30)
        judge = guard(one.doc.get_update(), own=CLIENTS[0])
        for peer in (two, three, two):
            difference = peer.doc.get_update(one.doc.get_state())
            checked = judge.check(difference)
            one.receive(difference)
            judge.accept(checked)
            assert judge.vector == decode_state_vector(one.doc.get_state())

    @pytest.mark.parametrize("seed", range(10))
    def test_live_updates_pass_in_order_and_are_incomplete_before_their_turn(self, seed: int) -> None:
        author = history(seed, steps=0)[2]
        dice = random.Random(seed)
        live = [made for _ in range(8) for made in author.write(dice)]
        judge = guard()
        for position, current in enumerate(live):
            for index in range(position + 1, len(live)):
                skipped = any(decode(made).sections for made in live[position:index])
                if skipped and decode(live[index]).sections:
                    with pytest.raises(Incomplete):
                        judge.check(live[index])
            judge.accept(judge.check(current))
        assert judge.vector == decode_state_vector(author.doc.get_state())

    def test_what_was_seen_before_passes_and_brings_nothing(self) -> None:
        state = history(3)[1].doc.get_update()
        judge = guard(state)
        checked = judge.check(state)
        assert not checked.clocks
        assert not checked.maps
        assert not checked.tombs

    def test_an_empty_update_passes(self) -> None:
        assert not guard().check(b"\x00\x00").clocks

    def test_a_section_may_overlap_with_what_is_known(self) -> None:
        whole = [a_map(), a_value(OTHER), a_value(OTHER, key="l")]
        base = update((OTHER, 0, whole[:2]))
        assert accepted(update((OTHER, 0, whole)), base).vector == {OTHER: 3}
        assert accepted(update((OTHER, 1, whole[1:])), base).vector == {OTHER: 3}

    def test_a_run_of_deleted_structs_may_overlap_with_what_is_known(self) -> None:
        base = update((OTHER, 0, [a_map(), a_value(OTHER), after(OTHER, 1)]), deletes=[(OTHER, 1, 1)])
        run = Struct(DELETED, 4, parent=(OTHER, 0), key="k")
        assert accepted(update((OTHER, 1, [run])), base).vector == {OTHER: 5}

    def test_a_map_may_replace_a_map_of_another_client_whichever_section_comes_first(self) -> None:
        older = (THIRD, 0, [a_map(), a_value(THIRD)])
        newer = (OTHER, 0, [after(THIRD, 0, TYPE), a_value(OTHER)])
        assert accepted(update(older, newer)).vector == {OTHER: 2, THIRD: 2}
        assert accepted(update(newer, older)).vector == {OTHER: 2, THIRD: 2}

    def test_two_clients_may_depend_on_each_other_in_turns(self) -> None:
        structs = [a_map(), a_value(THIRD), after(THIRD, 1), a_value(THIRD, key="x")]
        turns = [a_map("other"), a_value(OTHER), after(OTHER, 1), after(OTHER, 3)]
        for sections in (((OTHER, 0, structs), (THIRD, 0, turns)), ((THIRD, 0, turns), (OTHER, 0, structs))):
            assert accepted(update(*sections)).vector == {OTHER: 4, THIRD: 4}

    def test_a_long_chain_over_many_clients_passes(self) -> None:
        maps = [(client, 0, [after(client + 1, 0, TYPE)]) for client in range(100, 1100)]
        chain = [*maps, (1100, 0, [a_map()])]
        assert len(accepted(update(*chain)).vector) == 1001

    def test_a_key_of_an_id_of_255_characters_passes(self) -> None:
        accepted(
            update((OTHER, 0, [a_map(), a_value(OTHER, key="r/" + "x" * 255), a_value(OTHER, key="k" * 400)]))
        )

    @pytest.mark.parametrize(
        "content",
        [
            b"\x7f",
            b"\x7e",
            b"\x79",
            b"\x78",
            b"\x7d\xbf\xff\xff\xff\xff\xff\xff\x1f",
            b"\x7c" + bytes(4),
            b"\x7b" + bytes(8),
            b"\x77\x02\xc3\xa9",
            b"\x76\x01\x01a\x7e",
            b"\x75\x02\x7e\x7b" + bytes(8),
            b"\x74\x02\x00\xff",
            b"\x75\x01" * 6 + b"\x7e",
        ],
    )
    def test_every_kind_of_plain_value_passes(self, content: bytes) -> None:
        accepted(update((OTHER, 0, [a_map(), a_value(OTHER, content=content), a_value(OTHER, key="z")])))


class TestReplacedMaps:
    """A map that was replaced leaves remains; what is written into or over them must still pass."""

    def replaced(self) -> tuple[bytes, Doc[Any]]:
        doc: Doc[Any] = Doc(client_id=OTHER)
        root = doc.get(ROOT, type=Map)
        root["device"] = Map({"a": 1.0})
        root["device"] = Map({"b": 1.0})
        del root["device"]
        return doc.get_update(), doc

    def test_a_map_may_take_the_place_of_remains_from_a_stored_state(self) -> None:
        base, doc = self.replaced()
        seen: list[bytes] = []
        subscription = doc.observe(lambda event: seen.append(event.update))
        doc.get(ROOT, type=Map)["device"] = Map({"c": 1.0})
        doc.unobserve(subscription)
        assert accepted(seen[0], base).vector == decode_state_vector(doc.get_state())

    def test_a_late_value_for_a_replaced_map_passes(self) -> None:
        base, _ = self.replaced()
        accepted(update((THIRD, 0, [a_value(OTHER, 0)])), base)

    def test_a_map_in_place_of_the_remains_of_a_value_is_refused(self) -> None:
        base = update((OTHER, 0, [a_map(), a_value(OTHER), after(OTHER, 1, DELETED)]))
        with pytest.raises(Rejected, match="map inside a nested map"):
            guard(base).check(update((OTHER, 3, [after(OTHER, 2, TYPE)])))

    def test_collected_structs_pass_and_are_no_place_for_anything(self) -> None:
        base = update((OTHER, 0, [a_map(), Struct(GC, 3)]))
        assert guard(base).vector == {OTHER: 4}
        with pytest.raises(Rejected, match="no map"):
            guard(base).check(update((OTHER, 4, [a_value(OTHER, 2)])))

    def test_a_known_struct_that_is_told_anew_as_remains_is_still_a_value(self) -> None:
        judge = guard(update((OTHER, 0, [a_map(), a_value(OTHER)])))
        judge.accept(judge.check(update((OTHER, 1, [Struct(DELETED, 2, parent=ROOT, key="k")]))))
        judge.check(update((THIRD, 0, [a_value(OTHER, 2)])))
        with pytest.raises(Rejected, match="no map"):
            judge.check(update((THIRD, 0, [a_value(OTHER, 1)])))

    def test_a_known_struct_that_is_told_anew_as_a_map_is_still_none(self) -> None:
        base = update((OTHER, 0, [a_map(), a_value(OTHER)]))
        forged = update((OTHER, 0, [a_map(), a_map("device-2"), a_value(OTHER, 1)]))
        with pytest.raises(Rejected, match="no map"):
            guard(base).check(forged)


class TestRestored:
    """What was kept of a guard judges as the guard did."""

    BASE = update((OTHER, 0, [a_map(), a_value(OTHER), a_map("device-2")]), deletes=[(OTHER, 2, 1)])

    def restored(self) -> Guard:
        known = guard(self.BASE)
        made = guard()
        made.restore(json.loads(json.dumps(known.judged())))
        assert made.judged() == known.judged()
        return made

    @pytest.mark.parametrize(
        ("then", "error"),
        [
            (update((OTHER, 3, [a_value(OTHER)])), None),
            (update((THIRD, 0, [a_value(OTHER, 1)])), "no map"),
            (update((OTHER, 4, [a_value(OTHER)])), "missing"),
        ],
    )
    def test_the_same_updates_pass(self, then: bytes, error: str | None) -> None:
        for judge in (guard(self.BASE), self.restored()):
            if error is None:
                assert judge.check(then).clocks
            else:
                with pytest.raises((Rejected, Incomplete), match=error):
                    judge.check(then)

    @pytest.mark.parametrize(
        "judged", [[], [[], []], [[], [[1]], []], [[[1, "x"]], [], []], [[], [], [[1]]], [None, None, None]]
    )
    def test_what_is_not_what_was_kept_is_refused(self, judged: list[Any]) -> None:
        with pytest.raises(ProtocolError):
            guard().restore(judged)


class TestOwnClient:
    def test_new_structs_under_our_id_are_refused_and_known_ones_pass(self) -> None:
        base = update((OWN, 0, [a_map(), a_value(OWN)]))
        judge = guard(base)
        assert not judge.check(base).clocks
        with pytest.raises(OwnClient):
            judge.check(update((OWN, 2, [a_value(OWN)])))
        with pytest.raises(OwnClient):
            judge.check(update((OWN, 0, [a_map(), a_value(OWN), a_value(OWN, key="x")])))

    def test_a_gap_under_our_id_is_no_gap_but_a_sign_of_a_restore(self) -> None:
        with pytest.raises(OwnClient):
            guard().check(update((OWN, 7, [a_value(OWN)])))

    def test_peers_may_delete_what_we_wrote_but_not_what_we_have_not_written_yet(self) -> None:
        judge = guard(update((OWN, 0, [a_map(), a_value(OWN)])))
        judge.check(update(deletes=[(OWN, 1, 1)]))
        with pytest.raises(OwnClient):
            judge.check(update(deletes=[(OWN, 1, 2)]))

    def test_nothing_may_depend_on_what_we_have_not_written_yet(self) -> None:
        with pytest.raises(OwnClient):
            guard().check(update((OTHER, 0, [a_map(), after(OWN, 0)])))

    def test_own_writes_advance_the_guard(self) -> None:
        judge = guard()
        doc: Doc[Any] = Doc(client_id=OWN)
        subscription = doc.observe(lambda event: judge.own_write(event.update))
        root = doc.get(ROOT, type=Map)
        root["device"] = Map({"t/a": 1.0})
        root["device"]["t/a"] = 2.0
        root["device"] = Map({"t/a": 2.0})
        doc.unobserve(subscription)
        assert judge.vector == decode_state_vector(doc.get_state())
        judge.check(update((OTHER, 0, [a_value(OWN, judge.vector[OWN] - 2)])))

    def test_a_write_of_ours_that_peers_would_refuse_is_refused(self) -> None:
        with pytest.raises(Rejected):
            guard().own_write(update((OWN, 0, [Struct(ANY, parent=ROOT, key="k", content=b"\x7e")])))


class TestHostileUpdates:
    @pytest.mark.parametrize(
        "path", sorted(path for path in CORPUS.iterdir() if path.stem != "known"), ids=lambda path: path.stem
    )
    def test_corpus(self, path: Path) -> None:
        judge = guard(corpus(CORPUS / "known.hex"))
        vector = dict(judge.vector)
        with pytest.raises(Rejected if path.name.startswith("rejected-") else Incomplete):
            judge.check(corpus(path))
        assert judge.vector == vector

    def test_the_corpus_is_there(self) -> None:
        assert len(list(CORPUS.iterdir())) > 40

    def test_too_many_bytes_are_refused_unread(self) -> None:
        with pytest.raises(Rejected, match="too large"):
            guard().check(b"\x00" * (MAX_UPDATE + 1))

    def test_more_clients_than_a_person_ever_has_are_refused(self) -> None:
        many = [(client, 0, [a_map()]) for client in range(MAX_CLIENTS + 1)]
        with pytest.raises(Rejected, match="too many clients"):
            guard().check(update(*many))
        with pytest.raises(Rejected, match="too many clients"):
            guard().check(update(deletes=[(client, 0, 1) for client in range(MAX_CLIENTS + 1)]))

    def test_nor_can_they_come_one_after_the_other(self) -> None:
        """A document with more clients than a state vector may name could not be linked, nor read again."""
        judge = guard()
        judge.accept(judge.check(update(*((client, 0, [a_map()]) for client in range(1, MAX_WRITERS)))))
        judge.accept(judge.check(update((5000, 0, [a_map()]))))
        with pytest.raises(Rejected, match="more clients"):
            judge.check(update((5001, 0, [a_map()])))
        judge.accept(judge.check(update((5000, 1, [after(5000, 0, TYPE)]))))

    @pytest.mark.parametrize(
        "struct", [a_value(OTHER), after(OTHER, 1), a_map(), after(OTHER, 0, TYPE)],
        ids=["values", "values in place of one", "maps", "maps in place of one"],
    )  # fmt: skip
    def test_a_crowd_in_one_place_is_refused(self, struct: Struct) -> None:
        """yrs orders them against each other, all with all: the largest update would keep it busy for hours."""
        crowd = [a_map(), a_value(OTHER), *([struct] * (MAX_CROWD + 20))]
        with pytest.raises(Rejected, match="in one place"):
            guard().check(update((OTHER, 0, crowd)))

    def test_a_crowd_of_many_clients_is_refused_too(self) -> None:
        each = [a_value(OTHER, 0, f"k{number}") for number in range(11)]
        sections = [(client, 0, each) for client in range(100, 1100)]
        with pytest.raises(Rejected, match="in one place"):
            guard().check(update((OTHER, 0, [a_map()]), *sections))

    def test_deletions_are_named_once(self) -> None:
        data = Update([Section(OTHER, 0, [a_map(), a_value(OTHER)])], [(OTHER, [(1, 1)] * 1000)]).encode()
        with pytest.raises(Rejected, match="deleted twice"):
            guard().check(data)

    def test_our_own_state_is_read_whatever_its_size(self) -> None:
        big = update(
            (OTHER, 0, [a_map(), a_value(OTHER, content=b"\x77" + number(MAX_UPDATE) + b"x" * MAX_UPDATE)])
        )
        with pytest.raises(Rejected, match="too large"):
            guard().check(big)
        assert guard(big).vector == {OTHER: 2}

    def test_every_cut_of_an_honest_update_is_refused(self) -> None:
        whole = history(5)[1].doc.get_update()
        for end in range(len(whole)):
            with pytest.raises(Rejected):
                guard().check(whole[:end])

    def test_a_wait_in_a_ring_of_three_is_refused(self) -> None:
        ring = update(*((client, 0, [after(client % 3 + 1, 0, TYPE)]) for client in (1, 2, 3)))
        with pytest.raises(Rejected, match="wait for each other"):
            guard().check(ring)

    def test_a_refused_update_says_nothing_of_its_contents(self) -> None:
        secret = b"correct horse"
        values = [a_value(OTHER, content=b"\x77\x0d" + secret), a_value(OTHER, content=b"\x00")]
        with pytest.raises(Rejected) as caught:
            guard().check(update((OTHER, 0, [a_map(), *values])))
        assert secret.decode() not in str(caught.value)


def test_a_check_leaves_the_guard_as_it_was() -> None:
    judge = guard()
    first = update((OTHER, 0, [a_map()]))
    judge.check(first)
    assert judge.vector == {}
    with pytest.raises(Incomplete):
        judge.check(update((OTHER, 1, [a_value(OTHER)])))
    judge.accept(judge.check(first))
    judge.accept(judge.check(update((OTHER, 1, [a_value(OTHER)]))))
    assert judge.vector == {OTHER: 2}


def test_loading_forgets_what_was_known_before() -> None:
    remains = Struct(DELETED, 1, parent=ROOT, key="k")
    judge = guard(update((OTHER, 0, [a_map(), remains])))
    judge.load(update((THIRD, 0, [a_map()]), (OTHER, 0, [Struct(GC, 2)])))
    assert judge.vector == {THIRD: 1, OTHER: 2}
    for clock in (0, 1):
        with pytest.raises(Rejected, match="no map"):
            judge.check(update((THIRD, 1, [a_value(OTHER, clock)])))
    judge.load(update((THIRD, 0, [a_map()])))
    with pytest.raises(Incomplete):
        judge.check(update((OTHER, 1, [a_value(OTHER)])))
