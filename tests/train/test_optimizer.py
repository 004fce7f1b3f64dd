from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import nn

from curriculum.curve import constant
from curriculum.errors import RunError
from curriculum.models.shapes import part_of
from curriculum.models.vlm import build, is_matrix
from curriculum.plan import OptimizerRule, Stage, Start
from curriculum.train.optimizer import StageOptimizer
from train.plans import ADAMW, MODULES, MUON, small_plan, small_stage

UNCLIPPED = OptimizerRule("muon", {**MUON.values, "clip_norm": None})


def modules_of(stage: Stage) -> dict[str, nn.Module]:
    return {name: build(MODULES[name].shape, "cpu", 0, name) for name in stage.modules}


def optimizer_of(stage: Stage, modules: dict[str, nn.Module]) -> StageOptimizer:
    return StageOptimizer(modules, stage, {name: MODULES[name].shape.kind for name in modules})


def give_gradients(modules: dict[str, nn.Module], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name in sorted(modules):
        for param in modules[name].parameters():
            if param.requires_grad:
                param.grad = torch.randn(param.shape, generator=generator)


def values(modules: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": value.detach().clone()
        for name, module in modules.items()
        for key, value in module.named_parameters()
    }


def run(
    stage: Stage, modules: dict[str, nn.Module], optimizer: StageOptimizer, steps: range
) -> None:
    for step in steps:
        optimizer.set_lr({t: x for t, x in stage.at(step).lr.items() if x is not None})
        optimizer.zero_grad()
        give_gradients(modules, step)
        optimizer.step()


def test_muon_takes_matrices_and_adamw_the_rest() -> None:
    stage = small_stage()
    modules = modules_of(stage)
    optimizer = optimizer_of(stage, modules)
    kind_of = {name: group.kind for group in optimizer.groups for name in group.names}
    assert kind_of.keys() == values(modules).keys()
    for name, param in modules["llm"].named_parameters():
        wants_muon = is_matrix("llm", name, param)
        assert kind_of[f"llm/{name}"] == ("muon" if wants_muon else "adamw"), name
    assert kind_of["llm/layers.1.moe.experts.gate"] == "muon"
    assert kind_of["llm/layers.1.moe.router.weight"] == "muon"
    assert kind_of["llm/head.weight"] == kind_of["llm/norm.weight"] == "adamw"


def test_frozen_modules_and_parts_have_no_group_and_no_gradient() -> None:
    align = small_plan().stage("align")
    modules = modules_of(align)
    optimizer = optimizer_of(align, modules)
    assert {name.partition("/")[0] for g in optimizer.groups for name in g.names} == {
        "projector",
        "vit",
    }
    assert not any(param.requires_grad for param in modules["llm"].parameters())
    assert all(param.requires_grad for param in modules["vit"].parameters())

    head = small_stage(train=("llm/head",), lr={"llm/head": constant(1)})
    optimizer = optimizer_of(head, modules := modules_of(head))
    assert [name for group in optimizer.groups for name in group.names] == ["llm/head.weight"]
    trained = [n for n, p in modules["llm"].named_parameters() if p.requires_grad]
    assert trained == ["head.weight"]


def test_the_lr_is_set_by_the_longer_name_and_read_back_from_the_groups() -> None:
    base = small_stage()
    stage = replace(base, lr={**base.lr, "llm/embeddings": constant(Fraction(1, 50))})
    optimizer = optimizer_of(stage, modules_of(stage))
    lr = {t: x for t, x in stage.at(1).lr.items() if x is not None}
    optimizer.set_lr(lr)
    assert optimizer.read_lr() == lr == {"llm": 0.0005, "llm/embeddings": 0.02}
    for group in optimizer.groups:
        parts = {part_of("llm", name.partition("/")[2]) for name in group.names}
        assert (group.target == "llm/embeddings") == (parts == {"embeddings"})
    with pytest.raises(ValueError, match="no LR for llm/embeddings"):
        optimizer.set_lr({"llm": 1e-3})


def test_groups_of_one_target_with_different_lrs_are_refused() -> None:
    stage = small_stage()
    optimizer = optimizer_of(stage, modules_of(stage))
    optimizer.set_lr({"llm": 1e-3})
    next(group for group in optimizer.groups if group.kind == "adamw").settings["lr"] = 2e-3
    with pytest.raises(RunError, match="groups of llm have different LRs"):
        optimizer.read_lr()


def test_a_step_at_lr_0_changes_nothing_and_the_next_one_everything_trained() -> None:
    stage = small_plan().stage("align")
    modules = modules_of(stage)
    optimizer = optimizer_of(stage, modules)
    before = values(modules)
    run(stage, modules, optimizer, range(0, 1))
    assert all(torch.equal(value, before[name]) for name, value in values(modules).items())
    run(stage, modules, optimizer, range(1, 2))
    changed = {n for n, value in values(modules).items() if not torch.equal(value, before[n])}
    assert changed == {name for name in before if not name.startswith("llm/")}


def test_adamw_is_that_of_torch_and_decays_norm_gains() -> None:
    stage = small_stage(optimizer={"llm": ADAMW})
    modules = modules_of(stage)
    optimizer = optimizer_of(stage, modules)
    twin = build(MODULES["llm"].shape, "cpu", 0, "llm")
    theirs = torch.optim.AdamW(twin.parameters(), betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    for step in range(3):
        lr = stage.at(step).lr["llm"]
        assert lr is not None
        theirs.param_groups[0]["lr"] = lr
        run(stage, modules, optimizer, range(step, step + 1))
        for ours, other in zip(modules["llm"].parameters(), twin.parameters(), strict=True):
            assert ours.grad is not None  # clipped by our step
            other.grad = ours.grad.clone()
        theirs.step()
    for ours, other in zip(modules["llm"].parameters(), twin.parameters(), strict=True):
        assert torch.allclose(ours, other, rtol=1e-6, atol=1e-7)
    gain = dict(modules["llm"].named_parameters())["norm.weight"]
    optimizer.zero_grad()
    gain.grad = torch.zeros_like(gain)
    expected = gain.detach().clone()
    optimizer.set_lr({"llm": 0.5})
    state = {k: torch.zeros_like(v) for k, v in optimizer.state_of("llm").items()}
    optimizer.load_state("llm", state)
    optimizer.step()
    assert torch.allclose(gain, expected * (1 - 0.5 * 0.1))


def test_clipping_is_over_all_trained_parameters_of_the_step() -> None:
    stage = small_plan().stage("align")
    modules = modules_of(stage)
    optimizer = optimizer_of(stage, modules)
    give_gradients(modules, 0)
    everything = torch.cat(
        [p.grad.flatten() for m in modules.values() for p in m.parameters() if p.grad is not None]
    )
    assert optimizer.grad_norm() == pytest.approx(float(everything.norm()), rel=1e-6)
    assert optimizer.grad_norm() > 1
    optimizer.step()
    assert optimizer.grad_norm() == pytest.approx(1.0, rel=1e-6)

    free = replace(stage, optimizer=dict.fromkeys(("projector", "vit"), UNCLIPPED))
    optimizer = optimizer_of(free, modules)
    give_gradients(modules, 0)
    norm = optimizer.grad_norm()
    optimizer.step()
    assert optimizer.grad_norm() == norm


def test_what_is_not_finite_shows_in_the_norm() -> None:
    stage = small_stage()
    modules = modules_of(stage)
    optimizer = optimizer_of(stage, modules)
    assert optimizer.grad_norm() == 0.0
    give_gradients(modules, 0)
    gradient = next(modules["llm"].parameters()).grad
    assert gradient is not None
    gradient[0, 0] = float("nan")
    assert optimizer.grad_norm() != optimizer.grad_norm()


def test_a_state_that_was_saved_and_loaded_goes_on_bit_for_bit() -> None:
    stage = small_stage()
    whole, cut = modules_of(stage), modules_of(stage)
    optimizer = optimizer_of(stage, whole)
    run(stage, whole, optimizer, range(0, 6))

    first = optimizer_of(stage, cut)
    run(stage, cut, first, range(0, 3))
    kept = {name: tensor.clone() for name, tensor in first.state_of("llm").items()}
    second = optimizer_of(stage, cut)
    second.load_state("llm", kept)
    run(stage, cut, second, range(3, 6))
    for name, value in values(whole).items():
        assert torch.equal(value, values(cut)[name]), name
    assert kept["norm.weight.step"] == 3  # what was handed over is not changed in place


def test_state_goes_to_the_parameters_that_are_trained_and_others_begin_anew() -> None:
    stage = small_stage()
    modules = modules_of(stage)
    optimizer = optimizer_of(stage, modules)
    run(stage, modules, optimizer, range(0, 2))
    state = optimizer.state_of("llm")
    head = small_stage(train=("llm/head",), init={"llm": Start("text", 8, carries_state=True)})
    heir = optimizer_of(head, modules_of(head))
    heir.load_state("llm", state)
    assert heir.state_of("llm").keys() == {
        "head.weight.step",
        "head.weight.exp_avg",
        "head.weight.exp_avg_sq",
    }
    late = optimizer_of(stage, modules_of(stage))
    late.load_state("llm", {k: v for k, v in state.items() if k.startswith("head.")})
    assert late.state_of("llm").keys() == heir.state_of("llm").keys()
    assert optimizer.state_of("vit") == {}


def test_a_state_that_does_not_fit_is_refused_by_name() -> None:
    stage = small_stage()
    optimizer = optimizer_of(stage, modules := modules_of(stage))
    run(stage, modules, optimizer, range(0, 1))
    state = optimizer.state_of("llm")
    adamw = small_stage(optimizer={"llm": ADAMW})
    with pytest.raises(
        RunError, match=r"llm/.* holds momentum, step, but adamw updates it here.*carry: none"
    ):
        optimizer_of(adamw, modules_of(adamw)).load_state("llm", state)
    with pytest.raises(RunError, match="llm/tail.weight, but llm has no such parameter"):
        optimizer.load_state("llm", {"tail.weight.momentum": torch.zeros(1)})
    with pytest.raises(RunError, match=r"exp_avg of llm/norm.weight is \(3,\), not \(32,\)"):
        optimizer.load_state("llm", {**state, "norm.weight.exp_avg": torch.zeros(3)})
