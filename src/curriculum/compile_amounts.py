"""What a node reads where no ratio is written: tokens, epochs, or its part of the rest by size

tokens, epochs     an amount: over all that its siblings read in this stage or piece
size, sqrt_size    a part, in proportion, of what siblings with a ratio or an amount leave;
                   at_most: a larger size counts as this
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isqrt
from typing import NamedTuple

from curriculum.compile_state import Draft, State
from curriculum.errors import Span
from curriculum.mixture import ONE, Mixture, Node, ratios_of
from curriculum.plan import Source
from curriculum.spec import MeasureSpec
from curriculum.units import count_in_words
from curriculum.usage import positions_per_token

_ROOT_BITS = 32


def root_of(tokens: int) -> Fraction:
    """Return the square root of a size, rounded down to a multiple of 2^-32.

    A root is rarely a fraction, and shares are to sum to exactly 1.

    >>> root_of(4_000_000), float(root_of(2))
    (Fraction(2000, 1), 1.4142135621514171)
    """
    return Fraction(isqrt(tokens << 2 * _ROOT_BITS), 1 << _ROOT_BITS)


class Around(NamedTuple):
    """Where siblings stand in a mixture that is being compiled.

    `levels` are the siblings above them, from the top, each with the name of the one that holds
    them; `before` is the mixture of the piece before theirs.
    """

    levels: tuple[tuple[tuple[Node, ...], str], ...] = ()
    before: tuple[Node, ...] = ()

    @property
    def path(self) -> str:
        return "/".join(name for _, name in self.levels)

    def below(self, siblings: tuple[Node, ...], name: str) -> "Around":
        """Return where the children of one of some siblings stand."""
        return Around((*self.levels, (siblings, name)), self.before)

    def tokens(self, draft: Draft) -> Fraction:
        """Return the tokens that these siblings share in the whole stage, as it asks for them."""
        factor, moving = ONE, []
        for siblings, name in self.levels:
            index = [node.name for node in siblings].index(name)
            own = siblings[index].ratio
            read = siblings if own is None else siblings[index : index + 1]
            if all(node.ratio is None or node.ratio.is_constant() for node in read):
                factor *= ratios_of(read, 0, 0)[index if own is None else 0]
            else:
                moving.append((read, name))
        asked = draft.budget.tokens
        if not moving:
            return factor * min(asked, draft.batch.tokens_before(draft.steps))
        roots: tuple[Node, ...] = ()
        for siblings, name in reversed(moving):
            roots = _leading_to(siblings, name, roots)
        mixture = Mixture(roots, draft.batch, draft.steps, asked)
        return factor * mixture.asked_tokens(draft.steps)["here"]


TOP = Around()
"""The siblings at the top of a mixture."""


def _leading_to(siblings: Sequence[Node], name: str, below: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return siblings of which only one is of interest, and what is below it."""
    own = next(node for node in siblings if node.name == name)
    others = [
        Node(node.name, node.ratio, "elsewhere", (), node.of_rest)
        for node in siblings
        if node is not own
    ]
    if own.ratio is not None:
        others = [Node(f"beside {name}", None, "elsewhere")]
    here = Node(name, own.ratio, None if below else "here", below, own.of_rest)
    return (here, *others)


def amount_of(
    state: State, draft: Draft, measure: MeasureSpec, sources: Sequence[Source]
) -> Fraction | None:
    """Return the positions of so many tokens, or epochs of some sources, as the stage counts."""
    if measure.kind == "tokens":
        if measure.amount is not None:
            state.became(measure.amount, count_in_words(measure.value))
        return measure.value
    shape = state.modules[draft.count].shape if draft.count in state.modules else None
    total = Fraction(0)
    for source in sources:
        size = source.readable_tokens
        per_token = None if shape is None else positions_per_token(shape, source)
        if size is None or per_token is None:
            why = "its size is unknown" if size is None else "its `image_share` is not said"
            _unknown_size(state, source.name, why, measure.span)
            return None
        total += size * per_token
    return measure.value * total


def ratios_of_amounts(
    state: State,
    wanted: Mapping[str, tuple[Fraction, Span]],
    there: Fraction,
    around: Around,
    normalized: bool,
) -> dict[str, Fraction]:
    """Return what amounts are of all that is there; {} where there is not as much."""
    total, counted = Fraction(0), ""
    for name, (amount, span) in wanted.items():
        total += amount
        counted = f"{counted}, `{name}`" if counted else f"`{name}`"
        if (total > there and not normalized) or not there:
            words = f"`{around.path}` reads" if around.path else "the stage asks for"
            state.report(
                "amount-too-large",
                f"{counted} {'are' if ',' in counted else 'is'} to read {round(total):,} tokens, "
                f"and {words} {round(there):,}",
                span,
                "make it smaller, or ask for more",
            )
            return {}
    return {name: amount / there for name, (amount, _) in wanted.items()}


def part_by_size(state: State, measure: MeasureSpec, sources: Sequence[Source]) -> Fraction | None:
    """Return what counts for a node that takes its part of the rest by size."""
    size = 0
    for source in sources:
        if source.tokens is None:
            _unknown_size(state, source.name, "its size is unknown", measure.span)
            return None
        size += source.tokens
    if measure.at_most is not None:
        most = measure.at_most.scaled_tokens
        state.became(measure.at_most, count_in_words(most))
        size = min(size, most)
    return measure.value * (root_of(size) if measure.kind == "sqrt_size" else size)


def _unknown_size(state: State, name: str, why: str, span: Span) -> None:
    message = f"`{name}` cannot be counted: {why}"
    state.report("size-unknown", message, span, "write a ratio, or say it of the source")
