import time

from noggd.platform import clock


def test_the_wall_clock_is_in_milliseconds() -> None:
    assert abs(clock.now_ms() - time.time() * 1000) < 5_000


def test_a_clock_that_counts_sleep_is_never_behind_one_that_does_not() -> None:
    awake = clock.monotonic()
    assert clock.awake_and_asleep() >= awake
