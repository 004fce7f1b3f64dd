from fractions import Fraction
from typing import Any

import pytest

from curriculum.errors import Diagnostic
from curriculum.source_map import read_text
from curriculum.spec import PlanSpec, Point, StageSpec
from curriculum.spec_plan import read_spec
from curriculum.units import Amount
from small import BASE, WARM, compiled, tree
from strategies import text_of


def spec_of(stage: dict[str, Any], **plan: Any) -> tuple[PlanSpec, list[Diagnostic]]:
    return read_spec(read_text(text_of(tree({"base": {**BASE, **stage}}, **plan)), "x.yaml"))


def stage_of(**stage: Any) -> StageSpec:
    spec, problems = spec_of(stage)
    assert problems == []
    return spec.stages["base"]


def rule_of(stage: dict[str, Any], **plan: Any) -> str:
    _, problems = spec_of(stage, **plan)
    assert problems, "nothing was refused"
    return problems[0].rule


def test_points_name_a_stage_at_its_end_or_a_mark() -> None:
    init = stage_of(init={"llm": "text@4T", "vit": "new", "projector": "text@step 7"}).init
    assert init is not None
    assert init["vit"] is None
    llm, projector = init["llm"], init["projector"]
    assert isinstance(llm, Point)
    assert isinstance(projector, Point)
    mark, step = llm.mark, projector.mark
    assert mark is not None
    assert step is not None
    assert mark.amount == Amount(Fraction(4 * 10**12), "tokens")
    assert step.amount == Amount(Fraction(7), "steps")
    whole = stage_of(init="text@end").init_all
    assert isinstance(whole, Point)
    assert (whole.stage, whole.mark) == ("text", None)


def test_a_ride_is_a_name_a_curve_or_both_said_at_length() -> None:
    named, value = stage_of(lr="main").lr, stage_of(lr="1e-3").lr
    assert named is not None
    assert value is not None
    assert named.schedule is not None
    assert value.curve is not None
    assert value.curve.pieces[0].start is not None
    long = stage_of(lr={"schedule": "main", "scale": "1/10", "restart": "true", "jump": "true"}).lr
    assert long is not None
    assert (long.scale, long.restart, long.jump) == (Fraction(1, 10), True, True)
    by_target = stage_of(
        lr={"llm": "main", "llm/norms": [WARM, {"shape": "constant"}]}
    ).lr_by_target
    assert by_target is not None
    assert set(by_target) == {"llm", "llm/norms"}
    held = stage_of(lr={"curve": [{"shape": "constant", "from": "1e-3"}], "jump": "true"}).lr
    assert held is not None
    assert held.jump


def test_a_mixture_is_a_tree_with_rest_lists_and_replays() -> None:
    replayed = {"ratio": "rest", "of": {"replay": "x@50%/y/z"}}
    mix = stage_of(mixture={"new": {"ratio": ".5", "of": ["a", "b"]}, "old": replayed}).mixture
    assert mix is not None
    new, old = mix.nodes
    assert new.of is not None
    assert old.of is not None
    assert [w.text for w in new.of.by_size] == ["a", "b"]
    assert old.ratio is None
    assert old.of.replay is not None
    assert (old.of.replay.stage, old.of.replay_path) == ("x", ("y", "z"))
    assert mix.replayed() == ("x",)


def test_the_words_of_carry_stay_words() -> None:
    assert [w.text for w in stage_of(carry="all").carry or ()] == ["all"]
    assert [w.text for w in stage_of(carry=["llm", "vit"]).carry or ()] == ["llm", "vit"]


def test_unknown_is_noted_where_a_stage_cannot_do_without() -> None:
    assert stage_of(tokens="unknown", mixture="unknown").unknown == ("tokens", "mixture")
    assert stage_of(lr="unknown").unknown == ()


@pytest.mark.parametrize(
    ("stage", "rule"),
    [
        ({"colour": "red"}, "unknown-key"),
        ({"rope.llm.colour.red": "1", "colour.red": 1}, "unknown-key"),
        ({"tokens": "3 steps"}, "wrong-unit"),
        ({"tokens": "0"}, "wrong-value"),
        ({"tokens": "1e30"}, "wrong-value"),
        ({"tokens": "NaN"}, "wrong-value"),
        ({"tokens": ["1"]}, "wrong-type"),
        ({"steps": 3}, "one-budget"),
        ({"round": "sideways"}, "wrong-value"),
        ({"init": ["a"]}, "wrong-type"),
        ({"init": {"LLM": "new"}}, "wrong-name"),
        ({"init": "Text"}, "wrong-name"),
        ({"init": "text@5 apples"}, "wrong-value"),
        ({"keep": ["a"]}, "wrong-type"),
        ({"keep": {"a": "text"}}, "missing-key"),
        ({"status": "lost"}, "wrong-value"),
        ({"init": {"llm": {"average": ["a"]}}}, "wrong-value"),
        ({"loss": {"next_tokn": 1}}, "wrong-value"),
        ({"loss": 1}, "wrong-type"),
        ({"packing": "worst-fit"}, "wrong-value"),
        ({"seq_len": "8K"}, "wrong-value"),
        ({"seq_len": {"a": 1}}, "wrong-type"),
        ({"batch": 8}, "wrong-type"),
        ({"batch": []}, "wrong-value"),
        ({"batch": {"seqs": 1, "tokens": 2}}, "wrong-value"),
        ({"batch": {"seqs": 1, "until": "5%"}}, "wrong-value"),
        ({"batch": [{"seqs": 1}, {"seqs": 2}]}, "wrong-value"),
        ({"batch": {"seqs": "5 steps"}}, "wrong-unit"),
        ({"rope": {"llm": {}}}, "missing-key"),
        ({"rope": {"llm": {"base": "big"}}}, "wrong-value"),
        ({"rope": {"llm": {"theta": 1, "base": 5}}}, "unknown-key"),
        ({"set": {"llm/router": 3}}, "wrong-type"),
        ({"set": {"LLM": {"x": 3}}}, "wrong-name"),
        ({"lr": {"LLM": "main"}}, "wrong-name"),
        ({"lr": {"schedule": "main", "curve": "1"}}, "wrong-value"),
        ({"lr": {"schedule": "main", "restart": "maybe"}}, "wrong-value"),
        ({"lr": []}, "wrong-value"),
        ({"lr": [{"from": 1}]}, "missing-key"),
        ({"lr": [{"shape": "round", "from": 1}]}, "wrong-value"),
        ({"lr": [{"shape": "constant", "from": 1, "for": "5%", "until": "6%"}]}, "wrong-value"),
        ({"lr": [{"shape": "constant", "from": 1, "for": "5 seqs"}]}, "wrong-unit"),
        ({"lr": [{"shape": "linear", "from": 1, "to": 0, "half_life": 5}]}, "wrong-value"),
        ({"lr": [{"shape": "rsqrt", "from": 1, "half_life": 5}]}, "wrong-value"),
        ({"lr": [{"shape": "rsqrt", "from": 1, "timescale": 5, "to": 0}]}, "wrong-value"),
        ({"lr": [{"shape": "rsqrt", "from": 1, "timescale": 0}]}, "wrong-value"),
        ({"mixture": {}}, "wrong-value"),
        ({"mixture": {"g": {"of": {"a": 1}}}}, "missing-key"),
        ({"mixture": {"g": {"ratio": 1, "off": {"a": 1}}}}, "unknown-key"),
        ({"mixture": {"replay": "x", "a": 1}}, "wrong-value"),
        ({"seed": "-1"}, "wrong-value"),
    ],
)
def test_what_is_no_word_of_the_language_is_refused(stage: dict[str, Any], rule: str) -> None:
    assert rule_of(stage) == rule


@pytest.mark.parametrize(
    ("plan", "rule"),
    [
        ({"plan": "My plan"}, "wrong-name"),
        ({"colour": "red"}, "unknown-key"),
        ({"seed": "x"}, "wrong-value"),
        ({"modules": {"llm": {}}}, "missing-key"),
        ({"modules": ["llm"]}, "wrong-type"),
        ({"sources": {"a": {"tokens": 1}}}, "missing-key"),
        ({"sources": {"a": {"modality": "smell"}}}, "wrong-value"),
        ({"sources": {"a": {"modality": "text", "holdout": 2}}}, "wrong-value"),
        ({"sources": {"a": {"modality": "text", "tokens": "5%"}}}, "wrong-unit"),
        ({"sources": {"A": {"modality": "text"}}}, "wrong-name"),
        ({"optimizers": {"x": {"weight_decay": 1}}}, "missing-key"),
        ({"optimizers": {"x": {"kind": "sgd"}}}, "wrong-value"),
        ({"optimizers": {"x": {"kind": "adamw", "momentum": 1}}}, "unknown-key"),
    ],
)
def test_what_is_no_plan_is_refused(plan: dict[str, Any], rule: str) -> None:
    assert rule_of({}, **plan) == rule


@pytest.mark.parametrize(
    ("checkpoint", "rule"),
    [
        ({"path": "x"}, "missing-key"),
        ({"gives": ["llm"], "weights": "old"}, "wrong-value"),
        ({"gives": ["llm"], "size": "big"}, "unknown-key"),
    ],
)
def test_a_checkpoint_says_what_it_gives(checkpoint: dict[str, Any], rule: str) -> None:
    text = text_of(tree({"seen": {"checkpoint": checkpoint}}))
    _, problems = read_spec(read_text(text, "x.yaml"))
    assert [p.rule for p in problems] == [rule]


def test_a_plan_says_its_name_and_its_stages() -> None:
    _, problems = read_spec(read_text("seed: 1\n", "x.yaml"))
    assert [(p.rule, p.message) for p in problems] == [
        ("missing-key", "a plan says its name"),
        ("missing-key", "a plan has `stages`"),
    ]


def test_an_unknown_key_is_told_with_the_nearest_known_one() -> None:
    found = compiled({"base": {**BASE, "mixtur": {"a": 1}}})
    (finding,) = [f for f in found.findings if f.rule == "unknown-key"]
    assert finding.help == "did you mean `mixture`?"
    assert "stage `base` has no key `mixtur`" in finding.message


def test_the_name_of_a_plan_may_hold_dots_and_no_other_name_does() -> None:
    spec, problems = spec_of({}, plan="llama-3.1-405b")
    assert problems == []
    assert spec.name == "llama-3.1-405b"
    rule = "small letters, digits, `.`, `-` and `_`, the first a letter or digit"
    for name, way_out in (("Llama 3", "write `llama-3`"), (".hidden", rule), ("a/b", rule)):
        _, problems = spec_of({}, plan=name)
        assert [(p.rule, p.message, p.help) for p in problems] == [
            ("wrong-name", f"`{name}` is not a name of a plan", way_out)
        ]
    _, problems = spec_of({}, sources={"web-1.1": {"modality": "text"}})
    assert [(p.rule, p.message) for p in problems] == [("wrong-name", "`web-1.1` is not a name")]
