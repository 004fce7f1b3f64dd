"""What `at` says where a point is no step, and of marks that lie elsewhere."""

import json
from typing import Any

import pytest

from curriculum.cli.main import run

OUTSIDE = "docs/language/checkpoints.yaml"
MERGES = "docs/language/merges.yaml"
SEED = "plans/kimi-vl.yaml"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["at", *arguments]) == 0
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(said(capsys, *arguments, "--format", "json"))
    return parsed


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["at", *arguments]) == 2
    return capsys.readouterr().err.removeprefix("curriculum: ").rstrip("\n")


def test_an_outside_checkpoint_says_what_is_declared_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = said(capsys, OUTSIDE, "k2@end").splitlines()
    assert lines == [
        "k2, an outside checkpoint (over before this plan begins)",
        "  gives            llm",
        "  tokens seen      15,500,000,000,000 before this plan begins",
        "  learning rate    llm 2e-05",
        "  RoPE base        llm 50,000",
        "  context          4,096 tokens",
        "  optimizer state  of llm",
    ]
    k2 = document(capsys, OUTSIDE, "k2@end")
    assert (k2["stage"], k2["kind"], k2["gives"]) == ("k2", "outside", ["llm"])
    assert k2["tokens"] == k2["path_tokens"] == 15_500_000_000_000
    assert (k2["lr"], k2["rope"]) == ({"llm": 2e-5}, {"llm": {"base": 50_000}})
    assert (k2["seq_len"], k2["state"]) == (4096, ["llm"])


def test_what_nobody_declares_of_a_checkpoint_is_said_to_be_unsaid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = said(capsys, OUTSIDE, "moonvit")
    assert text.count("not said") == 4
    assert "weights in       moonvit" in text
    vit = document(capsys, OUTSIDE, "moonvit")
    assert (vit["tokens"], vit["seq_len"], vit["lr"], vit["path"]) == (None, None, {}, "moonvit")
    assert "fresh ones stand in" in said(capsys, "plans/kimi-vl-laptop.yaml", "siglip@end")


def test_a_merge_shows_parents_marks_and_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, MERGES, "merged@end").splitlines() == [
        "merged, composed of what others left (no steps, no optimizer state)",
        "  tokens seen      4,070,005,800,960 in ancestors; 3,970,005,204,992 on its path",
        "  llm              average of 2, by weight",
        "                   0.9  long@end (step 4,769, 20,002,635,776 tokens)",
        "                   0.1  soup@end",
    ]
    marks = said(capsys, MERGES, "polyak@end")
    assert "0.2  mid-c@step 9,921 (of 11,921, 41,611,689,984 tokens)" in marks
    assert "status           side" in marks
    soup = document(capsys, MERGES, "soup@end")
    assert soup["kind"] == "composed"
    assert soup["path_tokens"] < soup["tokens_seen"]["ancestors"]
    parents = soup["averages"]["llm"]
    assert [(p["stage"], p["weight"], p["is_end"]) for p in parents] == [
        ("mid-a", "1/3", True), ("mid-b", "1/3", True), ("mid-c", "1/3", True),
    ]  # fmt: skip
    inner = document(capsys, MERGES, "polyak@end")["averages"]["llm"][0]
    assert (inner["step"], inner["is_end"], inner["tokens"]) == (9921, False, 41_611_689_984)


def test_what_was_selected_shows_its_candidates(capsys: pytest.CaptureFixture[str]) -> None:
    kept = said(capsys, "plans/olmo2-1b.yaml", "kept@end").splitlines()
    assert kept[2].startswith("  llm              as seed-42@end (step 23,852,")
    assert [line.split("@")[0].split()[-1] for line in kept[3:]] == [
        "seed-42", "seed-42069", "seed-666",
    ]  # fmt: skip


def test_modules_that_are_composed_alike_stand_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    soup = "stages.soup={init: {average: {long-32k: 3/4, long-128k: 1/4}}}"
    lines = said(capsys, SEED, "soup@end", "--set", soup).splitlines()
    assert lines[2:] == [
        "  llm, projector, vit",
        "                   average of 2, by weight",
        "                   0.25  long-128k@end (step 4,471, 150,021,865,472 tokens)",
        "                   0.75  long-32k@end (step 4,471, 150,021,865,472 tokens)",
    ]


@pytest.mark.parametrize(
    ("plan", "point", "message"),
    [
        (
            OUTSIDE, "k2@4T",
            "`k2` is an outside checkpoint: it was over before this plan begins and has no steps "
            "here; what is known of it is `k2@end`",
        ),
        (
            MERGES, "soup@step 1",
            "stage `soup` only composes and has no steps: all of it is `soup@end`",
        ),
        (
            SEED, "joint@4T",
            "`4T` lies past the end of `joint`, which is 1.4T tokens long (41,724 steps); "
            "4T of its path is `text@4T`",
        ),
        (
            SEED, "joint@6T",
            "`6T` lies past the end of `joint`, which is 1.4T tokens long (41,724 steps); "
            "6T of its path is `joint@800B`",
        ),
        (
            SEED, "joint@9T",
            "`9T` lies past the end of `joint`, which is 1.4T tokens long (41,724 steps); "
            "its path, with all it starts from, is 6.6T long",
        ),
        (
            SEED, "text@9T",
            "`9T` lies past the end of `text`, which is 5.2T tokens long (160,933 steps)",
        ),
        (
            SEED, "joint@150%",
            "`150%` lies past the end of `joint`, which is 1.4T tokens long (41,724 steps)",
        ),
        (
            OUTSIDE, "joint@15.2T",
            "`15.2T` lies past the end of `joint`, which is 15T tokens long (223,518 steps); "
            "its path, with all it starts from, is 30.5T long",
        ),
        (
            OUTSIDE, "joint@16T",
            "`16T` lies past the end of `joint`, which is 15T tokens long (223,518 steps); "
            "16T of its path is `joint@500B`",
        ),
        (
            MERGES, "long@3.92T",
            "`3.92T` lies past the end of `long`, which is 20B tokens long (4,769 steps); "
            "3.92T of its path is `mid-a@20B` or `mid-b@20B` or `mid-c@20B`",
        ),
        (
            MERGES, "long@3.96T",
            "`3.96T` lies past the end of `long`, which is 20B tokens long (4,769 steps); "
            "3.96T of its path is `long@10B`",
        ),
    ],
)  # fmt: skip
def test_a_point_that_is_no_step_is_told_what_it_is(
    capsys: pytest.CaptureFixture[str], plan: str, point: str, message: str
) -> None:
    assert refused(capsys, plan, point) == message


def test_an_unknown_stage_has_no_steps_and_says_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unknown = ("--set", "stages.long-128k.tokens=unknown", "--set", "require=tokens.joint == 1.4T")
    message = refused(capsys, SEED, "long-128k@50%", *unknown)
    assert message == ("stage `long-128k` has no steps yet: unknown are stages.long-128k.tokens")


def test_a_name_that_is_nearly_a_checkpoints_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "moonvit" in refused(capsys, OUTSIDE, "moonvitt@end")
