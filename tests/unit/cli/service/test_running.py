"""Which unit a process belongs to, by its cgroups."""

from pathlib import Path

import pytest

from noggd.cli.service.running import unit_in, unit_of

USER = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/noggd.service\n"
PERSON = "0::/system.slice/system-noggd.slice/noggd@ada.service\n"
HEADLESS = "0::/system.slice/noggd.service\n"


@pytest.mark.parametrize(
    ("groups", "name", "user", "state"),
    [
        (USER, "noggd", True, None),
        (
            "9:cpu:/\n1:name=systemd:/user.slice/user-7.slice/user@7.service/noggd.service\n0::/\n",
            "noggd",
            True,
            None,
        ),
        (PERSON, "noggd@ada", False, Path("/var/lib/noggd-user/ada")),
        (HEADLESS, "noggd", False, Path("/var/lib/private/noggd")),
    ],
)
def test_the_unit_is_in_the_path(groups: str, name: str, user: bool, state: Path | None) -> None:
    unit = unit_in(groups)
    assert unit is not None
    assert (unit.name, unit.manager.user, unit.state) == (name, user, state)
    assert unit.both == (f"{name}.socket", f"{name}.service")
    assert unit.journal == ["journalctl", *(["--user"] if user else []), "-u", f"{name}.service"]


@pytest.mark.parametrize(
    "groups",
    ["", "0::/\n", "0::/user.slice/user-1000.slice/session-3.scope\n", "0::/system.slice/noggd-other.service\n",
     "0::/user.slice/user@1000.service/app.slice/terminal.service/noggd\n"],
)  # fmt: skip
def test_a_process_of_somebody_elses_is_not_ours(groups: str) -> None:
    assert unit_in(groups) is None


def test_a_process_that_is_gone_has_none() -> None:
    assert unit_of(2**22 - 7) is None
