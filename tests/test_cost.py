from dataclasses import replace
from fractions import Fraction

from curriculum.cost import gradient, image_positions, known_flops, stage_flops
from curriculum.models.flops import Gradient, flops_params, train_flops_per_token
from curriculum.models.presets import PRESETS
from simulate.plans import full_plan, laptop_plan

LLM = PRESETS["moonlight-16b-a3b"]
VIT = PRESETS["moonvit-so400m"]


def test_a_text_stage_costs_6n_and_attention_for_each_token() -> None:
    plan = full_plan()
    text = plan.stage("text")
    per_token = 6 * flops_params(LLM) + 3 * 2 * 27 * 16 * (192 + 128) * 8192
    assert stage_flops(plan, text) == {"llm": text.tokens * per_token}


def test_an_unknown_share_of_images_is_none_and_never_zero() -> None:
    plan = full_plan(image_share=None)
    flops = stage_flops(plan, plan.stage("joint"))
    assert flops["vit"] is None
    assert flops["projector"] is None
    assert known_flops(flops) == (flops["llm"], ("projector", "vit"))


def test_each_image_position_is_four_patches() -> None:
    plan = full_plan(image_share=Fraction(1, 2))
    cooldown = plan.stage("cooldown")
    images = image_positions(plan, cooldown)
    assert images == cooldown.tokens * Fraction(2, 5) / 2
    flops = stage_flops(plan, cooldown)
    assert flops["vit"] == int(4 * images * train_flops_per_token(VIT, 64 * 64))
    mlp = PRESETS["pixel-shuffle-mlp"]
    assert flops["projector"] == int(images * train_flops_per_token(mlp, 0))


def test_a_stage_that_counts_the_vit_reads_patches() -> None:
    plan = full_plan()
    coca = plan.stage("vit-coca")
    flops = stage_flops(plan, coca)
    assert flops == {
        "vit": coca.tokens * train_flops_per_token(VIT, 4096),
        "text_tower": None,
        "captioner": None,
    }


def test_a_frozen_llm_passes_the_gradient_on_and_saves_its_own() -> None:
    plan = full_plan(image_share=Fraction(1))
    align = plan.stage("vit-align")
    shapes = {name: plan.modules[name].shape for name in align.modules}
    assert gradient(align, "llm", shapes) is Gradient.THROUGH
    assert gradient(align, "vit", shapes) is Gradient.TRAINED
    flops = stage_flops(plan, align)
    assert flops["llm"] == align.tokens * train_flops_per_token(LLM, 8192, Gradient.THROUGH)

    alone = replace(align, train=("llm",))
    assert gradient(alone, "vit", shapes) is Gradient.NONE
    assert gradient(alone, "projector", shapes) is Gradient.NONE
    middle = replace(align, train=("projector",))
    assert gradient(middle, "vit", shapes) is Gradient.NONE
    assert gradient(middle, "llm", shapes) is Gradient.THROUGH
    part = replace(align, train=("llm/embeddings",))
    assert gradient(part, "llm", shapes) is Gradient.THROUGH


def test_a_longer_context_costs_more_attention() -> None:
    plan = full_plan(image_share=Fraction(0))
    short, long = (plan.stage(name) for name in ("long-32k", "long-128k"))
    assert short.tokens == long.tokens
    a, b = (stage_flops(plan, stage)["llm"] for stage in (short, long))
    assert a is not None
    assert b is not None
    per_token = 3 * 2 * 27 * 16 * (192 + 128) * (131_072 - 32_768)
    assert b - a == short.tokens * per_token


def test_a_small_vit_sees_images_of_its_own_grid() -> None:
    plan = laptop_plan()
    coca = plan.stage("vit-coca")
    vit = PRESETS["moonvit-proxy"]
    assert stage_flops(plan, coca)["vit"] == coca.tokens * train_flops_per_token(vit, 64)
