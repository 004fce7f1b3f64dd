"""How far two stages draw alike: draws look ahead, so they may part before the shares do

shares  ======================d~~~~~~~~      alike before step d
due     ------o-----o-----o-----:---->       the next sequence of a source is due past d:
draws   ================k~~~~~~~~~~~~~~      who goes first is open from k on
"""

from curriculum.mixture import Mixture


def drawn_alike(mixture: Mixture, alike: int) -> int:
    """Return the step before which draws are alike where shares and batches are before `alike`.

    `mixture` is either of two. What a step draws is decided by who is due soonest, and when a
    source is due follows from the shares up to there. Of one source that is due past `alike` both
    plans know enough: it is last. Of two they do not know which.

    Source: `Mixture.decided_by` and `data/draws.py`; the cost is that of a binary search a source.
    """
    known = sorted(_known_until(mixture, name, alike) for name in mixture.sources)
    return known[1] if len(known) > 1 else alike


def _known_until(mixture: Mixture, name: str, alike: int) -> int:
    """Return the last step at which this source's next whole sequence is due by `alike`."""
    ideal = mixture.ideal_of(name, alike)
    whole = ideal.numerator // ideal.denominator
    low, high = 0, alike + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if mixture.ideal_of(name, middle) <= whole else (low, middle)
    return low


def first_read(mixture: Mixture, name: str) -> int | None:
    """Return the first step at which a source may be drawn; None where no step reads it."""
    for segment in mixture.segments:
        share = segment.sources.get(name)
        if share is None or not any(share.numerators):
            continue
        for step in range(min(len(share.numerators), segment.end_step - segment.first_step)):
            if share.exact(step):
                return segment.first_step + step
    return None
