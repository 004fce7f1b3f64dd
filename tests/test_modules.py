"""Modules as plans say them: presets, sizes beside them, counts alone; and the page's table"""

import json
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curriculum.cli.main import app_for
from curriculum.compile import Compiled, compile_text
from curriculum.cost import known_flops, stage_flops, without_attention
from curriculum.lock import read_lock, with_digests, write_lock
from curriculum.models.counted_shape import CountedShape
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.flops import train_flops_per_token
from curriculum.models.presets import PRESETS
from curriculum.module_words import SIZES
from curriculum.plan import Plan
from curriculum.schema import plan_schema
from curriculum.schema_forms import Json
from curriculum.screen import screen
from curriculum.units import rounded_in_words
from curriculum.usage import epochs
from small import right
from small_plan import small

PAGE = Path(__file__).parents[1] / "docs" / "language" / "modules.md"
COUNTED = "{kind: llm, params: 456B, active_params: 45.9B, hidden: 6144, num_layers: 80, vocab: %s}"


def with_llm(module: str, *changes: tuple[str, str]) -> Compiled:
    return compile_text(small(("{preset: moonlight-proxy}", module), *changes))


def plan_with(module: str, *changes: tuple[str, str]) -> Plan:
    return right(with_llm(module, *changes))


def test_counts_take_suffixes_and_are_a_shape() -> None:
    shape = plan_with(COUNTED % "200_064").modules["llm"].shape
    assert shape == CountedShape(
        kind="llm",
        params=456_000_000_000,
        active_params=45_900_000_000,
        hidden=6144,
        num_layers=80,
        vocab=200_064,
    )
    assert plan_with("{preset: dense-proxy, vocab: 2Ki}").modules["llm"].shape.weights()[
        "embed.weight"
    ] == (2048, 160)


@pytest.mark.parametrize(
    ("module", "rule", "words"),
    [
        ("{vocab: 8}", "missing-key", "names no `preset`"),
        ("{preset: dense-proxy, kind: llm}", "said-twice", "has a kind of its own"),
        ("{kind: lm, params: 8B}", "wrong-value", "`lm` is not one of the words"),
        ("{kind: llm, hidden: 64}", "module-shape", "known by its `params`: say how many"),
        ("{kind: llm, params: unknown}", "module-shape", "params is None: a whole number"),
        ("{kind: llm, params: 1B, merge: 2}", "module-shape", "has no field 'merge'"),
        ("{kind: llm, params: 1B, active_params: 2B}", "module-shape", "is more than params"),
        ("{preset: dense-proxy, num_kv_heads: 3}", "module-shape", "does not divide num_heads 4"),
        ("{preset: smolm2-1.7b}", "module-shape", "unknown preset `smolm2-1.7b`"),
        ("{kind: llm, params: 8B, top_k: 2}", "module-shape", "say `num_experts` too"),
        ("{kind: llm, params: 8B, num_experts: 2, top_k: 4}", "module-shape", "is more than num_"),
        ("{preset: mixtral-8x7b, top_k: 9}", "module-shape", "is more than num_experts 8"),
        ("{preset: mixtral-8x7b, num_kv_heads: 3}", "module-shape", "does not divide num_heads 32"),
        ("{preset: mixtral-8x7b, rope_dim: 130}", "module-shape", "from 4 to head_dim, 128"),
        ("{preset: mixtral-8x7b, rope_dim: 7}", "module-shape", "RoPE turns pairs"),
        ("{preset: mixtral-8x7b, qk_norm_whole: true}", "module-shape", "`qk_norm: true` is mea"),
        ("{preset: mixtral-8x7b, num_dense_layers: 1}", "module-shape", "say both, or neither"),
        ("{preset: glm-4.5, num_dense_layers: 93}", "module-shape", "is more than num_layers 92"),
    ],
)
def test_what_is_refused_says_where_and_what(module: str, rule: str, words: str) -> None:
    found = with_llm(module)
    assert found.plan is None
    first = found.findings[0]
    assert first.rule == rule
    assert words in first.message
    assert first.span is not None
    assert first.span.line == 4


def test_a_module_without_a_preset_is_shown_the_way_out() -> None:
    found = with_llm("{hidden: 8}").findings[0]
    assert found.help == (
        "write {preset: NAME}, or {kind: llm, params: 8B} where only counts are known"
    )


def test_parts_of_counts_can_be_named_and_have_no_number() -> None:
    both = ("train: [llm]", "train: [llm/experts, llm/head]")
    plan = plan_with(COUNTED % "200_064", both)
    assert plan.stage("first").train == ("llm/experts", "llm/head")
    assert "trains llm/experts ?, llm/head ?" in screen(plan)
    refused = with_llm(COUNTED % "200_064", ("train: [llm]", "train: [llm/pool]"))
    assert refused.findings[0].rule == "unknown-part"


def test_a_dense_decoder_has_no_router_to_set() -> None:
    rate = ("    lr: main\n", "    lr: main\n    set: {llm/router: {bias_rate: 1e-3}}\n")
    assert plan_with("{preset: moonlight-proxy}", rate).stage("first").settings
    refused = with_llm("{preset: dense-proxy}", rate)
    assert refused.findings[0].rule == "unknown-setting"
    assert plan_with(COUNTED % "200_064", rate).stage("first").settings


def test_a_tied_decoder_has_no_head_to_train() -> None:
    head = ("train: [llm]", "train: [llm/attention, llm/head]")
    assert with_llm("{preset: dense-proxy}", head).findings[0].rule == "unknown-part"
    plan = plan_with("{preset: dense-proxy, tied_embeddings: false}", head)
    assert plan.stage("first").train == ("llm/attention", "llm/head")


def test_counts_are_priced_by_six_n_and_the_output_says_what_is_left_out() -> None:
    plan = plan_with(COUNTED % "200_064")
    first = plan.stage("first")
    per_token = 6 * (45_900_000_000 - 200_064 * 6144)
    assert stage_flops(plan, first) == {"llm": first.tokens * per_token}
    assert without_attention(plan) == ("llm",)
    line = "without the attention of llm: no heads and layers are said"
    assert line in screen(plan)
    heads = plan_with(COUNTED % "200_064, num_heads: 64")
    assert without_attention(heads) == ()
    assert "without the attention" not in screen(heads)
    assert stage_flops(heads, first)["llm"] == first.tokens * (
        per_token + 6 * 80 * 6144 * 2 * first.at(0).seq_len
    )


def test_a_vit_by_counts_needs_its_merge_to_be_priced() -> None:
    text = """\
plan: eyes
modules: {llm: {preset: dense-proxy}, vit: VIT, projector: {kind: projector, params: 2M}}
optimizers: {adam: {kind: adamw, weight_decay: .1}}
sources: {pairs: {modality: image-text, tokens: 10M, image_share: .5}}
stages:
  only:
    init: {llm: new, vit: new, projector: new}
    tokens: 1Mi
    train: [llm, vit, projector]
    optimizer: adam
    loss: {next_token: 1}
    lr: 1e-3
    seq_len: 1024
    batch: {seqs: 16}
    packing: best-fit
    rope: {llm: {base: 10_000}}
    mixture: {pairs: 1}
"""
    said = "{kind: vit, params: 400M, merge: 2}"
    plan = right(compile_text(text.replace("VIT", said)))
    images = 2**20 // 2
    flops = stage_flops(plan, plan.stage("only"))
    assert flops["vit"] == images * 4 * 6 * 400_000_000
    assert flops["projector"] == images * 6 * 2_000_000
    assert without_attention(plan) == ("vit",)
    whole = "{kind: vit, params: 400M, merge: 2, num_layers: 3, num_heads: 4, head_dim: 16, "
    plan = right(compile_text(text.replace("VIT", whole + "image_patches: 256}")))
    each = 6 * 400_000_000 + 6 * 3 * 4 * 16 * 2 * 256
    assert stage_flops(plan, plan.stage("only"))["vit"] == images * 4 * each
    plan = right(compile_text(text.replace("VIT", "{kind: vit, params: 400M}")))
    total, missing = known_flops(stage_flops(plan, plan.stage("only")))
    assert missing == ("vit",)
    llm = 2**20 * train_flops_per_token(PRESETS["dense-proxy"], 1024)
    assert total == llm + images * 6 * 2_000_000  # a position is a position, however many patches

    # A stage that counts a ViT's patches: without `merge`, nobody knows what it reads of a source.
    only = plan.stage("only")
    blind = replace(only, init={"vit": only.init["vit"]}, train=("vit",), count="vit")
    assert stage_flops(replace(plan, stages=(blind,)), blind) == {
        "vit": blind.tokens * 6 * 400_000_000
    }
    assert epochs(replace(plan, stages=(blind,)))["only"] == {"pairs": None}
    known = {
        **plan.modules,
        "vit": replace(plan.modules["vit"], shape=PRESETS["clip-vit-l-14-336"]),
    }
    counted = replace(plan, stages=(blind,), modules=known)
    assert epochs(counted)["only"] == {"pairs": Fraction(2**20, 10**7) / 2}


@pytest.mark.parametrize(
    "module",
    [
        COUNTED % "200_064",
        "{preset: gemma-2b}",
        "{preset: gemma-2b, head_dim: none, num_heads: 4}",
        "{preset: dense-proxy, qk_norm: true, nope_every: 4, window: 64, full_attention_every: 6}",
        "{preset: kimi-k2, num_layers: 12}",
        "{preset: olmoe-1b-7b, num_layers: 5, routed_scaling: 1, rope_dim: 64}",
        "{preset: glm-4.5-air, num_layers: 2, tied_embeddings: true}",
        "{kind: llm, params: 8B, num_layers: 2, num_experts: 32, top_k: 4}",
    ],
)
def test_a_lock_holds_the_module_and_its_digest_covers_it(module: str) -> None:
    plan = plan_with(module)
    again = read_lock(write_lock(plan), "plan.lock.json")
    assert again.modules == plan.modules
    assert write_lock(again) == write_lock(plan)
    llm = plan.modules["llm"]
    deeper = replace(llm, shape=replace(llm.shape, num_layers=3))  # type: ignore[call-arg]
    assert with_digests(replace(plan, modules={"llm": deeper})).digest != plan.digest


def test_the_plan_as_json_says_what_modules_are(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(small(("{preset: moonlight-proxy}", COUNTED % "200_064")))
    done = CliRunner().invoke(app_for(["plan"]), ["plan", str(file), "--format", "json"])
    assert json.loads(done.stdout)["modules"] == {
        "llm": {
            "preset": None,
            "kind": "llm",
            "params": 456_000_000_000,
            "active_params": 45_900_000_000,
            "experts": None,
            "attention_in_flops": False,
        }
    }
    for llm, experts in (
        ("{preset: qwen3-30b-a3b, num_layers: 2}", (128, 8, 0)),
        ("{kind: llm, params: 8B, num_experts: 32, top_k: 4}", (32, 4, None)),
        ("{kind: llm, params: 8B, num_experts: 8, top_k: 2, num_shared_experts: 0}", (8, 2, 0)),
    ):
        file.write_text(small(("{preset: moonlight-proxy}", llm)))
        done = CliRunner().invoke(app_for(["plan"]), ["plan", str(file), "--format", "json"])
        found = json.loads(done.stdout)["modules"]["llm"]["experts"]
        names = ("num_experts", "top_k", "num_shared_experts")
        assert found == dict(zip(names, experts, strict=True))


def test_every_size_of_a_module_has_its_meaning() -> None:
    leaves = {type(shape) for shape in PRESETS.values()} | {CountedShape}
    sizes = {field.name for leaf in leaves for field in fields(leaf)} - {"kind"}
    assert set(SIZES) == sizes
    assert {leaf.__name__ for leaf in leaves} >= {DenseDecoderShape.__name__}


@pytest.mark.parametrize(
    ("module", "is_right"),
    [
        ({"preset": "qwen2.5-7b", "vocab": "150K", "qk_norm": True, "nope_every": "none"}, True),
        ({"kind": "llm", "params": "456B", "active_params": 45_900_000_000}, True),
        ({"kind": "vit", "params": 4e8, "merge": 2, "source": "a report"}, True),
        ({"preset": "qwen2.5-7c"}, False),
        ({"kind": "llm"}, False),
        ({"preset": "gemma-2b", "kind": "llm", "params": 1}, False),
        ({"preset": "gemma-2b", "hiden": 1}, False),
    ],
)
def test_the_schema_knows_both_ways_to_say_a_module(module: Json, is_right: bool) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = plan_schema()
    validator = jsonschema.Draft202012Validator(schema)
    found = list(validator.iter_errors({"plan": "x", "modules": {"llm": module}}))
    assert (not found) is is_right


def preset_table() -> str:
    """Return the table of presets with their counts, as the page shows it."""
    lines = ["| preset | kind | parameters | active | |", "| --- | --- | --- | --- | --- |"]
    for name, shape in PRESETS.items():
        params, active = (
            rounded_in_words(count, 4) for count in (shape.num_params(), shape.num_active_params())
        )
        counted = "by counts" if isinstance(shape, CountedShape) else ""
        mark = active if active != params else ""
        lines.append(f"| `{name}` | {shape.kind} | {params} | {mark} | {counted} |")
    return "\n".join(lines) + "\n"


def test_the_page_holds_the_table_of_presets() -> None:
    """`PYTHONPATH=tests python tests/test_modules.py` prints it, to paste into the page."""
    assert preset_table() in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    print(preset_table(), end="")
