"""The single writer: command or peer update → document → journal (fsync) → reply and `Change` to listeners.

`writer` holds the queue and the batches, `replicas` the documents in memory, `views` what reads are served from,
`records` what one batch leaves in the journal, `opening` how it begins. Nothing leaves before the journal holds it.
"""

from noggd.core.batch import Reply
from noggd.core.opening import open_core
from noggd.core.views import EMPTY_VIEW, SessionView
from noggd.core.writer import Core

__all__ = ["EMPTY_VIEW", "Core", "Reply", "SessionView", "open_core"]
