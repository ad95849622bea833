"""Short form of the soak (the long one: `python -m tests.fault.soak`): everything that was taken is given back."""

from __future__ import annotations

import pytest

from tests.daemons import Daemons
from tests.fault.soak import Soaked, soak

pytestmark = pytest.mark.fault


def test_apps_and_devices_that_come_and_go_leave_nothing_behind(daemons: Daemons) -> None:
    found = soak(daemons, 4000, seed=2, every=1000)
    grown = {name: count for name, count in found.after.items() if count > found.before[name]}
    assert not grown, (found.before, found.after)
    assert found.samples[-1][1] - found.samples[0][1] < 8 << 20


def test_a_leak_shows_in_the_slope() -> None:
    steady = Soaked([(n * 1000, 50_000_000 + 4096 * (n % 3)) for n in range(1, 101)])
    leaking = Soaked([(n * 1000, 50_000_000 + 4096 * (n % 3) + 10_000 * n) for n in range(1, 101)])
    assert abs(steady.slope) < 1
    assert 9 < leaking.slope < 11
