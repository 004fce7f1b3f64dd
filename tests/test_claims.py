from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.claims import Constant, Operation, Path, Relation, Value, paths_of
from curriculum.claims_text import MAX_VALUES, parse_claim
from curriculum.errors import ClaimProblem, Span


def shown(value: Value) -> str:
    """Write a value with all its parentheses."""
    match value:
        case Constant(value=number):
            return str(number)
        case Path(point=None):
            return value.text
        case Path(point=point):
            assert point is not None
            at = "end" if point.is_end else point.mark
            return f"{point.stage}{f'@{at}' if at else ''}:{value.text}"
        case Operation(sign=sign, left=left, right=right):
            return f"({shown(left)} {sign} {shown(right)})"


def read(text: str) -> list[str]:
    return [f"{shown(r.left)} {r.order} {shown(r.right)}" for r in parse_claim(text)]


@pytest.mark.parametrize(
    ("text", "relations"),
    [
        ("mix.multimodal <= 40%", ["mix.multimodal <= 2/5"]),
        ("mix.hq-mm<=.4", ["mix.hq-mm <= 2/5"]),
        ("tokens.total == 9.6T", ["tokens.total == 9600000000000"]),
        ("2000 steps <= steps.text", ["2000 <= steps.text"]),
        ("batch.tokens == 8Ki * 2 tokens", ["batch.tokens == (8192 * 2)"]),
        (".1 < mix.a <= 1/3", ["1/10 < mix.a", "mix.a <= (1 / 3)"]),
        ("lr.llm > 0 and lr.vit != 1e-3", ["lr.llm > 0", "lr.vit != 1/1000"]),
        ("(mix.a < 1 and mix.b < 1) and mix.c < 1", ["mix.a < 1", "mix.b < 1", "mix.c < 1"]),
        ("mix.a - mix.b - mix.c < 1", ["((mix.a - mix.b) - mix.c) < 1"]),
        ("mix.a + mix.b * 2 / 4 < 1", ["(mix.a + ((mix.b * 2) / 4)) < 1"]),
        ("(mix.a + mix.b) * 2 < 1", ["((mix.a + mix.b) * 2) < 1"]),
        ("-mix.a < -.5", ["(0 - mix.a) < (0 - 1/2)"]),
        ("joint: mix.a < 1 and lr.llm < 1", ["joint:mix.a < 1", "joint:lr.llm < 1"]),
        ("joint@end: mix.a < 1", ["joint@end:mix.a < 1"]),
        ("joint@step 1_000: mix.a < 1", ["joint@1000 steps:mix.a < 1"]),
        ("a: lr.llm < b@50%:lr.llm", ["a:lr.llm < b@50%:lr.llm"]),
        ("lr.llm <= 32k@4T: lr.llm", ["lr.llm <= 32k@4T:lr.llm"]),
        ("set.llm/router.bias_rate < 1", ["set.llm/router.bias_rate < 1"]),
        ("mix.tag.web < mix.web/short", ["mix.tag.web < mix.web/short"]),
    ],
)
def test_a_claim_is_read(text: str, relations: list[str]) -> None:
    assert read(text) == relations


@pytest.mark.parametrize(
    ("text", "marked", "message"),
    [
        ("", "", "a number or a path is wanted here; a claim compares: mix.web <= 40%"),
        ("mix.a", "mix.a", "this compares nothing; write a comparison: ... <= 40%"),
        ("mix.a = 1", "=", "the claim should end here; write `==`"),
        ("mix.a <= ", "", "a number or a path is wanted here; a claim compares: mix.web <= 40%"),
        ("mix.a \u2264 1", "\u2264", "the claim should end here; write `<=`"),
        (
            "mix.a < 1 or mix.b < 1",
            "or",
            "the claim should end here; claims know `and` only: write two claims, or turn it round",
        ),
        ("not mix.a < 1", "not", "a number or a path is wanted here; turn the comparison round"),
        ("mix.a < 1 and mix.b", "and", "`and` stands between comparisons; a <= 1 and b <= 2"),
        ("(mix.a < 1", "(", "this parenthesis does not close"),
        ("mix.a < 1)", ")", "the claim should end here"),
        ("(mix.a < 1) < 2", "mix.a < 1", "a comparison is no number; join comparisons with `and`"),
        ("mx.a < 1", "mx", "claims know no `mx`; did you mean `mix`?"),
        ("mix < 1", "mix", "`mix` names no value; write mix.NAME"),
        (
            "batch.size < 1",
            "batch.size",
            "`batch.size` names no value; write batch.tokens or batch.seqs",
        ),
        ("tokens.total <= 8t", "8t", "`8t` is not an amount; did you mean 8T?"),
        (
            "lr.llm < 5 <= x@4 apples: lr.llm",
            "4 apples",
            "`4 apples` is not a mark; write tokens (`4T`), `step 120_000` or a share (`60%`)",
        ),
        (
            "tokens.a <= 10%",
            "tokens.a <= 10%",
            "this compares tokens with a share; say of what: 10% * tokens.total",
        ),
        ("tokens.a == 9 steps", "tokens.a == 9 steps", "this compares tokens with steps"),
        ("1 < steps.a + epochs.b", "steps.a + epochs.b", "this adds steps and epochs"),
    ],
)
def test_what_is_no_claim_is_refused_at_its_place(text: str, marked: str, message: str) -> None:
    with pytest.raises(ClaimProblem) as caught:
        parse_claim(text)
    problem = caught.value
    assert text[problem.start : problem.end] == marked
    assert (f"{problem}; {problem.help}" if problem.help else str(problem)) == message


def test_units_go_through_products_and_quotients() -> None:
    assert read("tokens.a <= 10% * tokens.total")
    assert read("tokens.a / tokens.total <= 10%")
    assert read("batch.seqs * seq_len == batch.tokens")
    with pytest.raises(ClaimProblem):
        parse_claim("2 * steps.a <= tokens.a")


def test_a_claim_has_an_end() -> None:
    assert read(" + ".join(["mix.a"] * (MAX_VALUES - 1)) + " < 1")
    with pytest.raises(ClaimProblem, match="at most 100 values"):
        parse_claim(" + ".join(["mix.a"] * MAX_VALUES) + " < 1")
    with pytest.raises(ClaimProblem, match="at most 100 values"):
        parse_claim("(" * 400 + "1" + ")" * 400 + " < mix.a")
    with pytest.raises(ClaimProblem, match="at most 2,000 characters"):
        parse_claim("mix.a < " + "1" * 3000)


@given(st.text(alphabet="mixlr.ab <>=!+-*/()@:01%T \u2264and", max_size=40))
def test_any_text_is_a_claim_or_refused_within_it(text: str) -> None:
    start, end = 0, 0
    relations: tuple[Relation, ...] = ()
    try:
        relations = parse_claim(text)
    except ClaimProblem as problem:
        start, end = problem.start, problem.end
    assert 0 <= start <= end <= max(len(text), start + 1)
    for relation in relations:
        for path in paths_of(relation):
            assert text[slice(*path.place)] == path.text


def test_the_place_of_a_part_of_a_text() -> None:
    bare, quoted = Span("x", 3, 8, 3, 16), Span("x", 3, 8, 3, 18)
    assert bare.part("a <= 100", 5, 8) == Span("x", 3, 13, 3, 16)
    assert quoted.part("a <= 100", 5, 8) == Span("x", 3, 14, 3, 17)
    escaped, folded = Span("x", 3, 8, 3, 21), Span("x", 3, 8, 4, 2)
    assert escaped.part("a <= 100", 5, 8) == escaped
    assert folded.part("a <= 100", 5, 8) == folded


def test_numbers_are_exact() -> None:
    (relation,) = parse_claim("mix.a == .1 + 1/3")
    assert isinstance(relation.right, Operation)
    left = relation.right.left
    assert isinstance(left, Constant)
    assert left.value == Fraction(1, 10)
