"""What one run of the command line carries along: the shared options, the output and the connection.

The connection is opened at first use, so that commands that need no daemon never touch the socket.
"""

import time
from typing import TYPE_CHECKING, Any

from nogg.errors import Starting
from noggd.cli.output import Output, Waiting

if TYPE_CHECKING:
    from nogg.blocking import Connection

START_PATIENCE = 10.0
"""Seconds for which a command waits for a daemon that is still loading its store."""

REPLY_PATIENCE = 30.0
"""Seconds for which a reply is awaited; a durable change on a slow disk takes its time."""


class State:
    """The shared options of a run and its way to the daemon."""

    def __init__(self) -> None:
        self.socket: str | None = None
        self.session = "default"
        self.output = Output()
        self._connection: Connection | None = None

    def connect(self, timeout: float = REPLY_PATIENCE) -> "Connection":
        """Open a new connection to the daemon; `timeout` is per reply, in seconds."""
        from nogg.blocking import Connection  # costs start-up time that `nogg --help` need not pay

        return Connection(self.socket, timeout=timeout)

    @property
    def connection(self) -> "Connection":
        """The connection of this run."""
        if self._connection is None:
            self._connection = self.connect()
        return self._connection

    def call(self, method: str, /, **params: object) -> Any:
        """Call a method; waits, and says so, while the daemon is still starting."""
        try:
            return self.connection.call(method, **params)
        except Starting:
            return self._call_when_ready(method, params)

    def _call_when_ready(self, method: str, params: dict[str, object]) -> Any:
        waiting = Waiting("The daemon is loading its store")
        deadline = time.monotonic() + START_PATIENCE
        try:
            while True:
                time.sleep(0.05)
                try:
                    return self.connection.call(method, **params)
                except Starting:
                    if time.monotonic() > deadline:
                        raise
        finally:
            waiting.done()

    def ask(self, method: str, /, **params: object) -> Any:
        """Call a method on the session that `--session` names."""
        return self.call(method, session=self.session, **params)

    def close(self) -> None:
        """Close the connection, if one was opened."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
