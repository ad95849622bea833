"""What keeps a session's document small and whole: compaction, adoption, joining a group.

Functions over a `SessionState`, called through its methods of the same names. Rules 4 to 7 of `docs/document.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from noggd.domain.changes import Change, Origin
from noggd.domain.counting import counts
from noggd.domain.entries import PLACED, REGISTERED, REMOVED, Act, Entry, Field, adopted_key, reference_of
from noggd.domain.fold import Row, fold, is_present
from noggd.domain.hlc import milliseconds, stamp_at

if TYPE_CHECKING:
    from noggd.domain.state import SessionState

RESTORABLE_FOR = 30 * 24 * 3600 * 1000
"""How long a removed reference can be restored, in milliseconds."""

KINDS = ("r/", "v/", "p/", "t/")
"""Prefixes of the entries of a reference: act, view, password, touch."""


def compact(session: SessionState, now: int, drop: tuple[str, ...], stored_by_all: int) -> list[bytes]:
    """Rewrite the own map with the entries that still count; return the updates for peers.

    What a reference had when it was removed is let go once it can no longer be restored, and its removal too
    once every member has stored it: `stored_by_all` is the stamp up to which they have everything.
    """
    expired = {name for name, gone in session.removed.items() if milliseconds(gone) <= now - RESTORABLE_FOR}
    own, here = session.maps.own, session.maps.device
    rows = session.all_rows()
    folded = {name: fold(each) for name, each in rows.items()}
    for key, entry in list(own.items()):
        device, plain = (adopted_key(key) if key[0] == "x" else None) or (here, key)
        name = reference_of(plain)
        if name is None:
            continue
        fields_expired = name in expired and not plain.startswith("r/")
        if fields_expired or not counts(rows[name], folded[name], device, plain, entry):
            del own[key]
    _bury(session, min(stored_by_all, stamp_at(now - RESTORABLE_FOR)))
    return [*session.maps.flush(), *session.maps.compact(drop)]


def _bury(session: SessionState, until: int) -> None:
    """Erase every trace of references whose removal all members have stored, in everybody's map."""
    if until <= 0:
        return
    removals = {
        key[2:]
        for _, entries in session.maps.sources
        for key, entry in entries.items()
        if isinstance(entry, Act) and entry.kind == REMOVED and max(entry.stamp, entry.forgot) <= until
    }
    for name in removals:
        folded = session.fold(name)
        if not folded.alive and max(folded.gone, folded.forgot) <= until:
            for device in list(session.maps.entries):
                for kind in KINDS:
                    session.maps.erase(device, kind + name)
            session.removed.pop(name, None)


def keep_lost(session: SessionState, device: str, entries: dict[str, Entry]) -> None:
    """Adopt what a device dropped from its map although it still counts.

    A compaction drops nothing that counts; a device that was restored from a backup drops what it forgot.
    """
    there = session.maps.entries.get(device, {})
    lost: dict[str, dict[str, Entry]] = {}
    for key, entry in entries.items():
        name = reference_of(key)
        known = there.get(key)
        if name is not None and key[0] != "x" and (known is None or known.stamp < entry.stamp):
            lost.setdefault(name, {})[key] = entry
    for name, dropped in lost.items():
        rows = session.rows(name)
        before, after = fold(rows), fold([*rows, _row(device, name, dropped)])
        if (before.alive or after.alive) and before._replace(dead=()) != after._replace(dead=()):
            for key, entry in dropped.items():
                session.put(f"x/{device}/{key}", entry)


def _row(device: str, name: str, entries: dict[str, Entry]) -> Row:
    """Return the row that these entries of a reference make."""
    act, view, password, touch = (entries.get(kind + name) for kind in KINDS)
    return Row(device, act, view, password, touch)  # type: ignore[arg-type] # the key tells the type


def adopt(session: SessionState, device: str) -> None:
    """Copy what still counts of a device that leaves into the own map, original stamps kept."""
    for key, entry in list(session.maps.entries.get(device, {}).items()):
        name = reference_of(key)
        if name is None:
            continue
        if key.startswith("x/"):
            known = session.maps.own.get(key)
            if known is None or known.stamp < entry.stamp:  # whoever left may have heard more of that device
                session.put(key, entry)
            continue
        rows = session.rows(name)
        if counts(rows, fold(rows), device, key, entry):
            session.put(f"x/{device}/{key}", entry)


def prepare_to_join(session: SessionState, origin: Origin) -> tuple[list[bytes], Change | None]:
    """Make the document ready to be merged into a group's: what was removed alone removes nothing there.

    Removals and what they kept go, living references lose every trace of former removals, maps of devices that no
    longer count go as a whole. Returns the updates for the journal and the visible change, if any.
    """
    own = session.maps.own
    cleaned = {
        key: _without_removals(session, key, name) for key in own if (name := reference_of(key)) is not None
    }
    for key, entry in cleaned.items():
        if entry is None:
            del own[key]
        else:
            own[key] = entry
    others = tuple(device for device in session.maps.entries if device != session.maps.device)
    updates = [*session.maps.flush(), *session.maps.compact(others)]
    session.removed.clear()
    return updates, session.refresh(origin)


def _without_removals(session: SessionState, key: str, name: str) -> Entry | None:
    entry, folded = session.maps.own[key], session.fold(name)
    if not folded.alive or not session.still_counts(key):
        return None
    if isinstance(entry, Act):
        if not is_present(entry, folded.gone, folded.forgot):
            return None
        return Act(entry.stamp, REGISTERED if entry.kind == REGISTERED else PLACED)
    return entry._replace(forgot=None) if isinstance(entry, Field) else entry
