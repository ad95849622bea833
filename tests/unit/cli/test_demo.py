"""The demonstration fails when something is not as promised; that it succeeds is shown with real daemons."""

import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from noggd.cli import demo
from noggd.cli.exits import Failure
from noggd.cli.throwaway import Device, knock
from tests.unit.cli.conftest import Nogg

Serve = Callable[[socket.socket], None]


@pytest.fixture
def served() -> Iterator[Callable[[Serve], tuple[str, int]]]:
    """Serve one connection in a thread."""
    threads: list[threading.Thread] = []

    def start(serve: Serve) -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            with listener, listener.accept()[0] as accepted:
                accepted.settimeout(10)
                serve(accepted)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return ("127.0.0.1", listener.getsockname()[1])

    yield start
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x", "-days", "2"]
    made = subprocess.run([*make, "-keyout", "-"], capture_output=True, check=True)
    file.write_bytes(made.stdout)
    return file


def test_a_stranger_that_is_shut_out_hears_nothing(served: Callable[[Serve], tuple[str, int]]) -> None:
    assert knock(served(lambda accepted: None)) == b""


def test_a_stranger_that_is_let_in_is_noticed(
    served: Callable[[Serve], tuple[str, int]], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def talk(accepted: socket.socket) -> None:
        with context.wrap_socket(accepted, server_side=True) as wrapped:
            wrapped.sendall(b"hello " + wrapped.recv(3))

    assert knock(served(talk)) == b"hello GET"


def test_a_stranger_without_a_key_of_a_member_is_refused(
    served: Callable[[Serve], tuple[str, int]], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED

    def refuse(accepted: socket.socket) -> None:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(accepted, server_side=True)

    assert knock(served(refuse)) == b""


def test_what_never_comes_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0)
    with pytest.raises(Failure, match="the sun is up"):
        demo.until("the sun is up", lambda: False)
    demo.until("the sun is up", lambda: True)


def test_what_is_not_as_promised_is_a_failure() -> None:
    demo.expect(True, "")
    with pytest.raises(Failure, match="a change was lost"):
        demo.expect(False, "a change was lost")


def test_a_daemon_that_does_not_start_ends_the_demo_with_1_and_its_words(
    nogg: Nogg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no room for noggd >&2\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for more in ([], ["--json"]):
        run = nogg("demo", *more)
        assert run.status == 1
        assert "no room for noggd" in run.out + run.err
    assert not list(tmp_path.glob("nogg-demo-*")), "the folder is gone"


def test_a_folder_too_deep_for_sockets_is_named(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    with pytest.raises(Failure, match="TMPDIR"):
        Device("laptop", deep)


def test_the_story_numbers_its_steps(capsys: pytest.CaptureFixture[str]) -> None:
    story = demo.Story(quiet=False)
    story.step("First.", lambda: ["done"])
    story.step("Then.", list)
    out = capsys.readouterr().out
    assert "1. First.\n   done\n" in out
    assert [step["step"] for step in story.steps] == ["First.", "Then."]
    demo.Story(quiet=True).say("hush")
    assert capsys.readouterr().out == ""
