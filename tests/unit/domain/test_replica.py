import pytest

from nogg.errors import ProtocolError
from noggd.domain import replica
from noggd.domain.frames import Hello, Step1, Step2, Stored, Summary, Update
from noggd.domain.replica import Action, Answer, Ask, Merge, Replica, Send
from noggd.domain.update import encode_state_vector

EMPTY = encode_state_vector({})
ONE = encode_state_vector({7: 1})
TWO = encode_state_vector({7: 2})
D, E = b"d" * 32, b"e" * 32


def vector(**clocks: int) -> bytes:
    return encode_state_vector({int(client[1:]): clock for client, clock in clocks.items()})


def answering(actions: list[Action]) -> Answer:
    found = [action for action in actions if isinstance(action, Answer)]
    assert len(found) == 1
    return found[0]


def live(document: str = "person") -> Replica:
    """A replica whose peer has asked and was answered, and that was answered itself."""
    one = Replica()
    one.begin({document: ONE})
    one.answered(answering(one.receive(Step1(document, ONE))), b"")
    one.receive(Step2(document, b""))
    return one


def test_a_link_begins_by_saying_what_there_is() -> None:
    assert Replica().begin({"person": ONE, "session/a": EMPTY}) == [
        Send(Step1("person", ONE)),
        Send(Step1("session/a", EMPTY)),
    ]


def test_the_peers_state_vector_is_answered_with_step_2() -> None:
    one = Replica()
    one.begin({"person": ONE})
    action = answering(one.receive(Step1("person", EMPTY)))
    assert action[:2] == ("person", EMPTY)
    assert one.answered(action, b"all") == [Send(Step2("person", b"all"))]


def test_no_change_goes_out_before_the_peers_state_vector_was_answered() -> None:
    one = Replica()
    assert one.changed("person", b"0") == [Ask("person")]
    assert one.changed("person", b"1") == []
    action = answering(one.receive(Step1("person", EMPTY)))
    assert one.changed("person", b"2") == []
    assert one.answered(action, b"all") == [Send(Step2("person", b"all")), Send(Update("person", b"2"))]
    assert one.changed("person", b"3") == [Send(Update("person", b"3"))]


def test_a_document_that_only_the_peer_has_is_asked_for() -> None:
    one = Replica()
    actions = one.receive(Step1("session/new", ONE))
    assert actions[0] == Ask("session/new")
    assert answering(actions)


def test_updates_are_merged_and_what_is_stored_is_acknowledged() -> None:
    one = live()
    (action,) = one.receive(Update("person", b"u"))
    assert isinstance(action, Merge)
    assert action[:2] == ("person", b"u")
    assert one.stored("person", TWO) == [Send(Stored("person", TWO))]


def test_what_the_peer_has_on_disk_is_known_and_only_grows() -> None:
    one = live()
    assert one.peer_has("person") == {7: 1}
    one.receive(Stored("person", vector(c7=3, c9=1)))
    one.receive(Stored("person", TWO))
    one.receive(Summary("person", vector(c9=2), D))
    assert one.peer_has("person") == {7: 3, 9: 2}
    assert one.peer_has("session/none") == {}


def test_the_peer_has_what_it_sent() -> None:
    one = live()
    one.receive(Update("person", b"u"))
    one.merged("person", {7: 2, 9: 5})
    one.merged("person", {7: 1})
    assert one.peer_has("person") == {7: 2, 9: 5}


def test_what_a_peer_has_is_not_known_in_part_before_it_said_what_it_has() -> None:
    """Or it would be taken for its state vector, and answered as one."""
    one = Replica()
    one.begin({"person": ONE})
    one.receive(Step2("person", b"all"))
    one.merged("person", {7: 2})
    assert one.peer_has("person") == {}
    assert one.summarise({"person": (TWO, D)}) == [Send(Summary("person", TWO, D))]


def test_a_peer_cannot_name_more_and_more_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "MAX_CLIENTS", 2)
    one = live()
    with pytest.raises(ProtocolError, match="more and more"):
        one.merged("person", {8: 1, 9: 1})


def test_a_gap_is_asked_about_once() -> None:
    one = live()
    (first,) = one.receive(Update("person", b"3"))
    (second,) = one.receive(Update("person", b"4"))
    assert isinstance(first, Merge)
    assert isinstance(second, Merge)
    assert one.refused(first) == [Ask("person")]
    assert one.refused(second) == []
    (answer,) = one.receive(Step2("person", b"2-4"))
    assert isinstance(answer, Merge)
    assert one.refused(answer) == []  # no endless exchange with a peer that answers nonsense
    (later,) = one.receive(Update("person", b"9"))
    assert isinstance(later, Merge)
    assert one.refused(later) == [Ask("person")]


def test_answers_that_nobody_asked_for_and_double_questions_are_faults() -> None:
    one = Replica()
    with pytest.raises(ProtocolError):
        one.receive(Step2("person", b""))
    one.receive(Step1("person", EMPTY))
    with pytest.raises(ProtocolError):
        one.receive(Step1("person", EMPTY))
    with pytest.raises(ProtocolError):
        one.receive(Hello(b""))


def test_a_broken_state_vector_is_a_fault() -> None:
    for frame in (Step1("person", b"\xff"), Stored("person", b""), Summary("person", b"\x01", D)):
        with pytest.raises(ProtocolError):
            Replica().receive(frame)


def test_the_number_of_documents_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "MAX_DOCUMENTS", 2)
    one = Replica()
    one.receive(Update("a", b""))
    one.receive(Update("b", b""))
    with pytest.raises(ProtocolError, match="too many"):
        one.receive(Update("c", b""))


# Summaries


def test_every_round_sums_up_each_document() -> None:
    assert live().summarise({"person": (ONE, D)}) == [Send(Summary("person", ONE, D))]


def test_a_new_document_is_asked_for_in_the_next_round() -> None:
    assert Replica().summarise({"session/a": (ONE, D)}) == [
        Ask("session/a"),
        Send(Summary("session/a", ONE, D)),
    ]


def test_equal_summaries_show_that_both_are_in_step() -> None:
    one, states = live(), {"person": (ONE, D)}
    assert not one.in_step(states)
    one.receive(Summary("person", ONE, D))
    assert one.in_step(states)
    assert one.summarise(states) == [Send(Summary("person", ONE, D))]
    assert one.in_step(states)
    assert not one.in_step({"person": (TWO, D)})
    assert not one.in_step({"person": (ONE, E)})
    assert not one.in_step({**states, "session/a": (ONE, D)})


@pytest.mark.parametrize("mine", [(TWO, D), (ONE, E)])
def test_a_peer_that_lacks_something_is_sent_it(mine: tuple[bytes, bytes]) -> None:
    """Also deletions, which no state vector shows."""
    one = live()
    one.receive(Summary("person", ONE, D))
    action = answering(one.summarise({"person": mine}))
    assert action.vector == ONE
    assert one.answered(action, b"rest") == [Send(Update("person", b"rest"))]


def test_a_peer_that_has_more_is_left_alone() -> None:
    one = live()
    one.receive(Summary("person", TWO, D))
    assert one.summarise({"person": (ONE, D)}) == [Send(Summary("person", ONE, D))]


@pytest.mark.parametrize("event", ["sent", "merged"])
def test_a_summary_from_before_something_moved_is_not_acted_on(event: str) -> None:
    one = live()
    one.receive(Summary("person", ONE, D))
    if event == "sent":
        one.changed("person", b"u")
    else:
        one.receive(Update("person", b"u"))
    assert one.summarise({"person": (TWO, D)}) == [Send(Summary("person", TWO, D))]


def test_a_question_that_comes_while_a_summary_is_answered_gets_its_own_answer() -> None:
    one = live()
    one.receive(Summary("person", ONE, D))
    old = answering(one.summarise({"person": (TWO, D)}))
    one.changed("person", b"u")
    new = answering(one.receive(Step1("person", ONE)))
    assert one.answered(old, b"old") == []
    assert one.answered(new, b"new") == [Send(Step2("person", b"new"))]


def test_changes_that_wait_are_bounded_and_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "MAX_WAITING", 10)
    one = Replica()
    action = answering(one.receive(Step1("person", ONE)))
    for _ in range(3):
        assert one.changed("person", b"12345") == []
    assert one.answered(action, b"late") == []
    assert one.changed("person", b"u") == []
    again = answering(one.summarise({"person": (TWO, D)}))
    assert again.vector == ONE
    assert one.answered(again, b"all") == [Send(Step2("person", b"all"))]
    assert one.changed("person", b"v") == [Send(Update("person", b"v"))]


def test_a_summary_of_a_document_that_was_never_heard_of_is_answered_by_asking() -> None:
    """Whatever became of the frame that should have told of it."""
    one = live()
    assert one.receive(Summary("session/new", ONE, D)) == [Ask("session/new")]
    assert one.receive(Summary("session/new", ONE, D)) == []


def test_who_lacks_something_waits_for_it_before_it_sends_deletions() -> None:
    """Else what it sends, round by round, would keep the other one from ever sending."""
    one = live()
    one.receive(Summary("person", TWO, E))
    assert one.summarise({"person": (ONE, D)}) == [Send(Summary("person", ONE, D))]
    answering(one.summarise({"person": (TWO, D)}))


# A clock far ahead


def test_content_is_held_back_and_then_made_up_for() -> None:
    one = Replica(held_back=True)
    assert one.begin({"person": ONE}) == [Send(Step1("person", ONE))]
    assert one.receive(Step1("person", EMPTY)) == []
    assert one.changed("person", b"u") == []
    one.receive(Summary("person", EMPTY, D))
    assert one.summarise({"person": (TWO, D)}) == [Send(Summary("person", TWO, D))]
    (action,) = one.receive(Step2("person", b"theirs"))
    assert isinstance(action, Merge)
    assert one.stored("person", TWO) == [Send(Stored("person", TWO))]
    answer = answering(one.hold_back(False))
    assert one.answered(answer, b"mine") == [Send(Step2("person", b"mine"))]
    assert one.changed("person", b"v") == [Send(Update("person", b"v"))]


def test_a_clock_that_runs_ahead_later_stops_what_is_on_its_way() -> None:
    one = live()
    one.receive(Summary("person", ONE, D))
    answer = answering(one.summarise({"person": (TWO, D)}))
    assert one.hold_back(True) == []
    assert one.hold_back(True) == []
    assert one.held_back
    assert one.answered(answer, b"rest") == []
    assert one.changed("person", b"u") == []
    answer = answering(one.hold_back(False))
    assert one.answered(answer, b"rest") == [Send(Update("person", b"rest"))]
