"""How much of the machine the process may use. Only raises what it is allowed to raise."""

from __future__ import annotations

import resource
from typing import Final

RESERVED: Final = 32
"""Descriptors that are kept for the daemon's own files and for what it imports late."""


def allow_many_descriptors() -> int:
    """Raise the soft limit of open descriptors to the hard one and return it.

    The soft limit is 1,024 on most systems, for the sake of programs that use select(); a thousand apps, the
    store and the links to peers need more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            return soft  # macOS says "unlimited" and takes less
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def is_scarce(handle: int) -> bool:
    """Tell whether a connection must be turned away, because its descriptor is one of the last.

    The kernel gives the lowest that is free, so that its number says how many are taken. With none left the
    daemon could not even import what an operation needs for the first time.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return handle >= limit - min(RESERVED, limit // 4)
