"""The same model, tokens and packing for every trainer of cpu.py, made by curriculum's own planner

    size --> plan --> lock          made-up documents --> source --packed by the plan--> rows
    plan's seed --> weights of step 0, by transformers' names

Rows are what the trainer itself packs for each step, in its order, as numpy arrays [rows, T]. The
documents are made up: each token follows from the one before three times out of four, so a model
that learns is seen to.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Documents = Literal["whole", "packed"]

SEQ_LEN = 512
BATCH_SEQS = 8
LR = 1e-3
SEED = 0


@dataclass(frozen=True, slots=True)
class Size:
    """A Llama of some size; `heads` of 32 or 64."""

    hidden: int
    num_layers: int
    num_heads: int
    ffn_dim: int
    vocab: int


SIZES = {
    "1M": Size(128, 4, 4, 352, 1024),
    "5M": Size(256, 4, 8, 704, 4096),
    "14M": Size(384, 6, 6, 1024, 4096),
}
TINY = Size(32, 2, 2, 64, 64)
"""For the tests: what is checked is that everything runs, and computes the same."""


@dataclass(frozen=True, slots=True)
class World:
    """A folder with what all trainers of one size read."""

    folder: Path
    params: int

    @property
    def lock(self) -> Path:
        return self.folder / "plan.lock.json"

    @property
    def data(self) -> Path:
        return self.folder / "data"


def plan_text(size: Size, steps: int, seq_len: int) -> str:
    """Write the plan: one stage, AdamW of one rate, one source."""
    head_dim = size.hidden // size.num_heads
    return f"""
plan: cpu-benchmark
seed: {SEED}
modules:
  llm:
    preset: dense-proxy
    hidden: {size.hidden}
    num_layers: {size.num_layers}
    num_heads: {size.num_heads}
    num_kv_heads: {size.num_heads}
    head_dim: {head_dim}
    ffn_dim: {size.ffn_dim}
    vocab: {size.vocab}
    tied_embeddings: false
optimizers:
  adam: {{kind: adamw, weight_decay: 0, clip_norm: 1}}
sources:
  text: {{modality: text, tokens: 1B}}
schedules:
  main: [{{shape: constant, from: {LR}}}]
stages:
  text:
    init: {{llm: new}}
    steps: {steps}
    train: [llm]
    optimizer: adam
    loss: {{next_token: 1}}
    lr: main
    seq_len: {seq_len}
    batch: {{seqs: {BATCH_SEQS}}}
    packing: best-fit
    rope: {{llm: {{base: 10_000}}}}
    mixture: {{text: 1}}
"""


def make_world(
    folder: Path, size: Size, steps: int, documents: Documents, seq_len: int = SEQ_LEN
) -> World:
    """Write lock, source, rows, weights and shape into a new folder."""
    from safetensors.torch import save_file

    from curriculum.compile import compile_file
    from curriculum.errors import FindingsError
    from curriculum.lock import write_lock
    from curriculum.models.vlm import build
    from curriculum.train.feed import drawing, open_data
    from curriculum.train.launch import Launch

    folder.mkdir(parents=True)
    (folder / "plan.yaml").write_text(plan_text(size, steps, seq_len), encoding="utf-8")
    compiled = compile_file(folder / "plan.yaml")
    if compiled.plan is None:
        raise FindingsError(compiled.findings)
    plan = compiled.plan
    (folder / "plan.lock.json").write_text(write_lock(plan), encoding="utf-8")
    write_documents(folder / "data", size.vocab, (steps + 1) * BATCH_SEQS * seq_len, documents)

    stage = plan.stages[0]
    launch = Launch(folder / "data")
    sources = open_data(plan, plan.stages, folder / "data")
    make = drawing(plan, stage, sources, launch, "cpu")
    packed = [part for step in range(steps) for part in make(step).micro_batches]
    for name in ("tokens", "targets", "positions"):
        rows = np.concatenate([getattr(part, name) for part in packed]).reshape(-1, seq_len)
        np.save(folder / f"{name}.npy", rows.astype(np.int32))

    llm = build(plan.modules["llm"].shape, "cpu", stage.seed, "llm")
    weights = {hf_name(name): weight for name, weight in llm.state_dict().items()}
    save_file(weights, folder / "init.safetensors")
    shape = {**asdict(size), "seq_len": seq_len, "batch_seqs": BATCH_SEQS, "lr": LR}
    (folder / "shape.json").write_text(json.dumps(shape), encoding="utf-8")
    return World(folder, sum(weight.numel() for weight in weights.values()))


def write_documents(data: Path, vocab: int, tokens: int, documents: Documents) -> None:
    """Write a source of at least so many tokens: documents of one row each, or of all lengths."""
    from curriculum.data.store import About, Document, Specials, write_source

    specials = Specials(pad=0, begin=1, end=2, image=3, image_end=4, image_position=5)
    about = About("text", "text", "none", "made up", "none", specials, patch_px=4, merge=2)
    random = np.random.default_rng(SEED)
    follows = random.permutation(np.arange(6, vocab))
    lengths: list[int] = []
    while sum(lengths) < tokens:
        drawn = int(np.exp(random.normal(5.0, 1.0)))
        lengths.append(SEQ_LEN if documents == "whole" else min(max(drawn, 8), SEQ_LEN))
    made = [Document(tuple(_document(random, follows, length).tolist())) for length in lengths]
    write_source(data / "text", about, made)


def _document(
    random: np.random.Generator, follows: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    first = int(random.integers(6, len(follows) + 6))
    free = random.integers(6, len(follows) + 6, size=length)
    follow = random.random(length) < 0.75
    tokens = np.empty(length, dtype=np.int64)
    for at in range(length):
        tokens[at] = first = int(follows[first - 6]) if follow[at] else int(free[at])
    return tokens


HF_NAMES = {
    "embed.": "model.embed_tokens.",
    "head.": "lm_head.",
    "norm.": "model.norm.",
    "layers.": "model.layers.",
    ".attn.q.": ".self_attn.q_proj.",
    ".attn.k.": ".self_attn.k_proj.",
    ".attn.v.": ".self_attn.v_proj.",
    ".attn.out.": ".self_attn.o_proj.",
    ".attn_norm.": ".input_layernorm.",
    ".ffn_norm.": ".post_attention_layernorm.",
    ".ffn.gate.": ".mlp.gate_proj.",
    ".ffn.up.": ".mlp.up_proj.",
    ".ffn.down.": ".mlp.down_proj.",
}


def hf_name(name: str) -> str:
    """Return what transformers calls a weight of a Llama.

    >>> hf_name("layers.0.attn.out.weight")
    'model.layers.0.self_attn.o_proj.weight'
    """
    for ours, theirs in HF_NAMES.items():
        if name.startswith(ours) or (ours.startswith(".") and ours in name):
            name = name.replace(ours, theirs, 1)
    return name


def read_rows(folder: Path) -> dict[str, Any]:
    """Map the rows of a world into memory: `tokens`, `targets`, `positions`, each [rows, T]."""
    names = ("tokens", "targets", "positions")
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
