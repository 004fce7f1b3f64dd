from dataclasses import replace

import torch

from curriculum.models.vlm import build
from curriculum.plan import OptimizerRule, Stage
from curriculum.train.groups import hash_values
from curriculum.train.optimizer import StageOptimizer
from curriculum.train.planned import planned_values
from train.plans import ADAMW, MODULES, MUON, small_plan
from train.worlds import world_plan


def optimizer_of(stage: Stage) -> StageOptimizer:
    modules = world_plan().modules
    built = {name: build(modules[name].shape, "cpu", 0, name) for name in stage.modules}
    return StageOptimizer(built, stage, {name: modules[name].shape.kind for name in built})


def test_the_values_in_force_are_those_of_the_plan_for_every_stage() -> None:
    plan = world_plan()
    for stage in plan.stages:
        values = optimizer_of(stage).read_values()
        assert values == planned_values(plan, stage)
        assert hash_values(values) == hash_values(planned_values(plan, stage))


def test_values_are_told_with_their_parts() -> None:
    plain = OptimizerRule("adamw", {**ADAMW.values, "weight_decay": 0.0, "clip_norm": None})
    stage = small_plan().stage("align")
    stage = replace(stage, optimizer={"projector": MUON, "vit": ADAMW, "vit/norms": plain})
    values = optimizer_of(stage).read_values()
    by_parts = {tuple(entry["parts"]): entry for entry in values}
    assert by_parts["vit/norms",]["values"] == {
        "beta1": 0.9,
        "beta2": 0.95,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "clip_norm": None,
    }
    muon = next(entry for entry in values if entry["kind"] == "muon")
    assert muon["parts"] == ["projector/ffn"]
    assert muon["values"] == {
        "update_rms": 0.2,
        "weight_decay": 0.1,
        "momentum": 0.95,
        "nesterov": True,
        "ns_steps": 5,
        "clip_norm": 1.0,
    }


def test_the_settings_of_adamw_are_what_torch_reads() -> None:
    optimizer = optimizer_of(small_plan().stage("joint"))
    inner = optimizer._adamw
    assert isinstance(inner, torch.optim.AdamW)
    settings = [group.settings for group in optimizer.groups if group.kind == "adamw"]
    assert len(settings) == len(inner.param_groups)
    assert all(a is b for a, b in zip(settings, inner.param_groups, strict=True))
    assert set(MODULES) == {"llm", "projector", "vit"}
