"""A person's home with a daemon of its own, used through the `nogg` command as a person would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 20.0  # seconds; reached only by a test that fails
NETWORK = ("--listen", "127.0.0.1:0", "--no-discovery")
# as the installed script, but deaf to whether Ctrl-C was switched off where the tests run
NOGG = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from noggd.cli.main import main; raise SystemExit(main())"
)


def until(holds: Callable[[], Any]) -> Any:
    """Wait for a condition and return what made it true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)
    return found


class Home:
    """A folder that is everything a person's device has: store, settings, socket."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.socket = folder / "socket"
        (folder / "config.toml").touch()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "NOGG_SOCKET": str(self.socket),
            "NOGG_STATE_DIR": str(folder / "state"),
            "NOGG_CONFIG": str(folder / "config.toml"),
            "TZ": "UTC",
        }
        self._watching: list[subprocess.Popen[str]] = []

    def nogg(self, *arguments: str, stdin: str = "", status: int = 0) -> str:
        """Run a command and return its stdout; it must end with this exit status."""
        done = subprocess.run(
            [sys.executable, "-c", NOGG, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done
        assert "Traceback" not in done.stderr, done
        return done.stdout

    def json(self, *arguments: str, stdin: str = "", status: int = 0) -> dict[str, Any]:
        """Run a command with --json and return its only answer."""
        answer: dict[str, Any] = json.loads(self.nogg(*arguments, "--json", stdin=stdin, status=status))
        assert answer.pop("version") == 1
        return answer

    def ids(self, *options: str) -> list[str]:
        return [reference["microcosmID"] for reference in self.json("list", *options)["references"]]

    def start(self) -> None:
        self.nogg("daemon", "start", *NETWORK)

    def pid(self) -> int:
        number: int = self.json("status")["daemon"]["pid"]
        return number

    def kill(self) -> None:
        """End the daemon without a moment to tidy up."""
        os.kill(self.pid(), signal.SIGKILL)
        until(lambda: self._gone())

    def _gone(self) -> bool:
        done = subprocess.run(
            [sys.executable, "-c", NOGG, "status"],
            env=self.environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 3

    def watch(self, *options: str) -> "Watch":
        """Follow the session in a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-c", NOGG, "watch", "--json", *options],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watching.append(process)
        return Watch(process)

    def close(self) -> None:
        """End everything that was started here."""
        for process in self._watching:
            process.kill()
            process.communicate()
        self.nogg("daemon", "stop")


class Watch:
    """A running `nogg watch --json`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    def next(self) -> dict[str, Any]:
        """Return the next line of a session; lines about devices and the person are passed over."""
        assert self.process.stdout is not None
        while True:
            line: dict[str, Any] = json.loads(self.process.stdout.readline())
            if line["event"] in ("state", "since", "session.changed"):
                return line

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)
