"""What is called the same is the same: every step before the first that differs, and its draws"""

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from curriculum.compile import compile_text
from curriculum.diff.compare import PlanDiff, StageDiff, compare
from curriculum.diff.executed import executed_before, touched
from curriculum.diff.own import DRAWS
from curriculum.diff.values import Kind, Place
from curriculum.plan import Stage
from strategies import Tree, changed, leaves, plans, text_of
from test_lock import another

drawn = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def step_of(stage: Stage, step: int) -> list[Any]:
    """Everything that a step does; a source with a share of 0 is not there."""
    now = stage.at(step)
    ratios = {name: ratio for name, ratio in now.ratios.items() if ratio}
    return [
        now.tokens, now.first_sequence, now.batch_seqs, now.seq_len, now.lr, now.loss,
        now.settings, now.optimizer, now.rope, ratios, stage.train, stage.packing, stage.count,
        stage.seed, stage.own_seed, stage.loss_rules, stage.lifecycle,
    ]  # fmt: skip


def draws_of(stage: Stage, end: int) -> list[dict[str, int]]:
    draws = stage.draws()
    rows = (zip(draws.names, counts, strict=True) for counts in draws.each(0, end))
    return [{name: count for name, count in row if count} for row in rows]


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, str]:
    """Draw the text of a plan, and the same with some edits: values, budgets, stages that go."""
    tree = draw(plans())
    other = tree
    for _ in range(draw(st.integers(1, 2))):
        other = draw(st.sampled_from([value_edited, value_edited, longer, shorter]))(draw, other)
    before, after = text_of(tree), text_of(other)
    assume(before != after)
    return before, after


def compared(texts: tuple[str, str]) -> PlanDiff:
    before, after = (compile_text(text).plan for text in texts)
    assume(before is not None and after is not None)
    assert before is not None
    assert after is not None
    return compare(before, after)


def value_edited(draw: st.DrawFn, tree: Tree) -> Tree:
    path, value = draw(st.sampled_from(list(leaves(tree))))
    edited_tree: Tree = changed(tree, path, another(value))
    return edited_tree


def longer(draw: st.DrawFn, tree: Tree) -> Tree:
    """Give a stage a tenth more."""
    names = [n for n, s in tree["stages"].items() if {"tokens", "steps", "seqs"} & set(s)]
    if not names:
        return tree
    name = draw(st.sampled_from(names))
    key = next(k for k in ("tokens", "steps", "seqs") if k in tree["stages"][name])
    value = int(tree["stages"][name][key])
    edited_tree: Tree = changed(tree, ("stages", name, key), value + max(1, value // 10))
    return edited_tree


def shorter(draw: st.DrawFn, tree: Tree) -> Tree:
    """Leave the last stage away, where no other one needs it."""
    last = list(tree["stages"])[-1]
    stages = {name: stage for name, stage in tree["stages"].items() if name != last}
    return {**tree, "stages": stages or tree["stages"]}


def kept(diff: PlanDiff) -> list[tuple[StageDiff, Stage, Stage]]:
    return [
        (one, diff.a.stage(one.was), diff.b.stage(one.name))
        for one in diff.stages
        if one.was is not None
        and one.fate in ("kept", "renamed")
        and diff.a.has_stage(one.was)
        and diff.b.has_stage(one.name)
    ]


@drawn
@given(edited())
def test_every_step_before_the_first_that_differs_is_the_same(texts: tuple[str, str]) -> None:
    diff = compared(texts)
    for one, before, after in kept(diff):
        end = before.steps if one.step is None else one.step
        assert before.steps == after.steps or one.step is not None
        for step in range(end):
            assert step_of(before, step) == step_of(after, step), (one, step)
        assert draws_of(before, end) == draws_of(after, end), one


@drawn
@given(edited())
def test_what_is_certain_differs_at_its_step(texts: tuple[str, str]) -> None:
    for one, before, after in kept(compared(texts)):
        for change in one.changes:
            assert (change.before != change.after) or not change.is_certain, change
            if change.what.partition(" ")[0] in ("LR", "loss", "set", "share", "batch", "context"):
                differ = step_of(before, change.step) != step_of(after, change.step)
                assert differ or not change.is_certain, change
            if change.what == DRAWS:  # a bound: who is drawn is open from there on
                looked = ("steps", "batch", "context", "share")
                causes = [c.step for c in one.changes if c.what.partition(" ")[0] in looked]
                assert change.step < min(causes)


@drawn
@given(edited())
def test_what_starts_from_steps_that_differ_is_not_called_forward_only(
    texts: tuple[str, str],
) -> None:
    diff = compared(texts)
    by_name = {one.was: one for one in diff.stages if one.was is not None}
    for one, before, after in kept(diff):
        if one.kind.rank > Kind.FORWARD_ONLY.rank:
            continue
        mine = {s.name: at for s, at in diff.a.ancestors(before.name)}
        its = {s.name: at for s, at in diff.b.ancestors(after.name)}
        is_own = any(change.what.startswith("start of") for change in one.changes)
        if not is_own:
            assert {by_name[name].name: at for name, at in mine.items()} == its
        for name, at in mine.items():
            parent = by_name[name]
            reaches = min(at, its.get(parent.name, 0))
            assert parent.step is None or parent.step >= reaches or is_own, (one, parent)


@drawn
@given(edited())
def test_all_before_the_place_is_untouched_and_no_more(texts: tuple[str, str]) -> None:
    diff = compared(texts)
    if diff.place is None:
        assert all(one.step is None for one in diff.stages)
        assert diff.kind.rank <= Kind.OPERATIONAL.rank
        return
    assert diff.kind.rank >= Kind.FORWARD_ONLY.rank
    first = diff.first
    assert first is not None
    if first.was is None or not diff.a.has_stage(first.was):
        return
    at = Place(first.was, diff.place.step)
    assert touched(diff, executed_before(diff.a, at)) is None
    if first.fate == "kept" and at.step < diff.a.stage(first.was).steps:
        found = touched(diff, executed_before(diff.a, at._replace(step=at.step + 1)))
        assert found is not None
        assert found.place == at


@drawn
@given(plans())
def test_a_plan_is_the_same_as_itself(tree: Tree) -> None:
    plan, again = (compile_text(text_of(tree)).plan for _ in range(2))
    assert plan is not None
    assert again is not None
    diff = compare(plan, again)
    assert (diff.kind, diff.place, diff.facts) == (Kind.SAME, None, ())
