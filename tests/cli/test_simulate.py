import json
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner, Result

from curriculum.cli.simulate import CommandLine, command, with_plot_value
from curriculum.errors import CurriculumError, FindingsError

PLAN = Path(__file__).parents[2] / "plans" / "kimi-vl.yaml"
app = typer.Typer()
app.command("simulate", cls=CommandLine)(command)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["a.yaml", "--plot"], ["a.yaml", "--plot=-"]),
        (["--plot", "a.yaml"], ["--plot=-", "a.yaml"]),
        (["--plot", "--every", "9", "a.yaml"], ["--plot=-", "--every", "9", "a.yaml"]),
        (["a.yaml", "--plot", "run.png"], ["a.yaml", "--plot", "run.png"]),
        (["a.yaml", "--plot=run.svg"], ["a.yaml", "--plot=run.svg"]),
        (["a.yaml", "--plot", "run.jpg"], ["a.yaml", "--plot", "run.jpg"]),
        (["a.yaml", "--", "--plot"], ["a.yaml", "--", "--plot"]),
    ],
)
def test_plot_takes_the_next_word_only_if_it_can_be_a_picture(
    given: list[str], meant: list[str]
) -> None:
    assert with_plot_value(given) == meant


def test_text_is_a_line_per_stage_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = run(PLAN)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["stage", "steps", "tokens"]
    assert lines[4].split()[:3] == ["joint", "41,724", "1.4T"]
    assert max(map(len, lines)) <= 100
    assert not list(tmp_path.iterdir())


def test_json_is_one_document_and_files_are_named(tmp_path: Path) -> None:
    table, picture = tmp_path / "run.parquet", tmp_path / "run.png"
    done = run(PLAN, "--every", 1000, "--out", table, "--plot", picture, "--format", "json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["format"] == 1
    assert {finding["severity"] for finding in said["findings"]} <= {"info"}
    assert said["totals"]["asked_tokens"] == 9_600_000_000_000
    assert said["out"] == {"path": str(table), "rows": pl.read_parquet(table).height}
    assert said["plot"] == {"path": str(picture)}
    assert picture.stat().st_size > 20_000
    stages = {stage["name"]: stage for stage in said["stages"]}
    assert stages["cooldown"]["lr"]["llm"]["peak"] == 1e-4


def test_plot_alone_draws_in_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    done = run("--plot", PLAN)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "learning rate" in done.stdout
    assert "long-128k" in done.stdout
    assert "\x1b" not in done.stdout
    drawing = lines[: next(i for i, line in enumerate(lines) if line.startswith("stage "))]
    assert max(map(len, drawing)) <= 90


def test_draws_are_columns_of_the_table(tmp_path: Path) -> None:
    out = tmp_path / "run.csv"
    assert run(PLAN, "--every", 20_000, "--draws", "--out", out).exit_code == 0
    table = pl.read_csv(out)
    drawn = [name for name in table.columns if name.startswith("drawn.")]
    sums = table.select(pl.sum_horizontal(drawn)).to_series().to_list()
    assert sums == table["batch_seqs"].to_list()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--out", "run.xlsx"], "ends in .parquet or .csv"),
        (["--plot", "run.jpg"], "ends in .png or .svg"),
        (["--plot=plan.yaml"], "ends in .png or .svg"),
        (["--draws"], "say --out"),
        (["--by", "tag"], "--by is of the mixture in a picture: say --plot F.png as well"),
        (["--by", "tag", "--plot"], "--by is of the mixture in a picture"),
        (["--lr-scale", "log"], "--lr-scale is of a picture: say --plot as well"),
        (["--out", "no/such/run.csv"], "there is no folder"),
        (["--plot", "--format", "json"], "name a file"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_plan_is_read(args: list[str], says: str) -> None:
    done = run("there-is-no-plan.yaml", *args)
    assert isinstance(done.exception, CurriculumError)
    assert says in str(done.exception)
    assert done.exception.exit_code == 2
    assert not done.stdout


def test_a_wrong_plan_is_a_finding(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("plan: wrong\nnonsense: 1\n")
    done = run(wrong)
    assert isinstance(done.exception, FindingsError)
    assert done.exception.exit_code == 1


def test_a_set_reaches_the_plan() -> None:
    shorter = (PLAN, "--set", "stages.joint.tokens=0.7T", "--format", "json")
    broken = run(*shorter)
    assert broken.exit_code == 1  # a claim of the plan: 9.6T in all
    assert "claims-hold" in {f["rule"] for f in json.loads(broken.stdout)["findings"]}
    done = run(*shorter, "--set", "require=tokens.joint == 0.7T")
    assert done.exit_code == 0, done.output
    joint = next(s for s in json.loads(done.stdout)["stages"] if s["name"] == "joint")
    assert joint["asked_tokens"] == 700_000_000_000


def test_a_picture_is_drawn_by_group_and_on_the_scale_that_is_asked_for(tmp_path: Path) -> None:
    pictures = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"]
    options: list[list[str]] = [[], ["--by", "group"], ["--lr-scale", "linear"]]
    for path, more in zip(pictures, options, strict=True):
        assert run(PLAN, "--plot", path, *more).exit_code == 0
    assert len({path.read_bytes() for path in pictures}) == 3
    untagged = run(PLAN, "--plot", tmp_path / "d.png", "--by", "tag")
    assert str(untagged.exception) == (
        "no source of `kimi-vl` has tags: draw it by group or by source"
    )
    assert run(PLAN, "--plot", pictures[0], "--by", "colour").exit_code == 2


def test_the_terminal_draws_on_the_scale_that_is_asked_for() -> None:
    assert "learning rate (log)" in run(PLAN, "--plot").stdout
    asked = run(PLAN, "--plot", "--lr-scale", "linear").stdout
    assert "learning rate (linear)" in asked


def test_rows_must_be_at_least_a_step_apart() -> None:
    assert run(PLAN, "--every", 0).exit_code == 2
