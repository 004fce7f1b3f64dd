"""Where rules about shares, parents, contexts and sources speak, and where they are silent"""

import time
from fractions import Fraction

import pytest

from curriculum.check.advice import advice
from curriculum.check.repetition import worth_tokens
from curriculum.check.rules import broken_rules
from curriculum.compile import compile_text
from curriculum.lock import read_lock, write_lock
from curriculum.plan import Plan
from failing_data import CONSTANT, FAILS, LONG, SOURCES, THIRD
from small_plan import small


def plan_of(text: str) -> Plan:
    plan = compile_text(text).plan
    assert plan is not None
    return plan


def told(rule: str, text: str) -> list[str]:
    plan = plan_of(text)
    return [f.message for f in (*broken_rules(plan), *advice(plan)) if f.rule == rule]


def edited(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


SWAPPED = FAILS["shares-are-not-swapped"][0][0]
FORGOTTEN = FAILS["parents-are-the-newest"][0][0]


@pytest.mark.parametrize(
    "mixture",
    [
        "{web: .7, code: .2, math: .1}",  # nothing changed
        "{web: .2, code: .7, math: .1}",  # exchanged, too: told of the other two
        "{web: .65, code: .15, math: .2}",
        "{web: .1, code: .7, math: .2}",  # all three went round
        "{web: .8, code: .2}",
    ],
)
def test_a_swap_exchanges_two_shares_and_leaves_the_others(mixture: str) -> None:
    text = edited(SWAPPED, ("{web: .7, code: .1, math: .2}", mixture))
    expected = ["code"] if mixture.startswith("{web: .2") else []
    found = told("shares-are-not-swapped", text)
    assert [name for name in expected if f"`{name}` has exactly" in found[0]] == expected
    assert len(found) == len(expected)


def test_groups_are_swapped_whatever_they_hold() -> None:
    groups = "{a: {ratio: .6, of: {web: 1}}, b: {ratio: .3, of: {code: 1}}, math: .1}"
    text = edited(
        SWAPPED,
        ("{web: .7, code: .2, math: .1}", groups),
        (
            "{web: .7, code: .1, math: .2}",
            groups.replace(".3", ".1").replace("math: .1", "math: .3"),
        ),
    )
    (found,) = told("shares-are-not-swapped", text)
    assert "`b` has exactly the share of `math`" in found


def test_of_two_shares_nobody_can_tell_a_swap() -> None:
    text = small() + "    mixture: {web: .25, code: .75}\n"
    assert told("shares-are-not-swapped", text) == []


def test_pieces_of_a_mixture_are_no_shares_that_are_swapped() -> None:
    pieces = "[{of: {web: .5, code: .5}, until: 50%}, {of: {web: .4, code: .6}}]"
    text = small(("{web: .75, code: .25}", pieces)) + f"    mixture: {pieces}\n"
    assert told("shares-are-not-swapped", text) == []


def test_what_was_abandoned_is_swapped_for_a_reason() -> None:
    assert told("shares-are-not-swapped", SWAPPED + "    status: abandoned\n") == []


@pytest.mark.parametrize(
    "change",
    [
        (
            "    carry: all\n    tokens: 500K\n    seq_len",
            "    carry: all\n    status: side\n    tokens: 500K\n    seq_len",
        ),
        ("    mixture: {math: 1}", "    mixture: {math: 1}\n    seed: 5"),
        (
            "init: first\n    keep: first\n    carry: all\n    tokens: 500K\n    mixture",
            "init: first@step 480\n    keep: first\n    carry: all\n    tokens: 500K\n    mixture",
        ),
    ],
)
def test_a_branch_that_says_so_is_no_wrong_parent(change: tuple[str, str]) -> None:
    assert told("parents-are-the-newest", FORGOTTEN) != []
    assert told("parents-are-the-newest", edited(FORGOTTEN, change)) == []


def test_siblings_that_are_merged_or_both_end_are_no_wrong_parents() -> None:
    two = small(CONSTANT, SOURCES) + THIRD.format(parent="first") + "    mixture: {math: 1}\n"
    assert told("parents-are-the-newest", two) == []
    soup = "  soup: {init: {average: [second, fourth]}}\n"
    assert told("parents-are-the-newest", FORGOTTEN + soup) == []


def test_of_two_ends_the_longer_context_follows_the_shorter() -> None:
    third = THIRD.format(parent="first") + "    seq_len: {}\n    batch: {{tokens: keep}}\n"
    more = "    rope.llm.base: 10_000\n    mixture: {math: 1}\n"
    text = small(CONSTANT, SOURCES)
    (found,) = told("parents-are-the-newest", text + third.format(512) + more)
    assert "stage `third` starts from the end of `first`, which `second` continued" in found
    assert told("parents-are-the-newest", text + third.format(256) + more) == []


def test_a_mark_that_counts_sequences_is_told_the_step() -> None:
    text = small(CONSTANT, ("init: first", "init: first@step 5_000"))
    (error,) = compile_text(text).findings
    assert error.rule == "mark-beyond-stage"
    assert error.help == "5,000 sequences are read at `first@step 313`; its end is `first`"
    text = small(CONSTANT, ("init: first", "init: first@step 500"))
    (error,) = compile_text(text).findings
    assert error.help == "`first` alone means its end"


def test_small_counts_and_small_batches_are_no_sequences() -> None:
    base = FAILS["steps-are-not-sequences"][1][0]
    assert told("steps-are-not-sequences", base) != []
    fewer = edited(base, ("steps: 1500", "steps: 999"), ("seqs: 1500", "seqs: 999"))
    assert told("steps-are-not-sequences", fewer) == []
    assert told("steps-are-not-sequences", base.replace("{seqs: 32}", "{seqs: 16}")) == []


ROPE = FAILS["rope-changes-are-read"][0][0]


def test_a_rope_may_be_prepared_for_what_is_read_later() -> None:
    assert told("rope-changes-are-read", ROPE) != []
    assert told("rope-changes-are-read", ROPE + "    target_seq_len: 512\n") == []
    later = THIRD.format(parent="second") + "    seq_len: 512\n    batch: {seqs: 4}\n"
    assert told("rope-changes-are-read", ROPE + later) == []
    # At another base again it prepared for nothing.
    assert told("rope-changes-are-read", f"{ROPE}{later}    rope.llm.base: 30_000\n") != []


def test_a_smaller_base_is_no_stretched_one() -> None:
    assert told("rope-changes-are-read", ROPE.replace("20_000", "5_000")) == []


def test_a_row_of_long_stages_is_told_once_of_documents_that_meet() -> None:
    more = "  longer:\n    init: long\n    keep: long\n    carry: all\n    tokens: 10B\n"
    assert len(told("long-contexts-keep-documents-apart", LONG + more)) == 1
    apart = LONG.replace("concat-across", "concat")
    assert told("long-contexts-keep-documents-apart", apart + more) == []


def test_a_base_that_reaches_is_not_advised_of() -> None:
    enough = LONG.replace("800_000", "10_000_000")
    assert told("rope-bases-reach-their-context", enough) == []
    (advised,) = [f for f in advice(plan_of(LONG)) if f.rule == "rope-bases-reach-their-context"]
    assert advised.help == (
        "10_000_000 would be large enough; models below it work too "
        "(Llama 2, Llama 3.1, DeepSeek-V3)"
    )


def test_long_contexts_that_are_read_enough() -> None:
    assert told("longest-contexts-are-read", LONG.replace("900M", "2B")) == []


def test_a_source_that_starves_is_told_at_its_first_stage() -> None:
    text = FAILS["no-source-starves"][0][0]
    more = text + THIRD.format(parent="second") + "    seq_len: 128\n    batch: {seqs: 16}\n"
    assert len(told("no-source-starves", more)) == 1


def test_stages_beside_each_other_have_to_deal_anew() -> None:
    text = small(CONSTANT) + "    seed: 3\n"
    assert told("documents-are-not-dealt-anew", text) != []
    beside = THIRD.format(parent="first") + "    seed: 4\n"
    assert told("documents-are-not-dealt-anew", text + beside) == []
    # Of a source that was read to its end nothing is left to read on.
    small_source = small(
        CONSTANT,
        ("10M}\n  code", "500K}\n  code"),
        ("code: {modality: text, tokens: 10M", "code: {modality: text, tokens: 1M"),
    )
    (found,) = told("documents-are-not-dealt-anew", small_source + "    seed: 3\n")
    assert "of `code`" in found


def test_sizes_in_two_digits_and_parts_agree_by_chance() -> None:
    text = FAILS["sizes-are-not-copied"][0][0]
    assert told("sizes-are-not-copied", text.replace("12.3M", "12M")) == []
    assert told("sizes-are-not-copied", small()) == []


def test_a_share_that_goes_over_by_and_by() -> None:
    jump = "    mixture: {web: .4, code: .6}\n"
    assert told("shares-change-gradually", small() + jump) != []
    slow = "    mixture: [{shape: linear, for: 20%}, {of: {web: .4, code: .6}}]\n"
    assert told("shares-change-gradually", small() + slow) == []
    assert told("shares-change-gradually", small() + "    mixture: {code: 1}\n") == []


def test_what_no_epoch_adds_is_said_from_forty_on() -> None:
    (found,) = told(
        "repeated-sources-are-capped", small(("tokens: 10M}\n  code", "tokens: 20K}\n  code"))
    )
    assert "56.25 times" in found
    assert "from about 40 times on it gains nothing" in found


def test_the_worth_of_repeated_tokens() -> None:
    once = Fraction(25_000_000_000)
    assert worth_tokens(once, once) == float(once)
    # U (1 + R* (1 - 1/e)) after R* repetitions.
    after = worth_tokens(once, once * (1 + Fraction("15.387756")))
    assert after == pytest.approx(25e9 * (1 + 15.387756 * (1 - 0.36787944117144233)))


def test_locks_are_told_the_same() -> None:
    for rule, cases in FAILS.items():
        for text, _ in cases:
            plan = plan_of(text)
            lock = read_lock(write_lock(plan), "plan.lock.json")
            mine = [f.message for f in (*broken_rules(plan), *advice(plan)) if f.rule == rule]
            again = [f.message for f in (*broken_rules(lock), *advice(lock)) if f.rule == rule]
            assert mine == again


def test_every_distance_of_128ki_is_looked_at_in_no_time() -> None:
    text = LONG.replace("32Ki", "128Ki").replace("800_000", "100_000_000")
    plan = plan_of(text)
    started = time.process_time()
    assert [f.rule for f in advice(plan) if f.rule == "rope-bases-reach-their-context"] != []
    assert time.process_time() - started < 5  # 0.1 s on a quiet core
