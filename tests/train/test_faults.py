"""Real runs with one fault injected into the trainer: the audit names stage, step and what differs

Every run goes on from a copy of the healthy one, from the beginning of the stage of the fault.
"""

import ast
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import curriculum
from curriculum.data.packed import NO_LOSS, Packed
from curriculum.data.packing import Row
from curriculum.errors import RunError
from curriculum.lock import with_digests, write_lock
from curriculum.models.batch import TorchBatch, to_torch
from curriculum.plan import Now, Plan, Stage, Start
from curriculum.train import groups, handover, loop, optimizer, step
from curriculum.train.arrival import Arriving
from curriculum.train.audit import Report, audit
from curriculum.train.checkpoint import checkpoint_path
from curriculum.train.console import Console
from curriculum.train.execute import Request, run_plan
from curriculum.train.feed import Drawn, open_reader
from curriculum.train.groups import Group
from curriculum.train.handover import Assembly, RunShelf
from curriculum.train.job import Job
from curriculum.train.job import drawer as job_drawer
from curriculum.train.launch import Launch
from curriculum.train.ledger import read
from curriculum.train.optimizer import StageOptimizer
from curriculum.train.rundir import LEDGER, RunDir
from train.plans import MUON, small_stage
from train.worlds import world_plan, write_world

SRC = Path(curriculum.__file__).parent


def faults_plan() -> Plan:
    """Return the small world, where `joint` sets the LR of one optimizer group by itself.

    Behind it comes a stage that trains one part of the language model.
    """
    plan = world_plan()
    joint = plan.stage("joint")
    name = "llm/embeddings"
    joint = replace(
        joint,
        lr={**joint.lr, name: joint.lr["llm"]},
        rides={**joint.rides, name: joint.rides["llm"]},
    )
    stages = tuple(joint if stage.name == "joint" else stage for stage in plan.stages)
    head = small_stage(
        "head",
        steps=3,
        seq_len=64,
        init={"llm": Start("long", 4)},
        train=("llm/head",),
        lr={"llm/head": joint.lr["llm"]},
        rope_base=800_000,
    )
    return with_digests(replace(plan, stages=(*stages, head)))


PLAN = faults_plan()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


@pytest.fixture(scope="module")
def healthy(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run: Path = tmp_path_factory.mktemp("runs") / "healthy"
    go(data, run)
    return run


class Silent(Console):
    """Says nothing."""

    def say(self, sentence: str) -> None:
        pass


class Here:
    """Where the trainer stands: the stage and step whose update is under way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = ("", -1)
        original = loop.step_of_plan

        def watched(crew: Any, now: Any, drawn: Drawn, batches: Any) -> Any:
            self.place = (now.stage.name, now.step)
            return original(crew, now, drawn)

        monkeypatch.setattr(loop, "step_of_plan", watched)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(monkeypatch)


def go(data: Path, run: Path, resume: bool = False) -> Mapping[str, Any]:
    launch = Launch(data=data, device="cpu", checkpoint_every_steps=3, evaluates=False)
    return run_plan(Request(PLAN, write_lock(PLAN), launch, run, resume), Silent())


def copy_before(healthy: Path, run: Path, stage: str) -> Path:
    """Copy the healthy run as it stood before a stage: `--resume` cuts the ledger to that."""
    shutil.copytree(healthy, run)
    names = [other.name for other in PLAN.stages]
    for name in names[names.index(stage) :]:
        shutil.rmtree(run / "checkpoints" / name)
    return run


def audited(run: Path, data: Path) -> list[str]:
    """Audit a run and return what the report says of ledger and plan; it must not be ok."""
    report: Report = audit(run, data)
    assert not report.ok
    assert not report.notes
    return [f.message for f in report.findings if f.rule == "ledger-differs"]


def require_only(messages: list[str], stage: str, step: int) -> None:
    assert messages
    assert all(m.startswith(f"stage `{stage}`: step {step}: ") for m in messages), messages


@pytest.fixture
def train(data: Path, healthy: Path, tmp_path: Path) -> Callable[[str], list[str]]:
    """Run on from the beginning of a stage, and return what the audit says differs."""

    def run_from(stage: str) -> list[str]:
        run = copy_before(healthy, tmp_path / "run", stage)
        go(data, run, resume=True)
        return audited(run, data)

    return run_from


def test_the_audit_of_a_healthy_run_is_ok(data: Path, healthy: Path, tmp_path: Path) -> None:
    report = audit(healthy, data)
    assert report.ok, report.findings
    assert report.complete
    assert not report.notes
    again = copy_before(healthy, tmp_path / "run", "joint")
    assert go(data, again, resume=True)["audit"]["ok"]
    assert (again / LEDGER).read_bytes() == (healthy / LEDGER).read_bytes()


def test_the_lr_of_one_group_wrong_at_one_step(
    train: Callable[[str], list[str]], here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = StageOptimizer.set_lr

    def one_step_late(self: StageOptimizer, lr: Mapping[str, float]) -> None:
        if here.place == ("joint", 3):
            lr = {**lr, "llm/embeddings": self.read_lr()["llm/embeddings"]}
        original(self, lr)

    monkeypatch.setattr(StageOptimizer, "set_lr", one_step_late)
    late, due = (PLAN.stage("joint").at(step).lr["llm/embeddings"] for step in (2, 3))
    assert late != due
    words = f"LR of llm/embeddings is {late!r}, planned {due!r}"
    assert train("joint") == [f"stage `joint`: step 3: {words}"]


def test_the_lr_of_one_of_several_groups_of_a_module_stops_the_run(
    data: Path, healthy: Path, tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = StageOptimizer.set_lr

    def forgets_a_group(self: StageOptimizer, lr: Mapping[str, float]) -> None:
        original(self, lr)
        if here.place == ("joint", 3):
            next(group for group in self.groups if group.target == "vit").settings["lr"] *= 2

    monkeypatch.setattr(StageOptimizer, "set_lr", forgets_a_group)
    run = copy_before(healthy, tmp_path / "run", "joint")
    with pytest.raises(RunError, match="the optimizer's groups of vit have different LRs"):
        go(data, run, resume=True)
    last = list(read(run / LEDGER))[-1]
    assert (last.stage, last.step) == ("joint", 2)
    report = audit(run, data)
    assert [f.message for f in report.findings] == [
        "the run is not finished: stage `joint` has 3 of 6 steps"
    ]


def fed_otherwise(
    monkeypatch: pytest.MonkeyPatch, stage: str, step: int, change: Callable[[Any], list[Row]]
) -> None:
    """Give the trainer other rows at one step, as `change` makes them of the stage's reader."""
    original = job_drawer

    def drawer(job: Job, of: Stage) -> Callable[[int], Drawn]:
        make = original(job, of)
        reader = open_reader(job.plan, of, job.sources)

        def drawn(at: int) -> Drawn:
            if (of.name, at) != (stage, step):
                return make(at)
            rows = change(reader)
            return Drawn((reader.pack(rows),), reader.drawn_hash(rows))

        return drawn

    monkeypatch.setattr(loop, "drawer", drawer)


def test_one_sequence_of_another_source(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(reader: Any) -> list[Row]:
        rows: list[Row] = reader.rows(2)
        swapped = [row.source for row in rows].index("captions")
        rows[swapped] = next(row for row in reader.rows(3) if row.source == "english")
        return rows

    fed_otherwise(monkeypatch, "joint", 2, change)
    planned = PLAN.stage("joint").draws().counts(2)
    messages = train("joint")
    require_only(messages, "joint", 2)
    for name, sequences in (
        ("captions", planned["captions"] - 1),
        ("english", planned["english"] + 1),
    ):
        words = f"{sequences} sequences of `{name}`, planned {planned[name]}"
        assert f"stage `joint`: step 2: {words}" in messages


def test_another_sequence_of_the_same_source(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(reader: Any) -> list[Row]:
        rows: list[Row] = reader.rows(5)
        rows[0] = next(row for row in reader.rows(6) if row.source == rows[0].source)
        return rows

    fed_otherwise(monkeypatch, "text", 5, change)
    messages = train("text")
    require_only(messages, "text", 5)
    assert any("other documents: drew " in message for message in messages)


def test_a_frozen_module_trained(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = groups.groups_of

    def groups_too_many(params: Any, stage: Stage, kinds: Any) -> tuple[Group, ...]:
        if stage.name != "align":
            return original(params, stage, kinds)
        open_stage = replace(
            stage, train=(*stage.train, "llm"), optimizer={**stage.optimizer, "llm": MUON}
        )
        groups = original(params, open_stage, kinds)
        return tuple(replace(g, target="vit") if g.target == "llm" else g for g in groups)

    monkeypatch.setattr(optimizer, "groups_of", groups_too_many)
    # Step 0 has LR 0, so that nothing can change in it.
    assert PLAN.stage("align").at(0).lr == {"projector": 0, "vit": 0}
    at = "stage `align`: step"
    *messages, of_hash = train("align")
    assert of_hash.startswith(f"{at} 1: other values in the optimizer: hash ")
    assert messages == [
        f"{at} 0: muon that is not planned: llm/attention, llm/experts, llm/ffn, llm/router",
        f"{at} 0: adamw that is not planned: llm/embeddings, llm/head, llm/norms",
        f"{at} 0: the optimizer's state of `llm` had seen 0 updates, planned no",
        f"{at} 1: `llm` changed, but the stage trains projector, vit (and 2 more, to step 3)",
    ]


def test_a_module_that_should_train_and_does_not(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = groups.groups_of

    def groups_of_copies(params: Any, stage: Stage, kinds: Any) -> tuple[Group, ...]:
        groups = original(params, stage, kinds)
        return tuple(_of_copies(g) if stage.name == "align" else g for g in groups)

    monkeypatch.setattr(optimizer, "groups_of", groups_of_copies)
    at = "stage `align`: step 1:"
    assert train("align") == [
        f"{at} `vit` did not change, but the stage trains it (and 2 more, to step 3)",
        f"{at} the optimizer's state of `vit` had seen 0 and 1 updates, planned 1 "
        "(and 2 more, to step 3)",
    ]


def _of_copies(group: Group) -> Group:
    """The group of `vit` as it is where the module was copied after its optimizer was made."""
    if group.target != "vit":
        return group
    copies = tuple(nn.Parameter(param.detach().clone()) for param in group.params)
    settings = group.settings | ({"params": list(copies)} if group.kind == "adamw" else {})
    return replace(group, params=copies, settings=settings)


def test_the_old_rope_base_kept(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = handover._finish

    def as_the_parent_had_it(plan: Plan, stage: Stage, *rest: Any) -> Assembly:
        if stage.name == "long":
            stage = replace(stage, rope=plan.stage("joint").rope)
        return original(plan, stage, *rest)

    monkeypatch.setattr(handover, "_finish", as_the_parent_had_it)
    messages = train("long")
    assert len(messages) == 1
    assert messages[0].startswith("stage `long`: step 0: RoPE base of llm is ")
    assert messages[0].endswith(", planned 800000.0 (and 3 more, to step 3)")
    measured = float(messages[0].split(" is ")[1].split(",")[0])
    assert measured == pytest.approx(50_000, rel=1e-12)


def stepped_otherwise(monkeypatch: pytest.MonkeyPatch, place: tuple[str, int], times: int) -> None:
    """Let the trainer do one step another number of times."""
    original = loop._StageRun._step

    def step(self: loop._StageRun, step: int, arriving: Arriving) -> None:
        for _ in range(times if (self.stage.name, step) == place else 1):
            original(self, step, arriving)

    monkeypatch.setattr(loop._StageRun, "_step", step)


def test_a_step_repeated(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped_otherwise(monkeypatch, ("joint", 4), times=2)
    seen = "stage `long`: step 0: the optimizer's state of `{}` had seen {} updates, planned {}"
    assert train("joint") == [
        "stage `joint`: step 4: done again, after step 4",
        seen.format("llm", 15, 14),
        seen.format("projector", 7, 6),
        seen.format("vit", 7, 6),
    ]


def test_steps_repeated_by_a_resume_that_does_not_cut_the_ledger(
    data: Path, healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(healthy, run)
    shutil.rmtree(checkpoint_path(run / "checkpoints", "long", 4))
    monkeypatch.setattr(RunDir, "cut_back", lambda self, stage, step: None)
    go(data, run, resume=True)
    assert audited(run, data) == ["stage `long`: step 3: done again, after step 3"]


@pytest.mark.parametrize(("stage", "step"), [("joint", 0), ("joint", 3), ("vit-coca", 1)])
def test_a_step_left_out(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch, stage: str, step: int
) -> None:
    stepped_otherwise(monkeypatch, (stage, step), times=0)
    messages = train(stage)
    assert f"stage `{stage}`: step {step + 1}: step {step} is left out" in messages


def test_the_last_step_left_out(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped_otherwise(monkeypatch, ("joint", 5), times=0)
    words = "stage `long`: step 0: began before `joint`, which gives `{}`, had done 6 steps"
    seen = "stage `long`: step 0: the optimizer's state of `{}` had seen {} updates, planned {}"
    assert train("joint") == [
        *(seen.format(*case) for case in (("llm", 13, 14), ("projector", 5, 6), ("vit", 5, 6))),
        *(words.format(name) for name in ("llm", "projector", "vit")),
    ]


ARRAYS: Mapping[str, Callable[[Packed], Packed]] = {
    "targets": lambda p: replace(p, targets=np.where(p.targets == NO_LOSS, NO_LOSS, 7)),
    "tokens": lambda p: replace(p, tokens=np.roll(p.tokens, 1)),
    "patches": lambda p: replace(p, patches=p.patches / np.float32(2)),
    "positions": lambda p: replace(p, positions=np.arange(len(p.positions))),
    "documents": lambda p: replace(p, cu_seqlens=np.delete(p.cu_seqlens, 1)),
    "grids": lambda p: replace(p, grids=p.grids[:, ::-1].copy()),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_arrays_changed_after_they_were_drawn(
    train: Callable[[str], list[str]], here: Here, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def changed(packed: Packed, device: Any) -> TorchBatch:
        is_here = here.place == ("joint", 2)
        return to_torch(ARRAYS[what](packed) if is_here else packed, device)

    monkeypatch.setattr(step, "to_torch", changed)
    (message,) = train("joint")
    assert message.startswith("stage `joint`: step 2: other arrays of these documents: ")


def filled_otherwise(
    monkeypatch: pytest.MonkeyPatch, module: str, whence: str, change: Callable[[Any], Any]
) -> None:
    """Fill one module at one hand-over with what `change` makes of its weights, None: nothing."""
    original = handover._fill

    def fill(name: str, into: nn.Module, weights: Any, parent: str) -> None:
        is_here = (name, parent) == (module, whence)
        if (given := change(dict(weights)) if is_here else weights) is not None:
            original(name, into, given, parent)

    monkeypatch.setattr(handover, "_fill", fill)


def test_a_module_left_with_fresh_weights(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled_otherwise(monkeypatch, "vit", "vit-coca", lambda weights: None)
    (message,) = train("align")
    assert message.startswith("stage `align`: step 0: `vit` began with weights ")
    assert ", `vit-coca` at step 3 left " in message


def test_a_hand_over_that_loses_the_routers_bias(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_bias(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        lost = [name for name in weights if name.endswith("router_bias")]
        assert any(weights[name].any() for name in lost)
        return weights | {name: torch.zeros_like(weights[name]) for name in lost}

    filled_otherwise(monkeypatch, "llm", "text", without_bias)
    messages = train("align")
    assert [m.split(" began ")[0] for m in messages] == [
        "stage `align`: step 0: `llm`",
        "stage `joint`: step 0: `llm`",
    ]


@pytest.mark.parametrize(
    ("stage", "module", "planned", "taken"),
    [
        ("joint", "vit", ("align", 4), ("vit-coca", 3)),  # a wrong parent
        ("long", "llm", ("joint", 6), ("joint", 3)),  # a wrong mark
    ],
)
def test_a_module_taken_from_elsewhere(
    train: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    module: str,
    planned: tuple[str, int],
    taken: tuple[str, int],
) -> None:
    original = RunShelf.modules

    def modules(self: RunShelf, parent: str, at: int, names: Any) -> Any:
        is_here = (parent, at) == planned and list(names) == [module]
        return original(self, *(taken if is_here else (parent, at)), names)

    monkeypatch.setattr(RunShelf, "modules", modules)
    (message,) = train(stage)
    assert message.startswith(f"stage `{stage}`: step 0: `{module}` began with weights ")
    assert f", `{planned[0]}` at step {planned[1]} left " in message


def resumed_within_long(
    data: Path, healthy: Path, run: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any
) -> list[str]:
    """Go on from step 3 of `long` after `spoil` had what was loaded; return the audit's words."""
    copy_before(healthy, run, "head")
    shutil.rmtree(checkpoint_path(run / "checkpoints", "long", 4))
    original = handover.reassemble

    def reassemble(*args: Any) -> Assembly:
        assembly = original(*args)
        spoil(assembly)
        return assembly

    monkeypatch.setattr(loop, "reassemble", reassemble)
    go(data, run, resume=True)
    return audited(run, data)


def test_weights_lost_by_a_resume(
    data: Path, healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(assembly: Assembly) -> None:
        with torch.no_grad():
            assembly.modules["llm"].get_parameter("head.weight")[0, 0] += 1

    (message,) = resumed_within_long(data, healthy, tmp_path / "run", monkeypatch, spoil)
    assert message.startswith("stage `long`: step 3: `llm` began with weights ")
    assert ", step 2 left " in message


def test_optimizer_state_lost_by_a_resume(
    data: Path, healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(assembly: Assembly) -> None:
        assembly.optimizer._averages.clear()
        assembly.optimizer._steps.clear()

    messages = resumed_within_long(data, healthy, tmp_path / "run", monkeypatch, spoil)
    words = "stage `long`: step 3: the optimizer's state of `{}` had seen 0 and {} updates"
    assert messages == [
        f"{words.format(name, seen)}, planned {seen}"
        for name, seen in (("llm", 17), ("projector", 9), ("vit", 9))
    ]


def test_a_part_trained_that_is_frozen(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = groups.groups_of

    def groups_too_many(params: Any, stage: Stage, kinds: Any) -> tuple[Group, ...]:
        if stage.name == "head":
            stage = replace(stage, train=(*stage.train, "llm/norms"))
        groups = original(params, stage, kinds)
        return tuple(replace(g, target="llm/head") if g.target == "llm" else g for g in groups)

    monkeypatch.setattr(optimizer, "groups_of", groups_too_many)
    messages = train("head")
    at = "stage `head`: step"
    assert f"{at} 0: adamw that is not planned: llm/norms" in messages
    words = "`llm/norms` changed, but the stage trains llm/head"
    assert f"{at} 1: {words} (and 1 more, to step 2)" in messages


def assembled_otherwise(
    monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Stage], Stage]
) -> None:
    """Build one stage as if the plan said something else."""
    original = handover.assemble

    def assemble(plan: Plan, stage: Stage, *rest: Any) -> Assembly:
        return original(plan, change(stage) if stage.name == name else stage, *rest)

    monkeypatch.setattr(loop, "assemble", assemble)


@pytest.mark.parametrize(
    ("module", "carries", "seen", "planned"), [("llm", False, 0, 8), ("vit", True, 4, 0)]
)
def test_optimizer_state_carried_otherwise(
    train: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    carries: bool,
    seen: int,
    planned: int,
) -> None:
    def change(stage: Stage) -> Stage:
        start = replace(stage.init[module], carries_state=carries)
        return replace(stage, init={**stage.init, module: start})

    assembled_otherwise(monkeypatch, "joint", change)
    words = f"the optimizer's state of `{module}` had seen {seen} updates, planned {planned}"
    messages = train("joint")
    assert messages[0] == f"stage `joint`: step 0: {words}"
    assert all(m.startswith("stage `long`: step 0: the optimizer's state") for m in messages[1:])


def test_a_loss_term_with_a_wrong_weight(
    train: Callable[[str], list[str]], here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = step._backward

    def backward(crew: Any, batches: Any, weights: Mapping[str, float], *rest: Any) -> Any:
        if here.place == ("vit-coca", 1):
            assert weights == {"caption": 2, "siglip": 1}
            weights = {**weights, "caption": 1}
        return original(crew, batches, weights, *rest)

    monkeypatch.setattr(step, "_backward", backward)
    (message,) = train("vit-coca")
    assert message.startswith("stage `vit-coca`: step 1: loss ")
    assert " was propagated back, the plan's weights give " in message


@pytest.mark.parametrize("rate", [None, 0.0, 1.0625e-3])
def test_a_setting_that_is_not_applied(
    train: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch, rate: float | None
) -> None:
    original = loop.router_bias_rate

    def another(now: Now) -> float | None:
        return rate if (now.stage.name, now.step) == ("joint", 4) else original(now)

    monkeypatch.setattr(loop, "router_bias_rate", another)
    (message,) = train("joint")
    start, _, measured = message.partition(" moved by ")
    assert start == "stage `joint`: step 4: the router's bias of `llm`"
    assert float(measured.split(" (")[0]) == pytest.approx(rate or 0, rel=1e-5)
    assert message.endswith(", planned 0.001")


@pytest.mark.parametrize(
    ("kind", "what", "value", "planned"),
    [
        ("adamw", "weight_decay", 0.2, 0.1),
        ("adamw", "betas", (0.9, 0.999), None),
        ("adamw", "clip_norm", None, 1.0),
        ("muon", "update_rms", 0.4, 0.2),
        ("muon", "momentum", 0.9, 0.95),
        ("muon", "weight_decay", 0.0, 0.1),
        ("muon", "clip_norm", 2.0, 1.0),
    ],
)
def test_values_of_the_optimizer_that_are_not_the_plans(
    train: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    what: str,
    value: Any,
    planned: float | None,
) -> None:
    original = groups.settings_of

    def settings(of_kind: str, values: Any) -> dict[str, Any]:
        found = original(of_kind, values)
        if of_kind != kind:
            return found
        if what in found:
            return found | {what: value}
        return found | {"muon": replace(found["muon"], **{what: value})}

    monkeypatch.setattr(groups, "settings_of", settings)
    messages = [m for m in train("long") if m.startswith("stage `long`: ")]
    name, due = ("beta2", 0.95) if what == "betas" else (what, planned)
    shown = value[1] if what == "betas" else value
    words = f"{name} of {kind} is {shown!r}, planned {due!r}: llm/"
    assert messages[0].startswith(f"stage `long`: step 0: {words}")
    assert messages[1].startswith("stage `long`: step 1: other values in the optimizer: hash ")
    assert len(messages) == 2


def test_values_of_the_optimizer_that_a_resume_changes(
    data: Path, healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(assembly: Assembly) -> None:
        for group in assembly.optimizer.groups:
            group.settings["clip_norm"] = None

    (message,) = resumed_within_long(data, healthy, tmp_path / "run", monkeypatch, spoil)
    assert message.startswith("stage `long`: step 3: other values in the optimizer: hash ")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"text": 1}, " are not "),
        ({"text": -1, "pad": 1}, "text of `english`: "),
        ({"loss_tokens": 1}, "loss_tokens of `english`: "),
        ({"tokens": 1}, "tokens of `english` in "),
    ],
)
def test_one_token_of_the_ledger_edited(
    data: Path, healthy: Path, tmp_path: Path, edit: Mapping[str, int], words: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(healthy, run)
    lines = [json.loads(text) for text in (run / LEDGER).read_text().splitlines()]
    line = next(line for line in lines if (line["stage"], line["step"]) == ("joint", 1))
    for what, more in edit.items():
        line["sources"]["english"][what] += more
    (run / LEDGER).write_text("".join(json.dumps(line) + "\n" for line in lines))
    messages = audited(run, data)
    require_only(messages, "joint", 1)
    assert any(words in message for message in messages)


def imported(file: str) -> set[str]:
    tree = ast.parse((SRC / file).read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def makers_of(name: str) -> set[str]:
    """Return the files in which `name(...)` is called."""
    return {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name
    }


def test_what_writes_ledger_lines_does_not_read_the_plan() -> None:
    makers = makers_of("LedgerLine")
    assert makers == {"train/ledger.py", "train/measure.py"}  # the first reads lines back
    planners = {"plan", "lock", "curve", "batch", "mixture", "rope", "compile", "data.draws"}
    for file in makers:
        assert not imported(file) & {f"curriculum.{name}" for name in planners}
        assert "curriculum.data.packed.Packed" in imported(file)


def test_counts_of_a_line_are_those_of_the_arrays_and_nothing_else() -> None:
    tree = ast.parse((SRC / "train/measure.py").read_text(encoding="utf-8"))
    line = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "LedgerLine"
    )
    measured = {str(k.arg): ast.unparse(k.value) for k in line.keywords}
    for field in ("tokens", "sources", "seq_len"):
        assert "micro_batches" in measured[field], f"{field} = {measured[field]}"
    assert measured["lr"] == "self._optimizer.read_lr()"
    assert measured["batch_hash"] == "found.batch_hash"
    assert measured["total"] == "found.total"
