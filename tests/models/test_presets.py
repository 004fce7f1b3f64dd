"""Presets: published counts, laptop sizes, and what is refused, in words."""

import dataclasses
import json
import subprocess
import sys

import pytest

from curriculum.errors import ValueProblem
from curriculum.models.counted_shape import USUAL_PARTS, CountedShape
from curriculum.models.presets import PRESETS, counted_shape, shape_of
from curriculum.models.shapes import KINDS, DecoderShape, VitShape

PROXIES = [n for n in PRESETS if n.endswith("-proxy") and n != "dense-proxy"]
BUILT = {name: shape for name, shape in PRESETS.items() if not isinstance(shape, CountedShape)}
"""Those with all their sizes."""


def test_moonlight_has_the_published_counts() -> None:
    moonlight = PRESETS["moonlight-16b-a3b"]
    assert moonlight.num_params(without_embeddings=True) == 15_289_019_904  # 15.289B
    assert moonlight.num_active_params(without_embeddings=True) == 2_243_685_888  # 2.244B
    assert round(moonlight.num_params() / 1e9, 2) == 15.96
    assert round(moonlight.num_active_params() / 1e9, 2) == 2.91


def test_the_vision_side_has_the_published_counts() -> None:
    assert round(PRESETS["moonvit-so400m"].num_params() / 1e6) == 417
    assert round(PRESETS["pixel-shuffle-mlp"].num_params() / 1e6, 1) == 30.7
    tower = PRESETS["siglip-so400m-text"].params_by_part()
    # SigLIP-SO-400M's text model: 449.7M, its image pooling head 15.2M.
    assert round((sum(tower.values()) - tower["pool"]) / 1e6, 1) == 449.7
    assert round(PRESETS["tiny-decoder"].num_params() / 1e6) == 81


def test_proxies_are_small_together_and_have_every_mechanism() -> None:
    assert len(PROXIES) == 5
    assert 2_000_000 <= sum(PRESETS[name].num_params() for name in PROXIES) <= 4_000_000
    llm, vit = PRESETS["moonlight-proxy"], PRESETS["moonvit-proxy"]
    assert isinstance(llm, DecoderShape)
    assert isinstance(vit, VitShape)
    assert llm.num_experts >= 8
    assert llm.top_k == 2
    assert llm.num_shared_experts == 1
    assert llm.is_dense(0)
    assert not llm.is_dense(1)
    assert llm.kv_lora_rank < llm.hidden
    assert vit.patch == 4
    assert vit.merge == 2


def test_the_dense_proxy_is_as_small_as_the_one_with_experts() -> None:
    dense = PRESETS["dense-proxy"]
    assert dense.num_params() == 1_916_960
    assert dense.parts() == ("embeddings", "norms", "attention", "ffn")
    assert shape_of("dense-proxy", {"tied_embeddings": False}).parts()[-1] == "head"


@pytest.mark.parametrize("name", BUILT)
def test_parts_add_up(name: str) -> None:
    shape = PRESETS[name]
    assert sum(shape.params_by_part().values()) == shape.num_params()
    assert tuple(shape.params_by_part()) == shape.parts()
    assert shape.num_active_params() <= shape.num_params()
    assert json.loads(json.dumps(dataclasses.asdict(shape)))


def test_decoder_parts() -> None:
    assert PRESETS["moonlight-proxy"].parts() == (
        "embeddings", "norms", "attention", "ffn", "router", "experts", "head",
    )  # fmt: skip


def test_overrides() -> None:
    shape = shape_of("moonlight-proxy", {"vocab": 512, "q_lora_rank": 32, "routed_scaling": 2})
    assert isinstance(shape, DecoderShape)
    assert (shape.vocab, shape.q_lora_rank, shape.routed_scaling) == (512, 32, 2.0)
    assert PRESETS["moonlight-proxy"] == shape_of("moonlight-proxy", {})


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("moonlit-proxy", {}, "unknown preset `moonlit-proxy`"),
        ("moonvit-proxy", {"hiden": 96}, "no field 'hiden': did you mean 'hidden'"),
        ("moonvit-proxy", {"hidden": "96"}, "hidden is '96': a whole number is needed"),
        ("moonvit-proxy", {"hidden": 96.0}, "hidden is 96.0: a whole number is needed"),
        ("moonvit-proxy", {"hidden": True}, "hidden is True: a whole number is needed"),
        ("moonvit-proxy", {"num_layers": 0}, "num_layers is 0: at least 1"),
        ("moonvit-proxy", {"num_heads": 5}, "num_heads 5 does not divide hidden 96"),
        ("moonvit-proxy", {"num_heads": 16}, "needs a multiple of 4"),
        ("moonvit-proxy", {"rope_base": float("nan")}, "rope_base is nan: a positive, finite"),
        ("moonlight-proxy", {"top_k": 9}, "top_k 9 is more than num_experts 8"),
        ("moonlight-proxy", {"num_dense_layers": 9}, "num_dense_layers 9 is more than"),
        ("moonlight-proxy", {"qk_rope_head_dim": 7}, "RoPE turns pairs"),
        ("moonlight-proxy", {"q_lora_rank": "x"}, "a whole number or null is needed"),
        ("moonlight-proxy", {"tied_embeddings": 1}, "tied_embeddings is 1: true or false"),
        ("moonlight-proxy", {"tied_embeddings": True}, "only false is built"),
        ("dense-proxy", {"num_kv_heads": 3}, "num_kv_heads 3 does not divide num_heads 4"),
        ("dense-proxy", {"head_dim": 7}, "RoPE turns pairs"),
        ("dense-proxy", {"qk_norm_whole": True}, "says how `qk_norm: true` is meant"),
        ("dense-proxy", {"full_attention_every": 4}, "needs a `window`"),
        ("dense-proxy", {"nope_every": 0}, "nope_every is 0: at least 1"),
        ("gemma-2b", {"ffn_dim": 4}, "no field 'ffn_dim': its fields are params, active_params"),
        ("gemma-2b", {"active_params": 3_000_000_000}, "more than params 2506172416"),
    ],
)
def test_mistakes_are_told(preset: str, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shape_of(preset, overrides)


@pytest.mark.parametrize(
    ("kind", "said", "message"),
    [
        ("lm", {}, "unknown kind `lm`"),
        ("llm", {"hidden": 64}, "is known by its `params`: say how many"),
        ("llm", {"params": 1.5}, "params is 1.5: a whole number is needed"),
        ("llm", {"params": 0}, "params is 0: at least 1"),
        ("llm", {"params": 100, "vocab": 50, "hidden": 2}, "vocab x hidden is 100: no less than"),
        (
            "llm",
            {"params": 1, "merge": 2},
            "no field 'merge': its fields are params, active_params",
        ),
        ("vit", {"params": 1, "vocab": 2}, "a vit known by counts has no field 'vocab'"),
        ("projector", {"params": 1, "num_heads": 2}, "has no field 'num_heads'"),
    ],
)
def test_mistakes_in_counts_are_told(kind: str, said: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        counted_shape(kind, said)


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_all_that_is_known(kind: str) -> None:
    shape = counted_shape(kind, {"params": 1000})
    assert (shape.num_params(), shape.num_active_params()) == (1000, 1000)
    assert shape.parts() == USUAL_PARTS[kind]
    assert {shape.params_of(part) for part in shape.parts()} == {None}
    for preset in PRESETS.values():  # parts that presets of the kind have can be named
        assert preset.kind != kind or set(preset.parts()) <= set(shape.parts())


def test_embeddings_of_counts_are_left_out_where_they_are_known() -> None:
    said: dict[str, object] = {"params": 1000, "vocab": 50, "hidden": 4}
    assert counted_shape("llm", said).num_params(without_embeddings=True) == 600
    tied = counted_shape("llm", said | {"tied_embeddings": True, "active_params": 700})
    assert tied.num_active_params(without_embeddings=True) == 500
    assert counted_shape("text_tower", said).num_params(without_embeddings=True) == 800


def test_no_array_library_is_loaded() -> None:
    code = (
        "import sys, curriculum.models.presets, curriculum.models.flops; "
        "print({'torch', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_kind_or_preset_that_is_not_there_comes_with_what_was_meant() -> None:
    for kind, expected in (
        ("lm", "did you mean `llm`?"),
        ("zzz", "there are llm, vit, projector, text_tower, captioner"),
    ):
        with pytest.raises(ValueProblem, match="unknown kind") as caught:
            counted_shape(kind, {})
        assert caught.value.help == expected
    with pytest.raises(ValueProblem, match="unknown preset `moonlite-proxy`") as caught:
        shape_of("moonlite-proxy", {})
    assert caught.value.help == "did you mean `moonlight-proxy`?"
    with pytest.raises(ValueProblem) as caught:
        shape_of("zzz", {})
    assert str(caught.value.help).startswith("there are moonlight-16b-a3b")
