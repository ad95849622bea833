"""The command line with several devices: pairing, handing over, conflicts, eviction, and the demonstration."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.home import NOGG, Home, until

GARDEN, STUDIO = "garden.k3v9x2m7q4w8z1pd", "studio.h5t8r2y6n1c4b7fs"


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    def begin(home: Home) -> None:
        home.start()
        home.nogg("device", "rename", home.folder.name)

    laptop, phone = homes = [Home(tmp_path / name) for name in ("laptop", "phone")]
    with ThreadPoolExecutor() as both:
        list(both.map(begin, homes))
        yield laptop, phone
        list(both.map(Home.close, homes))


def pair(inviter: Home, joiner: Home) -> dict[str, Any]:
    invitation = inviter.json("pair", "--no-wait")
    joined = joiner.json("pair", invitation["code"], "--address", invitation["addresses"][0], "--yes")
    until(lambda: online(inviter) and online(joiner))
    return joined


def online(home: Home) -> bool:
    return any(peer["state"] == "online" for peer in home.json("sync")["peers"])


def test_two_commands_pair_two_devices(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    laptop.nogg("open", GARDEN)
    phone.nogg("open", STUDIO)
    inviting = subprocess.Popen(
        [sys.executable, "-c", NOGG, "pair", "--json"],
        env=laptop.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert inviting.stdout is not None
    invitation = json.loads(inviting.stdout.readline())
    words = invitation["code"].replace("-", " ").upper().split()
    joined = phone.json("pair", *words, "--address", invitation["addresses"][0], "--yes")
    out, _ = inviting.communicate(timeout=20)
    assert inviting.returncode == 0
    assert json.loads(out)["device"]["name"] == "phone"
    assert joined["device"]["id"] == laptop.json("status")["device"]["id"]
    for home in two:
        until(lambda home=home: home.ids() == [GARDEN, STUDIO])  # type: ignore[misc]
        names = {device["name"] for device in home.json("device", "list")["devices"]}
        assert names == {"laptop", "phone"}


def test_a_ticket_needs_no_address(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    invitation = laptop.json("pair", "--no-wait")
    joined = phone.json("pair", invitation["ticket"], "--yes")
    assert joined["device"]["id"] == laptop.json("status")["device"]["id"]


def test_a_wrong_or_mistyped_code_ends_with_4(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    invitation = laptop.json("pair", "--no-wait")
    number, first, *rest = invitation["code"].split("-")
    wrong = "-".join([number, *rest, first])
    address = invitation["addresses"][0]
    answer = phone.json("pair", wrong, "--address", address, "--yes", status=4)
    assert answer["error"]["type"] == "pairing_failed"
    assert first not in answer["error"]["message"]
    assert phone.json("sync")["peers"] == []


def test_joining_without_consent_changes_nothing(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    phone.nogg("open", STUDIO)
    code = laptop.json("pair", "--no-wait")["code"]
    answer = phone.json("pair", code, status=2)
    assert answer["error"]["message"].startswith("this merges 1 reference into that person's group")
    assert phone.json("sync")["peers"] == []


def test_an_interrupted_invitation_is_void(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    inviting = subprocess.Popen(
        [sys.executable, "-c", NOGG, "pair", "--json"],
        env=laptop.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert inviting.stdout is not None
    invitation = json.loads(inviting.stdout.readline())
    inviting.send_signal(signal.SIGINT)
    inviting.communicate(timeout=20)
    assert inviting.returncode == 130
    phone.json("pair", invitation["code"], "--address", invitation["addresses"][0], "--yes", status=4)


def test_what_is_open_is_handed_over(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    pair(laptop, phone)
    laptop.nogg("open", GARDEN, "--active")
    laptop.nogg("sync", "--wait", "all")
    assert phone.nogg("active") == ""
    assert phone.nogg("active", "--from", "laptop") == f"{GARDEN}\n"
    assert phone.nogg("active") == f"{GARDEN}\n"


def test_a_wait_for_a_device_that_is_away_ends_with_6(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    pair(laptop, phone)
    phone.nogg("daemon", "stop")
    laptop.nogg("open", GARDEN)
    answer = laptop.json("sync", "--wait", "phone", "--timeout", "1", status=6)
    assert answer["error"]["type"] == "timeout"


def test_two_passwords_are_kept_until_one_is_taken(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    pair(laptop, phone)
    laptop.nogg("open", GARDEN)
    laptop.nogg("sync", "--wait", "all")
    phone.nogg("daemon", "stop")
    laptop.nogg("update", GARDEN, "--password-stdin", stdin="of the laptop\n")
    laptop.nogg("daemon", "stop")
    phone.start()
    phone.nogg("update", GARDEN, "--password-stdin", stdin="of the phone\n")
    laptop.start()
    for home in two:
        until(lambda home=home: home.json("conflicts")["conflicts"])  # type: ignore[misc]
        assert "of the" not in home.nogg("conflicts")
        assert home.json("status")["next"].startswith("nogg conflicts")
    laptop.nogg("resolve", GARDEN, "--take", "laptop")
    until(lambda: phone.json("conflicts")["conflicts"] == [])
    for home in two:
        assert home.json("get", GARDEN, "--show-secrets")["password"] == "of the laptop"


def test_an_evicted_device_is_out_and_keeps_what_it_has(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    pair(laptop, phone)
    laptop.nogg("open", GARDEN, "--password-stdin", stdin="hush\n")
    laptop.nogg("sync", "--wait", "all")
    answer = laptop.json("device", "evict", "phone")
    assert answer["passwords_to_change"] == [{"session": "default", "microcosmID": GARDEN}]
    until(lambda: not online(phone))
    laptop.nogg("open", STUDIO)
    assert phone.ids() == [GARDEN]


def test_a_device_that_leaves_can_pair_again(two: tuple[Home, Home]) -> None:
    laptop, phone = two
    pair(laptop, phone)
    phone.nogg("device", "leave")
    until(lambda: not online(laptop))
    laptop.nogg("open", GARDEN)
    pair(laptop, phone)
    until(lambda: phone.ids() == [GARDEN])


def test_the_demo_shows_it_all_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {**Home(tmp_path / "home").environment, "TMPDIR": str(tmp_path)}
    begun = time.monotonic()
    idle = os.getloadavg()[0] < (os.cpu_count() or 1)
    done = subprocess.run(
        [sys.executable, "-c", NOGG, "demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert time.monotonic() - begun < (15 if idle else 60)
    for told in ("nogg pair", "kill -9", "nothing is lost", "merge", "stranger", "All as promised"):
        assert told in done.stdout
    assert not list(tmp_path.glob("nogg-demo-*"))


HEARING = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
"""What runs under nohup is deaf to it."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_demo_that_is_ended_takes_its_devices_with_it(tmp_path: Path, number: signal.Signals) -> None:
    environment = {**Home(tmp_path / "home").environment, "TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(
        [sys.executable, "-c", HEARING + NOGG, "demo"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: len(list(tmp_path.glob("nogg-demo-*/*/socket"))) == 2)
    devices = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text(encoding="utf-8").split()
    demo.send_signal(number)
    assert demo.wait(30) == (130 if number == signal.SIGINT else 128 + number)
    assert len(devices) == 2
    assert not [device for device in devices if Path(f"/proc/{device}").exists()]
    assert not list(tmp_path.glob("nogg-demo-*"))
