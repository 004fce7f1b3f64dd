"""Projectors beside ViTs and LLMs of other widths"""

from pathlib import Path

import pytest

from curriculum.check.explained import entry
from curriculum.check.width_rules import projectors_fit_their_neighbours
from curriculum.compile import compile_file, compile_text
from curriculum.models.published_vision import _WIDTHS, VISION
from curriculum.plan import Plan

PAGES = Path(__file__).parents[2]
TRIPS = entry("projectors-fit-their-neighbours").trips or ""
PALIGEMMA = "projector: {preset: paligemma-3b-linear}"


def plan_of(*changes: tuple[str, str]) -> Plan:
    text = TRIPS
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    plan = compile_text(text).plan
    assert plan is not None
    return plan


def told(*changes: tuple[str, str]) -> list[str]:
    return [finding.message for finding in projectors_fit_their_neighbours(plan_of(*changes))]


def test_a_projector_of_another_llm_and_of_another_vit() -> None:
    writes = (
        "the projector `projector` of stage `align` writes a width of 2048, and an embedding of "
        "`llm` has 3584"
    )
    assert told() == [writes]
    assert told(("siglip-so400m-14-224", "internvit-300m-448")) == [
        "the projector `projector` of stage `align` reads a width of 1152, and a position of `vit` "
        "has 4096 (2 x 2 patches of 1024)",
        writes,
    ]


def test_a_projector_with_all_sizes_is_read_too() -> None:
    assert told((PALIGEMMA, "projector: {preset: pixel-shuffle-mlp, llm_hidden: 3584}")) == [
        "the projector `projector` of stage `align` reads a width of 4608, and a position of `vit` "
        "has 1152 (1 x 1 patches of 1152)",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        [("qwen2.5-7b", "gemma-2b")],
        [(PALIGEMMA, "projector: {kind: projector, params: 17M}")],
        [(PALIGEMMA, "projector: {preset: paligemma-3b-linear, params: 17M}")],
        [("preset: qwen2.5-7b", "kind: llm, params: 7B")],
        [(PALIGEMMA, "projector: {preset: pixel-shuffle-mlp, llm_hidden: 3584, merge: 1}")],
    ],
)
def test_what_fits_or_is_not_known_is_silent(changes: list[tuple[str, str]]) -> None:
    assert told(*changes) == []


def test_a_pair_of_modules_is_told_once() -> None:
    more = "  more: {init: align, keep: align, carry: all, tokens: 10M}\n"
    assert len(list(projectors_fit_their_neighbours(plan_of(("mixture: {pictures: 1}\n",
        "mixture: {pictures: 1}\n" + more))))) == 1  # fmt: skip


@pytest.mark.parametrize("path", sorted(PAGES.glob("plans/*.yaml")), ids=lambda path: path.stem)
def test_no_published_training_is_told_of(path: Path) -> None:
    plan = compile_file(path).plan
    assert plan is not None
    assert list(projectors_fit_their_neighbours(plan)) == []


def test_every_preset_of_a_projector_says_its_widths() -> None:
    assert {name for name, shape in VISION.items() if shape.kind == "projector"} == set(_WIDTHS)
