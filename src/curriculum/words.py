"""Every key of the plan language with its meaning: errors, the JSON Schema and docs read this

A table maps a key to what it takes and what it means. What it takes is a name that `schema.py`
turns into JSON Schema and that errors show to the reader.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NamedTuple


class Word(NamedTuple):
    """A key: what it takes, and what it means in one sentence."""

    takes: str
    means: str


Table = Mapping[str, Word]

NAME_PATTERN = "[a-z0-9][a-z0-9_-]*"
TARGET_PATTERN = f"{NAME_PATTERN}(/[a-z0-9_-]+)?"
"""A module, or a part of one: `llm`, `llm/router`."""
PLAN_PATTERN = "[a-z0-9][a-z0-9._-]*"
"""A plan's name: like any other, and with dots, as models and files have them."""

PLAN: Table = {
    "plan": Word("plan_name", "The plan's name, as `smollm2-1.7b`: it stands in every output."),
    "source": Word("text", "Where the values below come from: a paper, a file, yourself."),
    "extends": Word("text", "The plan below this overlay: `kimi-vl.yaml`, relative to this file."),
    "scale": Word("scale", "Factors that make a proxy of the plan below."),
    "seed": Word("integer", "The seed of data order and of new weights; 0 where nothing is said."),
    "modules": Word("modules", "The parts of the model, by name."),
    "optimizers": Word("optimizers", "Optimizers by name; modules and parts may differ."),
    "sources": Word("sources", "What there is to read, by name."),
    "schedules": Word("schedules", "Learning-rate curves by name, each with a clock of its own."),
    "stages": Word("stages", "What is trained, by name; their order means nothing."),
    "require": Word("claims", "Claims that the plan must keep: `mix.multimodal <= 40%`."),
}

SCALE: Table = {
    "tokens": Word("ratio", "Factor of every amount in tokens: `1/8_000_000`."),
    "seqs": Word("ratio", "Factor of the sequences in a batch: `1/128`."),
    "seq_len": Word("ratio", "Factor of every context: `1/64`."),
}

MODULE: Table = {
    "preset": Word(
        "preset", "A published shape by name; any size beside it replaces the preset's."
    ),
    "kind": Word("kind", "In place of a preset: what a module is of which only counts are known."),
    "source": Word("text", "Where this module's values come from."),
}

SOURCE: Table = {
    "modality": Word("modality", "What its documents hold."),
    "tokens": Word(
        "tokens", "How many there are, as an LLM reads them; epochs and shares by size need it."
    ),
    "holdout": Word(
        "ratio", "The share of its documents, chosen by hash, that training never reads."
    ),
    "max_epochs": Word(
        "number", "How often all stages on a path may read it together; more is an error."
    ),
    "image_share": Word(
        "ratio", "The share of its LLM positions that images fill: FLOPs and epochs of ViTs."
    ),
    "path": Word(
        "text", "The folder of its prepared documents, below the --data of `curriculum train`."
    ),
    "of": Word("name", "The source that this is a part of: `part` or lengths say which documents."),
    "part": Word(
        "text", "Which share of the whole, by order: `first 10%`, `last 5%`, `10% to 30%`."
    ),
    "min_tokens": Word("tokens", "Of the whole, the documents of at least this many tokens."),
    "max_tokens": Word("tokens", "Of the whole, the documents of fewer tokens than this."),
    "tags": Word("tags", "Words that several sources share, for claims of `require`: `[web, en]`."),
    "source": Word("text", "Where this source's values come from."),
}

CLAIM: Table = {
    "claim": Word("claim", "What must hold at every step: `tokens.total == 9.6T`."),
    "because": Word("text", "Why it must hold; shown where it does not."),
}

PIECE: Table = {
    "shape": Word(
        "shape",
        "How the value goes from `from` to `to`.",
    ),
    "from": Word(
        "number",
        "Its first value; else where the piece before ended. `current`: the parent's last.",
    ),
    "to": Word("number", "Its last value; in a learning rate `10%` is a tenth of its first."),
    "for": Word("amount", "Its length: `200B`, `2000 steps`, or a share of the whole curve."),
    "until": Word(
        "mark", "The mark on the curve's clock at which it ends: `5T`, `step 9000`, `80%`."
    ),
    "half_life": Word("amount", "The length in which an exponential piece halves: `200B`."),
    "timescale": Word("amount", "The k of an rsqrt piece: a sqrt(k / (k + x))."),
    "power": Word("number", "The k of a power piece: a + (b - a)(1 - (1 - p)^k)."),
    "stretch": Word(
        "name",
        "First in a schedule: draws what was left of this schedule's piece out to a new end.",
    ),
    "repeat": Word("pieces", "Pieces that come `times` times, one round after the other."),
    "times": Word("integer", "How often `repeat` goes through its pieces."),
}

LR: Table = {
    "schedule": Word("name", "The schedule that the module rides on."),
    "curve": Word("curve", "In place of a schedule: a curve over this stage alone."),
    "restart": Word("boolean", "The schedule's clock begins anew in this stage."),
    "scale": Word("number", "A factor of the schedule's values: .1."),
    "jump": Word("boolean", "Says aloud that the learning rate jumps where the stage begins."),
    "with_batch": Word(
        "with_batch",
        "How the learning rate follows the tokens in a step.",
    ),
}

FOLLOWS_BATCH = ("sqrt", "linear", "none")
"""How a learning rate may follow the tokens in a step."""

BATCH: Table = {
    "seqs": Word("batch_size", "Sequences in one step, `keep`, or a ramp `{from, to, by}`."),
    "tokens": Word(
        "batch_size", "Tokens in one step, whole sequences, `keep`, or a ramp `{from, to, by}`."
    ),
    "seq_len": Word("seq_len", "The context from here on; else that of the piece before."),
    "until": Word("mark", "The mark at which this piece of the batch, or its ramp, ends."),
}

RAMP: Table = {
    "from": Word(
        "count",
        "Where the ramp starts; `current`: as the ancestor left it; else as the piece before ends.",
    ),
    "to": Word("count", "Where it ends, above or below; the batch stays there."),
    "by": Word("whole", "Increments: every level gets an equal share of the ramp's tokens."),
    "shape": Word("ramp_shape", "`linear`: the line between the ends, by `multiple_of`."),
    "multiple_of": Word("whole", "What a linear ramp is rounded down to."),
}

LAYOUT: Table = {
    "dp": Word("integer", "Data-parallel ranks: each reads its own sequences."),
    "micro": Word("integer", "Sequences in one micro-batch of a rank."),
    "accumulation": Word("accumulation", "Micro-batches of a rank in one step, or `varies`."),
    "tp": Word("integer", "Tensor-parallel ranks."),
    "pp": Word("integer", "Pipeline-parallel ranks."),
    "cp": Word("integer", "Context-parallel ranks: they share one sequence, 2 parts each."),
}

GROUP: Table = {
    "ratio": Word("curve", "Its share of the tokens of what holds it: `40%`, `rest`, or a curve."),
    "tokens": Word("tokens", "Instead of a ratio: the tokens it reads in this stage or piece."),
    "epochs": Word("number", "Instead of a ratio: how often it is read in this stage or piece."),
    "size": Word("number", "Instead of a ratio: its tokens times this, among what is left."),
    "sqrt_size": Word(
        "number", "Instead of a ratio: the root of its tokens times this, among what is left."
    ),
    "at_most": Word(
        "tokens", "With `size` or `sqrt_size`: its size counts as at most this: `100M`."
    ),
    "normalize": Word("boolean", "Divide the ratios written in `of` by their sum, and say so."),
    "of": Word(
        "mixture", "What shares it: sources and groups, `replay: STAGE`, or a list by size."
    ),
    "tags": Word("tags", "Words that claims of `require` may sum groups by: `[multimodal]`."),
    "source": Word("text", "Where these ratios come from."),
}

MERGE: Table = {
    "average": Word(
        "averaged",
        "What is averaged: `[a, b]`, `{a: .9, b: .1}`, or one stage with `last` and `every`.",
    ),
    "last": Word("integer", "How many checkpoints of that one stage, counted back from its end."),
    "every": Word("amount", "How far these lie apart: `1000 steps`, `5B`."),
    "select": Word("name", "The one of the candidates that is taken."),
    "of": Word("points", "The candidates; all of them count as spent."),
}

MIX_PIECE: Table = {
    "of": Word(
        "mixture",
        "The mixture of this piece; `previous` is that before it: of a piece, or the kept one.",
    ),
    "shape": Word("mix_shape", "`linear`: goes over from the mixture before to the one after."),
    "for": Word("amount", "Its length: tokens, steps, or a share of the stage."),
    "until": Word("mark", "The mark in the stage at which it ends."),
    "source": Word("text", "Where this piece's values come from."),
}

SIZES = ("size", "sqrt_size")
"""What a node of a mixture may say to share what is left by size."""

MEASURES = ("tokens", "epochs", *SIZES)
"""What a node of a mixture may say instead of a ratio."""

CHECKPOINT: Table = {
    "gives": Word("names", "The modules that it holds, for `init` to take."),
    "tokens": Word(
        "tokens", "What it had read: counts on the path of what starts here, never as spent."
    ),
    "lr": Word("rates", "The learning rate each module was left at: what `from: current` reads."),
    "rope": Word("rope", "RoPE by module, as it was trained: what `keep: CHECKPOINT` keeps."),
    "seq_len": Word("seq_len", "The context it was trained with: what `keep: CHECKPOINT` keeps."),
    "state": Word("names", "The modules whose optimizer state it holds: `carry` says of them."),
    "path": Word("text", "Folder of MODULE.safetensors files, relative to the launch's --data."),
    "weights": Word("name", "`new`: a proxy has no such checkpoint and starts with fresh weights."),
}

STAGE: Table = {
    "checkpoint": Word(
        "checkpoint", "Makes this an outside checkpoint: a stage that somebody else trained."
    ),
    "extends": Word(
        "name", "The stage whose text is copied; what is said here replaces it key by key."
    ),
    "source": Word("text", "Where this stage's values come from."),
    "init": Word(
        "init",
        "Where each module comes from: a stage, `stage@60%`, a merge, or `new`.",
    ),
    "keep": Word("keep", "The ancestor as which everything is that this stage does not say."),
    "status": Word("status", "What became of it; changes nothing that is trained."),
    "carry": Word(
        "carry", "Whose optimizer state comes along; unsaid, that of frozen modules rests."
    ),
    "tokens": Word("tokens", "The budget in tokens: what the stage reads."),
    "steps": Word("whole", "The budget in steps."),
    "seqs": Word("whole", "The budget in sequences."),
    "epochs": Word("number", "The budget in passes over all sources of its mixture together."),
    "until": Word(
        "path_mark",
        "The budget as a mark on the path: what the counted module has been asked to read by then, "
        "this stage included; tokens, or `step N`.",
    ),
    "gate": Word("gate", "The check its end waits for: a fact; the budget is what runs."),
    "round": Word("round", "Whether the budget is rounded `up` or `down` to whole steps."),
    "count": Word("name", "Whose positions the tokens are where there is no LLM: `vit`."),
    "train": Word("names", "The modules or parts that learn; the others are there, and frozen."),
    "optimizer": Word("name", "The name of an optimizer of `optimizers`."),
    "loss": Word("loss", "The loss terms with their weights: `{next_token: 1}`."),
    "set": Word("settings", "Scalars of modules: `{llm/router: {bias_rate: 1e-3}}`."),
    "lr": Word(
        "lr", "The learning rate of what is trained, or of each: `{rest: main, vit: slow}`."
    ),
    "seq_len": Word("seq_len", "The context: tokens in one packed sequence."),
    "batch": Word("batch", "Sequences or tokens in one step."),
    "layout": Word("layout", "Ranks and micro-batches that every batch must fit, or none."),
    "packing": Word("packing", "How documents fill sequences."),
    "rope": Word("rope", "The RoPE of language models: `{llm: {base: 500_000}}`."),
    "target_seq_len": Word(
        "seq_len", "The context that this stage prepares for, apart from what it trains on."
    ),
    "mixture": Word("mixture", "What is read, in shares that sum to 1: `{web: 80%, code: rest}`."),
    "seed": Word("integer", "A seed of this stage's own: from here on sources are dealt anew."),
    "reshape": Word(
        "reshape", "Sizes that modules have from here on: `{llm: {vocab: 49_280, rows: mean}}`."
    ),
    "adapters": Word(
        "adapters", "New adapters by module, or what becomes of the parent's: merge, drop, keep."
    ),
    "ema": Word("ema", "A running average of the weights, kept beside them."),
}

ROPE: Table = {
    "base": Word("number", "RoPE theta: `10_000`."),
    "scaling": Word("scaling", "What stretches RoPE beyond the context it was trained at."),
}

SCALING: Table = {
    "kind": Word("name", "The formula: linear, ntk, dynamic-ntk, llama3, yarn or longrope."),
    "factor": Word("number", "How many times further positions reach: 40 makes 4Ki 160Ki."),
    "original": Word("seq_len", "The context in tokens that the base was trained at."),
    "beta_fast": Word("number", "YaRN: pairs with more turns in `original` keep their speed."),
    "beta_slow": Word("number", "YaRN: pairs with fewer turns in `original` are slowed whole."),
    "attention_factor": Word(
        "number", "Factor of queries and keys; unsaid, the formula's own: 0.1 ln(factor) + 1."
    ),
    "low_freq_factor": Word("number", "Llama 3: pairs with fewer turns are slowed whole."),
    "high_freq_factor": Word("number", "Llama 3: pairs with more turns keep their speed."),
    "short": Word("factors", "LongRoPE: a factor for every pair, up to `original` tokens."),
    "long": Word("factors", "LongRoPE: a factor for every pair, beyond `original` tokens."),
}
"""The keys of a RoPE scaling; `rope_scaling.py` says which kind reads which."""

ADAPTER: Table = {
    "kind": Word("adapter_kind", "What adapts each matrix."),
    "rank": Word("integer", "The rank of its two matrices."),
    "parts": Word("names", "The parts of the module whose matrices get one: attention, ffn, head."),
}

GATE: Table = {
    "when": Word("text", "The check, in a sentence: the stage is over when it is met."),
    "least": Word("length", "The budget is at least this, in tokens or steps."),
    "most": Word("length", "The budget is at most this, in tokens or steps."),
}

EMA: Table = {"decay": Word("ratio", "What is kept of the average at each step: `.995`.")}
STATUSES = ("main", "side", "abandoned", "probe")
"""What became of a stage, in the order of the totals; `main` where nothing is said."""

MODALITIES = ("text", "image-text", "video-text")
PACKINGS = ("best-fit", "concat", "concat-across")
_THROUGH_LLM = frozenset({"llm", "vit", "projector"})

LOSSES: Mapping[str, frozenset[str]] = {
    "next_token": _THROUGH_LLM,
    "mtp": _THROUGH_LLM,
    "z_loss": _THROUGH_LLM,
    "balance": _THROUGH_LLM,
    "sequence_balance": _THROUGH_LLM,
    "siglip": frozenset({"vit", "text_tower"}),
    "caption": frozenset({"vit", "captioner"}),
}
"""The loss terms, and the kinds of modules that their gradient reaches."""

TOKEN_LOSSES = ("next_token", "mtp", "z_loss", "caption")
"""The terms that are sums over tokens: these may say `over` and `reduce`."""

BALANCES = ("balance", "sequence_balance")
"""The terms that are about routed experts: these want a module that has them."""

LOSS: Table = {
    "weight": Word("curve", "What the term weighs in the sum."),
    "over": Word("mask", "The positions that it is taken over."),
    "reduce": Word("reduce", "What is averaged: how the tokens of a sample weigh."),
}

_DROPPED = ("dropout", "drop_path")

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "llm/router": ("bias_rate",),
    **dict.fromkeys(("llm", "text_tower", "captioner"), _DROPPED),
    "vit": (*_DROPPED, "image_side", "max_patches", "max_tiles", "max_frames"),
    "projector": ("dropout",),
}
"""The scalars that `set` may change, by kind of module, and part where it is one part's."""

SHARES = frozenset(_DROPPED)
"""The settings that lie in 0..1, 1 left out."""

OPTIMIZER_DEFAULTS: Mapping[str, Mapping[str, float | bool | None]] = {
    "muon": {
        "momentum": 0.95,
        "nesterov": True,
        "ns_steps": 5,
        "beta1": 0.9,
        "beta2": 0.95,
        "eps": 1e-8,
        "clip_norm": None,
    },
    "adamw": {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "clip_norm": None},
    "ademamix": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "clip_norm": None},
}
"""The table of defaults: printed as `default`, counted with the provenance, part of the digest.

Muon's momentum and Newton-Schulz steps are those of arXiv:2502.16982 and its reference code; the
betas are AdamW's of arXiv:2502.16982, used for what is no matrix. AdEMAMix's are those of
arXiv:2409.03137.
"""

OPTIMIZER_WANTED: Mapping[str, tuple[str, ...]] = {
    "muon": ("update_rms", "weight_decay"),
    "adamw": ("weight_decay",),
    "ademamix": ("weight_decay", "beta3", "alpha"),
}
"""What an optimizer of a kind must say."""

OPTIMIZER_OPTIONAL: Mapping[str, tuple[str, ...]] = {"muon": ("qk_clip",)}
"""What it may say and has no default: nothing of it happens where it is not said."""

OPTIMIZER_VALUES: Mapping[str, tuple[str, ...]] = {
    kind: (*wanted, *OPTIMIZER_DEFAULTS[kind], *OPTIMIZER_OPTIONAL.get(kind, ()))
    for kind, wanted in OPTIMIZER_WANTED.items()
}

OPTIMIZER_FIXED = ("nesterov", "ns_steps")
"""What no curve can change; every other value may run over the steps of the optimizer's state."""


class Range(NamedTuple):
    """Which values a number may have, and these in words."""

    words: str
    holds: Callable[[Fraction], bool]


_BELOW_ONE = Range("lies in 0..1, 1 left out", lambda x: 0 <= x < 1)
_ABOVE_ZERO = Range("is greater than 0", lambda x: x > 0)
_SWITCH = Range("is true or false", lambda _: False)

SCALING_RANGES: Mapping[str, Range] = {
    "factor": Range("is at least 1", lambda x: x >= 1),
    "short": _ABOVE_ZERO,
    "long": _ABOVE_ZERO,
    "beta_fast": _ABOVE_ZERO,
    "beta_slow": _ABOVE_ZERO,
    "attention_factor": _ABOVE_ZERO,
    "low_freq_factor": _ABOVE_ZERO,
    "high_freq_factor": _ABOVE_ZERO,
}
"""What the numbers of a RoPE scaling may be."""

OPTIMIZER_RANGES: Mapping[str, Range] = {
    "update_rms": _ABOVE_ZERO,
    "weight_decay": Range("is not negative", lambda x: x >= 0),
    "momentum": _BELOW_ONE,
    "nesterov": _SWITCH,
    "ns_steps": Range("is a whole number from 1 on", lambda x: x >= 1 and x.denominator == 1),
    "beta1": _BELOW_ONE,
    "beta2": _BELOW_ONE,
    "beta3": _BELOW_ONE,
    "alpha": Range("is not negative", lambda x: x >= 0),
    "qk_clip": _ABOVE_ZERO,
    "eps": _ABOVE_ZERO,
    "clip_norm": _ABOVE_ZERO,
}
"""What an optimizer's values may be."""
