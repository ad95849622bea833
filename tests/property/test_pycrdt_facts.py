"""What the design relies on in the pinned pycrdt, and what it works around. Run anew at every bump of the pin.

A failing test here means that a reason for some code has changed, for better or worse: read docs/decisions first.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tomllib
from importlib.metadata import version
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc, Map

from noggd.domain.guard import Guard, decode_state_vector, delete_set
from tests.yjs_wire import ROOT, TYPE, Struct, decode, history

ROOT_FOLDER = Path(__file__).parent.parent.parent
CORPUS = ROOT_FOLDER / "tests" / "unit" / "corpus" / "guard"


def document(client: int = 1) -> tuple[Doc[Any], Map[Any]]:
    doc: Doc[Any] = Doc(client_id=client)
    return doc, doc.get(ROOT, type=Map)


def updates_of(doc: Doc[Any]) -> list[bytes]:
    found: list[bytes] = []
    doc.observe(lambda event: found.append(event.update))
    return found


def test_the_version_is_the_pinned_one() -> None:
    project = tomllib.loads((ROOT_FOLDER / "pyproject.toml").read_text())["project"]
    assert f"pycrdt=={version('pycrdt')}" in [entry.split()[0] for entry in project["dependencies"]]


class TestOrderOfDelivery:
    def four_updates(self) -> list[bytes]:
        doc, root = document()
        found = updates_of(doc)
        root["x"], root["y"], root["z"], root["x"] = 1, 2, 3, 10
        return found

    def delivered(self, order: tuple[bytes, ...]) -> tuple[Doc[Any], Map[Any]]:
        doc, root = document(2)
        for update in order:
            doc.apply_update(update)
        return doc, root

    @pytest.mark.xfail(strict=True, reason="y-crdt#632: a gap loses what came before it; hence the gap check")
    def test_every_order_of_delivery_gives_the_same(self) -> None:
        for order in permutations(self.four_updates()):
            assert self.delivered(order)[1].to_py() == {"x": 10.0, "y": 2.0, "z": 3.0}

    def test_a_state_vector_exchange_heals_every_order(self) -> None:
        updates = self.four_updates()
        whole, _ = self.delivered(tuple(updates))
        for order in permutations(updates):
            doc, root = self.delivered(order)
            doc.apply_update(whole.get_update(doc.get_state()))
            assert root.to_py() == {"x": 10.0, "y": 2.0, "z": 3.0}

    def test_in_order_nothing_is_lost_and_doubles_do_nothing(self) -> None:
        updates = self.four_updates()
        doc, root = self.delivered(tuple(updates))
        again = updates_of(doc)
        for update in (*updates, *reversed(updates)):
            doc.apply_update(update)
        assert root.to_py() == {"x": 10.0, "y": 2.0, "z": 3.0}
        assert again == []


class TestMerging:
    @pytest.mark.parametrize(("one", "two"), [(1, 2), (2, 1), (5, 2**52)])
    def test_the_higher_client_wins_not_the_later_write(self, one: int, two: int) -> None:
        (doc, root), (other, other_root) = document(one), document(two)
        root["k"], other_root["k"] = one, two
        other.apply_update(doc.get_update())
        doc.apply_update(other.get_update())
        assert root["k"] == other_root["k"] == max(one, two)

    def test_of_two_maps_under_one_key_one_is_lost_whole(self) -> None:
        (doc, root), (other, other_root) = document(1), document(2)
        root["k"], other_root["k"] = Map({"password": "p"}), Map({"view": "v"})
        doc.apply_update(other.get_update())
        assert root.to_py() == {"k": {"view": "v"}}

    def test_a_restored_copy_that_writes_on_diverges_under_equal_state_vectors(self) -> None:
        doc, root = document(1)
        root["x"] = 1
        copy, copy_root = document(1)
        copy.apply_update(doc.get_update())
        root["y"], copy_root["z"] = 1, 1
        doc.apply_update(copy.get_update(doc.get_state()))
        copy.apply_update(doc.get_update(copy.get_state()))
        assert doc.get_state() == copy.get_state()
        assert root.to_py() != copy_root.to_py()

    @pytest.mark.parametrize("seed", range(10))
    def test_replicas_that_agree_have_one_canonical_delete_set(self, seed: int) -> None:
        replicas = history(seed, steps=40)
        for _ in range(2):
            for one in replicas:
                for two in replicas:
                    if one is not two:
                        two.receive(one.doc.get_update(two.doc.get_state()))
        assert len({delete_set(replica.doc.get_update()) for replica in replicas}) == 1
        reloaded, _ = document(9)
        reloaded.apply_update(replicas[0].doc.get_update())
        assert delete_set(reloaded.get_update()) == delete_set(replicas[0].doc.get_update())


class TestValues:
    @pytest.mark.parametrize("number", [0, 42, -7, 2**40, 2**53 - 1])
    def test_whole_numbers_come_back_as_floats(self, number: int) -> None:
        doc, root = document()
        root["k"] = number
        other, other_root = document(2)
        other.apply_update(doc.get_update())
        assert other_root["k"] == number
        assert type(other_root["k"]) is float

    @pytest.mark.parametrize("value", ["\ud800", 2**63, {1: "x"}])
    def test_some_values_raise_what_no_except_exception_catches(self, value: object) -> None:
        doc, root = document()
        root["k"] = "before"
        with pytest.raises(BaseException) as caught, doc.transaction():
            root["k"] = value
        assert not isinstance(caught.value, Exception)
        assert root["k"] == "before"

    def test_writing_the_same_value_again_is_an_update(self) -> None:
        doc, root = document()
        root["k"] = 1
        found = updates_of(doc)
        root["k"] = 1
        assert len(found) == 1

    def test_a_transaction_that_fails_keeps_what_it_did(self) -> None:
        doc, root = document()
        with pytest.raises(TypeError), doc.transaction():
            root.update({"k": 1, "l": object()})
        assert root["k"] == 1


class TestGrowth:
    def test_a_map_written_over_and_over_grows_and_a_new_one_in_its_place_shrinks_after_a_reload(
        self,
    ) -> None:
        doc, root = document(2**31)
        root["device"] = Map()
        for at in range(2000):
            root["device"][f"t/{at % 10}"] = float(at)
        grown = len(doc.get_update())
        root["device"] = Map(root["device"].to_py())
        reloaded, reloaded_root = document(2**31)
        reloaded.apply_update(doc.get_update())
        assert grown > 15_000
        assert len(reloaded.get_update()) < 1_000
        assert reloaded_root.to_py() == root.to_py()

    def test_a_replaced_map_leaves_a_tombstone_in_the_root_and_its_entries_are_collected(self) -> None:
        doc, root = document(7)
        root["device"] = Map({"a": 1.0, "b": 1.0})
        root["device"] = Map({"c": 1.0})
        del root["device"]
        reloaded, _ = document(8)
        reloaded.apply_update(doc.get_update())
        (section,) = decode(reloaded.get_update()).sections
        assert [(struct.kind, struct.length) for struct in section.structs] == [
            (1, 1),
            (0, 2),
            (1, 1),
            (0, 1),
        ]
        assert section.structs[0].parent == ROOT
        assert section.structs[2].origin == (7, 0)

    def test_a_delete_moves_no_state_vector_but_travels_with_every_difference(self) -> None:
        doc, root = document()
        root["device"] = Map({"a": 1.0})
        before = doc.get_state()
        del root["device"]["a"]
        assert decode_state_vector(doc.get_state()) == decode_state_vector(before)
        assert decode(doc.get_update(doc.get_state())).deletes == [(1, [(1, 1)])]

    def test_state_and_difference_are_what_the_guard_reads(self) -> None:
        replica = history(1, steps=30)[0]
        judge = Guard(99, frozenset({ROOT}))
        judge.load(replica.doc.get_update())
        assert judge.vector == decode_state_vector(replica.doc.get_state())

    def test_strings_in_maps_are_plain_values(self) -> None:
        doc, root = document()
        root["device"] = Map({"a": "text"})
        (section,) = decode(doc.get_update()).sections
        assert isinstance(section.structs[0], Struct)
        assert [struct.kind for struct in section.structs] == [TYPE, 8]


_VICTIM = """
import sys
from pycrdt import Doc, Map
doc = Doc(client_id=2**31 + 3)
root = doc.get("devices", type=Map)
known, update = (bytes.fromhex(line) for line in sys.stdin.read().split())
doc.apply_update(known)
try:
    doc.apply_update(update)
    root["mine"] = Map({"a": 1.0})
    root["mine"]["a"] = 2.0
    doc.apply_update(known)
    doc.get_update()
except RuntimeError as error:
    sys.exit("half applied" if root.keys() != {"device-0"} else "refused")
except Exception as error:
    sys.exit(type(error).__name__)
except BaseException as error:
    print("panic", flush=True)
root.to_py()
try:
    doc.get_update()
except BaseException:
    sys.exit("poisoned")
if "mine" not in root:
    sys.exit("own write lost")
"""


def hexadecimal(name: str) -> str:
    path = CORPUS / f"{name}.bin"
    if path.exists():
        return path.read_bytes().hex()
    lines = (CORPUS / f"{name}.hex").read_text().splitlines()
    return "".join(line for line in lines if not line.startswith("#"))


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("rejected-nested-54-kilobytes", "dead"),
        ("rejected-far-future-clock", "dead"),
        ("rejected-zero-length-collected-struct", "poisoned"),
        ("rejected-own-client-far-future", "poisoned"),
        ("rejected-client-without-structs", "panic"),
        ("rejected-value-inside-value", "half applied"),
        ("rejected-own-client-future-delete", "own write lost"),
    ],
)
def test_yrs_by_itself_does_not_survive_these(name: str, end: str) -> None:
    """Each in a process of its own. The guard refuses them all (tests/unit/domain/test_guard.py)."""
    bytes_of_both = f"{hexadecimal('known')}\n{hexadecimal(name)}\n"
    done = subprocess.run(
        [sys.executable, "-c", _VICTIM], input=bytes_of_both, capture_output=True, text=True, timeout=60
    )
    ends = {"dead": done.returncode < 0, "panic": done.stdout == "panic\n"}
    assert ends.get(end, end in done.stderr), (done.returncode, done.stdout, done.stderr[-300:])


def test_a_good_document_survives_the_same_treatment() -> None:
    """Without this the test above could pass for a victim that always fails."""
    author, root = document(5)
    root["device-5"] = Map({"a": 1.0})
    bytes_of_both = f"{hexadecimal('known')}\n{author.get_update().hex()}\n"
    done = subprocess.run(
        [sys.executable, "-c", _VICTIM], input=bytes_of_both, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_random_orders_over_three_replicas_agree_after_one_exchange() -> None:
    for seed in range(30):
        dice = random.Random(seed)
        replicas = history(seed, steps=0)
        mail = [(made, at) for _ in range(10) for at in range(3) for made in replicas[at].write(dice)]
        for at, replica in enumerate(replicas):
            for made, author in dice.sample(mail, len(mail)):
                if author != at:
                    replica.receive(made)
        for _ in range(2):
            for one in replicas:
                for two in replicas:
                    if one is not two:
                        two.receive(one.doc.get_update(two.doc.get_state()))
        assert replicas[0].root.to_py() == replicas[1].root.to_py() == replicas[2].root.to_py(), seed
