"""What each member asks: every request is one that the daemon takes."""

import pytest

from nogg.client import requests
from nogg.client.requests import KEEP, Request
from nogg.client.state import Reference
from nogg.errors import InvalidParams, ProtocolError
from nogg.methods import METHODS

KNOWN = Reference("a.b", 5, "p", "v", 3)

REQUESTS: list[tuple[Request[object], dict[str, object]]] = [
    (requests.register("a", None, None, None), {"microcosmID": "a"}),
    (requests.register("a", "v", "", 0), {"microcosmID": "a", "view": "v", "password": "", "if_revision": 0}),
    (requests.get("a", False), {"microcosmID": "a", "touch": False}),
    (requests.update("a", KEEP, None, 4), {"microcosmID": "a", "password": None, "if_revision": 4}),
    (requests.update("a", "v", KEEP, None), {"microcosmID": "a", "view": "v"}),
    (requests.remove("a", None), {"microcosmID": "a"}),
    (requests.set_active(None), {"microcosmID": None}),
    (requests.set_state({"active": None}, 7), {"active": None, "if_revision": 7}),
    (
        requests.set_state({"microcosms": [KNOWN, {"microcosmID": "c"}]}, None),
        {
            "microcosms": [
                {"microcosmID": "a.b", "lastAccessed": 5, "password": "p", "view": "v"},
                {"microcosmID": "c"},
            ]
        },
    ),
    (
        requests.set_state({"microcosms": {"a.b": KNOWN, "c": {"view": "w"}}}, None),
        {
            "microcosms": [
                {"microcosmID": "a.b", "lastAccessed": 5, "password": "p", "view": "v"},
                {"microcosmID": "c", "view": "w"},
            ]
        },
    ),
    (requests.reset(None), {}),
    (requests.identity(), {}),
    (requests.set_identity({"username": "Ada"}), {"username": "Ada"}),
]


@pytest.mark.parametrize(("request_", "params"), REQUESTS, ids=lambda value: getattr(value, "method", ""))
def test_a_request_is_one_that_the_daemon_takes(request_: Request[object], params: dict[str, object]) -> None:
    assert request_.params == params
    METHODS[request_.method].validate(request_.params)


def test_answers_are_read() -> None:
    wire = {"microcosmID": "a.b", "lastAccessed": 5, "password": "p", "view": "v", "revision": 3}
    assert requests.register("a", None, None, None).read(wire) == KNOWN
    assert requests.get("a", True).read(False) is False
    assert requests.get("a", True).read(wire) == KNOWN
    assert requests.remove("a", None).read({"removed": True}) is True
    assert requests.reset(None).read({"revision": 1}) is None


@pytest.mark.parametrize("answer", [None, True, {}, []])
def test_answers_that_make_no_sense_are_protocol_errors(answer: object) -> None:
    for request_ in (
        requests.register("a", None, None, None),
        requests.get("a", True),
        requests.remove("a", None),
    ):
        with pytest.raises(ProtocolError):
            request_.read(answer)


def test_an_unknown_key_is_refused_as_the_daemon_would() -> None:
    with pytest.raises(InvalidParams) as caught:
        requests.set_state({"session": "other"}, None)
    assert caught.value.errors[0]["path"] == "session"


def test_the_time_that_a_call_takes_by_itself() -> None:
    assert requests.own_time({"timeout_s": 30}) == 30.0
    assert requests.own_time({}) == 0.0
    assert requests.own_time({"timeout_s": "x"}) == 0.0
