import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noggd.services.local_api import requests
from noggd.services.local_api.requests import NO_ID, Refused, parse

HEAD = b'{"jsonrpc":"2.0","id":1,"method":"m"'


def nested(depth: int) -> bytes:
    """A request whose parameters are nested so that the whole line is `depth` deep."""
    return HEAD + b',"params":' + b'{"a":' * (depth - 2) + b"[]" + b"}" * (depth - 2) + b"}"


def refused(line: bytes) -> tuple[int, bytes]:
    with pytest.raises(Refused) as error:
        parsed(line)
    return error.value.error.code, error.value.id


def parsed(line: bytes) -> tuple[bytes, str, object]:
    """Parse and examine, as the pipeline does before it refuses parameters."""
    id_, method, params = parse(line)
    requests.examine(line, params, id_)
    return id_, method, params


def test_a_request_is_taken_apart() -> None:
    assert parse(HEAD + b',"params":{"a":[1,"x"]}}') == (b"1", "m", {"a": [1, "x"]})
    assert parse(HEAD + b"}\r\n") == (b"1", "m", None)


@pytest.mark.parametrize(
    ("sent", "back"),
    [
        (b"0", b"0"),
        (b"-9007199254740991", b"-9007199254740991"),
        (b"1.5", b"1.5"),
        (b"null", b"null"),
        (b'"a"', b'"a"'),
        (b'"\\u00e4\\n"', '"ä\\n"'.encode()),
        (b'""', b'""'),
    ],
)
def test_an_id_comes_back_as_it_was(sent: bytes, back: bytes) -> None:
    assert parse(b'{"jsonrpc":"2.0","id":%b,"method":"m"}' % sent)[0] == back


def test_no_id_means_no_answer() -> None:
    assert parse(b'{"jsonrpc":"2.0","method":"m"}')[0] == NO_ID


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"{",
        b'{"jsonrpc":"2.0","id":1,"method":"m"',
        HEAD + b"} {}",
        HEAD + b',"params":{"a":NaN}}',
        HEAD + b',"params":{"a":Infinity}}',
        HEAD + b',"params":{"a":-Infinity}}',
        HEAD + b',"params":{"a":1e400}}',
        HEAD + b',"params":{"a":-1e400}}',
        HEAD + b',"params":{"a":' + b"9" * 310 + b".0}}",
        HEAD + b',"params":{},"b":1e400,"c":1}',
        b'{"jsonrpc":"2.0","id":1e400,"method":"m"}',
        HEAD + b',"params":{"a":"\\ud800","b":1e400}}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf" + HEAD + b"}",
        b'{"a":"\n"}',
        b"{\"a\":'b'}",
        b"[" * 20 + b"}",
    ],
)
def test_what_is_not_json(line: bytes) -> None:
    assert refused(line) == (-32700, b"null")


@pytest.mark.parametrize("line", [b"[]", b"[" + HEAD + b"}]", b"1", b'"x"', b"null", b"true", b"{}"])
def test_what_is_no_request(line: bytes) -> None:
    assert refused(line) == (-32600, b"null")


@pytest.mark.parametrize(
    ("line", "id_"),
    [
        (b'{"id":7,"method":"m"}', b"7"),
        (b'{"jsonrpc":"1.0","id":7,"method":"m"}', b"7"),
        (b'{"jsonrpc":2.0,"id":7,"method":"m"}', b"7"),
        (b'{"jsonrpc":"2.0","id":7}', b"7"),
        (b'{"jsonrpc":"2.0","id":7,"method":5}', b"7"),
        (b'{"jsonrpc":"2.0","method":null}', b"null"),
        (b'{"jsonrpc":"2.0","id":true,"method":"m"}', b"null"),
        (b'{"jsonrpc":"2.0","id":{},"method":"m"}', b"null"),
        (b'{"jsonrpc":"2.0","id":[1],"method":"m"}', b"null"),
    ],
)
def test_half_a_request_is_answered_under_its_id_if_it_has_one(line: bytes, id_: bytes) -> None:
    assert refused(line) == (-32600, id_)


@pytest.mark.parametrize("depth", [33, 34, 150])
def test_deep_nesting_is_refused_under_the_id(depth: int) -> None:
    assert refused(nested(depth)) == (-32600, b"1")


@pytest.mark.parametrize("depth", [250, 5_000])
def test_nesting_too_deep_to_look_for_an_id(depth: int) -> None:
    assert refused(nested(depth)) == (-32600, b"null")


def test_nesting_up_to_32_is_taken() -> None:
    line = nested(32)
    assert parsed(line)[:2] == (b"1", "m")


def test_brackets_in_strings_are_no_nesting() -> None:
    line = HEAD + b',"params":{"a":"' + b"[{" * 50 + b'\\"' + b"[" * 50 + b'"}}'
    assert parsed(line)[0] == b"1"


def test_half_a_surrogate_pair_is_an_invalid_parameter() -> None:
    with pytest.raises(Refused) as error:
        parse(HEAD + b',"params":{"password":"geheim\\ud800","list":[1,"\\udfff"]}}')
    assert error.value.error.code == -32602
    assert error.value.id == b"1"
    paths = [fault["path"] for fault in error.value.error.data["errors"]]  # type: ignore[attr-defined]
    assert paths == ["password", "list.1"]
    assert "geheim" not in json.dumps(error.value.error.to_wire())


def test_a_name_that_no_parameter_has_is_not_repeated() -> None:
    with pytest.raises(Refused) as error:
        parse(HEAD + b',"params":{"my secret!":"\\ud800"}}')
    assert "secret" not in json.dumps(error.value.error.to_wire())


@pytest.mark.parametrize("params", [b'{"a":' + b"9" * 5000 + b"}", b'{"a":"\\ud800"}'])
def test_without_an_id_a_bad_parameter_is_not_answered(params: bytes) -> None:
    assert refused(b'{"jsonrpc":"2.0","method":"m","params":%b}' % params) == (-32602, NO_ID)


def test_an_integer_of_thousands_of_digits_is_an_invalid_parameter() -> None:
    assert refused(HEAD + b',"params":{"a":' + b"9" * 5000 + b"}}") == (-32602, b"1")
    assert refused(b'{"jsonrpc":"2.0","id":9007199254740992,"method":"m"}') == (-32602, b"null")


def test_a_surrogate_pair_is_text() -> None:
    assert parse(HEAD + b',"params":{"a":"\\ud83d\\ude00"}}')[2] == {"a": "😀"}


def test_large_lines_are_told_by_their_beginning() -> None:
    assert requests.may_be_large(b' {"jsonrpc":"2.0","method" : "session.import","params":{')
    assert requests.may_be_large(b'{"params":{"document":{')
    assert not requests.may_be_large(b'{"method":"reference.register","params":{')
    assert not requests.may_be_large(b"aaaaaaaa")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_parsed_or_refused(line: bytes) -> None:
    code, method = 0, "refused"
    try:
        _, method, _ = parsed(line)
    except Refused as error:
        code = error.error.code
    assert code in (0, -32700, -32600, -32602)
    assert isinstance(method, str)


@given(st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "x"]), JSON | st.just("2.0")))
def test_what_the_quick_way_takes_is_what_a_strict_reader_takes(message: dict[str, object]) -> None:
    line = json.dumps(message).encode()
    try:
        id_, method, params = parse(line)
        requests.examine(line, message, id_)
    except Refused:
        return
    read = json.loads(line)
    assert (method, params) == (read["method"], read.get("params"))
    assert id_ == NO_ID if "id" not in read else json.loads(id_) == read["id"]
    assert not any(isinstance(value, float) and math.isinf(value) for value, _ in requests._walk(read))
