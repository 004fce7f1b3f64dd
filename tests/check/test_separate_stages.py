"""Branches that read the same documents: each is told of once, with a seed that is free"""

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
