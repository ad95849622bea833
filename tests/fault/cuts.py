"""Cuts of the power at every moment of a recorded life, and what must hold after each.

    python -m tests.fault.cuts [--seeds N] [--several N]     every moment of every life: minutes

What was answered before the cut is there, of what was under way all or nothing, what had left the disk stays away,
and the next start succeeds by itself. Not here: what a cut may leave (`powercut`), and the lives (`lives`).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nogg.errors import NoggError
from tests.fault import lives
from tests.fault.hurried import hurried
from tests.fault.powercut import Call, Disk, fingerprint, python, record

REPOSITORY = Path(__file__).parents[2]


@dataclass(slots=True)
class Recording:
    """A life as it was recorded: what was on disk before, the calls, and what was said in their course."""

    life: str
    folder: Path
    before: dict[str, bytes]
    calls: list[Call]
    said: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.said = [json.loads(call.data) for call in self.calls if call.kind == "say"]


def recorded(life: str, folder: Path, seed: int) -> Recording:
    """Record a life in an empty or a prepared folder."""
    if life == "migrating":
        with hurried(pages=1000):
            lives.make_older(folder, random.Random(seed))
    before = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
    if not before:
        folder.mkdir(mode=0o700, exist_ok=True)
    calls = record(python("tests.fault.lives", life, folder, seed), folder, cwd=REPOSITORY)
    return Recording(life, folder, before, calls)


@dataclass(slots=True)
class Outcome:
    """How many cuts were tried, and what was wrong after which."""

    tried: int = 0
    moments: int = 0
    wrong: list[str] = field(default_factory=list)


def cut(
    recording: Recording,
    seed: int,
    *,
    several: int = 2,
    share: float = 1.0,
    forgets: str = "(?!)",
    most: int = 10,
) -> Outcome:
    """Cut the power at every moment, or a random share of them; stop after `most` faults.

    `forgets`: syncs that do nothing, see `Disk`.
    """
    dice = random.Random(seed)
    outcome = Outcome()
    seen: set[bytes] = set()
    disk = Disk(recording.folder, recording.before, forgets)
    with tempfile.TemporaryDirectory(dir=_memory()) as scratch, hurried():
        for number, call in enumerate(recording.calls):
            disk.do(call)
            if dice.random() >= share:
                continue
            outcome.moments += 1
            for files in disk.crashes(dice, several):
                mark = fingerprint(files) + bytes([len(disk.said) % 256])
                if mark in seen:
                    continue
                seen.add(mark)
                outcome.tried += 1
                for fault in faults(files, Path(scratch) / "state", recording, len(disk.said)):
                    outcome.wrong.append(f"{recording.life}, seed {seed}, after call {number}: {fault}")
                if len(outcome.wrong) >= most:
                    return outcome
    return outcome


def _memory() -> str | None:
    """Return a folder that is not on a disk, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def faults(files: dict[str, bytes], folder: Path, recording: Recording, said: int) -> Iterator[str]:
    """Lay out what a cut left, start on it, and name what is wrong."""
    former = recording.said[said - 1] if said else None
    coming = recording.said[said] if said < len(recording.said) else None
    if former is not None:
        for secret in former["gone"]:
            for name, data in files.items():
                if secret.encode() in data:
                    yield f"{name} holds a secret that was gone"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    try:
        found = lives.survey(folder)
    except (NoggError, OSError) as error:
        if not (recording.life == "reinstalling" and "interrupted" in str(error) and former is None):
            yield f"it does not start: {type(error).__name__}: {error}"
        return
    yield from _compared(found, former, coming, recording.life)
    if left := {path.name for path in folder.iterdir()} - {"device.pem", "trust.json", "session.db", "lock"}:
        yield f"left behind: {left}"


def _compared(
    found: lives.Visible, former: dict[str, Any] | None, coming: dict[str, Any] | None, life: str
) -> Iterator[str]:
    found = json.loads(json.dumps(found))  # as it was said
    for part, value in found.items():
        allowed = [each["visible"][part] for each in (former, coming) if each is not None]
        if former is None and life != "migrating":
            if part in {"device", "group", "clients"}:
                continue  # nothing was promised yet
            allowed.append({"sessions": {}, "statements": [], "left to do": [None]}.get(part))
            if part == "username":
                allowed.append("")
        if value not in allowed:
            yield f"{part} is {_brief(value)}, allowed were {[_brief(each) for each in allowed]}"


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 200 else f"{text[:100]} … {text[-100:]}"


def main() -> None:
    """Cut everywhere, and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1, help="lives of each kind")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument(
        "--several", type=int, default=4, help="random outcomes at each moment, beside 4 extremes"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the moments, chosen at random")
    parser.add_argument("--life", choices=list(lives.LIVES), action="append")
    chosen = parser.parse_args()
    total: Counter[str] = Counter()
    wrong: list[str] = []
    for life in chosen.life or list(lives.LIVES):
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            with tempfile.TemporaryDirectory(dir=_memory()) as place:
                recording = recorded(life, Path(place) / "state", seed)
                outcome = cut(recording, seed, several=chosen.several, share=chosen.share)
            total += Counter(calls=len(recording.calls), answers=len(recording.said), states=outcome.tried)
            wrong += outcome.wrong
            print(f"{life} {seed}: {len(recording.calls)} calls, {len(recording.said)} answers, "
                  f"{outcome.tried} states, {len(outcome.wrong)} wrong", flush=True)  # fmt: skip
            print("\n".join(outcome.wrong), end="\n" if outcome.wrong else "")
    print(dict(total))
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
