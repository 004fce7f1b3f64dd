"""Epochs count all ancestors, each once, up to where it was left."""

from fractions import Fraction
from pathlib import Path

from curriculum.compile import compile_file
from curriculum.plan import Plan
from curriculum.usage import epochs, tokens_asked


def seed_plan(*settings: str) -> Plan:
    plan = compile_file(Path("plans/kimi-vl.yaml"), settings).plan
    assert plan is not None
    return plan


def test_epochs_of_the_seed_plan_count_every_ancestor() -> None:
    plan = seed_plan()
    asked = tokens_asked(plan)
    assert asked["text"]["web"] == Fraction(6, 10) * 5_200_000_000_000
    # 60 % of a caption document's tokens are image positions of four patches each; the ramp of
    # `joint` is 5 % of it at 0, then a line to .4: about .19 of its tokens.
    captions = asked["joint"]["captions"]
    assert captions is not None
    ramp = captions - 2_000_000_000_000 / (Fraction(6, 10) * 4) - 100_000_000_000
    assert abs(float(ramp) / 1.4e12 - 0.19) < 1e-5
    assert epochs(plan)["joint"]["captions"] == captions / 3_000_000_000_000


def test_what_rounding_to_whole_steps_added_was_not_asked_for() -> None:
    plan = seed_plan()
    assert plan.stage("text").tokens > 5_200_000_000_000
    assert sum(n for n in tokens_asked(plan)["text"].values() if n) == 5_200_000_000_000


def test_a_source_of_unknown_size_has_no_epochs() -> None:
    assert epochs(seed_plan("sources.web.tokens=unknown"))["text"]["web"] is None


def test_a_vit_stage_says_nothing_of_epochs_without_an_image_share() -> None:
    read = epochs(seed_plan("sources.captions={modality: image-text, tokens: 3T}"))
    assert read["vit-coca"]["captions"] is None
    assert read["joint"]["captions"] is None
    assert read["joint"]["web"] is not None
