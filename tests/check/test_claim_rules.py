"""Claims are proved: the same answer as trying every step, in time that steps do not change."""

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path as FilePath
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from curriculum.check import comparing
from curriculum.check.claim_rules import claims_hold
from curriculum.check.polynomials import sign
from curriculum.claims import Constant, Operation, Path, Value, paths_of
from curriculum.claims_text import parse_claim
from curriculum.compile import compile_file, compile_text
from curriculum.curve import Curve
from curriculum.errors import ClaimProblem, Severity
from curriculum.lock import read_lock, write_lock
from curriculum.mixture import Node
from curriculum.plan import Claim, Plan, Stage
from small import BASE, plan_of, tree
from small_plan import SMALL, small
from strategies import Tree, plans, text_of

drawn = settings(
    max_examples=60,
    suppress_health_check=list(HealthCheck),
    deadline=None,
    phases=(Phase.generate,),
)

# Trying every step


def exact(curve: Curve, step: int, tokens: int) -> Fraction:
    piece = curve.piece_at(step)
    x = tokens if piece.unit == "tokens" else step
    return piece.exact(x) if piece.shape in ("constant", "linear") else Fraction(piece.value(x))


def shares(stage: Stage, step: int, tokens: int) -> dict[str, Fraction]:
    """Return the share of every name: of a node that no node of its name holds, or of a source."""
    total: dict[str, Fraction] = {}

    def add(nodes: tuple[Node, ...], share: Fraction, above: tuple[str, ...]) -> None:
        said = {n.name: exact(n.ratio, step, tokens) for n in nodes if n.ratio is not None}
        for node in nodes:
            left = (1 - sum(said.values())) * node.of_rest
            own = share * said.get(node.name, left)
            if node.name not in above:
                total[node.name] = total.get(node.name, Fraction(0)) + own
            add(node.children, own, (*above, node.name))

    add(stage.mixture.roots, Fraction(1), ())
    return total


def value_at(stage: Stage, step: int, path: str) -> Fraction | None:
    tokens = stage.batch.tokens_before(step)
    head, _, name = path.partition(".")
    piece = stage.batch.piece_at(step)
    match head:
        case "mix":
            return shares(stage, step, tokens).get(name, Fraction(0))
        case "lr" | "loss" | "set":
            curves = {"lr": stage.lr, "loss": stage.loss, "set": stage.settings}[head]
            curve = curves.get(name, stage.lr.get("llm") if name == "llm/norms" else None)
            return None if curve is None else exact(curve, step, tokens)
        case "optimizer":
            target, _, name = name.partition(".")
            rule = stage.optimizer.get(target)
            if rule is None:
                return None
            if name in rule.curves:
                return exact(rule.curves[name], step, tokens)
            number = rule.values.get(name)
            return None if number is None else Fraction(str(number))
        case "seq_len":
            return Fraction(piece.seq_len)
        case _:
            return Fraction(piece.tokens_per_step if name == "tokens" else piece.batch_seqs)


def computed(value: Value, values: dict[str, Fraction]) -> Fraction:
    match value:
        case Constant(value=number):
            return number
        case Path():
            return values[value.text]
        case Operation(sign=sign):
            one, other = computed(value.left, values), computed(value.right, values)
            if sign == "/":
                return one / other
            return {"+": one + other, "-": one - other, "*": one * other}[sign]


def tried(plan: Plan, text: str, paths: list[str]) -> tuple[str, int] | None:
    """Return the first stage and step at which a claim does not hold."""
    (relation,) = parse_claim(text)
    shares_only = all(path.startswith("mix.") for path in paths)
    for stage in plan.stages:
        names = {n.name for r in stage.mixture.roots for _, n in r.paths()}
        mixed = [path for path in paths if path.startswith("mix.")]
        if mixed and not any(path[4:] in names for path in mixed):
            continue
        for step in range(stage.steps):
            found = {path: value_at(stage, step, path) for path in paths}
            values = {path: x for path, x in found.items() if x is not None}
            if len(values) < len(found):
                break
            left, right = computed(relation.left, values), computed(relation.right, values)
            far = abs(left - right)
            size = max(abs(left), abs(right))
            is_same = far == 0 if shares_only else far <= size / 10**12
            if not shares_only and size / 10**13 < far < size / 10**11:
                reject()  # here floats may go either way
            holds = {
                "<": left < right and not is_same, "<=": left < right or is_same,
                ">": left > right and not is_same, ">=": left > right or is_same,
                "==": is_same, "!=": not is_same,
            }[relation.order]  # fmt: skip
            if not holds:
                return stage.name, step
    return None


def proved(plan: Plan, text: str) -> tuple[str, int] | None:
    """Return the stage and step that the rule names."""
    found = list(claims_hold(replace(plan, claims=(Claim(text),))))
    if not found:
        return None
    words = found[0].message
    assert found[0].rule == "claims-hold", words
    step, _, stage = words.rpartition(": ")[0].rpartition(" at step ")[2].partition(" of stage ")
    return stage.strip("`"), int(step.replace(",", ""))


def names_of(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        yield from (f"lr.{name}" for name in stage.lr)
        yield from (f"loss.{name}" for name in stage.loss)
        yield from (f"set.{name}" for name in stage.settings)
        for target, rule in stage.optimizer.items():
            said = {n for n, x in rule.values.items() if x is not None and not isinstance(x, bool)}
            names = {*said, *rule.curves} if "/" not in target else ()
            yield from (f"optimizer.{target}.{name}" for name in names)
        sources = set(stage.mixture.sources)
        for root in stage.mixture.roots:
            yield from (f"mix.{n.name}" for _, n in root.paths() if n.name not in sources)
    yield from ("seq_len", "batch.tokens", "batch.seqs")
    wholes = {source.of for source in plan.sources.values()}
    yield from (f"mix.{name}" for name in plan.sources if name not in wholes)


def drawn_claim(plan: Plan, random: Random) -> tuple[str, list[str]]:
    """Draw a claim whose bound a step of the plan just meets, more often than not."""
    names = sorted(set(names_of(plan)))
    paths = random.sample(names, random.choice((1, 1, 2, 3)))
    left = random.choice(FACTORS) + paths[0]
    for path in paths[1:]:
        side = random.choice(FACTORS) + path
        left = random.choice((f"{left} + {side}", f"{left} - {side}", f"({left}) * {side}"))
    stage = random.choice(plan.stages)
    step = random.randrange(stage.steps)
    values = {path: x for path in paths if (x := value_at(stage, step, path)) is not None}
    right = random.choice(("0", ".4", "1e-4", "1", "1000", *paths))
    if len(values) == len(paths) and random.random() < 0.7:
        met = computed(parse_claim(f"{left} < 1")[0].left, values)
        right = f"{met.numerator} / {met.denominator}"
    return f"{left} {random.choice(list(comparing.HOLDS))} {right}", paths


FACTORS = ("", "", "2 * ", ".5 * ", "1/3 * ")


@drawn
@given(plans(), st.randoms(use_true_random=False))
def test_a_claim_fails_where_trying_every_step_says_so(tree: Tree, random: Random) -> None:
    plan = compile_text(text_of(tree)).plan
    assert plan is not None
    for _ in range(4):
        try:
            text, paths = drawn_claim(plan, random)
            parse_claim(text)
        except ClaimProblem:  # it compares sequences with tokens
            continue
        together = [
            stage
            for stage in plan.stages
            if all(p.startswith("mix.") or value_at(stage, 0, p) is not None for p in paths)
        ]
        if any(_is_asked(stage, paths) for stage in together):
            assert proved(plan, text) == tried(plan, text, paths), text


def _is_asked(stage: Stage, paths: list[str]) -> bool:
    names = {n.name for r in stage.mixture.roots for _, n in r.paths()}
    mixed = [path[4:] for path in paths if path.startswith("mix.")]
    return not mixed or any(name in names for name in mixed)


# What is said

LONG: Tree = {
    **BASE,
    "tokens": "640B",  # a thousand million steps
    "mixture": {
        "new": {
            "ratio": [
                {"shape": "constant", "from": "0", "for": "5%"},
                {"shape": "linear", "to": ".4"},
            ],
            "tags": ["fresh"],
            "of": {
                "a": [{"shape": "linear", "from": "0", "to": "1"}],
                "b": "rest",
            },
        },
        "old": {"ratio": "rest", "of": {"b": "1"}},
    },
}  # fmt: skip


def said(text: str, *claims: str) -> list[str]:
    listed = "".join(f"  - {claim}\n" for claim in claims)
    compiled = compile_text(f"{text}require:\n{listed}")
    found = [*compiled.findings, *(claims_hold(compiled.plan) if compiled.plan else ())]
    return [
        f"{f.span and f.span.column} {f.severity}[{f.rule}] {f.message}"
        + (f"; {f.help}" if f.help else "")
        for f in found
        if f.rule.startswith("claim")
    ]


@pytest.mark.parametrize(
    ("claim", "step"),
    [
        ("mix.new <= .2", 525_000_001),
        ("mix.fresh + mix.old == 1", None),
        ("mix.a <= .3999999991", 999_999_999),
        ("mix.a * mix.new < .1", 859_910_448),
        ("lr.llm <= 1e-3", None),
        ("lr.llm >= 5e-4", 0),
        ("loss.next_token == 1", None),
    ],
)
def test_a_thousand_million_steps_are_proved_in_no_time(claim: str, step: int | None) -> None:
    plan = plan_of({"base": LONG}, require=[f"'{claim}'"])
    started = time.monotonic()
    found = list(claims_hold(plan))
    assert time.monotonic() - started < 2  # milliseconds on a quiet machine
    if step is None:
        assert found == []
    else:
        assert f"at step {step:,} of stage `base`" in found[0].message
        assert _holds(plan, claim, step - 1) or step == 0
        assert not _holds(plan, claim, step)


def _holds(plan: Plan, claim: str, step: int) -> bool:
    """Say whether a claim of two sides holds at one step."""
    (relation,) = parse_claim(claim)
    stage = plan.stage("base")
    paths = [path.text for path in paths_of(relation)]
    values = {path: x for path in paths if (x := value_at(stage, step, path)) is not None}
    difference = computed(relation.left, values) - computed(relation.right, values)
    return sign(difference) in comparing.HOLDS[relation.order]


@pytest.mark.parametrize("bound", ["1e-3", "9.9e-4", "5e-4", "1.0001e-4", "1e-4"])
@pytest.mark.parametrize("order", ["<=", ">=", "<", "!="])
def test_a_curve_over_batches_of_many_sizes(bound: str, order: str) -> None:
    ramp = ", ".join(f"{{seqs: {1 + i % 7}, until: {(i + 1) * 9000}}}" for i in range(40))
    plan = compile_text(small(("batch: {seqs: 16}", f"batch: [{ramp}, {{seqs: 16}}]"))).plan
    assert plan is not None
    text = f"first: lr.llm {order} {bound}"
    only = replace(plan, stages=plan.stages[:1])
    assert proved(only, text) == tried(only, f"lr.llm {order} {bound}", ["lr.llm"])


OPTIMIZERS = FilePath("docs/language/optimizers.yaml").read_text()


@pytest.mark.parametrize(
    "claim",
    [
        "optimizer.llm.weight_decay <= .1",
        "'text@step 500: optimizer.llm.weight_decay == .05'",
        "'more@end: optimizer.llm.weight_decay == .1'",
        "optimizer.llm/norms.weight_decay <= .1 and optimizer.llm/head.beta2 <= .999",
        "'text: optimizer.llm/norms.weight_decay == 0 and optimizer.llm/head.beta2 == .99'",
        "'text: optimizer.llm/experts.weight_decay == optimizer.llm.weight_decay'",
        "'text: optimizer.llm.momentum == .95 and optimizer.llm.ns_steps == 5'",
        "optimizer.llm.eps == 1e-8 and optimizer.llm.qk_clip >= 100",
        "'other: .9 <= optimizer.llm.beta3 < .9999 and optimizer.llm.alpha < 8'",
        "'other@end: optimizer.llm.alpha == 1.8'",
    ],
)
def test_claims_on_the_values_of_optimizers_hold(claim: str) -> None:
    assert said(OPTIMIZERS, claim) == []


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            "optimizer.llm.weight_decay <= .05",
            "`optimizer.llm.weight_decay <= .05` does not hold at step 501 of stage `text`: "
            "0.0501 <= 0.05 is false",
        ),
        (
            "optimizer.llm.beta2 >= .99",
            "`optimizer.llm.beta2 >= .99` does not hold at step 0 of stage `text`: "
            "0.95 >= 0.99 is false",
        ),
        (
            "optimizer.llm.momentun <= 1",
            "`llm` is trained with ademamix or muon, which has no number `momentun`, in the "
            "claim `optimizer.llm.momentun <= 1`; did you mean `momentum`?",
        ),
        (
            "optimizer.llm.nesterov == 1",
            "`llm` is trained with ademamix or muon, which has no number `nesterov`, in the claim "
            "`optimizer.llm.nesterov == 1`; known: alpha, beta1, beta2, beta3, eps, momentum, "
            "ns_steps, qk_clip, update_rms, weight_decay",
        ),
        (
            "optimizer.lm.beta2 <= 1",
            "no stage trains `lm` with an optimizer, in the claim `optimizer.lm.beta2 <= 1`; "
            "did you mean `llm`?",
        ),
        (
            "optimizer.llm/heads.beta2 <= 1",
            "no stage trains `llm/heads` with an optimizer, in the claim "
            "`optimizer.llm/heads.beta2 <= 1`; did you mean `llm/head`?",
        ),
        (
            "'other: optimizer.llm.momentum < 1'",
            "stage `other` has no `optimizer.llm.momentum`, in the claim "
            "`other: optimizer.llm.momentum < 1`; it is a value of: fourth, more, "
            "text, third",
        ),
        (
            "optimizer.llm <= 1",
            "`optimizer.llm` names no value; write optimizer.MODULE.weight_decay",
        ),
    ],
)
def test_claims_on_the_values_of_optimizers_that_say_too_much(claim: str, message: str) -> None:
    (told,) = said(OPTIMIZERS, claim)
    assert told.partition("] ")[2] == message


def test_a_claim_on_an_optimizer_is_one_of_its_lock_too() -> None:
    text = f"{OPTIMIZERS}require: [optimizer.llm.weight_decay <= .05]\n"
    plan = compile_text(text).plan
    assert plan is not None
    again = read_lock(write_lock(plan), "lock.json")
    assert [f.message for f in claims_hold(again)] == [f.message for f in claims_hold(plan)]


def test_parts_that_a_stage_does_not_train_have_no_optimizer() -> None:
    text = OPTIMIZERS.replace("train: [llm]", "train: [llm/norms, llm/head]")
    assert said(text, "'text: optimizer.llm/head.beta2 == .99'") == []
    (told,) = said(text, "optimizer.llm/experts.beta2 <= 1")
    assert "no stage trains `llm/experts` with an optimizer" in told


def test_a_claim_at_a_mark_of_what_the_stage_does_not_read_says_who_does() -> None:
    """Found by the fuzzer: an overlay took a source out of a mixture that a claim spoke of."""
    text = SMALL.replace("{web: .75, code: .25}", "{web: 1}") + "    mixture: {code: 1}\n"
    for claim in ("'first@end: tokens.code == 0'", "tokens.web <= first@10%:tokens.code"):
        (told,) = said(text, claim)
        assert told.partition("] ")[2].startswith(
            "stage `first` has no `tokens.code`, in the claim `"
        )
        assert told.endswith("it is a value of: second")


def test_the_message_names_stage_step_and_both_values() -> None:
    assert said(SMALL, "{claim: lr.llm <= 9e-4, because: of the ablation}") == [
        "13 error[claims-hold] `lr.llm <= 9e-4` does not hold at step 10 of stage `first`: "
        "0.001 <= 0.0009 is false; it must hold because of the ablation"
    ]


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            "mix.wb <= 1",
            "5 error[claim-path] no node, tag, source or modality is called `wb`, in the claim "
            "`mix.wb <= 1`; did you mean `web`?",
        ),
        (
            "mix.web-mix.code <= 1",
            "5 error[claim-path] `mix.web-mix.code` says no kind of name, in the claim "
            "`mix.web-mix.code <= 1`; put spaces around operators",
        ),
        (
            "epochs.web/2 <= 1",
            "5 error[claim-path] no source, tag or modality is called `web/2`, in the claim "
            "`epochs.web/2 <= 1`; put spaces around the operator behind `web`",
        ),
        (
            "mix.tag.web <= 1",
            "5 error[claim-path] there is no tag `web`, in the claim `mix.tag.web <= 1`",
        ),
        (
            "lr.vit <= 1",
            "5 error[claim-path] no stage has a value `lr.vit`, in the claim `lr.vit <= 1`; "
            "known: llm",
        ),
        (
            '"thrid: lr.llm <= 1"',
            "6 error[claim-path] there is no stage `thrid`, in the claim `thrid: lr.llm <= 1`; "
            "known: first, second",
        ),
        (
            '"first@9T: lr.llm <= 1"',
            "6 error[claim-path] `9T` lies past the end of stage `first`, in the claim "
            "`first@9T: lr.llm <= 1`; it has 489 steps; write tokens, a step or a share",
        ),
        (
            "first:lr.llm <= second:lr.llm",
            "11 error[claim-path] no stage has `lr.llm` and `lr.llm` together, in the claim "
            "`first:lr.llm <= second:lr.llm`; pin one to a mark: STAGE@end:lr.llm",
        ),
        (
            "rope.llm.scaling <= 1",
            "5 error[claim-path] `rope.llm.scaling` is no number in any stage, in the claim "
            "`rope.llm.scaling <= 1`; write rope.MODULE.base",
        ),
        (
            "steps.third <= 1",
            "5 error[claim-path] there is no stage `third`, in the claim `steps.third <= 1`; "
            "known: first, second, total",
        ),
        (
            "1 <= 2",
            "5 error[claim-path] this says nothing of the plan, in the claim `1 <= 2`; "
            "name a value: mix.web",
        ),
        ("mix.web =< 1", "13 error[claim-syntax] the claim should end here; write `==`"),
        (
            "1 / lr.llm <= 1",
            "5 error[claim-undecided] `1 / lr.llm <= 1` divides by 0 at step 0 of stage `first`; "
            "multiply instead",
        ),
    ],
)
def test_a_claim_that_says_nothing_is_refused(claim: str, message: str) -> None:
    assert said(SMALL, claim) == [message]


def test_a_claim_that_yaml_reads_as_something_else() -> None:
    found = compile_text(
        SMALL + "require:\n  - first: lr.llm <= 1\n  - [1]\n  - {because: x, claim: ''}\n"
    )
    assert [(f.rule, f.message, f.help) for f in found.errors] == [
        (
            "missing-key",
            "this is a mapping and has no `claim`",
            'put the claim into quotation marks: "first: lr.llm <= 1"',
        ),
        ("wrong-type", "a claim is a text", '"mix.web <= 40%"'),
        ("empty-value", "`claim` holds nothing", "write its value"),
    ]  # fmt: skip


def test_a_reason_that_a_comma_cuts_is_to_be_quoted() -> None:
    claim = "require: [{claim: mix.web <= 1, because: 660,000 steps, not more, are planned}]\n"
    found = compile_text(SMALL + claim)
    way_out = 'put it into quotation marks: because: "660,000 steps, not more, are planned"'
    assert [(f.rule, f.message, f.help) for f in found.errors] == [
        (
            "unknown-key",
            f"a claim has no key `{rest}`: the comma before it ends `because`",
            way_out,
        )
        for rest in ("000 steps", "not more", "are planned")
    ]
    quoted = compile_text(SMALL + claim.replace("660", '"660').replace("planned", 'planned"'))
    assert quoted.plan is not None
    assert quoted.plan.claims[0].because == "660,000 steps, not more, are planned"


@pytest.mark.parametrize(
    ("claim", "sides"),
    [
        ("tokens.total <= 1.4M", "1.5M <= 1.4M"),
        ("tokens.total - tokens.first <= 400_000", "500K <= 400K"),
        ("tokens.second - tokens.first > 0", "-500K > 0"),
        ("tokens.total == 1_500_001", "1.5M == 1.500001M"),
        ("mix.web <= 40%", "75% <= 40%"),
        ("mix.web - .5 <= 10% + 5%", "25% <= 15%"),
        ("mix.web <= .4", "0.75 <= 0.4"),
        ("mix.web == 1/3", "0.75 == 0.333333"),
        ("epochs.web <= .05", "0.075 <= 0.05"),
        ("tokens.web <= 10% * tokens.total", "750K <= 150K"),
        ('"first: seq_len == 4Ki"', "128 == 4096"),
        ("steps.total <= 100", "734 <= 100"),
    ],
)
def test_both_sides_are_told_in_the_units_of_the_claim(claim: str, sides: str) -> None:
    (message,) = said(SMALL, claim)
    assert f" {sides} is false" in message


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            "epochs.web <= .1",
            "`epochs.web <= .1` does not hold: `epochs.web` is 0.1125 by the end of stage "
            "`second`, and 0.1125 <= 0.1 is false",
        ),
        (
            "epochs.web + epochs.code < .1",
            "`epochs.web + epochs.code < .1` does not hold: `epochs.web` is 0.075 and "
            "`epochs.code` is 0.025 by the end of stage `first`, and 0.1 < 0.1 is false",
        ),
        (
            "tokens.path <= 1M",
            "`tokens.path <= 1M` does not hold: `tokens.path` is 1.5M by the end of stage "
            "`second`, and 1.5M <= 1M is false",
        ),
        (
            "tokens.web <= 80% * tokens.first",
            "`tokens.web <= 80% * tokens.first` does not hold: `tokens.web` is 1.125M by the end "
            "of stage `second`, and 1.125M <= 800K is false",
        ),
        (
            "rope.llm.base < 10_000",
            "`rope.llm.base < 10_000` does not hold in stage `first`: 10000 < 10000 is false",
        ),
        (
            "epochs.web * mix.web < .01",
            "`epochs.web * mix.web < .01` does not hold at step 0 of stage `first`: "
            "0.05625 < 0.01 is false",
        ),
        (
            '"second@end: epochs.web <= .1"',
            "`epochs.web <= .1` does not hold at `second@end`: 0.1125 <= 0.1 is false",
        ),
    ],
)
def test_amounts_are_told_by_the_end_of_the_stage_that_passes_the_bound(
    claim: str, message: str
) -> None:
    (told,) = said(SMALL, claim)
    assert told.partition("] ")[2] == message


def test_in_a_claim_of_one_stage_a_name_is_what_it_is_there() -> None:
    group = {"a": {"ratio": ".5", "of": {"a": ".5", "b": ".5"}}, "b": ".5"}
    after = {"init": "base", "keep": "base", "carry": "all", "tokens": 6_400, "mixture": group}
    plan = plan_of({"base": BASE, "after": after})

    def told(claim: str) -> list[str]:
        return [f.message for f in claims_hold(replace(plan, claims=(Claim(claim),)))]

    assert told("base: mix.a == .75") == []
    assert told("base@50%: mix.a == .75") == []
    assert told("mix.a == base@50%:mix.a and after: mix.node.a == .5")[0].startswith(
        "`mix.a` may be the source or the node `a`, which differ"
    )
    for claim in ("mix.a <= .75", "after: mix.a <= .5", "after@end: mix.a <= .5"):
        assert "which differ" in told(claim)[0]
    assert told("base: mix.a <= mix.b")[0] == (
        "`mix.a <= mix.b` does not hold at step 0 of stage `base`: 0.75 <= 0.25 is false"
    )


def test_a_name_that_means_several_things_is_refused_where_they_differ() -> None:
    text = SMALL.replace(
        "code: {modality: text, tokens: 10M}", "code: {modality: text, tags: [web]}"
    )
    assert said(text, "mix.code <= .25", "mix.source.web <= .75", "mix.tag.web <= .25") == []
    assert said(text, "mix.web <= 1") == [
        "5 error[claim-path] `mix.web` may be the source or the tag `web`, which differ, in the "
        "claim `mix.web <= 1`; say which: mix.source.web or mix.tag.web"
    ]
    assert said(text, "epochs.web <= 1") == [
        "5 error[claim-path] `epochs.web` may be the source or the tag `web`, which differ, in the "
        "claim `epochs.web <= 1`; say which: epochs.source.web or epochs.tag.web"
    ]
    named = SMALL.replace("  second:", "  web:")
    assert said(named, "tokens.stage.web == 500K") == []
    assert "say which: tokens.stage.web or tokens.source.web" in said(named, "tokens.web <= 1")[0]


def test_a_node_below_a_counted_one_counts_once() -> None:
    inner: Tree = {"ratio": "1", "tags": ["t"], "of": {"a": "1"}}
    outer: Tree = {"ratio": "1", "of": {"x": inner}}
    nested: Tree = {"x": {"ratio": ".5", "tags": ["t"], "of": {"y": outer}}, "b": ".5"}
    text = text_of(tree({"base": {**BASE, "mixture": nested}}))
    assert said(text, "mix.x == .5", "mix.t == .5", "mix.y/x == .5", "mix.a == .5") == []


def test_names_that_a_long_replay_has_lost_are_not_decided() -> None:
    stages: Tree = {"s0": {**BASE, "mixture": {"a": ".75", "b": ".25"}}}
    fresh: Tree = {"ratio": ".25", "tags": ["fresh"], "of": {"a": "1"}}
    for i in range(1, 20):
        old = {"ratio": "rest", "of": {"replay": f"s{i - 1}"}}
        stages[f"s{i}"] = {
            "init": f"s{i - 1}", "keep": f"s{i - 1}", "carry": "all", "tokens": 64_000,
            "lr": "1e-4", "mixture": {"new": fresh, "old": old},
        }  # fmt: skip
        stages[f"s{i}"]["lr"] = [{"shape": "constant", "from": "current"}]
    text = text_of(tree(stages))
    undecided = "`mix.new` in the long replay of stage `s17`, `mix.new` in the long replay of stage"
    assert undecided in said(text, "mix.new <= 1")[0]
    assert "[claim-undecided] `mix.fresh <= 1` cannot be" in said(text, "mix.fresh <= 1")[0]
    assert said(text, "mix.a <= 1", "mix.text == 1", '"s3: mix.new > .5"') == []


def test_what_is_read_of_a_part_is_read_of_its_whole() -> None:
    text = SMALL.replace(
        "  code: {modality: text, tokens: 10M}",
        "  code: {modality: text, tokens: 10M, tags: [good]}\n"
        "  first: {of: code, part: first 10%, tags: [better]}",
    ).replace("{web: .75, code: .25}", "{web: .75, code: .15, first: .1}")
    assert said(
        text,
        "mix.source.code == .25 and mix.good == .25 and mix.better == .1",
        "mix.node.code == .15",
        '"second: epochs.good == epochs.source.code"',
        '"second: tokens.better == 150K and epochs.better == 15%  * 1 / 1"',
    ) == []  # fmt: skip
    assert "may be the source or the node `code`" in said(text, "mix.code <= 1")[0]


def test_structural_numbers() -> None:
    text = SMALL.replace("web: {modality: text", "web: {modality: text, tags: [crawl]")
    assert said(
        text,
        "tokens.total == 1.5M and tokens.first == 1M",
        "steps.total == 489 + 245 and steps.second == 245",
        '"second: tokens.path == 1.5M"',
        '"first: tokens.path == 1M"',
        '"second: tokens.web == 1_125K"',
        '"second: tokens.source.web == 75% * tokens.path"',
        '"second: epochs.crawl == 1_125K / 10M"',
        '"second: epochs.text == 1.5M / 20M"',
        "batch.tokens == 2048 and batch.seqs * seq_len == batch.tokens",
        '"second: seq_len == 256"',
        "rope.llm.base == 10_000",
        "second@step 0:lr.llm == first@end:lr.llm",
        "first@step 5:lr.llm == 5e-4",
        "lr.llm/norms == lr.llm",
        "mix.modality.text == 1",
        "-mix.web == -.75",
    ) == []  # fmt: skip


def test_curves_that_are_the_same_are_the_same_at_once() -> None:
    both = small(
        ("    lr: main\n", "    lr: {llm: main, llm/norms: {schedule: main, scale: .1}}\n"),
        ("    tokens: 1M", "    tokens: 1M\n    # longer"),
    )
    assert said(both, "lr.llm/norms == .1 * lr.llm", "lr.llm/norms <= lr.llm") == []
    assert said(both, "lr.llm/norms == .11 * lr.llm") == [
        "5 error[claims-hold] `lr.llm/norms == .11 * lr.llm` does not hold at step 1 of stage "
        "`first`: 1e-05 == 1.1e-05 is false"
    ]


def test_an_encoder_that_joins_a_curve_later_is_on_it_exactly() -> None:
    """PaliGemma: a warm-up up to where the curve stands, and on with it, at another timescale."""
    steps = 100_000_000
    schedules = {
        "main": [{"shape": "rsqrt", "from": "2e-5", "timescale": "10_000 steps"}],
        "late": [
            {"shape": "linear", "from": 0, "to": "1e-5", "for": "30_000 steps"},
            {"shape": "rsqrt", "timescale": "40_000 steps"},
        ],
        "other": [{"shape": "rsqrt", "from": "2e-5", "timescale": "20_000 steps"}],
    }

    def told(norms: str, *claims: str) -> list[str]:
        base = {**BASE, "tokens": 640 * steps, "lr": {"llm": "main", "llm/norms": norms}}
        near = {"init": "base", "keep": "base", "carry": "all", "tokens": 640 * steps}
        stages = {"base": base, "next": near}
        require = [f"'{claim}'" for claim in claims]
        plan = plan_of(stages, schedules=schedules, require=require)
        return [finding.message for finding in claims_hold(plan)]

    assert told("late", "lr.llm/norms <= lr.llm", "next: lr.llm/norms == lr.llm") == []
    assert told("{schedule: late, scale: 1/3}", "next: lr.llm/norms * 3 == lr.llm") == []
    (words,) = told("late", "lr.llm/norms < lr.llm")
    assert "does not hold at step 30,000 of stage `base`: 1e-05 < 1e-05 is false" in words
    (words,) = told("late", "lr.llm/norms == lr.llm")
    assert "does not hold at step 0 of stage `base`" in words
    assert told("other", "lr.llm/norms >= lr.llm", "next: lr.llm/norms > lr.llm") == []


def test_what_is_unknown_is_not_decided() -> None:
    unknown = small(
        ("{shape: cosine, to: 10%}", "{shape: cosine, to: unknown}"),
        ("code: {modality: text, tokens: 10M}", "code: {modality: text, tokens: unknown}"),
        ("tokens: 500K", "tokens: unknown"),
    )
    cannot = "5 info[claim-undecided]"
    assert said(
        unknown, "lr.llm <= 1", "epochs.code <= 1", "tokens.total <= 1T", "mix.web < 1"
    ) == [
        f"{cannot} `lr.llm <= 1` cannot be decided: `lr.llm` of stage `first`, stage `second` are "
        "unknown",
        f"{cannot} `epochs.code <= 1` cannot be decided: `epochs.code` of stage `first`, stage "
        "`second` are unknown",
        f"{cannot} `tokens.total <= 1T` cannot be decided: the budget, batch or mixture of "
        "`second` is unknown",
        f"{cannot} `mix.web < 1` cannot be decided: stage `second` is unknown",
    ]
    assert said(unknown, "mix.web < .7", '"first: mix.web < .8"', "lr.vit < 1") == [
        "5 error[claims-hold] `mix.web < .7` does not hold at step 0 of stage `first`: 0.75 < 0.7 "
        "is false",
        "5 info[claim-path] no stage has a value `lr.vit`, in the claim `lr.vit < 1`, and stages "
        "are unknown (`second`); known: llm",
    ]
    assert "stage `second` is unknown" in said(unknown, '"second@end: mix.web < 1"')[0]


def test_too_many_cuts_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "MAX_CUTS", 10)
    assert said(SMALL, "lr.llm * lr.llm != 2.5e-7 * .999") == [
        "5 warning[claim-undecided] `lr.llm * lr.llm != 2.5e-7 * .999` takes too long to decide in "
        "stage `first`; compare with something further away, or at a mark: STAGE@MARK: ..."
    ]


def test_a_proxy_is_not_held_to_amounts_of_the_plan_below(tmp_path: FilePath) -> None:
    (tmp_path / "small.yaml").write_text(SMALL + "require: [tokens.first == 1M, lr.llm <= 1e-3]\n")
    proxy = tmp_path / "proxy.yaml"
    proxy.write_text("extends: small.yaml\nplan: proxy\nscale: {tokens: 1/8}\n")
    compiled = compile_file(proxy)
    assert compiled.plan is not None
    assert [str(finding).partition("small.yaml")[2] for finding in compiled.findings] == [
        ":35:11: info[claim-of-a-proxy]: `tokens.first == 1M` speaks of amounts (tokens.first), "
        "which `scale` changes: it is not asked of this proxy; say in the overlay what the proxy "
        "requires"
    ]
    assert [claim.text for claim in compiled.plan.claims] == ["lr.llm <= 1e-3"]
    own = compile_file(proxy, ["require=[tokens.first == 125K]"])
    assert own.plan is not None
    assert list(claims_hold(own.plan)) == []


def test_claims_change_no_digest_and_go_into_the_lock() -> None:
    plain = compile_text(SMALL).plan
    claimed = compile_text(
        SMALL + "require: [lr.llm <= 9e-4, {claim: mix.web <= 1, because: x}]\n"
    ).plan
    assert plain is not None
    assert claimed is not None
    assert claimed.digest == plain.digest
    assert '"require"' not in write_lock(plain)
    again = read_lock(write_lock(claimed), "x.lock.json")
    assert again == claimed
    (finding,) = claims_hold(again)
    assert finding.span is None
    assert finding.severity is Severity.ERROR
