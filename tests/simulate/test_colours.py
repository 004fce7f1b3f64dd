from itertools import combinations

import pytest

from curriculum.plan import Plan
from curriculum.simulate.colours import LINES, fills
from curriculum.simulate.timeline import outline
from simulate.plans import full_plan, laptop_plan


@pytest.mark.parametrize("plan", [full_plan(), laptop_plan()], ids=["full", "laptop"])
def test_areas_are_told_apart_in_grey_by_hatch_or_lightness(plan: Plan) -> None:
    drawn = fills(plan, outline(plan, 20))
    assert set(drawn) == {name for s in plan.stages for name in s.mixture.sources}
    for one, other in combinations(drawn.values(), 2):
        assert one.hatch != other.hatch or abs(one.lightness - other.lightness) > 6


def test_text_lies_at_the_bottom() -> None:
    plan = full_plan()
    kinds = [plan.sources[name].modality for name in fills(plan, outline(plan, 20))]
    assert kinds == sorted(kinds, key=lambda kind: (kind != "text", kind))


def test_no_two_lines_have_the_same_dashes() -> None:
    assert len({dashes for _, dashes in LINES}) == len(LINES)
