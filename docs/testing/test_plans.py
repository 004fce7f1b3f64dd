"""What a team holds its plan to: run with `pytest docs/testing`"""

from pathlib import Path

from hypothesis import given

from curriculum.plan import Now
from curriculum.testing import (
    assert_claims,
    assert_plan_holds,
    changes,
    handovers,
    plan_of,
    steps,
)

FILE = Path(__file__).parents[2] / "plans" / "kimi-vl.yaml"
PLAN = plan_of(FILE)


def test_it_holds() -> None:
    assert_plan_holds(PLAN)


def test_it_holds_with_longer_warm_ups() -> None:
    assert_plan_holds(plan_of(FILE, **{"schedules.pretrain[0].for": "4000 steps"}))


def test_what_was_agreed() -> None:
    assert_claims(PLAN, "lr.llm <= 4.2e-4", "mix.multimodal <= 40%")


@given(steps(PLAN))
def test_a_step_of_the_llm_reads_up_to_64_million_tokens(now: Now) -> None:
    assert "llm" not in now.lr or now.tokens_per_step <= 64 * 2**20


@given(changes(PLAN, "text", "joint"))
def test_the_batch_is_whole_on_1024_gpus(now: Now) -> None:
    assert now.batch_seqs % 1024 == 0


@given(handovers(PLAN))
def test_no_stage_reads_shorter_sequences_than_the_one_before(pair: tuple[Now, Now]) -> None:
    before, after = pair
    assert after.seq_len >= before.seq_len
