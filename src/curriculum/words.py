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
    "plan": Word("plan_name", "The plan's name: `smollm2-1.7b`."),
    "source": Word("text", "Where the values below come from; a bare value is then stated."),
    "extends": Word("text", "The plan file below this overlay, relative to this file."),
    "scale": Word("scale", "Factors that make a proxy of the plan below."),
    "seed": Word("integer", "The seed of data order and initial weights."),
    "modules": Word("modules", "The parts of the model, by name."),
    "optimizers": Word("optimizers", "Named optimizers; parts of modules may differ."),
    "sources": Word("sources", "The sets of documents there are, by name."),
    "schedules": Word("schedules", "Named learning-rate curves with a clock of their own."),
    "stages": Word("stages", "The stages of the curriculum, by name."),
    "require": Word("claims", "Claims that the plan must keep: `mix.multimodal <= 40%`."),
}

SCALE: Table = {
    "tokens": Word("ratio", "Factor of every amount in tokens, such as 1/8_000_000."),
    "seqs": Word("ratio", "Factor of the sequences in a batch, such as 1/128."),
    "seq_len": Word("ratio", "Factor of every context length, such as 1/64."),
}

MODULE: Table = {
    "preset": Word("preset", "The named shape; any of its fields may stand beside it."),
    "kind": Word("kind", "In place of a preset: what a module is of which only counts are known."),
    "source": Word("text", "Where this module's values come from."),
}

SOURCE: Table = {
    "modality": Word("modality", "What its documents hold: text, image-text or video-text."),
    "tokens": Word(
        "tokens", "How many tokens there are; needed for epochs and for ratios by size."
    ),
    "holdout": Word("ratio", "Share of its documents, by their hash, that training never reads."),
    "max_epochs": Word("number", "How often all stages on a path may read it, counted together."),
    "image_share": Word("ratio", "Share of its LLM positions that images fill, for the FLOPs."),
    "path": Word("text", "Folder of the prepared documents, relative to the launch's --data."),
    "of": Word("name", "Makes this a part of another source: some of its documents."),
    "part": Word(
        "text", "Which share of the whole, by order: `first 10%`, `last 5%`, `10% to 30%`."
    ),
    "min_tokens": Word("tokens", "Of the whole, the documents of at least this length."),
    "max_tokens": Word("tokens", "Of the whole, the documents shorter than this."),
    "tags": Word("tags", "Words that claims of `require` may sum sources by: [web, en]."),
    "source": Word("text", "Where this source's values come from."),
}

CLAIM: Table = {
    "claim": Word("claim", "What must hold at every step: `tokens.total == 9.6T`."),
    "because": Word("text", "Why it must hold; shown where it does not."),
}

PIECE: Table = {
    "shape": Word(
        "shape",
        "constant, linear, cosine, sqrt, power, inverse, exponential, rsqrt or half_life.",
    ),
    "from": Word("number", "Value at its start; `current`: where the parent left the module."),
    "to": Word("number", "Value at its end; in a learning rate `10%` is a tenth of its start."),
    "for": Word("amount", "Its length: tokens, steps, or a share of the whole curve."),
    "until": Word("mark", "The mark on the curve's clock at which it ends."),
    "half_life": Word("amount", "Length in which an exponential piece halves."),
    "timescale": Word("amount", "The k of an rsqrt piece: a sqrt(k / (k + x))."),
    "power": Word("number", "The k of a power piece: a + (b - a)(1 - (1 - p)^k)."),
    "stretch": Word(
        "name",
        "First in a schedule: draws what was left of this schedule's piece out to a new end.",
    ),
    "repeat": Word("pieces", "Pieces that come again and again, `times` times."),
    "times": Word("integer", "How often `repeat` goes through its pieces."),
}

LR: Table = {
    "schedule": Word("name", "The named schedule that the module rides on."),
    "curve": Word("curve", "A curve over this stage alone."),
    "restart": Word("boolean", "Begin the schedule's clock anew in this stage."),
    "scale": Word("number", "Factor of the schedule's values."),
    "jump": Word("boolean", "Say aloud that the learning rate jumps where the stage begins."),
    "with_batch": Word(
        "with_batch",
        "Times the batch over that of the clock's first step: its `sqrt`, `linear`, or `none`.",
    ),
}

FOLLOWS_BATCH = ("sqrt", "linear", "none")
"""How a learning rate may follow the tokens in a step."""

BATCH: Table = {
    "seqs": Word("batch_size", "Sequences in one step, `keep`, or a ramp `{from, to, by}`."),
    "tokens": Word(
        "batch_size", "Tokens in one step, whole sequences, `keep`, or a ramp `{from, to, by}`."
    ),
    "seq_len": Word("seq_len", "The context from here on; else as the piece before has it."),
    "until": Word("mark", "The mark at which this piece of the batch, or its ramp, ends."),
}

RAMP: Table = {
    "from": Word(
        "count",
        "Where the ramp starts; `current`: as the ancestor left it; else as the piece before ends.",
    ),
    "to": Word("count", "Where it ends, above or below; the batch stays there."),
    "by": Word("count", "Increments: every level gets an equal share of the ramp's tokens."),
    "shape": Word("ramp_shape", "`linear`: the line between the ends, by `multiple_of`."),
    "multiple_of": Word("count", "What a linear ramp is rounded down to."),
}

LAYOUT: Table = {
    "dp": Word("integer", "Data-parallel ranks."),
    "micro": Word("integer", "Sequences in one micro-batch of a rank."),
    "accumulation": Word("accumulation", "Micro-batches of a rank in one step, or `varies`."),
    "tp": Word("integer", "Tensor-parallel ranks."),
    "pp": Word("integer", "Pipeline-parallel ranks."),
    "cp": Word("integer", "Context-parallel ranks: they share one sequence, 2 parts each."),
}

GROUP: Table = {
    "ratio": Word("curve", "Share of the tokens of what holds it, `rest`, or a curve."),
    "tokens": Word("tokens", "Instead of a ratio: the tokens it reads in this stage or piece."),
    "epochs": Word("number", "Instead of a ratio: how often it is read in this stage or piece."),
    "size": Word("number", "Instead of a ratio: its tokens times this, among what is left."),
    "sqrt_size": Word(
        "number", "Instead of a ratio: the root of its tokens times this, among what is left."
    ),
    "normalize": Word("boolean", "Divide the ratios written in `of` by their sum, and say so."),
    "of": Word(
        "mixture", "What shares it: sources and groups, `replay: STAGE`, or a list by size."
    ),
    "tags": Word("tags", "Words that claims of `require` may sum groups by: [multimodal]."),
    "source": Word("text", "Where these ratios come from."),
}

MERGE: Table = {
    "average": Word("averaged", "Stages or marks in equal parts, with weights, or one stage."),
    "last": Word("integer", "How many checkpoints of that one stage, its end the first of them."),
    "every": Word("amount", "How far these lie from each other, in steps or tokens."),
    "select": Word("name", "The one that is taken."),
    "of": Word("points", "The candidates it was taken from; they count as spent."),
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

MEASURES = ("tokens", "epochs", "size", "sqrt_size")
"""What a node of a mixture may say instead of a ratio."""

CHECKPOINT: Table = {
    "gives": Word("names", "The modules that the outside checkpoint holds."),
    "tokens": Word("tokens", "What it had read: counts on the path from here, never as spent."),
    "lr": Word("rates", "The learning rate each module was left at: what `from: current` reads."),
    "rope": Word("rope", "RoPE by module, as it was trained: what `keep: CHECKPOINT` keeps."),
    "seq_len": Word("seq_len", "The context it was trained with: what `keep: CHECKPOINT` keeps."),
    "state": Word("names", "The modules whose optimizer state it holds: `carry` says of them."),
    "path": Word("text", "Folder of MODULE.safetensors files, relative to the launch's --data."),
    "weights": Word("name", "`new`: a proxy has no such checkpoint and starts with fresh weights."),
}

STAGE: Table = {
    "checkpoint": Word("checkpoint", "Makes this an outside checkpoint: a stage that is over."),
    "extends": Word("name", "Copies the text of a sibling stage; keys said here replace it."),
    "source": Word("text", "Where this stage's values come from."),
    "init": Word(
        "init",
        "Where each module comes from: a stage, `stage@mark`, a merge, or `new`; a part: `new`.",
    ),
    "keep": Word("keep", "What is not said is as that ancestor left it; `{rest: A, vit: B}` too."),
    "status": Word("status", "What became of it: main, side, abandoned or probe. Changes nothing."),
    "carry": Word("carry", "Whose optimizer state comes along: all, none, or modules."),
    "tokens": Word("tokens", "The budget in tokens."),
    "steps": Word("count", "The budget in steps."),
    "seqs": Word("count", "The budget in sequences."),
    "epochs": Word("count", "The budget in passes over all sources of its mixture together."),
    "until": Word(
        "path_mark",
        "The budget as a mark on the path: what the counted module has been asked to read by then, "
        "this stage included; tokens, or `step N`.",
    ),
    "round": Word("round", "`down`: the budget is rounded down to whole steps, not up."),
    "count": Word("name", "Whose positions are the tokens where there is no LLM."),
    "train": Word("names", "The modules or parts that this stage trains."),
    "optimizer": Word("name", "The optimizer, by name."),
    "loss": Word("loss", "The loss terms and their weights."),
    "set": Word("settings", "Scalars that a module lets change, by module or part."),
    "lr": Word("lr", "A schedule's name, a curve, or one of these per module."),
    "seq_len": Word("seq_len", "Tokens in one packed sequence: 8192 or 8Ki."),
    "batch": Word("batch", "Sequences or tokens in one step, or pieces of them."),
    "layout": Word("layout", "Ranks and micro-batches that batches fit, or none; no mathematics."),
    "packing": Word(
        "packing", "How documents fill sequences: best-fit, concat (cut anywhere), concat-across."
    ),
    "rope": Word(
        "rope", "RoPE by module or part: `{llm: {base: 50_000}}`, `{llm: none}`; or `none`."
    ),
    "target_seq_len": Word(
        "seq_len", "The context that this stage prepares for, apart from what it trains on."
    ),
    "mixture": Word("mixture", "A tree of ratios over the sources, or pieces of such trees."),
    "seed": Word("integer", "A seed of this stage's own: its sources are dealt anew."),
    "reshape": Word(
        "reshape", "Sizes that modules have from here on: {llm: {vocab: 49_280, rows: mean}}."
    ),
    "adapters": Word(
        "adapters", "New adapters by module, or what becomes of the parent's: merge, drop, keep."
    ),
    "ema": Word("ema", "An average of the weights, kept beside them: {decay: .995}, or none."),
}

ROPE: Table = {
    "base": Word("number", "RoPE theta."),
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
    "kind": Word("adapter_kind", "lora, or dora (with a magnitude for each output)."),
    "rank": Word("integer", "The rank of its two matrices."),
    "parts": Word("names", "The parts of the module whose matrices get one: attention, ffn, head."),
}

EMA: Table = {"decay": Word("ratio", "What is kept of the average at each step: .995.")}
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
    "weight": Word("curve", "The term's weight: a number or a curve over the stage."),
    "over": Word("mask", "The positions it is taken over: all, text, or answers."),
    "reduce": Word("reduce", "What is averaged: tokens, samples, or sqrt (1 / sqrt(l) a token)."),
}

_DROPPED = ("dropout", "drop_path")

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "llm/router": ("bias_rate",),
    **dict.fromkeys(("llm", "vit", "text_tower", "captioner"), _DROPPED),
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
