"""The wheel and the source distribution as built: what is in them, and that they run where they are installed."""

from __future__ import annotations

import email
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = sysconfig.get_paths()["purelib"]
pytestmark = pytest.mark.timeout(120)


def build(source: Path, target: str, folder: Path) -> Path:
    """Build with the tests' own backend: no network, no environment of its own."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(REPOSITORY, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(REPOSITORY, "sdist", tmp_path_factory.mktemp("sdist"))


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def sources(folder: str, package: str) -> set[str]:
    found = (REPOSITORY / folder / package).rglob("*.py")
    return {str(path.relative_to(REPOSITORY / folder)) for path in found}


def test_the_wheel_holds_the_two_packages_and_what_goes_with_them(wheel: Path) -> None:
    held = names(wheel)
    assert sources("daemon", "noggd") | sources("protocol", "nogg") <= held
    assert {"noggd/py.typed", "nogg/py.typed"} <= held
    shipped = (path for path in (REPOSITORY / "systemd").rglob("*") if path.is_file())
    assert {f"noggd/units/{path.relative_to(REPOSITORY / 'systemd')}" for path in shipped} <= held
    data = {name.split(".data/data/")[1] for name in held if ".data/data/" in name}
    assert data == {
        "share/man/man1/nogg.1",
        "share/bash-completion/completions/nogg",
        "share/zsh/site-functions/_nogg",
        "share/fish/vendor_completions.d/nogg.fish",
    }


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    known = ("noggd/", "nogg/", "noggd-")
    assert not [name for name in names(wheel) if not name.startswith(known)]
    assert not [name for name in names(wheel) if name.endswith((".pyc", ".pem", ".db", ".log"))]


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (meta,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        (entries,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        said = email.message_from_bytes(archive.read(meta))
        scripts = archive.read(entries).decode()
    assert said["Name"] == "noggd"
    assert said["Requires-Python"] == ">=3.11"
    assert said["License-Expression"] == "MIT"
    assert {"nogg = noggd.cli.main:main", "noggd = noggd.__main__:main"} <= set(scripts.splitlines())
    needed = {
        line.split(" ")[0].split("=")[0].split(">")[0].split("<")[0]
        for line in said.get_all("Requires-Dist", [])
        if "extra" not in line
    }
    assert {"pycrdt", "click", "cryptography"} <= needed
    assert not needed & {"pytest", "hatchling", "ruff"}


def test_what_is_built_from_the_source_distribution_is_the_same(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
        safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since 3.11.4
        archive.extractall(tmp_path, **safely)
    for wanted in (
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "systemd/user/noggd.service",
        "docs/man/nogg.1",
        "tests/conftest.py",
    ):
        assert wanted in held
    (source,) = tmp_path.iterdir()
    again = build(source, "wheel", tmp_path / "built")
    assert names(again) == names(wheel)
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(wheel) as other:
        differing = [name for name in one.namelist() if one.read(name) != other.read(name)]
    assert differing == []


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv into which pip installed the wheel; what it depends on comes from the tests' own."""
    folder = tmp_path_factory.mktemp("venv") / "v"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / "bin/python")
    purelib = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    Path(purelib, "packages.pth").write_text(f"{PACKAGES}\n")
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--ignore-installed"]
    subprocess.run([python, "-m", "pip", "install", *options, str(wheel)], check=True, cwd=folder)
    return folder


def run(venv: Path, *words: str, home: Path, status: int = 0) -> str:
    env = {"PATH": f"{venv}/bin:/usr/bin:/bin", "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    done = subprocess.run(words, env=env, cwd=home, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout


def test_what_pip_installed_runs(venv: Path, tmp_path: Path) -> None:
    where = run(
        venv,
        f"{venv}/bin/python",
        "-I",
        "-c",
        "import noggd, nogg; print(noggd.__file__, nogg.__file__)",
        home=tmp_path,
    )
    assert all(path.startswith(str(venv)) for path in where.split()), "not the checkout"
    assert run(venv, f"{venv}/bin/noggd", "--version", home=tmp_path).startswith("noggd ")
    assert "daemon not running" in run(venv, f"{venv}/bin/nogg", "version", home=tmp_path)
    assert "_NOGG_COMPLETE" in run(venv, f"{venv}/bin/nogg", "completion", "bash", home=tmp_path)


def test_what_pip_installed_finds_its_units(venv: Path, tmp_path: Path) -> None:
    answer = json.loads(
        run(venv, f"{venv}/bin/nogg", "service", "install", "--dry-run", "--json", home=tmp_path)
    )
    assert answer["installation"] == "venv"
    unit = answer["contents"][f"{tmp_path}/.config/systemd/user/noggd.service"]
    assert f"ExecStart={venv}/bin/python" in unit


def test_the_manual_is_where_programs_look(venv: Path) -> None:
    assert (venv / "share/man/man1/nogg.1").read_text() == (REPOSITORY / "docs/man/nogg.1").read_text()


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {share}/bash-completion/completions/nogg"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "fpath=({share}/zsh/site-functions $fpath); autoload -Uz compinit; compinit -u -D",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "set -p fish_complete_path {share}/fish/vendor_completions.d",
    ),
}
"""How each shell is started, and told where its completions are; it loads them at the first TAB."""


@pytest.mark.parametrize("shell", SHELLS)
def test_the_first_tab_completes_a_command(venv: Path, shell: str, tmp_path: Path) -> None:
    """Typed on a terminal: half a word, TAB, the rest of a command, which then runs or is not known."""
    command, told = SHELLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{shell} is not installed")
    env = {"PATH": f"{venv}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb", "LANG": "C.UTF-8"}
    terminal, inside = pty.openpty()
    typed_at = ["setsid", "--ctty", "--wait", *command]  # a terminal of its own, as after a login
    process = subprocess.Popen(typed_at, env=env, stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    try:
        type_and_wait(terminal, told.format(share=f"{venv}/share") + "; echo lo''aded\n", b"loaded")
        said = type_and_wait(
            terminal, "nogg servi\t--help\n", b"service of this machine|No such command|rror"
        )
    finally:
        os.close(terminal)  # as if it was shut: the shell hangs up
        process.wait(10)
    assert b"Run noggd as a service of this machine" in said


def type_and_wait(terminal: int, keys: str, wanted: bytes) -> bytes:
    """Type something; return what was shown until what is waited for was."""
    os.write(terminal, keys.encode())
    shown = b""
    end = time.monotonic() + 30
    while re.search(wanted, shown) is None:
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 0.5)[0]:
            shown += os.read(terminal, 4096)
    return shown
