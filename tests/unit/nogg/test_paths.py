"""Where things are: every rule of the contract's section 1, with an environment made up for each."""

import os
from pathlib import Path

import pytest

from nogg import paths

HOME = {"HOME": "/home/ada"}
RUNTIME = {**HOME, "XDG_RUNTIME_DIR": "/run/user/1000"}


@pytest.mark.parametrize(
    ("flag", "environ", "expected"),
    [
        ("/f.sock", {**RUNTIME, "NOGG_SOCKET": "/e.sock", "RUNTIME_DIRECTORY": "/run/x"}, "/f.sock"),
        (None, {**RUNTIME, "NOGG_SOCKET": "/e.sock", "RUNTIME_DIRECTORY": "/run/x"}, "/e.sock"),
        (None, {**RUNTIME, "RUNTIME_DIRECTORY": "/run/x"}, "/run/x/noggd.sock"),
        (None, {**RUNTIME, "RUNTIME_DIRECTORY": "/run/x:/run/y"}, "/run/x/noggd.sock"),
        (None, RUNTIME, "/run/user/1000/noggd/noggd.sock"),
        (None, {**RUNTIME, "NOGG_SOCKET": "", "RUNTIME_DIRECTORY": ""}, "/run/user/1000/noggd/noggd.sock"),
        (None, {**HOME, "XDG_RUNTIME_DIR": "relative"}, "/home/ada/.local/state/noggd/run/noggd.sock"),
        (None, HOME, "/home/ada/.local/state/noggd/run/noggd.sock"),
        (None, {**HOME, "NOGG_STATE_DIR": "/s"}, "/s/run/noggd.sock"),
    ],
)
def test_socket(flag: str | None, environ: dict[str, str], expected: str) -> None:
    assert paths.socket_path(flag, environ=environ) == Path(expected)


@pytest.mark.parametrize(
    ("flag", "environ", "expected"),
    [
        ("/f", {**HOME, "NOGG_STATE_DIR": "/e", "STATE_DIRECTORY": "/var/lib/x"}, "/f"),
        (None, {**HOME, "NOGG_STATE_DIR": "/e", "STATE_DIRECTORY": "/var/lib/x"}, "/e"),
        (None, {**HOME, "STATE_DIRECTORY": "/var/lib/x:/var/lib/y"}, "/var/lib/x"),
        (None, {**HOME, "XDG_STATE_HOME": "/xs"}, "/xs/noggd"),
        (None, {**HOME, "XDG_STATE_HOME": "relative"}, "/home/ada/.local/state/noggd"),
        (None, HOME, "/home/ada/.local/state/noggd"),
    ],
)
def test_state(flag: str | None, environ: dict[str, str], expected: str) -> None:
    assert paths.state_folder(flag, environ) == Path(expected)


@pytest.mark.parametrize(
    ("flag", "environ", "expected"),
    [
        ("/f.toml", {**HOME, "NOGG_CONFIG": "/e.toml", "CONFIGURATION_DIRECTORY": "/etc/x"}, "/f.toml"),
        (None, {**HOME, "NOGG_CONFIG": "/e.toml", "CONFIGURATION_DIRECTORY": "/etc/x"}, "/e.toml"),
        (None, {**HOME, "CONFIGURATION_DIRECTORY": "/etc/x"}, "/etc/x/config.toml"),
        (None, {**HOME, "XDG_CONFIG_HOME": "/xc"}, "/xc/noggd/config.toml"),
        (None, HOME, "/home/ada/.config/noggd/config.toml"),
    ],
)
def test_config(flag: str | None, environ: dict[str, str], expected: str) -> None:
    assert paths.config_file(flag, environ) == Path(expected)


def test_all_places_together() -> None:
    found = paths.resolve(state_dir="/s", environ=HOME)
    assert found._asdict() == {
        "socket": Path("/s/run/noggd.sock"),
        "state": Path("/s"),
        "config": Path("/home/ada/.config/noggd/config.toml"),
        "logs": Path("/s/log"),
    }
    assert paths.resolve(environ={**HOME, "LOGS_DIRECTORY": "/var/log/x"}).logs == Path("/var/log/x")


def test_without_a_flag_a_client_tries_the_user_s_socket_first_and_the_system_s_last() -> None:
    places = paths.client_sockets(environ=RUNTIME)
    assert places[0] == paths.socket_path(environ=RUNTIME)
    assert places[-1] == Path("/run/noggd/noggd.sock")
    assert Path("/home/ada/.local/state/noggd/run/noggd.sock") in places
    assert not [place for place in places[1:] if place.is_relative_to("/run/user")]
    assert len(set(places)) == len(places)


def test_a_client_without_a_login_session_finds_the_user_s_daemon() -> None:
    places = paths.client_sockets(environ=HOME)
    assert places[0] == Path("/home/ada/.local/state/noggd/run/noggd.sock")
    assert Path(f"/run/user/{os.getuid()}/noggd/noggd.sock") in places


@pytest.mark.parametrize(("flag", "environ"), [("/x", RUNTIME), (None, {**RUNTIME, "NOGG_SOCKET": "/x"})])
def test_a_named_socket_is_the_only_one(flag: str | None, environ: dict[str, str]) -> None:
    assert paths.client_sockets(flag, environ) == [Path("/x")]


def test_the_process_s_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOGG_SOCKET", "/from/the/environment")
    assert paths.socket_path() == Path("/from/the/environment")


def test_a_path_too_long_for_the_kernel_is_named_as_such() -> None:
    assert paths.socket_path_fault("/" + "x" * (paths.SOCKET_PATH_MAX - 1)) is None
    fault = paths.socket_path_fault("/" + "é" * (paths.SOCKET_PATH_MAX // 2 + 1))
    assert fault is not None
    assert str(paths.SOCKET_PATH_MAX) in fault


def test_the_places_are_platformdirs_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On Linux the import is spared; the answer must be the same."""
    import platformdirs

    for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "NOGG_STATE_DIR", "NOGG_CONFIG", "STATE_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.state_folder() == Path(platformdirs.user_state_dir("noggd", appauthor=False))
    assert paths.config_file() == Path(platformdirs.user_config_dir("noggd", appauthor=False)) / "config.toml"
