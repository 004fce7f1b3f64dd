from dataclasses import replace
from typing import Any

from curriculum.curve import constant
from curriculum.plan import OptimizerRule, Plan, Stage, Start
from curriculum.train.groups import hash_values
from curriculum.train.ledger import LedgerLine
from curriculum.train.planned import (
    optimizer_differences,
    planned_state_steps,
    planned_values,
)
from train.plans import ADAMW, MUON, small_plan, small_stage

PLAN = small_plan()
ALIGN = PLAN.stage("align")


def differences(values: list[dict[str, Any]] | None, of_hash: str) -> list[str]:
    line = LedgerLine(
        "align", 0, 64, {}, {}, 16, {}, [], "", {}, 0.0, {}, {}, {}, {}, values, of_hash, ""
    )
    return [words for _, words in optimizer_differences(planned_values(PLAN, ALIGN), line)]


def planned_under(rule: OptimizerRule) -> list[dict[str, Any]]:
    """What the plan would want if `vit` had another rule."""
    return planned_values(PLAN, replace(ALIGN, optimizer={**ALIGN.optimizer, "vit": rule}))


def test_what_is_as_planned_has_no_differences() -> None:
    values = planned_values(PLAN, ALIGN)
    assert differences(values, hash_values(values)) == []
    assert differences(None, hash_values(values)) == []


def test_a_value_is_told_once_with_all_its_parts() -> None:
    values = planned_under(OptimizerRule("muon", {**MUON.values, "weight_decay": 0.0}))
    assert differences(values, hash_values(values)) == [
        "weight_decay of adamw is 0.0, planned 0.1: vit/attention, vit/ffn",
        "weight_decay of muon is 0.0, planned 0.1: vit/attention, vit/ffn",
    ]


def test_a_kind_is_told_where_it_is_and_where_it_is_not() -> None:
    values = planned_under(ADAMW)
    assert differences(values, hash_values(values)) == [
        "no muon where planned: vit/attention, vit/ffn"
    ]
    every = planned_values(PLAN, PLAN.stage("joint"))
    assert "adamw that is not planned: llm/embeddings, llm/head, llm/norms" in differences(
        every, hash_values(every)
    )


def test_behind_the_first_step_a_hash_stands_for_all_values() -> None:
    due = hash_values(planned_values(PLAN, ALIGN))
    assert differences(None, "ab") == [f"other values in the optimizer: hash ab, planned {due}"]


def staged(*stages: Stage) -> Plan:
    return replace(PLAN, stages=stages)


def test_state_counts_the_steps_of_all_that_it_was_carried_through() -> None:
    assert planned_state_steps(PLAN, PLAN.stage("text")) == {"llm": [0]}
    assert planned_state_steps(PLAN, ALIGN) == {"projector": [0], "vit": [0]}
    joint = {"llm": [8], "projector": [0], "vit": [0]}
    assert planned_state_steps(PLAN, PLAN.stage("joint")) == joint
    long = {"llm": [14], "projector": [6], "vit": [6]}
    assert planned_state_steps(PLAN, PLAN.stage("long")) == long


def test_state_waits_in_a_stage_that_freezes_and_is_let_go_of_by_one_that_trains_another_part() -> (
    None
):
    text = small_stage()
    lr = {"llm/head": constant(1)}
    carried = {"llm": Start("text", 5, carries_state=True)}
    head = small_stage("head", init=carried, train=("llm/head",), lr=lr)
    assert planned_state_steps(staged(text, head), head) == {"llm": [5]}
    after = small_stage("after", init={"llm": Start("head", 8, carries_state=True)})
    assert planned_state_steps(staged(text, head, after), after) == {"llm": [0, 13]}
    frozen = replace(ALIGN, init={**ALIGN.init, **carried})
    thawed = small_stage("thawed", init={"llm": Start("align", 4, carries_state=True)})
    assert planned_state_steps(staged(text, frozen, thawed), thawed) == {"llm": [5]}
    outside = small_stage("new", init={"llm": Start("moonlight", 0, carries_state=True)})
    assert planned_state_steps(staged(outside), outside) == {"llm": [0]}
