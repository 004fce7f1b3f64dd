"""Misspelt words, and words of other trainers: one message, and the word that was meant"""

import pytest

from curriculum.compile import compile_text
from curriculum.errors import nearest
from small_plan import SMALL

FAMILY = (
    SMALL
    + """\
  third:
    init: second
    keep: second
    carry: all
    tokens: 500K
    mixture: {old: {ratio: 50%, of: {replay: first}}, new: {ratio: rest, of: {web: 1}}}
  soup:
    init: {average: [second, third]}
"""
)
CURVE = "- {shape: linear, from: 0, to: 1e-3, for: 10 steps}\n    - {shape: cosine, to: 10%}"
BUDGETS = "`tokens: 5.2T`, `steps: 2000`, `seqs: 558K`, `epochs: 2` or `until: 6.6T`"


def told(old: str, new: str) -> str:
    """Return the one finding of the plan with one text replaced: its message and help."""
    assert old in FAMILY
    (found,) = compile_text(FAMILY.replace(old, new, 1)).findings
    return f"{found.message}; {found.help}"


def test_the_family_is_fine() -> None:
    assert compile_text(FAMILY).plan is not None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("init: first", "init: frist", "there is no stage `frist` to start from; "
         "did you mean `first`?"),
        ("init: first", "init: {lm: first}", "there is no module `lm`; did you mean `llm`?"),
        ("init: first", "parents: [first]", "stage `second` has no key `parents`; "
         "did you mean `init`?"),
        ("init: first", "from: first", "stage `second` has no key `from`; did you mean `init`?"),
        ("keep: first", "keep: frist", "there is no stage `frist` to keep; did you mean `first`?"),
        ("keep: first", "keep: xyz", "there is no stage `xyz` to keep; keep its ancestor: first"),
        ("carry: all", "carry: [lm]", "no parent leaves optimizer state for `lm`; "
         "did you mean `llm`?"),
        ("carry: all", "carry: al", "no parent leaves optimizer state for `al`; "
         "did you mean `all`?"),
        ("replay: first", "replay: frist", "there is no stage `frist` with a mixture to replay; "
         "did you mean `first`?"),
        ("[second, third]", "[second, thrid]", "there is no stage `thrid` to start from; "
         "did you mean `third`?"),
        ("{average: [second, third]}", "{select: thrid, of: [second, third]}", "`thrid` is none of "
         "the candidates `second`, `third`, as they are written; did you mean `third`?"),
        ("    init: second\n    keep: second\n", "    extends: secnd\n",
         "no stage `secnd` to copy the text of; did you mean `second`?"),
        ("lr: main", "lr: mian", "there is no schedule `mian`; did you mean `main`?"),
        ("lr: main", "lr: cosine", "there is no schedule `cosine`; write a curve, "
         "{shape: cosine, from: 3e-4, to: 3e-5}, or name a schedule"),
        ("lr: main", "lr: curent", "there is no schedule `curent`; "
         "write {shape: constant, from: current} for the rate that the parent left"),
        ("lr: main", "lr: {from: 0, to: 1e-3}", "a piece says its `shape`; one of constant, "
         "linear, cosine, sqrt, power, inverse, exponential, rsqrt, half_life"),
        ("train: [llm]", "train: [lm]", "stage `first` trains `lm` and has no such module; "
         "did you mean `llm`?"),
        ("lr: main", "lr: main\n    count: lm", "the stage has no module `lm` to count; "
         "did you mean `llm`?"),
        ("rope: {llm: {base: 10_000}}", "rope: {lm: {base: 10_000}}",
         "stage `first` has no module `lm`; did you mean `llm`?"),
        ("{base: 10_000}", "{theta: 10_000}", "`rope` has no key `theta`; did you mean `base`?"),
        ("packing: best-fit", "paking: best-fit", "stage `first` has no key `paking`; "
         "did you mean `packing`?"),
        ("lr: main", "learning_rate: main", "stage `first` has no key `learning_rate`; "
         "did you mean `lr`?"),
        ("tokens: 1M\n", "budget: 1M\n", "stage `first` has no key `budget`; "
         "did you mean `tokens`?"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_told_once_with_the_right_one(old: str, new: str, expected: str) -> None:
    assert told(old, new) == expected


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ("{seqs: {from: 4, to: 16}, until: 500K}", "this ramp does not say in which steps it goes; "
         "add `by: 16` for equal increments, or `shape: linear, multiple_of: 768`"),
        ("{seqs: {from: 4, to: 16, shape: linear}, until: 500K}",
         "a linear ramp says what its sizes are a `multiple_of`; add `multiple_of: 768`"),
        ("{seqs: {from: 4, to: 16, multiple_of: 4}, until: 500K}",
         "a ramp with `multiple_of` says its `shape`; add `shape: linear`"),
        ("{seqs: {from: 4, to: 16, shape: cosine, multiple_of: 4}, until: 500K}",
         "`cosine` is not one of the words for this; known: linear"),
        ("{seqs: {from: 4, to: 16, by: 4}}", "a ramp says `until` which mark it runs; "
         "add `until: 469B`; after the last piece the batch stays where its ramp ended"),
        ("{from: 4, to: 16, by: 4, until: 500K}", "a ramp of the batch stands in `seqs` or "
         "`tokens`; write {seqs: {from: 16, to: 2048, by: 16}, until: 469B}"),
        ("{seqs: 16, until: 500K}", "nothing follows this piece of the batch, and it says `until`; "
         "leave `until` out, or add a piece: [{seqs: 2048, until: 200B}, {seqs: 4096}]"),
        ("[{seqs: 4}, {seqs: 16}]", "another piece of the batch follows, and this one says no "
         "`until`; add `until: 200B`"),
        ("[{seqs: 4, for: 500K}, {seqs: 16}]", "a batch has no key `for`; did you mean `until`?"),
        ("{seqs: [{from: 4, to: 16}]}", "the pieces of a batch are mappings of their own; "
         "batch: [{seqs: 2048, until: 200B}, {seqs: 4096}]"),
        ("{batch_size: 16}", "a batch has no key `batch_size`; did you mean `seqs`?"),
        ("{}", "a batch says `seqs` or `tokens`; write {seqs: 1024} or {tokens: 4Mi}"),
        ("{seqs: 16, tokens: 2Ki}", "a batch says `seqs` or `tokens`; keep one of them"),
    ],
)  # fmt: skip
def test_what_a_batch_lacks_is_told_truly(batch: str, expected: str) -> None:
    assert told("{seqs: 16}", batch) == expected


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ("cosine", "`cosine` alone is no curve; write {shape: cosine, from: VALUE, to: VALUE}"),
        ("constant", "`constant` alone is no curve; write the value itself: `3e-4`"),
        ("[3e-4]", "a piece of a curve is a mapping; write {shape: constant, from: 3e-4}"),
        ("[cosine]", "a piece of a curve is a mapping; "
         "write {shape: cosine, from: VALUE, to: VALUE}"),
        ("{kind: cosine, from: 1e-3, to: 1e-4}", "a piece has no key `kind`; "
         "did you mean `shape`?"),
        ("[{shape: linear, from: 0, to: 1e-3, steps: 10}, {shape: cosine, to: 0}]",
         "a piece has no key `steps`; did you mean `for`?"),
        ("[{shape: linear, from: curent, to: 1e-3}]", "`curent` is not a number; "
         "did you mean `current`?"),
        ("[{shape: linear, from: 0, to: 1e-3}, {shape: cosine, to: 0}]", "only one piece of a "
         "curve may be open; let the others say `for` or `until`: `for: 2000 steps`"),
    ],
)  # fmt: skip
def test_what_a_curve_lacks_is_told_truly(curve: str, expected: str) -> None:
    assert told(CURVE, curve) == expected


def test_a_missing_budget_lists_how_it_may_be_said() -> None:
    assert told("    tokens: 1M\n", "") == (
        f"stage `first` does not say its budget; say how much it reads: {BUDGETS}"
    )
    assert told("    tokens: 500K\n", "") == (
        f"stage `second` does not say its budget; say how much it reads: {BUDGETS}"
    )


def test_keep_is_advised_where_there_is_something_to_keep() -> None:
    assert told("    packing: best-fit\n", "") == (
        "stage `first` does not say `packing`; say it: none of this has a default"
    )
    text = FAMILY.replace("    keep: first\n    carry: all\n    tokens: 500K\n", "    carry: all\n")
    found = next(f for f in compile_text(text).findings if f.rule == "missing-key")
    assert found.help == (
        "say it, or `keep: ANCESTOR` to leave it as that stage left it; "
        f"how much it reads is {BUDGETS}"
    )


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("n_layers", "did you mean 'num_layers'?"),
        ("num_hidden_layers", "did you mean 'num_layers'?"),
        ("hidden_size", "did you mean 'hidden'?"),
        ("num_key_value_heads", "did you mean 'num_kv_heads'?"),
        ("tie_word_embeddings", "did you mean 'tied_embeddings'?"),
        ("num_experts", "its fields are hidden, num_layers, "),
        ("colour", "its fields are hidden, num_layers, "),
    ],
)
def test_a_size_that_a_preset_lacks_is_named_where_one_is_near(field: str, hint: str) -> None:
    found = told("{preset: moonlight-proxy}", f"{{preset: olmo2-7b, {field}: 3}}")
    assert f"preset 'olmo2-7b' has no field '{field}': {hint}" in found


def test_a_preset_that_is_not_there_is_told_with_its_family_and_the_way_without_one() -> None:
    found = told("moonlight-proxy", "qwenlong-l1-32b")
    assert "unknown preset `qwenlong-l1-32b`; there are qwen2.5-0.5b, " in found
    assert "olmo" not in found
    assert "qwen2.5-vl" not in found, "a ViT and a projector are no LLMs"
    assert "or say what is known of it: {kind: llm, params: 8B}" in found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("init: {llm: new}", "init: new", "`init` says module by module what is new; "
         "write {llm: new}"),
        ("init: {llm: new}", "init: {llm: scratch}", "there is no stage `scratch` to start from; "
         "did you mean `new`?"),
        ("{preset: moonlight-proxy}", "moonlight-proxy", "a module is a mapping; "
         "write {preset: moonlight-proxy}"),
        ("{modality: text, tokens: 10M}", "10M", "a source is a mapping; "
         "write {modality: text, tokens: 10M}"),
        ("loss: {next_token: 1}", "loss: next_token", "`loss` is a mapping; "
         "write {next_token: 1}"),
        ("{next_token: 1}", "{cross_entropy: 1}", "`cross_entropy` is not one of the words for "
         "this; did you mean `next_token`?"),
        ("rope: {llm: {base: 10_000}}", "rope: {base: 10_000}", "`rope` is said by module; "
         "write {llm: {base: 10_000}}"),
        ("{llm: {base: 10_000}}", "{llm: 10_000}", "the RoPE of a module is a mapping; "
         "write {base: 10_000}"),
        ("{web: .75, code: .25}", "web", "a mixture is a mapping; write {web: 1}"),
        ("batch: {seqs: 16}", "batch: 16", "a batch is a mapping; "
         "write {seqs: 16} for sequences, {tokens: 16} for tokens"),
        ("{kind: adamw, weight_decay: .1}", "adamw", "an optimizer is a mapping; "
         "write {kind: adamw}"),
        ("weight_decay: .1", "weight_decay: .1, lr: 1e-3", "adamw has no value `lr`; "
         "a stage says its learning rate: `lr: SCHEDULE`"),
        ("carry: all", "carry: true", "no parent leaves optimizer state for `true`; "
         "did you mean `all`?"),
        ("plan: small", "plan: GLM 4.5", "`GLM 4.5` is not a name of a plan; write `glm-4.5`"),
        ("{shape: cosine, to: 10%}", "{shape: cosine, to: 10%, until: end}",
         "`end` is not a mark; leave it out: without a mark it is the end"),
        ("[second, third]", "[second, third@final]",
         "`final` is not a mark; leave it out: without a mark it is the end"),
    ],
)  # fmt: skip
def test_what_a_first_plan_gets_wrong_is_written_out(old: str, new: str, expected: str) -> None:
    assert told(old, new) == expected


def test_a_plan_without_optimizers_or_sources_says_how_they_are_declared() -> None:
    for section, end, expected in (
        ("optimizers:", "sources:", "add it below `optimizers`: adam: {kind: adamw, weight_decay"),
        ("sources:", "schedules:", "add it below `sources`: web: {modality: text, tokens: 1T}"),
    ):
        start = SMALL.index(section)
        text = SMALL[:start] + SMALL[SMALL.index(end, start) :]
        helps = [f.help or "" for f in compile_text(text).findings]
        assert any(help.startswith(expected) for help in helps), helps


def test_no_word_is_suggested_for_one_that_is_not_like_it() -> None:
    known = ["num_layers", "full_attention_every", "repeat", "times", "all"]
    for word in ("num_experts", "num_attention_heads", "peak", "stage", "x", ""):
        assert nearest(word, known) == []
