"""Where failures become exit statuses and words; click's own failures are in `tree`, which knows click."""

import os
from collections.abc import Callable

from nogg.errors import NoggError, ProtocolError
from noggd.cli import exits
from noggd.cli.state import State


def reporting(state: State, action: Callable[[], object]) -> int:
    """Do something; return its exit status, having reported what went wrong."""
    try:
        outcome = action()
        return outcome if isinstance(outcome, int) else exits.OK
    except exits.Failure as failure:
        state.output.error(failure.kind, failure.message, failure.hint)
        return failure.status
    except NoggError as error:
        state.output.error(error.type, error.message, error.hint)
        return exits.status_of(error)
    except ProtocolError as error:
        state.output.error("protocol_error", f"what answers is no noggd: {error}", None)
        return exits.FAILED
    except BrokenPipeError:  # the reader of stdout is gone: nothing can be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered must not fail at the end
        return exits.FAILED
    except OSError as error:  # a file that cannot be read or written
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        state.output.error("failed", said, None)
        return exits.FAILED
    finally:
        state.close()
