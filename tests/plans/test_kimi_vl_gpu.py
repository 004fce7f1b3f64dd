"""plans/kimi-vl-gpu.yaml: Kimi-VL's curriculum at a 100,000th, and that a trainer can start it"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from curriculum.check.rules import broken_rules
from curriculum.compile import compile_file
from curriculum.cost import known_flops, stage_flops
from curriculum.data.store import Modality, write_source
from curriculum.errors import Severity
from curriculum.lock import write_lock
from curriculum.models.shapes import DecoderShape
from curriculum.plan import Plan
from curriculum.train.console import Console
from curriculum.train.execute import Request, dry_run_plan, run_plan
from curriculum.train.launch import Launch
from curriculum.train.position import Position
from curriculum.usage import epochs
from small import right
from train.worlds import about, documents

PLANS = Path(__file__).parents[2] / "plans"
FACTOR = 100_000
H100_BF16_FLOPS_PER_S = 989e12  # dense, as its data sheet has it
# Every mechanism and every step, with modules of a few thousand parameters and 1,024 tokens a step.
TINY = f"""\
plan: tiny
extends: {PLANS / "kimi-vl-gpu.yaml"}
scale: {{tokens: 1/128, seqs: 1/4, seq_len: 1/32}}
require: [tokens.total == 750_000]
modules:
  llm: {{preset: moonlight-proxy, hidden: 48, num_layers: 2, ffn_dim: 64, expert_dim: 32}}
  vit: {{preset: moonvit-proxy, hidden: 48, num_layers: 1, mlp_dim: 64}}
  projector: {{preset: pixel-shuffle-mlp-proxy, vit_hidden: 48, llm_hidden: 48}}
  text_tower: {{preset: siglip-text-proxy, vit_hidden: 48, num_layers: 1}}
  captioner: {{preset: tiny-decoder-proxy, vit_hidden: 48, num_layers: 1}}
schedules:
  pretrain:
    - {{shape: linear, from: 0, to: 8e-3, for: 8 steps}}
    - {{shape: cosine, to: 10%, until: 406_250}}
    - {{shape: constant}}
  towers:
    - {{shape: linear, from: 0, to: 6e-3, for: 4 steps}}
    - {{shape: cosine, to: 10%}}
  anneal:
    - {{shape: linear, from: current, to: 4e-3, for: 2 steps}}
    - {{shape: linear, to: 0}}
"""


def compiled(name: str) -> Plan:
    found = compile_file(PLANS / f"{name}.yaml")
    assert found.plan is not None, found.findings
    findings = [*found.findings, *broken_rules(found.plan)]
    assert [f for f in findings if f.severity is Severity.ERROR] == []
    return found.plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compiled("kimi-vl-gpu")


@pytest.fixture(scope="module")
def full() -> Plan:
    return compiled("kimi-vl")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    file: Path = tmp_path_factory.mktemp("plan") / "tiny.yaml"
    file.write_text(TINY, encoding="utf-8")
    return right(compile_file(file))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> Path:
    """A small source in the place of each of the demo's."""
    folder: Path = tmp_path_factory.mktemp("data")
    for name, source in plan.sources.items():
        modality: Modality = "text" if source.modality == "text" else "image-text"
        made = documents(name if modality == "text" else "captions")
        write_source(folder / name, replace(about(name), modality=modality), made)
    return folder


def test_budgets_are_the_figures(plan: Plan, full: Plan) -> None:
    assert [s.name for s in plan.stages] == [s.name for s in full.stages]
    for small, whole in zip(plan.stages, full.stages, strict=True):
        assert small.budget.tokens * FACTOR == whole.budget.tokens
    assert sum(s.budget.tokens for s in plan.stages) == 96_000_000
    assert sum(s.tokens for s in plan.stages) == 96_403_456
    assert [s.steps for s in plan.stages] == [413, 153, 8, 107, 46, 12, 12]


def test_it_breaks_no_rule(plan: Plan) -> None:
    assert [f for f in broken_rules(plan) if f.severity is not Severity.INFO] == []


def test_the_graph_the_ratios_and_rope_are_kimi_vls(plan: Plan, full: Plan) -> None:
    for small, whole in zip(plan.stages, full.stages, strict=True):
        assert {m: (s.stage, s.carries_state) for m, s in small.init.items()} == {
            m: (s.stage, s.carries_state) for m, s in whole.init.items()
        }
        assert (small.train, small.count, small.packing) == (
            whole.train,
            whole.count,
            whole.packing,
        )
        assert (small.rope, small.optimizer) == (whole.rope, whole.optimizer)
        assert set(small.loss) == set(whole.loss)
        assert {t: r.schedule for t, r in small.rides.items()} == {
            t: r.schedule for t, r in whole.rides.items()
        }
        assert small.mixture.end_shares() == whole.mixture.end_shares()
        for curves in ("lr", "settings"):
            for target, curve in getattr(whole, curves).items():
                found = getattr(small, curves)[target]
                assert [p.shape for p in found.pieces] == [p.shape for p in curve.pieces]
    assert {n: m.shape.kind for n, m in plan.modules.items()} == {
        n: m.shape.kind for n, m in full.modules.items()
    }


def test_a_batch_fills_a_gpu_and_the_context_grows_fourfold_twice(plan: Plan) -> None:
    ends = {stage.name: stage.batch.pieces[-1] for stage in plan.stages}
    assert {piece.tokens_per_step for piece in ends.values()} == {131_072}
    assert [ends[n].seq_len for n in ("cooldown", "long-32k", "long-128k")] == [2048, 8192, 32_768]
    text = plan.stage("text")
    assert [piece.batch_seqs for piece in text.batch.pieces] == [32, 64]
    assert text.batch.step_at_tokens(200_000_000_000 // FACTOR) == text.batch.pieces[1].first_step


def test_the_rates_are_those_of_its_head(plan: Plan) -> None:
    text, joint, cooldown = (plan.stage(name) for name in ("text", "joint", "cooldown"))
    assert [text.at(s).lr["llm"] for s in (0, 8, 413)] == [0.0, 1.5e-3, 1.5e-4]
    for step in (0, 50, 107):
        assert joint.at(step).lr == {"llm": 1.5e-4, "projector": 1.2e-3, "vit": 6e-4}
    assert set(cooldown.at(2).lr.values()) == {5e-4}
    assert plan.stage("long-32k").at(0).lr["llm"] == pytest.approx(1.7167e-4, rel=1e-4)
    assert set(plan.stage("long-128k").at(12).lr.values()) == {0.0}


def test_the_estimate_is_ten_minutes_at_a_quarter_of_the_peak(plan: Plan) -> None:
    """A target: arithmetic on the plan's FLOPs, nothing that was measured."""
    flops = sum(known_flops(stage_flops(plan, stage))[0] for stage in plan.stages)
    assert flops == pytest.approx(1.41e17, rel=1e-3)
    assert flops / (H100_BF16_FLOPS_PER_S / 4) == pytest.approx(570, abs=1)
    params = {name: module.shape.num_params() for name, module in plan.modules.items()}
    assert sum(params.values()) == 1_277_434_882
    llm = plan.modules["llm"].shape
    assert isinstance(llm, DecoderShape)
    assert llm.qk_head_dim == llm.v_head_dim == 128


def test_the_sources_are_the_laptops_read_more_often(plan: Plan) -> None:
    laptop = compiled("kimi-vl-laptop").sources
    for name, source in plan.sources.items():
        assert replace(source, max_epochs=laptop[name].max_epochs) == laptop[name]
    read = [float(e) for e in epochs(plan)["long-128k"].values() if e is not None]
    assert max(read) == pytest.approx(157.1, abs=0.1)


def test_tiny_sizes_keep_every_mechanism(plan: Plan, tiny: Plan) -> None:
    for small, whole in zip(tiny.stages, plan.stages, strict=True):
        assert small.name == whole.name
        for name in whole.init:
            parts = tiny.shape_of(small, name).parts()
            assert parts == plan.shape_of(whole, name).parts()
        assert small.steps == whole.steps


def test_every_stage_of_it_takes_two_steps_on_a_cpu(tiny: Plan, data: Path) -> None:
    _, timed = dry_run_plan(tiny, Launch(data=data, device="cpu"), Console())
    names = ["text", "vit-coca", "vit-align", "joint", "cooldown", "long-32k", "long-128k"]
    assert [t.name for t in timed] == names
    assert all(len(t.losses) == 2 for t in timed)


def test_a_run_of_it_starts_and_stops_where_it_is_told(
    tiny: Plan, data: Path, tmp_path: Path
) -> None:
    launch = Launch(data=data, device="cpu", evaluates=False)
    request = Request(tiny, write_lock(tiny), launch, tmp_path / "run", stop_at=Position("text", 1))
    summary = run_plan(request, Console())
    assert [f["rule"] for f in summary["audit"]["findings"]] == ["run-not-finished"]
    ledger = (tmp_path / "run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in ledger] == [0]
