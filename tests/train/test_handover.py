from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from curriculum.errors import RunError
from curriculum.models.decoder import Decoder
from curriculum.models.vlm import build
from curriculum.plan import Checkpoint, OutsideStage, Plan, Start
from curriculum.train import checkpoint
from curriculum.train.handover import Assembly, MemoryShelf, RunShelf, assemble, reassemble
from train.worlds import world_plan

CPU = torch.device("cpu")


def started(plan: Plan, name: str, shelf: MemoryShelf, data: Path = Path()) -> Assembly:
    return assemble(plan, plan.stage(name), shelf, data, CPU, lambda _: None)


def moved(assembly: Assembly) -> Assembly:
    """Pretend that a stage trained: other weights, and optimizer state for what it trains."""
    assembly.optimizer.set_lr(dict.fromkeys(assembly.trained, 1e-3))
    for module in assembly.modules.values():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.full_like(parameter, 0.5)
    assembly.optimizer.step()
    return assembly


def shelf_until(plan: Plan, *names: str) -> MemoryShelf:
    shelf = MemoryShelf()
    for name in names:
        shelf.put(name, moved(started(plan, name, shelf)))
    return shelf


def test_every_module_comes_from_where_the_plan_says() -> None:
    plan = world_plan()
    shelf = shelf_until(plan, "text", "vit-coca", "align")
    joint = started(plan, "joint", shelf)
    for name, source in (("llm", "text"), ("projector", "align"), ("vit", "align")):
        expected = shelf.weights[source][name]
        for key, value in joint.modules[name].state_dict().items():
            assert torch.equal(value, expected[key])
    assert set(joint.modules) == {"llm", "projector", "vit"}  # the towers were dropped


def test_new_modules_are_a_function_of_seed_module_and_parameter() -> None:
    plan = world_plan()
    shelf = shelf_until(plan, "text", "vit-coca")
    align = started(plan, "align", shelf)
    alone = build(plan.modules["projector"].shape, CPU, plan.seed, "projector").state_dict()
    found = align.modules["projector"].state_dict()
    assert all(torch.equal(found[key], alone[key]) for key in alone)
    other = build(plan.modules["projector"].shape, CPU, plan.seed + 1, "projector").state_dict()
    assert not torch.equal(found["ffn.up.weight"], other["ffn.up.weight"])


def test_state_is_carried_where_it_is_said_and_nowhere_else() -> None:
    plan = world_plan()
    shelf = shelf_until(plan, "text", "vit-coca", "align")
    states = started(plan, "joint", shelf).states()
    kept = shelf.states["text"]["llm"]
    assert states["llm"].keys() == kept.keys()
    assert all(torch.equal(states["llm"][key], kept[key]) for key in kept)
    assert not states["vit"]
    assert not states["projector"]


def test_state_of_a_module_that_a_stage_freezes_is_held_for_those_after_it() -> None:
    plan = world_plan()
    shelf = shelf_until(plan, "text", "vit-coca")
    align = plan.stage("align")
    init = {**align.init, "llm": Start("text", 8, carries_state=True)}
    changed = replace(plan, stages=(*plan.stages[:2], replace(align, init=init)))
    frozen = started(changed, "align", shelf)
    kept = shelf.states["text"]["llm"]
    assert all(torch.equal(frozen.states()["llm"][key], kept[key]) for key in kept)


def test_frozen_modules_do_not_ask_for_gradients() -> None:
    plan = world_plan()
    align = started(plan, "align", shelf_until(plan, "text", "vit-coca"))
    asks = {n: {p.requires_grad for p in m.parameters()} for n, m in align.modules.items()}
    assert asks == {"llm": {False}, "projector": {True}, "vit": {True}}
    assert not align.modules["llm"].training  # or its experts would count what they are given


def test_rope_is_the_stages_own_and_not_in_the_weights() -> None:
    plan = world_plan()
    shelf = shelf_until(plan, "text", "vit-coca", "align", "joint")
    llm = started(plan, "long", shelf).modules["llm"]
    assert isinstance(llm, Decoder)
    assert llm.rope.base() == pytest.approx(800_000)
    speeds = plan.stage("long").rope["llm"].inv_freq(llm.shape.rope_head_dim)
    assert llm.rope.by_layer() == [(speeds, 1.0)] * llm.shape.num_layers
    assert not any("rope" in key for key in shelf.weights["joint"]["llm"])


def test_a_stage_without_a_rope_base_is_refused() -> None:
    plan = world_plan()
    bare = replace(plan.stage("text"), rope={})
    with pytest.raises(RunError, match="stage `text` says no RoPE base for `llm`"):
        started(replace(plan, stages=(bare,)), "text", MemoryShelf())


def test_a_checkpoint_gives_back_the_stage_that_it_was_made_of(tmp_path: Path) -> None:
    plan = world_plan()
    text = moved(started(plan, "text", MemoryShelf()))
    path = checkpoint.checkpoint_path(tmp_path, "text", 1)
    checkpoint.save(path, text.weights(), text.states(), {})
    again = reassemble(plan, plan.stage("text"), 1, RunShelf(tmp_path), CPU)
    for mine, yours in ((text.weights(), again.weights()), (text.states(), again.states())):
        assert mine["llm"].keys() == yours["llm"].keys()
        assert all(torch.equal(mine["llm"][key], yours["llm"][key]) for key in mine["llm"])


def test_a_parent_that_is_not_there_is_named(tmp_path: Path) -> None:
    plan = world_plan()
    why = r"stage `joint` takes `llm` from `text` at step 8: there is no complete checkpoint"
    with pytest.raises(RunError, match=why):
        assemble(plan, plan.stage("joint"), RunShelf(tmp_path), tmp_path, CPU, lambda _: None)


def test_a_parent_of_another_shape_does_not_fit() -> None:
    plan = world_plan()
    shelf = shelf_until(plan, "text")
    for key, (tensor, why) in {
        "norm.weight": (torch.zeros(3), "has another size of norm.weight"),
        "late.weight": (torch.zeros(3), "has the unknown late.weight"),
    }.items():
        weights = {**shelf.weights["text"]["llm"], key: tensor}
        odd = MemoryShelf({**shelf.weights, "text": {"llm": weights}}, shelf.states)
        with pytest.raises(RunError, match=f"`text` does not fit module `llm`: it {why}"):
            started(plan, "joint", odd)


def test_outside_checkpoints_come_from_safetensors(tmp_path: Path) -> None:
    plan = world_plan()
    fresh = build(plan.modules["vit"].shape, CPU, 99, "vit").state_dict()
    tower = build(plan.modules["text_tower"].shape, CPU, 99, "text_tower").state_dict()
    given = Checkpoint(("text_tower", "vit"), path="siglip")
    plan = replace(plan, outside=(OutsideStage("siglip", given),))
    with pytest.raises(RunError, match="the outside checkpoint `siglip` is not there"):
        started(plan, "vit-coca", MemoryShelf(), tmp_path)
    (tmp_path / "siglip").mkdir()
    save_file(fresh, tmp_path / "siglip" / "vit.safetensors")
    save_file(tower, tmp_path / "siglip" / "text_tower.safetensors")
    found = started(plan, "vit-coca", MemoryShelf(), tmp_path).modules["vit"].state_dict()
    assert all(torch.equal(found[key], fresh[key]) for key in fresh)
    (tmp_path / "siglip" / "vit.safetensors").write_bytes(b"not this")
    with pytest.raises(RunError, match=r"vit.safetensors: cannot be read"):
        started(plan, "vit-coca", MemoryShelf(), tmp_path)


def test_a_stand_in_is_said_aloud_and_a_missing_path_refused() -> None:
    plan, said = world_plan(), list[str]()
    assemble(plan, plan.stage("vit-coca"), MemoryShelf(), Path(), CPU, said.append)
    assert said[0].startswith("siglip: no checkpoint, `text_tower` starts with fresh weights")
    bare = replace(plan, outside=(OutsideStage("siglip", Checkpoint(("text_tower", "vit"))),))
    with pytest.raises(RunError, match="`siglip` has no `path`"):
        started(bare, "vit-coca", MemoryShelf())


def test_two_modules_of_one_kind_are_refused() -> None:
    plan = world_plan()
    text = plan.stage("text")
    twin = replace(text, init={**text.init, "other": Start(None)})
    modules = {**plan.modules, "other": plan.modules["llm"]}
    with pytest.raises(RunError, match="two modules of one kind"):
        started(replace(plan, modules=modules, stages=(twin,)), "text", MemoryShelf())


def test_the_world_keeps_its_word() -> None:
    assert world_plan().stage("joint").init["llm"].carries_state
    assert world_plan().sources["captions"].holdout == Fraction(1, 50)
