"""Named module shapes, at full and at laptop size, and overrides of their fields

Kimi-VL's modules and the proxies stand here; published_llms.py, published_moe.py and
published_vision.py hold the others, one_gpu.py those of ours that fill one GPU. Only the standard
library is imported: the planner reads presets. Sources: Moonlight's and MoonViT's published
configuration files with arXiv 2502.16982 and arXiv 2504.07491; SigLIP-SO-400M (arXiv 2303.15343)
for the text tower. The size of Kimi-VL's caption decoder is not published: `tiny-decoder` (81M) is
our choice. The `-proxy` shapes are ours: every mechanism, 2 to 4M together, and a dense decoder of
2M in the place of the LLM with experts.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from curriculum.errors import ValueProblem, nearest
from curriculum.models.counted_shape import CountedShape, fields_of
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.one_gpu import ONE_GPU
from curriculum.models.published_llms import LLMS
from curriculum.models.published_moe import MOES
from curriculum.models.published_vision import VISION
from curriculum.models.shapes import (
    KINDS,
    CaptionerShape,
    DecoderShape,
    ProjectorShape,
    Shape,
    TextTowerShape,
    VitShape,
)

PRESETS: Mapping[str, Shape] = types.MappingProxyType(
    {
        "moonlight-16b-a3b": DecoderShape(
            hidden=2048,
            num_layers=27,
            num_dense_layers=1,
            num_heads=16,
            kv_lora_rank=512,
            q_lora_rank=None,
            qk_nope_head_dim=128,
            qk_rope_head_dim=64,
            v_head_dim=128,
            ffn_dim=11264,
            expert_dim=1408,
            num_experts=64,
            num_shared_experts=2,
            top_k=6,
            routed_scaling=2.446,
            vocab=163_840,
            max_positions=8192,
            rms_eps=1e-5,
            tied_embeddings=False,
        ),
        "moonvit-so400m": VitShape(
            hidden=1152,
            num_layers=27,
            num_heads=16,
            mlp_dim=4304,
            patch=14,
            position_rows=64,
            position_columns=64,
            rope_base=10_000.0,
            merge=2,
            channels=3,
            layer_norm_eps=1e-5,
        ),
        "pixel-shuffle-mlp": ProjectorShape(
            vit_hidden=1152, llm_hidden=2048, merge=2, layer_norm_eps=1e-5
        ),
        "siglip-so400m-text": TextTowerShape(
            hidden=1152,
            num_layers=27,
            num_heads=16,
            mlp_dim=4304,
            vocab=32_000,
            max_positions=64,
            vit_hidden=1152,
            pool_mlp_dim=4304,
            layer_norm_eps=1e-6,
        ),
        "tiny-decoder": CaptionerShape(
            hidden=512,
            num_layers=10,
            num_heads=8,
            mlp_dim=2048,
            vocab=32_000,
            max_positions=64,
            vit_hidden=1152,
            layer_norm_eps=1e-5,
        ),
        "moonlight-proxy": DecoderShape(
            hidden=160,
            num_layers=3,
            num_dense_layers=1,
            num_heads=4,
            kv_lora_rank=64,
            q_lora_rank=None,
            qk_nope_head_dim=16,
            qk_rope_head_dim=16,
            v_head_dim=32,
            ffn_dim=448,
            expert_dim=128,
            num_experts=8,
            num_shared_experts=1,
            top_k=2,
            routed_scaling=1.4,
            vocab=1024,
            max_positions=4096,
            rms_eps=1e-5,
            tied_embeddings=False,
        ),
        "dense-proxy": DenseDecoderShape(
            hidden=160,
            num_layers=6,
            num_heads=4,
            num_kv_heads=2,
            head_dim=40,
            ffn_dim=448,
            gated=True,
            qkv_bias=False,
            qk_norm=False,
            qk_norm_whole=False,
            norm_after=False,
            nope_every=None,
            window=None,
            full_attention_every=None,
            vocab=1024,
            max_positions=4096,
            rms_eps=1e-5,
            tied_embeddings=True,
        ),
        "moonvit-proxy": VitShape(
            hidden=96,
            num_layers=3,
            num_heads=3,
            mlp_dim=384,
            patch=4,
            position_rows=8,
            position_columns=8,
            rope_base=10_000.0,
            merge=2,
            channels=3,
            layer_norm_eps=1e-5,
        ),
        "pixel-shuffle-mlp-proxy": ProjectorShape(
            vit_hidden=96, llm_hidden=160, merge=2, layer_norm_eps=1e-5
        ),
        "siglip-text-proxy": TextTowerShape(
            hidden=96,
            num_layers=2,
            num_heads=3,
            mlp_dim=384,
            vocab=1024,
            max_positions=128,
            vit_hidden=96,
            pool_mlp_dim=384,
            layer_norm_eps=1e-6,
        ),
        "tiny-decoder-proxy": CaptionerShape(
            hidden=96,
            num_layers=2,
            num_heads=3,
            mlp_dim=384,
            vocab=1024,
            max_positions=128,
            vit_hidden=96,
            layer_norm_eps=1e-5,
        ),
        **LLMS,
        **MOES,
        **VISION,
        **ONE_GPU,
    }
)


_USUAL = {"llm": "8B", "vit": "400M", "projector": "30M", "text_tower": "400M", "captioner": "80M"}
"""Parameters of a module of a kind, as an example."""


def shape_of(preset: str, overrides: Mapping[str, object], kind: str | None = None) -> Shape:
    """Shape of a preset with some of its fields replaced; of `kind` others are suggested.

    Raises ValueError with a message for the plan's author: unknown preset or field, a value of
    the wrong type, sizes that do not fit together.

    >>> shape_of("moonlight-proxy", {"num_layers": 2}).num_layers
    2
    """
    if preset not in PRESETS:
        raise ValueProblem(f"unknown preset `{preset}`", _preset_hint(preset, kind))
    base = PRESETS[preset]
    if isinstance(base, CountedShape):
        known = fields_of(base.kind)
    else:
        known = tuple(field.name for field in dataclasses.fields(base))
    return dataclasses.replace(base, **_values(f"preset {preset!r}", type(base), known, overrides))


def _preset_hint(preset: str, kind: str | None) -> str:
    """Name the preset that is written alike, else those of its family, and the way without one."""
    known = [name for name, shape in PRESETS.items() if kind in (None, shape.kind)]
    if near := nearest(preset, known, cutoff=0.8):
        return f"did you mean `{near[0]}`?"
    same = [name for name in known if len(preset) > 3 and name.startswith(preset[:4])]
    one = kind or "llm"
    counts = f"{{kind: {one}, params: {_USUAL[one]}}}"
    return f"there are {', '.join(same or known)}; or say what is known of it: {counts}"


def counted_shape(kind: str, said: Mapping[str, object]) -> CountedShape:
    """Shape of a module without a preset: its kind, its `params`, and what else is known.

    Raises ValueError with a message for the plan's author.

    >>> counted_shape("llm", {"params": 456_000_000_000}).num_params()
    456000000000
    """
    if kind not in KINDS:
        near = nearest(kind, KINDS)
        hint = f"did you mean `{near[0]}`?" if near else "there are " + ", ".join(KINDS)
        raise ValueProblem(f"unknown kind `{kind}`", hint)
    values = _values(f"a {kind} known by counts", CountedShape, fields_of(kind), said)
    if values.get("params") is None:
        raise ValueError(f"a {kind} without a preset is known by its `params`: say how many")
    return CountedShape(**{"kind": kind, **values})


def _values(
    what: str, leaf: type[Shape], known: tuple[str, ...], said: Mapping[str, object]
) -> dict[str, Any]:
    """What was said, as the fields of a shape have it."""
    kinds = typing.get_type_hints(leaf)
    values: dict[str, Any] = {}
    for name, value in said.items():
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near[0]!r}?" if near else f"its fields are {', '.join(known)}"
            raise ValueError(f"{what} has no field {name!r}: {hint}")
        values[name] = _typed(name, value, kinds[name])
    return values


def _typed(name: str, value: object, kind: object) -> object:
    """The value as the field's type, or ValueError; no number is rounded."""
    accepted = typing.get_args(kind) or (kind,)
    if value is None and type(None) in accepted:
        return None
    if bool in accepted or isinstance(value, bool):
        if bool in accepted and isinstance(value, bool):
            return value
        raise ValueError(f"{name} is {value!r}: {_words(accepted)} is needed")
    if float in accepted and isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, int) and int in accepted:
        return value
    raise ValueError(f"{name} is {value!r}: {_words(accepted)} is needed")


def _words(accepted: tuple[object, ...]) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
    return " or ".join(words[kind] for kind in accepted if isinstance(kind, type))
