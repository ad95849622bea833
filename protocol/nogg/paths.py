"""Where things are: the socket, the state, the configuration and the logs (contract, section 1).

Here: pure resolution of names from flags and the environment, the same for the daemon and for every client.
Nothing here touches the disk: making folders, checking owners and binding sockets is the daemon's business.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_LINUX: bool = sys.platform.startswith("linux")

SOCKET_NAME = "noggd.sock"
#: where a system service listens; clients try it last
SYSTEM_RUN = Path("/run/noggd")
#: the longest socket path that the kernel takes, in bytes
SOCKET_PATH_MAX = 107 if _LINUX else 103

PathLike = str | os.PathLike[str]


class Paths(NamedTuple):
    """The four places that belong to one daemon; `nogg paths --json` prints them under these names."""

    socket: Path
    state: Path
    config: Path
    logs: Path


def resolve(
    *,
    socket: PathLike | None = None,
    state_dir: PathLike | None = None,
    config: PathLike | None = None,
    environ: Mapping[str, str] | None = None,
) -> Paths:
    """Return all places; the arguments are what flags said, `environ` defaults to the process's own."""
    state = state_folder(state_dir, environ)
    logs = _first(_environ(environ).get("LOGS_DIRECTORY"))
    return Paths(
        socket=socket_path(socket, state_dir=state, environ=environ),
        state=state,
        config=config_file(config, environ),
        logs=logs or state / "log",
    )


def socket_path(
    flag: PathLike | None = None,
    *,
    state_dir: PathLike | None = None,
    environ: Mapping[str, str] | None = None,
) -> Path:
    """Return where the daemon serves its local API: flag, `$NOGG_SOCKET`, `$RUNTIME_DIRECTORY`,
    `$XDG_RUNTIME_DIR`, else a `run` folder in the state folder.
    """  # noqa: D205 (the order is the summary)
    env = _environ(environ)
    chosen = flag or env.get("NOGG_SOCKET")
    if chosen:
        return Path(chosen)
    runtime = _first(env.get("RUNTIME_DIRECTORY"))
    if runtime is not None:
        return runtime / SOCKET_NAME
    session_runtime = _absolute(env.get("XDG_RUNTIME_DIR"))
    if session_runtime is not None:
        return session_runtime / "noggd" / SOCKET_NAME
    return state_folder(state_dir, environ) / "run" / SOCKET_NAME


def client_sockets(flag: PathLike | None = None, environ: Mapping[str, str] | None = None) -> list[Path]:
    """Return the places where a client looks for the daemon, in order; the first that answers is taken.

    A flag or `$NOGG_SOCKET` names the only one. Otherwise the user's own sockets come first (also where
    another login without `$XDG_RUNTIME_DIR` would have put them, else `ssh` and `cron` would not find the
    daemon), then a system service's.
    """
    env = _environ(environ)
    first = socket_path(flag, environ=environ)
    if flag or env.get("NOGG_SOCKET"):
        return [first]
    places = [first]
    if not env.get("XDG_RUNTIME_DIR") and _LINUX:
        places.append(Path(f"/run/user/{os.getuid()}/noggd") / SOCKET_NAME)
    places.append(state_folder(None, environ) / "run" / SOCKET_NAME)
    places.append(SYSTEM_RUN / f"{_user_name()}.sock")
    places.append(SYSTEM_RUN / SOCKET_NAME)
    return list(dict.fromkeys(places))


def state_folder(flag: PathLike | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the state folder: flag, `$NOGG_STATE_DIR`, `$STATE_DIRECTORY`, else the platform's."""
    env = _environ(environ)
    chosen = flag or env.get("NOGG_STATE_DIR")
    if chosen:
        return Path(chosen)
    given = _first(env.get("STATE_DIRECTORY"))
    if given is not None:
        return given
    return _platform_folder("XDG_STATE_HOME", ".local/state", "user_state_dir", env)


def config_file(flag: PathLike | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the config file: flag, `$NOGG_CONFIG`, `$CONFIGURATION_DIRECTORY`, else the platform's."""
    env = _environ(environ)
    chosen = flag or env.get("NOGG_CONFIG")
    if chosen:
        return Path(chosen)
    folder = _first(env.get("CONFIGURATION_DIRECTORY"))
    if folder is None:
        folder = _platform_folder("XDG_CONFIG_HOME", ".config", "user_config_dir", env)
    return folder / "config.toml"


def socket_path_fault(path: PathLike) -> str | None:
    """Say what is wrong with a socket path before the kernel does it less helpfully; None if nothing is."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_MAX:
        return f"the socket path has {length} bytes, the system takes {SOCKET_PATH_MAX}: {os.fspath(path)}"
    return None


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


def _first(value: str | None) -> Path | None:
    """Return the first folder of systemd's colon-separated list."""
    return _absolute(value.split(":", 1)[0]) if value else None


def _absolute(value: str | None) -> Path | None:
    """Return the path, or None if it is empty or relative, which the XDG rules say to ignore."""
    path = Path(value) if value else None
    return path if path is not None and path.is_absolute() else None


def _platform_folder(variable: str, default: str, function: str, env: Mapping[str, str]) -> Path:
    if _LINUX:  # the same as platformdirs, without its import: the command line must start fast
        base = _absolute(env.get(variable))
        home = _absolute(env.get("HOME")) or Path.home()
        return (base or home / default) / "noggd"
    import platformdirs

    return Path(getattr(platformdirs, function)("noggd", appauthor=False))


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a uid without an account, as in containers
        return str(os.getuid())
