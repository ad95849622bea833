"""The shipped units as systemd reads them, without booting: names, values, and how much they leave open."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(UNITS.rglob("*.service"))
EVERY = sorted(path for path in UNITS.rglob("*") if path.is_file())

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`systemd-analyze --user` wants a runtime folder, and nothing in it."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))


def analyze(scope: str, *words: str) -> subprocess.CompletedProcess[str]:
    flags = ["--user"] if scope == "user" else []
    return subprocess.run(["systemd-analyze", *flags, *words], capture_output=True, text=True)


def copied(folder: Path, scope: str, **drop_ins: str) -> Path:
    """Copy a scope's units; `drop_ins` are put beside the service of that name (at: @, without: -)."""
    shutil.copytree(UNITS / scope, folder, dirs_exist_ok=True)
    for name, drop_in in drop_ins.items():
        beside = folder / f"{name.replace('_at', '@')}.service.d"
        beside.mkdir()
        shutil.copy(UNITS / "drop-in" / drop_in, beside)
    return folder


@needs_analyze
@pytest.mark.parametrize("scope", ["system", "user"])
def test_systemd_finds_nothing_wrong(scope: str, tmp_path: Path) -> None:
    drop_ins = (
        {"noggd": "strict-user.conf"}
        if scope == "user"
        else {"noggd": "lan-only.conf", "noggd_at": "lan-only.conf"}
    )
    folder = copied(tmp_path / "units", scope, **drop_ins)
    units = [str(path) for path in folder.iterdir() if path.is_file()]
    done = analyze(scope, "verify", "--man=no", "--recursive-errors=yes", *units)
    assert (done.returncode, done.stderr) == (0, "")


@needs_analyze
def test_systemd_would_find_a_misspelt_name(tmp_path: Path) -> None:
    folder = copied(tmp_path / "units", "system")
    service = folder / "noggd.service"
    service.write_text(service.read_text().replace("PrivateTmp=", "PrivateTemp="))
    done = analyze("system", "verify", "--man=no", "--recursive-errors=yes", str(service))
    assert done.returncode != 0


def score(scope: str, folder: Path, unit: str) -> float:
    done = analyze(scope, "security", "--offline=true", "--no-pager", str(folder / unit))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done
    return float(found[1])


@needs_analyze
@pytest.mark.parametrize("unit", ["noggd.service", "noggd@.service"])
def test_system_services_leave_little_open(unit: str, tmp_path: Path) -> None:
    assert score("system", copied(tmp_path / "wide", "system"), unit) <= 1.5
    drop_ins = {"noggd": "lan-only.conf", "noggd_at": "lan-only.conf"}
    assert score("system", copied(tmp_path / "lan", "system", **drop_ins), unit) <= 1.2


@needs_analyze
def test_a_users_service_leaves_less_open_where_it_may(tmp_path: Path) -> None:
    assert score("user", copied(tmp_path / "portable", "user"), "noggd.service") <= 6.0
    assert (
        score("user", copied(tmp_path / "strict", "user", noggd="strict-user.conf"), "noggd.service") <= 2.0
    )


@needs_analyze
def test_the_documented_exposure_is_the_measured_one(tmp_path: Path) -> None:
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True).stdout.split()[
        1
    ]
    if version != "252":
        pytest.skip(f"docs/service.md has the figures of systemd 252, this is {version}")
    lan, page = "lan-only.conf", (UNITS.parent / "docs/service.md").read_text()
    measured = [
        (score("user", copied(tmp_path / "a", "user"), "noggd.service"), "; "),
        (
            score("user", copied(tmp_path / "b", "user", noggd="strict-user.conf"), "noggd.service"),
            " with `--hardened` | ",
        ),
        (score("system", copied(tmp_path / "c", "system"), "noggd@.service"), "; "),
        (
            score("system", copied(tmp_path / "d", "system", noggd_at=lan), "noggd@.service"),
            " with `--lan-only` | ",
        ),
        (score("system", copied(tmp_path / "e", "system"), "noggd.service"), "; "),
        (
            score("system", copied(tmp_path / "f", "system", noggd=lan), "noggd.service"),
            " with `--lan-only` |",
        ),
    ]
    assert "".join(f"{value}{words}" for value, words in measured) in page


def settings(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            yield name, value


@pytest.mark.parametrize("path", EVERY, ids=lambda path: str(path.relative_to(UNITS)))
def test_every_setting_stands_below_a_reason(path: Path) -> None:
    """A comment stands above each block of settings; only what names the unit itself needs none."""
    explained = False
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif line.startswith("[") or not line:
            explained = False
        elif line.split("=")[0] not in ("Description", "Documentation", "WantedBy", "Also"):
            assert explained, line


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: str(path.relative_to(UNITS)))
def test_what_has_bitten_others_is_avoided(path: Path) -> None:
    found = list(settings(path))
    names = {name for name, _ in found}
    values = dict(found)
    assert values["StartLimitIntervalSec"] == "0", "a crash loop would take the socket down for good"
    assert values["RestartPreventExitStatus"] == "2 7"
    assert "RuntimeDirectory" not in names, "it would take the socket away with the service"
    assert "PrivatePIDs" not in names, "LISTEN_PID and WATCHDOG_PID would name another process"
    assert not any(value == "/bin/kill" or value.startswith("/bin/kill ") for _, value in found)
    assert "-I" in values["ExecStart"].split(), "what lies in the working directory must not be imported"
    if path.parent.name == "user":
        assert "StateDirectory" not in names, "its place differs between versions of systemd"
        assert "PrivateUsers" not in names, "it does not start where user namespaces are forbidden"
        assert values["ProtectSystem"] == "strict"
    else:
        assert "/run" in values["ReadOnlyPaths"].split(), "systemd 252 leaves it writable"
    strict = dict(settings(UNITS / "drop-in/strict-user.conf"))
    assert "%t/systemd/notify" in strict["BindPaths"].split(), "READY=1 would not get through"


def test_the_system_units_differ_only_in_whose_they_are() -> None:
    one = dict(settings(UNITS / "system/noggd.service"))
    each = dict(settings(UNITS / "system/noggd@.service"))
    differing = {name for name in one.keys() | each.keys() if one.get(name) != each.get(name)}
    assert differing <= {
        "Description", "Requires", "Also", "User", "DynamicUser", "StateDirectory", "ConfigurationDirectory",
        "LoadCredential", "NoExecPaths",
    }  # fmt: skip
    state = one["StateDirectory"], each["StateDirectory"].split("/")[0]
    assert state[0] != state[1], "DynamicUser= makes a symlink of it, into a folder that only root can enter"
