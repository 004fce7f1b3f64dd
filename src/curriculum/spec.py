"""The typed form of what a person wrote: every value with its span, nothing resolved yet

Only the compiler sees it. `read_spec` collects every problem of a file before it gives up.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeVar

from curriculum.curve import SHAPES
from curriculum.errors import Diagnostic, Span, ValueProblem
from curriculum.source_map import UNSCALED, Key, Map, Node, Scalar, Scale, Seq, did_you_mean
from curriculum.units import (
    Amount,
    parse_amount,
    parse_mark,
    parse_number,
)
from curriculum.words import (
    BATCH,
    GROUP,
    LR,
    MODALITIES,
    MODULE,
    OPTIMIZER_VALUES,
    PIECE,
    PLAN,
    SOURCE,
    Table,
)

T = TypeVar("T")

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
TARGET = re.compile(r"[a-z0-9][a-z0-9_-]*(?:/[a-z0-9_-]+)?")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written; None where the plan says `unknown`; `percent` if it was written so."""

    value: Fraction | None
    span: Span
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount as written, and the scale of the proxy it is read through."""

    amount: Amount
    span: Span
    scale: Scale = UNSCALED


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stands."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class PieceSpec:
    """One piece of a curve as written."""

    shape: Word
    start: Number | Word | None  # the word is `current`
    end: Number | None
    length: Quantity | None
    is_until: bool
    knob: Quantity | None
    span: Span


@dataclass(frozen=True, slots=True)
class CurveSpec:
    """A value or pieces."""

    pieces: tuple[PieceSpec, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class RideSpec:
    """A module's LR: a schedule by name, or a curve over the stage."""

    schedule: Word | None
    curve: CurveSpec | None
    restart: bool
    scale: Fraction
    jump: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Point:
    """A stage, at its end or at a mark."""

    stage: str
    mark: Quantity | None
    span: Span


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """One piece of a batch."""

    seqs: Quantity | None
    tokens: Quantity | None
    keeps: str | None  # "seqs" or "tokens": as the ancestor left it
    until: Quantity | None
    span: Span


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node of a mixture: a source with a ratio, or a group; `ratio` None says `rest`."""

    name: Word
    ratio: CurveSpec | None
    of: "MixSpec | None"


@dataclass(frozen=True, slots=True)
class MixSpec:
    """A mixture: nodes, a replay, or sources by size."""

    nodes: tuple[NodeSpec, ...]
    replay: Point | None
    replay_path: tuple[str, ...]
    by_size: tuple[Word, ...]
    span: Span

    def replayed(self) -> tuple[str, ...]:
        """Return the stages that this mixture replays, at any depth."""
        own = (self.replay.stage,) if self.replay else ()
        return own + tuple(s for node in self.nodes if node.of for s in node.of.replayed())


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source as written."""

    name: Word
    modality: str
    tokens: Quantity | None
    holdout: Fraction
    max_epochs: Fraction | None
    image_share: Fraction | None
    path: str | None


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """A module: its preset, and fields of the shape that differ."""

    name: Word
    preset: Word
    overrides: Mapping[str, object]
    span: Span


@dataclass(frozen=True, slots=True)
class OptimizerSpec:
    """An optimizer or the rule of a part."""

    name: Word
    kind: Word
    values: Mapping[str, Number | bool]
    parts: Mapping[str, "OptimizerSpec"]


@dataclass(frozen=True, slots=True)
class CheckpointSpec:
    """What is known of an outside checkpoint."""

    gives: tuple[Word, ...]
    path: str | None
    stand_in: bool


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage as written; None where it says nothing."""

    name: Word
    span: Span
    checkpoint: CheckpointSpec | None = None
    init: Mapping[str, Point | None] | None = None  # None inside: `new`
    init_all: Point | None = None
    init_span: Span | None = None
    keep: Point | None = None
    carry: tuple[Word, ...] | None = None  # ("all",) and ("none",) too
    budget: tuple[str, Quantity] | None = None
    round_down: bool = False
    count: Word | None = None
    train: tuple[Word, ...] | None = None
    optimizer: Word | None = None
    loss: Mapping[str, CurveSpec] | None = None
    settings: Mapping[str, Mapping[str, CurveSpec]] | None = None
    lr: RideSpec | None = None
    lr_by_target: Mapping[str, RideSpec] | None = None
    seq_len: Quantity | None = None
    batch: tuple[BatchSpec, ...] | None = None
    packing: Word | None = None
    rope: Mapping[str, Mapping[str, Number]] | None = None
    mixture: MixSpec | None = None
    seed: int | None = None
    dotted: tuple[tuple[tuple[str, ...], Key, Node], ...] = ()
    unknown: tuple[str, ...] = ()  # keys whose value is the word `unknown`
    said: frozenset[str] = frozenset()  # its keys, also those that could not be read


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """A whole plan as written."""

    name: str
    seed: int
    seed_is_default: bool
    modules: Mapping[str, ModuleSpec]
    optimizers: Mapping[str, OptimizerSpec]
    sources: Mapping[str, SourceSpec]
    schedules: Mapping[str, CurveSpec]
    stages: Mapping[str, StageSpec]
    root: Map


@dataclass(slots=True)
class SpecReader:
    """Reads nodes into the spec; every problem goes to `problems` with its place."""

    problems: list[Diagnostic] = field(default_factory=list)

    def problem(self, rule: str, message: str, span: Span, help: str | None = None) -> None:
        self.problems.append(Diagnostic(rule, message, span, help))

    # Scalars

    def parsed(self, node: Node, parse: Callable[[str], T], wanted: str) -> T | None:
        """Parse a scalar, or note why it does not."""
        if not isinstance(node, Scalar):
            self.problem("wrong-type", f"{wanted} is wanted here", node.span)
            return None
        try:
            return parse(node.text)
        except ValueProblem as problem:
            self.problem("wrong-value", str(problem), node.span, problem.help)
            return None

    def word(self, node: Node, known: "list[str] | tuple[str, ...] | None" = None) -> Word | None:
        if not isinstance(node, Scalar):
            self.problem("wrong-type", "one word is wanted here", node.span)
            return None
        if known is not None and node.text not in known:
            self.problem(
                "wrong-value",
                f"`{node.text}` is not one of the words for this",
                node.span,
                did_you_mean(node.text, known),
            )
            return None
        return Word(node.text, node.span)

    def words(self, node: Node) -> tuple[Word, ...]:
        items = node.items if isinstance(node, Seq) else (node,)
        words = tuple(w for item in items if (w := self.word(item)) is not None)
        for index, word in enumerate(words):
            if any(before.text == word.text for before in words[:index]):
                self.problem("said-twice", f"`{word.text}` stands twice here", word.span)
        return words

    def names(self, node: Node) -> tuple[Word, ...] | None:
        """Read one or several words; None where one of them is none."""
        before = len(self.problems)
        words = self.words(node)
        return None if len(self.problems) > before else words

    def number(self, node: Node) -> Number | None:
        if node.tag == "conflict" and isinstance(node, Seq) and node.items:
            node = node.items[0]
        if isinstance(node, Scalar) and node.text == "unknown":
            return Number(None, node.span)
        if isinstance(node, Scalar) and node.text.strip().endswith("%"):
            amount = self.parsed(node, parse_amount, "a number")
            return None if amount is None else Number(amount.value, node.span, percent=True)
        value = self.parsed(node, parse_number, "a number")
        return None if value is None else Number(value, node.span)

    def share(self, node: Node, at_most_one: bool = True) -> Fraction | None:
        number = self.number(node)
        if number is None or number.value is None:
            return None
        if number.value < 0 or (at_most_one and number.value > 1):
            range_words = "between 0 and 1" if at_most_one else "at 0 or above"
            self.problem("wrong-value", f"this number lies {range_words}", node.span)
            return None
        return number.value

    def quantity(
        self, node: Node, parse: Callable[[str], Amount] = parse_amount, units: tuple[str, ...] = ()
    ) -> Quantity | None:
        if node.tag == "conflict" and isinstance(node, Seq) and node.items:
            node = node.items[0]
        amount = self.parsed(node, parse, "an amount")
        if amount is None:
            return None
        if units and amount.unit not in units:
            self.problem(
                "wrong-unit",
                f"{'a share' if amount.unit == 'share' else f'an amount in {amount.unit}'} "
                "cannot stand here",
                node.span,
                f"write it in {' or '.join(dict.fromkeys(units))}",
            )
            return None
        return Quantity(amount, node.span, node.scale if isinstance(node, Scalar) else UNSCALED)

    def integer(self, node: Node) -> int | None:
        value = self.parsed(node, parse_number, "a whole number")
        if value is None:
            return None
        if value.denominator != 1 or not 0 <= value < 2**63:
            self.problem("wrong-value", "a whole number from 0 to 2^63 is wanted", node.span)
            return None
        return int(value)

    def boolean(self, node: Node) -> bool:
        word = self.word(node, ("true", "false"))
        return word is not None and word.text == "true"

    def mapping(self, node: Node | None, wanted: str) -> Map | None:
        if node is None:
            return None
        if not isinstance(node, Map):
            self.problem("wrong-type", f"{wanted} is a mapping", node.span)
            return None
        return node

    def keys(self, node: Map, table: Table, what: str, dotted: bool = False) -> None:
        """Note every key that the language does not have."""
        for key, _ in node.entries:
            head = key.text.split(".")[0] if dotted else key.text
            if head not in table:
                self.problem(
                    "unknown-key",
                    f"{what} has no key `{key.text}`",
                    key.span,
                    did_you_mean(head, tuple(table)),
                )

    def named(self, node: Node | None, what: str) -> list[tuple[Word, Node]]:
        """Return the entries of a mapping of names, refusing what is no name."""
        found = []
        for key, value in m.entries if (m := self.mapping(node, what)) else ():
            if NAME.fullmatch(key.text):
                found.append((Word(key.text, key.span), value))
            else:
                self.problem(
                    "wrong-name",
                    f"`{key.text}` is not a name",
                    key.span,
                    "names are small letters, digits, `-` and `_`",
                )
        return found

    # Curves

    def curve(self, node: Node, percent_is_share: bool = True) -> CurveSpec | None:
        """Read a value or a list of pieces."""
        if isinstance(node, Scalar) or node.tag == "conflict":
            number = self.number(node)
            if number is None:
                return None
            piece = PieceSpec(
                Word("constant", node.span), number, None, None, False, None, node.span
            )
            return CurveSpec((piece,), node.span)
        items = node.items if isinstance(node, Seq) else (node,)
        if not items:
            self.problem("wrong-value", "a curve has at least one piece", node.span)
            return None
        pieces = [self.piece(item) for item in items]
        known = tuple(piece for piece in pieces if piece is not None)
        return CurveSpec(known, node.span) if len(known) == len(pieces) else None

    def piece(self, node: Node) -> PieceSpec | None:
        entries = self.mapping(node, "a piece of a curve")
        if entries is None:
            return None
        self.keys(entries, PIECE, "a piece")
        before = len(self.problems)
        shape_node = entries.get("shape")
        if shape_node is None:
            self.problem(
                "missing-key",
                "a piece says its `shape`",
                entries.span,
                f"one of {', '.join(SHAPES)}",
            )
            return None
        shape = self.word(shape_node, SHAPES)
        start: Number | Word | None = None
        if (node_from := entries.get("from")) is not None:
            if isinstance(node_from, Scalar) and node_from.text == "current":
                start = Word("current", node_from.span)
            else:
                start = self.number(node_from)
        end = self.number(node_to) if (node_to := entries.get("to")) is not None else None
        length, until = entries.get("for"), entries.get("until")
        if length is not None and until is not None:
            self.problem("wrong-value", "a piece has `for` or `until`, not both", entries.span)
        size = None
        if length is not None:
            size = self.quantity(length, units=("tokens", "steps", "share"))
        elif until is not None:
            size = self.quantity(until, parse_mark, units=("tokens", "steps", "share"))
        knob_node = entries.get("half_life") or entries.get("timescale")
        knob = self.quantity(knob_node, units=("tokens", "steps")) if knob_node else None
        if knob is not None and knob.amount.value <= 0:
            self.problem("wrong-value", "this length is more than nothing", knob.span)
        if shape is not None:
            self._fits(shape.text, entries)
        if knob is not None and knob.amount.value <= 0:
            self.problem("wrong-value", "this length is more than nothing", knob.span)
        if len(self.problems) > before or shape is None:
            return None
        return PieceSpec(shape, start, end, size, until is not None, knob, entries.span)

    def _fits(self, shape: str, entries: Map) -> None:
        """Note what a shape does not read: nothing that was said goes unread."""
        no_to = shape == "rsqrt" or (shape == "exponential" and entries.key("half_life"))
        unread = {
            "timescale": shape != "rsqrt",
            "half_life": shape != "exponential",
            "to": bool(no_to),
        }
        for name, is_unread in unread.items():
            if is_unread and (key := entries.key(name)) is not None:
                self.problem("wrong-value", f"this {shape} piece reads no `{name}`", key.span)

    def ride(self, node: Node) -> RideSpec | None:
        if isinstance(node, Scalar) and _is_schedule_name(node.text):
            word = Word(node.text, node.span)
            return RideSpec(word, None, False, Fraction(1), False, node.span)
        if not isinstance(node, Map) or node.get("shape") is not None:
            curve = self.curve(node)
            return (
                None
                if curve is None
                else RideSpec(None, curve, False, Fraction(1), False, node.span)
            )
        self.keys(node, LR, "`lr`")
        schedule = self.word(value) if (value := node.get("schedule")) is not None else None
        curve = self.curve(value) if (value := node.get("curve")) is not None else None
        if (schedule is None) == (curve is None):
            self.problem("wrong-value", "`lr` names a `schedule` or holds a `curve`", node.span)
            return None
        scale = Fraction(1)
        if (value := node.get("scale")) is not None:
            number = self.number(value)
            if number is not None and number.value is None:
                self.problem(
                    "wrong-value", "a scale is a number: let the curve be unknown", value.span
                )
            scale = number.value if number is not None and number.value is not None else scale
        restart, jump = node.get("restart"), node.get("jump")
        return RideSpec(
            schedule,
            curve,
            restart is not None and self.boolean(restart),
            scale,
            jump is not None and self.boolean(jump),
            node.span,
        )

    # Parts of a stage

    def point(self, node: Node) -> Point | None:
        """Read `stage` or `stage@mark`."""
        word = self.word(node)
        return None if word is None else self.point_of(word, node)

    def point_of(self, word: Word, node: Node) -> Point | None:
        stage, at, mark = word.text.partition("@")
        stage = stage.strip()
        if not NAME.fullmatch(stage):
            self.problem("wrong-name", f"`{stage}` is not the name of a stage", word.span)
            return None
        if not at or mark.strip() == "end":
            return Point(stage, None, word.span)
        amount = self.parsed(Scalar(mark.strip(), word.span), parse_mark, "a mark")
        if amount is None:
            return None
        scale = node.scale if isinstance(node, Scalar) else UNSCALED
        return Point(stage, Quantity(amount, word.span, scale), word.span)

    def batch(self, node: Node) -> tuple[BatchSpec, ...] | None:
        before = len(self.problems)
        items = node.items if isinstance(node, Seq) else (node,)
        specs = [self.batch_piece(item, last=item is items[-1]) for item in items]
        if not specs:
            self.problem("wrong-value", "a batch has at least one piece", node.span)
        if len(self.problems) > before:
            return None
        return tuple(spec for spec in specs if spec is not None)

    def batch_piece(self, node: Node, last: bool) -> BatchSpec | None:
        entries = self.mapping(node, "a batch")
        if entries is None:
            return None
        self.keys(entries, BATCH, "a batch")
        seqs, tokens = entries.get("seqs"), entries.get("tokens")
        if (seqs is None) == (tokens is None):
            self.problem("wrong-value", "a batch says `seqs` or `tokens`", entries.span)
            return None
        until_node = entries.get("until")
        if last == (until_node is not None):
            self.problem(
                "wrong-value",
                "the last piece of a batch has no `until`, every other has one",
                entries.span,
            )
            return None
        until = None
        if until_node is not None:
            until = self.quantity(until_node, parse_mark, ("tokens", "steps", "share"))
        said = seqs if seqs is not None else tokens
        assert said is not None
        if isinstance(said, Scalar) and said.text == "keep":
            kept = "seqs" if seqs is not None else "tokens"
            return BatchSpec(None, None, kept, until, entries.span)
        size = self.quantity(said, units=("tokens",) if seqs is None else ("tokens", "seqs"))
        if size is None:
            return None
        if seqs is not None:
            return BatchSpec(size, None, None, until, entries.span)
        return BatchSpec(None, size, None, until, entries.span)

    def mixture(self, node: Node) -> MixSpec | None:
        if isinstance(node, Seq):
            if not node.items:
                self.problem("wrong-value", "a mixture names at least one source", node.span)
            return MixSpec((), None, (), self.words(node), node.span)
        entries = self.mapping(node, "a mixture")
        if entries is None:
            return None
        replay = entries.get("replay")
        if replay is not None:
            for key, _ in entries.entries:
                if key.text != "replay":
                    self.problem(
                        "wrong-value",
                        "a `replay` stands alone in its group",
                        key.span,
                        "give it a group of its own: {old: {ratio: rest, of: {replay: STAGE}}}",
                    )
            word = self.word(replay)
            if word is None:
                return None
            head, *path = word.text.split("/")
            point = self.point_of(Word(head, word.span), replay)
            return None if point is None else MixSpec((), point, tuple(path), (), entries.span)
        before = len(self.problems)
        nodes = [self.mix_node(name, value) for name, value in self.named(entries, "a mixture")]
        if not entries.entries:
            self.problem("wrong-value", "a mixture names at least one source", entries.span)
        if len(self.problems) > before:
            return None
        return MixSpec(tuple(n for n in nodes if n is not None), None, (), (), entries.span)

    def mix_node(self, name: Word, node: Node) -> NodeSpec | None:
        if not isinstance(node, Map) or node.get("shape") is not None:
            ratio = self.ratio(node)
            return None if ratio is False else NodeSpec(name, ratio, None)
        self.keys(node, GROUP, "a group")
        ratio_node, of_node = node.get("ratio"), node.get("of")
        if ratio_node is None:
            self.problem(
                "missing-key",
                f"group `{name.text}` says no `ratio`",
                name.span,
                "a number, `rest` or pieces",
            )
            return None
        ratio = self.ratio(ratio_node)
        of = self.mixture(of_node) if of_node is not None else None
        return None if ratio is False else NodeSpec(name, ratio, of)

    def ratio(self, node: Node) -> CurveSpec | Literal[False] | None:
        """Return the curve, None for `rest`, False where it could not be read."""
        if isinstance(node, Scalar) and node.text == "rest":
            return None
        curve = self.curve(node)
        return False if curve is None else curve


def _is_schedule_name(text: str) -> bool:
    if text == "unknown" or not NAME.fullmatch(text):
        return False
    try:
        parse_number(text)
    except ValueProblem:
        return True
    return False


def read_spec(root: Map) -> tuple[PlanSpec, list[Diagnostic]]:
    """Read a plan's nodes into its spec, with every problem found on the way."""
    from curriculum.spec_stage import read_stage

    reader = SpecReader()
    reader.keys(root, PLAN, "a plan")
    name_node = root.get("plan")
    name = reader.word(name_node) if name_node is not None else None
    if name_node is None:
        reader.problem("missing-key", "a plan says its name", root.span, "begin with `plan: NAME`")
    elif name is not None and not NAME.fullmatch(name.text):
        reader.problem(
            "wrong-name",
            f"`{name.text}` is not a name",
            name.span,
            "small letters, digits, `-`, `_`",
        )
    seed_node = root.get("seed")
    seed = reader.integer(seed_node) if seed_node is not None else None
    if root.get("stages") is None:
        reader.problem("missing-key", "a plan has `stages`", root.span, "add `stages:`")
    elif isinstance(stages_node := root.get("stages"), Map) and not stages_node.entries:
        reader.problem("no-stage", "a plan has at least one stage", stages_node.span)
    stages = {
        word.text: stage
        for word, node in reader.named(root.get("stages"), "`stages`")
        if (stage := read_stage(reader, word, node)) is not None
    }
    spec = PlanSpec(
        name.text if name else "",
        seed or 0,
        seed_node is None,
        _modules(reader, root.get("modules")),
        _optimizers(reader, root.get("optimizers")),
        _sources(reader, root.get("sources")),
        _schedules(reader, root.get("schedules")),
        stages,
        root,
    )
    return spec, reader.problems


def _schedules(reader: SpecReader, node: Node | None) -> dict[str, CurveSpec]:
    named = reader.named(node, "`schedules`")
    return {w.text: curve for w, value in named if (curve := reader.curve(value)) is not None}


def _modules(reader: SpecReader, node: Node | None) -> dict[str, ModuleSpec]:
    modules = {}
    for word, value in reader.named(node, "`modules`"):
        entries = reader.mapping(value, "a module")
        if entries is None:
            continue
        preset_node = entries.get("preset")
        if preset_node is None:
            reader.problem(
                "missing-key",
                f"module `{word.text}` names no `preset`",
                word.span,
                "write {preset: NAME}",
            )
            continue
        preset = reader.word(preset_node)
        overrides: dict[str, object] = {}
        for key, field_node in entries.entries:
            if key.text not in MODULE:
                overrides[key.text] = _field(reader, field_node)
        if preset is not None:
            modules[word.text] = ModuleSpec(word, preset, overrides, entries.span)
    return modules


def _field(reader: SpecReader, node: Node) -> object:
    if isinstance(node, Scalar) and node.text in ("true", "false"):
        return node.text == "true"
    if isinstance(node, Scalar) and node.text == "none":
        return None
    number = reader.number(node)
    if number is None or number.value is None:
        return None
    return int(number.value) if number.value.denominator == 1 else float(number.value)


def _sources(reader: SpecReader, node: Node | None) -> dict[str, SourceSpec]:
    sources = {}
    for word, value in reader.named(node, "`sources`"):
        entries = reader.mapping(value, "a source")
        if entries is None:
            continue
        reader.keys(entries, SOURCE, "a source")
        modality_node = entries.get("modality")
        if modality_node is None:
            reader.problem(
                "missing-key",
                f"source `{word.text}` says no `modality`",
                word.span,
                f"one of {', '.join(MODALITIES)}",
            )
        modality = reader.word(modality_node, MODALITIES) if modality_node is not None else None
        tokens_node = entries.get("tokens")
        known = tokens_node is not None and not _is_unknown(tokens_node)
        tokens = reader.quantity(tokens_node, units=("tokens",)) if known and tokens_node else None
        shares = {
            key: reader.share(found) if (found := entries.get(key)) is not None else None
            for key in ("holdout", "image_share")
        }
        if shares["holdout"] == 1:
            reader.problem(
                "wrong-value",
                f"a holdout of all of `{word.text}` leaves nothing to train on",
                entries.span,
                "holdout: 2%",
            )
        cap = entries.get("max_epochs")
        path_node = entries.get("path")
        path = reader.word(path_node) if path_node is not None else None
        sources[word.text] = SourceSpec(
            word,
            modality.text if modality else "text",
            tokens,
            shares["holdout"] or Fraction(0),
            reader.share(cap, at_most_one=False) if cap is not None else None,
            shares["image_share"],
            path.text if path else None,
        )
    return sources


def _is_unknown(node: Node) -> bool:
    return isinstance(node, Scalar) and node.text == "unknown"


def _optimizers(reader: SpecReader, node: Node | None) -> dict[str, OptimizerSpec]:
    return {
        word.text: spec
        for word, value in reader.named(node, "`optimizers`")
        if (spec := _optimizer(reader, word, value)) is not None
    }


def _optimizer(reader: SpecReader, name: Word, node: Node) -> OptimizerSpec | None:
    entries = reader.mapping(node, "an optimizer")
    if entries is None:
        return None
    kind_node = entries.get("kind")
    if kind_node is None:
        reader.problem("missing-key", "an optimizer says its `kind`", entries.span, "muon or adamw")
        return None
    kind = reader.word(kind_node, tuple(OPTIMIZER_VALUES))
    if kind is None:
        return None
    values: dict[str, Number | bool] = {}
    parts: dict[str, OptimizerSpec] = {}
    for key, value in entries.entries:
        if key.text in ("kind", "source"):
            continue
        if isinstance(value, Map):
            if not TARGET.fullmatch(key.text):
                reader.problem("wrong-name", f"`{key.text}` is no module or part", key.span)
            elif (part := _optimizer(reader, Word(key.text, key.span), value)) is not None:
                parts[key.text] = part
        elif key.text not in OPTIMIZER_VALUES[kind.text]:
            reader.problem(
                "unknown-key",
                f"{kind.text} has no value `{key.text}`",
                key.span,
                did_you_mean(key.text, OPTIMIZER_VALUES[kind.text]),
            )
        elif isinstance(value, Scalar) and value.text in ("true", "false"):
            values[key.text] = value.text == "true"
        else:
            values[key.text] = reader.number(value) or Number(None, value.span)
    return OptimizerSpec(name, kind, values, parts)


__all__ = [
    "BatchSpec",
    "CheckpointSpec",
    "CurveSpec",
    "MixSpec",
    "ModuleSpec",
    "NodeSpec",
    "Number",
    "OptimizerSpec",
    "PieceSpec",
    "PlanSpec",
    "Point",
    "Quantity",
    "RideSpec",
    "SourceSpec",
    "SpecReader",
    "StageSpec",
    "Word",
    "read_spec",
]
