"""Modules, sources and unused names of a plan, from their specs"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import floor

from curriculum.compile_state import State
from curriculum.errors import Span, ValueProblem, did_you_mean
from curriculum.models.presets import counted_shape, shape_of
from curriculum.models.shapes import KINDS, Shape
from curriculum.nodes import Map, Scalar, walk
from curriculum.plan import Module, Source
from curriculum.spec import (
    MixSpec,
    ModuleSpec,
    PlanSpec,
    SourceSpec,
    points_of,
)
from curriculum.units import count_in_words


def compile_modules(state: State) -> dict[str, Module]:
    """Give every module its shape."""
    modules = {}
    for name, spec in state.spec.modules.items():
        preset = spec.preset.text if spec.preset else None
        try:
            modules[name] = Module(name, preset, _shape(spec))
        except ValueError as error:
            way_out = error.help if isinstance(error, ValueProblem) else None
            state.report("module-shape", str(error), _place_of(state, spec, str(error)), way_out)
    kinds: dict[str, str] = {}
    for name, module in modules.items():
        if (other := kinds.setdefault(module.shape.kind, name)) != name:
            state.report(
                "one-module-of-a-kind",
                f"modules `{other}` and `{name}` are both of kind {module.shape.kind}",
                state.spec.modules[name].span,
                "keep one of them",
            )
    return modules


def _place_of(state: State, spec: ModuleSpec, message: str) -> Span:
    """Return the field that a message is of, or the whole module."""
    modules = state.spec.root.get("modules")
    said = modules.get(spec.name.text) if isinstance(modules, Map) else None
    for key, value in said.entries if isinstance(said, Map) else ():
        if f"no field {key.text!r}" in message or message.startswith(f"{key.text} is "):
            return key.span
        if key.text == "preset" and message.startswith("unknown preset"):
            return value.span
    return spec.span


def _shape(spec: ModuleSpec) -> Shape:
    if spec.preset is not None:
        name = spec.name.text  # most often it is the kind
        kind = name if name in KINDS else None
        return shape_of(spec.preset.text, spec.overrides, kind)
    assert spec.kind is not None
    return counted_shape(spec.kind.text, spec.overrides)


def compile_sources(state: State) -> dict[str, Source]:
    """Give every source its size, and every part of one what it takes from its whole."""
    specs = state.spec.sources
    for size in (spec.tokens for spec in specs.values()):
        if size is not None:
            state.became(size, count_in_words(size.scaled_tokens))
    wholes = {
        name: Source(
            name,
            spec.modality,
            spec.tokens.scaled_tokens if spec.tokens else None,
            spec.holdout,
            spec.max_epochs,
            spec.image_share,
            spec.path,
            tags=spec.tags,
        )
        for name, spec in specs.items()
        if spec.modality
    }
    found = {name: wholes.get(name) or _part(state, s, wholes) for name, s in specs.items()}
    return {name: source for name, source in found.items() if source is not None}


def _part(state: State, spec: SourceSpec, wholes: Mapping[str, Source]) -> Source | None:
    """Return a part of a source; its size is known where it is a share of a known one."""
    part = spec.part
    if part is None:
        return None
    whole = wholes.get(part.of.text)
    if whole is None:
        if part.of.text in state.spec.sources:
            message, way_out = f"`{part.of.text}` is a part itself", "name the whole source"
        else:
            message = f"there is no source `{part.of.text}`"
            way_out = did_you_mean(part.of.text, list(wholes)) or "name a source of this plan"
        state.report("unknown-source", message, part.of.span, way_out)
        return None
    tokens = spec.tokens.scaled_tokens if spec.tokens else None
    if part.share is not None and whole.tokens is not None:
        start, end = part.share
        tokens = floor(end * whole.tokens) - floor(start * whole.tokens)
    return replace(
        whole,
        name=spec.name.text,
        tokens=tokens,
        max_epochs=spec.max_epochs,
        path=whole.path or whole.name,
        of=whole.name,
        part=part.share,
        min_tokens=part.min_tokens,
        max_tokens=part.max_tokens,
        tags=tuple(sorted({*whole.tags, *spec.tags})),
    )


def unused_names(spec: PlanSpec) -> tuple[str, ...]:
    """Return the paths of modules, sources, schedules, optimizers and outside checkpoints that no
    stage names."""
    stages = spec.stages.values()
    starts = {point.stage for s in stages for point in s.points()}
    outside = {name: s.checkpoint for name, s in spec.stages.items() if s.checkpoint}
    whole = {p.stage for s in stages if s.init_all is not None for p in points_of(s.init_all)}
    modules = {module for s in stages for module in s.init or {}}
    modules |= {w.text for name in whole if name in outside for w in outside[name].gives}
    rides = [r for s in stages for r in (s.lr, *(s.lr_by_target or {}).values()) if r is not None]
    schedules = {ride.schedule.text for ride in rides if ride.schedule is not None}
    for _, _, node in (d for s in stages for d in s.dotted if d[0][0] == "lr"):
        schedules |= {n.text for _, n in walk(node) if isinstance(n, Scalar)}
    sources = {name for s in stages if s.mixture for name in _sources_of(s.mixture)}
    sources |= {s.part.of.text for n, s in spec.sources.items() if n in sources and s.part}
    optimizers = {s.optimizer.text for s in stages if s.optimizer is not None}
    return (
        *(f"modules.{n}" for n in spec.modules if n not in modules),
        *(f"optimizers.{n}" for n in spec.optimizers if n not in optimizers),
        *(f"sources.{n}" for n in spec.sources if n not in sources),
        *(f"schedules.{n}" for n in spec.schedules if n not in schedules),
        *(f"stages.{n}" for n in outside if n not in starts),
    )


def _sources_of(mix: MixSpec) -> Iterator[str]:
    yield from (word.text for word in mix.by_size)
    yield from (node.name.text for node in mix.nodes if node.of is None)
    for group in mix.groups:
        yield from _sources_of(group)
