"""Exit statuses of the command line, and the failures that it raises itself.

The statuses are part of the outside contract; nothing else in the command line writes a bare number.
"""

from nogg.errors import NoggError

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
NOT_PERMITTED = 4
CONFLICT = 5
TIMEOUT = 6
STORAGE = 7
INTERRUPTED = 130

_BY_TYPE = {
    "invalid_params": USAGE,
    "invalid_request": USAGE,
    "method_not_found": USAGE,
    "not_running": UNREACHABLE,
    "connection_lost": UNREACHABLE,
    "shutting_down": UNREACHABLE,
    "starting": UNREACHABLE,
    "forbidden": NOT_PERMITTED,
    "not_paired": NOT_PERMITTED,
    "pairing_failed": NOT_PERMITTED,
    "conflict": CONFLICT,
    "timeout": TIMEOUT,
    "storage_failed": STORAGE,
    "read_only": STORAGE,
}


class Failure(Exception):
    """The command cannot be done; says so to the user and ends with `status`."""

    def __init__(
        self, message: str, *, kind: str = "failed", hint: str | None = None, status: int = FAILED
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.hint = hint
        self.status = status


def usage(message: str, hint: str | None = None) -> Failure:
    """Return the failure for a command line that cannot be meant."""
    return Failure(message, kind="usage", hint=hint, status=USAGE)


def status_of(error: NoggError) -> int:
    """Return the exit status for an error of the daemon or of the way to it."""
    return _BY_TYPE.get(error.type, FAILED)
