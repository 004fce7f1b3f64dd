"""What other programs rely on: exit codes, one JSON document, fields and their types."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curriculum.cli.main import run
from small import untagged_yaml
from small_plan import SMALL

SEED = "plans/kimi-vl.yaml"
FINDING = {
    "rule", "severity", "file", "line", "column", "end_line", "end_column", "message", "help",
    "related", "fix",
}  # fmt: skip


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run([*arguments, "--format", "json"])
    out = capsys.readouterr().out
    parsed = json.loads(out)
    assert parsed["format"] == 1
    for finding in parsed.get("findings", []):
        assert set(finding) == FINDING
    return code, parsed


def test_plan_gives_the_fields_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    code, plan = document(capsys, "plan", SEED)
    assert code == 0
    assert plan["plan"] == "kimi-vl"
    assert plan["totals"]["asked_tokens"] == 9_600_000_000_000
    assert plan["totals"]["steps"] == sum(s["steps"] for s in plan["stages"])
    text = next(s for s in plan["stages"] if s["name"] == "text")
    assert text["batch_seqs"] == {"first": 2048, "last": 4096}
    assert text["seq_len"] == {"first": 8192, "last": 8192}
    assert isinstance(text["tokens"], int)
    joint = next(s for s in plan["stages"] if s["name"] == "joint")
    assert sorted(joint["parents"]) == ["text", "vit-align"]
    assert set(plan["provenance"]) == {"assumed", "derived", "conflict", "default", "unknown"}
    assumed = plan["provenance"]["assumed"]
    line = next(e["line"] for e in assumed if e["path"] == "modules.captioner.preset")
    assert "tiny-decoder" in Path(SEED).read_text().splitlines()[line - 1]
    assert plan["provenance"]["default"]


def test_plan_tells_the_values_of_optimizers_that_run_along_curves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, plan = document(capsys, "plan", "docs/language/optimizers.yaml")
    by_name = {stage["name"]: stage["optimizer"] for stage in plan["stages"]}
    assert by_name["text"]["llm"] == {"weight_decay": {"start": 0.0, "end": 0.06}}
    assert "llm/norms" not in by_name["text"]
    assert set(by_name["other"]["llm"]) == {"alpha", "beta3"}
    assert by_name["third"] == {}
    _, run_of = document(capsys, "simulate", "docs/language/optimizers.yaml")
    said = {stage["name"]: stage["optimizer"] for stage in run_of["stages"]}
    assert said["text"]["llm"]["weight_decay"]["first"] == 0.0
    assert said["third"] == {}


def test_at_leaves_out_pieces_that_do_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    plan, point = "plans/minimax-text-01.yaml", "long-128k@10%"
    assert run(["at", plan, point]) == 0
    lines = [line.split()[1:] for line in capsys.readouterr().out.splitlines() if "mixture" in line]
    # A source of a piece that runs is told with its share, and be it none.
    assert lines == [["piece-1", "1"], ["long", "0"], ["medium", "0.7"], ["short", "0.3"]]
    _, now = document(capsys, "at", plan, point)
    assert now["shares"]["piece-2/long-qa"] == now["shares"]["piece-0"] == 0
    assert run(["at", plan, "long-128k@5%"]) == 0
    halfway = capsys.readouterr().out
    assert "piece-0 0.4" in halfway
    assert "piece-2" not in halfway


def test_the_same_plan_gives_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, "plan", SEED) == document(capsys, "plan", SEED)


def test_several_plans_are_planned_in_one_call(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, both = document(capsys, "plan", SEED, "plans/kimi-vl-laptop.yaml")
    assert code == 0
    assert [(p["file"], p["plan"]) for p in both["plans"]] == [
        (SEED, "kimi-vl"),
        ("plans/kimi-vl-laptop.yaml", "kimi-vl-laptop"),
    ]
    assert both["findings"] == [f for p in both["plans"] for f in p["findings"]]
    assert run(["plan", SEED, "plans/kimi-vl-laptop.yaml"]) == 0
    screens = capsys.readouterr().out
    assert "kimi-vl  " in screens
    assert "kimi-vl-laptop  " in screens


def test_one_plan_of_several_that_is_wrong_hides_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("plan: wrong\nstages: {}\n")
    code, both = document(capsys, "plan", str(wrong), SEED)
    assert code == 1
    assert [p["plan"] for p in both["plans"]] == [None, "kimi-vl"]
    code, both = document(capsys, "plan", str(tmp_path / "none.yaml"), SEED)
    assert code == 2
    assert [p["plan"] for p in both["plans"]] == ["kimi-vl"]
    assert run(["plan", SEED, SEED, "-o", str(tmp_path / "x.lock.json")]) == 2
    assert "one plan" in capsys.readouterr().err


def test_at_answers_for_a_step_and_for_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    code, now = document(capsys, "at", SEED, "text@step 2000")
    assert code == 0
    assert now["lr"] == {"llm": 4.2e-4}
    assert now["tokens_seen"] == {"stage": 2000 * 2048 * 8192, "ancestors": 0}
    _, end = document(capsys, "at", SEED, "joint@end")
    assert end["shares"]["multimodal"] == 0.4
    assert end["ratios"]["captions"] == 0.4
    assert end["ratios"]["long-video"] == 0
    assert end["rope"] == {"llm": {"base": 50_000}}
    assert end["train"] == ["llm", "projector", "vit"]
    assert end["set"] == {"llm/router.bias_rate": 1e-3}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan", "no-such-file.yaml"], 2),
        (["plan", "plans"], 2),
        (["plan", SEED, "--no-such-option"], 2),
        (["at", SEED, "nowhere@1T"], 2),
        (["at", SEED, "joint@9T"], 2),
        (["plan", SEED, "--set", "stages.text.tokens=8 potatoes"], 1),
        (["plan", SEED, "--set", "stages.nowhere=1"], 1),
        (["plan", SEED, "--against", "no-such-lock.json"], 2),
        (["no-such-command"], 2),
    ],
)
def test_what_cannot_be_done_is_one_document_too(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    got, answer = document(capsys, *arguments)
    assert got == code
    assert answer["findings"][0]["severity"] == "error"
    assert answer["findings"][0]["message"]


def test_no_command_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Execute a plan" in capsys.readouterr().out


def test_a_lock_is_read_where_a_plan_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lock = tmp_path / "seed.lock.json"
    assert run(["plan", SEED, "-o", str(lock)]) == 0
    capsys.readouterr()
    _, from_plan = document(capsys, "plan", SEED)
    code, from_lock = document(capsys, "plan", str(lock))
    assert code == 0
    assert from_lock["digest"] == from_plan["digest"]
    assert from_lock["stages"] == from_plan["stages"]


def test_a_stale_lock_is_a_finding(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lock = tmp_path / "seed.lock.json"
    run(["plan", SEED, "-o", str(lock)])
    assert run(["plan", SEED, "--against", str(lock)]) == 0
    changed = ["plan", SEED, "--against", str(lock), "--set", "stages.joint.tokens=1.5T"]
    changed += ["--set", "require=tokens.joint == 1.5T"]  # the plan's own claims add up to 9.6T
    capsys.readouterr()
    code, answer = document(capsys, *changed)
    assert code == 1
    words = "\n".join(answer["changed"])
    assert "stage joint has changed" in words
    assert "stage text has changed" not in words


@pytest.mark.parametrize("extra", [[], ["--format", "json"]])
def test_a_full_disk_behind_stdout_is_a_sentence(extra: list[str]) -> None:
    command = [sys.executable, "-m", "curriculum.cli.main", "plan", SEED, *extra]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_lock_overwrites_nothing_but_a_lock(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan, other = tmp_path / "plan.yaml", tmp_path / "other.json"
    plan.write_bytes(Path(SEED).read_bytes())
    other.write_text("{}")
    for out in (plan, other):
        before = out.read_bytes()
        assert run(["plan", str(plan), "-o", str(out)]) == 2
        assert out.read_bytes() == before
    assert "is no lock" in capsys.readouterr().err
    assert run(["plan", str(plan), "--locked"]) == 2
    assert "curriculum plan FILE -o" in capsys.readouterr().err
    assert run(["plan", str(plan), "-o", str(tmp_path / "plan.lock.json")]) == 0
    assert run(["plan", str(plan), "--locked"]) == 0


def test_an_edited_lock_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lock = tmp_path / "seed.lock.json"
    run(["plan", SEED, "-o", str(lock)])
    lock.write_text(lock.read_text().replace('"steps": 41724', '"steps": 41725'))
    capsys.readouterr()
    code, answer = document(capsys, "plan", str(lock))
    assert code == 1
    assert answer["findings"][0]["rule"] == "broken-lock"


def test_the_screen_fits_100_columns_and_prints_brackets_as_they_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan = tmp_path / "[red]bold[red].yaml"
    plan.write_text(Path(SEED).read_text())
    assert run(["plan", str(plan)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert "schedules.pretrain[2].shape constant" in out
    assert run(["plan", str(plan), "--set", "stages.text.tokens=[bold]1T[/bold]"]) == 1
    assert "[bold]" in capsys.readouterr().err


def test_no_command_writes_where_it_was_not_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = Path(SEED).resolve()
    monkeypatch.chdir(tmp_path)
    for command in (["plan"], ["check"], ["simulate"]):
        assert run([*command, str(seed)]) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_schema_takes_the_plans_of_this_project(capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in sorted([*Path("plans").glob("*.yaml"), *Path("docs").glob("*/*[!1].yaml")]):
        value = untagged_yaml(path.read_text())
        assert [e.message for e in validator.iter_errors(value)] == [], path
    wrong = {"plan": "x", "stages": {"a": {"tokenz": 1}}}
    assert not validator.is_valid(wrong)
    assert not validator.is_valid({"plan": "No name"})


@pytest.mark.parametrize("plan", sorted(Path("docs/language").glob("*.yaml")), ids=lambda p: p.stem)
def test_at_tells_of_every_stage_of_every_example(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, answer = document(capsys, "plan", str(plan))
    for stage in answer["stages"]:
        if stage["steps"] is not None:
            assert run(["at", str(plan), f"{stage['name']}@step 0"]) == 0
            assert stage["name"] in capsys.readouterr().out


BROKEN = ("--set", "require=mix.web <= 10%")


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["plan"], "longest path"),
        (["at", "first@0"], "first step 0"),
        (["simulate", "--plot"], "learning rate (log"),
    ],
)
def test_a_plan_with_errors_is_shown_and_its_errors_behind_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], shown: str
) -> None:
    plan = tmp_path / "small.yaml"
    plan.write_text(SMALL)
    command = [arguments[0], str(plan), *arguments[1:]]
    assert run(command) == 0
    good = capsys.readouterr().out
    assert run([*command, *BROKEN]) == 1
    said = capsys.readouterr()
    assert said.out == good
    assert "error[claims-hold]: `mix.web <= 10%` does not hold" in said.err


@pytest.mark.parametrize("arguments", [["plan"], ["at", "first@0"], ["simulate"]])
def test_the_document_of_a_plan_with_errors_holds_plan_and_errors(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str]
) -> None:
    plan = tmp_path / "small.yaml"
    plan.write_text(SMALL)
    command = [arguments[0], str(plan), *arguments[1:]]
    code, good = document(capsys, *command)
    assert code == 0
    code, bad = document(capsys, *command, *BROKEN)
    assert code == 1
    assert [f["rule"] for f in bad["findings"] if f["severity"] == "error"] == ["claims-hold"]
    assert {k: v for k, v in bad.items() if k != "findings"} == {
        k: v for k, v in good.items() if k != "findings"
    }


def test_no_lock_is_written_of_a_plan_with_errors(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan, lock = tmp_path / "small.yaml", tmp_path / "small.lock.json"
    plan.write_text(SMALL)
    assert run(["plan", str(plan), "-o", str(lock), *BROKEN]) == 1
    assert f"{lock} is not written: the plan has errors" in capsys.readouterr().err
    assert not lock.exists()
    assert run(["plan", str(plan), "--locked", *BROKEN]) == 1  # not: write the lock first
    assert "claims-hold" in capsys.readouterr().err
    assert run(["plan", str(plan), "-o", str(lock)]) == 0
    written = lock.read_bytes()
    assert run(["plan", str(plan), "-o", str(lock), *BROKEN]) == 1
    assert lock.read_bytes() == written
    capsys.readouterr()
    changed = [*BROKEN, "--set", "stages.first.tokens=2M"]
    code, answer = document(capsys, "plan", str(plan), "--locked", *changed)
    assert code == 1
    assert "  stage first has changed, or what it starts from" in answer["changed"]


def test_a_plan_with_errors_is_not_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan, folder = tmp_path / "small.yaml", tmp_path / "run"
    plan.write_text(SMALL)
    assert run(["train", str(plan), "--run", str(folder), *BROKEN]) == 1
    assert "claims-hold" in capsys.readouterr().err
    assert not folder.exists()


def test_findings_stand_in_one_order_and_json_keeps_each(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan = tmp_path / "small.yaml"
    others = "".join(
        f"  {name}: {{init: first, keep: first, carry: none, lr: 1e-4, seed: {seed}, tokens: 3K}}\n"
        for seed, name in enumerate(("third", "fourth", "fifth"), 7)
    )
    plan.write_text(SMALL + others)
    command = ["check", str(plan), "--set", "require=mix.web <= 10%"]
    code, answer = document(capsys, *command)
    assert code == 1, answer
    severities = [finding["severity"] for finding in answer["findings"]]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    short = [f["message"] for f in answer["findings"] if f["rule"] == "stages-have-three-steps"]
    assert len(short) == 3
    assert run(command) == 1
    text = capsys.readouterr().out
    assert text.count("warning[stages-have-three-steps]") == 1
    assert f"{short[0]}; and in 2 more stages: fourth, fifth" in text


def test_what_a_plan_allows_is_told_and_stands_in_the_document(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan, lock = tmp_path / "small.yaml", tmp_path / "small.lock.json"
    comment = "# curriculum: allow carried-modules-go-on-at-their-rate as published"
    plan.write_text(SMALL + f"    lr: 5e-4  {comment}\n")
    assert run(["plan", str(plan), "-o", str(lock)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{plan}:35:9: allowed[carried-modules-go-on-at-their-rate]: stage")
    assert line.endswith("left it at 0.0001; as published")
    for file, place in ((plan, 35), (lock, None)):
        code, said = document(capsys, "plan", str(file))
        assert code == 0
        assert said["findings"] == []
        assert [(a["line"], a["reason"]) for a in said["allowed"]] == [(place, "as published")]
        assert run(["check", str(file), "--max-examples", "5"]) == 0
        assert capsys.readouterr().out == "1 file checked: no findings, 1 allowed\n"
