"""bob's own service manager runs the daemon from his home folder: installed, renewed, hardened, removed."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.lab import PACKAGES, PYTHON, VERSION, Lab, install, needs_user_managers, until

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]

SERVICE = "noggd.service"
VENV = "/home/bob/.local/share/pipx/venvs/noggd"
UNITS = "/home/bob/.config/systemd/user"
STATE = "/home/bob/.local/state/noggd"
KEY = f"{STATE}/device.pem"


@pytest.fixture(scope="module")
def bob(lab: Lab) -> Iterator[Lab]:
    """The lab, with bob lingering and noggd where pipx puts it, but not yet a service."""
    needs_user_managers(lab)
    lab.run("loginctl", "enable-linger", "bob")
    install(lab, VENV, user="bob")
    lab.run("mkdir", "-p", "/home/bob/.local/bin", user="bob")
    lab.run("ln", "-s", f"{VENV}/bin/nogg", "/home/bob/.local/bin/nogg", user="bob")
    until(lambda: lab.path(f"/run/user/{lab.uids['bob']}/systemd/private").exists(), "bob's manager")
    yield lab
    lab.run("loginctl", "disable-linger", "bob")


@pytest.fixture(scope="module")
def service(bob: Lab) -> Iterator[Lab]:
    """The lab, with noggd as bob's service."""
    told = bob.nogg("service", "install", "--json", user="bob").json
    assert told["installation"] == "pipx"
    assert told["command"] == [f"{VENV}/bin/python", "-I", "-m", "noggd"]
    assert told["linger"] is True
    yield bob
    bob.nogg("service", "uninstall", user="bob")


def door(lab: Lab) -> str:
    return f"/run/user/{lab.uids['bob']}/noggd/noggd.sock"


def test_it_runs_and_nobody_else_reaches_it(service: Lab) -> None:
    socket, folder = service.path(door(service)).stat(), service.path(door(service)).parent.stat()
    assert (stat.S_IMODE(socket.st_mode), stat.S_IMODE(folder.st_mode)) == (0o600, 0o700)
    assert service.nogg("call", "hello", user="bob").json["ready"] is True
    refused = service.nogg("status", "--socket", door(service), "--json", user="alice", check=False)
    assert (refused.status, refused.json["error"]["type"]) == (4, "forbidden")
    assert stat.S_IMODE(service.path(STATE).stat().st_mode) == 0o700
    assert service.show(SERVICE, "StatusText", user="bob").endswith("sessions")


def test_the_first_app_starts_it(service: Lab) -> None:
    service.systemctl("stop", SERVICE, user="bob")
    assert service.nogg("status", "--json", user="bob").json["daemon"]["ready"]
    assert service.show(SERVICE, "ActiveState", user="bob") == "active"


def test_a_kill_loses_nothing(service: Lab) -> None:
    service.nogg("open", "garden.kill", user="bob")
    before = int(service.show(SERVICE, "NRestarts", user="bob"))
    os.kill(service.outer_pid(int(service.show(SERVICE, "MainPID", user="bob"))), signal.SIGKILL)
    until(lambda: int(service.show(SERVICE, "NRestarts", user="bob")) > before, "a restart")
    assert service.nogg("get", "garden.kill", "--json", user="bob").json["microcosmID"] == "garden.kill"


def test_its_log_is_in_the_persons_journal(service: Lab) -> None:
    entries = service.journal("-u", SERVICE, "LOGGER=noggd.app", user="bob")
    ready = [entry for entry in entries if "ready, device" in entry["MESSAGE"]]
    assert ready
    assert ready[-1]["PRIORITY"] == "6"
    assert ready[-1]["MESSAGE"] in service.nogg("logs", user="bob").out


def test_stopping_and_starting_by_hand_goes_through_the_service(service: Lab) -> None:
    """Without the socket's stop the next app would start the daemon again."""
    assert service.nogg("daemon", "stop", "--json", user="bob").json["stopped"] is True
    assert service.show("noggd.socket", "ActiveState", user="bob") == "inactive"
    assert service.nogg("status", user="bob", check=False).status == 3
    assert service.nogg("daemon", "start", "--json", user="bob").json["started"] is True
    assert service.show(SERVICE, "ActiveState", user="bob") == "active"
    pid = service.show(SERVICE, "MainPID", user="bob")
    service.nogg("daemon", "restart", user="bob")
    assert service.show(SERVICE, "MainPID", user="bob") != pid


def test_the_doctor_looks_at_the_service_too(service: Lab) -> None:
    told = service.nogg("doctor", "--json", user="bob", check=False).json
    rows = {row["name"]: row for row in told["checks"]}
    assert rows["service"]["ok"] is True
    assert "runs without a login" in rows["lingering"]["message"]
    assert "passed by systemd" in rows["socket"]["message"]
    assert rows["store"]["ok"] is rows["lock"]["ok"] is rows["state files"]["ok"] is True


def test_installing_again_renews_and_keeps_the_device(service: Lab) -> None:
    unit = service.path(f"{UNITS}/{SERVICE}")
    key, made = service.path(KEY).read_bytes(), unit.read_text()
    unit.write_text(made + "# an older version\n")
    compiled = f"{VENV}/lib/{VERSION}/site-packages/noggd/__pycache__"
    service.run("rm", "-r", compiled, user="bob")  # as `uv tool` leaves it
    service.nogg("service", "install", user="bob")
    assert list(service.path(compiled).glob("app.*.pyc")), "in its sandbox the daemon may not write it"
    assert unit.read_text() == made
    assert service.path(KEY).read_bytes() == key
    assert service.show(SERVICE, "ActiveState", user="bob") == "active"


def test_somebody_elses_unit_is_left_alone(service: Lab) -> None:
    unit = service.path(f"{UNITS}/{SERVICE}")
    made = unit.read_text()
    unit.write_text("# mine\n" + made)
    refused = service.nogg("service", "install", user="bob", check=False)
    assert refused.status == 1
    assert "was not made by nogg" in refused.err
    assert unit.read_text().startswith("# mine\n")
    unit.write_text(made)


def test_the_strict_sandbox_hides_home_and_still_works(service: Lab) -> None:
    """Where user namespaces are allowed: the venv and the state are all that is left of the home folder."""
    service.run("sh", "-c", "echo secret > ~/diary", user="bob")
    told = service.nogg("service", "install", "--hardened", "--json", user="bob").json
    assert any(name.endswith("strict.conf") for name in told["files"])
    done = service.run(
        "systemd-analyze", "--user", "security", "--no-pager", "--threshold=20", SERVICE, user="bob"
    )
    assert "exposure level" in done.out
    inside = Path(f"/proc/{service.outer_pid(int(service.show(SERVICE, 'MainPID', user='bob')))}/root")
    home = inside / "home/bob"
    assert not (home / "diary").exists()
    assert (home / ".local/state/noggd/device.pem").exists()
    service.nogg("open", "garden.strict", user="bob")
    assert service.nogg("get", "garden.kill", "--json", user="bob").status == 0
    service.nogg("service", "install", user="bob")
    assert not service.path(f"{UNITS}/{SERVICE}.d").exists(), "without --hardened it is gone again"
    assert service.nogg("get", "garden.strict", "--json", user="bob").status == 0


def test_two_peoples_daemons_live_side_by_side(service: Lab) -> None:
    """bob's by his manager, alice's by the system's: other devices, other sockets, other ports."""
    service.nogg("service", "install", "--system", "--for", "alice")
    try:
        alice = service.nogg("call", "sync.status", user="alice").json
        bob = service.nogg("call", "sync.status", user="bob").json
        ids = {service.nogg("call", "hello", user=name).json["device"]["id"] for name in ("alice", "bob")}
        crossed = service.nogg("status", "--socket", "/run/noggd/alice.sock", user="bob", check=False)
    finally:
        service.nogg("service", "uninstall", "--system", "--for", "alice")
    assert len(ids) == 2
    assert set(alice["listen"].split(", ")).isdisjoint(bob["listen"].split(", "))
    assert crossed.status == 4


def test_removing_it_leaves_the_data_and_nothing_else(bob: Lab, service: Lab) -> None:
    key = bob.path(KEY).read_bytes()
    told = bob.nogg("service", "uninstall", "--json", user="bob").json
    assert told["uninstalled"] is True
    assert not [path for path in bob.path(UNITS).rglob("*") if path.name.startswith("noggd")]
    assert bob.path(KEY).read_bytes() == key
    assert not bob.path(door(bob)).exists()
    unreachable = bob.nogg("status", user="bob", check=False)
    assert unreachable.status == 3
    assert bob.nogg("service", "uninstall", "--json", user="bob").json["uninstalled"] is False
    assert bob.nogg("service", "status", user="bob", check=False).status == 1


@pytest.mark.parametrize("name", ["a 100%h of $HOME $$", 'it\'s "new" \\x41'])
def test_a_venv_with_an_awkward_name_is_run_all_the_same(bob: Lab, name: str) -> None:
    """systemd reads percent signs, dollars, quotes, backslashes and blanks in ways of its own."""
    venv = f"/home/bob/{name}"
    bob.run(PYTHON, "-m", "venv", "--without-pip", venv, user="bob")
    shared = f"{VENV}/lib/{VERSION}/site-packages\n{PACKAGES}\n"  # pip cannot write scripts for such a name
    bob.path(f"{venv}/lib/{VERSION}/site-packages/shared.pth").write_text(shared)
    nogg = (f"{venv}/bin/python", "-I", "-m", "noggd.cli")
    try:
        told = bob.run(*nogg, "service", "install", "--hardened", "--json", user="bob").json
        assert told["command"][0] == f"{venv}/bin/python"
        assert bob.nogg("call", "hello", user="bob").json["ready"] is True
        assert bob.nogg("service", "status", "--json", user="bob").json["interpreter_exists"] is True
    finally:
        bob.nogg("service", "uninstall", user="bob")


def test_a_system_service_is_refused_a_venv_in_a_home_folder(bob: Lab) -> None:
    refused = bob.run(
        f"{VENV}/bin/nogg", "service", "install", "--system", "--for", "bob", "--json", check=False
    )
    assert refused.status == 1
    assert VENV in refused.json["error"]["message"]
    assert not bob.path("/etc/systemd/system/noggd@.service").exists()


def test_only_root_installs_a_system_service(bob: Lab) -> None:
    refused = bob.run(
        "/opt/noggd/bin/nogg", "service", "install", "--system", "--for", "bob", user="bob", check=False
    )
    assert refused.status == 4


def test_without_a_manager_it_says_what_to_do(bob: Lab) -> None:
    """alice neither is logged in nor lingers."""
    refused = bob.run("/opt/noggd/bin/nogg", "service", "install", user="alice", check=False)
    assert refused.status == 1
    assert "loginctl enable-linger alice" in refused.err
    assert not bob.path("/home/alice/.config/systemd").exists()


def test_a_daemon_that_runs_by_hand_is_in_the_way(bob: Lab) -> None:
    bob.nogg("daemon", "start", user="bob")
    try:
        refused = bob.nogg("service", "install", user="bob", check=False)
        assert refused.status == 1
        assert "nogg daemon stop" in refused.err
        assert not bob.path(f"{UNITS}/{SERVICE}").exists()
    finally:
        bob.nogg("daemon", "stop", user="bob")


def test_a_dry_run_changes_nothing(bob: Lab) -> None:
    told = bob.nogg("service", "install", "--dry-run", "--json", user="bob").json
    assert f"ExecStart={VENV}/bin/python -I -m noggd" in told["contents"][f"{UNITS}/{SERVICE}"]
    assert ["systemctl", "--user", "daemon-reload"] in told["commands"]
    assert not bob.path(f"{UNITS}/{SERVICE}").exists()


def test_a_machine_of_its_own_needs_no_user(lab: Lab) -> None:
    """The headless service: under a user that exists only while it runs, for root alone."""
    lab.nogg("service", "install", "--system", "--headless")
    try:
        assert lab.nogg("call", "hello").json["ready"] is True
        assert lab.nogg("status", "--socket", "/run/noggd/noggd.sock", user="bob", check=False).status == 4
        pid = lab.outer_pid(int(lab.show(SERVICE, "MainPID")))
        owner = Path(f"/proc/{pid}").stat().st_uid
        assert 61184 <= owner <= 65519, "systemd's range for such users"
        assert lab.path("/var/lib/private/noggd/device.pem").stat().st_uid == owner
        device = lab.nogg("call", "hello").json["device"]["id"]
        lab.systemctl("restart", SERVICE)
        assert lab.nogg("call", "hello").json["device"]["id"] == device
        done = lab.run("systemd-analyze", "security", "--no-pager", "--threshold=15", SERVICE)
        assert "exposure level" in done.out
    finally:
        lab.nogg("service", "uninstall", "--system", "--headless")
    assert lab.path("/var/lib/private/noggd/device.pem").exists()
