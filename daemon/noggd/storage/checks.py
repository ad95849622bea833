"""Checks of a state folder whose daemon does not run: lock, key, trust, store. They read and change nothing."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from noggd.platform.checks import Check, check
from noggd.storage.journal import STORE
from noggd.storage.judge import judge
from noggd.storage.keys import FILE as KEY_FILE
from noggd.storage.keys import load_key
from noggd.storage.schema import StoreBroken
from noggd.storage.trust_file import FILE as TRUST_FILE
from noggd.storage.unfinished import FILE as UNFINISHED
from noggd.storage.unfinished import check_finished
from noggd.storage.wal import wal_path

STORAGE = ("store", "key", "trust")
"""The names of the checks of what must never be lost."""


def without_daemon(state: Path) -> list[Check]:
    """Check what is on disk."""
    return [lock(state / "lock"), key(state / KEY_FILE), trust(state / TRUST_FILE), store(state / STORE)]


def lock(path: Path) -> Check:
    """Check whether somebody holds the state folder."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return check("lock", True, "nobody holds the state folder", "")
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
        fix = f"it may still be starting, or serve another socket; stop it (kill {holder}) to start another"
        return check("lock", False, f"process {holder} holds the state folder, but does not answer here", fix)
    finally:
        os.close(handle)
    return check("lock", True, "nobody holds the state folder", "")


def key(path: Path) -> Check:
    """Check the device's key."""
    if not os.path.lexists(path):
        return check("key", True, "there is no key yet; the first start makes it", "")
    try:
        device = load_key(path).device
    except StoreBroken as error:
        return check("key", False, str(error), error.hint or "restore it from a backup")
    return check("key", True, f"this is device {device}", "")


def trust(path: Path) -> Check:
    """Check that what is known of the group can be read."""
    if not os.path.lexists(path):
        return check("trust", True, "there is no group yet; the first start founds it", "")
    try:
        content = json.loads(path.read_bytes())
        count = 1 + len(content["statements"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "restore trust.json and device.pem from one backup of this device, or move both away and pair anew"
        return check("trust", False, f"{path} cannot be read: {type(error).__name__}", fix)
    return check("trust", True, f"{path} holds {count} statements", "")


def store(path: Path) -> Check:
    """Read the store through."""
    files = (path, wal_path(path), path.with_name(UNFINISHED))
    if not any(map(os.path.lexists, files)):
        return check("store", True, "there is no store yet; the first start makes it", "")
    try:
        check_finished(path.parent)
        judge(path)
    except StoreBroken as error:
        return check("store", False, str(error), error.hint or "restore it from a backup")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        fix = f"let this user write to {path.parent}, or mount its disk writable; nothing is lost"
        return check("store", False, f"{path} is whole, but cannot be written", fix)
    return check("store", True, f"{path} is whole", "")
