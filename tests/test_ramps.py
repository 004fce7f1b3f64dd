"""Batches as a plan says them: ramps, contexts that change, and what is refused with its message"""

from pathlib import Path
from typing import Any

import pytest

from curriculum.batch import MOST_LEVELS, Ramp
from curriculum.lock import read_lock, write_lock
from curriculum.plan import Plan
from curriculum.screen import screen
from small import BASE, compiled, message_of, plan_in, plan_of, rules_of
from strategies import Tree

UP: Tree = {"from": 4, "to": 16, "by": 4}


def base(**stage: Any) -> Tree:
    """Return one stage of 64,000 tokens, 64 of them in a sequence."""
    return {"base": {**BASE, **stage}}


def sizes(plan: Plan, stage: str = "base") -> list[tuple[int, int, int]]:
    """Return first step, sequences and context of every piece of a stage's batch."""
    return [(p.first_step, p.batch_seqs, p.seq_len) for p in plan.stage(stage).batch.pieces]


def test_a_ramp_rises_by_increments_and_stays() -> None:
    plan = plan_of(base(batch={"seqs": UP, "until": 7680}))
    # Levels at 0, 2560, 5120, 7680 tokens; steps of 256, 512, 768 tokens.
    assert sizes(plan) == [(0, 4, 64), (10, 8, 64), (15, 12, 64), (19, 16, 64)]
    stage = plan.stage("base")
    assert stage.at(19).tokens == 10 * 256 + 5 * 512 + 4 * 768
    assert stage.batch.ramps[0].ramp == Ramp("increments", 4, 16, 4, 64, 0, 7680)
    assert "batch 4 > 16 in 4 levels, steps 0 to 19" in screen(plan)


def test_a_linear_ramp_falls_and_a_piece_follows() -> None:
    down = {"to": 4, "shape": "linear", "multiple_of": 4}
    batch = [{"seqs": 16, "until": "10_240"}, {"seqs": down, "until": "20_480"}, {"seqs": 20}]
    plan = plan_of(base(batch=batch))
    # Below 16 at once, so 12 from the second step of the ramp on; 4 in its last third.
    assert sizes(plan) == [
        (0, 16, 64), (10, 16, 64), (11, 12, 64), (15, 8, 64), (21, 4, 64), (33, 20, 64),
    ]  # fmt: skip
    assert plan.stage("base").batch.ramps[0].ramp.first_seqs == 16


def test_a_ramp_in_tokens_is_whole_sequences() -> None:
    ramp = {"from": 256, "to": 1024, "shape": "linear", "multiple_of": 256}
    assert sizes(plan_of(base(batch={"tokens": ramp, "until": "7680"}))) == sizes(
        plan_of(base(batch={"seqs": UP, "until": 7680}))
    )


def test_a_ramp_starts_from_what_the_ancestor_left() -> None:
    up = {"from": "current", "to": 20, "by": 5}
    late: Tree = {"init": "base", "keep": "base", "carry": "all", "tokens": 64_000}
    plan = plan_of({**base(), "late": {**late, "batch": {"seqs": up, "until": "50%"}}})
    assert sizes(plan, "late")[0] == (0, 10, 64)
    assert sizes(plan, "late")[-1][1:] == (20, 64)


def test_what_is_kept_after_a_ramp_is_its_last_and_at_a_mark_the_one_there() -> None:
    ramp = base(batch={"seqs": UP, "until": 7680})
    late: Tree = {"keep": "base", "carry": "all", "tokens": 64_000}
    plan = plan_of({**ramp, "late": {**late, "init": "base"}})
    assert sizes(plan, "late") == [(0, 16, 64)]
    plan = plan_of({**ramp, "late": {**late, "init": "base@step 12"}}, schedules=CONSTANT)
    assert sizes(plan, "late") == [(0, 8, 64)]


CONSTANT: Tree = {"main": "1e-3", "towers": "1e-3"}


def test_the_context_changes_with_a_piece_and_is_inherited() -> None:
    first = {"tokens": 1024, "seq_len": 64, "until": 10_000}
    batch = [first, {"tokens": 2048, "seq_len": 128, "until": "30_000"}, {"tokens": 4096}]
    said = {key: value for key, value in BASE.items() if key != "seq_len"}
    plan = plan_of({"base": {**said, "batch": batch}})
    assert sizes(plan) == [(0, 16, 64), (10, 16, 128), (20, 32, 128)]
    assert plan.stage("base").at(15).seq_len == 128
    assert "context 64 from step 0, 128 from step 10" in screen(plan)
    # The stage's own context is that of the first piece, where this says none.
    batch = [{"seqs": 16, "until": 10_000}, {"seqs": 16, "seq_len": 128}]
    assert sizes(plan_of(base(batch=batch))) == [(0, 16, 64), (10, 16, 128)]


def test_a_piece_with_its_own_context_needs_no_outside_fact() -> None:
    given = {"gives": ["llm"], "seq_len": 32, "rope": {"llm": {"base": "50_000"}}}
    said = {key: value for key, value in BASE.items() if key not in ("seq_len", "rope")}
    stage = {**said, "init": {"llm": "there"}, "keep": "there"}
    outside = {"there": {"checkpoint": given}}
    assert sizes(plan_of({**outside, "base": stage}))[0] == (0, 10, 32)
    own = {**stage, "batch": {"seqs": 10, "seq_len": 64}}
    assert sizes(plan_of({**outside, "base": own}))[0] == (0, 10, 64)


def test_a_budget_in_sequences_counts_each_with_its_context() -> None:
    said = {k: v for k, v in BASE.items() if k not in ("seq_len", "tokens")}
    batch = [{"seqs": 2, "seq_len": 64, "until": 1280}, {"seqs": 2, "seq_len": 128}]
    plan = plan_of({"base": {**said, "seqs": 100, "batch": batch}}, schedules=CONSTANT)
    assert plan.stage("base").seqs == 100
    assert plan.stage("base").tokens == 20 * 64 + 80 * 128


def test_an_unknown_shape_makes_the_stage_unknown() -> None:
    ramp = {"from": 4, "to": 16, "shape": "unknown", "multiple_of": 4}
    plan = plan_of(base(batch={"seqs": ramp, "until": 7680}))
    (unknown,) = plan.unknown
    assert (unknown.name, unknown.missing) == ("base", ("stages.base.batch",))
    assert not plan.is_executable


def test_a_proxy_scales_a_ramp_and_its_levels(tmp_path: Path) -> None:
    stages = base(batch={"seqs": UP, "until": "51_200"}, tokens=640_000)
    found = plan_in(tmp_path, "scale: {tokens: 1/4, seqs: 1/4}\n", stages)
    assert found.plan is not None, found.findings
    assert sizes(found.plan) == [(0, 1, 64), (67, 2, 64), (101, 3, 64), (123, 4, 64)]
    found = plan_in(tmp_path, "scale: {tokens: 1/4, seqs: 1/8}\n", stages)
    assert {f.rule for f in found.errors} == {"not-whole"}
    assert "0.5 sequences in a step are not a whole number" in str(found.errors[0])


def test_a_lock_holds_a_ramp_in_one_row() -> None:
    ramp = {"from": 1, "to": 2001, "by": 1}
    stages = base(batch=[{"seqs": 1, "until": 640}, {"seqs": ramp, "until": "90M"}, {"seqs": 9}])
    plan = plan_of({"base": {**stages["base"], "tokens": "100M"}})
    text = write_lock(plan)
    assert len(text) < 6000
    again = read_lock(text, "x.lock.json")
    assert again == plan
    assert again.stage("base").batch.ramps == plan.stage("base").batch.ramps
    assert write_lock(again) == text
    assert len(plan.stage("base").batch.pieces) > 1400


def test_a_ramp_has_the_digest_of_its_levels() -> None:
    ramp = plan_of(base(batch={"seqs": UP, "until": 7680}))
    marks = [(4, 2560), (8, 5120), (12, 7680)]
    levels = [*({"seqs": n, "until": mark} for n, mark in marks), {"seqs": 16}]
    assert plan_of(base(batch=levels)).digest == ramp.digest


LINEAR: Tree = {"from": 4, "to": 16, "shape": "linear", "multiple_of": 4}


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"seqs": UP}, "a ramp says `until` which mark it runs"),
        ({"seqs": {"from": 4, "by": 4}, "until": 999}, "a ramp says where it goes `to`"),
        ({"seqs": {"to": 8, "by": 4}, "until": 999}, "the first ramp of a batch says where"),
        ({"seqs": {**UP, "to": 4}, "until": 999}, "this ramp starts and ends at 4 sequences"),
        ({"seqs": {**UP, "to": 18}, "until": 999}, "increments of 4 sequences from 4 do not"),
        ({"seqs": {**LINEAR, "from": 6}, "until": 999}, "6 sequences are no multiple of 4"),
        ({"seqs": {**LINEAR, "by": 2}, "until": 999}, "`by` says all of how a ramp goes"),
        ({"seqs": {**UP, "by": 0}, "until": 999}, "a size of the batch is 1 or more"),
        ({"seqs": {**UP, "form": 4}, "until": 999}, "a ramp has no key `form`"),
        ({"seqs": {**UP, "from": "current"}, "until": 999}, "there is no batch to keep"),
        ({"seqs": UP, "until": "step 9"}, "an amount in steps cannot stand here"),
        ({"seqs": UP, "until": "80K"}, "before the last level of its ramp"),
        ({"tokens": {**UP, "to": 640}, "until": 999}, "`4` are 0.0625 sequences of 64"),
        (
            {"seqs": {"from": 1, "to": MOST_LEVELS + 1, "by": 1}, "until": 999},
            "the ramps so far have 100,001 levels, those of a plan have at most 100,000",
        ),
        (
            {"seqs": 4, "seq_len": 32},
            "no piece of the batch reads the `seq_len` of stage `base`: the first says its own",
        ),
    ],
)
def test_a_batch_that_cannot_be_is_refused(batch: Tree, message: str) -> None:
    found = compiled(base(batch=batch))
    assert found.plan is None
    assert any(message in str(error) for error in found.errors), [str(e) for e in found.errors]
    assert all(error.span is not None for error in found.errors)


def test_what_a_ramp_does_not_reach_is_named_with_what_it_does() -> None:
    found = compiled(base(batch={"seqs": {**LINEAR, "to": 15}, "until": 999}))
    (error,) = found.errors
    assert error.help == "write 12 or 16 sequences, or other levels"


def test_levels_are_counted_over_the_plan() -> None:
    wide = {"from": 1, "to": 60_001, "by": 1}
    stage = {**BASE, "batch": {"seqs": wide, "until": "100B"}, "tokens": "900B"}
    stages = {"one": stage, "two": {**stage, "seed": 7}}
    assert "ramp-levels" in rules_of(stages)


def test_a_longer_context_inside_a_stage_is_a_longer_context() -> None:
    batch = [{"seqs": 10, "until": "50%"}, {"seqs": 5, "seq_len": 128}]
    late = {"init": "base", "keep": "base", "carry": "all", "tokens": 64_000, "batch": batch}
    assert plan_of({**base(), "late": late}).stage("late").at(0).seq_len == 64


def test_the_message_points_at_the_size_that_does_not_fit() -> None:
    message = message_of(base(batch={"seqs": {**LINEAR, "to": 18}, "until": 999}))
    assert "18 sequences are no multiple of 4" in message


# Published batches (facts: the reports of the models named)


def published(**stage: Any) -> Plan:
    """Return a plan of one stage at the sizes of a report; its LR is of no interest here."""
    return plan_of(base(**stage), schedules=CONSTANT, sources=PLENTY)


PLENTY: Tree = {name: {"modality": "text", "tokens": "40T"} for name in "abc"}


def test_deepseek_v3_rises_linearly() -> None:
    ramp = {"from": 3072, "to": 15_360, "shape": "linear", "multiple_of": 768}
    plan = published(tokens="14.8T", seq_len=4096, batch={"seqs": ramp, "until": "469B"})
    stage = plan.stage("base")
    first, last = stage.at(0), stage.at(stage.steps - 1)
    assert (first.tokens_per_step, last.tokens_per_step) == (12_582_912, 62_914_560)
    (laid,) = stage.batch.ramps
    assert stage.at(laid.end_step - 1).tokens < 469 * 10**9 <= stage.at(laid.end_step).tokens
    assert stage.at(laid.end_step - 1).batch_seqs == 15_360 - 768
    halfway = stage.batch.step_at_tokens(469 * 10**9 // 2)  # (3072 + 15360) / 2, rounded down
    assert stage.at(halfway).batch_seqs == 9216


def test_mimo_keeps_its_tokens_at_four_times_the_context() -> None:
    ramp = {"from": 64, "to": 2560, "shape": "linear", "multiple_of": 64}
    late: Tree = {"init": "base", "keep": "base", "carry": "all", "tokens": "2T"}
    late |= {"seq_len": 32_768, "batch": {"tokens": "keep"}, "rope.llm.base": 640_000}
    stages = base(tokens="17.7T", seq_len=8192, batch={"seqs": ramp, "until": "168B"})
    plan = plan_of({**stages, "late": late}, schedules=CONSTANT, sources=PLENTY)
    text, stage = plan.stage("base"), plan.stage("late")
    assert (text.at(0).batch_seqs, text.at(text.steps).batch_seqs) == (64, 2560)
    assert (stage.at(0).batch_seqs, stage.at(0).tokens_per_step) == (640, 20_971_520)
    assert text.at(text.steps).tokens_per_step == 20_971_520


def test_minimax_doubles_at_three_marks() -> None:
    marks = ("69B", "790B", "4.7T")
    sizes_in_tokens = ("16Mi", "32Mi", "64Mi", "128Mi")
    pieces = [{"tokens": n, "until": m} for n, m in zip(sizes_in_tokens, marks, strict=False)]
    batch = [*pieces, {"tokens": "128Mi"}]
    plan = published(tokens="11.4T", seq_len=8192, batch=batch)
    assert [seqs for _, seqs, _ in sizes(plan)] == [2048, 4096, 8192, 16_384]
    stage = plan.stage("base")
    for first_step, _, _ in sizes(plan)[1:]:
        before, now = stage.at(first_step - 1), stage.at(first_step)
        assert any(before.tokens < mark <= now.tokens for mark in (69e9, 790e9, 4.7e12))


def test_marin_32b_goes_down_and_up_at_steps() -> None:
    batch = [
        {"seqs": 8192, "until": "step 18_500"},
        {"seqs": 7680, "until": "step 21_010"},
        {"seqs": 8192},
    ]
    plan = published(tokens="6T", seq_len=4096, batch=batch)
    assert sizes(plan) == [(0, 8192, 4096), (18_500, 7680, 4096), (21_010, 8192, 4096)]


def test_llama_3_1_changes_batch_and_context_inside_its_warm_up() -> None:
    batch = [
        {"tokens": "4Mi", "seq_len": 4096, "until": "252M"},
        {"tokens": "8Mi", "seq_len": 8192, "until": "2.87T"},
        {"tokens": "16Mi"},
    ]
    said = {key: value for key, value in BASE.items() if key != "seq_len"}
    stages = {"base": {**said, "tokens": "15.6T", "batch": batch}}
    plan = plan_of(stages, schedules=CONSTANT, sources=PLENTY)
    assert sizes(plan) == [(0, 1024, 4096), (61, 1024, 8192), (342_162, 2048, 8192)]
    assert plan.stage("base").steps == 342_162 + 758_767
