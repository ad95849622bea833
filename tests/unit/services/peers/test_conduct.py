"""What a device may do how often, and how long it is kept out when it does not behave."""

from noggd.services.peers.conduct import FORGIVEN_AFTER, LONGEST_TIME_OUT, Allowance, Conduct


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_allowance_fills_up_again() -> None:
    clock = Clock()
    allowance = Allowance(3, 0.5, clock)
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 1.9
    assert not allowance.take()
    clock.now += 0.2
    assert allowance.take()
    clock.now += 1000
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]


def test_who_goes_on_is_kept_out_twice_as_long_up_to_a_bound() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    assert conduct.fault("d") is None
    assert conduct.kept_out("d") == 0
    assert [conduct.blame("d", "noise") for _ in range(4)] == [0.25, 0.5, 1, 2]
    clock.now += 1.5
    assert conduct.kept_out("d") == 0.5
    for _ in range(20):
        conduct.blame("d", "noise")
    assert conduct.kept_out("d") == LONGEST_TIME_OUT


def test_what_needs_no_keeping_out_is_named_only() -> None:
    conduct = Conduct(Clock())
    assert conduct.blame("d", "two of it", "leave", keep_out=False) == 0
    assert conduct.fault("d") == ("two of it", "leave")


def test_a_device_that_behaves_again_has_a_clean_record() -> None:
    clock = Clock()
    conduct = Conduct(clock)
    for _ in range(5):
        out = conduct.blame("d", "noise")
    clock.now += out + FORGIVEN_AFTER
    assert conduct.fault("d")
    clock.now += 1
    assert conduct.fault("d") is None
    assert conduct.blame("d", "noise") == 0.25
