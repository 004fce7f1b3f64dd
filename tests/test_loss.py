from typing import Any

import pytest

from curriculum.check.model_rules import every_loss_term_has_its_modules
from curriculum.cli.at import values_at
from curriculum.lock import read_lock, write_lock
from curriculum.objective import LossRule
from small import BASE, EYES, message_of, plan_of, rules_of

RAMP = [{"shape": "constant", "from": "0.3", "until": "60%"}, {"shape": "constant", "from": "0.1"}]
TERMS: dict[str, Any] = {
    "next_token": {"weight": 1, "over": "text", "reduce": "sqrt"},
    "mtp": RAMP,
    "z_loss": {"weight": "1e-4"},
    "balance": "0.01",
    "sequence_balance": "1e-4",
}


def test_a_term_may_say_what_it_is_taken_over_and_its_weight_is_a_curve() -> None:
    plan = plan_of({"base": {**BASE, "loss": TERMS}})
    stage = plan.stage("base")
    assert stage.loss_rules == {"next_token": LossRule("text", "sqrt")}
    assert stage.at(0).loss["mtp"] == 0.3
    assert stage.at(60).loss == {
        "balance": 0.01, "mtp": 0.1, "next_token": 1.0, "sequence_balance": 1e-4, "z_loss": 1e-4,
    }  # fmt: skip
    assert read_lock(write_lock(plan), "x").stage("base") == stage
    told = values_at(plan, stage, 3)["loss_rules"]
    assert told == {"next_token": {"over": "text", "reduce": "sqrt"}}


def test_the_default_rule_said_aloud_is_the_same_plan() -> None:
    said = {"next_token": {"weight": 1, "over": "all", "reduce": "tokens"}}
    assert plan_of({"base": {**BASE, "loss": said}}).digest == plan_of({"base": BASE}).digest
    other = {"next_token": {"weight": 1, "reduce": "samples"}}
    assert plan_of({"base": {**BASE, "loss": other}}).digest != plan_of({"base": BASE}).digest


def test_terms_are_kept_with_their_rules_and_changed_one_by_one() -> None:
    after = {"init": "base", "keep": "base", "carry": "all", "tokens": 64_000}
    plan = plan_of(
        {
            "base": {**BASE, "lr": "towers", "loss": TERMS},
            "kept": after,
            "weight": {**after, "seed": 2, "loss.next_token.weight": "0.5", "loss.mtp": "0.2"},
            "rule": {**after, "seed": 3, "loss.next_token.reduce": "samples"},
            "whole": {**after, "seed": 4, "loss.next_token": {"weight": 2, "over": "answers"}},
        }
    )
    assert plan.stage("kept").loss_rules == plan.stage("base").loss_rules
    assert plan.stage("kept").at(0).loss["mtp"] == 0.1
    weight, rule = plan.stage("weight"), plan.stage("rule")
    assert (weight.at(0).loss["next_token"], weight.at(0).loss["mtp"]) == (0.5, 0.2)
    assert weight.loss_rules == {"next_token": LossRule("text", "sqrt")}
    assert rule.loss_rules == {"next_token": LossRule("text", "samples")}
    assert plan.stage("whole").loss_rules == {"next_token": LossRule("answers", "sqrt")}


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"next_token": {"over": "text"}}, "the loss `next_token` says no `weight`"),
        ({"next_token": {"weight": 1, "mask": "text"}}, "the loss `next_token` has no key `mask`"),
        ({"next_token": {"weight": 1, "over": "images"}}, "`images` is not one of the words"),
        ({"balance": {"weight": 1, "reduce": "sqrt"}}, "is no sum over tokens: it has no `reduce`"),
    ],
)
def test_a_term_that_is_wrong_is_refused(loss: dict[str, Any], words: str) -> None:
    assert words in message_of({"base": {**BASE, "loss": loss}})


def test_a_dotted_key_reaches_what_a_term_has_and_nothing_else() -> None:
    after = {"init": "base", "keep": "base", "carry": "all", "tokens": 64_000, "lr": "towers"}
    stages = {"base": BASE, "next": {**after, "loss.next_token.mask": "text"}}
    assert "loss.next_token.weight, loss.next_token.over or" in message_of(stages)
    assert rules_of({"base": BASE, "next": {**after, "loss.mtp.weight": 1}}) == ["dotted-key"]


def test_a_term_needs_its_modules_and_balance_needs_experts() -> None:
    plan = plan_of({"eyes": {**EYES, "loss": {"caption": 1, "z_loss": "1e-4"}}})
    (found,) = every_loss_term_has_its_modules(plan)
    assert "the loss `z_loss` of stage `eyes` needs a module of kind llm" in found.message
    dense = {"llm": {"preset": "moonlight-proxy", "num_layers": 1, "num_dense_layers": 1}}
    plan = plan_of(
        {"base": {**BASE, "set": {}, "loss": {"next_token": 1, "balance": 1}}}, modules=dense
    )
    (found,) = every_loss_term_has_its_modules(plan)
    assert "`balance` of stage `base` is about routed experts, and its llm has none" in str(found)
