"""What a device wrote stays when it leaves, also when whoever took it over leaves later."""

from noggd.domain.changes import Origin
from noggd.domain.document import Document
from noggd.domain.hlc import HybridClock
from noggd.domain.session import Session

NOW = 1_700_000_000_000


def session(device: str, client: int) -> Session:
    return Session("default", device, HybridClock(), Document(client, device))


def merge(source: Session, target: Session) -> None:
    assert source.maps.document is not None
    assert target.maps.document is not None
    source.maps.flush()
    update = source.maps.document.missing(target.maps.document.state_vector)
    target.merge(update, Origin(source.maps.device))
    target.maps.flush()


def test_of_two_adoptions_the_newer_one_stays_when_its_adopter_leaves() -> None:
    a, b, c = session("dA", 7), session("dB", 8), session("dC", 9)
    c.perform(lambda: c.register(NOW, "m.1", "old"), Origin("dC"))
    merge(c, a)
    c.perform(lambda: c.update(NOW + 1, "m.1", {"view": "new"}), Origin("dC"))
    merge(c, b)
    a.adopt("dC")  # it had not heard the last word
    b.adopt("dC")
    for each in (a, b):
        each.maps.set_members(frozenset({"dA", "dB"}))
    merge(b, a)
    a.adopt("dB")
    a.maps.set_members(frozenset({"dA"}))
    a.refresh(Origin("dA"))
    assert a.references["m.1"].view == "new"
