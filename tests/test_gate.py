"""Gates: what a stage's end waits for is told everywhere, checked, and changes nothing that runs"""

import json
from pathlib import Path
from typing import Any

import pytest

from curriculum.cli.at import values_at
from curriculum.cli.plan_json import plan_json
from curriculum.gate import Gate
from curriculum.lock import read_lock, write_lock
from curriculum.screen import screen
from curriculum.train.gates import gate_line
from curriculum.units import parse_amount
from small import BASE, compiled, plan_in, plan_of
from strategies import Tree

CHECK = "short tests are as before"
LATE: Tree = {"init": "base", "keep": "base", "carry": "all", "tokens": 64_000}


def base(**stage: Any) -> Tree:
    return {"base": {**BASE, **stage}}


def test_a_gate_is_in_the_plan_and_in_no_digest() -> None:
    gate = {"when": CHECK, "least": "64K", "most": "100 steps"}
    plain, gated = plan_of(base()), plan_of(base(gate=gate))
    stage = gated.stage("base")
    assert stage.gate == Gate(CHECK, parse_amount("64K"), parse_amount("100 steps"))
    assert gated.digest == plain.digest
    assert "gate" not in json.loads(write_lock(plain))["stages"][0]
    assert json.loads(write_lock(gated))["stages"][0]["gate"] == {
        "when": CHECK,
        "least": "64K",
        "most": "100 steps",
    }
    assert read_lock(write_lock(gated), "x") == gated


def test_a_gate_is_told_on_the_screen_and_as_json() -> None:
    found = compiled(base(gate={"when": CHECK, "most": "70K"}))
    assert found.plan is not None
    stage = found.plan.stage("base")
    assert f"gate: {CHECK}; at most 70K tokens" in screen(found.plan)
    said = {"when": CHECK, "least": None, "most": {"tokens": 70_000}}
    assert values_at(found.plan, stage, 3)["gate"] == said
    assert plan_json(found, None)["stages"][0]["gate"] == said
    plain = plan_of(base())
    assert values_at(plain, plain.stage("base"), 3)["gate"] is None


def test_a_gate_is_not_kept_and_is_copied_with_the_text() -> None:
    stages = {
        **base(gate={"when": CHECK}),
        "late": LATE,
        "copy": {"extends": "base", "seed": 3},
    }
    plan = plan_of(stages)
    assert [(s.name, s.gate is not None) for s in plan.stages] == [
        ("base", True),
        ("copy", True),
        ("late", False),
    ]


def test_a_run_says_a_gate_with_what_waits_for_it() -> None:
    plan = plan_of({**base(gate={"when": CHECK}), "late": {**LATE, "gate": {"when": "it is good"}}})
    assert gate_line(plan, plan.stage("base")) == (
        f"gate of stage `base`: {CHECK}; decide before `late` begins (--stop-at base@end stops "
        "there)"
    )
    assert gate_line(plan, plan.stage("late")) == (
        "gate of stage `late`: it is good; decide what is next (--stop-at late@end stops there)"
    )
    assert gate_line(plan_of(base()), plan_of(base()).stage("base")) is None


@pytest.mark.parametrize(
    ("gate", "message", "related"),
    [
        (
            {"when": CHECK, "least": "65K"},
            "stage `base` asks for 64K tokens, fewer than the 65K tokens that its gate says as "
            "`least`",
            "the gate's `least`",
        ),
        (
            {"when": CHECK, "most": "99 steps"},
            "stage `base` has 100 steps, more than the 99 steps that its gate says as `most`",
            "the gate's `most`",
        ),
        ({"most": "1M"}, "a gate says `when` its stage is over", None),
        ({"when": CHECK, "until": "1M"}, "`gate` has no key `until`", None),
        ({"when": CHECK, "most": "80%"}, "a share cannot stand here", None),
        ({"when": ["a"]}, "one word is wanted here", None),
        ("soon", "`gate` is a mapping", None),
    ],
)
def test_a_gate_that_cannot_be_is_refused(gate: Any, message: str, related: str | None) -> None:
    (error,) = compiled(base(gate=gate)).errors
    assert error.message == message
    assert [told.message for told in error.related] == ([related] if related else [])


def test_a_proxy_scales_the_bounds_with_the_budget(tmp_path: Path) -> None:
    gate = {"when": CHECK, "least": "640_000", "most": "1_000 steps"}
    stages = base(gate=gate, tokens="640_000", batch={"seqs": 10})
    found = plan_in(tmp_path, "scale: {tokens: 1/10}\nplan: p\n", stages)
    assert found.plan is not None, found.findings
    stage = found.plan.stage("base")
    assert (stage.budget.tokens, stage.steps) == (64_000, 100)
    assert stage.gate == Gate(CHECK, parse_amount("64K"), parse_amount("100 steps"))
