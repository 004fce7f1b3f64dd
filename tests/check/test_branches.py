"""Many branches: each is told of once with a seed that is free, and none takes long to look at"""

import time

from curriculum.check.data_rules import separate_stages_deal_their_own_samples
from curriculum.compile import compile_text
from small import right
from small_plan import SMALL


def with_branches(count: int, last: str = "") -> str:
    text, second = SMALL[: SMALL.index("  second:")], SMALL[SMALL.index("  second:") :]
    return text + "".join(second.replace("second", f"b{i}") for i in range(count)) + last


def test_each_branch_is_told_of_once_and_gets_a_seed_that_no_other_has() -> None:
    plan = right(compile_text(with_branches(4, "    seed: 3\n")))
    found = list(separate_stages_deal_their_own_samples(plan))
    assert [(f.message[:27], f.help) for f in found] == [
        ("stages `b0` and `b1` run be", "say `seed: 2` in `b1`"),
        ("stages `b0` and `b2` run be", "say `seed: 4` in `b2`"),
    ]
    seeds = {"b1": "2", "b2": "4"}
    text = with_branches(4, "    seed: 3\n")
    for name, seed in seeds.items():
        text = text.replace(f"  {name}:\n", f"  {name}:\n    seed: {seed}\n")
    assert not list(separate_stages_deal_their_own_samples(right(compile_text(text))))


def test_hundreds_of_branches_are_told_of_in_a_moment() -> None:
    plan = right(compile_text(with_branches(400)))
    started = time.process_time()
    assert len(list(separate_stages_deal_their_own_samples(plan))) == 399
    assert time.process_time() - started < 5


def test_places_of_a_large_plan_are_found_in_a_moment() -> None:
    plan = right(compile_text(with_branches(1200)))
    started = time.process_time()
    assert [path for path in plan.paths_below("stages.b7.") if "rope" in path] == [
        "stages.b7.rope.llm.base"
    ]
    for i in range(1200):
        assert plan.paths_below(f"stages.b{i}.init") == [f"stages.b{i}.init"]
    assert not plan.paths_below("stages.none")
    in_order = [path for path in plan.places if path.startswith("stages.first")]
    assert plan.paths_below("stages.first") == in_order
    assert time.process_time() - started < 2
