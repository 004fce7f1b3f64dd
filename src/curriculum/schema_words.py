"""What kinds of value a plan holds: simple ones and words, each with its meaning and examples"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: what it is, values that may stand there, and what each of its words means.

    `words` are the words that may be written, where only these may; examples are JSON values.
    """

    means: str
    examples: tuple[object, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)


SIMPLE: Mapping[str, Kind] = {
    "plan_name": Kind("A plan's name: small letters, digits, dots, `-` and `_`."),
    "name": Kind("A name: small letters, digits, `-` and `_`."),
    "names": Kind("One module or part, or a list of them.", (["llm"], ["vit", "llm/embeddings"])),
    "text": Kind("Any text."),
    "boolean": Kind("`true` or `false`."),
    "integer": Kind("A whole number from 0 on.", (42,)),
    "number": Kind(
        "A decimal, a share, a fraction, or `unknown`; kept exactly as it is written.",
        (0.1, "50_000", "10%", "2/3"),
    ),
    "ratio": Kind("A share of 1: a decimal, a fraction or percent.", (0.01, "1/3", "5%")),
    "size": Kind("A size or a switch of a module.", (32, "128Ki", True, "none")),
    "tokens": Kind(
        "An amount of tokens: K M B T are decimal, Ki Mi Gi Ti binary. `unknown` if nobody says.",
        ("5.2T", 650_000, "8Ki", "unknown"),
    ),
    "amount": Kind(
        "A length: tokens, steps, or a share of the whole.", ("200B", "2000 steps", "10%")
    ),
    "length": Kind("A length in tokens or steps.", ("200B", "2000 steps")),
    "mark": Kind(
        "A point on the way, the first step that starts at or after it: tokens seen, a step, or "
        "a share of what was asked for.",
        ("200B", "step 120_000", "60%"),
    ),
    "path_mark": Kind(
        "A point on the path of the counted module, all its stages together: tokens or a step.",
        ("6.6T", "step 928_646"),
    ),
    "whole": Kind("A whole number; `unknown` if nobody says.", (20_000, "558K")),
    "count": Kind(
        "So many of what the key counts; `keep` and `current`: as the kept stage left it.",
        (1024, "32Mi", "keep"),
    ),
    "seq_len": Kind(
        "Tokens; Ki is 1024 of them. `8K` is refused, as it would be 8000.", (8192, "32Ki")
    ),
    "preset": Kind("A module's shape at its published sizes.", ("olmo2-7b",)),
    "factors": Kind("One factor for each pair of dimensions that RoPE turns.", ([1.0, 1.05, 1.2],)),
    "tags": Kind(
        "A tag or a list of them; claims sum by tags (`mix.web`).", ("web", ["web", "en"])
    ),
    "claim": Kind(
        "What must hold at every step it speaks of, proved exactly: paths such as `mix.NAME`, "
        "`lr.MODULE`, `optimizer.MODULE.weight_decay`, `epochs.SOURCE`, `tokens.total`; numbers; "
        "`+ - * /`; comparisons; `and`. "
        "`STAGE:` or `STAGE@MARK:` before it names where.",
        ("mix.multimodal <= 40%", "tokens.total == 9.6T", "joint@end: lr.llm <= 1e-5"),
    ),
    "claims": Kind(
        "Claims, each a sentence or with its reason.",
        (["lr.llm <= 3e-4", {"claim": "epochs.web <= 4", "because": "it is small"}],),
    ),
    "points": Kind("Stages, each at its end or at a mark.", (["a", "b@60%"],)),
}
"""Values that are one word or number, or a list of these."""

CHOICES: Mapping[str, Kind] = {
    "shape": Kind(
        "a and b are the ends (`from`, `to`), p is the share of the piece that lies behind.",
        words={
            "constant": "a",
            "linear": "a + (b - a) p",
            "cosine": "b + (a - b) (1 + cos pi p) / 2",
            "sqrt": "a + (b - a) sqrt p: the field's 1-sqrt decay",
            "power": "a + (b - a) (1 - (1 - p)^k), k = `power`",
            "inverse": "1 / ((1 - p) / a + p / b): linear in 1 / value",
            "exponential": "a (b / a)^p, or halving every `half_life`",
            "rsqrt": "a sqrt(k / (k + x)), k = `timescale`, x the distance run",
            "half_life": "the factor whose half-life is linear from a's to b's (AdEMAMix's beta3)",
        },
    ),
    "modality": Kind(
        "What documents hold.",
        words={
            "text": "text alone",
            "image-text": "images with text",
            "video-text": "frames of videos with text",
        },
    ),
    "kind": Kind(
        "What a module is. A plan has at most one of each.",
        words={
            "llm": "the language model",
            "vit": "the vision transformer",
            "projector": "what makes LLM positions of the ViT's patches",
            "text_tower": "the text encoder of a contrastive loss",
            "captioner": "the decoder that captions images in a CoCa stage",
        },
    ),
    "round": Kind(
        "How a budget becomes whole steps.",
        words={"up": "to the next whole step (the default)", "down": "down"},
    ),
    "status": Kind(
        "What became of a stage; totals are told by it.",
        words={
            "main": "part of the training (the default)",
            "side": "a branch beside it",
            "abandoned": "given up",
            "probe": "run to learn something",
        },
    ),
    "with_batch": Kind(
        "How the learning rate follows the tokens in a step, r times those at the first step of "
        "the schedule's clock.",
        words={
            "sqrt": "times sqrt r",
            "linear": "times r",
            "none": "not at all, as where nothing is said",
        },
    ),
    "packing": Kind(
        "How documents become sequences of `seq_len` tokens.",
        words={
            "best-fit": "documents stay whole where they fit; attention stays inside each",
            "concat": "one behind the other, cut where full; attention stays inside each",
            "concat-across": "as concat, and attention crosses documents",
        },
    ),
    "mask": Kind(
        "Over which positions a loss term is taken.",
        words={
            "all": "all that predict a token (the default)",
            "text": "those of text",
            "answers": "those of answers; planned, not trained",
        },
    ),
    "reduce": Kind(
        "What a loss term is a mean of, in a sample of l tokens.",
        words={
            "tokens": "each token weighs 1 (the default)",
            "samples": "each weighs 1/l",
            "sqrt": "each weighs 1/sqrt(l)",
        },
    ),
    "rows": Kind(
        "How the rows that a vocabulary gains begin.",
        words={"new": "as a new module's (the default)", "mean": "at the mean row"},
    ),
    "left": Kind(
        "What becomes of the adapters that the parent left.",
        words={
            "merge": "they are added into the weights",
            "drop": "they are left behind",
            "keep": "they stay",
        },
    ),
    "adapter_kind": Kind(
        "The kind of adapter.",
        words={
            "lora": "two matrices of one rank (arXiv:2106.09685)",
            "dora": "the same, with a magnitude for each output (arXiv:2402.09353)",
        },
    ),
    "optimizer_kind": Kind(
        "The update rule.",
        words={
            "muon": "Muon for matrices, AdamW for the rest (arXiv:2502.16982)",
            "adamw": "AdamW (arXiv:1711.05101)",
            "ademamix": "AdamW with a second, slow average (arXiv:2409.03137)",
        },
    ),
    "mix_shape": Kind(
        "How one mixture goes over into the next.", words={"linear": "every share on a line"}
    ),
    "ramp_shape": Kind(
        "How a batch grows or shrinks.",
        words={
            "linear": "along the line between its ends, rounded down to `multiple_of`",
            "unknown": "nobody says: the stage is unknown, and all that follow it",
        },
    ),
}
"""Values that are one of a few words."""

LOSS_TERMS: Mapping[str, str] = {
    "next_token": "Mean of -log p of the next token.",
    "mtp": "The same, further ahead (multi-token prediction); planned, not trained.",
    "z_loss": "Mean of (log sum exp of the logits)^2.",
    "balance": "Even use of experts over all tokens of the step.",
    "sequence_balance": "Even use of experts within each packed sequence.",
    "siglip": "Sigmoid contrast of all pairs of image and text in the step.",
    "caption": "Mean of -log p over the captions' tokens.",
}

SETTING_MEANS: Mapping[str, str] = {
    "bias_rate": "Of llm/router: how fast the bias that evens out the experts moves, a step.",
    "dropout": "The share of activations that are dropped.",
    "drop_path": "The share of residual branches that are dropped (stochastic depth).",
    "image_side": "Of a ViT: pixels a side that images are scaled to; a curve lets it grow.",
    "max_patches": "Of a ViT: the most patches that are read of one image.",
    "max_tiles": "Of a ViT: the most tiles that one image is cut into.",
    "max_frames": "Of a ViT: the most frames that are read of one video.",
}

OPTIMIZER_MEANS: Mapping[str, str] = {
    "update_rms": "The root mean square that updates of matrices are scaled to.",
    "weight_decay": "Decoupled weight decay, times the learning rate.",
    "momentum": "Momentum of matrices.",
    "nesterov": "Whether the momentum is Nesterov's.",
    "ns_steps": "Newton-Schulz steps that make an update orthogonal.",
    "beta1": "Decay of the average of gradients.",
    "beta2": "Decay of the average of their squares.",
    "beta3": "Decay of the slow average of gradients.",
    "alpha": "What the slow average weighs beside the fast one.",
    "eps": "What is added to the root of the squares.",
    "clip_norm": "Gradients are scaled down to this norm at most; `none`: never.",
    "qk_clip": "MuonClip's threshold of attention logits; planned, not trained.",
}
