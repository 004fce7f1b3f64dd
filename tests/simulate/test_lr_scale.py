from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.simulate.lr_scale import lr_scale, scale_of
from small import right

PLANS = Path(__file__).parents[2] / "plans"


@pytest.mark.parametrize(
    ("name", "scale"),
    [("pythia-1b", "linear"), ("minimax-text-01", "linear"), ("kimi-vl", "log"),
     ("deepseek-v3", "log"), ("kimi-k2.5", "linear")],
)  # fmt: skip
def test_one_rule_decides_for_a_whole_plan(name: str, scale: str) -> None:
    assert lr_scale(right(compile_file(PLANS / f"{name}.yaml"))) == scale


def test_the_reader_may_ask_for_the_other() -> None:
    plan = right(compile_file(PLANS / "pythia-1b.yaml"))
    assert lr_scale(plan, "log") == "log"


def test_eight_times_is_still_linear() -> None:
    assert scale_of([8e-4, 1e-4]) == "linear"
    assert scale_of([8.1e-4, 1e-4]) == "log"
    assert scale_of([]) == "linear"
