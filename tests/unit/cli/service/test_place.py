"""How this copy was installed, by the folders that tell."""

import site
import sys
from pathlib import Path

import pytest

import nogg
import noggd
from noggd.cli.service.place import HIDDEN_HOMES, Place, this_place


def placed(monkeypatch: pytest.MonkeyPatch, prefix: str, base: str = "/usr") -> Place:
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "base_prefix", base)
    monkeypatch.setattr(sys, "executable", f"{prefix}/bin/python")
    for package in (noggd, nogg):
        monkeypatch.setattr(
            package, "__file__", f"{prefix}/lib/python3/site-packages/{package.__name__}/__init__.py"
        )
    return this_place()


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [
        ("/home/ada/.local/share/pipx/venvs/noggd", "pipx"),
        ("/opt/pipx/venvs/noggd", "pipx"),
        ("/home/ada/.local/share/uv/tools/noggd", "uv tool"),
        ("/home/ada/uv/pipx", "venv"),
        ("/opt/noggd", "venv"),
        ("/usr", "distribution"),
    ],
)
def test_the_folder_tells_how_it_was_installed(
    monkeypatch: pytest.MonkeyPatch, prefix: str, kind: str
) -> None:
    place = placed(monkeypatch, prefix)
    assert place.kind == kind
    assert place.command == (f"{prefix}/bin/python", "-I", "-m", "noggd")


def test_an_interpreter_that_was_installed_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    assert placed(monkeypatch, "/usr/local", base="/usr/local").kind == "python"


def test_what_pip_installed_for_the_user_is_not_shut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "getusersitepackages", lambda: "/home/ada/.local/lib/python3/site-packages")
    placed(monkeypatch, "/usr")
    monkeypatch.setattr(noggd, "__file__", "/home/ada/.local/lib/python3/site-packages/noggd/__init__.py")
    place = this_place()
    assert place.kind == "pip install --user"
    assert "-I" not in place.command, "it means: without what the user installed"
    assert place.within(HIDDEN_HOMES) == [Path("/home/ada/.local/lib/python3/site-packages/noggd")]


def test_the_interpreter_is_not_resolved_but_every_step_to_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = tmp_path / "uv/python/cpython-3.12.1/bin/python3.12"
    alias = tmp_path / "uv/python/cpython-3.12/bin/python3.12"
    venv = tmp_path / "venv/bin/python"
    for path in (real, alias, venv):
        path.parent.mkdir(parents=True)
    real.touch()
    alias.symlink_to(real)
    venv.symlink_to(alias)
    place = placed(monkeypatch, str(tmp_path / "venv"), base=str(real.parents[1]))
    assert place.python == str(venv)
    assert set(place.within((tmp_path,))) == {real.parents[1], alias.parents[1], tmp_path / "venv"}
