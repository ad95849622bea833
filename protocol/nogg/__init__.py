"""What an app needs to talk to the session daemon: a client library, errors, ids, paths and the wire.

    import nogg

    with nogg.Session() as session:
        session.register_reference("design-studio.0123456789abcdef", view="spatial")

Importing this is cheap: what is named here is loaded when it is first used (PEP 562), and of the rest of the
package apps need only what they import themselves (`nogg.errors`, `nogg.blocking`, `nogg.methods` …).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nogg.blocking import Connection
    from nogg.client.async_session import AsyncSession
    from nogg.client.requests import KEEP
    from nogg.client.session import Session
    from nogg.client.state import Identity, Reference, SessionState
    from nogg.errors import NoggError

    __version__: str

__all__ = [
    "KEEP",
    "AsyncSession",
    "Connection",
    "Identity",
    "NoggError",
    "Reference",
    "Session",
    "SessionState",
]

_HOMES = {
    "AsyncSession": "nogg.client.async_session",
    "Connection": "nogg.blocking",
    "Identity": "nogg.client.state",
    "KEEP": "nogg.client.requests",
    "NoggError": "nogg.errors",
    "Reference": "nogg.client.state",
    "Session": "nogg.client.session",
    "SessionState": "nogg.client.state",
}


if not TYPE_CHECKING:  # or a type checker would take any name

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name == "__version__":
            from importlib.metadata import version

            return version("noggd")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)
