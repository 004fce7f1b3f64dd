"""Proxies of proxies, overlays over proxies, and what `--set` does to a scale"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from curriculum.cli.plan_json import plan_json
from curriculum.compile import Compiled, compile_file, compile_text
from curriculum.screen import screen
from small import BASE, WARM, plan_in, right, tree
from strategies import Tree, enlarged, plans, text_of

SMALLER = "{tokens: 1/16, seqs: 1/2, seq_len: 1/2}"
FLAT = {"shape": "constant", "from": "1e-3"}
STEPS = [WARM, {"shape": "constant", "until": "step 60"}, {"shape": "linear", "to": 0}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")  # one for all examples, whose files replace each other


def stacked(folder: Path, *texts: str, settings: tuple[str, ...] = ()) -> Compiled:
    """Compile plans, each extending the one before."""
    for i, text in enumerate(texts):
        below = f"extends: {i - 1}.yaml\n" if i else ""
        (folder / f"{i}.yaml").write_text(below + text)
    return compile_file(folder / f"{len(texts) - 1}.yaml", settings)


def corners(found: Compiled, stage: str = "base") -> list[int]:
    """Return the steps at which the LR of a stage goes over to another piece."""
    curve = right(found).stage(stage).lr["llm"]
    assert curve is not None
    return [piece.first_step for piece in curve.pieces]


def base_text(**more: Any) -> str:
    return text_of(tree({"base": {**BASE, **more}}, schedules={"main": STEPS}))


# What an overlay says above a scale is as it says


def test_an_overlay_over_a_proxy_counts_its_steps_as_the_proxy_does(tmp_path: Path) -> None:
    proxy = f"scale: {SMALLER}\nschedules.main[0].for: 8 steps\n"
    for overlay in ("plan: other\n", "seed: 3\n", "scale: {tokens: 1}\n"):
        found = stacked(tmp_path, base_text(), proxy, overlay)
        # 100 steps became 25; step 60 of them is step 15, and the 8 steps are the proxy's own.
        assert corners(found) == [0, 8, 15]


def test_a_proxy_of_a_proxy_keeps_the_shares_of_each_plan_that_says_steps(tmp_path: Path) -> None:
    proxy = f"scale: {SMALLER}\nschedules.main[0].for: 8 steps\n"
    half = stacked(tmp_path, base_text(), proxy, "scale: {tokens: 1/2}\n")
    # 25 steps become 13: 8 of them 4.16, 60 of 100 become 7.8.
    assert right(half).stage("base").steps == 13
    assert corners(half) == [0, 4, 8]
    same_steps = stacked(tmp_path, base_text(), proxy, "scale: {tokens: 1/5, seqs: 1/5}\n")
    assert corners(same_steps) == [0, 8, 15]


def test_a_budget_that_an_overlay_says_changes_no_share(tmp_path: Path) -> None:
    # The proxy's 4,000 tokens were 25 steps, 8,000 are 50: a tenth stays a tenth.
    for texts, said in (
        ((f"scale: {SMALLER}\nstages.base.tokens: 8_000\n",), ()),
        ((f"scale: {SMALLER}\n", "stages.base.tokens: 8_000\n"), ()),
        ((f"scale: {SMALLER}\n",), ("stages.base.tokens=8_000",)),
    ):
        found = stacked(tmp_path, base_text(), *texts, settings=said)
        assert right(found).stage("base").steps == 50
        assert corners(found) == [0, 5, 30]


def test_a_batch_that_an_overlay_says_changes_no_share(tmp_path: Path) -> None:
    said = ("stages.base.batch={seqs: 1}", "stages.base.seq_len=16")
    found = stacked(tmp_path, base_text(), f"scale: {SMALLER}\n", settings=said)
    assert right(found).stage("base").steps == 250
    assert corners(found) == [0, 25, 150]


def test_steps_and_sequences_below_are_the_tokens_that_they_are_there(tmp_path: Path) -> None:
    free = {k: v for k, v in BASE.items() if k != "tokens"}
    batch = [{"seqs": 10, "until": "step 40"}, {"seqs": 20}]
    for budget in ({"steps": 70}, {"seqs": 1000}, {"until": "step 70"}):
        text = text_of(tree({"base": {**free, **budget, "batch": batch}}))
        found = stacked(
            tmp_path, text, f"scale: {SMALLER}\n", settings=("stages.base.batch[1]={seqs: 5}",)
        )
        stage = right(found).stage("base")
        assert stage.budget.tokens == 4000  # 64,000 / 16, whatever the overlay's batch is
        assert [(p.first_step, p.batch_seqs) for p in stage.batch.pieces] == [(0, 5), (10, 5)]
    nested = stacked(tmp_path, text, f"scale: {SMALLER}\n", "scale: {tokens: 1/2}\n")
    assert right(nested).stage("base").budget.tokens == 2000
    assert [p.first_step for p in right(nested).stage("base").batch.pieces] == [0, 5]  # 40 of 70


def test_a_stage_with_a_siblings_text_keeps_that_siblings_shares(tmp_path: Path) -> None:
    free = {k: v for k, v in BASE.items() if k != "tokens"}
    own = [WARM, {"shape": "linear", "to": 0}]
    text = text_of(tree({"base": {**free, "steps": 100, "lr": own}}))
    more = "stages.other: {extends: base, seed: 1}\n"
    found = stacked(tmp_path, text, f"scale: {SMALLER}\n{more}")
    assert right(found).stage("other").budget.tokens == 4000
    assert corners(found, "other") == corners(found) == [0, 3]
    # Also where the plan below has a stage of that name, and all of it was replaced.
    text = text_of(tree({"base": {**free, "steps": 100}, "other": {**BASE, "seed": 1}}))
    found = stacked(tmp_path, text, f"scale: {SMALLER}\n{more}")
    assert right(found).stage("other").budget.tokens == 4000


def test_a_share_of_a_stage_that_is_not_below_is_refused(tmp_path: Path) -> None:
    more = {k: v for k, v in BASE.items() if k != "init"}
    new = {"plan": "x", "stages.new": {**more, "init": {"llm": "new"}, "seed": 1}}
    found = stacked(tmp_path, base_text(), f"scale: {SMALLER}\n" + text_of(new))
    (error,) = found.errors
    assert error.rule == "share-unknown"
    assert error.message == (
        "10 steps are from below a `scale`, where they are a share of stage `new`, and how many "
        "steps that has there is unknown"
    )
    assert error.help == "say it in the overlay"


NOT_BELOW: dict[str, tuple[Tree, str]] = {
    "a curve": ({"tokens": "unknown", "lr": STEPS}, "tokens=4_000"),
    "a timescale": (
        {"tokens": "unknown", "lr": [{"shape": "rsqrt", "from": 1, "timescale": "9 steps"}]},
        "tokens=4_000",
    ),
    "a gate": ({"tokens": "unknown", "gate": {"when": "seen", "least": "9 steps"}}, "tokens=4_000"),
    "a budget": ({"steps": 100, "seq_len": "unknown"}, "seq_len=32"),
    "a mark on the path": ({"until": "step 100", "seq_len": "unknown"}, "seq_len=32"),
    "a mark of the batch": (
        {"tokens": "unknown", "batch": [{"seqs": 10, "until": "step 5"}, {"seqs": 20}]},
        "tokens=4_000",
    ),
}


@pytest.mark.parametrize("what", NOT_BELOW)
def test_steps_of_a_stage_that_is_unknown_below_are_refused(tmp_path: Path, what: str) -> None:
    said, setting = NOT_BELOW[what]
    base = {k: v for k, v in BASE.items() if k != "tokens"} | {"lr": [FLAT]} | said
    found = plan_in(tmp_path, f"scale: {SMALLER}\n", {"base": base}, f"stages.base.{setting}")
    assert {error.rule for error in found.errors} == {"share-unknown"}, found.errors


@pytest.mark.parametrize(
    "stage",
    [
        {**BASE, "init": "base@step 10", "carry": "all", "lr": [FLAT]},
        {"init": {"average": "base", "last": 3, "every": "5 steps"}},
    ],
)
def test_marks_of_a_stage_that_is_unknown_below_are_refused(tmp_path: Path, stage: Tree) -> None:
    stages = {"base": {**BASE, "tokens": "unknown", "lr": [FLAT]}, "late": stage}
    found = plan_in(tmp_path, f"scale: {SMALLER}\n", stages, "stages.base.tokens=4_000")
    assert {error.rule for error in found.errors} == {"share-unknown"}, found.errors


# Properties


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans())
def test_scales_over_scales_are_one_scale(folder: Path, drawn: Tree) -> None:
    full = text_of(enlarged(drawn, 8, 8))
    once = stacked(folder, full, "scale: {tokens: 1/64, seqs: 1/8, seq_len: 1/8}\n")
    twice = stacked(
        folder,
        full,
        "scale: {tokens: 1/4, seqs: 1/2}\n",
        "scale: {tokens: 1/16, seqs: 1/4, seq_len: 1/8}\n",
    )
    assert right(twice) == right(once) == right(compile_text(text_of(drawn)))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans(), st.data())
def test_an_override_is_the_same_in_the_proxy_over_it_and_on_the_command_line(
    folder: Path, drawn: Tree, data: st.DataObject
) -> None:
    full, scale = text_of(enlarged(drawn, 8, 8)), "scale: {tokens: 1/64, seqs: 1/8, seq_len: 1/8}\n"
    sized = [n for n, s in drawn["stages"].items() if isinstance(s.get("tokens"), int)]
    assume(sized)
    name = data.draw(st.sampled_from(sized))
    before = drawn["stages"][name]["tokens"]
    tokens = data.draw(st.sampled_from([before, 2 * before, before // 2, 10 * before]))
    key = f"stages.{name}.tokens"
    inside = stacked(folder, full, f"{scale}{key}: {tokens}\n")
    above = stacked(folder, full, scale, f"{key}: {tokens}\n")
    said = stacked(folder, full, scale, settings=(f"{key}={tokens}",))
    assert inside.plan == above.plan == said.plan
    assert len(inside.errors) == len(above.errors) == len(said.errors)
    if tokens == before:  # what the scale makes of it
        assert right(inside) == right(compile_text(text_of(drawn)))


# `--set scale`


@pytest.mark.parametrize(
    ("setting", "tokens"),
    [
        ("scale.tokens=1/8", 8_000),
        (f"scale={SMALLER}", 4_000),
        ("scale.seq_len=1/4", 16_000),
        ("scale=~", 64_000),
    ],
)
def test_a_setting_changes_the_scale_of_the_file(tmp_path: Path, setting: str, tokens: int) -> None:
    proxy = "scale: {tokens: 1/4}\n"
    found = stacked(tmp_path, base_text(), proxy, settings=(setting,))
    assert right(found).stage("base").budget.tokens == tokens
    above = stacked(tmp_path, base_text(), proxy, "seed: 1\n", settings=("scale.tokens=1/2",))
    assert right(above).stage("base").budget.tokens == 8_000
    both = ("stages.base.tokens=6_400", "scale.tokens=1/8")
    assert right(stacked(tmp_path, base_text(), proxy, settings=both)).stage("base").steps == 10


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("scale=0.001", "`scale` takes factors; write {tokens: 1/8_000_000, seqs: 1/128, "),
        ("scale.tokns=1/2", "`scale` has no factor `tokns`; did you mean `tokens`?"),
        ("scale.tokens=0", "a factor is positive; write 1/1000"),
        ("scale.tokens=[1]", "a factor is a number; write 1/1000"),
        (
            "extends=x.yaml",
            "`extends` belongs in a plan file; write a plan that says `extends: x.y",
        ),
    ],
)
def test_a_wrong_setting_of_a_scale_says_what_to_write(
    tmp_path: Path, setting: str, message: str
) -> None:
    (error,) = stacked(tmp_path, base_text(), "scale: {seqs: 1/2}\n", settings=(setting,)).errors
    assert message in str(error)
    assert error.span is not None
    assert error.span.file == f"--set {setting}"


@pytest.mark.parametrize(
    ("setting", "scale"),
    [
        ("scale.tokens=1/2", "{tokens: 1/2}"),
        ("scale={tokens: 1/2, seqs: 1/5}", "{tokens: 1/2, seqs: 1/5}"),
        ("scale=0.001", "{tokens: 1/8_000_000, seqs: 1/128, seq_len: 1/64}"),
    ],
)
def test_a_scale_of_a_plan_that_extends_none_leads_to_a_plan_that_works(
    tmp_path: Path, setting: str, scale: str
) -> None:
    (error,) = stacked(tmp_path, base_text(), settings=(setting,)).errors
    assert error.rule == "scale-without-extends"
    assert error.help == f"write a plan that says `extends: 0.yaml` and `scale: {scale}`"
    found = stacked(tmp_path, text_of(enlarged(tree({"base": BASE}), 128, 64)), f"scale: {scale}\n")
    assert not any(error.rule.startswith("scale") for error in found.errors)


# What a proxy says of the values that it takes from below

BELOW: Tree = {
    "init": {"llm": "new"},
    "tokens": "!assumed 64_000",
    "mixture": {"a": "!assumed .75", "b": ".25"},
    "seq_len": "!derived 64",
}


def listed(found: Compiled, kind: str) -> dict[str, tuple[str, str | None]]:
    values = right(found).provenance
    return {e.path.removeprefix("stages."): (e.value, e.below) for e in values if e.kind == kind}


def test_a_proxy_lists_what_it_changes_with_what_stands_below(tmp_path: Path) -> None:
    # 70 steps become 18: of 60 of them 15.43, of 20 of them 5.14.
    steps = [{**WARM, "for": "!assumed 10 steps"}, *STEPS[1:]]
    average = {"average": "base", "last": 2, "every": "20 steps"}
    stages = {
        "base": {**BASE, **BELOW, "batch": [{"seqs": 10, "until": "step 40"}, {"seqs": 20}]},
        "next": {**BASE, "init": "base@32_000", "carry": "all", "seed": 1, "lr": [FLAT]},
        "avg": {"init": average},
    }
    found = plan_in(tmp_path, f"scale: {SMALLER}\n", stages, schedules={"main": steps})
    assert listed(found, "scaled") == {
        "sources.a.tokens": ("187.5K", "3M"),
        "sources.b.tokens": ("62.5K", "1M"),
        "schedules.main[0].for": ("3 steps", "10 steps"),
        "schedules.main[1].until": ("15 steps", "step 60"),
        "base.tokens": ("4K", "64_000"),
        "base.seq_len": ("32", "64"),
        "base.batch[0].seqs": ("5", "10"),
        "base.batch[0].until": ("1.6K", "step 40"),
        "base.batch[1].seqs": ("10", "20"),
        "next.init": ("base@step 12", "base@32_000"),
        "next.tokens": ("4K", "64000"),
        "next.seq_len": ("32", "64"),
        "next.batch.seqs": ("5", "10"),
        "avg.init.every": ("5 steps", "20 steps"),
    }
    # Assumed and derived values are told as they are here.
    assert listed(found, "assumed") == {
        "schedules.main[0].for": ("3 steps", "10 steps"),
        "base.tokens": ("4K", "64_000"),
        "base.mixture.a": (".75", None),
    }
    assert listed(found, "derived") == {"base.seq_len": ("32", "64")}


def test_a_proxy_lists_what_it_keeps_constants_of_optimizers_too(tmp_path: Path) -> None:
    overlay = f"scale: {SMALLER}\nstages.base.tokens: 8_000\nstages.base.mixture: {{a: 1}}\n"
    kept = listed(plan_in(tmp_path, overlay, {"base": {**BASE, "seed": 4}}), "kept")
    assert kept["optimizers.adam.weight_decay"] == (".1", None)
    assert kept["optimizers.adam.beta2"] == ("0.95", None)  # a default there, and here
    assert kept["schedules.main[0].to"] == ("1e-3", None)
    assert kept["base.rope.llm.base"] == ("50_000", None)
    assert kept["base.loss.next_token"] == ("1", None)
    # What the overlay says is neither scaled nor kept, and a seed is no number.
    assert not {"base.tokens", "base.mixture.a", "base.seed"} & kept.keys()
    own = "optimizers: {adam: {kind: adamw, weight_decay: .1}}\n"
    kept = listed(plan_in(tmp_path, overlay + own, {"base": BASE}), "kept")
    assert not [path for path in kept if path.startswith("optimizers")]


def test_the_screen_and_the_json_tell_what_a_proxy_keeps(tmp_path: Path) -> None:
    found = plan_in(tmp_path, f"scale: {SMALLER}\n", {"base": BASE})
    words = screen(right(found))
    assert "base.tokens 4K (64000)" in words
    assert "optimizers.adam.beta1 0.9,\n           optimizers.adam.beta2 0.95" in words
    assert "base.mixture" not in words
    proxy = plan_json(found, None)["proxy"]
    (tokens,) = (e for e in proxy["scaled"] if e["path"] == "stages.base.tokens")
    assert (tokens["value"], tokens["below"]) == ("4K", "64000")
    assert {e["path"]: e["value"] for e in proxy["kept"]}["stages.base.mixture.a"] == ".75"
    assert plan_json(compile_text(base_text()), None)["proxy"] is None
    assert not listed(compile_text(base_text()), "kept")
