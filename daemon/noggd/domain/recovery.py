"""Second thoughts: restore, forget, conflicts, import.

Functions over a `Session`, called through its methods of the same names. Rules: contract sections 2.2 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nogg.errors import NotFound
from nogg.ids import seed_order
from noggd.domain.entries import PLACED, REMOVED, RESTORED, Act, Field, Touch
from noggd.domain.hlc import milliseconds
from noggd.domain.reference import Reference
from noggd.domain.upkeep import RESTORABLE_FOR

if TYPE_CHECKING:
    from noggd.domain.session import Session


def restore(session: Session, now: int, microcosm_id: str) -> Callable[[], Reference]:
    """Bring a removed reference back as it stood, password and open conflicts included.

    Its fields are written anew on this device's map, newer than the removal. Rivals go first, as entries of the
    devices that wrote them (our own loser as one of the winner's device, since our slot holds the winner), so that
    the winner stays the newest and does not cover them. Restoring one that
    exists changes nothing. Raises NotFound where there is nothing to restore.
    """
    folded = session.fold(microcosm_id)
    if folded.alive:
        return lambda: session.references[microcosm_id]
    if not folded.restorable or milliseconds(folded.gone) <= now - RESTORABLE_FOR:
        raise NotFound(
            f"no removed reference {microcosm_id}",
            hint="a removal can be undone for 30 days, unless it was forgotten",
        )
    for rival in reversed(folded.rivals):
        assert folded.password is not None, "a rival lost to a winner"
        holder = rival.device if rival.device != session.maps.device else folded.password.device
        written = Field(session.clock.tick(now), rival.field.value, None, folded.forgot)
        session.put(f"x/{holder}/p/{microcosm_id}", written)
    stamp = session.clock.tick(now)
    session.put("r/" + microcosm_id, Act(stamp, RESTORED, folded.gone, folded.forgot))
    if folded.view is not None:
        session.put("v/" + microcosm_id, Field(stamp, folded.view.field.value, None, folded.forgot))
    if folded.password is not None:
        session.put_password(microcosm_id, stamp, folded.password.field.value, folded, folded.forgot)
    session.put("t/" + microcosm_id, Touch(stamp, folded.last_accessed, placed=True))
    return lambda: session.references[microcosm_id]


def forget(session: Session, now: int, microcosm_id: str) -> dict[str, bool]:
    """Void what a removed reference had, everywhere, for good; one that still exists is removed first."""
    folded = session.fold(microcosm_id)
    if not folded.alive and not folded.restorable:
        return {"forgotten": False}
    stamp = session.clock.tick(now)
    if folded.alive:
        act = Act(stamp, REMOVED, stamp, stamp, folded.gone)
    else:
        act = Act(stamp, REMOVED, folded.gone, stamp, folded.base)
    session.put("r/" + microcosm_id, act)
    for kind in ("v/", "p/", "t/"):
        if kind + microcosm_id in session.maps.own:
            session.put(kind + microcosm_id, None)
    return {"forgotten": True}


def conflicts(session: Session) -> list[dict[str, Any]]:
    """Return each reference whose password was set concurrently, the values newest first."""
    found = []
    for name in sorted(session.rivals, key=seed_order):
        rivals = session.rivals[name]
        winner = session.fold(name).password
        if winner is None:
            continue
        found.append(
            {
                "microcosmID": name,
                "field": "password",
                "values": [
                    {"value": each.field.value, "device": each.device, "at": milliseconds(each.stamp)}
                    for each in (winner, *rivals)
                ],
                "chosen": winner.field.value,
            }
        )
    return found


def resolve(session: Session, now: int, microcosm_id: str, value: str | None) -> Callable[[], Reference]:
    """Write the password anew, knowing all the values, so that none of them is open any more."""
    folded = session.fold(microcosm_id)
    if not folded.alive:
        raise NotFound(f"no reference {microcosm_id}")
    session.put_password(microcosm_id, session.clock.tick(now), value, folded)
    return lambda: session.references[microcosm_id]


def import_entries(
    session: Session, now: int, entries: Iterable[Mapping[str, Any]], active: str | None = None
) -> dict[str, int]:
    """Merge whole references: add what is missing, fill empty fields, overwrite nothing.

    An entry does not bring back what was removed after its `lastAccessed`. Doing it twice changes nothing.
    """
    imported = skipped = 0
    for entry in entries:
        if _import_one(session, now, entry):
            imported += 1
        else:
            skipped += 1
    if active is not None and session.active is None:
        session.set_active(now, active)
    return {"imported": imported, "skipped": skipped}


def _import_one(session: Session, now: int, entry: Mapping[str, Any]) -> bool:
    name = entry["microcosmID"]
    view, password = entry.get("view"), entry.get("password")
    accessed = min(entry.get("lastAccessed", now), now)
    folded = session.fold(name)
    if not folded.alive and folded.gone and milliseconds(folded.gone) >= accessed:
        return False
    stamp = session.clock.tick(now)
    if not folded.alive:
        session.put("r/" + name, Act(stamp, PLACED, folded.gone, folded.forgot))
        session.put("t/" + name, Touch(stamp, accessed, placed=True))
    has_view = folded.alive and folded.view is not None and folded.view.field.value is not None
    has_password = folded.alive and folded.password is not None and folded.password.field.value is not None
    if view and not has_view:
        session.put("v/" + name, Field(stamp, view))
    if password and not has_password:
        session.put_password(name, stamp, password, folded)
    return not folded.alive or bool(view and not has_view) or bool(password and not has_password)
