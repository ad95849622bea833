from noggd.domain.document import Document
from noggd.domain.hlc import HybridClock
from noggd.domain.person import Person

NOW = 1_700_000_000_000


def person(device: str, client: int) -> Person:
    return Person(device, HybridClock(), Document(client, device))


def sync(source: Person, target: Person) -> None:
    assert source.maps.document is not None
    assert target.maps.document is not None
    source.maps.flush()
    target.merge(source.maps.document.missing(target.maps.document.state_vector))
    target.maps.flush()


def test_the_latest_name_wins_and_can_be_cleared() -> None:
    a, b = person("dA", 7), person("dB", 8)
    a.set_username(NOW, "Ada")
    b.set_username(NOW + 1, "Grace")
    sync(a, b)
    sync(b, a)
    assert a.username == b.username == "Grace"
    a.set_username(NOW + 2, "")
    assert a.username is None


def test_devices_name_themselves() -> None:
    a, b = person("dA", 7), person("dB", 8)
    a.rename_device(NOW, "laptop")
    b.rename_device(NOW, "phone")
    sync(a, b)
    assert b.device_names() == {"dA": "laptop", "dB": "phone"}


def test_sessions_are_made_and_dropped() -> None:
    a = person("dA", 7)
    a.note_session(NOW, "default", exists=True)
    a.note_session(NOW, "school", exists=True)
    a.note_session(NOW + 1, "school", exists=False)
    assert a.sessions() == {"default"}


def test_a_name_that_left_with_its_device_stays() -> None:
    a, b = person("dA", 7), person("dB", 8)
    b.set_username(NOW, "Grace")
    b.note_session(NOW, "school", exists=True)
    sync(b, a)
    a.adopt("dB")
    a.maps.set_members(frozenset({"dA"}))
    assert (a.username, a.sessions()) == ("Grace", {"school"})
    a.prepare_to_join(keep_username=False)
    assert (a.username, a.sessions()) == (None, {"school"})


def test_what_was_adopted_stays_when_its_adopter_leaves_too() -> None:
    a, b, c = person("dA", 7), person("dB", 8), person("dC", 9)
    c.set_username(NOW, "Grace")
    c.note_session(NOW, "school", exists=True)
    sync(c, b)
    b.adopt("dC")
    b.maps.set_members(frozenset({"dA", "dB"}))
    sync(b, a)
    a.adopt("dB")
    a.maps.set_members(frozenset({"dA"}))
    assert (a.username, a.sessions()) == ("Grace", {"school"})


def test_of_two_adoptions_the_newer_one_stays() -> None:
    a, b, c = person("dA", 7), person("dB", 8), person("dC", 9)
    c.set_username(NOW, "Grace")
    sync(c, a)
    c.set_username(NOW + 1, "Ada")
    sync(c, b)
    a.adopt("dC")  # it had not heard the last word
    b.adopt("dC")
    for each in (a, b):
        each.maps.set_members(frozenset({"dA", "dB"}))
    sync(b, a)
    a.adopt("dB")
    a.maps.set_members(frozenset({"dA"}))
    assert a.username == "Ada"


def test_a_joiner_brings_no_dropped_session_of_a_device_that_left() -> None:
    a, b = person("dA", 7), person("dB", 8)
    b.note_session(NOW, "school", exists=True)
    sync(b, a)
    a.adopt("dB")
    a.maps.set_members(frozenset({"dA"}))
    a.note_session(NOW + 1, "school", exists=False)
    a.prepare_to_join(keep_username=True)
    assert a.sessions() == set()


def test_a_joiner_brings_no_dropped_sessions() -> None:
    a = person("dA", 7)
    a.note_session(NOW, "school", exists=True)
    a.note_session(NOW + 1, "school", exists=False)
    a.prepare_to_join(keep_username=True)
    assert not any(key.startswith("s/") for key in a.maps.own)
