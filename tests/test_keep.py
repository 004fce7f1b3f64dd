"""`keep` by module: what is said by module is as another ancestor left it for that module"""

from typing import Any

import pytest

from curriculum.plan import Plan
from small import BASE, EYES, compiled, plan_of
from strategies import Tree

OPTIMIZERS: Tree = {
    "adam": {"kind": "adamw", "weight_decay": ".1"},
    "other": {"kind": "adamw", "weight_decay": ".05", "vit/norms": {"kind": "adamw",
                                                                    "weight_decay": 0}},
}  # fmt: skip
VIT_ALIGN: Tree = {
    **{key: value for key, value in EYES.items() if key != "count"},
    "init": {"vit": "eyes", "llm": "text", "projector": "new"},
    "carry": "none",
    "train": ["vit", "projector"],
    "optimizer": "other",
    "loss": {"next_token": 1},
    "lr": {"vit": "3e-4", "projector": "5e-4"},
    "rope": {"llm": {"base": "10_000"}},
    "mixture": {"c": 1},
    "seed": 3,
}
JOINT: Tree = {
    "init": {"llm": "text", "vit": "align", "projector": "align"},
    "keep": {"rest": "text", "vit": "align", "projector": "align"},
    "carry": "none",
    "tokens": 6_400,
    "train": ["llm", "vit", "projector"],
    "mixture": {"a": ".5", "c": ".5"},
    "seed": 4,
}
STAGES: Tree = {"text": BASE, "eyes": {**EYES, "seed": 9}, "align": VIT_ALIGN}


def joint(**changes: Any) -> Plan:
    return plan_of({**STAGES, "joint": {**JOINT, **changes}}, optimizers=OPTIMIZERS)


def test_learning_rates_and_optimizers_are_each_modules_own() -> None:
    plan = joint()
    stage = plan.stage("joint")
    # `text` rode on `main`, which goes on; `align` ran at values of its own.
    assert stage.rides["llm"].schedule == "main"
    assert {t: stage.at(0).lr[t] for t in ("vit", "projector")} == {"vit": 3e-4, "projector": 5e-4}
    decay = {t: rule.values["weight_decay"] for t, rule in stage.optimizer.items()}
    assert decay == {"llm": 0.1, "projector": 0.05, "vit": 0.05, "vit/norms": 0}


def test_rope_and_settings_follow_the_module_too() -> None:
    assert joint().stage("joint").rope == plan_of(STAGES, optimizers=OPTIMIZERS).stage("text").rope
    kept = joint(keep={"rest": "text", "llm": "align", "vit": "align", "projector": "align"},
                 lr="1e-4")  # fmt: skip
    stage = kept.stage("joint")
    assert stage.rope == kept.stage("align").rope
    assert stage.settings == {}  # `align` set nothing in the llm
    assert joint().stage("joint").settings.keys() == {"llm/router.bias_rate"}
    assert stage.at(0).loss == kept.stage("text").at(0).loss


def test_what_is_said_is_not_kept() -> None:
    plan = joint(lr="1e-4", optimizer="adam")
    assert set(plan.stage("joint").at(0).lr.values()) == {1e-4}
    assert {r.values["weight_decay"] for r in plan.stage("joint").optimizer.values()} == {0.1}


def test_a_follower_that_keeps_a_keeper_keeps_its_modules() -> None:
    after = {"init": "joint", "keep": "joint", "carry": "none", "tokens": 6_400, "lr": "1e-4"}
    plan = plan_of({**STAGES, "joint": JOINT, "after": after}, optimizers=OPTIMIZERS)
    assert plan.stage("after").optimizer == plan.stage("joint").optimizer


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"vit": "align"}, "`keep` by module does not say what the `rest` keeps"),
        ({"rest": "text", "vit": "text"}, "stage `text` has no module `vit` to keep"),
        ({"rest": "text", "vit": "nobody"}, "there is no stage `nobody` to keep"),
        ({"rest": "text", "eye": "align"}, "there is no module `eye`"),
        (
            {"rest": "text", "llm": "align"},
            "`llm` is trained in stage `joint` and has no learning rate",
        ),
    ],
)
def test_wrong_keeps_are_refused_in_words(keep: Tree, words: str) -> None:
    found = compiled({**STAGES, "joint": {**JOINT, "keep": keep}}, optimizers=OPTIMIZERS)
    assert found.plan is None
    assert any(words in str(f) for f in found.findings), [str(f) for f in found.findings]
