import re
from pathlib import Path

import pytest

from curriculum.compile import Compiled, compile_file, compile_text
from curriculum.errors import CurriculumError
from curriculum.merge import merged_text, read_plan_text
from curriculum.nodes import shown
from small import BASE, plan_in, right
from small_plan import SMALL, small
from strategies import text_of


def merged(folder: Path, *texts: str, settings: tuple[str, ...] = ()) -> str:
    """Put plans together, each extending the one before."""
    for i, text in enumerate(texts):
        below = f"extends: {i - 1}.yaml\n" if i else ""
        (folder / f"{i}.yaml").write_text(below + text)
    plan = read_plan_text(folder / f"{len(texts) - 1}.yaml", settings)
    assert plan.problems == []
    return shown(plan.root)


def rules(found: Compiled) -> list[str]:
    return [f.rule for f in found.findings]


def test_an_overlay_replaces_whole_keys(tmp_path: Path) -> None:
    assert merged(tmp_path, "a: {b: 1, c: 2}\nd: 3\n", "a: {b: 4}\n") == "{d: 3, a: {b: 4}}"


def test_a_dotted_key_reaches_below(tmp_path: Path) -> None:
    base = "a: {b: {c: 1, d: 2}, e: 3}\n"
    assert merged(tmp_path, base, "a.b.c: 9\n") == "{a: {e: 3, b: {d: 2, c: 9}}}"
    assert merged(tmp_path, base, "a.b.new: 9\n") == "{a: {e: 3, b: {c: 1, d: 2, new: 9}}}"
    assert merged(tmp_path, base + "a.e: 4\n") == "{a: {b: {c: 1, d: 2}, e: 4}}"


def test_where_nothing_is_to_reach_into_a_key_stays_dotted(tmp_path: Path) -> None:
    # It changes what the stage keeps, and the stage does not say it.
    assert (
        merged(tmp_path, "s: {keep: t}\n", "s.rope.llm.base: 8\n")
        == "{s: {keep: t, rope.llm.base: 8}}"
    )
    both = merged(tmp_path, "s: {rope.llm.base: 7}\n", "s.rope.llm.base: 8\n")
    assert both == "{s: {rope.llm.base: 8}}"


def test_a_whole_key_replaces_what_dotted_keys_said_below_it(tmp_path: Path) -> None:
    base = "s: {keep: t, rope.llm.base: 7}\n"
    assert (
        merged(tmp_path, base, "s.rope: {llm: {base: 8}}\n")
        == "{s: {keep: t, rope: {llm: {base: 8}}}}"
    )


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_keys_means_nothing(tmp_path: Path, order: int) -> None:
    lines = ["a.b.c: 9\n", "a: {b: {c: 1}, d: 2}\n", "a.b: {c: 3}\n"][::order]
    assert merged(tmp_path, "a: {b: 0}\n", "".join(lines)) == "{a: {d: 2, b: {c: 9}}}"


def test_null_deletes(tmp_path: Path) -> None:
    assert merged(tmp_path, "a: {b: 1, c: 2}\nd: 3\n", "a.b: null\nd: ~\n") == "{a: {c: 2}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "mixture:\nseed: 1\n",
            "1:1: error[empty-value]: `mixture` holds nothing; write its value",
        ),
        ("a: {b: [1, ]}\nc:\n  -\n", "3:4: error[empty-value]: this item holds nothing"),
        ("a: ~\n", "1:1: error[empty-value]: `a: null` deletes nothing: no plan below says it"),
        (
            "stages: {x: {extends: y, a: ~, b: }, y: {a: 1}}\n",
            "1:32: error[empty-value]: `b` holds",
        ),
        ("stages: {x: {extends: y, c: ~}, y: {a: 1}}\n", "1:26: error[empty-value]: `c: null` del"),
        ("a: {b: 1}\na.c: null\n", "2:1: error[empty-value]: `c: null` deletes nothing"),
    ],
)
def test_what_holds_nothing_is_an_error(text: str, expected: str) -> None:
    problems = merged_text(text, "x.yaml").problems
    assert [str(p)[: len(f"x.yaml:{expected}")] for p in problems] == [f"x.yaml:{expected}"]


def test_an_unknown_key_is_told_of_even_when_it_holds_nothing(tmp_path: Path) -> None:
    for value in ("", " ~", " null"):
        found = compile_text(small(("seed: 1", f"sed:{value}")))
        assert [str(f) for f in found.findings] == [
            "plan.yaml:2:1: error[unknown-key]: a plan has no key `sed`; did you mean `seed`?"
        ]


@pytest.mark.parametrize(
    "key",
    ["init", "tokens", "train", "optimizer", "loss", "lr", "seq_len", "batch", "packing", "rope"],
)
def test_an_empty_key_has_no_follow_ons(key: str) -> None:
    found = compile_text(re.sub(rf"(?m)^    {key}: .*$", f"    {key}:", SMALL, count=1))
    assert [f.message for f in found.findings] == [f"`{key}` holds nothing"]


@pytest.mark.parametrize(
    ("old", "key"),
    [
        ("new}", "llm"), ("moonlight-proxy", "preset"), ("adamw", "kind"), (" 10M", "tokens"),
        (" linear", "shape"), (" 0,", "from"), (" 1e-3", "to"), (" 10 steps", "for"),
        (" 16", "seqs"), (" 10_000", "base"), (" .75", "web"), (" 1}", "next_token"),
    ],
)  # fmt: skip
def test_an_empty_value_in_a_line_has_no_follow_ons(old: str, key: str) -> None:
    found = compile_text(small((old, f" {old[len(old.rstrip('},')) :]}")))
    assert [f.message for f in found.findings] == [f"`{key}` holds nothing"]


@pytest.mark.parametrize("section", ["stages", "schedules", "sources", "optimizers", "modules"])
def test_an_empty_section_has_no_follow_ons(section: str) -> None:
    text = re.sub(rf"(?ms)^{section}:.*?(?=^[a-z]|\Z)", f"{section}:\n", SMALL, count=1)
    assert [f.message for f in compile_text(text).findings] == [f"`{section}` holds nothing"]


def test_a_path_may_reach_into_a_list(tmp_path: Path) -> None:
    base = "a: {b: [{c: 1, d: 2}, 3]}\n"
    assert merged(tmp_path, base, settings=("a.b[0].c=5",)) == "{a: {b: [{d: 2, c: 5}, 3]}}"
    assert merged(tmp_path, base, "a.b[1]: 4\n") == "{a: {b: [{c: 1, d: 2}, 4]}}"
    for setting, expected in (
        ("a.b[2]=4", "`b` has 2 items; the last one is `b[1]`"),
        ("a.b.c=4", "`b` is a list; name its item: `b[0].c`"),
        ("a.b[1].c=4", "`a.b[1].c` reaches below `[1]`, which holds no keys"),
    ):
        problems = read_plan_text(tmp_path / "0.yaml", (setting,)).problems
        assert [str(p) for p in problems] == [f"--set {setting}:1:1: error[dotted-key]: {expected}"]


def test_a_misspelt_name_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(SMALL)
    for setting, expected in (
        ("stages.frist.tokens=3", "there is no stage `frist`; did you mean `first`?"),
        ("schedules.man[0].to=3", "there is no schedule `man`; did you mean `main`?"),
        ("sources.wbe.tokens=3", "there is no source `wbe`; did you mean `web`?"),
    ):
        (finding,) = compile_file(path, [setting]).findings
        assert str(finding) == f"--set {setting}:1:1: error[dotted-key]: {expected}"


@pytest.mark.parametrize("settings", [["seed"], ["=3"], [""], ["seed=1", "seed=2"]])
def test_a_setting_that_sets_nothing_is_a_wrong_use(tmp_path: Path, settings: list[str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(SMALL)
    with pytest.raises(CurriculumError, match="--set") as caught:
        compile_file(path, settings)
    assert caught.value.exit_code == 2


def test_a_stage_may_copy_a_siblings_text(tmp_path: Path) -> None:
    stages = """stages:
  one: {tokens: 1, rope: {llm: {base: 5}}, set: {x: {y: 1}}}
  two: {extends: one, tokens: 2, rope.llm.base: 6, set: null}
  three: {extends: two, tokens: null}
"""
    assert merged(tmp_path, stages) == (
        "{stages: {one: {tokens: 1, rope: {llm: {base: 5}}, set: {x: {y: 1}}}, "
        "two: {tokens: 2, rope: {llm: {base: 6}}}, three: {rope: {llm: {base: 6}}}}}"
    )
    # The sibling as the overlay left it; and an overlay may take `extends` away.
    later = merged(tmp_path, stages, "stages.one.tokens: 9\nstages.three.extends: null\n")
    assert "one: {rope: {llm: {base: 5}}, set: {x: {y: 1}}, tokens: 9}" in later
    assert "three: {}" in later


def test_overlays_stand_on_overlays_and_multiply_their_scales(tmp_path: Path) -> None:
    stages = {"base": {**BASE, "tokens": 640_000, "seq_len": 256, "batch": {"seqs": 20}}}
    plan_in(tmp_path, "scale: {tokens: 1/4, seq_len: 1/2}\n", stages)
    (tmp_path / "third.yaml").write_text(
        "extends: overlay.yaml\nscale: {tokens: 1/2, seqs: 1/2}\nplan: third\n"
    )
    plan = right(compile_file(tmp_path / "third.yaml"))
    stage = plan.stage("base")
    assert (plan.name, stage.budget.tokens) == ("third", 80_000)
    assert (stage.at(0).batch_seqs, stage.at(0).seq_len) == (10, 128)
    assert plan.sources["a"].tokens == 375_000


def test_set_replaces_keys_in_order(tmp_path: Path) -> None:
    base = "a: {b: 1, c: {d: 2}}\n"
    assert merged(tmp_path, base, settings=("a.b=5",)) == "{a: {c: {d: 2}, b: 5}}"
    assert merged(tmp_path, base, settings=("a.c.d=[1, 2]", "a.b=~")) == "{a: {c: {d: [1, 2]}}}"
    assert merged(tmp_path, base, settings=("e={f: g=h}",)) == "{a: {b: 1, c: {d: 2}}, e: {f: g=h}}"


def test_a_setting_that_is_wrong_says_so_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text_of({"plan": "x", "stages": {"a": {"checkpoint": {"gives": []}}}}))
    for setting, rule in (
        ("seed=[1", "yaml-syntax"),
        ("seed=&x 1", "no-anchor"),
        ("plan.name=x", "dotted-key"),
        ("seeed=3", "unknown-key"),
        ("seed=many", "wrong-value"),
    ):
        found = compile_file(path, [setting])
        assert found.plan is None
        assert rules(found) == [rule], setting
        span = found.findings[0].span
        assert span is not None
        assert "--set" in span.file


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("extends: nothing.yaml\n", "extends"),
        ("extends: [a]\n", "extends"),
        ("extends: x.yaml\n", "extends-cycle"),
        ("extends: other.yaml\n", "extends-cycle"),
        ("plan: x\nscale: {tokens: 1/2}\nstages: {}\n", "scale-without-extends"),
        ("plan: x\nstages: {a: {extends: b}}\n", "extends"),
        ("plan: x\nstages: {a: {extends: a}}\n", "extends-cycle"),
        ("plan: x\nstages: {a: {extends: b}, b: {extends: a}}\n", "extends-cycle"),
        ("extends: base.yaml\nscale: {tokns: 1/2}\n", "scale"),
        ("extends: base.yaml\nscale: {tokens: -1}\n", "scale"),
        ("extends: base.yaml\nscale: {tokens: 1/0}\n", "scale"),
        ("extends: base.yaml\nscale: 1/2\n", "scale"),
        ("extends: base.yaml\nseed.x: 1\n", "dotted-key"),
    ],
)
def test_what_cannot_be_put_together_is_refused(tmp_path: Path, text: str, rule: str) -> None:
    (tmp_path / "base.yaml").write_text("plan: base\nseed: 1\nstages: {}\n")
    (tmp_path / "other.yaml").write_text("extends: x.yaml\n")
    (tmp_path / "x.yaml").write_text(text)
    found = compile_file(tmp_path / "x.yaml")
    assert found.plan is None
    assert rule in rules(found)
    assert all(f.span is not None for f in found.findings)


def test_a_finding_in_the_plan_below_names_its_file(tmp_path: Path) -> None:
    found = plan_in(tmp_path, "plan: above\n", {"base": {**BASE, "tokens": "many"}})
    (finding,) = found.findings
    assert finding.span is not None
    assert finding.span.file.endswith("base.yaml")
    with pytest.raises(CurriculumError, match="no such file"):
        compile_file(tmp_path / "none.yaml")


def test_a_text_is_put_together_like_a_file() -> None:
    text = merged_text("a: {b: 1, c: 3}\na.b: 2\na.c: ~\n", "x.yaml")
    assert (shown(text.root), text.problems) == ("{a: {b: 2}}", [])


def test_an_overlay_that_replaces_all_stages_by_mistake_is_told(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(SMALL)
    (tmp_path / "x.yaml").write_text("extends: base.yaml\nstages:\n  second: {tokens: 1M}\n")
    found = compile_file(tmp_path / "x.yaml").findings[0]
    assert found.span is not None
    assert (found.rule, found.span.line, found.span.column) == ("replaces-all", 2, 1)
    assert (found.message, found.help) == (
        "this replaces all of `stages`",
        "write `stages.second.tokens: 1M`",
    )


def test_a_factor_that_does_not_divide_names_one_that_does(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(SMALL)
    (tmp_path / "x.yaml").write_text("extends: base.yaml\nscale: {tokens: 1/10, seqs: 1/3}\n")
    (found, *_) = compile_file(tmp_path / "x.yaml").findings
    assert found.span is not None
    assert (found.rule, found.span.line, found.span.column) == ("not-whole", 23, 19)
    assert found.help == "choose a factor that divides 16, such as 1/2"
