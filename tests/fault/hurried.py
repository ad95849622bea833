"""Makes what a store does in weeks happen in seconds: its logs stay small, it compacts often and soon.

Only sizes and delays are other ones, in the process that calls `hurry`; what is done is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from noggd.core import maintenance
from noggd.domain import maps
from noggd.storage import journal, wal

LOG_PAGES = 24
LOG_BYTES = 256 * 1024


def hurry(
    *, pages: int = LOG_PAGES, secret: float = 0.05, journal_bytes: int = 20_000, map_writes: int = 60
) -> None:
    """Write the log back after so many pages; compact after so many bytes, or seconds with a secret that went."""
    settings = [each for each in journal._SETTINGS if "autocheckpoint" not in each]
    settings.append(f"PRAGMA wal_autocheckpoint = {pages}")
    vars(journal).update(
        _SETTINGS=tuple(settings), GROWN=LOG_BYTES, grow=lambda path: wal.grow(path, LOG_BYTES)
    )
    maintenance.SECRET_DELAY = secret
    maintenance.COMPACT_BYTES = journal_bytes
    maps.COMPACT_AFTER = map_writes


@contextmanager
def hurried(**faster: int) -> Iterator[None]:
    """Hurry for a while."""
    modules = (journal, maintenance, maps)
    former = [dict(vars(module)) for module in modules]
    hurry(**faster)
    try:
        yield
    finally:
        for module, names in zip(modules, former, strict=True):
            vars(module).update(names)
