"""Names of claims that can mean nothing are told beside the other errors of a plan, and no more"""

import pytest

from curriculum.check.rules import broken_rules
from curriculum.compile import compile_text
from small_plan import small

TYPO = "    packing", "    paking"


def told(claim: str, *changes: tuple[str, str]) -> list[str]:
    """Return what is said of the claim, whether the plan compiles or not."""
    text = small(("seed: 1\n", f"seed: 1\nrequire:\n  - {{claim: {claim!r}}}\n"), *changes)
    compiled = compile_text(text, "p")
    found = compiled.findings if compiled.plan is None else tuple(broken_rules(compiled.plan))
    return [str(finding) for finding in found if finding.rule == "claim-path"]


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (
            "lr.lm <= 1",
            "p:4:14: error[claim-path]: no stage has a value `lr.lm`, in the claim `lr.lm <= 1`; "
            "did you mean `llm`?",
        ),
        (
            "frist: lr.llm <= 1",
            "p:4:14: error[claim-path]: there is no stage `frist`, in the claim "
            "`frist: lr.llm <= 1`; did you mean `first`?",
        ),
        (
            "mix.wbe <= 90%",
            "p:4:14: error[claim-path]: no node, tag, source or modality is called `wbe`, in the "
            "claim `mix.wbe <= 90%`; did you mean `web`?",
        ),
        (
            "epochs.cod <= 4",
            "p:4:14: error[claim-path]: no source, tag or modality is called `cod`, in the claim "
            "`epochs.cod <= 4`; did you mean `code`?",
        ),
        (
            "optimizer.lm.weight_decay == .1",
            "p:4:14: error[claim-path]: no stage trains `lm` with an optimizer, in the claim "
            "`optimizer.lm.weight_decay == .1`; did you mean `llm`?",
        ),
        (
            "rope.vit.base == 1",
            "p:4:14: error[claim-path]: no stage gives `vit` a RoPE, in the claim "
            "`rope.vit.base == 1`",
        ),
    ],
)
def test_a_name_that_is_nowhere_is_told_with_the_other_errors_and_alone(
    claim: str, expected: str
) -> None:
    (beside,) = told(claim, TYPO)
    assert beside.startswith(expected)
    (alone,) = told(claim)
    assert alone.split(";")[0] == beside.split(";")[0]


@pytest.mark.parametrize(
    "claim",
    [
        "lr.llm <= 1", "lr.llm/head <= 1", "second@end: mix.web <= 90%", "mix.source.code <= 90%",
        "mix.text <= 1", "epochs.web <= 4", "tokens.total == 1.5M", "steps.first >= 1",
        "rope.llm.base >= 1", "optimizer.llm.weight_decay == .1", "batch.seqs >= 1", "seq_len > 1",
        "first@50%: lr.llm >= second:lr.llm", "loss.next_token == 1",
    ],
)  # fmt: skip
def test_a_name_that_may_mean_something_is_not_refused_beside_other_errors(claim: str) -> None:
    assert told(claim, TYPO) == []


def test_sections_that_cannot_be_read_are_no_ground_for_another_error() -> None:
    text = small(("seed: 1\n", "seed: 1\nrequire: [lr.lm <= 1]\n"))
    text = text.replace("modules:\n  llm: {preset: moonlight-proxy}\n", "modules: [llm]\n")
    found = compile_text(text)
    assert found.plan is None
    assert "claim-path" not in {finding.rule for finding in found.findings}


def test_where_a_part_of_the_text_found_no_place_no_name_is_nowhere() -> None:
    claim = "seed: 1\n", "seed: 1\nrequire: ['third: lr.llm <= 1']\nstages.third.tokens: 1M\n"
    found = compile_text(small(claim))
    assert found.plan is None
    assert "claim-path" not in {finding.rule for finding in found.findings}
