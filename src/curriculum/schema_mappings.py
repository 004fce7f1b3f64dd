"""What every mapping and list of a plan is, with examples: what the schema tells editors of them"""

from collections.abc import Mapping

from curriculum.schema_words import Kind

_CURVE = [
    {"shape": "linear", "from": 0, "to": 0.0003, "for": "2000 steps"},
    {"shape": "cosine", "to": "10%"},
]
_YARN = {"kind": "yarn", "factor": 4, "original": "32Ki", "beta_fast": 32, "beta_slow": 1}
_LATER = [
    {"of": {"web": "90%", "code": "10%"}, "until": "80%"},
    {"shape": "linear", "for": "1000 steps"},
    {"of": {"web": "60%", "code": "40%"}},
]

MAPPINGS: Mapping[str, Kind] = {
    "scale": Kind(
        "Makes the plan below small: what it says in tokens, sequences and contexts is multiplied.",
        ({"tokens": "1/8_000_000", "seqs": "1/128", "seq_len": "1/64"},),
    ),
    "modules": Kind(
        "Modules by name, one of each kind.",
        ({"llm": {"preset": "smollm3-3b"}, "vit": {"kind": "vit", "params": "400M"}},),
    ),
    "module": Kind(
        "A preset and sizes that differ from it, or a kind and its counts.",
        ({"preset": "olmo2-7b", "vocab": "100_352"}, {"kind": "llm", "params": "7.3B"}),
    ),
    "optimizers": Kind("Optimizers by name.", ({"adamw": {"kind": "adamw", "weight_decay": 0.1}},)),
    "optimizer": Kind(
        "A kind and its values, each a number or a curve over the steps of the optimizer's state. "
        "A module or part may differ, and takes what it does not say from its module or the whole: "
        "`llm/norms: {weight_decay: 0}`.",
        ({"kind": "muon", "update_rms": 0.2, "weight_decay": 0.1},),
    ),
    "sources": Kind("Sources by name.", ({"web": {"modality": "text", "tokens": "6T"}},)),
    "source": Kind(
        "A set of documents, or a part of another source (`of`).",
        (
            {"modality": "text", "tokens": "6T", "max_epochs": 4},
            {"of": "web", "part": "first 10%"},
        ),
    ),
    "schedules": Kind("Learning-rate curves by name.", ({"main": _CURVE},)),
    "curve": Kind(
        "A number, or a list of pieces. A piece without `from` starts where the last one ended; "
        "one piece may say no end, and takes what the others leave.",
        (1, _CURVE),
    ),
    "pieces": Kind("Pieces of a curve, one after the other.", (_CURVE,)),
    "piece": Kind(
        "A piece of a curve: a shape and where it ends, or `repeat` with pieces of its own; the "
        "first of a schedule may be a `stretch` of another.",
        (
            {"shape": "linear", "from": 0, "to": 0.0003, "for": "2000 steps"},
            {"shape": "cosine", "to": "10%", "until": "5T"},
            {"repeat": [{"shape": "constant", "from": 0.001, "for": "900 steps"}], "times": 20},
        ),
    ),
    "lr": Kind(
        "A schedule's name, a ride on it, or a curve over the stage; or one of these for each "
        "module or part, and for the `rest` of what is trained.",
        ("pretrain", {"rest": "pretrain", "vit": {"schedule": "pretrain", "scale": 0.1}}),
    ),
    "ride": Kind(
        "How a module rides on a schedule, or a curve over this stage alone.",
        ({"schedule": "pretrain", "restart": True}, {"schedule": "pretrain", "jump": True}),
    ),
    "stages": Kind("Stages by name. `null` deletes one of the plan below an overlay."),
    "stage": Kind(
        "One piece of training. It says everything, or `keep: ANCESTOR` and what differs. A dotted "
        "key (`rope.llm.base`) changes one thing of what is kept.",
    ),
    "checkpoint": Kind(
        "What somebody else trained: the modules it gives, and what is known of them.",
        ({"gives": ["llm"], "tokens": "18T", "path": "qwen2.5-7b"},),
    ),
    "init": Kind(
        "A point, which gives all its modules; or a mapping from modules (parts: `new`) to points.",
        ("text", {"llm": "text@60%", "vit": "siglip", "projector": "new"}),
    ),
    "merge": Kind(
        "An average of points, or one of them selected. Stands wherever a parent does.",
        (
            {"average": ["a", "b"]},
            {"average": "a", "last": 5, "every": "1000 steps"},
            {"select": "a", "of": ["a", "b"]},
        ),
    ),
    "averaged": Kind(
        "Points in equal parts, by weights that sum to 1, or one stage (with `last` and `every`).",
        (["a", "b@60%"], {"a": 0.9, "b": 0.1}),
    ),
    "keep": Kind(
        "An ancestor, or one for each module, and `rest` for everything else.",
        ("text", {"rest": "text", "vit": "vit-align"}),
    ),
    "gate": Kind(
        "What a stage goes on until: a check, and bounds of its length where they are known. It "
        "says that people decide its end. The budget is what runs, and lies within the bounds.",
        ({"when": "needles are found at 32Ki", "least": "100B", "most": "200B"},),
    ),
    "carry": Kind(
        "`all`, `none`, or the modules whose optimizer state comes along.", ("all", ["llm"])
    ),
    "rates": Kind("A learning rate for each module or part.", ({"llm": 0.00002},)),
    "loss": Kind(
        "Weights of loss terms: numbers, curves over the stage, or terms with more to say.",
        ({"next_token": 1}, {"next_token": 1, "z_loss": 0.0001}),
    ),
    "loss_term": Kind(
        "A weight, and over what the term is taken.",
        ({"weight": 1, "over": "text", "reduce": "sqrt"},),
    ),
    "settings": Kind(
        "Scalars by module or part.",
        ({"llm/router": {"bias_rate": 0.001}}, {"vit": {"drop_path": 0.1}}),
    ),
    "setting": Kind(
        "Scalars of one module or part, each a number or a curve over the stage.",
        ({"bias_rate": 0.001},),
    ),
    "batch": Kind(
        "What one step reads: one size, or pieces that follow each other. A piece without "
        "`until` holds to the end.",
        (
            {"seqs": 1024},
            {"tokens": "4Mi"},
            [{"seqs": 2048, "until": "200B"}, {"seqs": 4096}],
        ),
    ),
    "batch_piece": Kind(
        "A size in sequences or tokens, and where it ends.", ({"seqs": 2048, "until": "200B"},)
    ),
    "batch_size": Kind(
        "A number (whole sequences), `keep`, or a ramp that runs to this piece's `until`.",
        (1024, "keep", {"from": 16, "to": 2048, "by": 16}),
    ),
    "ramp": Kind(
        "From one size to another, up or down, until this piece's mark: in equal levels (`by`), "
        "or along a line (`shape: linear` with `multiple_of`).",
        (
            {"from": 16, "to": 2048, "by": 16},
            {"from": 3072, "to": 15_360, "shape": "linear", "multiple_of": 768},
        ),
    ),
    "ranks": Kind(
        "How ranks share a step: every batch must be a multiple of dp x micro. No mathematics.",
        ({"dp": 192, "micro": 3, "accumulation": "varies", "tp": 2},),
    ),
    "layout": Kind("The ranks and micro-batches of a stage, or `none`.", ("none",)),
    "accumulation": Kind("So many micro-batches a rank and step, or `varies`.", (1, "varies")),
    "reshape": Kind(
        "Sizes by module, from this stage on.", ({"llm": {"vocab": 49_280, "rows": "mean"}},)
    ),
    "sizes": Kind(
        "Sizes of one module, by the names of its preset's fields.",
        ({"vocab": 49_280, "rows": "mean"}, {"qk_norm": True}),
    ),
    "adapters": Kind(
        "New adapters by module, or what becomes of those that the parent left, for all or by "
        "module.",
        ("merge", {"llm": {"kind": "lora", "rank": 64, "parts": ["attention", "ffn"]}}),
    ),
    "adapter": Kind(
        "Adapters of one module.", ({"kind": "lora", "rank": 64, "parts": ["attention"]},)
    ),
    "ema": Kind("A decay, or `none`.", ({"decay": 0.995}, "none")),
    "running_average": Kind("How fast the average of the weights forgets.", ({"decay": 0.995},)),
    "rope": Kind(
        "RoPE by module or part. `none` where there is no LLM; `{llm: none}` for an LLM that "
        "turns nothing (NoPE).",
        ({"llm": {"base": "500_000"}}, {"llm": "none"}, "none"),
    ),
    "rope_of_module": Kind(
        "A base, and perhaps what stretches it.",
        ({"base": "500_000"}, {"base": 10_000, "scaling": _YARN}),
    ),
    "scaling": Kind("What stretches RoPE: a kind, and the numbers of that kind.", (_YARN,)),
    "scaling_linear": Kind("Position interpolation: every speed over `factor` (arXiv:2306.15595)."),
    "scaling_ntk": Kind("NTK-aware: the base grows with `factor` (arXiv:2309.00071, 3.1)."),
    "scaling_dynamic-ntk": Kind("NTK-aware, by how far the context exceeds `original`."),
    "scaling_llama3": Kind("Llama 3.1's: slow pairs over `factor`, fast ones as they were."),
    "scaling_yarn": Kind("YaRN: a ramp between slow and fast pairs (arXiv:2309.00071, 3.2)."),
    "scaling_longrope": Kind("LongRoPE: a factor for every pair (arXiv:2402.13753)."),
    "mixture": Kind(
        "Sources and groups with their shares of the tokens (`rest` is what the others leave), a "
        "list of sources by size, or pieces that follow each other. `replay: STAGE` stands for "
        "another stage's mixture.",
        (
            {"web": "80%", "code": "rest"},
            {
                "new": {"ratio": "25%", "of": {"books": 1}},
                "old": {"ratio": "rest", "of": {"replay": "text"}},
            },
            ["web", "code"],
            _LATER,
        ),
    ),
    "group": Kind(
        "A group of sources, or one source, with how much it gets.",
        (
            {"ratio": "40%", "of": {"captions": 1}},
            {"epochs": 2},
            {"ratio": "rest", "of": {"replay": "text"}},
        ),
    ),
    "mix_piece": Kind(
        "A mixture up to a mark, or (`shape`) the way from the one before to the one after.",
        ({"of": {"web": 1}, "until": "80%"}, {"shape": "linear", "for": "2000 steps"}),
    ),
    "reason": Kind(
        "A claim and why it must hold.",
        ({"claim": "epochs.web <= 4", "because": "repeating it more hurts"},),
    ),
}
"""Values that are mappings, lists of mappings, or one of several forms."""
