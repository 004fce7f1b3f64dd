import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from curriculum.models.moe import Moe
from curriculum.models.presets import shape_of
from curriculum.models.shapes import DecoderShape
from curriculum.train.router_rate import measured_rate
from train.plans import MODULES


def moe() -> Moe:
    shape = MODULES["llm"].shape
    assert isinstance(shape, DecoderShape)
    return Moe(shape)


@given(
    counts=st.lists(st.integers(0, 10_000), min_size=8, max_size=8).filter(lambda c: len({*c}) > 1),
    rate=st.floats(1e-6, 1.0),
    start=st.lists(st.floats(-4, 4, width=32), min_size=8, max_size=8),
)
def test_the_rate_is_found_within_the_rounding_that_is_said(
    counts: list[int], rate: float, start: list[float]
) -> None:
    layer = moe()
    layer.router_bias.copy_(torch.tensor(start))
    layer.expert_counts.copy_(torch.tensor(counts))
    before = layer.router_bias.tolist()
    layer.update_bias(rate)
    found = measured_rate([before], [layer.router_bias.tolist()], [counts])
    assert found is not None
    measured, rounding = found
    assert abs(measured - rate) <= rounding < 1e-5


def test_one_layer_that_is_left_out_changes_the_rate() -> None:
    counts, still, moved = [[3, 1], [3, 1]], [0.0, 0.0], [-0.5, 0.5]
    assert measured_rate([still, still], [moved, moved], counts) == pytest.approx(
        (0.5, 0), abs=1e-6
    )
    found = measured_rate([still, still], [moved, still], counts)
    assert found is not None
    assert found[0] == 0.25


def test_what_did_not_move_has_rate_0_and_what_counts_hide_has_none() -> None:
    still = [[0.25, -0.25]]
    found = measured_rate(still, still, [[3, 1]])
    assert found is not None
    assert found == pytest.approx((0.0, 1.5e-8), rel=0.01)
    assert measured_rate(still, still, [[0, 0]]) == (0.0, 0.0)
    assert measured_rate(still, still, [[2, 2]]) is None
    assert measured_rate([], [], []) == (0.0, 0.0)


def test_a_bias_that_moves_without_a_reason_shows() -> None:
    for counts in ([0, 0], [2, 2]):
        assert measured_rate([[0.0, 0.0]], [[0.0, 0.125]], [counts]) == (0.125, 0.0)


def test_presets_have_as_many_biases_as_experts() -> None:
    shape = shape_of("moonlight-proxy", {})
    assert isinstance(shape, DecoderShape)
    assert len(moe().router_bias) == shape.num_experts
