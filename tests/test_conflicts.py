"""A conflict stands wherever a value may: the first is used, and all are told"""

from typing import Any

import pytest

from curriculum.compile import compile_text
from curriculum.plan import Plan
from curriculum.schema import plan_schema
from small import BASE, compiled, plan_in, plan_of, tree, untagged_yaml
from strategies import Tree, text_of

CONSTANT = "{shape: constant, from: 1e-3}"
SIBLING: Tree = {
    "init": "base",
    "keep": "base",
    "carry": "all",
    "tokens": 6_400,
    "lr": {"curve": "1e-4", "jump": "true"},
}
SIBLINGS: Tree = {"base": BASE, **{name: {**SIBLING, "seed": n} for n, name in enumerate("cde")}}


def conflicts(plan: Plan) -> dict[str, str]:
    return {p.path: p.value for p in plan.provenance if p.kind == "conflict"}


SAID: list[tuple[str, Any, Any, str]] = [
    ("batch", "{seqs: 10}", "[{seqs: 10}, {seqs: 12}]", "stages.base.batch"),
    ("batch", "[{seqs: 10, until: 50%}, {seqs: 20}]", "[[{seqs: 10, until: 50%}, {seqs: 20}], 3]",
     "stages.base.batch"),
    ("batch", "{seqs: 10}", "[{seqs: !conflict [10, 11]}, {seqs: 12}]", "stages.base.batch"),
    ("mixture", "{a: .5, b: .5}", "[{a: .5, b: .5}, {a: 1}]", "stages.base.mixture"),
    ("mixture", "[a, b]", "[[a, b], [a]]", "stages.base.mixture"),
    ("lr", "main", "[main, towers]", "stages.base.lr"),
    ("lr", f"[{CONSTANT}]", f"[[{CONSTANT}], 1e-3]", "stages.base.lr"),
    ("loss", "{next_token: 1}", "[{next_token: 1}, {z_loss: 1}]", "stages.base.loss"),
    ("packing", "best-fit", "[best-fit, concat]", "stages.base.packing"),
    ("rope", "{llm: {base: 10_000}}", "[{llm: {base: 10_000}}, none]", "stages.base.rope"),
    ("train", "[llm]", "[[llm], [llm, vit]]", "stages.base.train"),
    ("init", "{llm: new}", "[{llm: new}, {llm: new, vit: new}]", "stages.base.init"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "first", "all_said", "path"), SAID)
def test_of_a_conflict_of_any_values_the_first_is_used(
    key: str, first: Any, all_said: Any, path: str
) -> None:
    plan = plan_of({"base": {**BASE, key: f"!conflict {all_said}"}})
    assert plan == plan_of({"base": {**BASE, key: first}})
    assert conflicts(plan) == {path: all_said.replace("!conflict ", "")}


@pytest.mark.parametrize(
    "init",
    [
        "{average: !conflict [[c, d], [c, d, e]]}",
        "!conflict [{average: [c, d]}, {average: [c, d, e]}]",
        "{llm: !conflict [{average: [c, d]}, c]}",
        "{average: [!conflict [c, e], d]}",
        "{average: {c: !conflict [.5, .9], d: .5}}",
    ],
)
def test_of_averages_that_contradict_each_other_the_first_is_made(init: str) -> None:
    plan = plan_of({**SIBLINGS, "soup": {"init": init}})
    assert plan == plan_of({**SIBLINGS, "soup": {"init": {"average": ["c", "d"]}}})
    assert len(conflicts(plan)) == 1


def test_a_whole_stage_may_be_in_conflict_and_extend_another() -> None:
    other = "!conflict [{extends: c, seed: 9}, {init: base}]"
    plan = plan_of({**SIBLINGS, "other": other})
    assert plan == plan_of({**SIBLINGS, "other": {**SIBLING, "seed": 9}})
    assert list(conflicts(plan)) == ["stages.other"]


def test_places_are_those_of_the_value_that_is_used() -> None:
    batch = "!conflict [[{seqs: 10, until: 50%}, {seqs: 20}], {seqs: 12}]"
    text = text_of(tree({"base": {**BASE, "batch": batch}}))
    plan = compile_text(text).plan
    assert plan is not None
    place = plan.places["stages.base.batch[1].seqs"]
    line = text.splitlines()[place.line - 1]
    assert line[place.column - 1 : place.end_column - 1] == "20"
    found = compiled({"base": {**BASE, "mixture": "!conflict [{a: .5, b: .6}, {a: 1}]"}})
    (finding,) = found.errors
    assert finding.message == "the shares of the mixture sum to 1.1 (a 0.5, b 0.6)"
    assert finding.span is not None
    assert finding.span.end_column - finding.span.column == len("{a: .5, b: .6}")


def test_an_overlay_changes_the_value_that_it_names(tmp_path: Any) -> None:
    stages = {"base": {**BASE, "mixture": "!conflict [{a: .75, b: .25}, {a: 1}]"}}
    changed = "stages.base.mixture[0]: {a: .5, b: .5}\n"
    found = plan_in(tmp_path, changed, stages).plan
    assert found == plan_of({"base": {**BASE, "mixture": "{a: .5, b: .5}"}})
    (error,) = plan_in(tmp_path, "stages.base.mixture.a: .5\n", stages).errors
    assert (error.message, error.help) == (
        "`mixture` is a list",
        "name its item: `mixture[0].a`",
    )


def test_the_schema_takes_a_conflict_wherever_a_value_may_stand() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(plan_schema())
    for key, _, all_said, _ in SAID:
        if ", 3]" not in all_said:
            stages = {"base": {**BASE, key: f"!conflict {all_said}"}}
            value = untagged_yaml(text_of(tree(stages)))
            assert [e.message for e in validator.iter_errors(value)] == [], all_said
    soup = {"init": "{average: !conflict [[c, d], [c, d, e]]}"}
    value = untagged_yaml(text_of(tree({**SIBLINGS, "soup": soup})))
    assert [e.message for e in validator.iter_errors(value)] == []
    value["stages"]["base"]["packing"] = ["best-fit", "tight"]
    assert not validator.is_valid(value)
