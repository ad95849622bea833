"""The note that a state folder is being filled from a backup: until it is gone, what is in there is no state.

A restore writes key, trust and store one after the other. What a cut in between leaves could be opened, and would
pass for everything that the backup held. Not here: the filling itself (`noggd.cli.reinstall`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from noggd.platform.files import sync_directory, write_private
from noggd.storage.schema import StoreBroken

FILE: Final = "reinstalling"


def begin(folder: Path) -> None:
    """Put the note on disk, before anything else is written. Raises OSError."""
    write_private(folder / FILE, b"this folder is being filled from a backup, and is not whole yet\n")


def end(folder: Path) -> None:
    """Take the note away, after everything else is on disk. Raises OSError."""
    sync_directory(folder)  # else the note could be gone from the disk before a name that it stands for
    (folder / FILE).unlink(missing_ok=True)
    sync_directory(folder)


def is_unfinished(folder: Path) -> bool:
    """Tell whether a restore came to no end here, or is still under way."""
    return os.path.lexists(folder / FILE)


def check_finished(folder: Path) -> None:
    """Raise StoreBroken where a restore came to no end."""
    if is_unfinished(folder):
        raise StoreBroken(
            f"{folder} was being filled from a backup, and that was interrupted",
            hint="run `nogg import --reinstall FILE` again: it begins anew",
        )
