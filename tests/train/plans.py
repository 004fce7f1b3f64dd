"""Small plans for the tests of the trainer, made directly of the plan's dataclasses"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from curriculum.batch import lay_out
from curriculum.curve import Curve, Piece, constant
from curriculum.mixture import Mixture, Node
from curriculum.models.presets import shape_of
from curriculum.plan import Budget, Module, OptimizerRule, Plan, Ride, Source, Stage, Start
from curriculum.rope import Rope

MUON = OptimizerRule(
    "muon",
    {
        "update_rms": 0.2,
        "weight_decay": 0.1,
        "momentum": 0.95,
        "nesterov": True,
        "ns_steps": 5,
        "beta1": 0.9,
        "beta2": 0.95,
        "eps": 1e-8,
        "clip_norm": 1.0,
    },
)
ADAMW = OptimizerRule(
    "adamw",
    {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1, "clip_norm": 1.0},
)

MODULES = {
    "llm": Module(
        "llm",
        "moonlight-proxy",
        shape_of(
            "moonlight-proxy",
            {
                "hidden": 32,
                "num_layers": 2,
                "num_heads": 2,
                "kv_lora_rank": 16,
                "v_head_dim": 16,
                "ffn_dim": 64,
                "expert_dim": 16,
                "vocab": 64,
                "max_positions": 256,
            },
        ),
    ),
    "vit": Module(
        "vit", "moonvit-proxy", shape_of("moonvit-proxy", {"hidden": 24, "num_layers": 1})
    ),
    "projector": Module(
        "projector",
        "pixel-shuffle-mlp-proxy",
        shape_of("pixel-shuffle-mlp-proxy", {"vit_hidden": 24, "llm_hidden": 32}),
    ),
}
"""The proxy modules, smaller still: about 60 thousand parameters."""

SOURCES = {
    "captions": Source("captions", "image-text", 100_000, Fraction(1, 50)),
    "code": Source("code", "text", 50_000, Fraction(1, 50)),
    "english": Source("english", "text", 200_000, Fraction(1, 50)),
}


def warm_up(peak: Fraction, warmup_steps: int, steps: int) -> Curve:
    """Return 0 to `peak` in `warmup_steps`, then a cosine to a tenth of it at `steps`."""
    return Curve(
        (
            Piece("linear", "steps", 0, 0, warmup_steps, Fraction(0), peak),
            Piece("cosine", "steps", warmup_steps, warmup_steps, steps, peak, peak / 10),
        )
    )


def small_stage(
    name: str = "text",
    *,
    steps: int = 8,
    batch_seqs: int = 4,
    seq_len: int = 16,
    init: Mapping[str, Start] | None = None,
    train: tuple[str, ...] = ("llm",),
    ratios: Mapping[str, Fraction] | None = None,
    lr: Mapping[str, Curve | None] | None = None,
    optimizer: Mapping[str, OptimizerRule] | None = None,
    rope_base: int = 50_000,
    seed: int = 0,
) -> Stage:
    """Return a stage that trains `train` on a constant mixture, warming up for 2 steps."""
    batch = lay_out([(batch_seqs, seq_len, None)])
    tokens = steps * batch_seqs * seq_len
    init = init if init is not None else {"llm": Start(None)}
    ratios = ratios if ratios is not None else {"english": Fraction(3, 4), "code": Fraction(1, 4)}
    roots = tuple(Node(source, constant(r), source) for source, r in sorted(ratios.items()))
    modules = tuple(dict.fromkeys(target.partition("/")[0] for target in train))
    curve = warm_up(Fraction(1, 1000), min(2, steps - 1), steps)
    if lr is None:
        lr = dict.fromkeys(modules, curve)
    if optimizer is None:
        optimizer = dict.fromkeys(modules, MUON)
        optimizer |= {f"{m}/{part}": ADAMW for m in modules for part in ("norms", "embeddings")}
    return Stage(
        name=name,
        init=init,
        train=train,
        count="llm",
        budget=Budget(f"{tokens}", tokens),
        steps=steps,
        batch=batch,
        mixture=Mixture(roots, batch, steps, tokens),
        lr=lr,
        rides={target: Ride(None, name, 0, 0) for target in lr},
        optimizer=optimizer,
        loss={"next_token": constant(1)},
        settings={"llm/router.bias_rate": constant(Fraction(1, 1000))},
        rope={"llm": Rope(Fraction(rope_base))},
        packing="best-fit",
        seed=seed,
        own_seed=False,
        digest=f"{name}-0",
    )


def small_plan() -> Plan:
    """Return text -> align (a frozen llm, a new ViT) -> joint -> long (another RoPE base)."""
    text = small_stage()
    align = small_stage(
        "align",
        steps=4,
        init={"llm": Start("text", 8), "projector": Start(None), "vit": Start(None)},
        train=("projector", "vit"),
        ratios={"captions": Fraction(1)},
    )
    parts = ("llm", "projector", "vit")
    joint = small_stage(
        "joint",
        steps=6,
        init={
            "llm": Start("text", 8, carries_state=True),
            "projector": Start("align", 4),
            "vit": Start("align", 4),
        },
        train=parts,
        ratios={"captions": Fraction(1, 3), "code": Fraction(1, 6), "english": Fraction(1, 2)},
    )
    long = small_stage(
        "long",
        steps=3,
        batch_seqs=1,
        seq_len=64,
        init={name: Start("joint", 6, carries_state=True) for name in parts},
        train=parts,
        rope_base=800_000,
    )
    return Plan(
        name="small",
        seed=0,
        modules=MODULES,
        sources=SOURCES,
        stages=(text, align, joint, long),
        digest="small-0",
    )


def rope_of(plan: Plan, stage: Stage) -> dict[str, list[dict[str, Any]]]:
    """What the buffers hold where all layers turn alike."""
    shape = plan.modules["llm"].shape
    rope = stage.rope["llm"]
    layers = {"layers": list(shape.rope_layers()), "attention_factor": rope.attention_factor}
    return {"llm": [{**layers, "inv_freq": rope.inv_freq(shape.rope_head_dim)}]}
