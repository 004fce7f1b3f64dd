import itertools
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file, compile_text
from curriculum.paths import in_order
from curriculum.plan import Plan, Provenance, Stage
from curriculum.rope import Rope
from curriculum.screen import HEADS, screen
from curriculum.screen_lines import base_cell, rope_lines
from curriculum.screen_values import MOST_LINES, value_lines, value_words
from curriculum.short_forms import short_count, short_length
from curriculum.text_table import WIDTH, Row, laid_out
from curriculum.units import parse_amount
from small import BASE, plan_of, right
from small_plan import SMALL

PLANS = sorted((Path(__file__).parents[1] / "plans").glob("*.yaml"))
STEPS = [10**k for k in range(1, 16, 2)]


@pytest.fixture(scope="module", params=PLANS, ids=lambda path: path.stem)
def plan(request: pytest.FixtureRequest) -> Plan:
    return right(compile_file(request.param))


def words_of(text: str) -> list[str]:
    return text.replace(",", " ").split()


def test_no_number_of_a_published_plan_is_cut(plan: Plan) -> None:
    lines = screen(plan).splitlines()
    assert max(map(len, lines)) <= WIDTH
    lines = lines[: lines.index("", 2)]
    rows = [i for i, line in enumerate(lines) if re.search(r" [0-9]\.[0-9]e[0-9]{1,2}\+?$", line)]
    stages = [stage for stage in in_order(plan) if isinstance(stage, Stage)]
    for row, stage in zip(rows, stages, strict=True):
        whole = lines[row]
        assert lines[row if whole[0] != " " else row - 1].startswith(stage.name)
        assert f" {stage.steps:,} " in whole
        assert f" {short_length(stage.at(stage.steps - 1).seq_len)} " in whole
        for rope in stage.rope.values():
            assert rope.base is None or short_count(rope.base) in words_of(whole)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("base", ["10_000_000", "1_234_567_891", "50_000"])
@pytest.mark.parametrize(
    "name", ["s", "a-stage-with-a-name-of-some-length-that-no-table-has-room-for"]
)
def test_numbers_of_any_size_stay_whole(steps: int, base: str, name: str) -> None:
    seq_len = 2**30 if steps == 10 else 2**20
    stage = {
        **BASE,
        "steps": min(steps, 10**17 // seq_len),
        "lr": "3.83e-10",
        "seq_len": seq_len,
        "batch": {"seqs": 1},
        "rope": {"llm": {"base": base}},
    }
    del stage["tokens"]
    text = screen(plan_of({name: stage}))
    assert max(map(len, text.splitlines())) <= WIDTH
    asked = words_of(short_count(int(base.replace("_", ""))))
    found = words_of(text)
    for word in [*asked, *words_of(f"{stage['steps']:,}"), *words_of(short_length(seq_len))]:
        assert word in found
    assert re.search(r"[0-9]\.[0-9]e[0-9]{2}\b", text)


@pytest.mark.parametrize("size", range(3, 60, 7))
def test_every_cell_of_a_table_is_there_in_whole(size: int) -> None:
    cells = tuple(f"{i}{'9' * size}" for i in range(8))
    lines = laid_out(HEADS, [Row("name", cells, below=("x " * 150,))])
    assert max(map(len, lines)) <= WIDTH
    assert set(cells) <= set(words_of(" ".join(lines)))


def test_a_long_name_stands_alone_and_a_column_without_room_goes_below() -> None:
    heads = ("stage", "tokens", "steps")
    assert laid_out(heads, [Row("a" * 99, ("5.2T", "7"), below=("trains llm",))]) == [
        "stage tokens steps",
        "a" * 99,
        "        5.2T     7",
        "      trains llm",
    ]
    assert laid_out(heads, [Row("a", ("5" * 60, "7" * 60))]) == [
        f"stage {'tokens':>60}",
        f"a     {'5' * 60}",
        f"      steps {'7' * 60}",
    ]


@pytest.mark.parametrize("power", range(1, 59))
def test_a_short_form_says_all_of_the_number(power: int) -> None:
    for count in (2**power, 2**power + 1, 10 ** (power % 18), 3 * 2**power):
        for words in (short_count(count), short_length(count)):
            assert parse_amount(words.replace(",", "_")).value == count


def test_batches_that_change_are_told_with_their_steps() -> None:
    batch = [{"seqs": n, "until": f"step {20 * n}"} for n in (1, 2, 3)]
    text = screen(plan_of({"a": {**BASE, "batch": [*batch, {"seqs": 4}]}}))
    assert "batch 1 from step 0, 2 from step 20, 3 from step 40, 4 from step 60" in text
    many = [{"seqs": n, "until": f"step {n}"} for n in range(1, 12)]
    text = screen(plan_of({"a": {**BASE, "batch": [*many, {"seqs": 20}]}}))
    assert "batch in 12 levels" in text


def test_more_bases_than_a_cell_holds_are_told_below() -> None:
    stage = plan_of({"a": BASE}).stage("a")
    bases = {name: Rope(base=Fraction(n)) for name, n in (("a", 10_000), ("b", 20_000), ("c", 3))}
    several = replace(stage, rope=bases)
    assert base_cell(several) == "3 bases"
    assert list(rope_lines(several)) == [
        "RoPE of a: 10,000",
        "RoPE of b: 20,000",
        "RoPE of c: 3",
    ]
    assert base_cell(replace(stage, rope={"a": bases["a"], "b": bases["c"]})) == "3, 10K"


def test_a_tag_on_a_whole_mixture_is_a_count() -> None:
    sources = "".join(f"  source-{i}: {{modality: text, tokens: 10M}}\n" for i in range(57))
    ratios = ", ".join(f"source-{i}: 1" for i in range(57))
    text = SMALL.replace("sources:\n", f"sources:\n{sources}").replace(
        "mixture: {web: .75, code: .25}", f"mixture: !assumed {{normalize: true, {ratios}}}"
    )
    lines = screen(right(compile_text(text))).splitlines()
    (line,) = (line for line in lines if "first.mixture" in line)
    assert "first.mixture (58 values)" in line
    assert max(map(len, lines)) <= WIDTH


def test_alternatives_of_a_conflict_are_counted_as_wholes() -> None:
    trees = [f"{{web: .{i}, code: .{9 - i}, knowledge: .1}}" for i in range(3)]
    entry = Provenance("conflict", "a.mixture", f"[{', '.join(trees)}]", None)
    assert value_words(entry) == "(3 values)"
    for kind, value in itertools.product(("assumed", "conflict"), ("[4, 5]", "9" * 80)):
        assert value_words(Provenance(kind, "x", value, None)) == value


def test_of_many_values_of_a_kind_the_first_are_listed_and_the_others_counted() -> None:
    many = tuple(
        Provenance("scaled", f"stages.s{i:03}.tokens", "1M", None, "1T") for i in range(99)
    )
    head, *lines = value_lines(many)
    assert head == "values: 99 scaled"
    assert len(lines) == MOST_LINES["scaled"] + 1
    named = sum(line.count("tokens") for line in lines)
    assert lines[-1] == f"           and {99 - named} more (`plan --format json` lists all)"


def test_values_that_nobody_said_are_listed_once() -> None:
    default = Provenance("default", "optimizers.adam.eps", "1e-08", None)
    assert value_lines((default,)) == ["values: 1 default", "  default  optimizers.adam.eps 1e-08"]
    kept = replace(default, kind="kept")
    assert value_lines((default, kept))[1:] == ["  kept     optimizers.adam.eps 1e-08"]
