from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from curriculum.curve import constant
from curriculum.data.loader import StageReader
from curriculum.data.packed import NO_LOSS
from curriculum.models.batch import to_torch
from curriculum.models.coca import TextTower
from curriculum.models.decoder import Decoder
from curriculum.models.vlm import embed_pairs, forward_losses
from curriculum.objective import LossRule
from curriculum.plan import Plan
from curriculum.train.feed import draw, open_reader
from curriculum.train.handover import Assembly, MemoryShelf, assemble
from curriculum.train.job import Job
from curriculum.train.ledger import LedgerLine
from curriculum.train.loop import step_of_plan
from curriculum.train.measure import Meter
from curriculum.train.optimizer import StageOptimizer
from curriculum.train.step import NotFiniteError, take_step
from train.worlds import world_job, world_plan, write_world

STEPS = 2


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    plan = world_plan()
    # From the first step on every module moves, so that the second step shows the first's update.
    stages = tuple(
        replace(stage, lr=dict.fromkeys(stage.lr, constant(Fraction(1, 1000))))
        for stage in plan.stages
    )
    return world_job(replace(plan, stages=stages), folder)


class Pins:
    """Records the experts' choices of whole steps, and gives them to the cut ones, in order."""

    def __init__(self) -> None:
        self.choices: list[list[Tensor]] = []  # of each forward pass and layer, [T, k]

    def record(self, decoder: Decoder) -> None:
        def after(module: Decoder, args: Any, out: Tensor) -> None:
            self.choices.append([_choice(moe.last_choice) for moe in module.moe_layers()])

        decoder.register_forward_hook(after)

    def give(self, decoder: Decoder) -> None:
        coming = [torch.cat(layer) for layer in zip(*self.choices, strict=True)]
        at = 0

        def before(module: Decoder, args: Any) -> None:
            nonlocal at
            for moe, choice in zip(module.moe_layers(), coming, strict=True):
                moe.pinned = choice[at : at + len(args[0])]
            at += len(args[0])

        decoder.register_forward_pre_hook(before)


def _choice(choice: Tensor | None) -> Tensor:
    assert choice is not None
    return choice.clone()


def assembled(job: Job, name: str, shelf: MemoryShelf) -> Assembly:
    stage = job.plan.stage(name)
    found = assemble(job.plan, stage, shelf, job.launch.data, job.device, lambda _: None)
    # Newton-Schulz in bfloat16 would make much of a gradient's last digit.
    exact = StageOptimizer(found.modules, stage, found.kinds, torch.float32)
    for module in found.trained:
        exact.load_state(module, found.optimizer.state_of(module))
    return replace(found, optimizer=exact)


def two_steps(
    job: Job, name: str, assembly: Assembly, reader: StageReader, size: int
) -> Iterator[LedgerLine]:
    crew = assembly.crew(job.device, "fp32")
    meter = Meter(assembly.modules, assembly.optimizer)
    for step in range(STEPS):
        drawn = draw(reader, step, size)
        found = step_of_plan(crew, job.plan.stage(name).at(step), drawn)
        yield meter.read(name, step, drawn.micro_batches, drawn.drawn_hash, found)


def test_a_steps_mathematics_does_not_depend_on_how_it_is_cut(job: Job) -> None:
    shelf = MemoryShelf()
    for stage in job.plan.stages:
        reader = open_reader(job.plan, stage, job.sources)
        whole, pins = assembled(job, stage.name, shelf), Pins()
        for module in whole.modules.values():
            if isinstance(module, Decoder):
                pins.record(module)
        expected = list(two_steps(job, stage.name, whole, reader, stage.at(0).batch_seqs))
        assert all(line.trained == sorted(stage.train) for line in expected)
        for size in (1, 2):
            cut = assembled(job, stage.name, shelf)
            for module in cut.modules.values():
                if isinstance(module, Decoder):
                    pins.give(module)
            for line, right in zip(
                two_steps(job, stage.name, cut, reader, size), expected, strict=True
            ):
                assert without_floats(line) == without_floats(right)
                assert line.loss == pytest.approx(right.loss, rel=0, abs=1e-5)
                assert line.total == pytest.approx(right.total, rel=0, abs=1e-5)
                assert line.loss.keys() == stage.loss.keys()
            _require_equal_router_biases(cut, whole)
        shelf.put(stage.name, whole)


def test_what_is_added_to_the_loss_does_not_depend_on_how_a_step_is_cut(job: Job) -> None:
    base = job.plan.stage("text")
    loss = {
        "next_token": constant(1),
        "z_loss": constant(Fraction(1, 100)),
        "balance": constant(Fraction(1, 10)),
        "sequence_balance": constant(Fraction(1, 10)),
    }
    rules = {"next_token": LossRule("text", "sqrt"), "z_loss": LossRule("all", "samples")}
    stage = replace(base, loss=loss, loss_rules=rules)
    plan = replace(job.plan, stages=(stage,))
    reader = open_reader(plan, stage, job.sources)
    lines = []
    for size in (stage.at(0).batch_seqs, 1, 3):
        world = replace(job, plan=plan)
        assembly = assembled(world, "text", MemoryShelf())
        lines.append((assembly, list(two_steps(world, "text", assembly, reader, size))))
    (whole, expected), *cuts = lines
    for cut, found in cuts:
        for line, right in zip(found, expected, strict=True):
            assert without_floats(line) == without_floats(right)
            assert line.loss == pytest.approx(right.loss, rel=0, abs=1e-5)
            assert line.total == pytest.approx(right.total, rel=0, abs=1e-5)
        _require_equal_router_biases(cut, whole)
    assert expected[0].loss["balance"] >= 1  # of its one layer with experts: 1 where all are even
    assert expected[0].loss["sequence_balance"] >= expected[0].loss["balance"]


@pytest.mark.parametrize("reduce", ["tokens", "samples", "sqrt"])
def test_a_sample_weighs_what_its_rule_says(job: Job, reduce: str) -> None:
    base = job.plan.stage("text")
    stage = replace(base, loss_rules={"next_token": LossRule("all", reduce)})
    reader = open_reader(job.plan, stage, job.sources)
    assembly = assembled(job, "text", MemoryShelf())
    crew = assembly.crew(job.device, "fp32")
    drawn = draw(reader, 0, 2)
    weighted, weights = 0.0, 0.0
    with torch.no_grad():
        for packed in drawn.micro_batches:
            for start, end in pairwise(packed.cu_seqlens.tolist()):
                bears = int((packed.targets[start:end] != NO_LOSS).sum())
                if not bears:
                    continue
                one = packed.targets.copy()
                one[:start] = one[end:] = NO_LOSS
                only = to_torch(replace(packed, targets=one))
                nll = forward_losses(crew.by_kind, only, {"next_token": 1.0})["next_token"].total
                power = {"tokens": 0.0, "samples": 1.0, "sqrt": 0.5}[reduce]
                weighted += nll.item() / bears**power
                weights += bears ** (1 - power)
    found = step_of_plan(crew, stage.at(0), drawn)
    assert found.terms["next_token"] == pytest.approx(weighted / weights, rel=1e-5)


def without_floats(line: LedgerLine) -> LedgerLine:
    """A line without what the last digits of a sum show in: losses, and the bits of weights."""
    return replace(line, loss={}, total=0.0, weights={})


def _require_equal_router_biases(cut: Assembly, whole: Assembly) -> None:
    for name, module in whole.modules.items():
        other = cut.modules[name]
        if isinstance(module, Decoder) and isinstance(other, Decoder):
            for mine, yours in zip(module.moe_layers(), other.moe_layers(), strict=True):
                assert torch.equal(mine.router_bias, yours.router_bias)


def test_siglip_contrasts_all_pairs_of_the_step(job: Job) -> None:
    stage = job.plan.stage("vit-coca")
    reader = open_reader(job.plan, stage, job.sources)
    assembly = assembled(job, stage.name, MemoryShelf())
    crew = assembly.crew(job.device, "fp32")
    rows = draw(reader, 0, 1).micro_batches
    embedded = [embed_pairs(crew.by_kind, to_torch(packed)) for packed in rows]
    images, texts = (torch.cat(side) for side in zip(*embedded, strict=True))
    tower = assembly.modules["text_tower"]
    assert isinstance(tower, TextTower)
    logits = tower.scale() * images @ texts.t() + tower.logit_bias
    sign = 2 * torch.eye(len(images)) - 1
    of_all_pairs = -torch.nn.functional.logsigmoid(sign * logits).sum() / len(images)
    found = step_of_plan(crew, stage.at(0), draw(reader, 0, 1))
    assert len(images) > len(rows)
    assert found.terms["siglip"] == pytest.approx(of_all_pairs.item(), abs=1e-5)


def test_frozen_modules_stay_and_what_is_trained_moves(job: Job) -> None:
    shelf = _after(job, ("text", "vit-coca"))
    assembly = assembled(job, "align", shelf)
    before = {k: v.clone() for k, v in assembly.modules["llm"].state_dict().items()}
    reader = open_reader(job.plan, job.plan.stage("align"), job.sources)
    lines = list(two_steps(job, "align", assembly, reader, 4))
    assert [line.trained for line in lines] == [["projector", "vit"]] * STEPS
    after = assembly.modules["llm"].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_step_without_images_still_decays_the_vit(job: Job) -> None:
    shelf = _after(job, ("text", "vit-coca", "align"))
    assembly = assembled(job, "joint", shelf)
    reader = open_reader(job.plan, job.plan.stage("text"), job.sources)
    drawn = draw(reader, 0, 4)
    meter = Meter(assembly.modules, assembly.optimizer)
    lr, crew = dict.fromkeys(assembly.modules, 1e-3), assembly.crew(job.device, "fp32")
    found = take_step(crew, drawn.micro_batches, lr, {"next_token": 1.0}, None, "joint")
    line = meter.read("joint", 0, drawn.micro_batches, drawn.drawn_hash, found)
    assert line.trained == ["llm", "projector", "vit"]


def test_what_is_not_finite_stops_before_the_update_and_names_its_sources(job: Job) -> None:
    assembly = assembled(job, "text", MemoryShelf())
    llm = assembly.modules["llm"]
    with torch.no_grad():
        llm.get_parameter("norm.weight")[0] = float("inf")
    before = {k: v.clone() for k, v in llm.state_dict().items()}
    stage = job.plan.stage("text")
    drawn = draw(open_reader(job.plan, stage, job.sources), 1, 4)
    with pytest.raises(NotFiniteError, match=r"stage `text`, step 1: .* reading code, english"):
        step_of_plan(assembly.crew(job.device, "fp32"), stage.at(1), drawn)
    after = llm.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_learning_rate_is_the_plans_and_read_from_the_groups(job: Job) -> None:
    plan: Plan = world_plan()
    stage = plan.stage("text")
    assembly = assembled(job, "text", MemoryShelf())
    crew, reader = assembly.crew(job.device, "fp32"), open_reader(plan, stage, job.sources)
    for step in range(4):
        step_of_plan(crew, stage.at(step), draw(reader, step, 4))
        assert assembly.optimizer.read_lr() == stage.at(step).lr


def test_bfloat16_is_near_float32(job: Job) -> None:
    stage, losses = job.plan.stage("text"), []
    for precision in ("fp32", "bf16"):
        assembly = assembled(job, "text", MemoryShelf())
        drawn = draw(open_reader(job.plan, stage, job.sources), 0, 4)
        losses.append(step_of_plan(assembly.crew(job.device, precision), stage.at(0), drawn).total)
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def _after(job: Job, names: tuple[str, ...]) -> MemoryShelf:
    shelf = MemoryShelf()
    for name in names:
        shelf.put(name, assembled(job, name, shelf))
    return shelf
