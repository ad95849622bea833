"""`noggd`: from the command line to a running daemon, and from what went wrong to an exit status.

Exit status: 0 stopped, 1 failed, 2 usage or config, 7 storage broken or unreadable. Only what is needed to say
so is imported before the daemon really starts.
"""

from __future__ import annotations

import argparse
import errno
import gc
import logging
import os
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nogg import paths
from noggd.platform import config, logs, systemd
from noggd.platform.traces import told

if TYPE_CHECKING:
    from noggd.platform.config import Settings

FAILED = 1
USAGE = 2
STORAGE = 7

UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)
"""What the system says of a state folder that is read-only or on a broken disk."""

log = logging.getLogger("noggd")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `noggd`; returns its exit status."""
    gc.disable()  # until it is ready: see noggd.app.spare_the_collector
    try:
        return _main(argv)
    finally:
        gc.enable()


def _main(argv: Sequence[str] | None) -> int:
    given = _parser().parse_args(argv)
    os.umask(0o077)  # second line of defence: what is made says its mode itself
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # memory holds keys and passwords
    places = paths.resolve(socket=given.socket, state_dir=given.state_dir, config=given.config)
    if os.environ.get("STATE_DIRECTORY") == str(places.state):
        places = places._replace(state=places.state.resolve())  # with DynamicUser= systemd makes it a symlink
    flags = {
        "listen": given.listen,
        "discovery": False if given.no_discovery else None,
        "log_level": given.log_level,
        "log_format": given.log_format,
    }
    named = given.config is not None or bool(os.environ.get("NOGG_CONFIG"))

    def read() -> Settings:
        return config.load(places.config, required=named, environ=os.environ, flags=flags)

    try:
        settings = read()
    except config.ConfigError as error:
        sys.stderr.write(f"noggd: {error}\n")
        _turn_away(error)
        return USAGE
    logs.set_up(settings.log_level, settings.log_format)
    try:
        return _run(settings, places, read)
    finally:
        logs.end()


def _run(settings: Settings, places: paths.Paths, read: Callable[[], Settings]) -> int:
    import asyncio

    from nogg.errors import NoggError
    from noggd import app
    from noggd.platform.files import AlreadyRunning, UnsafePath
    from noggd.platform.unix_socket import SocketInUse
    from noggd.platform.waiting import new_event_loop

    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(app.run(settings, places, read))
        return 0
    except NoggError as error:
        log.critical("%s%s", error, f"; {error.hint}" if error.hint else "")
        _turn_away(error)
        return _status(error, places.state)
    except (AlreadyRunning, UnsafePath, SocketInUse, OSError) as error:
        log.critical("%s", error)
        _turn_away(error)
        return _status(error, places.state)
    except Exception as error:
        log.critical("stopped by a fault", exc_info=True)
        _turn_away(error)
    return FAILED


def _status(error: Exception, state: Path) -> int:
    """Tell a store that wants a person from what may be over at the next start."""
    from nogg.errors import StorageFailed
    from noggd.storage.schema import StoreBroken

    lasting = isinstance(error, StorageFailed) and error.data.get("retryable") is False
    if isinstance(error, StoreBroken) or lasting:
        return STORAGE
    if isinstance(error, OSError) and error.errno in UNUSABLE and state.exists():
        where = Path(os.fsdecode(error.filename or ""))
        return STORAGE if where.is_relative_to(state) else FAILED
    return FAILED


def _turn_away(error: Exception) -> None:
    """Tell apps that wait at a socket of systemd's why there is nobody, as an answer that belongs to no request."""
    from nogg.errors import InternalError
    from nogg.wire import encode

    answer = InternalError(f"the daemon does not start: {told(error)}", hint="nogg doctor says what to do")
    systemd.turn_away(encode({"jsonrpc": "2.0", "id": None, "error": answer.to_wire()}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="noggd",
        description="Keep a person's session of microcosms, and sync it between their devices.",
        epilog="Exit status: 0 stopped, 1 failed, 2 usage or config, 7 storage broken or unreadable.",
    )
    parser.add_argument("--socket", metavar="PATH", help="where apps reach the daemon")
    parser.add_argument("--state-dir", metavar="DIR", help="where everything that must survive is kept")
    parser.add_argument("--config", metavar="FILE", help="settings, as TOML")
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        action="append",
        help="where other devices reach this one; may be given several times; port 0: any free one, kept "
        f"(default {' and '.join(config.DEFAULT_LISTEN)})",
    )
    parser.add_argument(
        "--no-discovery",
        action="store_true",
        help="neither announce nor look for devices on the local network",
    )
    parser.add_argument("--log-level", choices=config.LOG_LEVELS, help="default info")
    parser.add_argument("--log-format", choices=config.LOG_FORMATS, help="default text, or what stderr is")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that reads files."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"noggd {version('noggd')}\n")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
