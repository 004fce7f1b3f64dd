"""The properties that are proved of every step: over pieces, exactly

Inside a piece of the batch, what was seen before a step is a line in the step; inside a segment of
the mixture, every share is a polynomial of known degree. A line is decided by the ends of its
piece, an identity of polynomials of degree d by d + 1 steps, and a sign by the turns between them.
What is returned is the first step that breaks the property.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise

from curriculum.check import polynomials
from curriculum.mixture import Node, Segment, exact_sum
from curriculum.plan import Stage
from curriculum.polynomial import Polynomial

Failure = tuple[int, str]
"""A step, and what is wrong there."""

Proof = Callable[[Stage], Failure | None]


def steps_add_up(stage: Stage) -> Failure | None:
    """Every step adds its own tokens and sequences to what was seen before, and no step reads its
    curves past what the stage asked for."""
    batch, asked = stage.batch, stage.budget.tokens
    for step in _ends(stage):
        piece = batch.piece_at(step)
        tokens = batch.tokens_before(step + 1) - batch.tokens_before(step)
        if tokens != piece.tokens_per_step:
            return step, f"{tokens:,} tokens, not {piece.batch_seqs} x {piece.seq_len}"
        seqs = batch.seqs_before(step + 1) - batch.seqs_before(step)
        if seqs != piece.batch_seqs:
            return step, f"{seqs:,} sequences, not {piece.batch_seqs}"
        if batch.tokens_before(step) >= asked:
            first = batch.step_at_tokens(asked)
            tokens = batch.tokens_before(first)
            return first, f"begins at {tokens:,} tokens, the stage asked for {asked:,}"
    return None


def marks_are_first_steps(stage: Stage) -> Failure | None:
    """A mark in tokens is the first step that starts at or after it."""
    batch = stage.batch
    for end in _ends(stage):
        # A mark inside a step is that step's end: the first and the last token decide.
        start, stop = batch.tokens_before(end), batch.tokens_before(end + 1)
        for mark in sorted({start, start + 1, stop - 1, stop}):
            step = batch.step_at_tokens(mark)
            if batch.tokens_before(step) < mark:
                return step, f"the mark {mark:,} gives step {step:,}, which starts before it"
            if step > 0 and batch.tokens_before(step - 1) >= mark:
                what = f"the mark {mark:,} gives step {step:,}"
                return step, f"{what}, and the one before starts after it too"
    return None


def shares_sum_to_one(stage: Stage) -> Failure | None:
    """Siblings share all of what holds them at every step, and sources all sequences, exactly."""
    mixture = stage.mixture
    for segment in mixture.segments:
        failures = [*_unshared(segment, mixture.roots), *_negative(segment)]
        if failures:
            return min(failures)
    firsts = {*(segment.first_step for segment in mixture.segments), stage.steps}
    if mixture.batch != stage.batch:
        firsts.update(stage.batch.breaks())
    for step in sorted(firsts):
        ideal = exact_sum(mixture.ideal_seqs(step).values())
        if ideal != stage.batch.seqs_before(step):
            return step, f"its sources were to give {ideal} sequences before it"
    return None


PROVED: tuple[Proof, ...] = (steps_add_up, marks_are_first_steps, shares_sum_to_one)


def _ends(stage: Stage) -> Iterator[int]:
    """Yield the first and the last step of each piece of the batch, in order."""
    firsts = [step for step in stage.batch.breaks() if step < stage.steps]
    for first, end in pairwise([*firsts, stage.steps]):
        yield from (first, end - 1) if end - 1 > first else (first,)


def _unshared(segment: Segment, roots: Sequence[Node]) -> Iterator[Failure]:
    """Yield the first step at which the children of a node do not share it, or the roots all."""
    whole = Polynomial((1,), 1)
    families = [("", whole, roots)]
    for path, node in chain.from_iterable(root.paths() for root in roots):
        if node.children:
            families.append((f"{path}/", segment.nodes[path], node.children))
    for above, share, children in families:
        shares = [segment.nodes[f"{above}{child.name}"] for child in children]
        degree = max(len(one.numerators) for one in (share, *shares)) - 1
        for j in range(min(degree + 1, segment.end_step - segment.first_step)):
            total, held = exact_sum(one.exact(j) for one in shares), share.exact(j)
            if total != held:
                names = f"the shares of `{above}...`" if above else "the shares"
                yield segment.first_step + j, f"{names} sum to {float(total)!r}, not {float(held)}"
                break


def _negative(segment: Segment) -> Iterator[Failure]:
    """Yield the first step at which a share is below 0: none is above 1 where all sum to it."""
    steps = segment.end_step - segment.first_step
    for path, share in segment.nodes.items():
        if len(share.numerators) == 1 and share.numerators[0] >= 0:
            continue  # a constant: most of all
        poly = polynomials.through([share.exact(j) for j in range(len(share.numerators))])
        j = polynomials.first_failure(poly, lambda sign: sign >= 0, steps)
        if j is not None:
            yield segment.first_step + j, f"the share of `{path}` is {share.value(j)!r}"
