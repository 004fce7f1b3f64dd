"""Path and spent tokens: OLMo 2 7B says 4.05T and one path saw 3.95T; SmolLM2, Marin, PaliGemma"""

import json
from pathlib import Path

import pytest

from curriculum.cli.main import run
from curriculum.compile import compile_file
from curriculum.paths import in_order, longest_path, path_tokens, path_tokens_before
from curriculum.screen import screen
from small import BASE, EYES, plan_of, tree
from strategies import Tree, text_of

T, B = 10**12, 10**9
SIBLING: Tree = {
    "init": "pretrain",
    "keep": "pretrain",
    "carry": "all",
    "tokens": "50B",
    "lr": {"curve": "1e-4", "jump": "true"},
}
LARGE: Tree = {**BASE, "tokens": "3.9T", "seq_len": 4096, "batch": {"seqs": 1024}}
OLMO: Tree = {
    "pretrain": LARGE,
    "a": {**SIBLING, "seed": 42},
    "b": {**SIBLING, "seed": 666},
    "c": {**SIBLING, "seed": 42069},
    "soup": {"init": {"average": ["a", "b", "c"]}},
}


def step(count: int) -> int:
    """Tokens in whole steps of OLMo's batch."""
    return -(-count // 4_194_304) * 4_194_304


def test_olmo_2_7b_spends_4_05T_and_its_path_has_3_95T() -> None:
    plan = plan_of(OLMO)
    path = step(39 * T // 10) + step(50 * B)
    assert path_tokens(plan) == {
        "pretrain": step(39 * T // 10), "a": path, "b": path, "c": path, "soup": path,
    }  # fmt: skip
    assert longest_path(plan) == path
    assert sum(stage.tokens for stage in plan.stages) == path + 2 * step(50 * B)
    lines = screen(plan).splitlines()
    assert "longest path: 3.95T tokens; spent in all stages: 4.05T" in lines


def test_at_an_average_the_most_of_the_parents_counts() -> None:
    plan = plan_of({**OLMO, "c": {**OLMO["c"], "tokens": "300B"}})
    assert path_tokens(plan)["soup"] == step(39 * T // 10) + step(300 * B)


def test_smollm2_runs_the_end_of_a_stage_again_from_a_checkpoint_inside_it() -> None:
    again = {**SIBLING, "init": "pretrain@3.825T", "tokens": "75B", "seed": 1}
    plan = plan_of({"pretrain": LARGE, "again": again})
    assert path_tokens(plan)["again"] == step(3_825 * B) + step(75 * B)
    assert path_tokens_before(plan, "again") == step(3_825 * B)
    assert longest_path(plan) == step(3_825 * B) + step(75 * B)


def test_a_module_counts_what_was_read_with_it_and_no_other() -> None:
    eyes = {**EYES, "seed": 9}
    joint: Tree = {
        **{**BASE, "set": {}},
        "init": {"llm": "text", "vit": "eyes", "projector": "new"},
        "carry": "none",
        "train": ["llm", "vit", "projector"],
        "seed": 3,
    }
    plan = plan_of({"text": BASE, "eyes": eyes, "joint": joint})
    assert path_tokens(plan) == {"text": 64_000, "eyes": 64_000, "joint": 128_000}


def test_outside_tokens_lie_on_the_path_and_were_not_spent() -> None:
    def path(checkpoint: str, scale: str = "") -> int | None:
        outside = {"checkpoint": f"{{gives: [llm]{checkpoint}}}"}
        plan = plan_of({"gemma": outside, "text": {**BASE, "init": {"llm": "gemma"}}})
        assert sum(stage.tokens for stage in plan.stages) == 64_000
        return path_tokens(plan)["text"]

    assert path(", tokens: 3T") == 3 * T + 64_000
    assert path("") is None  # nobody says, and that is not 0
    assert path(", weights: new") == 64_000
    assert path(", weights: new, tokens: 3T") == 3 * T + 64_000


def test_stages_that_compose_come_right_behind_their_parents() -> None:
    plan = plan_of({**OLMO, "z": {**SIBLING, "init": "b", "keep": "b", "seed": 5}})
    names = [stage.name for stage in in_order(plan)]
    assert names.index("soup") == names.index("c") + 1
    assert sorted(names) == ["a", "b", "c", "pretrain", "soup", "z"]


def test_marins_side_branches_and_its_abandoned_one_are_told_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stages: Tree = {
        "jellyfish": LARGE,
        "dessert": {**SIBLING, "init": "jellyfish", "keep": "jellyfish", "status": "side"},
        "bison": {**SIBLING, "init": "jellyfish", "keep": "jellyfish", "status": "abandoned"},
        # Restarted from a mark of the run before the abandoned one.
        "mantis": {**SIBLING, "init": "jellyfish@step 900_000", "keep": "jellyfish"},
        "micro": {**SIBLING, "init": "jellyfish@50%", "keep": "jellyfish", "status": "probe"},
    }
    plan = plan_of(stages)
    assert longest_path(plan) == path_tokens(plan)["jellyfish"]
    line = "by status: main 3.95T, side 50B, abandoned 50B, probe 50B"
    assert line in screen(plan).splitlines()
    assert sum("; status: abandoned" in text for text in screen(plan).splitlines()) == 1
    file = tmp_path / "plan.yaml"
    file.write_text(text_of(tree(stages)))
    assert run(["plan", str(file), "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["totals"]["by_status"]["abandoned"]["asked_tokens"] == 50 * B
    assert said["totals"]["by_status"]["main"]["asked_tokens"] == 3_950 * B
    assert {s["name"]: s["status"] for s in said["stages"]}["micro"] == "probe"


def test_json_and_at_say_both(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text_of(tree(OLMO)))
    assert run(["plan", str(file), "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    path = step(39 * T // 10) + step(50 * B)
    assert said["totals"]["longest_path_tokens"] == path
    assert said["totals"]["asked_tokens"] == 4_050 * B
    assert {stage["path_tokens"] for stage in said["stages"][1:]} == {path}
    (soup,) = said["composed"]
    assert (soup["name"], soup["path_tokens"], soup["status"]) == ("soup", path, "main")
    assert [p["weight"] for p in soup["averages"]["llm"]] == ["1/3"] * 3
    assert run(["at", str(file), "a@step 5", "--format", "json"]) == 0
    now = json.loads(capsys.readouterr().out)
    assert now["path_tokens"] == step(39 * T // 10) + 5 * 4_194_304
    assert run(["at", str(file), "soup", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["path_tokens"] == path
    assert run(["at", str(file), "soup@step 5"]) == 2
    assert "all of it is `soup@end`" in capsys.readouterr().err


def test_a_path_that_is_not_known_is_named_beside_the_longest_that_is() -> None:
    plan = compile_file(Path(__file__).parents[1] / "plans/kimi-vl.yaml").plan
    assert plan is not None
    (line,) = (line for line in screen(plan).splitlines() if line.startswith("longest path"))
    assert line.startswith("longest path: 7.5001T tokens (what came before vit-coca is not known)")
