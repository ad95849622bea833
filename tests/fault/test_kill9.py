"""kill -9 under load, again and again: nothing answered is missing, nothing is half there, it starts by itself."""

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import Daemon, Daemons
from tests.lines import Line, request

WRITERS = 8
KILLS = 20


class Writer(threading.Thread):
    """Changes its own references through its own connection, some calls in flight, until the daemon is gone.

    Every write of a reference carries its number in both fields, so that a half change shows.
    """

    def __init__(self, path: Path, name: str, first: int) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.writer = name
        self.sent = first
        self.answered: dict[
            str, tuple[int, bool]
        ] = {}  # name: number of the last answered change, a removal?
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            line = Line(self.path)
        except OSError:
            return  # the kill was quicker
        try:
            self._work(line)
        except (OSError, AssertionError):
            pass  # the kill
        except BaseException as error:
            self.error = error
        finally:
            line.close()

    def _work(self, line: Line) -> None:
        ops: dict[int, tuple[str, bool]] = {}
        answered = 0
        first = self.sent
        while True:
            while self.sent - first - answered < 4:
                number = self.sent = self.sent + 1
                name = f"{self.writer}.{number % 5}"
                removes = number % 7 == 0
                ops[number] = (name, removes)
                if removes:
                    line.send(request(number, "reference.remove", microcosmID=name))
                elif number % 3 == 0:
                    both = {"microcosmID": name, "view": f"v{number}", "password": f"p{number}"}
                    calls = [
                        {"op": "register", **both},
                        {"op": "register", "microcosmID": f"{name}.twin", "view": f"v{number}"},
                    ]
                    line.send(request(number, "session.transact", ops=calls))
                else:
                    line.send(
                        request(
                            number,
                            "reference.register",
                            microcosmID=name,
                            view=f"v{number}",
                            password=f"p{number}",
                        )
                    )
            reply = line.read()
            assert "result" in reply, reply
            name, removes = ops[reply["id"]]
            self.answered[name] = (reply["id"], removes)
            answered += 1


def _number(reference: dict[str, Any]) -> int:
    return int(reference["view"][1:])


def _check(daemon: Daemon, writers: list[Writer]) -> None:
    references = {one["microcosmID"]: one for one in daemon.call("session.get")["microcosms"]}
    for writer in writers:
        assert writer.error is None
        for name, (newest, removed) in writer.answered.items():
            # what was sent behind it may have got through without an answer
            later = [n for n in range(newest + 1, writer.sent + 1) if f"{writer.writer}.{n % 5}" == name]
            possible: set[int | None] = {n for n in later if n % 7}
            possible.add(None if removed else newest)
            if any(n % 7 == 0 for n in later):
                possible.add(None)
            found = references.get(name)
            number = None if found is None else _number(found)
            assert number in possible, f"{name} is at {number}, answered was {newest}, removed: {removed}"
    for name, reference in references.items():
        if name.endswith(".twin"):
            continue
        assert reference["password"] == f"p{_number(reference)}", "half of a change"
        if _number(reference) % 3 == 0:
            twin = references[f"{name}.twin"]
            assert _number(twin) >= _number(reference), "half of a transaction"


@pytest.mark.fault
@pytest.mark.timeout(400)
def test_what_was_answered_survives(daemons: Daemons) -> None:
    daemon = daemons.start()
    chance = random.Random(7)
    sent = dict.fromkeys((f"w{n}" for n in range(WRITERS)), 0)
    total = 0
    revision = 0
    for _ in range(KILLS):
        writers = [Writer(daemon.socket, name, first) for name, first in sent.items()]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(0.02, 0.25))
        daemon.kill()
        for writer in writers:
            writer.join(20)
            assert not writer.is_alive()
        daemon.start()
        _check(daemon, writers)
        now = daemon.call("session.get")["revision"]
        assert now >= revision
        revision = now
        sent = {writer.writer: writer.sent for writer in writers}
        total += sum(len(writer.answered) for writer in writers)
    assert total > KILLS, "there was a load"
    assert daemon.stop() == 0, daemon.words()
    assert "fault" not in daemon.words()
