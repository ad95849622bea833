import random

import pytest

from nogg.errors import ProtocolError
from noggd.domain.document import Document, Incomplete


def test_a_write_is_one_update_that_another_replica_can_read() -> None:
    mine, other = Document(7, "dA"), Document(8, "dB")
    update = mine.write({"r/m.1": 5, "v/m.1": [5, "canvas"]})
    assert update is not None
    assert other.apply(update) == {"dA": None}, "a new map is told as a whole"
    assert other.device_map("dA") == {"r/m.1": 5, "v/m.1": [5, "canvas"]}
    update = mine.write({"v/m.1": [6, "list"], "r/m.1": None})
    assert update is not None
    assert other.apply(update) == {"dA": {"v/m.1": [6, "list"], "r/m.1": None}}


def test_every_own_write_moves_the_own_clock_as_far_as_another_replica_reads() -> None:
    here, there = Document(1, "A"), Document(2, "B")
    for entries in ({"k": 1}, {"k": 2, "l": [3, "v"]}, {"k": None}, {"m": "x", "l": None}):
        there.apply(here.write(entries) or b"")
        assert here.own_clock == there.clock_of(1)
        assert here.state_vector == there.state_vector
    assert here.own_clock == 5  # the map and four values


def test_writing_nothing_makes_no_update() -> None:
    assert Document(7, "dA").write({"r/m.1": None}) is None


def test_what_is_known_is_not_fresh() -> None:
    mine, other = Document(7, "dA"), Document(8, "dB")
    update = mine.write({"r/m.1": 5})
    assert update is not None
    other.apply(update)
    assert other.fresh
    other.apply(update)
    assert not other.fresh


def test_a_gap_is_told_and_changes_nothing() -> None:
    mine, other = Document(7, "dA"), Document(8, "dB")
    mine.write({"r/m.1": 5})
    ahead = mine.write({"r/m.2": 6})
    assert ahead is not None
    with pytest.raises(Incomplete):
        other.apply(ahead)
    assert other.devices() == {}
    other.apply(mine.missing(other.state_vector))
    assert other.devices() == mine.devices()


def test_entries_of_others_are_deleted_never_written() -> None:
    mine, other = Document(7, "dA"), Document(8, "dB")
    update = mine.write({"p/m.1": [5, "secret"], "r/m.1": 5})
    assert update is not None
    other.apply(update)
    erased = other.write({}, [("dA", "p/m.1"), ("dA", "p/m.9"), ("nobody", "p/m.1")])
    assert erased is not None
    assert mine.apply(erased) == {"dA": {"p/m.1": None}}
    assert b"secret" not in mine.encode()
    assert mine.deletions() == other.deletions()


def test_a_compaction_shrinks_and_says_the_same() -> None:
    mine, other = Document(7, "dA"), Document(8, "dB")
    order = random.Random(5)
    updates = [mine.write({f"t/m.{order.randrange(9)}": stamp}) for stamp in range(1, 3000)]
    for update in updates:
        assert update is not None
        other.apply(update)
    assert mine.operations >= 2999
    before = len(mine.encode())
    entries = mine.device_map("dA")
    compacted = mine.replace(entries)
    assert compacted is not None
    assert len(mine.encode()) < before / 20
    assert mine.operations == 0
    other.apply(compacted)
    assert other.device_map("dA") == entries
    after = mine.write({"t/m.1": 3000})
    assert after is not None
    other.apply(after)
    assert other.devices() == mine.devices()


def test_what_was_written_before_compactions_may_come_again_by_a_detour() -> None:
    here, there = Document(1, "A"), Document(2, "B")
    updates = []
    for number in range(4):
        updates += [here.write({"k": number, "l": [number, "v"]}) or b"", here.replace({"k": number})]
        assert here.state_vector == Document(3, "C", here.encode()).state_vector
    for update in updates:
        there.apply(update)
    again = Document(1, "A", here.encode(), (), here.judged())
    for update in [*updates, there.missing(b"\0")]:
        for document in (here, again):
            document.apply(update)
            assert not document.fresh
    for document in (here, again):
        there.apply(document.write({"m": 1}) or b"")
        assert there.device_map("A") == document.device_map("A") == {"k": 3, "m": 1}
        there, document.fresh = Document(2, "B", here.encode()), False


def test_a_document_and_what_is_kept_of_it_must_fit() -> None:
    here = Document(1, "A")
    here.write({"k": 1})
    state, judged = here.encode(), here.judged()
    here.write({"l": 1})
    with pytest.raises(ProtocolError):
        Document(1, "A", state, (), here.judged())
    with pytest.raises(ProtocolError):
        Document(1, "A", here.encode(), (), judged)
    update = here.write({"m": 1}) or b""
    Document(1, "A", state, [here.missing(Document(1, "A", state).state_vector)], judged)
    with pytest.raises(ProtocolError):
        Document(1, "A", state, [update], judged)
    with pytest.raises(ProtocolError):
        Document(1, "A", b"\0\0", [update], judged)


def test_a_document_is_built_from_a_state_and_what_came_after() -> None:
    mine = Document(7, "dA")
    mine.write({"r/m.1": 5})
    state = mine.encode()
    updates = [mine.write({"r/m.2": 6}), mine.write({"r/m.3": 7})]
    kept = [update for update in updates if update is not None]
    again = Document(7, "dA", state, kept)
    assert again.devices() == mine.devices()
    assert again.own_clock == mine.own_clock
    with pytest.raises(ProtocolError):
        Document(7, "dA", state, kept[1:])


def test_a_state_vector_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ProtocolError):
        Document(7, "dA").missing(b"\xff\xff\xff\xff\x0f")


def test_peers_cannot_make_a_document_too_large_to_be_sent_and_read_again() -> None:
    mine, peer = Document(7, "dA"), Document(8, "dB")
    last = b""
    for number in range(20):
        last = peer.write({f"v/{number}": [5, "x" * (1 << 20)]}) or b""
        if number < 14:
            mine.apply(last)
    before = mine.state_vector
    with pytest.raises(ProtocolError, match="too large"):
        mine.apply(peer.missing(before))
    assert mine.state_vector == before
    assert mine.exceeds(14 << 20)
    assert mine.apply(mine.encode()) == {}, "what is known already makes nothing larger"
    assert Document(7, "dA", mine.encode()).state_vector == before
    assert Document(8, "dB", peer.encode()).state_vector == peer.state_vector, "whatever is ours is read"


def test_a_document_that_only_looks_large_is_measured() -> None:
    mine, peer = Document(7, "dA"), Document(8, "dB")
    for number in range(20):
        mine.apply(peer.write({"v/one": [number, "x" * (1 << 20)]}) or b"")
    assert not mine.exceeds(4 << 20)
