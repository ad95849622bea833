from noggd.domain.frames import Step1, Step2, Stored, Update
from noggd.domain.rescue import Rescue

NOTHING = b"\0"


def test_every_document_that_the_peer_names_is_fetched_whole() -> None:
    rescue = Rescue()
    assert rescue.begin() == [Step1("person", NOTHING)]
    for name in ("person", "session/a", "session/b"):
        assert rescue.receive(Step1(name, b"\1\7\1")) == []
    assert rescue.receive(Update("session/a", b"later")) == []
    assert rescue.receive(Step2("person", b"P")) == [Step1("session/a", NOTHING), Step1("session/b", NOTHING)]
    assert rescue.receive(Stored("person", NOTHING)) == []
    assert rescue.receive(Step2("session/b", b"B")) == []
    assert set(rescue.states) == {"person", "session/b"}
    assert rescue.receive(Step2("session/a", b"A")) == []
    assert rescue.complete
    assert rescue.states == {"person": b"P", "session/a": b"A", "session/b": b"B"}


def test_a_peer_with_one_document_is_done_at_once() -> None:
    rescue = Rescue()
    rescue.begin()
    rescue.receive(Step1("person", b"\1\7\1"))
    assert rescue.receive(Step2("person", b"P")) == []
    assert rescue.complete
    rescue.receive(Step2("person", b"later"))
    assert rescue.states == {"person": b"P"}
