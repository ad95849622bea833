"""What `import nogg` offers."""

from importlib.metadata import version

import pytest

import nogg
from nogg.client.async_session import AsyncSession
from nogg.client.session import Session
from nogg.errors import NoggError


def test_every_name_that_is_promised_is_there() -> None:
    assert set(nogg.__all__) == set(nogg._HOMES)
    for name in nogg.__all__:
        assert getattr(nogg, name) is not None
    assert nogg.Session is Session
    assert nogg.AsyncSession is AsyncSession
    assert nogg.NoggError is NoggError


def test_the_version_is_the_distribution_s() -> None:
    assert nogg.__version__ == version("noggd")


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        nogg.no_such_name  # type: ignore[attr-defined]  # noqa: B018
