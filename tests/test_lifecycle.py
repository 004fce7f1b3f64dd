"""Modules that grow, are adapted, begin anew in part, and keep an average, as the plan says it"""

from fractions import Fraction
from typing import Any

import pytest

from curriculum.cli.modules import module_lines, modules_json
from curriculum.cost import stage_flops
from curriculum.lifecycle import Ema
from curriculum.lock import read_lock, write_lock
from curriculum.models.adapters import Adapter
from curriculum.models.flops import Gradient, train_flops_per_token
from curriculum.models.presets import PRESETS, shape_of
from curriculum.plan import Plan
from curriculum.screen import params_of, screen
from small import BASE, EYES, message_of, plan_of, rules_of

FIRST = {**BASE, "lr": "towers"}
AFTER: dict[str, Any] = {"init": "base", "keep": "base", "carry": "all", "tokens": 64_000}
NEXT: dict[str, Any] = {**AFTER, "init": "next", "keep": "next"}
SHAPE = PRESETS["moonlight-proxy"]
LORA = {"kind": "lora", "rank": 4, "parts": ["attention", "head"]}


def again(plan: Plan) -> Plan:
    return read_lock(write_lock(plan), "x")


def test_a_reshaped_module_keeps_its_sizes_and_is_counted_and_priced_with_them() -> None:
    plan = plan_of(
        {
            "base": FIRST,
            "next": {**AFTER, "reshape": {"llm": {"vocab": 1100, "rows": "mean"}}},
            "last": NEXT,
        }
    )
    base, grown, last = plan.stages
    bigger = shape_of("moonlight-proxy", {"vocab": 1100})
    assert plan.shape_of(base, "llm") == SHAPE
    assert plan.shape_of(grown, "llm") == plan.shape_of(last, "llm") == bigger
    before = params_of(plan, base, "llm")
    assert before is not None
    assert params_of(plan, last, "llm") == before + 2 * 76 * 160
    assert stage_flops(plan, grown) == {"llm": 64_000 * train_flops_per_token(bigger, 64)}
    assert (grown.lifecycle.rows, last.lifecycle.rows) == ({"llm": "mean"}, {})
    assert again(plan).stages == plan.stages
    assert "reshapes llm: vocab 1100" in screen(plan)
    assert modules_json(plan, last)["sizes"]["llm"]["vocab"] == 1100
    smaller = {"base": FIRST, "next": AFTER}
    assert plan_of(smaller).stage("next").digest != plan.stage("next").digest
    assert plan_of(smaller).stage("base").digest == plan.stage("base").digest


def test_a_preset_known_by_counts_is_reshaped_by_its_counts() -> None:
    stage = {k: v for k, v in FIRST.items() if k != "set"}
    grown = {**AFTER, "reshape": {"llm": {"vocab": 257_152, "params": 2_508_531_712}}}
    plan = plan_of({"base": stage, "next": grown}, modules={"llm": {"preset": "gemma-2b"}})
    shape = plan.shape_of(plan.stage("next"), "llm")
    assert (shape.num_params(), plan.modules["llm"].shape.num_params()) == (
        2_508_531_712,
        2_506_172_416,
    )
    assert again(plan).stages == plan.stages


def test_one_module_may_be_reshaped_again_and_back() -> None:
    plan = plan_of(
        {
            "base": FIRST,
            "next": {**AFTER, "reshape": {"llm": {"vocab": 1100, "rms_eps": "1e-6"}}},
            "last": {**NEXT, "reshape": {"llm": {"vocab": 1024}}},
        }
    )
    assert plan.shape_of(plan.stage("last"), "llm") == shape_of(
        "moonlight-proxy", {"rms_eps": 1e-6}
    )


@pytest.mark.parametrize(
    ("reshape", "words"),
    [
        ({"vit": {"patch": 7}}, "stage `next` has no module `vit`"),
        ({"llm": {"vocabulary": 7}}, "has no field 'vocabulary'"),
        ({"llm": {"vocab": 1024}}, "`llm` has these sizes already"),
        ({"llm": {}}, "`reshape` says nothing of llm"),
        ({"llm": {"rms_eps": "1e-6", "rows": "mean"}}, "`rows` says how a vocabulary grows"),
        ({"llm": {"vocab": 1100, "rows": "zero"}}, "`zero` is not one of the words"),
    ],
)
def test_a_reshape_that_is_wrong_is_refused(reshape: Any, words: str) -> None:
    assert words in message_of({"base": FIRST, "next": {**AFTER, "reshape": reshape}})


def test_what_is_new_is_not_reshaped() -> None:
    found = message_of({"base": {**FIRST, "reshape": {"llm": {"vocab": 2048}}}})
    assert "`llm` is new here: it has the sizes that `modules` gives it" in found


def test_parts_begin_anew() -> None:
    stages = {"base": FIRST, "next": {**AFTER, "init": {"llm": "base", "llm/head": "new"}}}
    plan = plan_of(stages)
    assert plan.stage("next").lifecycle.fresh == ("llm/head",)
    assert again(plan).stages == plan.stages
    assert plan.stage("next").digest != plan_of({"base": FIRST, "next": AFTER}).stage("next").digest
    assert "begins anew: llm/head" in screen(plan)


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ({"llm": "base", "llm/heads": "new"}, "`llm` has no part `heads`"),
        ({"llm": "base", "vit/norms": "new"}, "stage `next` has no module `vit`"),
        ({"llm": "base", "llm/head": "base"}, "`base` is not one of the words for this"),
        ({"llm": "new", "llm/head": "new"}, "all of `llm` is new here"),
    ],
)
def test_a_part_that_cannot_begin_anew_is_refused(init: Any, words: str) -> None:
    stages = {"base": FIRST, "next": {**FIRST, "init": init, "carry": "none", "seed": 3}}
    if init["llm"] == "new":
        del stages["next"]["carry"]
    assert words in message_of(stages)


def adapted(**last: Any) -> dict[str, Any]:
    tuned = {**AFTER, "adapters": {"llm": LORA}, "train": ["llm/adapters"], "carry": "none"}
    return {"base": FIRST, "next": {**tuned, "lr": {"llm": "1e-4"}}} | (
        {"last": {**NEXT, "carry": "none", "train": ["llm"], **last}} if last else {}
    )


def test_adapters_are_a_part_that_is_trained_counted_and_priced() -> None:
    plan = plan_of(adapted())
    stage = plan.stage("next")
    adapter = stage.lifecycle.adapters["llm"]
    assert adapter == Adapter("lora", 4, ("attention", "head"))
    matrices = [
        size
        for name, size in SHAPE.weights().items()
        if len(size) > 1 and (".attn." in name or name.startswith("head"))
    ]
    params = sum(4 * (rows + columns) for rows, columns in matrices)
    assert params_of(plan, stage, "llm/adapters") == adapter.num_params(SHAPE) == params
    assert plan.parts_of(stage, "llm") == (*SHAPE.parts(), "adapters")
    each = train_flops_per_token(SHAPE, 64, Gradient.THROUGH) + 6 * params
    assert stage_flops(plan, stage) == {"llm": 64_000 * each}
    assert again(plan).stages == plan.stages
    assert "adapts llm: lora of rank 4, on attention, head" in screen(plan)
    (line,) = module_lines(modules_json(plan, stage))
    assert line.endswith(f"llm lora of rank 4 on attention, head: {params:,} parameters")


def test_adapters_of_experts_are_one_each_and_few_are_active() -> None:
    adapter, weights = Adapter("dora", 2, ("experts",)), SHAPE.weights()
    each = [s for n, s in weights.items() if ".experts." in n]
    routed = sum(experts * (2 * (o + i) + o) for experts, o, i in each)
    shared = sum(2 * (s[0] + s[1]) + s[0] for n, s in weights.items() if ".shared." in n)
    assert adapter.num_params(SHAPE) == routed + shared
    share = SHAPE.active_share("layers.1.moe.experts.up")
    assert adapter.num_params(SHAPE, active=True) == routed * share + shared


@pytest.mark.parametrize("word", ["merge", "drop", "keep"])
@pytest.mark.parametrize("alone", [True, False])
def test_who_takes_an_adapted_module_says_what_becomes_of_them(word: str, alone: bool) -> None:
    stages = adapted(adapters=word if alone else {"llm": word}, lr="1e-5")
    plan = plan_of(stages)
    said = plan.stage("last").lifecycle
    assert said.left == {"llm": word}
    assert ("llm" in said.adapters) is (word == "keep")
    assert again(plan).stages == plan.stages
    kept = {k: v for k, v in stages["last"].items() if k != "train"}
    if word == "keep":
        assert plan_of({**stages, "last": kept}).stage("last").train == ("llm/adapters",)
    else:
        assert rules_of({**stages, "last": kept}) == ["trains-nothing"]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ({}, "takes `llm` with the adapters of `next`, and does not say what becomes of them"),
        ({"adapters": {"llm": LORA}}, "with the adapters of `next`, and gives it others"),
        ({"adapters": "melt"}, "`melt` is not one of the words"),
    ],
)  # fmt: skip
def test_nothing_becomes_of_adapters_in_silence(last: dict[str, Any], words: str) -> None:
    assert words in message_of(adapted(lr="1e-5", **last))


@pytest.mark.parametrize(
    ("adapters", "words"),
    [
        ("merge", "no parent left adapters of any module"),
        ({"llm": "drop"}, "no parent left adapters of `llm`"),
        ({"vit": LORA}, "stage `next` has no module `vit`"),
        ({"llm": {**LORA, "parts": ["norms"]}}, "`llm` has no part `norms` with matrices to adapt"),
        ({"llm": {**LORA, "rank": 0}}, "a rank is 1 or more"),
        ({"llm": {"kind": "lora"}}, "the adapters of llm say no `rank` and no `parts`"),
        ({"llm": {**LORA, "alpha": 8}}, "an adapter has no key `alpha`"),
    ],
)
def test_adapters_that_are_wrong_are_refused(adapters: Any, words: str) -> None:
    assert words in message_of({"base": FIRST, "next": {**AFTER, "adapters": adapters}})


def test_adapters_that_are_not_there_are_not_trained() -> None:
    stages = {"base": {**FIRST, "train": ["llm/adapters"]}}
    assert "`llm` has no part `adapters`" in message_of(stages)


def test_an_optimizer_may_have_a_rule_for_adapters() -> None:
    rule = {"kind": "adamw", "weight_decay": 0}
    adam = {"kind": "adamw", "weight_decay": ".1", "llm/adapters": rule}
    plan = plan_of(adapted(), optimizers={"adam": adam})
    assert set(plan.stage("base").optimizer) == {"llm"}
    assert set(plan.stage("next").optimizer) == {"llm", "llm/adapters"}


def test_an_average_is_kept_until_none_is_said() -> None:
    plan = plan_of(
        {
            "base": {**FIRST, "ema": {"decay": ".995"}},
            "next": AFTER,
            "last": {**NEXT, "ema": "none"},
        }
    )
    found = [stage.lifecycle.ema for stage in plan.stages]
    assert found == [Ema(Fraction(199, 200)), Ema(Fraction(199, 200)), None]
    assert again(plan).stages == plan.stages
    assert modules_json(plan, plan.stage("next"))["ema"] == {"decay": 0.995}
    for ema in ({"decay": 1}, {"decay": 0}):
        assert "a decay lies between 0 and 1" in message_of({"base": {**FIRST, "ema": ema}})
    assert "`ema` says its `decay`" in message_of({"base": {**FIRST, "ema": {}}})
    assert "`ema` is a mapping" in message_of({"base": {**FIRST, "ema": ".995"}})


def test_an_unknown_decay_is_null_listed_kept_and_nothing_to_train_with() -> None:
    plan = plan_of({"base": {**FIRST, "ema": {"decay": "unknown"}}, "next": AFTER})
    assert [stage.lifecycle.ema for stage in plan.stages] == [Ema(None), Ema(None)]
    now = modules_json(plan, plan.stage("next"))
    assert now["ema"] == {"decay": None}
    assert "  average          decay ? a step" in module_lines(now)
    unknown = [p.path for p in plan.provenance if p.kind == "unknown" and "stages" in p.path]
    assert unknown == ["stages.base.ema.decay"]
    assert not plan.is_executable
    assert again(plan).stages == plan.stages
    known = plan_of({"base": {**FIRST, "ema": {"decay": ".9"}}, "next": AFTER})
    none = plan_of({"base": {**FIRST, "ema": "none"}, "next": AFTER})
    assert known.is_executable
    assert len({plan.digest, known.digest, none.digest}) == 3


def test_shares_that_are_dropped_are_settings_of_whole_modules() -> None:
    ramp = [{"shape": "linear", "from": 0, "to": ".1"}]
    eyes = {**EYES, "set": {"vit": {"drop_path": ramp}}}
    more = {**EYES, "init": "eyes", "keep": "eyes", "carry": "all"}
    del more["train"], more["loss"]
    plan = plan_of({"eyes": eyes, "more": {**more, "set.captioner.dropout": ".2"}})
    assert plan.stage("eyes").at(50).settings == {"vit.drop_path": 0.05}
    assert plan.stage("more").at(0).settings == {"captioner.dropout": 0.2, "vit.drop_path": 0.1}
    grows = [{"shape": "linear", "from": 224, "to": 448}]
    seen = plan_of({"eyes": {**EYES, "set": {"vit": {"image_side": grows, "max_frames": 8}}}})
    assert seen.stage("eyes").at(50).settings == {"vit.image_side": 336.0, "vit.max_frames": 8.0}
    wrong = {**EYES, "set": {"vit": {"drop_path": 1}}}
    assert "`drop_path` lies in 0..1, 1 left out, all along" in message_of({"eyes": wrong})
    assert rules_of({"eyes": {**EYES, "set": {"vit": {"bias_rate": 1}}}}) == ["unknown-setting"]


def test_stages_that_left_a_module_in_different_sizes_have_no_average() -> None:
    stages = {
        "base": FIRST,
        "grown": {**AFTER, "reshape": {"llm": {"vocab": 1100}}},
        "soup": {"init": {"average": ["base", "grown"]}},
        "next": {**AFTER, "init": "soup", "carry": "none", "lr": "1e-4", "seed": 1},
    }
    assert rules_of(stages) == ["sizes-disagree"]
    assert "`base` and `grown` left `llm` in different sizes" in message_of(stages)


def test_a_module_known_by_counts_is_reshaped_by_its_counts() -> None:
    counted = {"kind": "llm", "params": "1B", "hidden": 1024, "vocab": 32_000}
    stages = {
        "base": FIRST,
        "next": {**AFTER, "reshape": {"llm": {"params": "1.1B", "vocab": 40_000}}},
    }
    plan = plan_of(stages, modules={"llm": counted})
    assert plan.shape_of(plan.stage("base"), "llm").num_params() == 1_000_000_000
    assert plan.shape_of(plan.stage("next"), "llm").num_params() == 1_100_000_000
    assert again(plan).stages == plan.stages
