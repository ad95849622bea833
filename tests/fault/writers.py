"""Apps that change things until their daemon is gone, and what must be there of it afterwards."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from nogg.errors import ShuttingDown
from tests.daemons import Daemon
from tests.lines import Line, request

IN_FLIGHT = 4


def password(name: str, number: int) -> str:
    """A password that can be told from all others in the bytes of a disk."""
    return f"<{name} {number}>"


class Writer(threading.Thread):
    """Changes its own references through its own connection, some calls in flight, until the daemon is gone.

    Every write of a reference carries its number in both fields, so that a half change shows. With `forgets`,
    references are forgotten instead of removed.
    """

    def __init__(self, path: Path, name: str, first: int, *, forgets: bool = False) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.writer = name
        self.ending = "reference.forget" if forgets else "reference.remove"
        self.sent = first
        self.answered: dict[str, tuple[int, bool]] = {}
        """By name: the number of the last answered change, and whether it was a removal."""
        self.imported: set[str] = set()
        self.error: BaseException | None = None
        self.start()

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
        first, answered = self.sent, 0
        while True:
            while self.sent - first - answered < IN_FLIGHT:
                self.sent += 1
                line.send(self._request(self.sent))
            reply = line.read()
            if reply.get("error", {}).get("code") == ShuttingDown.code:
                return
            if "result" not in reply:
                raise RuntimeError(f"refused: {reply}")
            number = reply["id"]
            if number % 10 == 4:
                self.imported.add(f"{self.writer}.import{number}")
            else:
                self.answered[self.name_of(number)] = (number, number % 7 == 0)
            answered += 1

    def name_of(self, number: int) -> str:
        """The reference that a change is about."""
        return f"{self.writer}.{number % 5}"

    def _request(self, number: int) -> bytes:
        name = self.name_of(number)
        fields = {"view": f"v{number}", "password": password(name, number)}
        if number % 10 == 4:
            entry = {"microcosmID": f"{self.writer}.import{number}", **fields}
            document = {"format": "nogg.session", "version": 1, "microcosms": [entry]}
            return request(number, "session.import", document=document)
        if number % 7 == 0:
            return request(number, self.ending, microcosmID=name)
        if number % 3 == 0:
            twin = {"op": "register", "microcosmID": f"{name}.twin", "view": f"v{number}"}
            return request(
                number, "session.transact", ops=[{"op": "register", "microcosmID": name, **fields}, twin]
            )
        return request(number, "reference.register", microcosmID=name, **fields)

    def end(self) -> None:
        """Wait until it has noticed that the daemon is gone."""
        self.join(20)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


def number_of(reference: dict[str, Any]) -> int:
    """The change that a reference comes from."""
    return int(reference["view"][1:])


def check(daemon: Daemon, writers: list[Writer]) -> None:
    """What was answered is there, what was on its way is there or not, and nothing is half there."""
    references = {one["microcosmID"]: one for one in daemon.call("session.get")["microcosms"]}
    for writer in writers:
        for name, (newest, removed) in writer.answered.items():
            later = [
                n for n in range(newest + 1, writer.sent + 1) if writer.name_of(n) == name and n % 10 != 4
            ]
            possible: set[int | None] = {None if n % 7 == 0 else n for n in later}
            possible.add(None if removed else newest)
            found = references.get(name)
            number = None if found is None else number_of(found)
            assert number in possible, f"{name} is at {number}, answered was {newest}, removed: {removed}"
        assert writer.imported <= references.keys()
    for name, reference in references.items():
        if name.startswith("of.") or name.endswith(".twin"):
            continue
        number = number_of(reference)
        owner = name if "import" not in name else f"{name.split('.')[0]}.{number % 5}"
        assert reference["password"] == password(owner, number), "half of a change"
        if number % 3 == 0 and "import" not in name:
            assert number_of(references[f"{name}.twin"]) >= number, "half of a transaction"
