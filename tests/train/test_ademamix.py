"""AdEMAMix against the published algorithm written out, and values that run along curves"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from curriculum.compile import compile_text
from curriculum.errors import RunError
from curriculum.lock import with_digests, write_lock
from curriculum.plan import OptimizerRule, Plan
from curriculum.train.abilities import refuse_unable
from curriculum.train.ademamix import AdEMAMixRule, AdEMAMixState, ademamix_step
from curriculum.train.audit import audit
from curriculum.train.console import Console
from curriculum.train.execute import Request, run_plan
from curriculum.train.launch import Launch
from curriculum.train.ledger import read
from curriculum.train.position import Position
from curriculum.train.rundir import LEDGER
from train.plans import MUON, small_plan
from train.worlds import write_world

AGING = """
plan: aging
modules:
  llm: {preset: moonlight-proxy, hidden: 32, num_layers: 2, num_heads: 2, kv_lora_rank: 16,
        v_head_dim: 16, ffn_dim: 64, expert_dim: 16, vocab: 64, max_positions: 256}
optimizers:
  slow:
    kind: ademamix
    weight_decay: [{shape: linear, from: 0, to: .5, for: 8 steps}, {shape: constant}]
    beta3: [{shape: half_life, from: .9, to: .999, for: 10 steps}, {shape: constant}]
    alpha: [{shape: linear, from: 0, to: 5, for: 10 steps}, {shape: constant}]
    clip_norm: 1
    llm/norms: {kind: adamw, weight_decay: 0, beta2: [{shape: constant, from: .9, for: 7 steps},
                {shape: constant, from: .95}]}
sources:
  english: {modality: text, tokens: 200_000, holdout: 2%}
  code: {modality: text, tokens: 50_000, holdout: 2%}
stages:
  text:
    init: {llm: new}
    steps: 6
    train: [llm]
    optimizer: slow
    loss: {next_token: 1}
    lr: 1e-3
    seq_len: 16
    batch: {seqs: 4}
    packing: best-fit
    rope: {llm: {base: 50_000}}
    mixture: {english: .75, code: .25}
  more: {init: text@step 5, keep: text, carry: all, until: step 12}
  anew: {init: text, keep: text, carry: none, steps: 3, seed: 1}
"""


def aging() -> Plan:
    found = compile_text(AGING)
    assert found.plan is not None, found.findings
    return found.plan


def written_out(
    weight: list[float], gradients: list[list[float]], lr: float, rule: AdEMAMixRule
) -> list[float]:
    """Algorithm 1 of arXiv:2409.03137, a number at a time."""
    fast, slow, square = ([0.0] * len(weight) for _ in range(3))
    for t, gradient in enumerate(gradients, 1):
        for i, g in enumerate(gradient):
            fast[i] = rule.beta1 * fast[i] + (1 - rule.beta1) * g
            slow[i] = rule.beta3 * slow[i] + (1 - rule.beta3) * g
            square[i] = rule.beta2 * square[i] + (1 - rule.beta2) * g * g
            fast_hat = fast[i] / (1 - rule.beta1**t)
            square_hat = square[i] / (1 - rule.beta2**t)
            update = (fast_hat + rule.alpha * slow[i]) / (square_hat**0.5 + rule.eps)
            weight[i] = weight[i] - lr * (update + rule.weight_decay * weight[i])
    return weight


def test_three_steps_are_those_of_the_published_algorithm() -> None:
    rule = AdEMAMixRule(0.9, 0.999, 0.9999, 8.0, 1e-8, 0.1)
    generator = torch.Generator().manual_seed(0)
    weight, *gradients = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    ours = weight.clone()
    fast, slow, square = (torch.zeros_like(ours) for _ in range(3))
    for step, gradient in enumerate(gradients, 1):
        state = AdEMAMixState(fast, slow, square, step)
        ademamix_step([ours], [gradient], [state], 0.01, rule)
    theirs = written_out(weight.tolist(), [g.tolist() for g in gradients], 0.01, rule)
    assert ours.tolist() == pytest.approx(theirs, rel=1e-12)


def test_values_run_on_where_the_state_is_carried_and_begin_anew_where_it_is_not() -> None:
    text, more, anew = (aging().stage(name) for name in ("text", "more", "anew"))
    decay = [stage.at(0).optimizer["llm"]["weight_decay"] for stage in (text, more, anew)]
    assert decay == [0.0, 0.3125, 0.0]  # 5 of 8 steps
    assert more.at(0).optimizer == text.at(5).optimizer
    assert more.at(3).optimizer["llm"]["weight_decay"] == 0.5
    assert [text.at(5).optimizer["llm/norms"][n] for n in ("beta2", "weight_decay")] == [0.9, 0]
    assert [more.at(s).optimizer["llm/norms"]["beta2"] for s in (1, 2)] == [0.9, 0.95]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


def go(data: Path, run: Path, stop_at: Position | None = None, resume: bool = False) -> None:
    plan = aging()
    launch = Launch(data=data, device="cpu", checkpoint_every_steps=2, threads=1)
    request = Request(plan, write_lock(plan), launch, run, stop_at=stop_at, resume=resume)
    run_plan(request, Console())


def test_what_a_run_measures_of_them_is_what_was_planned_at_every_step(
    data: Path, tmp_path: Path
) -> None:
    go(data, tmp_path / "run")
    report = audit(tmp_path / "run", data)
    assert report.ok, report.findings
    lines = {(line.stage, line.step): line for line in read(tmp_path / "run" / LEDGER)}
    measured = lines["more", 3].optimizer
    assert measured is not None
    assert [entry["kind"] for entry in measured] == ["adamw", "ademamix"]
    norms, rest = (entry["values"] for entry in measured)
    assert (norms["beta2"], rest["weight_decay"], rest["alpha"]) == (0.95, 0.5, 4.0)
    assert lines["more", 0].state_steps == {"llm": [5]}
    go(data, tmp_path / "cut", stop_at=Position("more", 3))
    go(data, tmp_path / "cut", resume=True)
    assert (tmp_path / "cut" / LEDGER).read_bytes() == (tmp_path / "run" / LEDGER).read_bytes()


def test_a_value_that_stood_still_is_told(data: Path, tmp_path: Path) -> None:
    go(data, tmp_path / "run")
    ledger = tmp_path / "run" / LEDGER
    text = ledger.read_text()
    first, second, *_ = (line.optimizer for line in read(ledger))
    assert first is not None
    assert second is not None
    assert (first[1]["values"]["alpha"], second[1]["values"]["alpha"]) == (0.0, 0.5)
    ledger.write_text(text.replace('"alpha": 0.5', '"alpha": 0.0'))
    said = [finding.message for finding in audit(tmp_path / "run", data).findings]
    assert any("step 1: alpha of ademamix is 0.0, planned 0.5" in words for words in said), said


def test_what_is_not_executed_is_refused() -> None:
    plan = small_plan()
    rule = OptimizerRule("muon", {**MUON.values, "qk_clip": 100.0})
    odd = with_digests(replace(plan, stages=(replace(plan.stages[0], optimizer={"llm": rule}),)))
    with pytest.raises(RunError, match="stage `text`: nothing here does the qk_clip of `llm`"):
        refuse_unable(odd)
