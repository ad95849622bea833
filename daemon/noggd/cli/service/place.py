"""How this copy of noggd was installed, and whether a service manager could run it from there.

The interpreter is taken as it was started, never resolved: a venv's `python` is a link, and what it points to does
not have our packages. Nothing here asks a service manager.
"""

from __future__ import annotations

import itertools
import os
import site
import sys
from dataclasses import dataclass
from pathlib import Path

import nogg
import noggd

HIDDEN_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""What ProtectHome= hides from a service."""
HIDDEN_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - named, not used
"""What PrivateTmp= hides from a service."""


@dataclass(frozen=True, slots=True)
class Place:
    """One installation: how it came here, its interpreter, and every folder that it needs to run."""

    kind: str
    python: str
    options: tuple[str, ...]
    needs: tuple[Path, ...]

    @property
    def command(self) -> tuple[str, ...]:
        """The command line that runs the daemon."""
        return (self.python, *self.options, "-m", "noggd")

    def within(self, folders: tuple[Path, ...]) -> list[Path]:
        """Return what of it lies in one of these folders, the outermost only."""
        inside = [path for path in self.needs if any(path.is_relative_to(folder) for folder in folders)]
        return [
            path
            for path in inside
            if not any(path != other and path.is_relative_to(other) for other in inside)
        ]


def this_place() -> Place:
    """Return the installation that runs now."""
    packages = {Path(package.__file__).parent for package in (noggd, nogg) if package.__file__}
    by_user = any(path.is_relative_to(site.getusersitepackages()) for path in packages)
    folders = {Path(sys.prefix), Path(sys.base_prefix), *packages, *_steps(Path(sys.executable))}
    return Place(
        kind=_kind(Path(sys.prefix), by_user=by_user),
        python=sys.executable,
        # -I leaves out what the user installed with `pip install --user`
        options=("-E", "-P") if by_user else ("-I",),
        needs=tuple(sorted(path for path in folders if path != Path("/usr"))),
    )


def _kind(prefix: Path, *, by_user: bool) -> str:
    if by_user:
        return "pip install --user"
    parts = prefix.parts
    for first, second, name in (("pipx", "venvs", "pipx"), ("uv", "tools", "uv tool")):
        if any(pair == (first, second) for pair in itertools.pairwise(parts)):
            return name
    if sys.prefix != sys.base_prefix:
        return "venv"
    return "distribution" if prefix == Path("/usr") else "python"


def _steps(program: Path) -> set[Path]:
    """Return the installations that a program's links lead through: `bin/python` needs the folder above `bin`."""
    found = set()
    for _ in range(40):  # as many links as the kernel follows
        found.add(program.parent.parent if program.parent.name == "bin" else program.parent)
        if not program.is_symlink():
            break
        program = Path(os.path.normpath(program.parent / program.readlink()))
    return found
