"""Short form of the campaign: a few kills of every kind (the long one: `python -m tests.fault.campaign`)."""

from __future__ import annotations

import pytest

from tests.fault.campaign import KINDS, run

pytestmark = pytest.mark.fault

SHORT = {"journal": 3, "pairing": 1, "linked": 1, "eviction": 1, "backup": 1}
"""Kills of a kind; 2 of those that are not named."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_moment_loses_nothing_and_leaves_nothing_half(kind: str) -> None:
    kills = SHORT.get(kind, 2)
    assert run(kind, kills, seed=7).kills >= kills
