"""What is proved of a stage is what every one of its steps shows, one by one"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curriculum.batch import Batch, BatchPiece
from curriculum.check.proofs import PROVED, marks_are_first_steps, shares_sum_to_one, steps_add_up
from curriculum.compile import compile_text
from curriculum.mixture import Mixture
from curriculum.plan import Stage
from curriculum.polynomial import newton
from small_plan import SMALL
from strategies import Tree, plans, text_of

MANY = 4000
drawn = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def second() -> Stage:
    plan = compile_text(SMALL).plan
    assert plan is not None
    return plan.stage("second")


def wrong_steps(stage: Stage) -> Iterator[int]:
    """Yield the steps that do not add up, or begin past the budget: all are looked at."""
    for step in range(stage.steps):
        now, after = stage.at(step), stage.at(step + 1)
        adds = after.tokens - now.tokens == now.batch_seqs * now.seq_len
        adds = adds and after.first_sequence - now.first_sequence == now.batch_seqs
        if not adds or now.tokens >= stage.budget.tokens:
            yield step


def wrong_shares(stage: Stage) -> Iterator[int]:
    for segment in stage.mixture.segments:
        for step in range(segment.first_step, segment.end_step):
            j = step - segment.first_step
            shares = [segment.nodes[root.name].exact(j) for root in stage.mixture.roots]
            if sum(shares, Fraction(0)) != 1 or any(not 0 <= share <= 1 for share in shares):
                yield step


@given(plans())
@drawn
def test_nothing_is_wrong_with_a_plan_that_compiles(tree: Tree) -> None:
    plan = compile_text(text_of(tree)).plan
    assert plan is not None
    for stage in plan.stages:
        assert [proof(stage) for proof in PROVED] == [None, None, None]
        if stage.steps <= MANY:
            assert list(wrong_steps(stage)) == []
            assert list(wrong_shares(stage)) == []


LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@given(LENGTHS, st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 3), st.integers(-3, 3))
@drawn
def test_the_first_step_that_does_not_add_up(
    lengths: list[int], tokens: int, seqs: int, at: int, asked: int
) -> None:
    """Pieces of a few steps, of which one may begin at other tokens or sequences than were read."""
    pieces, step, read, dealt = [], 0, 0, 0
    for number, length in enumerate(lengths):
        is_moved = number == at and number > 0
        moved = (read + tokens * is_moved, dealt + seqs * is_moved)
        pieces.append(BatchPiece(step, number + 1, 8, *moved))
        step, read, dealt = (
            step + length,
            read + length * 8 * (number + 1),
            dealt + length * (number + 1),
        )
    stage = second()
    budget = replace(stage.budget, tokens=max(1, read + asked))
    stage = replace(stage, batch=Batch(tuple(pieces)), steps=step, budget=budget)
    failure = steps_add_up(stage)
    wrong = list(wrong_steps(stage))
    assert (None if failure is None else failure[0]) == (wrong[0] if wrong else None)


@given(st.lists(st.integers(-3, 5), min_size=1, max_size=3), st.integers(1, 12))
@drawn
def test_the_first_step_whose_shares_do_not_sum_to_one(samples: list[int], steps: int) -> None:
    """A share that is any polynomial, and its sibling that is what is left, or a tenth more."""
    share = newton([Fraction(x, 4) for x in samples])
    for more in (Fraction(0), Fraction(1, 10)):
        rest = newton([1 - share.exact(k) + more * k for k in range(4)])
        stage = shared(second(), share, rest, steps)
        failure = shares_sum_to_one(stage)
        wrong = list(wrong_shares(stage))
        if wrong:
            assert failure is not None
            assert failure[0] == wrong[0]


def shared(stage: Stage, share: object, rest: object, steps: int) -> Stage:
    """Return a stage whose two sources have these shares."""
    mixture = stage.mixture
    names = [root.name for root in mixture.roots]
    nodes = {**mixture.segments[0].nodes, names[0]: share, names[1]: rest}
    segment = replace(mixture.segments[0], end_step=steps, nodes=nodes)  # type: ignore[arg-type]
    changed = replace(mixture)
    object.__setattr__(changed, "segments", (segment,))
    return replace(stage, mixture=changed)


class Late(Batch):
    """A batch whose marks inside steps are a step too late."""

    __slots__ = ()

    def step_at_tokens(self, tokens: int) -> int:
        step = Batch.step_at_tokens(self, tokens)
        return step + (self.tokens_before(step) != tokens)


def test_a_mark_that_is_late_only_inside_a_step() -> None:
    stage = second()
    failure = marks_are_first_steps(replace(stage, batch=Late(stage.batch.pieces)))
    assert failure == (
        2,
        "the mark 1 gives step 2, and the one before starts after it too",
    )


def test_sources_that_were_dealt_for_another_batch() -> None:
    stage = second()
    other = Batch((BatchPiece(0, 3, 256, 0, 0),))
    mixture = Mixture(stage.mixture.roots, other, stage.steps, stage.mixture.end_tokens)
    failure = shares_sum_to_one(replace(stage, mixture=mixture))
    assert failure is not None
    step, message = failure
    assert step == stage.steps
    assert message == f"its sources were to give {3 * step} sequences before it"
