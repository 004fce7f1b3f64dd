"""Learning rates by module: what `rest` stands for, and which keys change one of them"""

import pytest

from curriculum.compile import compile_text
from curriculum.lock import read_lock, write_lock
from curriculum.plan import Plan

TEXT = """\
plan: small
modules:
  llm: {preset: gemma-2b}
  vit: {preset: siglip-so400m-14-224}
  projector: {preset: paligemma-3b-linear}
optimizers:
  adam: {kind: adamw, weight_decay: 0}
sources:
  pairs: {modality: image-text, tokens: 10M}
schedules:
  sft: [{shape: linear, from: 0, to: 1e-5, for: 10%}, {shape: cosine, to: 0}]
stages:
  one:
    init: {llm: new, vit: new, projector: new}
    seqs: 1600
    train: [llm, vit, projector]
    optimizer: adam
    loss: {next_token: 1}
    lr: LR
    seq_len: 384
    batch: {seqs: 16}
    packing: best-fit
    rope: {llm: {base: 10_000}}
    mixture: [pairs]
"""
NEXT = """\
  two:
    init: one
    keep: one
    carry: none
    seqs: 1600
    NEXT
"""
BY_MODULE = (
    "{rest: {schedule: sft, restart: true}, vit: {schedule: sft, scale: 1/5, restart: true}}"
)
ALL_NAMED = "{llm: sft, projector: sft, vit: {schedule: sft, scale: 1/5}}"


def plan_of(lr: str, after: str = "") -> Plan:
    compiled = compile_text(text_of(lr, after))
    assert compiled.plan is not None, compiled.findings
    return compiled.plan


def text_of(lr: str, after: str) -> str:
    return TEXT.replace("LR", lr) + (NEXT.replace("NEXT", after) if after else "")


def told(lr: str, after: str) -> list[str]:
    found = compile_text(text_of(lr, after)).findings
    return [f"{f.rule}: {f.message}; {f.help}" for f in found if f.severity == "error"]


def test_rest_stands_for_every_trained_module_that_is_not_named() -> None:
    short, long = plan_of(BY_MODULE), plan_of(ALL_NAMED)
    assert set(short.stage("one").lr) == {"llm", "vit", "projector"}
    assert short.stage("one").lr == long.stage("one").lr
    assert plan_of("{rest: sft}").stage("one").lr == plan_of("sft").stage("one").lr
    assert read_lock(write_lock(short), "x.lock.json") == short


def test_rest_is_kept_and_changed_by_one_key() -> None:
    changed = plan_of(BY_MODULE, "lr.rest: [{shape: constant, from: 1e-6}]").stage("two")
    values = changed.at(50).lr
    assert (values["llm"], values["projector"]) == (1e-6, 1e-6)
    assert values["vit"] != 1e-6


def test_one_ride_is_changed_where_all_rode_alike() -> None:
    two = plan_of("sft", "lr.vit: {schedule: sft, scale: 1/5}").stage("two").at(50).lr
    assert two["llm"] is not None
    assert two["vit"] == pytest.approx(two["llm"] / 5, rel=1e-12)


@pytest.mark.parametrize(
    ("lr", "after"),
    [("{rest: sft, llm: sft, vit: sft, projector: sft}", ""), (ALL_NAMED, "lr.rest: sft")],
)
def test_a_rest_of_nothing_is_refused(lr: str, after: str) -> None:
    what = "`rest` stands for nothing here: all that is trained has a rate of its own"
    assert told(lr, after) == [f"lr-of-untrained: {what}; leave it out"]


@pytest.mark.parametrize(
    ("key", "whole"),
    [
        ("lr.vit.scale: 1/10", "lr.vit: {schedule: sft, scale: 1/10}"),
        ("lr.vit.jump: true", "lr.vit: {schedule: sft, scale: 1/5, jump: true}"),
        ("lr.llm.scale: 1/5", "lr.llm: {schedule: sft, scale: 1/5}"),
        ("lr.vit.curve: 1e-5", "lr.vit: {curve: 1e-5, scale: 1/5}"),
        ("lr.vit.factor: 2", "lr.vit: {schedule: NAME, scale: 1/5}"),
    ],
)
def test_a_key_below_a_module_is_told_what_to_write(key: str, whole: str) -> None:
    what = "`lr.MODULE` is as far as a key reaches here"
    assert told(BY_MODULE, key) == [f"dotted-key: {what}; write the whole of it: `{whole}`"]
