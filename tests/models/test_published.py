"""Published sizes: parameter counts as the weights' own files, cards and reports have them."""

import pytest
import torch

from curriculum.models.grouped_moe_shape import GroupedMoeShape
from curriculum.models.presets import PRESETS, shape_of

# Weights' files (safetensors metadata) unless said otherwise; no multi-token prediction.
EXACT = {
    "pythia-70m": 70_426_624,  # github.com/EleutherAI/pythia, table
    "pythia-160m": 162_322_944,
    "pythia-410m": 405_334_016,
    "pythia-1b": 1_011_781_632,
    "pythia-1.4b": 1_414_647_808,
    "pythia-2.8b": 2_775_208_960,
    "pythia-6.9b": 6_857_302_016,
    "pythia-12b": 11_846_072_320,
    "smollm-1.7b": 1_711_376_384,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "smollm3-3b": 3_075_098_624,
    "olmo2-1b": 1_484_916_736,
    "olmo2-7b": 7_298_617_344,
    "olmo2-13b": 13_716_198_400,
    "olmo2-32b": 32_234_279_936,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "marin-8b": 8_030_261_248,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-32b": 32_763_876_352,
    "qwen2.5-72b": 72_706_203_648,
    "qwen3-0.6b": 751_632_384 - 151_936 * 1024,  # its files hold the tied head twice
    "qwen3-1.7b": 2_031_739_904 - 151_936 * 2048,  # the same
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "qwen3-32b": 32_762_123_264,
    "mimo-7b": 7_833_409_536 - 210_790_400,  # less its layer of multi-token prediction
    "internlm2.5-7b": 7_737_708_544,
    "internlm2.5-20b": 19_861_149_696,
    "gemma-2b": 2_506_172_416,
    "deepseek-v3": 671_026_419_200 - 58 * 256,  # biases of the routers are no parameters here
    "kimi-k2": 1_026_408_232_448 - 60 * 384,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "mixtral-8x7b": 46_702_792_704,
    "olmoe-1b-7b": 6_919_161_856,
    "qwen2.5-vl-vit": 8_292_166_656 - 7_615_616_512 - 44_574_464,  # of Qwen2.5-VL-7B
}

# Billions as reports round them: all, and active on one token.
REPORTED = {
    "minimax-text-01": (456, 45.9),  # arXiv 2501.08313, abstract
    "deepseek-v3": (671, 37.6),  # arXiv 2412.19437, abstract: 37, without embeddings 35.7
    "kimi-k2": (1026, 32.9),  # arXiv 2507.20534, table 2: 1.04T and 32.6
    "qwen3-30b-a3b": (30.53, 3.353),  # card: 30.5B and 3.3B; without embeddings 29.9B
    "qwen3-235b-a22b": (235.1, 22.19),  # arXiv 2505.09388, abstract and 2: 235B and 22B
    "mixtral-8x7b": (46.7, 12.88),  # arXiv 2401.04088, 1: 47B and 13B
    "olmoe-1b-7b": (6.92, 1.282),  # arXiv 2409.02060, table 1: 6.9B and 1.3B
    "internvit-6b-448": (5.54, 5.54),  # card of InternViT-6B-448px: 5540M
}


@pytest.mark.parametrize("name", EXACT)
def test_the_count_is_the_published_one(name: str) -> None:
    assert PRESETS[name].num_params() == EXACT[name]


@pytest.mark.parametrize("name", REPORTED)
def test_billions_are_the_reported_ones(name: str) -> None:
    counts = PRESETS[name].num_params() / 1e9, PRESETS[name].num_active_params() / 1e9
    assert counts == pytest.approx(REPORTED[name], rel=2e-3)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("qwen3-0.6b", 0.44),
        ("qwen3-1.7b", 1.4),
        ("qwen3-4b", 3.6),
        ("qwen3-8b", 6.95),
        ("qwen3-14b", 13.2),
        ("qwen3-32b", 31.2),
    ],
)
def test_what_the_cards_of_qwen3_count_without_embeddings(name: str, billions: float) -> None:
    found = PRESETS[name].num_params(without_embeddings=True) / 1e9
    assert found == pytest.approx(billions, rel=0.01)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_smallest_pythias_are_what_their_configuration_makes() -> None:
    """Their counts stand in no table of the paper; the others check the way it is counted."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    for name, hidden, layers, heads in (
        ("pythia-14m", 128, 6, 4),
        ("pythia-31m", 256, 6, 8),
        ("pythia-70m", 512, 6, 8),
        ("pythia-1b", 2048, 16, 8),
    ):
        config = GPTNeoXConfig(
            vocab_size=50_304, hidden_size=hidden, num_hidden_layers=layers,
            num_attention_heads=heads, intermediate_size=4 * hidden,
        )  # fmt: skip
        with torch.device("meta"):
            assert count(GPTNeoXForCausalLM(config)) == PRESETS[name].num_params()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("siglip-so400m-14-224", (1152, 27, 16, 4304, 14, 224)),
        ("siglip-so400m-14-384", (1152, 27, 16, 4304, 14, 384)),
        ("siglip-base-16-512", (768, 12, 12, 3072, 16, 512)),
    ],
)
def test_siglip_without_its_pooling_head(name: str, sizes: tuple[int, ...]) -> None:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    hidden, layers, heads, inner, patch, side = sizes
    config = SiglipVisionConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, patch_size=patch, image_size=side, vision_use_head=False,
    )  # fmt: skip
    with torch.device("meta"):
        assert count(SiglipVisionModel(config)) == PRESETS[name].num_params()


def test_other_vision_encoders_are_what_their_configurations_make() -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModel
    from transformers.models.internvl import InternVLVisionConfig, InternVLVisionModel

    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
    clip = CLIPVisionConfig(**sizes, intermediate_size=4096, patch_size=14, image_size=336)
    internvl = InternVLVisionConfig(**sizes, intermediate_size=4096, attention_bias=True)
    with torch.device("meta"):
        assert count(CLIPVisionModel(clip)) == PRESETS["clip-vit-l-14-336"].num_params()
        assert count(InternVLVisionModel(internvl)) == PRESETS["internvit-300m-448"].num_params()


def linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


@pytest.mark.parametrize(
    ("name", "published"), [("glm-4.5", 358_337_791_296), ("glm-4.5-air", 110_468_824_832)]
)
def test_glm_with_its_layer_of_multi_token_prediction(name: str, published: int) -> None:
    """The weights' files have one layer more, with embeddings, head, norms and a join of its own.

    The report (arXiv 2508.06471, table 1) says 355B and 106B, embeddings and head left out.
    """
    shape = PRESETS[name]
    assert isinstance(shape, GroupedMoeShape)
    c, deeper = shape.hidden, shape_of(name, {"num_layers": shape.num_layers + 1})
    own = 2 * c * c + 3 * c + 2 * shape.vocab * c
    biases = shape.num_experts * (shape.num_layers + 1 - shape.num_dense_layers)
    assert deeper.num_params() + own + biases == published
    assert round(shape.num_active_params(without_embeddings=True) / 1e9) in (32, 12)


ROUTED = {
    "vocab_size": 97, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 12, "intermediate_size": 64, "num_experts_per_tok": 2,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
}  # fmt: skip
SMALL = {
    "vocab": 97, "hidden": 48, "num_layers": 3, "num_heads": 4, "num_kv_heads": 2, "head_dim": 12,
    "rope_dim": 12, "num_experts": 4, "top_k": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "preset", "own", "theirs"),
    [
        ("Qwen3Moe", "qwen3-30b-a3b", {"expert_dim": 16},
         {"num_experts": 4, "moe_intermediate_size": 16}),
        ("Mixtral", "mixtral-8x7b", {"expert_dim": 64}, {"num_local_experts": 4}),
        ("Olmoe", "olmoe-1b-7b", {"expert_dim": 64}, {"num_experts": 4}),
        ("Glm4Moe", "glm-4.5", {"expert_dim": 16, "ffn_dim": 64, "num_dense_layers": 1},
         {"n_routed_experts": 4, "moe_intermediate_size": 16, "first_k_dense_replace": 1,
          "attention_bias": True, "use_qk_norm": True}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tied", [False, True])
def test_experts_under_grouped_queries_are_what_their_configuration_makes(
    family: str, preset: str, own: dict[str, int], theirs: dict[str, object], tied: bool
) -> None:
    import transformers

    config = getattr(transformers, f"{family}Config")(**(ROUTED | theirs), tie_word_embeddings=tied)
    with torch.device("meta"):
        model = getattr(transformers, f"{family}ForCausalLM")(config)
    shape = shape_of(preset, SMALL | own | {"tied_embeddings": tied})
    assert count(model) == shape.num_params()
    norms = sum(p.numel() for name, p in model.named_parameters() if "norm" in name)
    assert norms == shape.params_of("norms")
    routers = [p for n, p in model.named_parameters() if n.endswith("mlp.gate.weight")]
    assert sum(p.numel() for p in routers) == shape.params_of("router")


def test_projectors_are_the_linears_they_are_made_of() -> None:
    made = {
        "paligemma-3b-linear": linear(1152, 2048),
        "smolvlm-256m-linear": 16 * 768 * 576,
        "qwen2.5-vl-7b-merger": 1280 + linear(5120, 5120) + linear(5120, 3584),
    }
    for name, wide, hidden in (
        ("internvl2.5-8b-mlp", 4096, 4096),
        ("internvl2.5-26b-mlp", 12_800, 6144),
        ("internvl2.5-78b-mlp", 12_800, 8192),
        ("internvl3-8b-mlp", 4096, 3584),
    ):
        made[name] = 2 * wide + linear(wide, hidden) + linear(hidden, hidden)
    assert {name: PRESETS[name].num_params() for name in made} == made


def test_parts_of_a_published_vlm_add_up() -> None:
    """SmolVLM-256M, by its weights' file: a vocabulary grown to 49,280, and an untied head."""
    llm = shape_of("smollm2-135m", {"vocab": 49_280, "tied_embeddings": False})
    others = (PRESETS["siglip-base-16-512"], PRESETS["smolvlm-256m-linear"])
    assert llm.num_params() + sum(shape.num_params() for shape in others) == 256_484_928


def test_presets_for_one_gpu_have_about_the_size_of_their_name() -> None:
    assert round(PRESETS["dense-350m"].num_params() / 1e6) == 354
    assert round(PRESETS["dense-1b"].num_params() / 1e6) == 1076
