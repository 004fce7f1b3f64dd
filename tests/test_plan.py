from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curriculum.compile import compile_file, compile_text
from curriculum.plan import Plan, Stage
from strategies import Tree, plans, text_of

ROOT = Path(__file__).parents[1]
drawn = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def compiled(tree: Tree) -> Plan:
    found = compile_text(text_of(tree))
    assert found.plan is not None, found.findings
    return found.plan


def floats(curve_values: dict[str, float | None]) -> dict[str, float]:
    known = {name: value for name, value in curve_values.items() if value is not None}
    assert known.keys() == curve_values.keys()
    return known


# Totals


@drawn
@given(plans())
def test_planned_and_asked_tokens_differ_by_less_than_a_step(tree: Tree) -> None:
    plan = compiled(tree)
    named = {s.name for s in plan.all_stages if "+" not in s.name}  # AFTER+llm: its average
    assert named == tree["stages"].keys() - {"outside"}
    for stage in plan.stages:
        last = stage.at(stage.steps - 1).tokens_per_step
        extra = stage.tokens - stage.budget.tokens
        assert type(stage.tokens) is type(stage.budget.tokens) is type(stage.steps) is int
        assert (-last < extra <= 0) if stage.budget.round_down else (0 <= extra < last)


@drawn
@given(plans())
def test_totals_are_the_sums_of_their_steps(tree: Tree) -> None:
    for stage in compiled(tree).stages:
        tokens = seqs = 0
        for step in range(stage.steps):
            now = stage.at(step)
            assert (now.tokens, now.first_sequence) == (tokens, seqs)
            assert now.tokens_per_step == now.batch_seqs * now.seq_len
            tokens += now.tokens_per_step
            seqs += now.batch_seqs
        assert (stage.tokens, stage.seqs) == (tokens, seqs)


@drawn
@given(plans())
def test_no_step_reads_a_curve_past_what_the_stage_asked_for(tree: Tree) -> None:
    for stage in compiled(tree).stages:
        assert stage.at(stage.steps - 1).tokens < stage.budget.tokens
        curves = [*stage.lr.values(), *stage.loss.values(), *stage.settings.values()]
        for curve in curves:
            assert curve is not None
            ends = [p.first_step for p in curve.pieces[1:]] + [stage.steps]
            for piece, end in zip(curve.pieces, ends, strict=True):
                if piece.first_step == stage.steps:
                    continue  # it begins where the stage ends: only who goes on from there reads it
                for step in (piece.first_step, end - 1):
                    x = stage.at(step).tokens if piece.unit == "tokens" else step
                    assert piece.start <= x
                    assert piece.end is None or x < piece.end


# Random access


@drawn
@given(plans())
def test_values_of_a_range_are_those_of_each_step_bit_for_bit(tree: Tree) -> None:
    for stage in compiled(tree).stages:
        steps = range(stage.steps)
        tokens = stage.clock_tokens(steps)
        each = [stage.at(step) for step in steps]
        assert tokens == [now.tokens for now in each]
        for curves, read in (
            (stage.lr, [now.lr for now in each]),
            (stage.loss, [now.loss for now in each]),
            (stage.settings, [now.settings for now in each]),
        ):
            for name, curve in curves.items():
                assert curve is not None
                assert curve.values(steps, tokens) == [values[name] for values in read]
        for segment in stage.mixture.segments:
            for step in range(segment.first_step, segment.end_step):
                j = step - segment.first_step
                ratios = {name: share.value(j) for name, share in segment.sources.items()}
                assert ratios == each[step].ratios


@drawn
@given(plans(), st.data())
def test_a_range_that_begins_anywhere_gives_the_same_values(
    tree: Tree, data: st.DataObject
) -> None:
    for stage in compiled(tree).stages:
        first = data.draw(st.integers(0, stage.steps))
        end = data.draw(st.integers(first, stage.steps))
        tokens = stage.clock_tokens(range(first, end))
        for name, curve in stage.lr.items():
            assert curve is not None
            values = curve.values(range(first, end), tokens)
            assert values == [stage.at(step).lr[name] for step in range(first, end)]


def test_steps_outside_a_stage_are_refused() -> None:
    stage = compile_file(ROOT / "plans" / "kimi-vl.yaml").plan.stage("joint")  # type: ignore[union-attr]
    with pytest.raises(IndexError, match="stage joint has steps 0 to 41724, asked for 41725"):
        stage.at(41_725)
    with pytest.raises(IndexError, match="asked for -1"):
        stage.at(-1)


# Mixtures and draws


@drawn
@given(plans())
def test_shares_sum_to_one_exactly_at_every_step(tree: Tree) -> None:
    for stage in compiled(tree).stages:
        for segment in stage.mixture.segments:
            degree = max(len(share.numerators) for share in segment.sources.values())
            for k in range(degree):
                parts = [share.coefficients()[k : k + 1] for share in segment.sources.values()]
                assert sum((p[0] for p in parts if p), Fraction(0)) == (1 if k == 0 else 0)
        assert sum(stage.mixture.end_ratios().values()) == 1


@drawn
@given(plans(), st.data())
def test_draws_sum_to_the_batch_and_stay_within_one_sequence_of_the_ideal(
    tree: Tree, data: st.DataObject
) -> None:
    plan = compiled(tree)
    stage = plan.stages[data.draw(st.integers(0, len(plan.stages) - 1))]
    draws = stage.draws()
    before = dict.fromkeys(stage.mixture.sources, 0)
    for step in range(stage.steps):
        ideal = stage.mixture.ideal_seqs(step)
        assert draws.before(step) == before
        assert all(abs(before[name] - ideal[name]) < 1 for name in before)
        counts = draws.counts(step)
        assert sum(counts.values()) == stage.at(step).batch_seqs
        before = {name: before[name] + counts[name] for name in before}
    assert sum(before.values()) == stage.seqs


# Hand-overs


def test_a_rider_goes_on_where_its_parent_stood() -> None:
    handed = 0

    @drawn
    @given(plans())
    def holds(tree: Tree) -> None:
        nonlocal handed
        plan = compiled(tree)
        for stage in plan.stages:
            for target, ride in stage.rides.items():
                handed += goes_on(plan, stage, target) if ride.schedule else 0

    holds()
    assert handed  # the property is not empty


def goes_on(plan: Plan, stage: Stage, target: str) -> bool:
    """Hold that a module that rides on has the LR its parent left; say if it does ride on."""
    start = stage.init[target.partition("/")[0]]
    if start.stage is None or not plan.has_stage(start.stage):
        return False
    parent = plan.stage(start.stage)
    ride, before = stage.rides[target], parent.rides.get(target)
    same = before and (before.schedule, before.instance, before.scale)
    if before is None or same != (ride.schedule, ride.instance, ride.scale):
        return False
    left = parent.at(start.step)
    clock = parent.budget.tokens if start.step == parent.steps else left.tokens
    assert ride.tokens_before == before.tokens_before + clock
    assert ride.steps_before == before.steps_before + start.step
    now = stage.at(0)
    here, there = now.lr[target], left.lr[target]
    assert here is not None
    assert there is not None
    # A rate that follows the batch goes on at the batch that it finds.
    grows = ride.factor(now.tokens_per_step) / before.factor(left.tokens_per_step)
    assert here == (there if grows == 1 else pytest.approx(there * float(grows)))
    return True


def test_a_curve_from_current_begins_where_the_parent_left_the_module() -> None:
    begun = 0

    @drawn
    @given(plans())
    def holds(tree: Tree) -> None:
        nonlocal begun
        plan = compiled(tree)
        for stage in plan.stages:
            for target, ride in stage.rides.items():
                if (ride.schedule, ride.instance) == ("anneal", stage.name):
                    start = stage.init[target.partition("/")[0]]
                    parent = plan.stage(start.stage or "")
                    assert stage.at(0).lr[target] == parent.at(start.step).lr[target]
                    begun += 1

    holds()
    assert begun > 10


@drawn
@given(plans())
def test_ancestors_are_counted_once_up_to_the_mark_they_were_left_at(tree: Tree) -> None:
    plan = compiled(tree)
    for stage in plan.stages:
        ancestors = plan.ancestors(stage.name)
        names = [a.name for a, _ in ancestors]
        assert len(set(names)) == len(names)
        assert names == [s.name for s in plan.stages if s.name in names]
        assert all(0 < step <= a.steps for a, step in ancestors)
        assert plan.tokens_before(stage.name) == sum(a.at(step).tokens for a, step in ancestors)


def test_the_boundary_after_the_last_step_has_the_last_batch_and_the_asked_clock() -> None:
    plan = compile_file(ROOT / "plans" / "kimi-vl.yaml").plan
    assert plan is not None
    text = plan.stage("text")
    end = text.at(text.steps)
    assert (end.batch_seqs, end.seq_len) == (4096, 8192)
    assert end.tokens == text.tokens > text.budget.tokens
    assert floats(end.lr) == {"llm": 4.2e-5}


# Questions about places and names


def test_a_place_is_the_value_or_the_nearest_thing_around_it() -> None:
    plan = compile_text("plan: x\nstages:\n  a: {checkpoint: {gives: []}}\n", "x.yaml").plan
    assert plan is not None
    place = plan.place("stages.a.tokens")
    assert place is not None
    assert str(place) == "x.yaml:3:6"
    assert plan.place("nothing") is None
    assert not plan.has_stage("a")  # an outside checkpoint is no stage to run
    with pytest.raises(KeyError):
        plan.stage("a")


def test_an_unknown_value_makes_a_plan_that_cannot_be_executed() -> None:
    path = ROOT / "plans" / "kimi-vl.yaml"
    known = compile_file(path).plan
    assert known is not None
    assert known.is_executable
    unknown = compile_file(path, ["stages.joint.loss={next_token: unknown}"]).plan
    assert unknown is not None
    assert not unknown.is_executable
    assert unknown.stage("joint").at(3).loss == {"next_token": None}
    assert unknown.stage("cooldown").at(3).loss == {"next_token": None}  # it keeps joint's
    assert unknown.stage("text").at(3).loss == {"next_token": 1.0}


def test_parts_follow_their_module_unless_they_are_named() -> None:
    plan = compile_file(ROOT / "plans" / "kimi-vl.yaml").plan
    assert plan is not None
    text = plan.stage("text")
    assert text.optimizer_of("llm").kind == "muon"
    assert text.optimizer_of("llm/norms").kind == "adamw"
    assert text.optimizer_of("llm/router").kind == "muon"
    assert text.lr_of("llm/norms") is text.lr_of("llm")
    assert text.modules == ("llm",)
    assert plan.stage("joint").parents == ("text", "vit-align")
