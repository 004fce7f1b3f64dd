"""What the trainer cannot do is refused before the first step, all of it at once"""

from dataclasses import replace

import pytest

from curriculum.errors import RunError
from curriculum.train.abilities import refuse_unable
from train.worlds import world_plan


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


def test_a_plan_that_can_be_trained_is_not_refused() -> None:
    refuse_unable(world_plan())
