"""Daemons to be killed in the middle of something, and what must hold when they are back."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from nogg.errors import NoggError
from tests.daemons import Daemon, until
from tests.fault import lives

REPOSITORY = Path(__file__).parents[2]
AIM = 5.0
"""Seconds to wait for the phase in which a daemon is to be killed; then it is killed wherever it is."""


class Victim(Daemon):
    """A daemon that tells what it is doing (see `watched`)."""

    def __init__(self, folder: Path, *flags: str, pace: str = "hurried") -> None:
        super().__init__(folder, *flags)
        self.env["PYTHONPATH"] = os.pathsep.join(
            [str(REPOSITORY), *filter(None, [self.env.get("PYTHONPATH")])]
        )
        self.pace = pace
        self._begun: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._stirred = threading.Condition()
        self._pipe = -1

    def command(self) -> list[str]:
        python, _, _, *flags = super().command()
        return [python, "-m", "tests.fault.watched", str(self._pipe), self.pace, *flags]

    def launch(self, **popen: Any) -> Any:
        reading, self._pipe = os.pipe()
        self._begun.clear()
        self._open.clear()
        try:
            return super().launch(pass_fds=(self._pipe,), **popen)
        finally:
            os.close(self._pipe)
            self._reader = threading.Thread(target=self._read, args=(reading,), daemon=True)
            self._reader.start()

    def _read(self, pipe: int) -> None:
        with os.fdopen(pipe) as lines:
            for line in lines:
                with self._stirred:
                    phase = line[1:-1]
                    self._begun[phase] += line.startswith("+")
                    self._open[phase] += 1 if line.startswith("+") else -1
                    self._stirred.notify_all()

    def aim(self, phase: str, skip: int = 0) -> None:
        """Wait until a phase has begun once more, `skip` times not counted."""
        with self._stirred:
            first = self._begun[phase]
            self._stirred.wait_for(lambda: self._begun[phase] > first + skip, AIM)

    def murder(self) -> list[str]:
        """Kill it, and return the phases in which it was."""
        self.kill()
        self._reader.join(20)
        return sorted(phase for phase, count in self._open.items() if count > 0)

    # Looking at it

    def visible(self) -> dict[str, Any]:
        """Return its sessions as they are told: {name: [revision, active, references by id]}."""
        found = {}
        for row in self.call("session.list")["sessions"]:
            state = self.call("session.get", session=row["session"])
            references = {each["microcosmID"]: each for each in state["microcosms"]}
            if state["revision"]:
                found[row["session"]] = [state["revision"], state["active"], references]
        return found

    def on_disk(self) -> dict[str, Any] | None:
        """Return the same from a copy of its files, as the next start would; None while they are changing."""
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place) / "state"
            with contextlib.suppress(NoggError, OSError):
                shutil.copytree(self.state, copy)
                sessions: dict[str, Any] = lives.survey(copy)["sessions"]
                return sessions
        return None

    def check_memory(self) -> None:
        """Wait until what it tells is what its files hold; it must come to rest for that."""
        try:
            until(lambda: self.visible() == self.on_disk(), "memory that equals the disk")
        except AssertionError:
            print(f"--- told {self.visible()}\n--- disk {self.on_disk()}")
            raise


class Doing(threading.Thread):
    """A call that may end with the daemon: `answer` is what came back, `error` what it was refused with."""

    def __init__(self, work: Any) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.answer: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._work()
        except BaseException as error:
            self.error = error

    def end(self) -> Any:
        self.join(60)
        assert not self.is_alive(), "it hangs although its daemon is gone"
        return self.answer


def pause(seconds: float) -> None:
    """Let a random time pass: moments to kill in are all that is timed here."""
    time.sleep(seconds)
