"""The laptop plan is the seed plan at an eight-millionth: same graph, shapes and ratios."""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.mixture import Node
from curriculum.plan import Plan, Stage

FACTOR = 8_000_000


def compiled(name: str) -> Plan:
    plan = compile_file(Path("plans") / name).plan
    assert plan is not None
    return plan


FULL, LAPTOP = compiled("kimi-vl.yaml"), compiled("kimi-vl-laptop.yaml")
NAMES = [stage.name for stage in FULL.stages]


def both(name: str) -> tuple[Stage, Stage]:
    return FULL.stage(name), LAPTOP.stage(name)


def test_budgets_are_the_figures() -> None:
    asked = {stage.name: stage.budget.tokens for stage in LAPTOP.stages}
    assert asked == {
        "text": 650_000,
        "vit-coca": 250_000,
        "vit-align": 12_500,
        "joint": 175_000,
        "cooldown": 75_000,
        "long-32k": 18_750,
        "long-128k": 18_750,
    }
    assert sum(asked.values()) * FACTOR == sum(s.budget.tokens for s in FULL.stages)


@pytest.mark.parametrize("name", NAMES)
def test_every_budget_and_token_mark_is_divided(name: str) -> None:
    full, laptop = both(name)
    assert laptop.budget.tokens * FACTOR == full.budget.tokens
    for curves in ("lr", "loss", "settings"):
        for target, curve in getattr(full, curves).items():
            small = getattr(laptop, curves)[target]
            assert [p.shape for p in small.pieces] == [p.shape for p in curve.pieces]
            for piece, small_piece in zip(curve.pieces, small.pieces, strict=True):
                assert piece.unit == small_piece.unit
    assert [p.shape for p in ratio_pieces(laptop)] == [p.shape for p in ratio_pieces(full)]
    for piece, small_piece in zip(ratio_pieces(full), ratio_pieces(laptop), strict=True):
        assert (small_piece.a, small_piece.b) == (piece.a, piece.b)
        if piece.end is not None:
            assert small_piece.end is not None
            assert small_piece.start * FACTOR == piece.start
            assert small_piece.end * FACTOR == piece.end


def ratio_pieces(stage: Stage) -> list:  # type: ignore[type-arg]
    nodes = [node for root in stage.mixture.roots for _, node in root.paths()]
    return [piece for node in nodes if node.ratio is not None for piece in node.ratio.pieces]


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_is_the_same(name: str) -> None:
    full, laptop = both(name)
    assert {m: (s.stage, s.carries_state) for m, s in laptop.init.items()} == {
        m: (s.stage, s.carries_state) for m, s in full.init.items()
    }
    assert (laptop.train, laptop.count, laptop.packing) == (full.train, full.count, full.packing)
    assert laptop.rope == full.rope
    assert {t: r.schedule for t, r in laptop.rides.items()} == {
        t: r.schedule for t, r in full.rides.items()
    }
    assert shape(laptop.mixture.roots) == shape(full.mixture.roots)


def shape(nodes: tuple[Node, ...]) -> list[object]:
    return [(n.name, n.source, n.ratio is None, shape(n.children)) for n in nodes]


def test_the_context_grows_fourfold_twice_and_the_batch_keeps_its_tokens() -> None:
    pieces = {stage.name: stage.batch.pieces[-1] for stage in LAPTOP.stages}
    assert pieces["cooldown"].seq_len == 128
    assert pieces["long-32k"].seq_len == 4 * 128
    assert pieces["long-128k"].seq_len == 16 * 128
    tokens = {pieces[name].tokens_per_step for name in ("cooldown", "long-32k", "long-128k")}
    assert len(tokens) == 1
    for stage in LAPTOP.stages:
        for piece in stage.batch.pieces:
            assert piece.seq_len > 128 or piece.batch_seqs >= 16


def test_the_modules_hold_every_mechanism_in_2_to_4_million_parameters() -> None:
    assert 2e6 <= sum(m.shape.num_params() for m in LAPTOP.modules.values()) <= 4e6
    assert {m.shape.kind for m in LAPTOP.modules.values()} == {
        m.shape.kind for m in FULL.modules.values()
    }


def test_the_mark_where_the_batch_doubles_is_the_figures() -> None:
    full, laptop = both("text")
    step, small = full.batch.pieces[1].first_step, laptop.batch.pieces[1].first_step
    assert full.batch.step_at_tokens(200_000_000_000) == step
    assert laptop.batch.step_at_tokens(200_000_000_000 // FACTOR) == small
    assert Fraction(laptop.batch.pieces[1].batch_seqs, laptop.batch.pieces[0].batch_seqs) == 2
