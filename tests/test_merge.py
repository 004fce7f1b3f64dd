from pathlib import Path

import pytest

from curriculum.compile import Compiled, compile_file
from curriculum.errors import CurriculumError
from curriculum.merge import merged_text, read_plan_text
from curriculum.nodes import shown
from small import BASE, plan_in, right
from strategies import text_of


def merged(folder: Path, *texts: str, settings: tuple[str, ...] = ()) -> str:
    """Put plans together, each extending the one before."""
    for i, text in enumerate(texts):
        below = f"extends: {i - 1}.yaml\n" if i else ""
        (folder / f"{i}.yaml").write_text(below + text)
    root, problems = read_plan_text(folder / f"{len(texts) - 1}.yaml", settings)
    assert problems == []
    return shown(root)


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
    assert merged(tmp_path, "a: {b: 1, c: {d: null}}\n") == "{a: {b: 1, c: {}}}"


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
    assert merged(tmp_path, base, settings=("a.b=3", "a.b=4")) == "{a: {c: {d: 2}, b: 4}}"
    assert merged(tmp_path, base, settings=("e={f: g=h}",)) == "{a: {b: 1, c: {d: 2}}, e: {f: g=h}}"


def test_a_setting_that_is_wrong_says_so_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text_of({"plan": "x", "stages": {"a": {"checkpoint": {"gives": []}}}}))
    for setting, rule in (
        ("seed", "set"),
        ("=3", "set"),
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
    root, problems = merged_text("a: {b: 1}\na.b: 2\nc: ~\n", "x.yaml")
    assert (shown(root), problems) == ("{a: {b: 2}}", [])
