"""What a plan allows is silenced, counted and kept in its lock; idle comments are told"""

from pathlib import Path

import pytest

from curriculum.cli.load import load
from curriculum.compile import Compiled
from curriculum.lock import read_lock, write_lock
from small_plan import SMALL, small

ALLOW = "# curriculum: allow"
SHORT = ("tokens: 500K", "tokens: 3K")
FEW = f"{ALLOW} stages-have-three-steps two are enough"
JUMP = ("    carry: all", "    carry: all\n    lr: 5e-4")
RATE = "carried-modules-go-on-at-their-rate"


def checked(folder: Path, text: str, advises: bool = False) -> Compiled:
    path = folder / "plan.yaml"
    path.write_text(text)
    return load(path, advises=advises)


def told(compiled: Compiled) -> list[str]:
    return [f"{f.span and f.span.line} {f.severity} {f.rule}" for f in compiled.findings]


@pytest.mark.parametrize(
    "change",
    [
        ("tokens: 500K", f"tokens: 3K  {FEW}"),
        ("    tokens: 500K", f"    {FEW}\n    tokens: 3K"),
    ],
)
def test_a_finding_that_is_allowed_where_it_stands(tmp_path: Path, change: tuple[str, str]) -> None:
    compiled = checked(tmp_path, small(change))
    assert told(compiled) == []
    ((finding, reason),) = compiled.silenced
    assert (finding.rule, reason) == ("stages-have-three-steps", "two are enough")


def test_a_comment_at_a_key_counts_for_its_block(tmp_path: Path) -> None:
    compiled = checked(tmp_path, small(SHORT, ("  second:", f"  second:  {FEW}")))
    assert told(compiled) == []
    assert [one.reason for one in compiled.silenced] == ["two are enough"]
    other = checked(tmp_path, small(SHORT, ("  first:", f"  first:  {FEW}")))
    assert told(other) == ["15 warning unused-allow", "31 warning stages-have-three-steps"]


def test_an_error_that_is_allowed_lets_the_plan_go_on(tmp_path: Path) -> None:
    assert told(checked(tmp_path, small(JUMP))) == [f"31 error {RATE}"]
    line = f"    lr: 5e-4  {ALLOW} {RATE} as published"
    compiled = checked(tmp_path, small((JUMP[0], f"    carry: all\n{line}")))
    assert compiled.errors == ()
    assert [one.finding.rule for one in compiled.silenced] == [RATE]


@pytest.mark.parametrize(
    ("comment", "message", "help"),
    [
        (
            "stages-have-three-steps",
            "error[allow-reason]: this comment does not say why `stages-have-three-steps` is "
            "allowed here",
            "write `# curriculum: allow stages-have-three-steps reason`",
        ),
        (
            "stages-have-3-steps two",
            "error[unknown-allow]: there is no rule `stages-have-3-steps`",
            "did you mean `stages-have-three-steps`?",
        ),
        (
            "stages-have-3-steps",
            "error[unknown-allow]: there is no rule `stages-have-3-steps`",
            "did you mean `stages-have-three-steps`? and say why: "
            "`# curriculum: allow stages-have-three-steps reason`",
        ),
        (
            "zzz",
            "error[unknown-allow]: there is no rule `zzz`",
            "`curriculum explain` lists all rules, and say why: `# curriculum: allow RULE reason`",
        ),
        (
            "zzz it is fine",
            "error[unknown-allow]: there is no rule `zzz`",
            "`curriculum explain` lists all rules",
        ),
        (
            "siblings-sum it is nearly 1",
            "error[unknown-allow]: `siblings-sum` is no rule: what it refuses cannot be allowed",
            "mend it; only findings of rules are allowed",
        ),
        (
            "locks-come-back not here",
            "error[unknown-allow]: `locks-come-back` is no rule: what it refuses cannot be allowed",
            "mend it; only findings of rules are allowed",
        ),
        (
            "claims-hold not here",
            "error[unknown-allow]: a claim that fails cannot be allowed",
            "change it, or leave it out",
        ),
        (
            "",
            "error[unknown-allow]: this comment allows no rule",
            "write `# curriculum: allow RULE reason`",
        ),
        (
            "rates-are-below-one a large one",
            "warning[unused-allow]: `rates-are-below-one` finds nothing here that this comment "
            "could allow",
            "leave it out",
        ),
    ],
)
def test_comments_that_allow_nothing(tmp_path: Path, comment: str, message: str, help: str) -> None:
    compiled = checked(tmp_path, small(("tokens: 500K", f"tokens: 3K  {ALLOW} {comment}")))
    (found,) = (f for f in compiled.findings if f.rule != "stages-have-three-steps")
    assert str(found) == f"{tmp_path}/plan.yaml:31:17: {message}; {help}"
    assert compiled.silenced == ()
    assert any(f.rule == "stages-have-three-steps" for f in compiled.findings)


def test_a_claim_fails_whatever_its_line_says(tmp_path: Path) -> None:
    claim = f"require: [lr.llm <= 1e-4]  {ALLOW} claims-hold not here\n"
    assert [line.split()[-1] for line in told(checked(tmp_path, SMALL + claim))] == [
        "claims-hold",
        "unknown-allow",
    ]


def test_of_two_comments_the_nearer_one_counts(tmp_path: Path) -> None:
    text = small(
        ("tokens: 500K", f"tokens: 3K  {ALLOW} stages-have-three-steps near"),
        ("  second:", f"  second:  {ALLOW} stages-have-three-steps far"),
    )
    compiled = checked(tmp_path, text)
    assert [one.reason for one in compiled.silenced] == ["near"]
    assert told(compiled) == ["27 warning unused-allow"]


def test_the_lock_says_what_was_allowed(tmp_path: Path) -> None:
    line = f"    lr: 5e-4  {ALLOW} {RATE} as published"
    plan = checked(tmp_path, small((JUMP[0], f"    carry: all\n{line}"))).plan
    bare = checked(tmp_path, small(JUMP)).plan
    assert plan is not None
    assert bare is not None
    assert plan.digest == bare.digest
    assert '"allowed"' not in write_lock(bare)
    lock = tmp_path / "plan.lock.json"
    lock.write_text(write_lock(plan))
    assert [(a.rule, a.path, a.reason) for a in plan.allowed] == [
        (RATE, "stages.second.lr", "as published")
    ]
    again = load(lock)
    assert again.plan is not None
    assert write_lock(again.plan) == lock.read_text()
    assert again.errors == ()
    assert [(one.finding.rule, one.reason) for one in again.silenced] == [(RATE, "as published")]
    bare_lock = tmp_path / "bare.lock.json"
    bare_lock.write_text(write_lock(bare))
    assert [f.rule for f in load(bare_lock).errors] == [RATE]


def test_a_lock_allows_what_the_text_told_once(tmp_path: Path) -> None:
    """A schedule that two stages ride on has one line: its lock tells both stages."""
    rule = "rates-are-not-negative"
    end = f"{{shape: cosine, to: -1e-4}}  {ALLOW} {rule} it climbs on purpose"
    text = small(("{shape: cosine, to: 10%}", end))
    compiled = checked(tmp_path, text)
    assert compiled.errors == ()
    assert len(compiled.silenced) == 1
    assert compiled.plan is not None
    lock = tmp_path / "plan.lock.json"
    lock.write_text(write_lock(compiled.plan))
    again = load(lock)
    assert [f.rule for f in again.findings if f.rule == rule] == []
    assert len(again.silenced) == 2


def test_advice_that_is_allowed_stands_in_the_lock_too(tmp_path: Path) -> None:
    line = f"    lr: main  {ALLOW} first-steps-learn it always did"
    text = small(("    lr: main", line), ("tokens: 1M", "tokens: 204K"))
    planned = checked(tmp_path, text)
    assert planned.silenced == ()
    assert told(planned) == []
    assert planned.plan is not None
    lock = tmp_path / "plan.lock.json"
    lock.write_text(write_lock(planned.plan))
    for file in (tmp_path / "plan.yaml", lock):
        found = load(file, advises=True)
        assert told(found) == []
        assert [one.finding.rule for one in found.silenced] == ["first-steps-learn"]


def test_a_comment_counts_in_the_file_in_which_it_stands(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(small(("tokens: 500K", f"tokens: 3K  {FEW}")))
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("extends: base.yaml\nplan: other\n")
    found = load(overlay)
    assert told(found) == []
    assert [str(one.finding.span) for one in found.silenced] == [f"{tmp_path}/base.yaml:31:13"]
    # What the overlay says anew is its own, and the comment below is not blamed for it.
    overlay.write_text("extends: base.yaml\nplan: other\nstages.second.tokens: 2500\n")
    assert told(load(overlay)) == ["3 warning stages-have-three-steps"]


def test_a_lock_with_a_list_that_nobody_wrote(tmp_path: Path) -> None:
    plan = checked(tmp_path, SMALL).plan
    assert plan is not None
    text = write_lock(plan).replace('{\n "digest"', '{\n "allowed": [{"rule": 3}],\n "digest"', 1)
    assert '"allowed"' in text
    path = tmp_path / "plan.lock.json"
    path.write_text(text)
    (found,) = load(path).findings
    assert found.rule == "broken-lock"
    assert read_lock(write_lock(plan), "x").allowed == ()
