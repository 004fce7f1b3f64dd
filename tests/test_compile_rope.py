"""RoPE in a plan: said, kept, changed by one thing, by part, with a target, in locks and proxies"""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from curriculum import compile_rope
from curriculum.check.rules import broken_rules
from curriculum.cli.at import values_at
from curriculum.cli.rope_json import rope_values
from curriculum.lock import read_lock, write_lock
from curriculum.models.shapes import DecoderShape
from curriculum.plan import Plan
from curriculum.rope import Rope
from curriculum.rope_scaling import DynamicNtk, Linear, Llama3, LongRope, Ntk, Yarn
from curriculum.schema import plan_schema
from curriculum.screen import screen
from small import BASE, EYES, compiled, message_of, plan_in, plan_of, right, rules_of
from strategies import Tree

F = Fraction
NEXT: Tree = {"init": "base", "keep": "base", "carry": "all", "tokens": 32_000}
YARN: Tree = {"kind": "yarn", "factor": 40, "original": 4096, "beta_fast": 32, "beta_slow": 1}
LLM: Tree = {"base": 10_000}
EIGHT = ["1.5"] * 8


def scaled(**scaling: Any) -> Tree:
    return {"llm": {**LLM, "scaling": scaling}}


def one(rope: Any) -> Plan:
    return plan_of({"base": {**BASE, "rope": rope}})


def two(rope: Any, /, **more: Any) -> Plan:
    return plan_of({"base": {**BASE, "rope": rope}, "next": {**NEXT, **more}})


@pytest.mark.parametrize(
    ("scaling", "leaf"),
    [
        ({"kind": "linear", "factor": 4}, Linear(F(4))),
        ({"kind": "ntk", "factor": "2.5"}, Ntk(F("2.5"))),
        (
            {"kind": "dynamic-ntk", "factor": 2, "original": "4Ki"},
            DynamicNtk(F(2), 4096, seq_len=64),
        ),
        (
            {
                "kind": "llama3",
                "factor": 8,
                "original": 8192,
                "low_freq_factor": 1,
                "high_freq_factor": 4,
            },
            Llama3(F(8), F(1), F(4), 8192),
        ),
        (YARN, Yarn(F(40), 4096, F(32), F(1))),
        ({**YARN, "attention_factor": "1.1"}, Yarn(F(40), 4096, F(32), F(1), F("1.1"))),
        (
            {"kind": "longrope", "factor": 4, "original": 32, "short": EIGHT, "long": EIGHT},
            LongRope(F(4), 32, (F("1.5"),) * 8, (F("1.5"),) * 8, seq_len=64),
        ),
    ],
)
def test_every_scaling_is_compiled_locked_and_read_back(scaling: Tree, leaf: Any) -> None:
    plan = one(scaled(**scaling))
    assert plan.stage("base").rope == {"llm": Rope(F(10_000), leaf)}
    lock = write_lock(plan)
    assert read_lock(lock, "x.lock.json") == plan
    assert write_lock(read_lock(lock, "x.lock.json")) == lock
    assert plan.digest != one({"llm": LLM}).digest


def test_a_plain_base_stays_the_word_it_was_and_no_turning_is_null() -> None:
    (stage,) = json.loads(write_lock(one({"llm": LLM})))["stages"]
    assert stage["rope"] == {"llm": "10000"}
    assert "target_seq_len" not in stage
    none = one({"llm": "none"})
    (stage,) = json.loads(write_lock(none))["stages"]
    assert stage["rope"] == {"llm": None}
    assert none.stage("base").rope == {"llm": Rope(None)}
    assert read_lock(write_lock(none), "x.lock.json") == none


@pytest.mark.parametrize(
    ("changes", "rope"),
    [
        ({}, Rope(F(10_000), Yarn(F(40), 4096, F(32), F(1)))),
        ({"rope.llm.base": "500_000"}, Rope(F(500_000), Yarn(F(40), 4096, F(32), F(1)))),
        ({"rope.llm.scaling.factor": 8}, Rope(F(10_000), Yarn(F(8), 4096, F(32), F(1)))),
        ({"rope.llm.scaling.original": "8Ki"}, Rope(F(10_000), Yarn(F(40), 8192, F(32), F(1)))),
        (
            {"rope.llm.scaling.attention_factor": 2, "rope.llm.scaling.factor": 8},
            Rope(F(10_000), Yarn(F(8), 4096, F(32), F(1), F(2))),
        ),
        ({"rope.llm.scaling": "none"}, Rope(F(10_000))),
        ({"rope.llm.scaling": {"kind": "ntk", "factor": 2}}, Rope(F(10_000), Ntk(F(2)))),
        (
            {"rope.llm.base": 7, "rope.llm.scaling": {"kind": "ntk", "factor": 2}},
            Rope(F(7), Ntk(F(2))),
        ),
        ({"rope.llm": "none"}, Rope(None)),
        ({"rope.llm": {"base": 7}}, Rope(F(7))),
        ({"rope": {"llm": {"base": 7}}}, Rope(F(7))),
    ],
)
def test_what_is_kept_changes_by_one_thing(changes: Tree, rope: Rope) -> None:
    plan = two(scaled(**YARN), **changes)
    assert plan.stage("next").rope == {"llm": rope}
    assert plan.stage("base").rope["llm"].scaling == Yarn(F(40), 4096, F(32), F(1))


def test_a_formula_reads_the_context_that_the_stage_prepares_for() -> None:
    dynamic = {"kind": "dynamic-ntk", "factor": 2, "original": 32}

    def read(**more: Any) -> list[int]:
        stages = two(scaled(**dynamic), **more).stages
        scalings = [stage.rope["llm"].scaling for stage in stages]
        return [s.seq_len for s in scalings if isinstance(s, DynamicNtk)]

    assert read() == [64, 64]
    assert read(seq_len=128, batch={"seqs": 10}) == [64, 128]
    assert read(target_seq_len=1024) == [64, 1024]
    plain, target = two({"llm": LLM}), two({"llm": LLM}, target_seq_len=1024)
    assert plain.digest == target.digest  # nothing reads it


def test_a_formula_that_reads_the_context_wants_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_rope, "contexts_of", lambda draft: (32, 64))
    dynamic = {**BASE, "rope": scaled(kind="dynamic-ntk", factor=2, original=32)}
    words = message_of({"base": dynamic})
    assert "a RoPE scaling reads the context, which changes in stage `base`: 32, 64" in words
    assert rules_of({"base": dynamic}) == ["rope-context"]
    plan_of({"base": {**dynamic, "target_seq_len": 64}})
    plan_of({"base": {**BASE, "rope": scaled(**YARN)}})


def test_the_target_follows_keep_and_is_told() -> None:
    plan = plan_of(
        {
            "base": {**BASE, "target_seq_len": "1Ki"},
            "next": NEXT,
            "last": {**NEXT, "init": "next", "keep": "next", "target_seq_len": 2048},
        }
    )
    assert [s.target_seq_len for s in plan.stages] == [1024, 1024, 2048]
    assert values_at(plan, plan.stage("next"), 0)["target_seq_len"] == 1024
    assert "prepares for a context of 1,024" in screen(plan)
    read = read_lock(write_lock(plan), "x.lock.json")
    assert read == plan
    assert [s.target_seq_len for s in read.stages] == [1024, 1024, 2048]


def test_what_is_told_of_a_rope() -> None:
    plan = two(scaled(**YARN), **{"rope.llm": "none"})
    told = rope_values(plan.stage("base").rope["llm"])
    assert told["base"] == 10_000
    assert told["scaling"] == {
        "kind": "yarn", "factor": 40, "original": 4096, "beta_fast": 32, "beta_slow": 1,
        "attention_factor": pytest.approx(1.368888, abs=1e-6),
    }  # fmt: skip
    assert rope_values(plan.stage("next").rope["llm"]) == {"base": None}
    assert "RoPE of llm: 10,000, yarn x40 of 4,096, attention x1.36889" in screen(plan)


# What is refused


@pytest.mark.parametrize(
    ("rope", "rule", "words"),
    [
        (scaled(factor=2), "missing-key", "a RoPE scaling says its `kind`"),
        (scaled(kind="yarm", factor=2), "wrong-value", "`yarm` is not one of the words for this"),
        (scaled(kind="yarn", factor=2, original=4096, beta_fast=32), "missing-key",
         "`yarn` says no `beta_slow`"),
        (scaled(kind="linear", factor=2, original=4096), "unknown-key",
         "`linear` has no key `original`"),
        (scaled(**{**YARN, "factor": ".5"}), "wrong-value", "`factor` is at least 1"),
        (scaled(**{**YARN, "original": 1}), "wrong-value", "`original` is at least 2 tokens"),
        (scaled(**{**YARN, "original": "4K"}), "wrong-value", "`4K` is 4000"),
        (scaled(**{**YARN, "beta_slow": 40}), "wrong-value",
         "`beta_slow` is above `beta_fast`: both are turns in `original` tokens"),
        (scaled(**{**YARN, "beta_slow": 0}), "wrong-value", "`beta_slow` is greater than 0"),
        (scaled(**{**YARN, "factor": "unknown"}), "rope-unknown",
         "a stage cannot be compiled without its RoPE"),
        (scaled(kind="longrope", factor=2, original=64, short="1", long=EIGHT), "wrong-type",
         "`short` is a list: a factor for every pair of dimensions"),
        (scaled(kind="longrope", factor=2, original=64, short=["-1"], long=EIGHT), "wrong-value",
         "`short` is greater than 0"),
        (scaled(kind="longrope", factor=2, original=64, short=EIGHT[1:], long=EIGHT),
         "wrong-value", "`short` has 7 factors and `long` 8: one a pair"),
        (scaled(kind="longrope", factor=2, original=64, short=EIGHT[1:], long=EIGHT[1:]),
         "rope-factors", "7 factors, but the heads of `llm` turn 8 pairs"),
        ({"llm": {**LLM, "scaling": "yarn"}}, "wrong-type", "a RoPE scaling is a mapping"),
        ({"LLM": LLM}, "wrong-name", "`LLM` is no module or part"),
        ({"llm": LLM, "llm/full": LLM}, "rope-of-absent",
         "`llm` has no part `full` with a RoPE of its own"),
        ({"llm": "off"}, "wrong-type", "the RoPE of a module is a mapping"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(rope: Any, rule: str, words: str) -> None:
    found = compiled({"base": {**BASE, "rope": rope}}).findings
    assert rule in [finding.rule for finding in found]
    assert words in " ".join(finding.message for finding in found)


def test_a_rope_of_what_is_not_there_has_a_way_out() -> None:
    stages = {"base": {**BASE, "rope": {"llm": LLM, "vit": LLM}}}
    (found,) = compiled(stages).findings
    assert (found.message, found.help) == (
        "stage `base` has no module `vit`",
        "leave its RoPE out, or bring `vit` in by `init`",
    )
    part = {"base": {**BASE, "rope": {"llm": LLM, "llm/full": LLM}}}
    assert compiled(part).findings[0].help == "say it of `llm`, all of its layers"
    towers = {"base": {**EYES, "rope": {"vit": LLM}}}
    assert [(f.message, f.help) for f in compiled(towers).findings] == [
        (
            "the RoPE of `vit` belongs to its preset",
            "leave `vit` out: `rope` is of a language model",
        )
    ]


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("rope.llm.scaling.kind", "ntk", "dotted-key"),
        ("rope.llm.scaling.beta_slow", "40", "wrong-value"),
        ("rope.llm.scaling.factor", "0", "wrong-value"),
        ("rope.llm.scaling.short", "0", "dotted-key"),
        ("rope.llm.scaling.factor.x", "0", "dotted-key"),
        ("rope.vit.scaling", "none", "dotted-key"),
        ("rope.llm/full.base", "5", "dotted-key"),
        ("rope.llm/full", "none", "rope-of-absent"),
        ("rope.llm", "5", "dotted-key"),
    ],
)
def test_a_dotted_key_that_cannot_be_is_refused(key: str, value: str, rule: str) -> None:
    stages = {"base": {**BASE, "rope": scaled(**YARN)}, "next": {**NEXT, key: value}}
    assert rules_of(stages) == [rule]


def test_a_scaling_changes_only_where_one_is_kept() -> None:
    stages = {"base": BASE, "next": {**NEXT, "rope.llm.scaling.factor": 2}}
    assert rules_of(stages) == ["dotted-key"]
    none = {**BASE, "rope": {"llm": "none"}}
    stages = {"base": none, "next": {**NEXT, "rope.llm.scaling": {"kind": "ntk", "factor": 2}}}
    assert rules_of(stages) == ["dotted-key"]


def test_a_target_below_what_is_read_is_refused() -> None:
    words = message_of({"base": {**BASE, "target_seq_len": 32}})
    assert "stage `base` reads 64 tokens and prepares for 32" in words
    longer = {**NEXT, "seq_len": 256, "batch": {"seqs": 5}}
    assert rules_of({"base": {**BASE, "target_seq_len": 128}, "next": longer}) == [
        "target-below-context"
    ]


# Parts


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let decoders have two kinds of layers, as those with sliding windows do."""
    found = {"full": (1,), "sliding": (0, 2)}
    monkeypatch.setattr(DecoderShape, "rope_parts", lambda shape: found)


@pytest.mark.usefixtures("parts")
def test_parts_say_their_own_and_the_rest_follows_the_module() -> None:
    both = {"llm/full": {"base": 5_000_000}, "llm/sliding": {"base": 10_000}}
    assert one(both).stage("base").rope == {
        "llm/full": Rope(F(5_000_000)),
        "llm/sliding": Rope(F(10_000)),
    }
    beside = {"llm": {"base": 10_000}, "llm/full": "none"}
    plan = two(beside, **{"rope.llm/full.base": 7, "rope.llm/sliding.base": 8})
    assert plan.stage("base").rope == {"llm": Rope(F(10_000)), "llm/full": Rope(None)}
    # Now both parts say their own, so that what was kept of the module is read by no layer.
    assert plan.stage("next").rope == {"llm/full": Rope(F(7)), "llm/sliding": Rope(F(8))}
    assert read_lock(write_lock(plan), "x.lock.json") == plan
    assert "RoPE of llm/full: 7" in screen(plan)


@pytest.mark.usefixtures("parts")
def test_what_parts_leave_unsaid_or_unread_is_refused() -> None:
    assert rules_of({"base": {**BASE, "rope": {"llm/full": LLM}}}) == ["rope-unsaid"]
    all_three = {"llm": LLM, "llm/full": LLM, "llm/sliding": LLM}
    assert rules_of({"base": {**BASE, "rope": all_three}}) == ["rope-unread"]
    words = message_of({"base": {**BASE, "rope": {"llm": LLM, "llm/ful": LLM}}})
    assert "`llm` has no part `ful` with a RoPE of its own" in words


# Rules, proxies


def warnings(plan: Plan, rule: str) -> list[str]:
    return [finding.message for finding in broken_rules(plan) if finding.rule == rule]


def longer(**more: Any) -> Tree:
    return {**NEXT, "seq_len": 128, "batch": {"seqs": 5}, **more}


def test_a_context_that_was_prepared_for_needs_no_new_rope() -> None:
    def found(base: Tree, after: Tree) -> list[str]:
        plan = plan_of({"base": {**BASE, **base}, "next": after})
        return warnings(plan, "rope-grows-with-context")

    assert len(found({}, longer())) == 1
    assert found({"target_seq_len": 128}, longer()) == []
    assert len(found({"target_seq_len": 100}, longer(target_seq_len=128))) == 1
    assert found({"rope": {"llm": "none"}}, longer()) == []
    yarn = {"kind": "yarn", "factor": 2, "original": 64, "beta_fast": 32, "beta_slow": 1}
    assert found({}, longer(**{"rope.llm.scaling": yarn})) == []
    dynamic = scaled(kind="dynamic-ntk", factor=2, original=64)
    assert found({"rope": dynamic}, longer()) == []  # the formula follows by itself


def test_a_proxys_contexts_shrink_in_scalings_too(tmp_path: Path) -> None:
    stages = {
        "base": {**BASE, "rope": scaled(**YARN), "target_seq_len": 4096},
        "next": {**NEXT, "rope.llm.scaling.original": 8192},
    }
    overlay = "plan: proxy\nscale: {seq_len: 1/4, tokens: 1/4}\n"
    plan = right(plan_in(tmp_path, overlay, stages))
    scalings = [stage.rope["llm"].scaling for stage in plan.stages]
    assert [s.original for s in scalings if isinstance(s, Yarn)] == [1024, 2048]
    assert [s.target_seq_len for s in plan.stages] == [1024, 1024]
    odd = plan_in(tmp_path, "plan: proxy\nscale: {seq_len: 1/3}\n", stages)
    assert "not-whole" in [finding.rule for finding in odd.findings]


@pytest.mark.parametrize(
    "rope",
    [
        {"llm": LLM},
        {"llm": "none"},
        {"llm/full": {"base": "unknown"}, "llm": "none"},
        scaled(**YARN),
        scaled(**YARN, attention_factor=1.1),
        scaled(kind="linear", factor=2),
        scaled(kind="ntk", factor=2),
        scaled(kind="dynamic-ntk", factor=2, original="4Ki"),
        scaled(kind="llama3", factor=8, original=8192, low_freq_factor=1, high_freq_factor=4),
        scaled(kind="longrope", factor=2, original=64, short=[1, 2], long=[1, "3/2"]),
    ],
)
def test_the_schema_takes_every_rope(rope: Tree) -> None:
    assert schema_errors(rope) == []


@pytest.mark.parametrize(
    "rope",
    [
        {"llm": {"scaling": YARN}},
        {"llm": {**LLM, "theta": 3}},
        {"LLM": LLM},
        scaled(kind="yarn", factor=2),
        scaled(kind="linear", factor=2, original=4096),
        scaled(kind="yarm", factor=2),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(rope: Tree) -> None:
    assert schema_errors(rope)


def schema_errors(rope: Tree) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(plan_schema())
    stage = {"rope": rope, "target_seq_len": "128Ki"}
    plan = {"plan": "x", "stages": {"base": stage}}
    return [error.message for error in validator.iter_errors(plan)]
