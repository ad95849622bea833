"""kill -9, at random moments and in the middle of everything that takes more than one step.

    python -m tests.fault.campaign [--kills 240] [--seed 1] [--kind KIND]…     the long form: minutes

After each kill the daemon starts by itself, everything that was answered is there, of what was under way all or
nothing, what it tells is what its disk holds, and devices end equal. `test_campaign` runs the short form.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from nogg.errors import PairingFailed
from tests.daemons import Daemon, Daemons, running, until
from tests.fault import lives
from tests.fault.hurried import hurried
from tests.fault.victims import Doing, Victim, pause
from tests.fault.writers import Writer, check

PASSWORD = re.compile(rb"<\w+\.\d (\d+)>")


class Kind:
    """One kind of kills. `killed` counts the phases in which the victims were found."""

    pace: ClassVar[str] = "hurried"

    def __init__(self, daemons: Daemons, dice: random.Random) -> None:
        self.daemons = daemons
        self.dice = dice
        self.kills = 0
        self.killed: Counter[str] = Counter()
        self._rounds = 0
        self._sent: dict[str, int] = {}

    def victim(self, name: str) -> Victim:
        """Return a daemon that is not started yet."""
        victim = Victim(self.daemons.folder / name, pace=self.pace)
        self.daemons.all.append(victim)
        return victim

    def murder(self, victim: Victim) -> None:
        """Kill it, and count."""
        self.kills += 1
        self.killed.update(set(victim.murder()))

    def aim(self, victim: Victim, phase: str, longest: float, most: int = 3) -> None:
        """Wait for a random moment in or shortly after a phase."""
        victim.aim(phase, self.dice.randrange(most))
        pause(self.dice.uniform(0, longest))

    def writers(self, victim: Victim, count: int = 6, *, forgets: bool = False) -> list[Writer]:
        """Let apps change things; they go on where those of the former round ended."""
        names = [f"{victim.folder.name}{number}" for number in range(count)]
        return [Writer(victim.socket, name, self._sent.get(name, 0), forgets=forgets) for name in names]

    def end(self, writers: list[Writer]) -> None:
        """Wait until they noticed."""
        for writer in writers:
            writer.end()
            self._sent[writer.writer] = writer.sent

    def round(self) -> None:
        """Kill once or more, and look."""
        raise NotImplementedError


class Writing(Kind):
    """A daemon with its usual pace under changes of every kind: single, in batches, in transactions, imported."""

    pace = "plain"
    phase = ""
    forgets = False

    def __init__(self, daemons: Daemons, dice: random.Random) -> None:
        super().__init__(daemons, dice)
        self.daemon = self.victim("w")
        self.daemon.start()
        self.revision = 0

    def round(self) -> None:
        writers = self.writers(self.daemon, forgets=self.forgets)
        if self.phase:
            self.aim(self.daemon, self.phase, 0.008)
        else:
            pause(self.dice.uniform(0.02, 0.25))
        self.murder(self.daemon)
        self.end(writers)
        self.daemon.start()
        check(self.daemon, writers)
        revision = self.daemon.call("session.get")["revision"]
        assert revision >= self.revision, "revisions never fall"
        self.revision = revision
        self.daemon.check_memory()


class Compacting(Writing):
    """In the middle of compactions of the journal."""

    pace, phase = "hurried", "journal"


class Replacing(Writing):
    """In the middle of compactions of the own map in the document."""

    pace, phase = "hurried", "map"


class Forgetting(Writing):
    """While passwords that were replaced or forgotten leave the disk: afterwards none of them is there."""

    pace, phase, forgets = "hurried", "journal", True

    def round(self) -> None:
        super().round()
        until(self._only_live_ones, "a disk without replaced passwords")

    def _only_live_ones(self) -> bool:
        live = {each["password"] for each in self.daemon.call("session.get")["microcosms"]}
        data = b"".join(path.read_bytes() for path in self.daemon.state.iterdir() if path.is_file())
        return {found.group().decode() for found in PASSWORD.finditer(data)} <= live


class Migrating(Kind):
    """At the first start on a store of an older version."""

    def __init__(self, daemons: Daemons, dice: random.Random) -> None:
        super().__init__(daemons, dice)
        self.older, copy = daemons.folder / "older", daemons.folder / "copy"
        with hurried(pages=1000):
            lives.make_older(self.older, dice)
            shutil.copytree(self.older, copy)
            self.expected = json.loads(json.dumps(lives.survey(copy)["sessions"]))

    def round(self) -> None:
        self._rounds += 1
        daemon = self.victim(f"m{self._rounds}")
        shutil.copytree(self.older, daemon.state)
        for _ in range(2):  # the second start finds what the first one left
            daemon.launch()
            self.aim(daemon, "migration", 0.02, most=1)
            self.murder(daemon)
        daemon.start()
        assert daemon.visible() == self.expected
        assert {path.name for path in daemon.state.iterdir()} <= {
            "device.pem", "trust.json", "session.db", "session.db-wal", "lock",
        }  # fmt: skip
        daemon.check_memory()
        assert daemon.stop() == 0
        shutil.rmtree(daemon.folder)


class Pair(Kind):
    """Two devices."""

    def __init__(self, daemons: Daemons, dice: random.Random) -> None:
        super().__init__(daemons, dice)
        self.a, self.b = self.fresh()

    def fresh(self) -> tuple[Victim, Victim]:
        """Return two devices that do not know each other."""
        self._rounds += 1
        a, b = self.victim(f"a{self._rounds}"), self.victim(f"b{self._rounds}")
        for daemon in (a, b):
            daemon.start()
            daemon.call("reference.register", microcosmID=f"of.{daemon.folder.name}", password="own")
        return a, b

    def join(self, a: Victim, b: Victim) -> Any:
        """Pair them."""
        code = a.call("pair.invite")["code"]
        return b.call("pair.join", code=code, address=a.call("sync.status")["listen"])

    def join_again(self, a: Victim, b: Victim) -> None:
        """Pair them, where one may have left before it knew that it was shut out, and so with its old key."""
        with contextlib.suppress(PairingFailed):
            self.join(a, b)
            return
        b.call("device.leave")
        self.join(a, b)

    def in_step(self) -> None:
        """Wait until both tell the same."""
        until(lambda: _shared(self.a) == _shared(self.b), "two devices in step")
        for daemon in (self.a, self.b):
            daemon.check_memory()


def _shared(daemon: Daemon) -> Any:
    state = daemon.call("session.get")["microcosms"]
    conflicts = daemon.call("reference.conflicts")["conflicts"]
    return [
        {key: each[key] for key in ("microcosmID", "view", "password", "lastAccessed")} for each in state
    ], conflicts


def _members(daemon: Daemon) -> set[str]:
    return {each["id"] for each in daemon.call("device.list")["devices"] if each["state"] != "evicted"}


def _id(daemon: Daemon) -> str:
    return str(daemon.call("hello")["device"]["id"])


class Linked(Pair):
    """Two linked devices that both change things."""

    def __init__(self, daemons: Daemons, dice: random.Random) -> None:
        super().__init__(daemons, dice)
        self.join(self.a, self.b)

    def round(self) -> None:
        writers = {each: self.writers(each, 3) for each in (self.a, self.b)}
        victims = self.dice.choice(([self.a], [self.b], [self.a, self.b]))
        pause(self.dice.uniform(0.02, 0.3))
        for victim in victims:
            self.murder(victim)
        for victim in (self.a, self.b):
            if victim not in victims:
                victim.stop()  # the writers of the other one end too
            self.end(writers[victim])
        for victim in (self.a, self.b):
            victim.start()
            check(victim, writers[victim])
        self.in_step()


class Pairing(Pair):
    """Either side, at any step of a pairing: it succeeded, or the next one does."""

    def __init__(self, daemons: Daemons, dice: random.Random) -> None:
        Kind.__init__(self, daemons, dice)

    def round(self) -> None:
        self.a, self.b = self.fresh()
        names = [f"of.{each.folder.name}" for each in (self.a, self.b)]
        victim = self.dice.choice((self.a, self.b))
        code = self.a.call("pair.invite")["code"]
        address = self.a.call("sync.status")["listen"]
        joining = Doing(lambda: self.b.call("pair.join", code=code, address=address))
        if victim is self.b and self.dice.random() < 0.4:
            self.aim(victim, "entering", 0.02, most=1)
        else:
            self.aim(victim, "pairing", 0.3, most=1)
        self.murder(victim)
        answered = joining.end() is not None
        victim.start()
        ids = {_id(self.a), _id(self.b)}
        if answered:
            assert _members(self.b) == ids, "what was answered is so"
        if _members(self.b) != ids:
            self.join(self.a, self.b)
            self.killed["paired by the next run"] += 1
        until(lambda: _members(self.a) == _members(self.b) == ids, "two members")
        self.in_step()
        assert {each["microcosmID"] for each in self.a.call("session.get")["microcosms"]} == set(names)
        for daemon in (self.a, self.b):
            assert daemon.stop() == 0
            self.daemons.all.remove(daemon)
            shutil.rmtree(daemon.folder)


class Evicting(Pair):
    """While a device is shut out, and what it wrote is taken over."""

    def round(self) -> None:
        a, b = self.a, self.b
        if len(_members(a)) == 1:
            self.join_again(a, b)
        name, out = f"by.{self.kills}", _id(b)
        b.call("reference.register", microcosmID=name, password="kept")
        until(
            lambda: name in {each["microcosmID"] for each in a.call("session.get")["microcosms"]}, "the link"
        )
        if self.dice.random() < 0.5:
            b.stop()
        evicting = Doing(lambda: a.call("device.evict", device=out))
        self.aim(a, self.dice.choice(("eviction", "trust", "taking over")), 0.01, most=1)
        self.murder(a)
        answered = evicting.end() is not None
        a.start()
        if answered:
            assert out not in _members(a), "what was answered is so"
        if out in _members(a):
            a.call("device.evict", device=out)
            self.killed["evicted by the next call"] += 1
        found = {each["microcosmID"]: each["password"] for each in a.call("session.get")["microcosms"]}
        assert found[name] == "kept", "what an evicted device wrote stays"
        a.check_memory()
        if b.process is None:
            b.start()
        until(lambda: _cut_off(b), "the evicted device knows")
        b.call("device.leave")
        b.check_memory()
        assert {name} <= {each["microcosmID"] for each in b.call("session.get")["microcosms"]}


def _cut_off(daemon: Daemon) -> bool:
    """Whether a device knows that it is out: from the statement, or because it was refused."""
    return _id(daemon) not in _members(daemon) or any(
        "does not trust" in peer.get("fault", "") for peer in daemon.call("sync.status")["peers"]
    )


class Backing(Kind):
    """`nogg export --all`, `nogg import` and `nogg import --reinstall`, and daemons under an import."""

    REFERENCES = 1500

    def __init__(self, daemons: Daemons, dice: random.Random) -> None:
        super().__init__(daemons, dice)
        self.source = self.victim("source")
        self.source.start()
        entries = [
            {"microcosmID": f"b.{n}", "view": f"v{n}", "password": f"p{n}"} for n in range(self.REFERENCES)
        ]
        document = {"format": "nogg.session", "version": 1, "active": "b.1", "microcosms": entries}
        for session in ("default", "work"):
            self.source.call("session.import", session=session, document=document)
        self.file = daemons.folder / "backup.json"
        assert self._nogg(self.source, "export", "--all", "--show-secrets", str(self.file)).wait(60) == 0
        self.whole = {name: refs for name, (_, _, refs) in self.source.visible().items()}

    def _nogg(self, daemon: Daemon, *words: str) -> subprocess.Popen[bytes]:
        env = {
            **daemon.env,
            "NOGG_SOCKET": str(daemon.socket),
            "NOGG_STATE_DIR": str(daemon.state),
            "NOGG_CONFIG": str(daemon.config),
        }
        command = [sys.executable, "-m", "noggd.cli", *words]
        with daemon.log.open("ab") as log:
            return subprocess.Popen(command, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _cut_short(self, process: subprocess.Popen[bytes], longest: float) -> None:
        pause(self.dice.uniform(0.15, longest))
        process.kill()
        self.kills += 1
        self.killed["command done before"] += process.wait(60) == 0

    def round(self) -> None:
        self._rounds += 1
        self.dice.choice((self._export, self._import, self._import_of_a_victim, self._reinstall))()

    def _export(self) -> None:
        former = self.file.read_bytes()
        self._cut_short(self._nogg(self.source, "export", "--all", "--show-secrets", str(self.file)), 0.7)
        backup = json.loads(self.file.read_bytes())
        assert backup["sessions"].keys() == json.loads(former)["sessions"].keys(), (
            "the old one or the new one, whole"
        )
        for left in self.daemons.folder.glob(".backup.json.*"):
            left.unlink()
        self.killed["export"] += 1

    def _import(self) -> None:
        daemon = self.victim(f"i{self._rounds}")
        daemon.start()
        self._cut_short(self._nogg(daemon, "import", str(self.file)), 0.7)
        self._complete(daemon)
        self.killed["import"] += 1

    def _import_of_a_victim(self) -> None:
        daemon = self.victim(f"v{self._rounds}")
        daemon.start()
        command = self._nogg(daemon, "import", str(self.file))
        self.aim(daemon, "commit", 0.05, most=6)
        self.murder(daemon)
        command.wait(60)
        daemon.start()
        for references in (refs for _, _, refs in daemon.visible().values()):
            assert len(references) in (0, self.REFERENCES), "each session comes as one change"
        self._complete(daemon)
        self.killed["daemon under an import"] += 1

    def _complete(self, daemon: Victim) -> None:
        assert self._nogg(daemon, "import", str(self.file)).wait(60) == 0, daemon.words()
        self._same(daemon)

    def _same(self, daemon: Victim) -> None:
        found = {name: refs for name, (_, _, refs) in daemon.visible().items()}
        for name, references in self.whole.items():
            assert references.keys() == found[name].keys()
            for reference, fields in references.items():
                assert (fields["view"], fields["password"]) == tuple(
                    found[name][reference][k] for k in ("view", "password")
                )
        daemon.check_memory()
        assert daemon.stop() == 0

    def _reinstall(self) -> None:
        daemon = self.victim(f"r{self._rounds}")
        command = self._nogg(daemon, "import", "--reinstall", str(self.file))
        if self.dice.random() < 0.7:
            deadline = time.monotonic() + 5
            while not (daemon.state / "trust.json").exists() and time.monotonic() < deadline:
                time.sleep(0.001)
            pause(self.dice.uniform(0, 0.4))
            command.kill()
            self.kills += 1
            self.killed["command done before"] += command.wait(60) == 0
        else:
            self._cut_short(command, 1.2)
        self.source.stop()  # the same device twice at a time would be another test
        if (daemon.state / "session.db").exists() and not (daemon.state / "reinstalling").exists():
            self.killed["reinstall, done"] += 1
        else:
            if (daemon.state / "reinstalling").exists():
                daemon.launch()
                assert daemon.wait() == 7, "what is half filled is no state"
            assert self._nogg(daemon, "import", "--reinstall", str(self.file)).wait(60) == 0, daemon.words()
            self.killed["reinstall, begun anew"] += 1
        daemon.start()
        self._same(daemon)
        self.source.start()


KINDS: dict[str, tuple[type[Kind], int]] = {
    "writing": (Writing, 40),
    "journal": (Compacting, 40),
    "map": (Replacing, 25),
    "secret": (Forgetting, 25),
    "migration": (Migrating, 20),
    "linked": (Linked, 30),
    "pairing": (Pairing, 30),
    "eviction": (Evicting, 15),
    "backup": (Backing, 20),
}
"""Each kind, and how many of 245 kills are of it."""
TOTAL = sum(share for _, share in KINDS.values())


def run(kind: str, kills: int, seed: int) -> Kind:
    """Kill so often; raises AssertionError where something did not hold, with the logs printed."""
    with tempfile.TemporaryDirectory(prefix="nogg-") as folder, running(Path(folder)) as daemons:
        made = None
        try:
            made = KINDS[kind][0](daemons, random.Random(seed))
            while made.kills < kills:
                made.round()
        except BaseException:
            print("\n".join(daemon.words() for daemon in daemons.all))
            print(f"--- kind {kind}, seed {seed}, after {made.kills if made else 0} kills")
            raise
        for daemon in daemons.all:
            text = daemon.words()
            assert not re.search("fault|Traceback", text), text
        return made


def main() -> None:
    """Run the long form and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=TOTAL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    chosen = parser.parse_args()
    kinds = chosen.kind or list(KINDS)
    share = chosen.kills / sum(KINDS[kind][1] for kind in kinds)
    total = 0
    for kind in kinds:
        began = time.monotonic()
        done = run(kind, max(1, round(KINDS[kind][1] * share)), chosen.seed)
        total += done.kills
        found = ", ".join(f"{phase} {count}" for phase, count in sorted(done.killed.items()))
        print(
            f"{kind}: {done.kills} kills in {time.monotonic() - began:.0f} s; killed in: {found}", flush=True
        )
    print(f"{total} kills, seed {chosen.seed}: nothing was lost")


if __name__ == "__main__":
    main()
