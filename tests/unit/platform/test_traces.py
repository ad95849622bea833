import pytest

from noggd.platform.traces import told, trace


def caught(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as found:
        return found


def test_a_trace_says_where_and_what() -> None:
    text = trace(caught(RuntimeError("the loop is closed")))
    assert text.startswith("Traceback")
    assert "in caught" in text
    assert text.endswith("RuntimeError: the loop is closed")


@pytest.mark.parametrize(
    "error", [ValueError("hunter2"), KeyError("hunter2"), UnicodeEncodeError("ascii", "hunter2", 0, 1, "x")]
)
def test_errors_that_quote_data_are_told_by_kind(error: Exception) -> None:
    assert told(error) == type(error).__name__
    assert "hunter2" not in trace(caught(error))


def test_causes_and_members_of_groups_are_told_and_quote_nothing_either() -> None:
    group = BaseExceptionGroup("two", [caught(ValueError("hunter2")), caught(OSError("disk"))])
    text = trace(caught(RuntimeError("outer"), cause=caught(group)))
    assert "hunter2" not in text
    for kind in ("ValueError", "OSError: disk", "RuntimeError: outer", "which led to"):
        assert kind in text


def test_a_context_is_told_unless_it_was_suppressed() -> None:
    def fail(suppress: bool) -> BaseException:
        try:
            try:
                raise OSError("first")
            except OSError:
                if suppress:
                    raise RuntimeError("second") from None
                raise RuntimeError("second")  # noqa: B904 - the context is what is tested
        except RuntimeError as error:
            return error

    assert "OSError: first" in trace(fail(suppress=False))
    assert "OSError: first" not in trace(fail(suppress=True))


def test_errors_that_lead_in_a_circle_end() -> None:
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__context__, two.__context__ = two, one
    assert trace(one).count("RuntimeError: one") == 1
