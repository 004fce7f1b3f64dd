"""What a module or part of an optimizer says, and takes from its module and from the whole"""

from typing import Any

import pytest

from curriculum.compile import compile_text
from curriculum.lock import read_lock, write_lock
from small import BASE, EYES, compiled, plan_of, right, tree
from strategies import Tree, text_of

BOTH: Tree = {
    **BASE,
    "init": {"llm": "new", "vit": "new", "projector": "new"},
    "train": ["llm", "vit"],
}


def rules_in(optimizer: Tree, stage: Tree = BOTH) -> dict[str, Any]:
    plan = plan_of({"base": stage}, optimizers={"adam": optimizer})
    lock = write_lock(plan)
    assert write_lock(read_lock(lock, "lock")) == lock
    return {t: (r.kind, dict(r.values)) for t, r in plan.stage("base").optimizer.items()}


def test_a_part_takes_its_kind_and_numbers_from_its_module() -> None:
    found = rules_in(
        {
            "kind": "muon",
            "update_rms": ".2",
            "weight_decay": ".1",
            "llm": {"kind": "adamw", "beta2": ".99"},
            "llm/head": {"weight_decay": 0},
            "llm/norms": {"kind": "muon", "momentum": ".9"},
            "vit/norms": {"weight_decay": 0},
        }
    )
    adamw = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "clip_norm": None, "weight_decay": 0.1}
    assert found["llm"] == ("adamw", adamw)
    assert found["llm/head"] == ("adamw", {**adamw, "weight_decay": 0})
    # Another kind takes what both know: the module's beta2, and the whole's update_rms.
    kind, values = found["llm/norms"]
    assert (kind, values["beta2"], values["update_rms"], values["momentum"]) == (
        "muon", 0.99, 0.2, 0.9,
    )  # fmt: skip
    kind, values = found["vit/norms"]
    assert (kind, values["weight_decay"], values["update_rms"]) == ("muon", 0, 0.2)
    assert found["vit"][1]["weight_decay"] == 0.1


def test_the_whole_needs_no_kind_where_every_module_has_one() -> None:
    optimizer: Tree = {
        "weight_decay": ".1",
        "vit": {"kind": "adamw"},
        "llm": {"kind": "muon", "update_rms": ".2"},
        "llm/norms": {"kind": "adamw"},
    }
    found = rules_in(optimizer)
    assert {name: kind for name, (kind, _) in found.items()} == {
        "llm": "muon", "llm/norms": "adamw", "vit": "adamw",
    }  # fmt: skip
    assert all(values["weight_decay"] == 0.1 for _, values in found.values())
    less = {k: v for k, v in optimizer.items() if k != "vit"}
    (error,) = compiled({"base": BOTH}, optimizers={"adam": less}).errors
    assert error.rule == "missing-key"
    assert error.message == "optimizer `adam` says no `kind`, and nothing of `vit`"
    assert error.help == "add `kind: adamw`, or `vit: {kind: adamw, weight_decay: .1}`"
    assert error.span is not None
    plan_of({"base": BASE}, optimizers={"adam": less})  # its ViT is not trained


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"weight_decay": ".1"}, "an optimizer says its `kind`"),
        ({"weight_decay": ".1", "llm/norms": {"eps": "1e-7"}}, "an optimizer says its `kind`"),
        ({"kind": "adamw", "weight_decay": 0, "llm": {"momentum": 0}}, "adamw has no value `mom"),
        ({"momentun": ".1", "llm": {"kind": "adamw"}}, "an optimizer has no value `momentun`"),
        (
            {"kind": "adamw", "weight_decay": 0, "llm": {"kind": "sgd"}},
            "`sgd` is not one of the words for this",
        ),
        ({"kind": "adamw", "llm": {"beta1": 0}}, "optimizer `llm` says no `weight_decay`"),
    ],
)
def test_what_a_rule_lacks_is_told(optimizer: Tree, message: str) -> None:
    found = compiled({"base": BASE}, optimizers={"adam": optimizer})
    assert message in " ".join(str(error) for error in found.errors)


def test_leaving_out_what_is_taken_over_changes_no_digest() -> None:
    short: Tree = {
        "kind": "adamw", "weight_decay": ".1", "beta2": ".99",
        "llm": {"beta1": ".8"}, "llm/norms": {"weight_decay": 0}, "vit/norms": {"eps": "1e-7"},
    }  # fmt: skip
    long: Tree = {
        "kind": "adamw", "weight_decay": ".1", "beta2": ".99",
        "llm": {"kind": "adamw", "weight_decay": ".1", "beta2": ".99", "beta1": ".8"},
        "llm/norms": {"kind": "adamw", "weight_decay": 0, "beta2": ".99", "beta1": ".8"},
        "vit/norms": {"kind": "adamw", "weight_decay": ".1", "beta2": ".99", "eps": "1e-7"},
    }  # fmt: skip
    plans = [plan_of({"base": BOTH}, optimizers={"adam": said}) for said in (short, long)]
    assert write_lock(plans[0]) == write_lock(plans[1])
    turned = dict(reversed(short.items()))  # the order of keys means nothing
    plan = right(compile_text(text_of(tree({"base": BOTH}, optimizers={"adam": turned}))))
    assert plan == plans[0]


def test_defaults_are_listed_once_where_they_are_first_taken() -> None:
    optimizer: Tree = {
        "weight_decay": ".1",
        "llm": {"kind": "adamw"},
        "llm/norms": {"weight_decay": 0},
        "llm/head": {"kind": "muon", "update_rms": ".2"},
    }
    plan = plan_of({"base": BASE, "eyes": {**EYES, "optimizer": "other", "seed": 1}}, optimizers={
        "adam": optimizer, "other": {"kind": "adamw", "weight_decay": 0},
    })  # fmt: skip
    paths = {p.path.removeprefix("optimizers.") for p in plan.provenance if p.kind == "default"}
    assert {p for p in paths if p.startswith("adam")} == {
        "adam.llm.beta1", "adam.llm.beta2", "adam.llm.eps", "adam.llm.clip_norm",
        "adam.llm/head.momentum", "adam.llm/head.nesterov", "adam.llm/head.ns_steps",
    }  # fmt: skip
