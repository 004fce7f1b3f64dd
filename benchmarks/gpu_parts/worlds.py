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


@dataclass(frozen=True, slots=True)
class Row:
    """A stage of a world, and a line of the table."""

    stage: str
    seq_len: int
    seqs: int  # of a step
    micro_seqs: int  # of a micro-batch
    recompute: Recompute
    mixture: Mapping[str, str]  # source: ratio
    target: tuple[float, float] | None  # of MFU


@dataclass(frozen=True, slots=True)
class World:
    """Modules by their presets, and the rows that they are trained in, one after the other."""

    name: str
    modules: Mapping[str, str]  # name: preset, and fields that differ
    rows: tuple[Row, ...]
    loss: str = "{next_token: 1}"
    count: str = "llm"
    data: Mapping[str, int] = field(default_factory=dict)  # tokens or patches of each source


DENSE, MOE, MID, LONG, VIT = (0.48, 0.52), (0.28, 0.33), (0.36, 0.45), (0.28, 0.42), (0.38, 0.45)
"""Targets of MFU: dense at 8K, fine-grained experts, 32K, 128K, the ViT with its towers."""


def worlds() -> list[World]:
    """Return what is measured on a GPU of 80 GB; 128Ki tokens a step."""
    web, long = {"web": "1"}, {"long": "1"}
    text = {"web": 2 << 20, "long": 8 << 17}

    def contexts(micro: int, short: Recompute, target: tuple[float, float]) -> tuple[Row, ...]:
        return (
            Row("at-8k", 8192, 16, micro, short, web, target),
            Row("at-32k", 32_768, 4, 1, "selective", web, MID),
            Row("at-128k", 131_072, 1, 1, "full", long, LONG),
        )

    long_enough = ", max_positions: 131072"
    moe = "preset: moe-1b-a250m" + long_enough
    return [
        World("dense-1b", {"llm": "preset: dense-1b" + long_enough},
              contexts(2, "none", DENSE), data=text),
        World("moe-1b-a250m", {"llm": moe}, contexts(4, "none", MOE), data=text),
        World("moonvit-89m + towers",
              {"vit": "preset: moonvit-89m", "text_tower": "preset: siglip-text-117m",
               "captioner": "preset: tiny-decoder-60m"},
              (Row("towers", 8192, 16, 8, "none", {"captions": "1"}, VIT),),
              "{siglip: 1, caption: 2}", "vit", {"captions": 1 << 19}),
        World("dense-350m", {"llm": "preset: dense-350m" + long_enough},
              contexts(4, "none", DENSE), data=text),
        World("joint VLM",
              {"llm": moe, "vit": "preset: moonvit-89m",
               "projector": "preset: pixel-shuffle-mlp-13m"},
              (Row("joint", 8192, 16, 4, "none", {"captions": ".4", "web": ".6"}, None),),
              data={"web": 1 << 20, "captions": 1 << 19}),
    ]  # fmt: skip


def tiny_worlds() -> list[World]:
    """Return the same at toy size, for a CPU: every path of the code, and no figure."""
    web, long = {"web": "1"}, {"long": "1"}
    text = {"web": 4096, "long": 4096}
    contexts = (
        Row("at-8k", 128, 4, 2, "none", web, DENSE),
        Row("at-32k", 256, 2, 1, "selective", web, MID),
        Row("at-128k", 512, 1, 1, "full", long, LONG),
    )
    dense = "preset: dense-proxy, hidden: 32, num_layers: 2, head_dim: 8, ffn_dim: 96"
    moe = "preset: moonlight-proxy, num_layers: 2, vocab: 4096"
    vit = "preset: moonvit-proxy, num_layers: 1, patch: 14"
    return [
        World("dense", {"llm": dense + ", vocab: 4096"}, contexts, data=text),
        World("experts", {"llm": moe}, contexts[:1], data=text),
        World("towers",
              {"vit": vit, "text_tower": "preset: siglip-text-proxy, num_layers: 1, vocab: 4096",
               "captioner": "preset: tiny-decoder-proxy, num_layers: 1, vocab: 4096"},
              (Row("towers", 1024, 2, 1, "none", {"captions": "1"}, VIT),),
              "{siglip: 1, caption: 2}", "vit", {"captions": 4096}),
        World("joint", {"llm": moe, "vit": vit, "projector": "preset: pixel-shuffle-mlp-proxy"},
              (Row("joint", 256, 2, 1, "none", {"captions": ".5", "web": ".5"}, None),),
              data={"web": 4096, "captions": 4096}),
    ]  # fmt: skip


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
