"""The laptop plan learns: the targets that it is built for, on documents it never read."""

import json
from pathlib import Path
from typing import Any

import pytest

from curriculum.cli.main import run

PLAN = "plans/kimi-vl-laptop.yaml"


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Train the whole laptop plan on the demo's data: about two minutes on two cores."""
    from curriculum.data.demo import prepare

    folder = tmp_path_factory.mktemp("laptop")
    prepare(folder / "data")
    command = ["train", PLAN, "--data", str(folder / "data"), "--run", str(folder / "run")]
    assert run([*command, "--device", "cpu"]) == 0
    found: dict[str, Any] = json.loads(Path(folder / "run" / "summary.json").read_text())
    return found


def evaluation(summary: dict[str, Any], stage: str) -> dict[str, Any]:
    return next(e for e in summary["evaluations"] if e["stage"] == stage)


@pytest.mark.slow
def test_text_is_learned_by_the_cooldown(summary: dict[str, Any]) -> None:
    text = evaluation(summary, "cooldown")["text"]
    assert text["unigram_entropy"] - text["loss"] >= 1.3


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["cooldown", "long-128k"])
def test_captions_are_read_from_the_image(summary: dict[str, Any], stage: str) -> None:
    captions = evaluation(summary, stage)["captions"]
    assert captions["pairs"] >= 60
    assert captions["other_image"] - captions["right_image"] >= 0.25


@pytest.mark.slow
def test_what_ran_is_what_was_planned(summary: dict[str, Any]) -> None:
    assert summary["complete"]
    assert summary["audit"]["ok"]
    assert summary["tokens"] == 1_212_416
    assert len(evaluation(summary, "long-128k")["samples"]) == 6
