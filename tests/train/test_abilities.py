"""What the trainer cannot do is refused before the first step, all of it at once"""

from dataclasses import replace

import pytest

from curriculum.batch import lay_out
from curriculum.errors import RunError
from curriculum.train.abilities import refuse_unable
from train.worlds import world_plan


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
