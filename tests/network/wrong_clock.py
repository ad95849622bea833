"""noggd on a machine whose wall clock is wrong: by as many milliseconds as the file says that comes first.

The machine's own clock is not touched. All that stands between the real daemon and the real clock is here: the
functions of `time` that tell the hour, for this process alone.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path


def main() -> None:
    """Run noggd with the other arguments."""
    file = Path(sys.argv.pop(1))
    right = time.time_ns

    def wrong() -> int:
        return right() + int(file.read_text() or 0) * 1_000_000

    time.time_ns = wrong
    time.time = lambda: wrong() / 1e9
    runpy.run_module("noggd", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
