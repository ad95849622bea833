"""The daemon's settings: what each is called, where its value comes from, and what is wrong with it.

A value comes from the command line, else the environment, else the config file, else the default. Where the
socket, the state and the config file itself are is no setting: `nogg.paths` resolves that, the same for the
daemon and for clients, which never read this file. Nothing here opens a socket or sets up logging.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_LISTEN = ("[::]:7734", "0.0.0.0:7734")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json", "journal")


FLAGS = {"discovery": "--no-discovery"}
"""Flags that are not called like their setting."""


class ConfigError(Exception):
    """A setting that cannot be used; the message names the file with its line, or the flag or variable."""


def parse_address(text: str) -> tuple[str, int]:
    """Split `HOST:PORT`, with an IPv6 host in brackets. Port 0 means any free one. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("write an IPv6 host in brackets, as in [::1]:7734")
    if not colon or not host:
        raise ValueError("wants HOST:PORT, as in 127.0.0.1:7734")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("wants a port between 0 and 65535")
    return host, int(port)


def _listen(value: object) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not given or not all(isinstance(one, str) for one in given):
        raise ValueError('wants "HOST:PORT" or a list of them')
    for one in given:
        parse_address(one)
    return tuple(given)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("wants true or false")


def _one_of(*allowed: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value.lower() not in allowed:
            raise ValueError(f"wants one of {', '.join(allowed)}")
        return value.lower()

    return check


def _name(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= 64 or not value.isprintable():
        raise ValueError("wants 1 to 64 printable characters")
    return value.strip()


@dataclass(frozen=True)
class Row:
    """One setting; `parse` checks what was written and returns the value, or raises ValueError."""

    parse: Callable[[object], Any]
    help: str
    example: str
    live: bool = False  # whether SIGHUP is enough for a new value


ROWS: dict[str, Row] = {
    "listen": Row(
        _listen,
        "Where the other devices reach this one. Port 0: any free one, chosen once and kept.",
        '["[::]:7734", "0.0.0.0:7734"]',
    ),
    "discovery": Row(_flag, "Find the other devices on the local network by DNS-SD.", "true"),
    "device_name": Row(
        _name, "What this device is first called; `nogg device rename` changes it later.", '"kitchen laptop"'
    ),
    "log_level": Row(
        _one_of(*LOG_LEVELS), "How much is logged: debug, info, warning or error.", '"info"', live=True
    ),
    "log_format": Row(
        _one_of(*LOG_FORMATS), "How a line of the log looks: text, json or journal.", '"text"', live=True
    ),
}


@dataclass(frozen=True)
class Settings:
    """What the daemon runs with. None means: not said, decide at the place of use."""

    listen: tuple[str, ...] = DEFAULT_LISTEN
    discovery: bool = True
    device_name: str | None = None
    log_level: str = "info"
    log_format: str | None = None
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """Where the values that are no defaults came from: file and line, variable, or flag."""

    def rows(self) -> list[dict[str, object]]:
        """Return each setting as `{setting, value, origin}`."""
        values = {key: getattr(self, key) for key in ROWS} | {"listen": list(self.listen)}
        return [
            {"setting": key, "value": value, "origin": self.origins.get(key, "default")}
            for key, value in values.items()
        ]


def load(file: Path, *, required: bool, environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Put the settings together: the command line over `$NOGG_…` over the config file over the defaults.

    A missing file is an error only if it is `required` (somebody named it). Flags that are None were not
    given. Raises ConfigError.
    """
    values, origins = _from_file(file, required=required)
    for key, row in ROWS.items():
        variable = f"NOGG_{key.upper()}"
        if environ.get(variable):
            given: object = environ[variable].split(",") if key == "listen" else environ[variable]
            origins[key] = f"${variable}"
            values[key] = _parsed(row, given, origins[key])
        if flags.get(key) is not None:
            origins[key] = FLAGS.get(key) or f"--{key.replace('_', '-')}"
            values[key] = _parsed(row, flags[key], origins[key])
    return Settings(**values, origins=origins)


def changed(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    """Name the settings that differ: those that take effect at once, and those that want a restart."""
    differing = [key for key in ROWS if getattr(old, key) != getattr(new, key)]
    return [key for key in differing if ROWS[key].live], [key for key in differing if not ROWS[key].live]


def example() -> str:
    """Return the commented example of a config file; `docs/config.example.toml` is this text."""
    head = "# noggd's settings; every line is optional. Flags and $NOGG_… variables go over this file.\n"
    return head + "".join(f"\n# {row.help}\n#{key} = {row.example}\n" for key, row in ROWS.items())


def _from_file(file: Path, *, required: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what the file sets, and on which line."""
    try:
        text = file.read_bytes().decode()
    except FileNotFoundError as error:
        if required:
            raise ConfigError(f"{file}: there is no such config file") from error
        return {}, {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        raise ConfigError(f"{file}:{line}: {_key_on(text, line)}is not TOML: {error}") from error
    values, origins = {}, {}
    for key, value in given.items():
        origins[key] = f"{file}:{_line_of(text, key)}"
        where = f"{origins[key]}: {key}"
        if key not in ROWS:
            raise ConfigError(f"{where} is no setting; there are {', '.join(ROWS)}")
        values[key] = _parsed(ROWS[key], value, where)
    return values, origins


def _parsed(row: Row, value: object, where: str) -> Any:
    try:
        return row.parse(value)
    except ValueError as error:
        raise ConfigError(f"{where} {error}") from error


def _line_of(text: str, key: str) -> int:
    """Find the line that sets a top-level key or opens the table of that name (tomllib does not tell)."""
    name = re.escape(key)
    opening = re.compile(rf"""\s*(\[\[?\s*)?["']?{name}["']?\s*[].=]""")
    numbered = enumerate(text.splitlines(), start=1)
    return next((number for number, line in numbered if opening.match(line)), 1)


def _key_on(text: str, line: int) -> str:
    lines = text.splitlines()
    key = re.match(r"\s*([A-Za-z0-9_.-]+)\s*=", lines[line - 1]) if line <= len(lines) else None
    return f"{key[1]} " if key else ""
