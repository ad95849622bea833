import logging

from noggd.platform.repeats import BURST, WINDOW, Repeats


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def record(
    message: str, *args: object, name: str = "noggd.core", level: int = logging.ERROR
) -> logging.LogRecord:
    return logging.LogRecord(name, level, "x.py", 1, message, args, None)


def passed(repeats: Repeats, count: int, message: str = "lost %s") -> int:
    return sum(repeats.filter(record(message, number)) for number in range(count))


def test_a_burst_passes_and_the_rest_is_held_back() -> None:
    assert passed(Repeats(Clock()), 1000) == BURST


def test_other_messages_pass_meanwhile() -> None:
    repeats = Repeats(Clock())
    passed(repeats, 1000)
    assert repeats.filter(record("something else"))
    assert repeats.filter(record("lost %s", 1, level=logging.WARNING))
    assert repeats.filter(record("lost %s", 1, name="noggd.app"))


def test_the_next_window_begins_with_what_was_held_back() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    passed(repeats, BURST + 90)
    clock.now = WINDOW
    after = record("lost %s", "a link")
    assert repeats.filter(after)
    assert after.getMessage() == "lost a link (90 more like it were not logged)"
    again = record("lost %s", "a link")
    assert repeats.filter(again)
    assert again.getMessage() == "lost a link"


def test_what_comes_slowly_is_never_held_back() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    for _ in range(1000):
        clock.now += WINDOW / (BURST - 1)
        assert repeats.filter(record("now and then"))


def test_many_kinds_of_messages_do_not_fill_the_memory() -> None:
    repeats = Repeats(Clock())
    for number in range(10_000):
        assert repeats.filter(record(f"kind {number}"))
    assert len(repeats._seen) <= 256
