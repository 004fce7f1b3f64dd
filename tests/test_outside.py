"""Outside checkpoints and their facts: PaliGemma from SigLIP and Gemma, K2.5 from a near-end K2"""

from fractions import Fraction
from typing import Any

import pytest

from curriculum.check.rules import broken_rules
from curriculum.lock import read_lock, write_lock
from curriculum.plan import Plan, Start
from curriculum.rope import Rope
from small import BASE, compiled, message_of, plan_in, plan_of
from strategies import Tree

K2 = (
    "{gives: [llm], tokens: 15.5T, lr: {llm: 2e-5}, rope: {llm: {base: 50_000}}, "
    "seq_len: 4Ki, state: [llm], path: k2}"
)
REWARM: Tree = {"shape": "linear", "from": "current", "to": "1e-4", "for": "10 steps"}
JOINT: Tree = {
    **{key: value for key, value in BASE.items() if key not in ("rope", "seq_len")},
    "init": {"llm": "k2"},
    "keep": "k2",
    "carry": "all",
    "tokens": "4M",
    "lr": {"curve": [REWARM, {"shape": "constant"}]},
}


def outside(facts: str = K2) -> Tree:
    return {"checkpoint": facts}


def near_end(facts: str = K2, **joint: Any) -> Plan:
    return plan_of({"k2": outside(facts), "joint": {**JOINT, **joint}})


def test_the_facts_of_a_checkpoint_are_kept_and_read() -> None:
    plan = near_end()
    (k2,) = plan.outside
    assert k2.checkpoint.tokens == 15_500_000_000_000
    assert k2.checkpoint.lr == {"llm": Fraction(2, 100_000)}
    assert k2.checkpoint.rope == {"llm": Rope(Fraction(50_000))}
    assert (k2.checkpoint.seq_len, k2.checkpoint.state) == (4096, ("llm",))
    joint = plan.stage("joint")
    assert joint.init == {"llm": Start("k2", 0, carries_state=True)}
    assert joint.at(0).lr == {"llm": 2e-5}  # `from: current`
    assert joint.at(0).seq_len == 4096
    assert joint.rope == {"llm": Rope(Fraction(50_000))}


def test_what_a_stage_says_itself_is_not_kept() -> None:
    assert near_end(seq_len="64").stage("joint").at(0).seq_len == 64
    assert near_end(rope={"llm": {"base": "80_000"}}).stage("joint").rope == {
        "llm": Rope(Fraction(80_000))
    }
    dotted: Tree = {"rope.llm.base": "90_000"}
    assert near_end(**dotted).stage("joint").rope == {"llm": Rope(Fraction(90_000))}


def test_a_lock_keeps_the_facts_and_no_digest_reads_them() -> None:
    plan = near_end()
    assert read_lock(write_lock(plan), "x") == plan
    assert near_end(K2.replace("15.5T", "15T")).digest == plan.digest
    assert near_end(K2.replace("2e-5", "3e-5")).digest != plan.digest  # a curve starts from it


def test_a_lock_without_facts_is_as_it_was() -> None:
    plain = plan_of({"k2": outside("{gives: [llm]}"), "a": {**BASE, "init": {"llm": "k2"}}})
    text = write_lock(plain)
    assert read_lock(text, "x") == plain
    assert not any(f'"{key}"' in text.split('"outside"')[1].split('"plan"')[0] for key in (
        "tokens", "lr", "rope", "seq_len", "state",
    ))  # fmt: skip


def test_a_carried_rate_that_jumps_is_told_with_its_fact() -> None:
    jumping = {**JOINT, "lr": "1e-4"}
    rule = "carried-modules-go-on-at-their-rate"
    found, *_ = [
        f for f in broken_rules(plan_of({"k2": outside(), "joint": jumping})) if f.rule == rule
    ]
    assert "begins at LR 0.0001, where `k2` left it at 2e-05" in found.message
    silent = K2.replace("lr: {llm: 2e-5}, ", "")
    told = broken_rules(plan_of({"k2": outside(silent), "joint": jumping}))
    assert rule not in {f.rule for f in told}


def test_an_unknown_rate_makes_what_reads_it_unknown() -> None:
    plan = near_end(K2.replace("2e-5", "unknown"))
    assert plan.stage("joint").lr == {"llm": None}
    assert not plan.is_executable


def test_paligemma_starts_its_modules_from_two_checkpoints_and_rides_one_curve() -> None:
    stage: Tree = {
        **{**BASE, "set": {}},
        "init": {"vit": "siglip", "llm": "gemma", "projector": "new"},
        "train": ["llm", "vit", "projector"],
        "mixture": {"c": 1},
    }
    plan = plan_of(
        {
            "siglip": outside("{gives: [vit]}"),
            "gemma": outside("{gives: [llm], tokens: 3T}"),
            "stage1": {**stage, "lr": {"llm": "rsqrt", "projector": "rsqrt", "vit": "slow"}},
            "stage2": {"init": "stage1", "keep": "stage1", "carry": "all", "tokens": 6_400},
        },
        schedules={
            "rsqrt": {"shape": "rsqrt", "from": "1e-3", "timescale": "10K"},
            "slow": [{"shape": "linear", "from": 0, "to": "1e-4", "for": "105 steps"},
                     {"shape": "constant"}],
        },
    )  # fmt: skip
    before, after = plan.stage("stage1").at(100).lr, plan.stage("stage2").at(0).lr
    assert before == after
    assert after["vit"] == pytest.approx(1e-4 * 100 / 105)


def test_proxies_scale_the_facts_in_tokens(tmp_path: Any) -> None:
    stages = {"k2": outside(), "joint": JOINT}
    found = plan_in(tmp_path, "scale: {tokens: 1/10, seq_len: 1/16}\n", stages)
    assert found.plan is not None, found.findings
    given = found.plan.outside[0].checkpoint
    assert (given.tokens, given.seq_len) == (1_550_000_000_000, 256)
    assert found.plan.stage("joint").at(0).seq_len == 256


@pytest.mark.parametrize(
    ("change", "joint", "words"),
    [
        (("lr: {llm: 2e-5}, ", ""), {}, "`k2` does not say at which learning rate `llm` was left"),
        (("{llm: 2e-5}", "{vit: 2e-5}"), {}, "`k2` says something of `vit`, which it does not"),
        (("state: [llm]", "state: [vit]"), {"carry": "none"}, "`k2` says something of `vit`"),
        (("", ""), {"carry": None}, "does not say whether the optimizer state of llm comes along"),
        (("state: [llm], ", ""), {"carry": ["llm"]}, "no parent leaves optimizer state for `llm`"),
        (("seq_len: 4Ki, ", ""), {}, "stage `joint` does not say `seq_len`"),
        (("rope: {llm: {base: 50_000}}, ", ""), {}, "stage `joint` does not say `rope`"),
        (("", ""), {"batch": None}, "of `k2` only the `rope` and `seq_len` it says are kept"),
        (("", ""), {"init": {"llm": "k2@50%"}}, "`k2` is an outside checkpoint: it has no steps"),
        (("", ""), {"loss.next_token": 2}, "this stage keeps nothing"),
        (
            ("rope: {llm: {base: 50_000}}, ", ""),
            {"rope.llm.base": "1e6"},
            "changes one thing of what is kept, and this stage keeps nothing",
        ),
        (("2e-5", "-2e-5"), {}, "a learning rate is not negative"),
        (("4Ki", "4K"), {}, "`4K` is 4000; did you mean 4Ki (4096)?"),
        (("state:", "stat:"), {}, "a checkpoint has no key `stat`"),
    ],
)  # fmt: skip
def test_wrong_facts_are_refused_in_words(change: tuple[str, str], joint: Tree, words: str) -> None:
    stage = {key: value for key, value in {**JOINT, **joint}.items() if value is not None}
    found = compiled({"k2": outside(K2.replace(*change)), "joint": stage})
    assert found.plan is None
    assert any(words in str(f) for f in found.findings), [str(f) for f in found.findings]


def test_a_checkpoint_that_init_does_not_reach_is_not_kept() -> None:
    stage = {**JOINT, "init": {"llm": "new"}, "seq_len": 64, "lr": "1e-4", "rope": BASE["rope"]}
    words = message_of({"k2": outside(), "joint": {**stage, "carry": "none"}})
    assert "`keep: k2` names no stage that `init` reaches" in words
