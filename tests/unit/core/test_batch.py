"""A batch on its own: what it leaves in memory."""

import gc
import weakref

import pytest

from nogg.errors import NotFound, ProtocolError
from noggd.core.batch import Batch, Item
from noggd.core.replicas import Replicas
from noggd.domain.document import Incomplete


def refuse(error: Exception, cause: Exception | None) -> object:
    """Fail as operations do, some frames down."""
    try:
        if cause is not None:
            raise cause
    except ValueError as known:
        raise error from known
    raise error


@pytest.mark.parametrize("error", [NotFound("none"), ProtocolError("torn"), Incomplete("ahead")])
@pytest.mark.parametrize("cause", [None, ValueError("why")])
def test_what_is_refused_leaves_nothing_for_the_collector(error: Exception, cause: Exception | None) -> None:
    batch = Batch(Replicas("dA", 1, None), [])
    batch.items = [
        Item(lambda batch: refuse(error, cause), lambda result: None),
        Item(lambda batch: "well", lambda result: None),
    ]
    gone = weakref.ref(batch)
    gc.disable()
    try:
        batch.run()
        results = [item.result for item in batch.items]
        del batch
        assert gone() is None, "an error holds the frames that it came through, and they hold its batch"
    finally:
        gc.enable()
    assert results[1] == "well"
    assert results[0] is error
