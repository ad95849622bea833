"""The wire as it is seen from outside: shells, foreign users, lines of every kind. One daemon serves them all."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nogg.wire import LARGE_REQUEST_LIMIT, REQUEST_LIMIT
from tests.daemons import Daemon, running
from tests.lines import Line, request

A = "alpha.aaaaaaaaaaaaaaaa"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="nogg-") as folder, running(Path(folder)) as daemons:
        found = daemons.start()
        yield found
        assert found.stop() == 0, found.words()
        assert "fault" not in found.words()
        assert "failed" not in found.words()


@pytest.fixture
def line(daemon: Daemon) -> Iterator[Line]:
    found = Line(daemon.socket)
    yield found
    found.close()


KEYS = request(99, "session.keys")

# shells


PIPES = {
    "nc -U -N": ["nc", "-U", "-N"],
    "nc -q1 -U": ["nc", "-q1", "-U"],
    "socat": ["socat", "-t10", "-"],
}


@pytest.mark.parametrize("pipe", PIPES)
def test_a_shell_gets_all_its_replies(daemon: Daemon, pipe: str) -> None:
    """`printf … | nc`: the connection is half closed before the disk has answered."""
    program = PIPES[pipe]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed (packages netcat-openbsd, socat)")
    if program[0] == "nc" and "-N" not in subprocess.run(["nc", "-h"], capture_output=True, text=True).stderr:
        pytest.skip("this nc is not OpenBSD's (package netcat-openbsd)")
    where = f"UNIX-CONNECT:{daemon.socket}" if program[0] == "socat" else str(daemon.socket)
    calls = [request(n, "reference.register", microcosmID=f"shell.{n}") for n in range(20)]
    calls.append(request(20, "reference.list"))
    done = subprocess.run([*program, where], input=b"\n".join(calls) + b"\n", capture_output=True, timeout=60)
    replies = [json.loads(reply) for reply in done.stdout.splitlines()]
    assert [reply["id"] for reply in replies] == list(range(21)), done.stderr
    listed = {reference["microcosmID"] for reference in replies[-1]["result"]["references"]}
    assert {f"shell.{n}" for n in range(20)} <= listed


# users


@pytest.mark.root
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, to be somebody else")
def test_another_user_is_refused(daemons: Any) -> None:
    """The modes keep strangers out; where somebody opened them, the kernel's word on who it is still does."""
    found = daemons.start()
    script = (
        "import os, socket, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(20)\n"
        "s.connect(sys.argv[1])\n"
        'try: s.sendall(b\'{"jsonrpc":"2.0","id":1,"method":"session.get"}\\n\')\n'
        "except BrokenPipeError: pass\n"
        "while data := s.recv(4096): sys.stdout.write(data.decode())\n"
    )

    def knock() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, str(found.socket)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")

    assert "PermissionError" in knock().stderr
    found.folder.parent.chmod(0o755)
    found.folder.chmod(0o755)
    found.socket.chmod(0o666)
    done = knock()
    assert done.stderr == ""
    reply = json.loads(done.stdout)
    assert reply["id"] is None
    assert (reply["error"]["code"], reply["error"]["data"]["type"]) == (2, "forbidden")
    assert found.call("session.keys")


# lines


@pytest.mark.parametrize(
    ("sent", "code", "id_"),
    [
        (b"nonsense", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"session.get","params":{"session":NaN}}', -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"session.get","params":{"session":1e400}}', -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"session.get","params":{"x":Infinity}}', -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" + KEYS + b"]", -32600, None),
        (b"[]", -32600, None),
        (b"17", -32600, None),
        (b'{"id":1,"method":"session.keys"}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":1}', -32600, 1),
        (request(1, "session.get", x=json.loads("[" * 33 + "]" * 33)), -32600, 1),
        (b"[" * 5000, -32600, None),
        (request(1, "no.such.method"), -32601, 1),
        (request(1, "reference.get"), -32602, 1),
        (request(1, "reference.get", microcosmID=A, colour="red"), -32602, 1),
        (request(1, "reference.list", limit=2**53), -32602, 1),
        (request(1, "reference.register", microcosmID=A, password="\ud800"), -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"reference.get","params":["x"]}', -32602, 1),
        (request(1, "hello", protocol=2), 1, 1),
        (request(1, "reference.register", microcosmID=A, if_revision=77), 3, 1),
        (request(1, "reference.update", microcosmID="no.such", view="x"), 4, 1),
        (request(1, "sync.wait", devices="any", timeout_s=0.01), 11, 1),
    ],
)
def test_a_refusal_keeps_the_connection(line: Line, sent: bytes, code: int, id_: object) -> None:
    line.send(sent, KEYS)
    reply = line.read()
    assert (reply["id"], reply["error"]["code"]) == (id_, code)
    assert reply["error"]["data"]["type"]
    assert isinstance(reply["error"]["message"], str)
    assert line.read()["id"] == 99, "the next request works"


def test_crlf_and_blank_lines(line: Line) -> None:
    line.socket.sendall(b"\r\n\n" + KEYS + b"\r\n\r\n" + KEYS + b"\n")
    assert [line.read()["id"], line.read()["id"]] == [99, 99]


def test_replies_in_the_order_of_requests(line: Line) -> None:
    calls = []
    for number in range(100):
        method = ("reference.register", "reference.get", "no.such")[number % 3]
        calls.append(request(number, method, microcosmID=f"order.{number}"))
    line.send(*calls)
    assert [line.read()["id"] for _ in calls] == list(range(100))


def test_a_request_without_an_id_is_carried_out_and_not_answered(line: Line) -> None:
    silent = {"jsonrpc": "2.0", "method": "reference.register", "params": {"microcosmID": "silent.one"}}
    line.send(json.dumps(silent).encode(), b'{"jsonrpc":"2.0","method":"no.such"}')
    line.send(request("q", "reference.get", microcosmID="silent.one", touch=False))
    reply = line.read()
    assert reply["id"] == "q"
    assert reply["result"]["microcosmID"] == "silent.one"


def test_a_line_of_a_megabyte_is_taken_and_one_more_byte_is_not(line: Line, daemon: Daemon) -> None:
    line.send(KEYS.ljust(REQUEST_LIMIT))
    assert line.read()["id"] == 99
    line.send(KEYS.ljust(REQUEST_LIMIT + 1))
    reply = line.read()
    assert (reply["id"], reply["error"]["code"]) == (None, 5)
    assert line.ended()
    assert daemon.call("session.keys")


@pytest.mark.parametrize("method", ["session.import", "session.set"])
def test_the_large_methods_take_sixteen(line: Line, method: str, daemon: Daemon) -> None:
    document: dict[str, object] = {"microcosms": []}
    params = {"document": document} if method == "session.import" else document
    sent = request(1, method, session=f"large-{method.partition('.')[2]}", **params)
    line.send(sent.ljust(LARGE_REQUEST_LIMIT))
    assert "result" in line.read()
    line.send(sent.ljust(LARGE_REQUEST_LIMIT + 1))
    assert line.read()["error"]["code"] == 5
    assert line.ended()
    assert daemon.call("session.keys")


def test_no_password_in_an_error_or_in_the_log(line: Line, daemon: Daemon) -> None:
    secret = "correct-horse-battery"
    sent = [
        request(1, "reference.register", microcosmID="not valid!", password=secret),
        request(2, "reference.register", microcosmID=A, password=secret * 100),
        request(3, "reference.register", microcosmID=A, password={"x": secret}),
        request(4, "reference.register", microcosmID=A, **{secret: 1}),
        request(5, secret, microcosmID=A),
        b'{"jsonrpc":"2.0","id":6,"method":"reference.register","params":{"password":"%b' % secret.encode(),
    ]
    line.send(*sent)
    replies = json.dumps([line.read() for _ in sent])
    assert secret not in replies.replace(f"no such method {secret}", "")
    assert secret not in daemon.words()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
METHOD = st.sampled_from(
    ["reference.get", "reference.register", "session.set", "session.import", "active.set"]
)
REQUEST = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": st.integers(0, 9), "method": METHOD | st.text(max_size=10)},
    optional={
        "params": st.dictionaries(st.sampled_from(["microcosmID", "session", "password", "x"]), JSON) | JSON
    },
)
LINES = st.lists(
    st.binary(max_size=60)
    | JSON.map(lambda v: json.dumps(v).encode())
    | REQUEST.map(lambda v: json.dumps(v).encode()),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, cut=st.integers(1, 50))
def test_whatever_is_sent_the_connection_answers_and_lives(line: Line, lines: list[bytes], cut: int) -> None:
    """Each line with something in it is answered, in order, however the bytes are cut; then the next one works."""
    data = b"".join(each.replace(b"\n", b" ") + b"\n" for each in lines) + KEYS + b"\n"
    for start in range(0, len(data), cut):
        line.socket.sendall(data[start : start + cut])
    answers = []
    while (reply := line.read()).get("id") != 99:
        answers.append(reply)
    assert len(answers) == sum(bool(each.replace(b"\n", b" ").strip()) for each in lines)
    assert all(reply["jsonrpc"] == "2.0" and ("result" in reply) != ("error" in reply) for reply in answers)
    assert not any(reply["error"]["code"] == -32603 for reply in answers if "error" in reply)
