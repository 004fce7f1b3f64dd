"""What gpu.py trains: presets, contexts and batches as plans, and made-up data for them

    World --plan_text--> plan --stages--> one row of the table each
          --write_data--> web (documents of all lengths), long (one a row), captions (images)

Tokens and pixels are noise: what is measured is speed. Lengths of text are log-normal, half of the
documents below 500 tokens, cut at the context; images are 4 to 12 merged cells a side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

Recompute = Literal["none", "selective", "full"]
STEPS = 1000
"""Of a stage; no row comes near."""
COCA = "{siglip: 1, caption: 2}"


@dataclass(frozen=True, slots=True)
class Row:
    """A stage of a world, and a line of the table."""

    stage: str
    seq_len: int
    seqs: int  # of a step
    micro_seqs: int  # of a micro-batch
    recompute: Recompute
    mixture: Mapping[str, str]  # source: ratio
    target: "Target | None"  # of MFU
    beside: bool = False  # peers are timed too


@dataclass(frozen=True, slots=True)
class World:
    """Modules by their presets, and the rows that they are trained in, one after the other."""

    name: str
    modules: Mapping[str, str]  # name: preset, and fields that differ
    rows: tuple[Row, ...]
    loss: str = "{next_token: 1}"
    count: str = "llm"
    data: Mapping[str, int] = field(default_factory=dict)  # tokens or patches of each source


Target = tuple[float, float]
DENSE, MOE, MID, LONG, VIT = (0.48, 0.52), (0.28, 0.33), (0.36, 0.45), (0.28, 0.42), (0.38, 0.45)
"""Targets of MFU: dense at 8K, fine-grained experts, 32K, 128K, the ViT with its towers."""


def worlds() -> list[World]:
    """Return what is measured on a GPU of 80 GB, the most telling first; 128Ki tokens a step."""
    longest = ", max_positions: 131072"
    dense_1b, dense_350m, moe = (
        {"llm": f"preset: {name}{longest}"} for name in ("dense-1b", "dense-350m", "moe-1b-a250m")
    )
    vit = {"vit": "preset: moonvit-89m"}
    towers = {"text_tower": "preset: siglip-text-117m", "captioner": "preset: tiny-decoder-60m"}
    joint = {**moe, **vit, "projector": "preset: pixel-shuffle-mlp-13m"}
    of_towers = Row("towers", 8192, 16, 8, "none", {"captions": "1"}, VIT)
    of_joint = Row("joint", 8192, 16, 4, "none", {"captions": ".4", "web": ".6"}, None)
    images = {"captions": 1 << 19}

    def short(name: str, modules: Mapping[str, str], micro: int, target: Target) -> World:
        row = Row("at-8k", 8192, 16, micro, "none", {"web": "1"}, target, beside=True)
        return World(name, modules, (row,), data={"web": 2 << 20})

    def long(name: str, modules: Mapping[str, str], beside: bool = False) -> World:
        rows = (
            Row("at-32k", 32_768, 4, 1, "selective", {"web": "1"}, MID, beside),
            Row("at-128k", 131_072, 1, 1, "full", {"long": "1"}, LONG),
        )
        return World(f"{name}, long", modules, rows, data={"web": 2 << 20, "long": 8 << 17})

    return [
        short("dense-1b", dense_1b, 2, DENSE),
        short("moe-1b-a250m", moe, 4, MOE),
        World("moonvit-89m + towers", {**vit, **towers}, (of_towers,), COCA, "vit", images),
        long("dense-1b", dense_1b, beside=True),
        short("dense-350m", dense_350m, 4, DENSE),
        World("joint VLM", joint, (of_joint,), data={"web": 1 << 20, **images}),
        long("moe-1b-a250m", moe),
        long("dense-350m", dense_350m),
    ]


def tiny_worlds() -> list[World]:
    """Return the same at toy size, for a CPU: every path of the code, and no figure."""
    dense = {
        "llm": "preset: dense-proxy, hidden: 32, num_layers: 2, head_dim: 8, ffn_dim: 96, "
        "vocab: 4096"
    }
    moe = {"llm": "preset: moonlight-proxy, num_layers: 2, vocab: 4096"}
    vit = {"vit": "preset: moonvit-proxy, num_layers: 1, patch: 14"}
    towers = {
        "text_tower": "preset: siglip-text-proxy, num_layers: 1, vocab: 4096",
        "captioner": "preset: tiny-decoder-proxy, num_layers: 1, vocab: 4096",
    }
    joint = {**moe, **vit, "projector": "preset: pixel-shuffle-mlp-proxy"}
    web, images = {"web": "1"}, {"captions": 4096}
    short = Row("at-8k", 128, 4, 2, "none", web, DENSE, beside=True)
    long = (
        Row("at-32k", 256, 2, 1, "selective", web, MID, beside=True),
        Row("at-128k", 512, 1, 1, "full", {"long": "1"}, LONG),
    )
    of_towers = Row("towers", 1024, 2, 1, "none", {"captions": "1"}, VIT)
    of_joint = Row("joint", 256, 2, 1, "none", {"captions": ".5", "web": ".5"}, None)
    return [
        World("dense", dense, (short,), data={"web": 4096}),
        World("experts", moe, (short,), data={"web": 4096}),
        World("towers", {**vit, **towers}, (of_towers,), COCA, "vit", images),
        World("dense, long", dense, long, data={"web": 4096, "long": 4096}),
        World("joint", joint, (of_joint,), data={"web": 4096, **images}),
    ]


def plan_text(world: World) -> str:
    """Write a world as a plan: a stage for each row, each going on from the one before."""
    modules = "".join(f"  {name}: {{{said}}}\n" for name, said in world.modules.items())
    names = ", ".join(world.modules)
    kinds = {"web": "text", "long": "text", "captions": "image-text"}
    sources = "".join(
        f"  {name}: {{modality: {kinds[name]}, tokens: 100B"
        + (", image_share: .7" if name == "captions" else "")
        + "}\n"
        for name in world.data
    )
    rope = "{llm: {base: 500_000}}" if "llm" in world.modules else "none"
    text = f"""
plan: gpu-benchmark
seed: 0
modules:
{modules}optimizers:
  adam: {{kind: adamw, weight_decay: .1, clip_norm: 1}}
sources:
{sources}schedules:
  main: [{{shape: constant, from: 1e-4}}]
stages:
"""
    for number, row in enumerate(world.rows):
        mixture = ", ".join(f"{name}: {ratio}" for name, ratio in row.mixture.items())
        text += f"  {row.stage}:\n"
        if number:
            before = world.rows[number - 1].stage
            text += f"    init: {before}\n    keep: {before}\n    carry: all\n"
        else:
            fresh = ", ".join(f"{name}: new" for name in world.modules)
            text += f"    init: {{{fresh}}}\n    train: [{names}]\n    optimizer: adam\n"
            text += f"    loss: {world.loss}\n    lr: main\n    packing: best-fit\n"
            text += f"    rope: {rope}\n" + ("    count: vit\n" if world.count == "vit" else "")
        text += f"    steps: {STEPS}\n    seq_len: {row.seq_len}\n    batch: {{seqs: {row.seqs}}}\n"
        text += f"    mixture: {{{mixture}}}\n"
    return text


def write_data(data: Path, world: World) -> None:
    """Write what a world's rows read; what they read past its end they read again."""
    from curriculum.data.store import About, Document, Specials, write_source

    random = np.random.default_rng(0)
    specials = Specials(pad=0, begin=1, end=2, image=3, image_end=4, image_position=5)
    longest = max(row.seq_len for row in world.rows)

    def words(length: int) -> tuple[int, ...]:
        return tuple(random.integers(6, 4096, size=length).tolist())

    def picture() -> Document:
        rows, columns = random.integers(4, 13, size=2).tolist()
        pixels = random.integers(0, 256, size=(rows * 28, columns * 28, 3), dtype=np.uint8)
        image = (3, *[5] * (rows * columns), 4)
        return Document((1, *image, *words(int(random.integers(16, 96))), 2), (pixels,))

    for name, amount in world.data.items():
        made: list[Document] = []
        size = 0
        while size < amount:
            if name == "captions":
                document = picture()
                size += sum(image.shape[0] * image.shape[1] // 196 for image in document.images)
            else:
                drawn = int(np.exp(random.normal(6.2, 1.2)))
                document = Document(words(longest if name == "long" else min(drawn + 16, longest)))
                size += len(document.tokens)
            made.append(document)
        modality: Literal["text", "image-text"] = "image-text" if name == "captions" else "text"
        about = About(name, modality, "none", "noise", "none", specials, patch_px=14, merge=2)
        write_source(data / name, about, made)
