import base64
import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nogg.errors import ProtocolError
from nogg.ids import identity_id
from noggd.domain import pake
from noggd.domain.codes import Code
from noggd.domain.devices import Certificate
from noggd.domain.pairing import GUESSES, PARALLEL, Answer, Invitation, Joining, about
from noggd.domain.pairing_wire import MAX_MESSAGE, Refused
from tests.unit.domain.group import Device, World

INVITER, JOINER, MALLORY = Device(1), Device(2), Device(3)
CODE = Code(17, (10, 20, 30))
WRONG = Code(17, (10, 20, 31))


def random_bytes(seed: int) -> Callable[[int], bytes]:
    import random

    return random.Random(seed).randbytes


def exchange(*, inviter: bool, code: Code = CODE, seed: int = 0) -> pake.Exchange:
    return pake.begin(code.password, inviter=inviter, random=random_bytes(seed + inviter))


def invitation(runs: int = 3, device: Device = INVITER) -> Invitation:
    prepared = [exchange(inviter=True, seed=10 * run) for run in range(runs)]
    return Invitation(CODE, device.certificate, prepared, expires_at=600)


def joining(
    code: Code = CODE, shown: Certificate = INVITER.certificate, device: Device = JOINER, seed: int = 500
) -> Joining:
    told = about("phone", [identity_id(b"j" * 27)], ["10.0.0.2:7734"])
    return Joining(code, device, shown, exchange(inviter=False, code=code, seed=seed), told)


def welcome(answer: Answer) -> bytes:
    world = World(INVITER)
    world.add(INVITER, JOINER)
    return answer.welcome(
        [world.genesis, *world.said], {INVITER.id: ["10.0.0.1:7734"], MALLORY.id: ["6.6.6.6:6"]}, True, "desk"
    )


def test_the_right_code_pairs() -> None:
    invited = invitation()
    answer, join = invited.begin(0), joining()
    joiner = answer.proof(join.proof(answer.element(join.element())), 0)
    assert joiner.certificate == JOINER.certificate
    assert joiner.name == "phone"
    assert joiner.identities == (identity_id(b"j" * 27),)
    assert joiner.addresses == ("10.0.0.2:7734",)
    welcomed = join.finish(welcome(answer))
    assert set(welcomed.group.members) == {INVITER.id, JOINER.id}
    assert welcomed.inviter == INVITER.id
    assert welcomed.addresses == {INVITER.id: ("10.0.0.1:7734",)}
    assert welcomed.named
    assert welcomed.name == "desk"


def test_a_code_works_once() -> None:
    invited = invitation()
    answer, join = invited.begin(0), joining()
    answer.proof(join.proof(answer.element(join.element())), 0)
    assert not invited.is_open(0)
    with pytest.raises(Refused, match="used"):
        invited.begin(0)


def guess(invited: Invitation, code: Code, now: float = 0) -> None:
    answer, join = invited.begin(now), joining(code)
    try:
        answer.proof(join.proof(answer.element(join.element())), now)
    finally:
        invited.end()


def test_three_wrong_guesses_end_it_and_the_right_code_comes_too_late() -> None:
    invited = invitation(runs=5)
    for left in range(GUESSES, 0, -1):
        assert invited.guesses == left
        with pytest.raises(Refused, match="wrong code"):
            guess(invited, WRONG)
    assert invited.closed == "guesses"
    with pytest.raises(Refused, match="expired, was used"):
        guess(invited, CODE)


def test_the_right_code_after_a_wrong_one_pairs() -> None:
    invited = invitation()
    with pytest.raises(Refused, match="wrong code"):
        guess(invited, WRONG)
    guess(invited, CODE)
    assert invited.closed == "used"


def test_parallel_wrong_guesses_are_counted_before_they_are_compared() -> None:
    """However many runs were started before the first one guessed, three are looked at."""
    invited = invitation(runs=PARALLEL)
    proofs = []
    for run in range(PARALLEL):
        answer, join = invited.begin(0), joining(WRONG, seed=1000 + run)
        proofs.append((answer, join.proof(answer.element(join.element()))))
    reasons = []
    for answer, proof in proofs:
        with pytest.raises(Refused) as caught:
            answer.proof(proof, 0)
        reasons.append(caught.value.reason)
    assert reasons == ["code"] * GUESSES + ["closed"] * (PARALLEL - GUESSES)


def test_a_guess_is_spent_even_if_looking_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    invited = invitation()
    answer, join = invited.begin(0), joining()
    proof = join.proof(answer.element(join.element()))

    def fail(one: bytes, other: bytes) -> bool:
        assert invited.guesses == GUESSES - 1
        raise KeyboardInterrupt

    monkeypatch.setattr("noggd.domain.pairing.hmac.compare_digest", fail)
    with pytest.raises(KeyboardInterrupt):
        answer.proof(proof, 0)
    assert invited.guesses == GUESSES - 1


def test_runs_that_break_off_cost_no_guess_but_are_counted() -> None:
    invited = invitation(runs=5)
    for run in range(5):
        invited.begin(0).element(joining(seed=run).element())
        invited.end()
    assert invited.guesses == GUESSES
    assert not invited.is_open(0)
    assert invited.closed == "runs"


def test_four_runs_at_a_time() -> None:
    invited = invitation(runs=PARALLEL + 1)
    for _ in range(PARALLEL):
        invited.begin(0)
    with pytest.raises(Refused, match="too many"):
        invited.begin(0)
    invited.end()
    invited.begin(0)


def test_time_ends_it_also_in_the_middle_of_a_run() -> None:
    invited = invitation()
    answer, join = invited.begin(599), joining()
    proof = join.proof(answer.element(join.element()))
    with pytest.raises(Refused, match="expired"):
        answer.proof(proof, 600)
    assert invited.closed == "expired"
    assert invited.guesses == GUESSES


def test_a_cancelled_invitation_ends_its_runs() -> None:
    invited = invitation()
    answer, join = invited.begin(0), joining()
    proof = join.proof(answer.element(join.element()))
    invited.close("cancelled")
    with pytest.raises(Refused):
        answer.proof(proof, 0)


def man_in_the_middle(shown: Certificate) -> None:
    """Mallory owns both connections and relays every message as it is; the joiner has the right code."""
    answer, join = invitation().begin(0), joining(shown=shown)
    answer.proof(join.proof(answer.element(join.element())), 0)


def test_a_man_in_the_middle_who_relays_everything_is_refused() -> None:
    with pytest.raises(Refused, match="wrong code"):
        man_in_the_middle(shown=MALLORY.certificate)


def test_without_the_binding_to_what_tls_showed_he_would_get_through() -> None:
    """The ablation: a joiner that believes a claimed key instead of the connection's pairs through him."""
    man_in_the_middle(shown=INVITER.certificate)


def swap(message: bytes, **fields: object) -> bytes:
    return json.dumps(json.loads(message) | fields).encode()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_swapped_joiner_key_is_refused() -> None:
    answer, join = invitation().begin(0), joining()
    second = answer.element(swap(join.element(), key=text(MALLORY.certificate.key)))
    with pytest.raises(Refused, match="wrong code"):
        answer.proof(join.proof(second), 0)


def test_a_joiner_that_does_not_hold_its_key_is_refused() -> None:
    class Impostor:
        certificate = JOINER.certificate

        def sign(self, message: bytes) -> bytes:
            return MALLORY.sign(message)

    answer = invitation().begin(0)
    side = exchange(inviter=False, seed=5)
    join = Joining(CODE, Impostor(), INVITER.certificate, side, about("x", [], []))
    with pytest.raises(ProtocolError, match="does not hold"):
        answer.proof(join.proof(answer.element(join.element())), 0)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (about("a\u202eb", [], []), "name"),
        (about("", [], []), "name"),
        (about("a", ["nobody"], []), "identity"),
        (about("a", [identity_id(b"%27d" % n) for n in range(65)], []), "identities"),
        ({"name": "a", "identities": None}, "identities"),
        ({"name": ["a"], "identities": []}, "name"),
    ],
)
def test_a_joiner_that_tells_nonsense_is_refused(told: dict[str, object], why: str) -> None:
    answer = invitation().begin(0)
    join = Joining(CODE, JOINER, INVITER.certificate, exchange(inviter=False, seed=5), told)
    with pytest.raises(ProtocolError, match=why):
        answer.proof(join.proof(answer.element(join.element())), 0)


def test_the_wrong_inviter_cannot_confirm() -> None:
    """Who does not know the code cannot make the joiner believe it has paired."""
    join = joining()
    mallory = Invitation(
        WRONG, MALLORY.certificate, [pake.begin(b"x", inviter=True, random=random_bytes(3))], 9
    )
    answer = mallory.begin(0)
    join.proof(answer.element(join.element()))
    assert answer._keys is not None
    with pytest.raises(Refused, match="wrong code"):
        join.finish(welcome(answer))


def with_welcome(statements: object) -> None:
    answer, join = invitation().begin(0), joining()
    answer.proof(join.proof(answer.element(join.element())), 0)
    assert answer._keys is not None
    fields = {"certificate": text(INVITER.certificate.der), "statements": statements, "addresses": []}
    box = answer._keys.seal("inviter", fields)
    join.finish(
        json.dumps({"confirm": text(answer._keys.confirmation("inviter")), "box": text(box)}).encode()
    )


def test_a_welcome_must_hold_a_group_of_both() -> None:
    world = World(INVITER)
    alone = [world.genesis.raw.decode()]
    both = [*alone, world.add(INVITER, JOINER).raw.decode()]
    other = World(MALLORY)
    stranger = [other.genesis.raw.decode(), other.add(MALLORY, JOINER).raw.decode()]
    for bad in (None, [], "x", [1], alone, stranger, both[1:], [*both, "{}"], ["\ud800"]):
        with pytest.raises(ProtocolError):
            with_welcome(bad)
    with_welcome(both)


def test_a_welcome_for_another_connection_is_refused() -> None:
    answer, join = invitation().begin(0), joining()
    answer.proof(join.proof(answer.element(join.element())), 0)
    assert answer._keys is not None
    fields = {"certificate": text(MALLORY.certificate.der), "statements": [], "addresses": {}}
    box = answer._keys.seal("inviter", fields)
    message = {"confirm": text(answer._keys.confirmation("inviter")), "box": text(box)}
    with pytest.raises(ProtocolError, match="connection"):
        join.finish(json.dumps(message).encode())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v": 2}, "version"),
        ({"v": None}, "version"),
        ({"number": 18}, "number"),
        ({"number": "17"}, "number"),
        ({"key": text(INVITER.certificate.key)}, "self"),
    ],
)
def test_first_messages_that_are_refused_with_a_reason(changes: dict[str, object], reason: str) -> None:
    answer = invitation(runs=1).begin(0)
    with pytest.raises(Refused) as caught:
        answer.element(swap(joining().element(), **changes))
    assert caught.value.reason == reason
    with pytest.raises(Refused) as told:
        joining().proof(caught.value.message)
    assert told.value.reason == reason


def bad_elements(side: bytes, good: bytes, reflected: bytes) -> Iterator[bytes]:
    """What is no fresh point of `side`: short, long, identity, small order, no point, its own, the wrong side's."""
    yield from (b"", side, bytes(33), side + bytes(32), good[:-1], good + b"\0", reflected, side * 1_000_000)
    yield side + reflected[1:]
    yield reflected[:1] + good[1:]
    yield side + (1).to_bytes(32, "little")
    yield side + ((1 << 255) - 20).to_bytes(32, "little")
    yield side + bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    yield side + b"\xff" * 32


def test_bad_elements_are_refused() -> None:
    from_joiner, from_inviter = exchange(inviter=False).message, exchange(inviter=True).message
    for element in bad_elements(b"A", from_joiner, from_inviter):
        answer = Invitation(CODE, INVITER.certificate, [exchange(inviter=True)], 600).begin(0)
        with pytest.raises(ProtocolError):
            answer.element(swap(joining().element(), pake=text(element)))
    for element in bad_elements(b"B", from_inviter, from_joiner):
        join = Joining(CODE, JOINER, INVITER.certificate, exchange(inviter=False), about("x", [], []))
        with pytest.raises(ProtocolError):
            join.proof(json.dumps({"pake": text(element)}).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
messages = (
    st.binary(max_size=100)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(
        st.sampled_from(["v", "number", "key", "pake", "confirm", "box", "refused"]), json_values
    ).map(lambda value: json.dumps(value).encode())
)


@given(messages)
@settings(deadline=None, max_examples=30)
def test_every_message_is_read_or_refused(message: bytes) -> None:
    answer, join = invitation(runs=1).begin(0), joining()
    with pytest.raises((ProtocolError, Refused)):
        answer.element(message)
    with pytest.raises((ProtocolError, Refused)):
        joining().proof(message)
    join.proof(invitation(runs=1).begin(0).element(join.element()))
    with pytest.raises((ProtocolError, Refused)):
        join.finish(message)
    answer = invitation(runs=1).begin(0)
    answer.element(joining().element())
    with pytest.raises((ProtocolError, Refused)):
        answer.proof(message, 0)


@pytest.mark.parametrize("message", [b"[" * 10_000, b"1" * 5000, b"{" + b" " * MAX_MESSAGE, b'{"v":1e999}'])
def test_hostile_json_is_refused(message: bytes) -> None:
    with pytest.raises((ProtocolError, Refused)):
        invitation(runs=1).begin(0).element(message)


def test_an_unknown_refusal_is_still_a_refusal() -> None:
    with pytest.raises(Refused, match="could not finish"):
        joining().proof(b'{"refused":"something newer"}')
    with pytest.raises(Refused, match="could not finish"):
        joining().proof(b'{"refused":["code"]}')
