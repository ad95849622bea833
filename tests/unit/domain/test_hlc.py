from noggd.domain.hlc import MAX_STAMP, HybridClock, milliseconds, stamp_at


def test_stamps_follow_the_wall_clock_and_never_repeat() -> None:
    clock = HybridClock()
    first, second, third = clock.tick(1000), clock.tick(1000), clock.tick(1001)
    assert first == stamp_at(1000)
    assert second == first + 1
    assert third == stamp_at(1001)
    assert milliseconds(second) == 1000


def test_a_clock_goes_on_when_the_wall_clock_steps_back() -> None:
    clock = HybridClock()
    first = clock.tick(5000)
    assert clock.tick(4000) == first + 1


def test_an_act_after_a_foreign_one_is_later_than_it() -> None:
    clock = HybridClock()
    clock.see(stamp_at(9000) + 7)
    assert clock.tick(1000) == stamp_at(9000) + 8


def test_an_absurd_stamp_does_not_move_the_clock() -> None:
    clock = HybridClock(stamp_at(1000))
    clock.see(MAX_STAMP + 1)
    assert clock.last == stamp_at(1000)
