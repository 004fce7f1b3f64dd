"""The hooks, the action and the example workflow are valid, and their shells run here"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from curriculum.cli.main import run
from small_plan import SMALL, small

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "tests" / "schemas"
WORKFLOW = ROOT / "docs" / "ci" / "plans.yml"
WRONG = small((".75", ".77"))

# pre-commit.com, "Creating new hooks": what a hook of a manifest may say.
HOOK_FIELDS = {
    *("id", "name", "entry", "language", "files", "exclude", "types", "types_or", "exclude_types"),
    *("always_run", "fail_fast", "verbose", "pass_filenames", "require_serial", "description"),
    *(
        "language_version",
        "minimum_pre_commit_version",
        "args",
        "stages",
        "additional_dependencies",
    ),
    "log_file",
}


def read(path: Path) -> Any:
    """Read YAML as GitHub does: `on` is a word."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if isinstance(document, dict):
        return {"on" if key is True else key: value for key, value in document.items()}
    return document


HOOKS: list[dict[str, Any]] = read(ROOT / ".pre-commit-hooks.yaml")
ACTION: dict[str, Any] = read(ROOT / "action.yml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository's root with a plan that is right, its lock, and one that is wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans/good.yaml").write_text(SMALL)
    (tmp_path / "plans/wrong.yaml").write_text(WRONG)
    assert run(["plan", "plans/good.yaml", "-o", "plans/good.lock.json"]) == 0
    return tmp_path


# pre-commit


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_a_hook_says_what_pre_commit_reads_and_runs_a_command(
    hook: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {"id", "name", "entry", "language"} <= hook.keys() <= HOOK_FIELDS
    program, *arguments = hook["entry"].split()
    assert program == "curriculum"
    assert run([*arguments, "plans/good.yaml"]) == 0
    wrong = folder / "plans/wrong.yaml"
    wrong.write_text(WRONG.replace("seed: 1", "seed:   1"))
    code = run([*arguments, "plans/good.yaml", "plans/wrong.yaml"])
    is_mended = wrong.read_text() == WRONG
    assert (code, is_mended) == ((0, True) if hook["id"] == "curriculum-fmt" else (1, False))
    assert "Traceback" not in "".join(capsys.readouterr())


def test_the_hook_of_locks_sees_one_that_is_stale(folder: Path) -> None:
    (hook,) = (hook for hook in HOOKS if hook["id"] == "curriculum-lock")
    arguments = hook["entry"].split()[1:]
    assert run([*arguments, "plans/good.yaml"]) == 0
    (folder / "plans/good.yaml").write_text(small(("tokens: 1M", "tokens: 2M")))
    assert run([*arguments, "plans/good.yaml"]) == 1


# The action and the workflow


@pytest.mark.parametrize(
    ("path", "schema"),
    [(ROOT / "action.yml", "github-actions"), (WORKFLOW, "github-workflows")],
    ids=["action", "workflow"],
)
def test_it_is_valid(path: Path, schema: str) -> None:
    known = json.loads((SCHEMAS / f"{schema}.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(known).validate(read(path))


def steps() -> list[dict[str, Any]]:
    jobs = read(WORKFLOW)["jobs"].values()
    return [*ACTION["runs"]["steps"], *(step for job in jobs for step in job["steps"])]


def test_no_shell_holds_what_others_write() -> None:
    """An expression in a shell's text is run as text: values come in by the environment."""
    assert [step["name"] for step in steps() if "${{" in step.get("run", "")] == []


def test_every_input_is_read_and_the_workflow_gives_no_other() -> None:
    told = json.dumps(ACTION["runs"])
    assert all(f"${{{{ inputs.{name} }}}}" in told for name in ACTION["inputs"])
    for step in steps():
        if "curriculum" in step.get("uses", ""):
            assert step["with"].keys() <= ACTION["inputs"].keys()


def shell(name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step's shell as GitHub does (bash -e), here, with a `curriculum` that is this one."""
    (step,) = (step for step in steps() if step.get("name") == name)
    tools = folder / ".tools"
    tools.mkdir(exist_ok=True)
    script(tools / "curriculum", f'exec {sys.executable} -m curriculum.cli.main "$@"')
    known = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GITHUB_")},
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])
        ),
        "RUNNER_TEMP": str(folder / ".temp"),
        "GITHUB_STEP_SUMMARY": str(folder / ".temp/summary.md"),
        "GITHUB_PATH": str(folder / ".temp/path"),
        "GITHUB_REPOSITORY": "lab/runs",
        "GITHUB_SERVER_URL": "https://github.com",
        **environment,
    }
    (folder / ".temp").mkdir(exist_ok=True)
    command = ["bash", "-e", "-c", step["run"]]
    return subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True)


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


CHECK = {
    "FILES": "plans/*.yaml",
    "FORMAT": "github",
    "FAIL_ON": "error",
    "OUTPUT": "",
    "ACTION_REPOSITORY": "",
    "ACTION_REF": "",
}


@pytest.mark.e2e
def test_the_check_tells_and_fails(folder: Path) -> None:
    done = shell("check", folder, **CHECK)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("::error file=plans/wrong.yaml,line=26,")
    assert "siblings-sum" in (folder / ".temp/summary.md").read_text()
    done = shell("check", folder, **{**CHECK, "FILES": "plans/good.yaml"})
    assert done.returncode == 0, done.stderr


@pytest.mark.e2e
def test_the_check_writes_sarif_that_knows_the_page_of_rules(folder: Path) -> None:
    asked = {"FORMAT": "sarif", "OUTPUT": "out.sarif", "FILES": "plans/good.yaml\n  **/wrong.yaml"}
    home = {"ACTION_REPOSITORY": "us/curriculum", "ACTION_REF": "v1"}
    done = shell("check", folder, **{**CHECK, **asked, **home})
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    (run,) = json.loads((folder / "out.sarif").read_text())["runs"]
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["helpUri"] == "https://github.com/us/curriculum/blob/v1/docs/rules.md"


@pytest.mark.e2e
@pytest.mark.parametrize("files", ["runs/*.yaml", "", "plans/good.yaml runs/*.yaml", "none.yaml"])
def test_a_check_of_no_file_is_no_success(folder: Path, files: str) -> None:
    done = shell("check", folder, **{**CHECK, "FILES": files})
    assert done.returncode == 2
    assert done.stdout.startswith("::error::")


@pytest.mark.parametrize("version", ["", "curriculum==1.2"])
def test_the_install_takes_its_own_commit_or_what_is_asked_for(folder: Path, version: str) -> None:
    (folder / ".tools").mkdir()
    made = 'mkdir -p "$3/bin"; printf \'echo "$@" > "$RUNNER_TEMP/asked"\' > "$3/bin/python"'
    script(
        folder / ".tools/python3", f'if [ "$2" = venv ]; then {made}; chmod +x "$3/bin/python"; fi'
    )
    done = shell("install curriculum", folder, ACTION_PATH="/action", VERSION=version)
    assert done.returncode == 0, done.stderr
    assert (folder / ".temp/asked").read_text().split()[-2:] == ["--", version or "/action"]
    (path,) = (folder / ".temp/path").read_text().splitlines()
    assert os.readlink(Path(path) / "curriculum") == "../bin/curriculum"


@pytest.mark.e2e
def test_an_old_python_is_told(folder: Path) -> None:
    (folder / ".tools").mkdir()
    script(folder / ".tools/python3", "exit 1")
    done = shell("install curriculum", folder, ACTION_PATH="/action", VERSION="")
    assert done.returncode == 2
    assert "curriculum needs Python 3.11" in done.stdout


# The comment on a pull request


@pytest.fixture
def pull(folder: Path) -> str:
    """Commit the plans, then change one, add one and remove one; return the base."""

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        return subprocess.check_output(["git", *who, *arguments], cwd=folder, text=True).strip()

    git("init", "--quiet")
    (folder / "plans/gone.yaml").write_text(SMALL)
    git("add", "plans")
    git("commit", "--quiet", "-m", "plans")
    (folder / "plans/good.yaml").write_text(small(("lr: main", "lr: 2e-3")))
    (folder / "plans/new.yaml").write_text(SMALL)
    (folder / "plans/gone.yaml").unlink()
    return git("rev-parse", "HEAD")


def test_what_changed_is_told_plan_by_plan(folder: Path, pull: str) -> None:
    done = shell("compare", folder, BASE=pull, PLANS="plans")
    assert done.returncode == 0, done.stderr
    told = (folder / ".temp/diffs.md").read_text()
    gone, changed, new, wrong = sorted(told.split("### ")[1:], key=lambda part: part[:9])
    assert gone == "plans/gone.yaml\n\n    the plan is gone\n\n"
    assert new == "plans/new.yaml\n\n    a new plan\n\n"
    assert changed.startswith("plans/good.yaml\n\n    stage first, step 0 is the first that")
    assert "LR of llm 0 -> 0.002" in changed
    assert "siblings-sum" in wrong  # what cannot be compiled is told as it is
    assert (folder / ".temp/summary.md").read_text() == told


def comment(folder: Path, diffs: str, known: str) -> tuple[str, str]:
    """Return how GitHub was asked to comment, if at all, and the text."""
    (folder / ".temp").mkdir(exist_ok=True)
    (folder / ".temp/diffs.md").write_text(diffs)
    asked = folder / ".temp/asked"
    asked.unlink(missing_ok=True)
    (folder / ".tools").mkdir(exist_ok=True)
    paged = f'if [ "$2" = --paginate ]; then printf "{known}"; else echo "$@" > "{asked}"; fi'
    script(folder / ".tools/gh", paged)
    done = shell("comment", folder, NUMBER="7", GH_TOKEN="")
    assert done.returncode == 0, done.stderr
    if not asked.exists():
        return "", ""
    return asked.read_text().partition(" -F")[0], (folder / ".temp/comment.md").read_text()


def test_the_comment_is_written_once_and_then_kept_up_to_date(folder: Path) -> None:
    new = "api repos/lab/runs/issues/7/comments"
    again = "api --method PATCH repos/lab/runs/issues/comments/31"
    assert comment(folder, "", known="") == ("", "")
    asked, text = comment(folder, "### a\n", known="")
    assert asked == new
    assert text == "<!-- curriculum diff -->\n## What this changes of the plans\n\n### a\n"
    asked, text = comment(folder, "### b\n", known="31\\n32\\n")
    assert (asked, text[-6:]) == (again, "### b\n")
    asked, text = comment(folder, "", known="31\\n")
    assert (asked, text.splitlines()[-1]) == (again, "Nothing: every plan is the same.")


def test_a_comment_is_no_longer_than_github_takes(folder: Path) -> None:
    _, text = comment(folder, "\u00e9" * 70_000, known="")
    assert len(text.encode()) < 65_536
    assert text.endswith("The rest is in the summary of the workflow.\n")
