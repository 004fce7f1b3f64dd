"""A whole small world to train in: a plan with every kind of stage, and data for it, in seconds"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from curriculum.composed import ComposedStage, Share
from curriculum.curve import constant
from curriculum.data.store import (
    About,
    Document,
    Modality,
    Source,
    Specials,
    collect,
    write_source,
)
from curriculum.lock import with_digests
from curriculum.models.presets import shape_of
from curriculum.plan import Checkpoint, Module, OutsideStage, Plan, Stage, Start
from curriculum.train.console import Console
from curriculum.train.feed import open_data
from curriculum.train.job import Job
from curriculum.train.launch import Launch
from train.plans import ADAMW, MODULES, MUON, SOURCES, small_plan, small_stage

SPECIALS = Specials(pad=0, begin=1, end=2, image=3, image_end=4, image_position=5)

TOWERS = {
    "text_tower": Module(
        "text_tower",
        "siglip-text-proxy",
        shape_of(
            "siglip-text-proxy",
            {
                "hidden": 24,
                "num_layers": 1,
                "mlp_dim": 32,
                "vocab": 64,
                "vit_hidden": 24,
                "pool_mlp_dim": 32,
            },
        ),
    ),
    "captioner": Module(
        "captioner",
        "tiny-decoder-proxy",
        shape_of(
            "tiny-decoder-proxy",
            {"hidden": 24, "num_layers": 1, "mlp_dim": 32, "vocab": 64, "vit_hidden": 24},
        ),
    ),
}


class Quiet(Console):
    """Keeps what is said."""

    def __init__(self) -> None:
        Console.__init__(self)
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def coca_stage() -> Stage:
    """Return a stage without an LLM: patches are counted, captions stand beside them."""
    towers = ("captioner", "text_tower", "vit")
    stage = small_stage(
        "vit-coca",
        steps=3,
        batch_seqs=4,
        seq_len=32,
        init={
            "captioner": Start(None),
            "text_tower": Start("siglip"),
            "vit": Start("siglip"),
        },
        train=towers,
        ratios={"captions": Fraction(1)},
        optimizer=dict.fromkeys(towers, MUON) | {"vit/norms": ADAMW},
    )
    return replace(
        stage,
        count="vit",
        loss={"siglip": constant(1), "caption": constant(2)},
        settings={},
        rope={},
    )


def world_plan() -> Plan:
    """Return text -> (vit-coca ->) align -> joint -> long, `vit` from the CoCa stage."""
    plan = small_plan()
    text, align, joint, old_long = plan.stages
    long = small_stage(
        "long",
        steps=4,
        batch_seqs=2,
        seq_len=64,
        init=old_long.init,
        train=old_long.train,
        ratios={"captions": Fraction(1, 4), "code": Fraction(1, 4), "english": Fraction(1, 2)},
        rope_base=800_000,
    )
    align = replace(align, init={**align.init, "vit": Start("vit-coca", 3)}, settings={})
    whole = replace(
        plan,
        modules=MODULES | TOWERS,
        stages=(text, coca_stage(), align, joint, long),
        outside=(OutsideStage("siglip", Checkpoint(("text_tower", "vit"), stand_in=True)),),
    )
    return with_digests(whole)


def soup_plan() -> Plan:
    """Return text -> a, b (another seed) -> their average `soup` -> after, and a Polyak average."""
    text = small_stage()
    carried = {"llm": Start("text", 8, carries_state=True)}
    a = small_stage("a", steps=4, init=carried, seed=1)
    b = small_stage("b", steps=5, init=carried, seed=2)
    after = small_stage("after", steps=4, init={"llm": Start("soup")}, seed=3)
    halves = tuple(Share(Start(name, step), Fraction(1, 2)) for name, step in (("a", 4), ("b", 5)))
    last = tuple(Share(Start("after", step), Fraction(1, 3)) for step in (2, 3, 4))
    mixed = (Share(Start("polyak"), Fraction(9, 10)), Share(Start("a", 4), Fraction(1, 10)))
    return with_digests(
        replace(
            small_plan(),
            stages=tuple(replace(s, own_seed=s.seed > 0) for s in (text, a, b, after)),
            composed=(
                ComposedStage("soup", {"llm": halves}),
                ComposedStage("polyak", {"llm": last}),
                ComposedStage("merge", {"llm": mixed}),
            ),
        )
    )


def dense_plan(**sizes: object) -> Plan:
    """Return the world's plan with a dense decoder in the place of the one with experts."""
    said = {"hidden": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "head_dim": 8}
    shape = shape_of("dense-proxy", {**said, "ffn_dim": 64, "vocab": 64, **sizes})
    plan = world_plan()
    stages = tuple(replace(stage, settings={}) for stage in plan.stages)
    modules = {**plan.modules, "llm": Module("llm", "dense-proxy", shape)}
    return with_digests(replace(plan, modules=modules, stages=stages))


def about(name: str) -> About:
    """Return what a made-up source says of itself."""
    modality: Modality = "image-text" if name == "captions" else "text"
    return About(name, modality, "none", "made up", "none", SPECIALS, patch_px=4, merge=2)


def documents(name: str) -> list[Document]:
    """Return 300 made-up documents: text that follows itself, or images with a word for each."""
    numbers = np.random.default_rng(sum(name.encode()))
    made = []
    for _ in range(300):
        if name != "captions":
            first, length = numbers.integers(6, 60), int(numbers.integers(4, 40))
            text = [6 + (int(first) + 3 * i) % 58 for i in range(length)]
            made.append(Document((1, *text, 2)))
            continue
        rows, columns = ((1, 1), (2, 1), (1, 2))[int(numbers.integers(0, 3))]
        shade = int(numbers.integers(0, 256))
        pixels = numbers.integers(0, 40, (8 * rows, 8 * columns, 3)) + shade * 200 // 255
        words = (6 + shade // 8, 40 + int(numbers.integers(0, 20)))
        tokens = (1, 3, *[5] * (rows * columns), 4, *words, 2)
        made.append(Document(tokens, (pixels.astype(np.uint8),)))
    return made


def world_sources() -> dict[str, Source]:
    """Return the made-up sources, in memory."""
    return {name: collect(about(name), documents(name)) for name in SOURCES}


def write_world(folder: Path) -> None:
    """Write the made-up sources as a data folder."""
    for name in SOURCES:
        write_source(folder / name, about(name), documents(name))


def world_job(plan: Plan, data: Path, micro_batch_seqs: int | None = None) -> Job:
    """Return a job on the CPU; `data` is a folder that `write_world` wrote."""
    launch = Launch(
        data=data,
        device="cpu",
        micro_batch_seqs=micro_batch_seqs,
        checkpoint_every_steps=3,
    )
    sources = open_data(plan, plan.stages, data)
    return Job(plan, launch, torch.device("cpu"), sources, str, Console())
