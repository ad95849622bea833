"""The waits between attempts to reconnect."""

from nogg.client.backoff import FIRST, LONGEST, Backoff


def test_the_first_attempt_is_made_at_once_and_waits_double_up_to_the_longest() -> None:
    waits = Backoff(lambda: 0.0)
    found = [waits.next() for _ in range(12)]
    assert found[:4] == [0.0, FIRST, 2 * FIRST, 4 * FIRST]
    assert found[-1] == LONGEST
    assert sorted(found) == found


def test_chance_shortens_a_wait_by_up_to_a_half() -> None:
    waits = Backoff(lambda: 1.0)
    assert [waits.next() for _ in range(3)] == [0.0, FIRST / 2, FIRST]


def test_a_connection_that_stands_starts_it_over() -> None:
    waits = Backoff(lambda: 0.0)
    for _ in range(5):
        waits.next()
    waits.reset()
    assert waits.next() == 0.0


def test_it_never_overflows() -> None:
    waits = Backoff(lambda: 0.5)
    assert max(waits.next() for _ in range(5000)) <= LONGEST
