"""What the trainer cannot do is refused before the first step, all of it at once"""

from dataclasses import replace

import pytest

from curriculum.batch import lay_out
from curriculum.errors import RunError
from curriculum.models.presets import counted_shape
from curriculum.plan import Module
from curriculum.train.abilities import refuse_unable
from train.worlds import dense_plan, world_plan


def test_everything_is_said_at_once() -> None:
    plan = world_plan()
    text = plan.stage("text")
    batch = lay_out([(2, 16, 64), (2, 32, None)])
    odd = replace(text, batch=batch, loss={"distill": text.loss["next_token"]})
    with pytest.raises(RunError) as refused:
        refuse_unable(replace(plan, stages=(odd,)))
    said = str(refused.value)
    assert "stage `text`: no such loss term: distill" in said
    assert "stage `text`: its context changes on the way (16, 32)" in said


def test_a_plan_that_can_be_trained_is_not_refused() -> None:
    refuse_unable(world_plan())
    refuse_unable(dense_plan())


def test_modules_known_by_counts_are_named_in_every_stage_that_has_them() -> None:
    plan = world_plan()
    counted = Module("llm", None, counted_shape("llm", {"params": 1000}))
    with pytest.raises(RunError) as refused:
        refuse_unable(replace(plan, modules={**plan.modules, "llm": counted}))
    said = str(refused.value).splitlines()[1:]
    assert [line.partition(":")[0].strip() for line in said] == [
        "stage `text`",
        "stage `align`",
        "stage `joint`",
        "stage `long`",
    ]
    assert said[0].endswith(
        "`llm` is known by its counts alone; a preset with all sizes is needed to build it"
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
