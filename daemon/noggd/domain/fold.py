"""The fold: from what every device wrote about one reference to what the person sees.

Pure functions over entries. Rules (contract, section 4): the latest explicit act decides existence, the latest
value wins per field, last access is the maximum, what is older than the newest removal is void, and a password
that its winner's author did not know is a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from noggd.domain.entries import REGISTERED, REMOVED, RESTORED, Act, Field, Touch
from noggd.domain.hlc import COUNTER_BITS


class Row(NamedTuple):
    """What one device wrote about one reference."""

    device: str
    act: Act | None
    view: Field | None
    password: Field | None
    touch: Touch | None


class Written(NamedTuple):
    """A field's value together with the device that wrote it; compares by (stamp, device)."""

    stamp: int
    device: str
    field: Field


class Folded(NamedTuple):
    """One reference, folded.

    `alive`: it exists. `gone`, `forgot`, `base`: newest removal, newest forget, the removal before the newest.
    `view`, `password`: the winners, None where nobody wrote one in this life. `rivals`: concurrent passwords
    that lost, newest first. `seen`: what a writer of the password now knows, per device. `dead`: devices whose
    password entry no longer counts for anyone. For a removed reference the fields are those that it had.
    """

    alive: bool
    gone: int
    forgot: int
    base: int
    last_accessed: int
    view: Written | None
    password: Written | None
    rivals: tuple[Written, ...]
    seen: Mapping[str, int]
    dead: tuple[str, ...]

    @property
    def restorable(self) -> bool:
        """Removed, and not forgotten since."""
        return not self.alive and self.gone > self.forgot

    @property
    def life(self) -> int:
        """The stamp after which this life of the reference began: what is not newer is void."""
        return life_of(self.alive, self.gone, self.forgot, self.base)


def is_present(act: Act, gone: int, forgot: int) -> bool:
    """Tell whether an act makes its reference exist, given the newest removal and forget.

    A forget outranks a restore whose author did not know of it.
    """
    if act.kind == REMOVED or act.stamp <= gone:
        return False
    return act.kind != RESTORED or act.forgot == forgot


def is_valid(field: Field, life: int, forgot: int) -> bool:
    """Tell whether a value belongs to the present life, and no forget voids it that its restorer did not know."""
    return field.stamp > life and (field.forgot is None or field.forgot == forgot)


def life_of(alive: bool, gone: int, forgot: int, base: int) -> int:
    """Return the stamp after which a life began; a removed one that can be restored keeps what it had."""
    return base if not alive and gone > forgot else gone


def fold(rows: Sequence[Row]) -> Folded:
    """Fold what all devices wrote about one reference. The order of rows does not matter.

    It runs twice for each change and once for each reference at start, so the usual reference goes a short way.
    """
    return (_usual(rows) or fold_any(rows)) if rows else _NOTHING


def _usual(rows: Sequence[Row]) -> Folded | None:
    """Fold a reference that was registered, never removed, and has no password; None if it is any other."""
    registered = False
    latest = 0
    view: Written | None = None
    for device, act, field, password, touch in rows:
        if act is not None:
            if act.kind != REGISTERED or act.gone or act.forgot or act.base:
                return None
            registered = True
            latest = max(latest, act.stamp)
        if password is not None or (touch is not None and touch.placed):
            return None
        if touch is not None:
            latest = max(latest, touch.stamp)
        if field is not None:
            if field.forgot is not None:
                return None
            if view is None or (field.stamp, device) > (view.stamp, view.device):
                view = Written(field.stamp, device, field)
    if not registered:
        return None
    return Folded(True, 0, 0, 0, latest >> COUNTER_BITS, view, *_NO_PASSWORDS)


def fold_any(rows: Sequence[Row]) -> Folded:
    """Fold by all the rules; gives the same as `fold`."""
    if not rows:
        return _NOTHING
    acts = [row.act for row in rows if row.act is not None]
    gone, forgot, base = _removals(acts)
    alive = False
    for act in acts:
        if is_present(act, gone, forgot):
            alive = True
            break
    life = life_of(alive, gone, forgot, base)
    view = None
    secret = False
    for row in rows:
        field = row.view
        if field is not None and is_valid(field, life, forgot):
            written = Written(field.stamp, row.device, field)
            if view is None or _order(written) > _order(view):
                view = written
        secret = secret or row.password is not None
    winner, rivals, seen, dead = _passwords(rows, life, forgot) if secret else _NO_PASSWORDS
    accessed = _last_accessed(rows, acts, life)
    return Folded(alive, gone, forgot, base, accessed, view, winner, rivals, seen, dead)


Passwords = tuple[Written | None, tuple[Written, ...], Mapping[str, int], tuple[str, ...]]
"""The winner, its rivals, what the next writer has seen, and the devices whose entry is dead."""

_NO_PASSWORDS: Passwords = (None, (), MappingProxyType({}), ())
_NOTHING = Folded(False, 0, 0, 0, 0, None, *_NO_PASSWORDS)


def _removals(acts: list[Act]) -> tuple[int, int, int]:
    """Return the newest removal, the newest forget, and the removal before the newest."""
    gone = forgot = 0
    for act in acts:
        if act.gone > gone:
            gone = act.gone
        if act.forgot > forgot:
            forgot = act.forgot
    return gone, forgot, max([act.gone if act.gone < gone else act.base for act in acts], default=0)


def _passwords(rows: Sequence[Row], life: int, forgot: int) -> Passwords:
    passwords = [
        Written(row.password.stamp, row.device, row.password)
        for row in rows
        if row.password and is_valid(row.password, life, forgot)
    ]
    passwords.sort(key=_order, reverse=True)
    covered = _union(passwords)
    unanswered = [each for each in passwords if covered.get(each.device, 0) < each.stamp]
    winner = passwords[0] if passwords else None
    kept = {each.device for each in unanswered} | ({winner.device} if winner else set())
    seen = {**covered, **{each.device: max(covered.get(each.device, 0), each.stamp) for each in passwords}}
    dead = tuple(row.device for row in rows if row.password and row.device not in kept)
    return winner, tuple(_rivals(unanswered, winner)), seen, dead


def _order(written: Written) -> tuple[int, str]:
    return written.stamp, written.device


def _union(passwords: list[Written]) -> dict[str, int]:
    """Return what the authors of these values knew, per device: the newest stamp."""
    seen: dict[str, int] = {}
    for each in passwords:
        for device, stamp in (each.field.seen or {}).items():
            if stamp > seen.get(device, 0):
                seen[device] = stamp
    return seen


def _rivals(unanswered: list[Written], winner: Written | None) -> Iterable[Written]:
    """Yield concurrent values that lost: each value once, never a cleared one, never the winner's own value."""
    told = {winner.field.value if winner else None, None}
    for each in unanswered:
        if each is not winner and each.field.value not in told:
            told.add(each.field.value)
            yield each


def _last_accessed(rows: Sequence[Row], acts: list[Act], life: int) -> int:
    """Return the last access in Unix milliseconds: the maximum over devices, from the newest placed one on."""
    touches = [row.touch for row in rows if row.touch is not None and row.touch.stamp > life]
    placed = max([touch for touch in touches if touch.placed], default=None)
    start, latest = (placed.stamp, placed.milliseconds) if placed else (life, 0)
    for touch in touches:
        if touch.stamp > start and touch.milliseconds > latest:
            latest = touch.milliseconds
    counted = placed is not None or bool(touches)
    for act in acts:
        if act.kind == REGISTERED and act.stamp > start:
            counted = True
            latest = max(latest, act.stamp >> COUNTER_BITS)
    if counted:
        return latest
    return max([act.stamp >> COUNTER_BITS for act in acts if act.kind != REMOVED], default=0)
