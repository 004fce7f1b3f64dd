"""The caption of the FLOPs says what they count: each sentence is tried on what `cost` prices."""

from pathlib import Path

from curriculum.compile import compile_file, compile_text
from curriculum.cost import stage_flops
from curriculum.cost_words import CONVENTION, convention_lines, missing_lines
from curriculum.models.flops import flops_params
from curriculum.plan import Plan
from curriculum.screen import screen
from curriculum.simulate.stage_table import table_of_stages
from small_plan import SMALL, small

PLANS = Path(__file__).parents[1] / "plans"
WHOLE = "attention of llm: a token sees the whole context, other documents and later tokens too"


def plan_of(text: str) -> Plan:
    plan = compile_text(text).plan
    assert plan is not None
    return plan


def local(window: str) -> Plan:
    said = f"llm: {{preset: dense-proxy, window: {window}, full_attention_every: 3}}"
    return plan_of(small(("llm: {preset: moonlight-proxy}", said)))


def attention(plan: Plan, stage: str) -> int:
    """FLOPs of a trained stage less 6 N: what is left is attention."""
    here = plan.stage(stage)
    flops = stage_flops(plan, here)["llm"]
    assert flops is not None
    return flops - 6 * flops_params(plan.modules["llm"].shape) * here.tokens


def test_full_attention_is_priced_over_the_whole_context() -> None:
    plan = plan_of(SMALL)
    assert convention_lines(plan) == [CONVENTION, WHOLE]
    of_a_token = [attention(plan, name) / plan.stage(name).tokens for name in ("first", "second")]
    assert of_a_token[1] == 2 * of_a_token[0]  # contexts of 128 and 256


def test_windows_are_priced_as_windows() -> None:
    plan = local("64")
    assert convention_lines(plan)[1] == f"{WHOLE}; in 4 of 6 layers a window of 64"
    of_a_token = [attention(plan, name) / plan.stage(name).tokens for name in ("first", "second")]
    assert of_a_token[0] / of_a_token[1] == (2 * 128 + 4 * 64) / (2 * 256 + 4 * 64)


def test_images_have_the_size_of_their_grid_and_what_is_not_known_is_left_out() -> None:
    kimi = compile_file(PLANS / "kimi-vl.yaml").plan
    qwen = compile_file(PLANS / "qwen2.5-vl-7b.yaml").plan
    intern = compile_file(PLANS / "internvl2.5-8b.yaml").plan
    assert kimi is not None
    assert qwen is not None
    assert intern is not None
    assert convention_lines(kimi)[2] == (
        "attention of vit: a patch sees an image of 64 x 64 patches at most"
    )
    assert convention_lines(qwen)[1:] == [
        WHOLE, "without the attention of vit: no heads and layers are said"
    ]  # fmt: skip
    assert convention_lines(intern)[2] == (
        "attention of vit: a patch sees an image of 1,024 patches at most"
    )


def test_screen_and_table_show_the_caption() -> None:
    plan = local("64")
    for text in (screen(plan), table_of_stages(plan)):
        joined = " ".join(text.split())
        assert all(line in joined for line in convention_lines(plan))
        assert max(map(len, text.splitlines())) <= 100


SEEING = small(
    (
        "  llm: {preset: moonlight-proxy}",
        "  llm: {preset: moonlight-proxy}\n  vit: {preset: moonvit-proxy}\n"
        "  projector: {preset: pixel-shuffle-mlp-proxy}",
    ),
    ("init: {llm: new}", "init: {llm: new, vit: new, projector: new}"),
    ("  code: {modality: text,", "  code: {modality: image-text,"),
)


def test_what_is_missing_names_the_sources_that_could_say_it() -> None:
    lines = [
        "+: and more, not known of projector, vit",
        "say the `image_share` of code: how much of them is images",
    ]
    plan = plan_of(SEEING)
    assert missing_lines(plan) == lines
    for text in (screen(plan), table_of_stages(plan)):
        assert all(line in text for line in lines)
    said = SEEING.replace("modality: image-text,", "modality: image-text, image_share: .5,")
    assert missing_lines(plan_of(said)) == []
