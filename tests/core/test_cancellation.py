"""`_core.Cancellation`: one flag that long calls look at."""

from covey import _core


def test_it_is_set_once_and_stays() -> None:
    cancellation = _core.Cancellation()
    assert not cancellation.is_cancelled
    cancellation.cancel()
    cancellation.cancel()
    assert cancellation.is_cancelled


def test_cancelled_is_an_error_of_the_run_and_not_of_the_arguments() -> None:
    assert issubclass(_core.Cancelled, RuntimeError)
    assert not issubclass(_core.Cancelled, ValueError)
