"""The units that come with noggd, and how an installation's paths are written into them.

systemd reads `%` as a specifier, backslashes as escapes, blanks and quotes as the ends of words; paths may hold all
of these. Nothing here writes files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import noggd
from noggd.cli.exits import Failure

MARK = (
    "# Made by `nogg service install`, removed by `nogg service uninstall`. Changes belong into a drop-in.\n"
)
"""First line of every file that an installation writes: what lacks it is somebody else's."""

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~-]")
_UNSAFE = re.compile(r"""["'\\$]""")


def shipped(name: str) -> str:
    """Return the text of a unit or drop-in by its name under `systemd/`, e.g. `user/noggd.service`."""
    assert noggd.__file__ is not None
    package = Path(noggd.__file__).parent
    for folder in (package / "units", package.parents[1] / "systemd"):  # in a wheel, and in a checkout
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise Failure(f"this copy of noggd came without its unit {name}", hint="install it again")


def with_command(unit: str, command: Iterable[str]) -> str:
    """Return the text of a service in which ExecStart= runs this command."""
    program, *arguments = command
    if _UNSAFE.search(program):  # systemd runs no such program, or another, but takes it as an argument
        program, arguments = "/usr/bin/env", [program, *arguments]
    line = " ".join([word(program), *(word(each.replace("$", "$$")) for each in arguments)])
    changed, count = re.subn(r"^ExecStart=.*$", lambda _: f"ExecStart={line}", unit, flags=re.MULTILINE)
    assert count == 1, "a service has one command"
    return changed


def word(text: str) -> str:
    """Write a word of a command line or of Environment=: what could mean something stands in hexadecimal."""
    raw = _checked(text).encode("utf-8", "surrogateescape")
    written = "".join(chr(byte) if _PLAIN.fullmatch(chr(byte)) else f"\\x{byte:02x}" for byte in raw)
    return written.replace("%", "%%")


def path_word(text: str) -> str:
    """Write a path of BindPaths= and its kin, where only newer versions of systemd know hexadecimal."""
    if ":" in text:
        raise Failure(f"a path with a colon cannot stand in a unit: {text!r}")
    if _PLAIN.sub("", _checked(text)):
        text = '"' + re.sub(r"""(["'\\])""", r"\\\1", text) + '"'
    return text.replace("%", "%%")


def _checked(text: str) -> str:
    if "\n" in text or "\0" in text:
        raise Failure(f"a path with a line break cannot stand in a unit: {text!r}")
    return text
