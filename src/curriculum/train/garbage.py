"""Python's garbage collector, kept out of the way of steps

It runs whenever enough objects were made, walks all that live, and then the GPU has nothing to do.
A stage's modules, plan and sources live to its end: they are frozen out of its walks. What steps
leave in cycles (exceptions, a library's own) is collected every `EVERY_STEPS` steps, at the same
steps in every run, so that memory is let go of where it always was.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_STEPS = 100


@contextmanager
def quiet_garbage() -> Iterator[Callable[[int], None]]:
    """Switch the collector off and yield what is called after each step, with its number."""
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()

    def after(step: int) -> None:
        if (step + 1) % EVERY_STEPS == 0:
            gc.collect()

    try:
        yield after
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
