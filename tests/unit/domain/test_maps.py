"""Device maps: which entries count, kept in step entry by entry as they change."""

import gc
import random

import pytest

from nogg.errors import ProtocolError
from noggd.domain.document import Document
from noggd.domain.entries import Entry, Field
from noggd.domain.hlc import HybridClock
from noggd.domain.maps import DeviceMaps

NOW = 1_795_335_450_387 << 10
KEYS = ["v/one", "v/two", "x/C/v/one", "x/C/v/two", "x/D/v/one", "x/B/v/one"]


def as_gathered_anew(maps: DeviceMaps) -> dict[str, dict[str, Entry]]:
    """What counts, by an independent reading of the rule: of several that adopted an entry, the newest counts."""
    found: dict[str, dict[str, Entry]] = {}
    for device, entries in maps.entries.items():
        if maps.members is not None and device not in maps.members and device != maps.device:
            continue
        for key, entry in entries.items():
            _, origin, inner = key.split("/", 2) if key.startswith("x/") else ("", f"map of {device}", key)
            kept = found.setdefault(origin, {}).get(inner)
            if kept is None or kept.stamp < entry.stamp:
                found[origin][inner] = entry
    return {origin: entries for origin, entries in found.items() if entries}


def in_sources(maps: DeviceMaps) -> dict[str, dict[str, Entry]]:
    """What counts, as the maps keep it; own maps and adopted entries apart, as both may be of one device."""
    found: dict[str, dict[str, Entry]] = {}
    for device, entries in maps.sources:
        if entries:
            whole = any(entries is map_ for map_ in maps.entries.values())
            plain = {key: entry for key, entry in entries.items() if not (whole and key.startswith("x/"))}
            if plain:
                found[f"map of {device}" if whole else device] = plain
    return found


@pytest.mark.parametrize("seed", range(40))
def test_what_counts_is_kept_in_step(seed: int) -> None:
    rng = random.Random(seed)
    a = DeviceMaps("A", HybridClock(), Document(1, "A"))
    b = DeviceMaps("B", HybridClock(), Document(2, "B"))
    stamp = NOW
    for _ in range(60):
        maps, other = rng.choice([(a, b), (b, a)])
        stamp += rng.choice([0, 1])
        match rng.randrange(8):
            case 0 | 1 | 2:
                maps.put(rng.choice(KEYS), Field(stamp, "here" if maps is a else "there"))
            case 3:
                maps.put(rng.choice(KEYS), None)
            case 4:
                maps.begin()
                maps.put(rng.choice(KEYS), Field(stamp, "taken back"))
                maps.rollback()
            case 5:
                maps.erase(other.device, rng.choice(KEYS))
                maps.flush()
            case 6:
                maps.set_members(frozenset(rng.choice(["A", "B", "AB"])))
            case _:
                other.flush()
                assert other.document is not None
                assert maps.document is not None
                maps.flush()
                maps.merge(other.document.missing(maps.document.state_vector))
        assert in_sources(a) == as_gathered_anew(a)
        assert in_sources(b) == as_gathered_anew(b)


def test_adopting_a_whole_map_takes_time_in_step_with_its_size() -> None:
    """Each adopted entry is taken in by itself: gathering all of them for each takes minutes for ten thousand."""
    maps = DeviceMaps("A", HybridClock(), Document(1, "A"))
    gathered = maps.sources
    for number in range(1000):
        maps.put(f"x/B/v/{number}", Field(NOW, "there"))
        assert maps.sources is gathered
    assert len(dict(gathered)["B"]) == 1000


def test_only_what_was_there_can_leave_a_secret_behind() -> None:
    """A first map of a peer is nothing to clean up after; one that it replaces may have held a password."""
    a = DeviceMaps("A", HybridClock(), Document(1, "A"))
    b = DeviceMaps("B", HybridClock(), Document(2, "B"))
    a.put("p/one", Field(NOW, "secret"))
    for update in a.flush():
        b.merge(update)
    assert not b.secret_left()
    a.put("p/one", None)
    for update in [*a.flush(), *a.compact()]:
        b.merge(update)
    assert b.secret_left()


def documents() -> set[int]:
    """Which documents are in memory, those that other tests left included."""
    gc.collect()
    return {id(each) for each in gc.get_objects() if isinstance(each, Document)}


def test_a_start_over_from_what_is_no_document_changes_and_leaves_nothing() -> None:
    maps = DeviceMaps("A", HybridClock(), Document(1, "A"))
    maps.put("v/some", Field(5, "spatial"))
    maps.flush()
    kept, before = maps.document, documents()
    for _ in range(3):
        with pytest.raises(ProtocolError):
            maps.rescue(2, b"no update")
    assert maps.document is kept
    assert maps.own == {"v/some": Field(5, "spatial")}
    assert documents() <= before
