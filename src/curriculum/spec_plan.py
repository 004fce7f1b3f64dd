"""A whole plan as written, read section by section into its spec

Every problem of a file is collected before it is given up.
"""

import re
from fractions import Fraction

from curriculum.errors import Diagnostic
from curriculum.in_samples import SAMPLES, size_of_source
from curriculum.models.shapes import KINDS
from curriculum.nodes import Map, Node, Scalar
from curriculum.spec import CurveSpec, ModuleSpec, PlanSpec, SourceSpec, Word
from curriculum.spec_claims import read_claims
from curriculum.spec_curve import read_curve
from curriculum.spec_optimizer import read_optimizers
from curriculum.spec_part import read_part
from curriculum.spec_reader import NAME, SpecReader, is_misspelt
from curriculum.spec_stage import read_stage
from curriculum.words import MODALITIES, MODULE, PLAN, PLAN_PATTERN, SOURCE


def read_spec(root: Map) -> tuple[PlanSpec, list[Diagnostic]]:
    """Read a plan's nodes into its spec, with every problem found on the way."""
    reader = SpecReader()
    reader.keys(root, PLAN, "a plan")
    reader.renamed = _renamed(reader, root)
    name = _name(reader, root)
    seed_node = root.get("seed")
    seed = reader.integer(seed_node) if seed_node is not None else None
    stages_node = root.get("stages")
    if stages_node is None and not is_misspelt(root, "stages"):
        reader.problem("missing-key", "a plan has `stages`", root.span, "add `stages:`")
    elif isinstance(stages_node, Map) and not stages_node.entries:
        reader.problem("no-stage", "a plan has at least one stage", stages_node.span)
    stages = {
        word.text: stage
        for word, node in reader.named(stages_node, "`stages`")
        if (stage := read_stage(reader, word, node)) is not None
    }
    spec = PlanSpec(
        name,
        seed or 0,
        seed_node is None,
        _modules(reader, root.get("modules")),
        read_optimizers(reader, root.get("optimizers")),
        _sources(reader, root.get("sources")),
        _schedules(reader, root.get("schedules")),
        stages,
        read_claims(reader, root.get("require")),
        root,
    )
    return spec, reader.problems


def _renamed(reader: SpecReader, root: Map) -> frozenset[str]:
    """Report declared names with capitals, and return them."""
    names = set()
    for section in ("modules", "optimizers", "sources", "schedules", "stages"):
        node = root.get(section)
        keys = [key for key, _ in node.entries] if isinstance(node, Map) else []
        texts = {key.text for key in keys}
        for key in keys:
            small = key.text.lower()
            if not NAME.fullmatch(small) or small in texts:
                continue
            names.add(key.text)
            what = f"the name `{key.text}` has capital letters"
            reader.problem("wrong-name", what, key.span, f"write `{small}`")
    return frozenset(names)


def _name(reader: SpecReader, root: Map) -> str:
    node = root.get("plan")
    if node is None:
        reader.problem("missing-key", "a plan says its name", root.span, "begin with `plan: NAME`")
        return ""
    name = reader.word(node)
    if name is not None and not re.fullmatch(PLAN_PATTERN, name.text):
        what = f"`{name.text}` is not a name of a plan"
        way_out = "small letters, digits, `.`, `-` and `_`, the first a letter or digit"
        small = re.sub(r"\s+", "-", name.text.strip().lower())
        way_out = f"write `{small}`" if re.fullmatch(PLAN_PATTERN, small) else way_out
        reader.problem("wrong-name", what, name.span, way_out)
    return name.text if name else ""


def _schedules(reader: SpecReader, node: Node | None) -> dict[str, CurveSpec]:
    named = reader.named(node, "`schedules`")
    return {w.text: curve for w, value in named if (curve := read_curve(reader, value)) is not None}


def _modules(reader: SpecReader, node: Node | None) -> dict[str, ModuleSpec]:
    modules = {}
    for word, value in reader.named(node, "`modules`"):
        entries = reader.mapping(value, "a module", "{preset: {}}")
        if entries is not None and (module := _module(reader, word, entries)) is not None:
            modules[word.text] = module
    return modules


def _module(reader: SpecReader, name: Word, entries: Map) -> ModuleSpec | None:
    preset_node, kind_node = entries.get("preset"), entries.get("kind")
    preset = reader.word(preset_node) if preset_node is not None else None
    kind = reader.word(kind_node, KINDS) if kind_node is not None else None
    if preset_node is None and kind_node is None:
        reader.problem(
            "missing-key",
            f"module `{name.text}` names no `preset`",
            name.span,
            "write {preset: NAME}, or {kind: llm, params: 8B} where only counts are known",
        )
    if preset_node is not None and kind_node is not None:
        reader.problem(
            "said-twice",
            f"the preset of module `{name.text}` has a kind of its own",
            kind_node.span,
            "say `preset` or `kind`, one of them",
        )
        return None
    said = [(key.text, node) for key, node in entries.entries if key.text not in MODULE]
    fields = {}
    for key, value in said:
        before = len(reader.problems)
        field = reader.field(value)
        if len(reader.problems) == before:
            fields[key] = field
    known = preset is not None or kind is not None
    return ModuleSpec(name, preset, kind, fields, entries.span) if known else None


def _sources(reader: SpecReader, node: Node | None) -> dict[str, SourceSpec]:
    return {
        word.text: spec
        for word, value in reader.named(node, "`sources`")
        if (spec := _source(reader, word, value)) is not None
    }


def _source(reader: SpecReader, name: Word, node: Node) -> SourceSpec | None:
    entries = reader.mapping(node, "a source", "{modality: text, tokens: {}}")
    if entries is None:
        return None
    reader.keys(entries, SOURCE, "a source", instead=_size_in_tokens)
    part = read_part(reader, name, entries)
    modality = "" if entries.key("of") else _modality(reader, name, entries)
    size = entries.get("tokens")
    is_known = size is not None and not (isinstance(size, Scalar) and size.text == "unknown")
    tokens = reader.quantity(size, units=("tokens",)) if is_known and size else None
    holdout, image_share = (
        reader.share(found) if (found := entries.get(key)) is not None else None
        for key in ("holdout", "image_share")
    )
    if holdout == 1:
        reader.problem(
            "wrong-value",
            f"a holdout of all of `{name.text}` leaves nothing to train on",
            entries.span,
            "holdout: 2%",
        )
    cap, path_node = entries.get("max_epochs"), entries.get("path")
    path = reader.word(path_node) if path_node is not None else None
    return SourceSpec(
        name,
        modality,
        tokens,
        holdout or Fraction(0),
        reader.share(cap, at_most_one=False) if cap is not None else None,
        image_share,
        path.text if path else None,
        part,
        reader.tags(entries.get("tags")),
    )


def _size_in_tokens(key: str, value: Node) -> str | None:
    if key not in SAMPLES:
        return None
    return size_of_source(value.text if isinstance(value, Scalar) else "")


def _modality(reader: SpecReader, name: Word, entries: Map) -> str:
    node = entries.get("modality")
    if node is None:
        reader.problem(
            "missing-key",
            f"source `{name.text}` says no `modality`",
            name.span,
            f"one of {', '.join(MODALITIES)}",
        )
    word = reader.word(node, MODALITIES) if node is not None else None
    return word.text if word else "text"
