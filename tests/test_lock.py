import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from curriculum.compile import compile_file, compile_text
from curriculum.data import draws, stream
from curriculum.digest import ORDER
from curriculum.errors import CurriculumError, FindingsError
from curriculum.lock import prefix_digest, read_lock, with_digests, write_lock
from curriculum.plan import Plan, Stage
from curriculum.units import decimal_words, parse_exact
from strategies import Tree, changed, leaves, plans, text_of

ROOT = Path(__file__).parents[1]
KIMI = ROOT / "plans" / "kimi-vl.yaml"
drawn = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def compiled(tree: Tree) -> Plan:
    found = compile_text(text_of(tree))
    assert found.plan is not None, found.findings
    return found.plan


def kimi(*settings: str) -> Plan:
    found = compile_file(KIMI, settings)
    assert found.plan is not None, found.findings
    return found.plan


# Round trip


@drawn
@given(plans())
def test_a_lock_reads_back_as_the_same_plan_and_the_same_bytes(tree: Tree) -> None:
    plan = compiled(tree)
    text = write_lock(plan)
    again = read_lock(text, "x.lock.json")
    assert again == plan
    assert write_lock(again) == text
    assert [s.at(5).lr for s in again.stages] == [s.at(5).lr for s in plan.stages]


def test_the_lock_of_the_seed_plan_is_small_and_deterministic() -> None:
    text = write_lock(kimi())
    assert text == write_lock(kimi())
    assert read_lock(text, "kimi-vl.lock.json") == kimi()
    assert text.isascii()
    assert text.endswith("}\n")
    assert len(text) < 64_000  # pieces, not steps
    assert "plans/" not in text  # no place on a machine


def test_a_plan_with_unknown_stages_and_values_reads_back() -> None:
    plan = kimi("stages.joint.tokens=unknown", "stages.text.loss={next_token: unknown}")
    # In the order of the graph, which is not the order of the names.
    assert [u.name for u in plan.unknown] == ["joint", "cooldown", "long-32k", "long-128k"]
    again = read_lock(write_lock(plan), "x")
    assert again == plan
    assert again.stage("text").at(0).loss == {"next_token": None}


def test_exact_numbers_of_any_length_read_back() -> None:
    for value in (parse_exact("1/3"), parse_exact("0.1") ** 150, parse_exact("1/3") ** 90):
        assert parse_exact(decimal_words(value)) == value


# What a digest sees


@drawn
@given(plans(), st.randoms(use_true_random=False))
def test_digests_are_blind_to_order_comments_tags_and_source(tree: Tree, random: Random) -> None:
    plain, dressed = compiled(tree), compile_text(text_of(tree, dressing=random)).plan
    assert dressed is not None
    assert dressed.provenance != plain.provenance or not dressed.provenance
    assert dressed == plain
    assert dressed.digest == plain.digest
    assert write_lock(dressed) == write_lock(plain)


SWAPS = {
    "linear": "sqrt", "sqrt": "linear", "cosine": "linear", "exponential": "linear",
    "all": "none", "none": "all", "up": "down", "down": "up", "true": "false",
    "muon": "adam", "text": "image-text", "image-text": "text", "rest": "0",
    "towers": "main", "anneal": "main",
}  # fmt: skip


def another(value: Any) -> Any:
    """Return another value that may stand in the same place, or the same if none is known."""
    if isinstance(value, int):
        return value + (value & -value or 1)
    if found := re.fullmatch(r"(\d+)(%| steps)", value):
        return f"{int(found[1]) + 1}{found[2]}"
    if re.fullmatch(r"[\d_]+", value):
        return int(value) + 1
    if re.fullmatch(r"[\d.e/-]+", value):
        return decimal_words(parse_exact(value) * 3 / 4)
    return SWAPS.get(value, value)


def is_fact(path: tuple[str | int, ...]) -> bool:
    """Say whether a value tells what is so and changes nothing that a run does."""
    facts = {"status", "target_seq_len", "layout", "gate"}
    return bool(facts.intersection(path)) or "checkpoint" in path


def test_a_digest_changes_when_any_value_does() -> None:
    seen: set[str] = set()

    @settings(max_examples=250, suppress_health_check=list(HealthCheck))
    @given(plans(), st.data())
    def holds(tree: Tree, data: st.DataObject) -> None:
        path, value = data.draw(st.sampled_from(list(leaves(tree))))
        new = another(value)
        assume(new != value)
        plan, other = compiled(tree), compile_text(text_of(changed(tree, path, new))).plan
        assume(other is not None)
        assert other is not None
        if is_fact(path) and plan != other and plan.digest == other.digest:
            return
        # A plan holds what its stages use: an unused schedule, or `restart` of a clock that
        # nobody rode before, is no part of it.
        assert (plan.digest == other.digest) == (plan == other), (path, value, new)
        seen.update(str(p) for p in path if plan != other)

    holds()
    assert {"modules", "optimizers", "sources", "schedules", "stages"} - seen <= {"modules"}
    assert len(seen) > 25  # keys of all kinds were changed


VALUES = {
    "seed": "1",
    "modules.llm": "{preset: moonlight-16b-a3b, rms_eps: 1e-6}",
    "modules.captioner": "{preset: tiny-decoder-proxy}",
    "optimizers.muon.update_rms": ".3",
    "optimizers.muon.weight_decay": ".2",
    "optimizers.muon.ns_steps": "6",
    "optimizers.muon.llm/norms.beta1": ".8",
    "optimizers.muon": "{kind: adamw, weight_decay: .1}",
    "sources.web.tokens": "7T",
    "sources.web.modality": "image-text",
    "sources.web.holdout": "1%",
    "sources.web.max_epochs": "4",
    "sources.captions.image_share": ".5",
    "schedules.pretrain": "[{shape: constant, from: 1e-4}]",
    "stages.siglip.checkpoint.weights": "new",
    "stages.text.tokens": "5.1T",
    "stages.text.round": "down",
    "stages.text.loss.next_token": "2",
    "stages.text.set": "{llm/router: {bias_rate: 2e-3}}",
    "stages.text.seq_len": "4096",
    "stages.text.batch": "{seqs: 4096}",
    "stages.text.rope.llm.base": "50_001",
    "stages.text.mixture": "{web: .6, code: .15, knowledge: .25}",
    "stages.long-128k.seed": "3",
    "stages.vit-coca.optimizer": "other",
    "stages.vit-align.train": "[projector]",
    "stages.vit-align.lr.scale": ".2",
    "stages.vit-align.lr.jump": "true",
    "stages.joint.carry": "none",
    "stages.cooldown.init": "joint@1.3T",
}
FIRST = {
    "seed": "text",
    "modules.llm": "text",
    "optimizers.muon.update_rms": "text",
    "sources.captions.image_share": "vit-coca",
    "stages.siglip.checkpoint.weights": "vit-coca",
    "stages.vit-align.train": "vit-align",
    "stages.vit-align.lr.scale": "vit-align",
    "stages.joint.carry": "joint",
    "stages.cooldown.init": "cooldown",
}


@pytest.mark.parametrize("key", VALUES)
def test_every_value_of_the_seed_plan_is_covered(key: str) -> None:
    other = {"stages.vit-coca.optimizer": "optimizers.other={kind: adamw, weight_decay: 0}"}
    before = kimi(*([other[key]] if key in other else []))
    after = kimi(*([other[key]] if key in other else []), f"{key}={VALUES[key]}")
    assert after != before
    assert after.digest != before.digest
    if key in FIRST:
        pairs = zip(before.stages, after.stages, strict=True)
        assert next(b.name for b, a in pairs if b.digest != a.digest) == FIRST[key]


@pytest.mark.parametrize(
    "settings",
    [
        ("source=another page",),
        ("sources.web.path=/data/web",),
        ("stages.text.source=a page",),
        ("stages.siglip.checkpoint.path=siglip.safetensors",),
        ("seed=0", "stages.text.tokens=!derived 5_200B", "stages.text.seq_len=8Ki"),
        ("stages.vit-coca.batch={seqs: !conflict [4096, 2048]}",),
        ("schedules.unused=[{shape: constant, from: 1}]",),
    ],
)
def test_what_is_no_mathematics_is_not_covered(settings: tuple[str, ...]) -> None:
    assert kimi(*settings).digest == kimi().digest


def test_the_digests_that_change_are_those_of_the_stage_and_its_descendants() -> None:
    before, after = kimi(), kimi("stages.vit-align.tokens=0.11T")
    pairs = zip(before.stages, after.stages, strict=True)
    assert [b.name for b, a in pairs if b.digest == a.digest] == ["text", "vit-coca"]


def stands(stage: Stage) -> Stage:
    return replace(stage, digest="")


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(plans(), st.data())
def test_a_stage_digest_changes_if_and_only_if_it_or_an_ancestor_did(
    tree: Tree, data: st.DataObject
) -> None:
    in_stages = [(p, v) for p, v in leaves(tree) if p[0] in ("stages", "schedules")]
    path, value = data.draw(st.sampled_from(in_stages))
    new = another(value)
    assume(new != value)
    plan, other = compiled(tree), compile_text(text_of(changed(tree, path, new))).plan
    assume(other is not None)
    assert other is not None
    for stage in plan.stages:
        twin = other.stage(stage.name)
        mine = {s.name: step for s, step in plan.ancestors(stage.name)} | {stage.name: 0}
        if all(stands(plan.stage(n)) == stands(other.stage(n)) for n in mine):
            assert stage.digest == twin.digest, (path, new)
        if read(stage, stage.steps) != read(twin, twin.steps):
            assert stage.digest != twin.digest, (path, new)


def read(stage: Stage, steps: int) -> list[Any]:
    """Everything that the first steps of a stage read."""
    nows = [stage.at(step) for step in range(steps)]
    return [
        [(n.lr, n.loss, n.settings, n.shares, n.batch_seqs, n.seq_len) for n in nows],
        stage.rope, stage.optimizer, stage.train, stage.init,
    ]  # fmt: skip


# Of a parent left at a mark, only the part up to the mark counts


MARKED = """
plan: marked
modules: {llm: {preset: moonlight-proxy}}
optimizers: {adam: {kind: adamw, weight_decay: .1}}
sources: {a: {modality: text, tokens: 1B}, b: {modality: text, tokens: 1B}}
stages:
  base:
    init: {llm: new}
    tokens: 128_000
    train: [llm]
    optimizer: adam
    loss: {next_token: [{shape: constant, from: 1, until: 60%}, {shape: linear, to: .5}]}
    lr: [{shape: linear, from: 0, to: 1e-3, for: 10 steps}, {shape: constant, until: 64_000},
         {shape: linear, to: 0}]
    seq_len: 64
    batch: [{seqs: 10, until: step 120}, {seqs: 20}]
    packing: best-fit
    rope: {llm: {base: 50_000}}
    mixture:
      a: [{shape: constant, from: .5, until: 70%}, {shape: linear, to: 1}]
      b: rest
  child:
    init: base@50_000
    keep: base
    carry: all
    lr: [{shape: linear, from: current, to: 0}]
    tokens: 64_000
"""


def marked(old: str = "", new: str = "") -> Plan:
    assert old in MARKED
    found = compile_text(MARKED.replace(old, new, 1) if old else MARKED)
    assert found.plan is not None, found.findings
    return found.plan


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tokens: 128_000", "tokens: 128_500"),  # longer
        ("until: 60%", "until: 65%"),  # a held value ends later, after the mark
        ("to: .5}", "to: .25}"),
        ("until: 64_000", "until: 65_000"),
        ("to: 0}]\n    seq_len", "to: 1e-5}]\n    seq_len"),
        ("until: step 120", "until: step 121"),
        ("{seqs: 20}", "{seqs: 30}"),
        ("until: 70%", "until: 75%"),
        ("to: 1}", "to: .9}"),
    ],
)
def test_what_a_parent_does_after_the_mark_does_not_touch_the_child(old: str, new: str) -> None:
    before, after = marked(), marked(old, new)
    assert before.stage("base").digest != after.stage("base").digest
    assert before.stage("child").digest == after.stage("child").digest
    assert before.digest != after.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed", "seed"),
        ("to: 1e-3", "to: 2e-3"),
        ("for: 10 steps", "for: 11 steps"),
        ("{seqs: 10", "{seqs: 9"),
        ("from: .5", "from: .4"),
        ("{next_token: [{shape: constant, from: 1", "{next_token: [{shape: constant, from: 2"),
        ("weight_decay: .1", "weight_decay: .2"),
        ("base: 50_000}}\n", "base: 60_000}}\n"),
        ("init: base@50_000", "init: base@50_640"),
        ("until: step 120", "until: step 60"),
    ],
)  # fmt: skip
def test_what_a_parent_does_before_the_mark_touches_the_child(old: str, new: str) -> None:
    before = marked()
    after = marked("plan: marked", "plan: marked\nseed: 4") if old == "seed" else marked(old, new)
    assert before.stage("child").digest != after.stage("child").digest


def test_a_prefix_digest_covers_the_steps_before_it() -> None:
    plan = marked()
    base = plan.stage("base")
    start = plan.stage("child").init["llm"]
    assert (start.stage, start.step) == ("base", 79)  # 79 steps of 640 tokens reach 50,000
    assert prefix_digest(plan, "base", base.steps) == base.digest
    prefixes = [prefix_digest(plan, "base", step) for step in range(base.steps + 1)]
    # A prefix changes where something new begins to be read: LR at 10 and 100, a, b, loss, batch.
    starts = [step for step in range(1, base.steps + 1) if prefixes[step] != prefixes[step - 1]]
    assert starts[:3] == [1, 11, 101]
    assert prefix_digest(marked("tokens: 128_000", "tokens: 128_500"), "base", 79) == prefixes[79]


def test_a_long_chain_of_many_modules_is_digested_in_linear_time() -> None:
    plan = kimi()
    last = plan.stage("long-128k")
    chain = list(plan.stages)
    for i in range(40):
        parent = chain[-1]
        init = {m: replace(s, stage=parent.name, step=3) for m, s in last.init.items()}
        chain.append(replace(last, name=f"x-{i}", init=init))
    assert len({s.digest for s in with_digests(replace(plan, stages=tuple(chain))).stages}) == 47


# Locks that are none


def refusal(text: str) -> str:
    with pytest.raises(FindingsError) as caught:
        read_lock(text, "x.lock.json")
    (found,) = caught.value.diagnostics
    assert found.rule == "broken-lock"
    assert found.help == "regenerate: curriculum plan FILE -o LOCK"
    return str(found)


def test_an_edited_lock_is_refused() -> None:
    lock = json.loads(write_lock(marked()))
    lock["stages"][0]["lr"]["llm"][1][5] = "0.002"
    assert "it was edited by hand" in refusal(json.dumps(lock))


def test_no_key_of_a_lock_may_be_missing() -> None:
    whole = json.loads(write_lock(marked()))
    for key in whole:
        if key not in ("seed",):
            assert "the lock cannot be read" in refusal(
                json.dumps({k: v for k, v in whole.items() if k != key})
            )


def test_a_lock_whose_stage_names_no_parent_is_refused() -> None:
    lock = json.loads(write_lock(marked()))
    lock["stages"] = lock["stages"][1:]
    assert "not a lock of this program" in refusal(json.dumps(lock))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[]", "not a lock of this program"),
        ("{}", "not a lock of this program"),
        ("[" * 100_000, "not a lock of this program"),
        (
            '{\n<<<<<<< ours\n"plan": 1\n=======\n"plan": 2\n>>>>>>> theirs\n}',
            "x.lock.json:2:1: error[broken-lock]: the lock cannot be read: it holds conflict mark",
        ),
        ('{"a": "<<<<<<< ours"}', "not a lock of this program"),
    ],
)
def test_what_is_no_lock_is_refused_with_a_place(text: str, words: str) -> None:
    assert words in refusal(text)


def test_a_lock_names_the_data_order_of_this_program() -> None:
    assert f"{draws.VERSION} {stream.VERSION}" == ORDER


def test_a_lock_of_another_format_or_data_order_is_refused() -> None:
    text = write_lock(marked())
    with pytest.raises(CurriculumError, match="a lock of format 2, this reads 1"):
        read_lock(text.replace('"format": 1', '"format": 2'), "x")
    with pytest.raises(CurriculumError, match="made for data order edf-0"):
        read_lock(text.replace('"order": "edf-1', '"order": "edf-0'), "x")
