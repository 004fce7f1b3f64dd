"""What the trainer cannot do is refused before the first step, all of it at once"""

from dataclasses import replace
from fractions import Fraction

import pytest

from curriculum.curve import constant
from curriculum.errors import RunError
from curriculum.lifecycle import Ema, Lifecycle
from curriculum.models.presets import counted_shape, shape_of
from curriculum.objective import LossRule
from curriculum.plan import Module, Stage
from curriculum.train.abilities import refuse_unable
from train.worlds import dense_plan, world_plan


def test_everything_is_said_at_once() -> None:
    plan = world_plan()
    text = plan.stage("text")
    settings = {"llm/router.heat": text.settings["llm/router.bias_rate"]}
    odd = replace(text, settings=settings, loss={"distill": text.loss["next_token"]})
    with pytest.raises(RunError) as refused:
        refuse_unable(replace(plan, stages=(odd,)))
    said = str(refused.value)
    assert "stage `text`: no such loss term: distill" in said
    assert "stage `text`: nothing here takes the setting llm/router.heat" in said


def test_what_is_said_of_many_stages_is_told_once() -> None:
    plan = world_plan()
    masked = tuple(
        replace(stage, loss_rules={"next_token": LossRule("answers")})
        for stage in plan.stages
        if "next_token" in stage.loss
    )
    assert len(masked) > 1
    with pytest.raises(RunError) as refused:
        refuse_unable(replace(plan, stages=masked))
    names = ", ".join(f"`{stage.name}`" for stage in masked)
    _, *lines = str(refused.value).splitlines()
    assert lines == [
        f"  stages {names}: the loss next_token is on answers, and prepared data do not say which "
        "tokens those are"
    ]


def said_of(stage: Stage) -> str:
    with pytest.raises(RunError) as refused:
        refuse_unable(replace(world_plan(), stages=(stage,)))
    return str(refused.value)


def test_objectives_that_need_what_is_not_here_are_refused() -> None:
    text = world_plan().stage("text")
    asked = replace(text, loss_rules={"next_token": LossRule("answers")})
    assert "stage `text`: the loss next_token is on answers, and prepared data do not" in said_of(
        asked
    )
    many = replace(text, loss={**text.loss, "mtp": text.loss["next_token"]})
    assert "stage `text`: no such loss term: mtp; there are next_token" in said_of(many)


def test_what_is_dropped_and_averaged_is_refused_unless_it_is_nothing() -> None:
    text = world_plan().stage("text")
    averaged = replace(text, lifecycle=Lifecycle(ema=Ema(Fraction(199, 200))))
    assert "stage `text`: no average of the weights (ema) is kept here" in said_of(averaged)
    dropped = replace(text, settings={"llm.dropout": constant(Fraction(1, 10))})
    assert "stage `text`: nothing here takes the setting llm.dropout" in said_of(dropped)
    nothing = replace(text, settings={"llm.dropout": constant(0)})
    refuse_unable(replace(world_plan(), stages=(nothing,)))


def test_images_are_not_cut() -> None:
    align = replace(world_plan().stage("align"), packing="concat")
    words = "stage `align`: packing concat would cut the images of captions; only best-fit"
    assert words in said_of(align)
    refuse_unable(
        replace(world_plan(), stages=(replace(world_plan().stage("text"), packing="concat"),))
    )


def test_a_plan_that_can_be_trained_is_not_refused() -> None:
    refuse_unable(world_plan())
    refuse_unable(dense_plan())


def test_modules_known_by_counts_are_named_in_every_stage_that_has_them() -> None:
    plan = world_plan()
    counted = Module("llm", None, counted_shape("llm", {"params": 1000}))
    with pytest.raises(RunError) as refused:
        refuse_unable(replace(plan, modules={**plan.modules, "llm": counted}))
    assert str(refused.value).splitlines()[1:] == [
        "  stages `text`, `align`, `joint`, `long`: `llm` is known by its counts alone; a preset "
        "with all sizes is needed to build it"
    ]


def test_experts_under_grouped_queries_are_not_built() -> None:
    plan = world_plan()
    olmoe = Module("llm", "olmoe-1b-7b", shape_of("olmoe-1b-7b", {"num_layers": 2}))
    with pytest.raises(RunError) as refused:
        refuse_unable(replace(plan, modules={**plan.modules, "llm": olmoe}))
    line = str(refused.value).splitlines()[1]
    assert line == (
        "  stages `text`, `align`, `joint`, `long`: `llm` has grouped queries and experts in one "
        "model, which is planned and priced here and not built"
    )


def test_windows_shorter_than_the_context_are_refused() -> None:
    refuse_unable(dense_plan(window=64, full_attention_every=2))  # no stage reads more
    with pytest.raises(RunError) as refused:
        refuse_unable(dense_plan(window=32))
    (line,) = str(refused.value).splitlines()[1:]
    assert line == (
        "  stage `long`: layers of `llm` see 32 positions of 64; attention in windows is not "
        "built, only up to their length"
    )
