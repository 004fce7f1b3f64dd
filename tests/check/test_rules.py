from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from curriculum.check.advice import advice, every_rule
from curriculum.check.explained import entry, explanations, handbook
from curriculum.check.rules import broken_rules
from curriculum.compile import compile_file, compile_text
from curriculum.errors import Severity
from curriculum.lock import read_lock, write_lock
from curriculum.plan import Plan
from failing_data import FAILS as DATA
from small_plan import SMALL, small

PLANS = Path(__file__).parents[2] / "plans"

# An LLM that sees, and a pair of towers beside it.
EYES = """\
plan: eyes
modules:
  llm: {preset: moonlight-proxy}
  vit: {preset: moonvit-proxy}
  projector: {preset: pixel-shuffle-mlp-proxy}
  text_tower: {preset: siglip-text-proxy}
optimizers:
  adam: {kind: adamw, weight_decay: .1}
sources:
  web: {modality: text, tokens: 10M}
  pictures: {modality: image-text, tokens: 10M}
stages:
  first:
    init: {llm: new, vit: new, projector: new}
    tokens: 1M
    train: [llm, vit, projector]
    optimizer: adam
    loss: {next_token: 1}
    lr: 1e-3
    seq_len: 128
    batch: {seqs: 16}
    packing: best-fit
    rope: {llm: {base: 10_000}}
    mixture: {web: .5, pictures: .5}
  towers:
    init: {vit: new, text_tower: new}
    tokens: 1M
    count: vit
    train: [vit, text_tower]
    optimizer: adam
    loss: {siglip: 1}
    lr: 1e-3
    seq_len: 128
    batch: {seqs: 16}
    packing: best-fit
    rope: none
    mixture: {pictures: 1}
    seed: 7
"""
ZEBRA = ("  code: {", "  zebra: {modality: text}\n  code: {")
THIRD = """\
  third:
    init: second
    keep: first
    carry: all
    tokens: 500K
"""


def eyes(*changes: tuple[str, str]) -> str:
    text = EYES
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def plan_of(text: str) -> Plan:
    compiled = compile_text(text)
    assert compiled.findings == ()
    assert compiled.plan is not None
    return compiled.plan


def compiled_of(text: str) -> Plan:
    """Return a plan that the compiler may have told something of."""
    plan = compile_text(text).plan
    assert plan is not None
    return plan


def said(plan: Plan, rule: str) -> list[str]:
    """Return what a rule says of a plan, as `line:column severity message`."""
    lines = []
    for finding in (*broken_rules(plan), *advice(plan)):
        if finding.rule == rule:
            assert finding.span is not None
            place = f"{finding.span.line}:{finding.span.column}"
            lines.append(f"{place} {finding.severity} {finding.message}")
    return lines


# Each rule with a plan that fails it; SMALL and EYES pass all of them.
FAILS: dict[str, list[tuple[str, str]]] = {
    "carried-modules-go-on-at-their-rate": [
        (
            small(("    carry: all", "    carry: all\n    lr: 5e-4")),
            "31:9 error stage `second` carries the optimizer state of `llm` and begins at LR "
            "0.0005, where `first` left it at 0.0001",
        )
    ],
    "rates-are-not-negative": [
        (
            small(("to: 10%", "to: -1e-4"), ("    carry: all", "    carry: none\n    lr: 1e-3")),
            "13:27 error the learning rate of `llm` falls to -0.0001 in stage `first`",
        ),
        (
            eyes(("lr: 1e-3", "lr: [{shape: linear, from: -1e-3, to: 0}]")),
            "19:32 error the learning rate of `llm` falls to -0.001 in stage `first`",
        ),
        (
            small(
                ("{next_token: 1}", "{next_token: -1}"),
                ("    keep", "    loss: {next_token: 1}\n    keep"),
            ),
            "20:24 error the loss weight of `next_token` falls to -1 in stage `first`",
        ),
    ],
    "rates-are-below-one": [
        (
            small(("to: 1e-3", "to: 1e3")),
            "12:36 error the learning rate of `llm` rises to 1000 in stage `first`",
        ),
        (
            eyes(("lr: 1e-3", "lr: 1e3")),
            "19:9 error the learning rate of `llm` rises to 1000 in stage `first`",
        ),
        (
            small(("to: 10%", "to: 5")),
            "13:27 error the learning rate of `llm` rises to 5 in stage `first`",
        ),
    ],
    "warm-ups-end-in-their-stage": [
        (
            small(("10 steps", "500 steps")),
            "12:47 warning the warm-up of schedule `main` takes 500 steps, stage `first`, in which "
            "it begins, has 489",
        ),
        (
            small(("for: 10 steps", "until: 1_200_000")),
            "12:49 warning the warm-up of schedule `main` takes 1,200,000 tokens, stage `first`, "
            "in which it begins, has 1,000,000",
        ),
    ],
    "rope-grows-with-context": [
        (
            small(("    rope.llm.base: 10_000\n", "")),
            "32:14 warning stage `second` grows the context of `llm` from 128 to 256 and leaves "
            "its RoPE base at 10000",
        )
    ],
    "every-trained-module-moves": [
        (
            eyes(("lr: 1e-3", "lr: {llm: 1e-3, vit: 0, projector: 1e-3}")),
            "19:26 warning `vit` is trained in stage `first` at a learning rate of 0",
        )
    ],
    "first-steps-learn": [
        (
            small(("tokens: 1M", "tokens: 40K")),
            "21:9 info step 0 of stage `first` is 5% of its tokens, and changes nothing of `llm`: "
            "a warm-up from 0 reads 0 there",
        )
    ],
    "stages-have-three-steps": [
        (small(("500K", "3K")), "31:13 warning stage `second` has 2 steps of 2.05K tokens")
    ],
    "rope-never-shrinks-unsaid": [
        (
            small(("rope.llm.base: 10_000", "rope.llm.base: 20_000"))
            + THIRD
            + "    seq_len: 256\n    batch: {seqs: 8}\n",
            "37:11 error stage `third` takes `llm` from `second` at RoPE base 20000 and goes on "
            "at 10000",
        )
    ],
    "context-never-shrinks-unsaid": [
        (
            SMALL + THIRD,
            "37:11 error stage `third` takes `llm` from `second` at a context of 256 and goes on "
            "at 128",
        )
    ],
    "every-loss-term-has-its-modules": [
        (
            eyes(("{siglip: 1}", "{siglip: 1, caption: 2}")),
            "31:32 error the loss `caption` of stage `towers` needs a module of kind captioner",
        )
    ],
    "every-trained-module-has-a-loss": [
        (
            eyes(("web: .5, pictures: .5", "web: 1"), ("[llm, vit, projector]", "[llm, vit]")),
            "16:12 error no gradient reaches `vit` in stage `first`: the stage reads no images",
        ),
        (
            eyes(("vit: new, projector: new", "vit: new"), ("[llm, vit, projector]", "[llm, vit]")),
            "16:12 error no gradient reaches `vit` in stage `first`: `next_token` reaches it only "
            "through an LLM and a projector",
        ),
        (
            eyes(("{siglip: 1}", "{siglip: 0}")).replace("[vit, text_tower]", "[text_tower]"),
            "29:12 error no gradient reaches `text_tower` in stage `towers`: its loss is siglip",
        ),
    ],
    "everything-declared-is-used": [
        (
            small(("modules:", "modules:\n  vit: {preset: moonvit-proxy}")),
            "4:8 warning no stage uses the module `vit`",
        ),
        (
            small(("  code: {", "  more: {modality: text}\n  code: {")),
            "9:9 warning no stage uses the source `more`",
        ),
        (
            small(("  main:", "  spare: 1e-3\n  main:")),
            "11:10 warning no stage uses the schedule `spare`",
        ),
        (
            small(("  adam:", "  spare: {kind: adamw, weight_decay: 0}\n  adam:")),
            "6:10 warning no stage uses the optimizer `spare`",
        ),
        (
            small(("  first:", "  old: {checkpoint: {gives: [llm]}}\n  first:")),
            "15:8 warning no stage uses the outside checkpoint `old`",
        ),
    ],
    "every-source-can-be-read": [
        (
            eyes(("{pictures: 1}", "{pictures: .5, web: .5}")),
            "37:34 error stage `towers` reads `web`, and its tokens are the ViT's positions, and "
            "a text has none",
        ),
        (
            eyes(("vit: new, projector: new", "vit: new"), ("[llm, vit, projector]", "[llm]")),
            "24:34 error stage `first` reads `pictures`, and has no projector for its images",
        ),
    ],
    "every-source-is-drawn": [
        (
            small(
                ZEBRA,
                (".75", ".749_99, zebra: .000_01"),
            ),
            "27:36 error source `zebra` rounds to no sequence in stage `first`: its ratio asks for "
            "0.078 of one in 7,824",
        ),
        (
            small(
                ZEBRA,
                (".75", ".749, zebra: .001"),
                (
                    "    seq_len: 256\n    batch: {tokens: keep}\n",
                    "    mixture: {zebra: .00001, web: rest}\n",
                ),
            ),
            "33:22 warning source `zebra` rounds to no sequence in stage `second`: its ratio asks "
            "for 0.039 of one in 3,920",
        ),
    ],
    "no-source-passes-its-cap": [
        (
            small(("tokens: 10M}\n  code", "tokens: 500K, max_epochs: 2}\n  code")),
            "27:3 error by the end of stage `second` source `web` is read 2.25 times, its cap is "
            "2: 125K tokens are lacking",
        ),
        (
            small(("tokens: 10M}\n  code", "tokens: 750K, holdout: 10%, max_epochs: 1}\n  code")),
            "26:20 error by the end of stage `first` source `web` is read 1.111 times, its "
            "cap is 1: 75K tokens are lacking",
        ),
    ],
    "separate-stages-deal-their-own-samples": [
        (
            eyes(("    seed: 7\n", "")),
            "25:3 error stages `first` and `towers` run beside each other and read the same "
            "documents of `pictures`",
        )
    ],
    "repeated-sources-are-capped": [
        (
            small(("tokens: 10M}\n  code", "tokens: 500K}\n  code")),
            "8:33 info source `web` is read 2.25 times by the end of stage `second`",
        ),
        (
            small(("tokens: 10M}\n  code", "tokens: 100K}\n  code")),
            "8:33 warning source `web` is read 11.25 times by the end of stage `second`: 1.12M "
            "tokens worth 848K new ones (Muennighoff et al., arXiv 2305.16264)",
        ),
    ],
    "claims-hold": [
        (
            SMALL + "require: [mix.web <= 80%, 'second: lr.llm < 1e-4']\n",
            "35:36 error `lr.llm < 1e-4` does not hold at step 0 of stage `second`: "
            "0.000330673 < 0.0001 is false",
        )
    ],
}


def cases() -> Iterator[tuple[str, str, str]]:
    yield from ((rule, *case) for rule, found in {**FAILS, **DATA}.items() for case in found)


@pytest.mark.parametrize(("rule", "text", "message"), list(cases()))
def test_a_plan_that_breaks_the_rule(rule: str, text: str, message: str) -> None:
    assert message in said(plan_of(text), rule)


@pytest.mark.parametrize("rule", [r.code for r in every_rule()])
def test_plans_that_keep_every_rule(rule: str) -> None:
    assert said(plan_of(SMALL), rule) == []
    assert said(plan_of(EYES), rule) == []


def test_every_rule_has_a_plan_that_breaks_it() -> None:
    """Here, or in the handbook, whose examples tests/check/test_explained.py runs."""
    examples = {code for code in handbook() if entry(code).trips is not None}
    codes = {rule.code for rule in every_rule()}
    assert {*FAILS, *DATA, *examples, "budgets-become-whole-steps"} == codes


def test_explain_says_every_severity_that_a_rule_has() -> None:
    known = explanations()
    seen: dict[str, set[str]] = {}
    examples = ((code, entry(code).trips) for code in handbook())
    published = (
        ("schedules-are-seen-to-their-end", "llama-3.1-405b"),
        ("decays-and-switches-meet", "smollm3-3b"),
    )
    texts = ((rule, (PLANS / f"{name}.yaml").read_text("utf-8")) for rule, name in published)
    for rule, text in (*((rule, text) for rule, text, _ in cases()), *examples, *texts):
        if text is None:
            continue
        told = (line.split()[1] for line in said(compiled_of(text), rule))
        seen.setdefault(rule, set()).update(told)
    for rule, severities in seen.items():
        assert severities <= set(known[rule].severities), rule
    milder = [one for one in known.values() if len(one.severities) > 1]
    assert len(milder) == 5
    assert [one.code for one in milder if seen[one.code] != set(one.severities)] == []


def test_a_first_step_is_told_of_where_it_is_much_of_its_stage() -> None:
    assert said(plan_of(small(("tokens: 1M", "tokens: 205K"))), "first-steps-learn") == []
    assert said(plan_of(small(("tokens: 1M", "tokens: 204K"))), "first-steps-learn") != []


@pytest.mark.parametrize(
    ("curve", "help"),
    [
        ("{shape: constant, from: 3e4}", "did you mean 3e-4?"),
        ("{shape: linear, from: 30_000, to: 1e-5}", "did you mean 3e-4?"),
        ("{shape: constant, from: 4.2e5}", "did you mean 4.2e-5?"),
        ("{shape: constant, from: 3}", "write a rate below 1, such as 3e-4"),
    ],
)
def test_a_rate_without_its_minus_sign_is_told_once(curve: str, help: str) -> None:
    text = eyes(("lr: 1e-3", f"lr: [{curve}]"))
    (finding,) = broken_rules(plan_of(text))
    assert (finding.rule, finding.severity, finding.help) == (
        "rates-are-below-one", Severity.ERROR, help
    )  # fmt: skip


def test_what_a_schedule_says_is_told_once_whatever_rides_on_it() -> None:
    rate = small(("to: 1e-3", "to: 3e4"))  # its cosine ends at 10% of that
    found = [f for f in broken_rules(plan_of(rate)) if f.rule == "rates-are-below-one"]
    assert [(f.message, f.help) for f in found] == [
        ("the learning rate of `llm` rises to 30000 in stage `first`", "did you mean 3e-4?")
    ]
    scaled = small(("to: 1e-3", "to: 3e4"), ("lr: main", "lr: {llm: {schedule: main, scale: .1}}"))
    found = [f for f in broken_rules(plan_of(scaled)) if f.rule == "rates-are-below-one"]
    assert [(f.message, f.help) for f in found] == [
        ("the learning rate of `llm` rises to 3000 in stage `first`", "did you mean 3e-4?")
    ]


def test_a_rate_that_is_kept_is_told_where_it_is_said() -> None:
    text = small(("lr: main", "lr: [{shape: linear, from: 3e4, to: 2}]"))
    found = [f for f in broken_rules(plan_of(text)) if f.rule == "rates-are-below-one"]
    assert [f.message for f in found] == [
        "the learning rate of `llm` rises to 30000 in stage `first`"
    ]
    again = read_lock(write_lock(plan_of(text)), "lock.json")
    assert "rates-are-below-one" in {f.rule for f in broken_rules(again)}


def test_a_budget_that_was_not_rounded_to_the_next_step() -> None:
    plan = plan_of(SMALL)
    stage = plan.stage("second")
    assert stage.tokens - stage.budget.tokens < stage.at(0).tokens_per_step
    longer = replace(stage, steps=stage.steps + 1)
    assert said(replace(plan, stages=(plan.stages[0], longer)), "budgets-become-whole-steps") == [
        "31:13 error stage `second` asks for 500,000 tokens and plans 503,808; a step has 2,048"
    ]
    down = plan_of(small(("500K", "500K\n    round: down"))).stage("second")
    assert down.steps == stage.steps - 1
    assert said(replace(plan, stages=(plan.stages[0], down)), "budgets-become-whole-steps") == []


def test_sentences_are_sentences() -> None:
    for rule in every_rule():
        assert rule.sentence.endswith((".", ":"))
        assert rule.code == rule.check.__name__.replace("_", "-")
        assert rule.check.__doc__


def test_a_module_may_jump_start_at_zero_or_go_on() -> None:
    rule = "carried-modules-go-on-at-their-rate"
    for lr in (
        "{curve: 5e-4, jump: true}",
        "[{shape: linear, from: 0, to: 1e-3}]",
        "[{shape: linear, from: current, to: 0}]",
        "1e-4",
    ):
        assert said(plan_of(small(("    carry: all", f"    carry: all\n    lr: {lr}"))), rule) == []
    forgets = plan_of(small(("    carry: all", "    carry: none\n    lr: 5e-4")))
    assert said(forgets, rule) == []


def test_a_frozen_stage_between_does_not_hide_the_rate() -> None:
    """The optimizer state passes through a stage that freezes the module: so does its LR."""
    text = (
        EYES.replace("    seed: 7\n", "    seed: 7\n")
        + """\
  rest:
    init: {llm: first, vit: first, projector: first}
    keep: first
    carry: all
    tokens: 100K
    train: [projector]
  again:
    init: rest
    keep: rest
    carry: all
    tokens: 100K
    train: [llm]
    lr: 2e-3
"""
    )
    found = said(plan_of(text), "carried-modules-go-on-at-their-rate")
    assert found == [
        "51:9 error stage `again` carries the optimizer state of `llm` and begins at LR 0.002, "
        "where `first` left it at 0.001"
    ]


def test_a_cap_counts_what_was_asked_and_not_what_was_rounded_up() -> None:
    """1M tokens are 488.3 steps of 2,048: the 489th reads past them, and is no second epoch."""
    text = small(("tokens: 10M}\n  code", "tokens: 1_125K, max_epochs: 1}\n  code"))
    assert said(plan_of(text), "no-source-passes-its-cap") == []
    text = small(("tokens: 10M}\n  code", "tokens: 1_124_999, max_epochs: 1}\n  code"))
    assert len(said(plan_of(text), "no-source-passes-its-cap")) == 1


def test_a_cap_is_told_once_on_a_path() -> None:
    text = small(("tokens: 10M}\n  code", "tokens: 500K, max_epochs: 1}\n  code"))
    found = said(plan_of(text), "no-source-passes-its-cap")
    assert [line.split(" ")[0] for line in found] == ["26:20"]


def test_context_and_rope_may_shrink_where_the_stage_says_so() -> None:
    text = SMALL + THIRD + "    seq_len: 128\n    batch: {seqs: 16}\n"
    assert said(plan_of(text), "context-never-shrinks-unsaid") == []
    text = small(("rope.llm.base: 10_000", "rope.llm.base: 20_000")) + THIRD
    assert said(plan_of(text + "    rope.llm.base: 10_000\n"), "rope-never-shrinks-unsaid") == []


GROWS = """\
  third:
    init: second
    keep: second
    carry: all
    tokens: 500K
    seq_len: 128
    batch: {tokens: keep}
  fourth:
    init: third
    keep: third
    carry: all
    tokens: 500K
    seq_len: 256
    batch: {tokens: keep}
"""


def test_a_context_that_an_ancestor_read_at_the_same_base_is_not_grown_into() -> None:
    assert said(plan_of(SMALL + GROWS), "rope-grows-with-context") == []
    longer = SMALL + GROWS.replace("seq_len: 256", "seq_len: 512")
    (found,) = said(plan_of(longer), "rope-grows-with-context")
    assert "stage `fourth` grows the context of `llm` from 128 to 512" in found
    # `second` read 256 at another base than the one that `third` says, and `fourth` keeps.
    other = GROWS.replace("seq_len: 128\n", "seq_len: 128\n    rope.llm.base: 20_000\n")
    (found,) = said(plan_of(SMALL + other), "rope-grows-with-context")
    assert "stage `fourth` grows the context of `llm` from 128 to 256" in found


@pytest.mark.parametrize(
    ("base", "seq_len", "number"), [(10_000, 256, 0), (10_000, 255, 1), (2, 256, 1)]
)
def test_an_outside_checkpoint_may_have_read_long_contexts(
    base: int, seq_len: int, number: int
) -> None:
    given = f"{{gives: [llm], rope: {{llm: {{base: {base}}}}}, seq_len: {seq_len}}}"
    text = small(
        ("stages:\n", f"stages:\n  given: {{checkpoint: {given}}}\n"),
        ("{llm: new}", "{llm: given}"),
        ("    rope.llm.base: 10_000\n", ""),
    )
    assert len(said(plan_of(text), "rope-grows-with-context")) == number


def test_a_context_past_the_mark_that_a_stage_was_left_at_was_not_read() -> None:
    batch = "batch: [{seqs: 16, until: step 100}, {seqs: 8, seq_len: 256}]"
    for mark, number in (("@step 300", 0), ("@step 99", 1)):
        text = small(
            ("    batch: {seqs: 16}", f"    {batch}"),
            ("init: first", f"init: first{mark}"),
            ("lr: main", "lr: 1e-3"),
            ("    rope.llm.base: 10_000\n", ""),
        )
        assert len(said(plan_of(text), "rope-grows-with-context")) == number


EPOCHS = """\
  sft:
    init: second
    keep: second
    carry: all
    epochs: 4
    mixture: {answers: 1}
"""


def test_epochs_that_the_budget_says_are_said() -> None:
    rule = "repeated-sources-are-capped"
    sources = ("  code:", "  answers: {modality: text, tokens: 100_001, holdout: 1%}\n  code:")
    assert said(plan_of(small(sources) + EPOCHS), rule) == []
    # What a stage before it read of the source its budget does not say.
    before = small(sources, ("web: .75", "web: .5, answers: .25"))
    (found,) = said(plan_of(before + EPOCHS), rule)
    assert "source `answers` is read 7." in found
    (found,) = said(plan_of(small(sources) + EPOCHS.replace("epochs: 4", "tokens: 396K")), rule)
    assert "source `answers` is read 4 times" in found


def test_unknown_numbers_are_no_findings() -> None:
    text = small(
        ("tokens: 10M}\n  code", "tokens: unknown, max_epochs: 1}\n  code"),
        ("{shape: cosine, to: 10%}", "{shape: cosine, to: unknown}"),
        ("{next_token: 1}", "{next_token: unknown}"),
    )
    assert broken_rules(plan_of(text)) == ()


def test_a_lock_is_not_blamed_for_what_only_a_text_can_say() -> None:
    plan = plan_of(SMALL + THIRD)
    again = read_lock(write_lock(plan), "x.lock.json")
    assert broken_rules(plan) != ()
    assert broken_rules(again) == ()


def test_related_places_are_the_other_half() -> None:
    text, _ = FAILS["carried-modules-go-on-at-their-rate"][0]
    found = next(f for f in broken_rules(plan_of(text)) if f.related)
    assert [str(r.span) for r in found.related] == ["plan.yaml:21:9"]


def test_the_full_plan_has_neither_errors_nor_warnings() -> None:
    plan = compile_file(PLANS / "kimi-vl.yaml").plan
    assert plan is not None
    assert {f.severity for f in broken_rules(plan)} <= {Severity.INFO}
