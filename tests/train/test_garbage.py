import gc
import weakref

import pytest

from curriculum.train.garbage import EVERY_STEPS, quiet_garbage


class Knot:
    """Refers to itself: nothing but the collector lets go of it."""

    def __init__(self) -> None:
        self.itself = self


def test_garbage_is_collected_at_its_steps_and_at_no_others() -> None:
    with quiet_garbage() as after:
        assert not gc.isenabled()
        knot = Knot()
        gone = weakref.ref(knot)
        del knot
        for step in range(EVERY_STEPS - 1):
            after(step)
        assert gone() is not None
        after(EVERY_STEPS - 1)
        assert gone() is None


def test_what_lived_before_is_not_walked() -> None:
    with quiet_garbage():
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0


def test_the_collector_is_as_it_was_whatever_happens() -> None:
    with pytest.raises(KeyError), quiet_garbage():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with quiet_garbage():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
