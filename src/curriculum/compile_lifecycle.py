"""What becomes of a stage's modules on the way: fresh parts, sizes, adapters, an average

Sizes are followed from the stage a module comes from; adapters too, and a stage that takes a module
with adapters always says what becomes of them. The average follows `keep`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from curriculum.compile_state import Draft, Kept, State
from curriculum.errors import Related, Span, did_you_mean
from curriculum.lifecycle import Ema, Field, Lifecycle
from curriculum.models.adapters import PART, Adapter, takes_adapter
from curriculum.models.counted_shape import CountedShape
from curriculum.models.presets import counted_shape, shape_of
from curriculum.models.shapes import Shape, part_of
from curriculum.plan import Module, Start
from curriculum.spec import AdapterSpec, ReshapeSpec, StageSpec, Word


def lifecycle_of(
    state: State, spec: StageSpec, kept: Kept | None, init: Mapping[str, Start]
) -> Lifecycle | None:
    """Return what a stage says of its modules; None where some of it was refused."""
    before = len(state.problems)
    parents = {m: draft for m, start in init.items() if (draft := _parent(state, spec, m, start))}
    sizes = _sizes(state, spec, init, parents)
    shapes = {m: shape_in(state, m, sizes) for m in init if m in state.modules}
    adapters, left = _adapters(state, spec, parents, shapes)
    found = Lifecycle(
        fresh=_fresh(state, spec, init, shapes),
        sizes=sizes,
        rows={
            name: said.rows.text if said.rows else "new"
            for name, said in sorted((spec.reshape or {}).items())
        },
        adapters=adapters,
        left=left,
        ema=_ema(spec, kept),
    )
    return found if len(state.problems) == before else None


def _ema(spec: StageSpec, kept: Kept | None) -> Ema | None:
    if spec.ema is None:
        return kept[0].lifecycle.ema if kept else None
    return None if spec.ema.decay is None else Ema(spec.ema.decay.value)


def _parent(state: State, spec: StageSpec, module: str, start: Start) -> Draft | None:
    """Return the stage that a module comes from; of an average, one: all left it in one shape."""
    origins = [o.stage for o in state.origins(start, module) if o.stage in state.drafts]
    drafts = [state.drafts[stage] for stage in origins if stage is not None]
    for draft in drafts[1:]:
        if draft.lifecycle.sizes.get(module) != drafts[0].lifecycle.sizes.get(module):
            state.report(
                "sizes-disagree",
                f"`{drafts[0].name}` and `{draft.name}` left `{module}` in different sizes: there "
                "is no average of them",
                spec.init_span or spec.span,
                "average stages that reshaped it alike",
            )
    return drafts[0] if drafts else None


def shape_in(state: State, module: str, sizes: Mapping[str, Mapping[str, Field]]) -> Shape:
    """Return the shape that a module has where these sizes are not the plan's."""
    known = state.modules[module]
    if module not in sizes:
        return known.shape
    return _resized(known, sizes[module])


def _resized(module: Module, sizes: Mapping[str, Field]) -> Shape:
    """Return the shape of a module with some sizes replaced; ValueError says what does not fit."""
    whole: Any = module.shape  # each kind of shape is a dataclass, their common face is not
    if module.preset is not None and not isinstance(whole, CountedShape):
        return shape_of(module.preset, {**asdict(whole), **sizes})
    said = {n: x for n, x in asdict(whole).items() if n != "kind" and x is not None}
    return counted_shape(module.shape.kind, {**said, **sizes})


def parts_in(state: State, draft: Draft, module: str) -> tuple[str, ...]:
    """Return the parts of a module in a stage: its shape's, and its adapters."""
    shape = shape_in(state, module, draft.lifecycle.sizes)
    return (*shape.parts(), *draft.lifecycle.parts_of(module))


def _sizes(
    state: State, spec: StageSpec, init: Mapping[str, Start], parents: Mapping[str, Draft]
) -> dict[str, dict[str, Field]]:
    """By module, what is not as the plan's modules say: the parent's changes, and the stage's."""
    found: dict[str, dict[str, Field]] = {}
    for module, parent in parents.items():
        if module in parent.lifecycle.sizes:
            found[module] = dict(parent.lifecycle.sizes[module])
    for name, said in (spec.reshape or {}).items():
        if name not in init:
            _absent(state, spec, name, said.module.span)
        elif name in state.modules:
            _reshape(state, name, said, init[name], found)
    return {module: found[module] for module in sorted(found)}


def _reshape(
    state: State,
    name: str,
    said: ReshapeSpec,
    start: Start,
    found: dict[str, dict[str, Field]],
) -> None:
    if start.is_new:
        state.report(
            "reshape-of-new",
            f"`{name}` is new here: it has the sizes that `modules` gives it",
            said.module.span,
            "say them there, or start it from a stage",
        )
        return
    module = state.modules[name]
    whole: Any = module.shape
    planned: dict[str, Field] = asdict(whole)
    before: dict[str, Field] = {**planned, **found.get(name, {})}
    try:
        after: Any = _resized(module, {**found.get(name, {}), **said.sizes})
    except ValueError as error:
        state.report("module-shape", str(error), said.span)
        return
    now: dict[str, Field] = asdict(after)
    if now == before:
        state.report(
            "reshape-nothing",
            f"`{name}` has these sizes already",
            said.span,
            "leave it out: sizes are followed from the stage that the module comes from",
        )
    found[name] = {key: value for key, value in now.items() if value != planned[key]}
    if said.rows is not None and now.get("vocab") == before.get("vocab"):
        state.report(
            "reshape-rows",
            f"`rows` says how a vocabulary grows, and that of `{name}` does not",
            said.rows.span,
            "leave it out",
        )


def _fresh(
    state: State, spec: StageSpec, init: Mapping[str, Start], shapes: Mapping[str, Shape]
) -> tuple[str, ...]:
    good = []
    for word in spec.fresh:
        module, _, part = word.text.partition("/")
        if module not in init:
            _absent(state, spec, module, word.span)
        elif init[module].is_new:
            state.report(
                "part-of-new", f"all of `{module}` is new here", word.span, "leave the part out"
            )
        elif module in shapes and part not in (parts := shapes[module].parts()):
            state.report(
                "unknown-part", f"`{module}` has no part `{part}`", word.span,
                did_you_mean(part, parts),
            )  # fmt: skip
        else:
            good.append(word.text)
    return tuple(sorted(good))


def _adapters(
    state: State, spec: StageSpec, parents: Mapping[str, Draft], shapes: Mapping[str, Shape]
) -> tuple[dict[str, Adapter], dict[str, str]]:
    """Return the adapters in force, and what becomes of those that parents left, by module."""
    given = {
        module: parent
        for module, parent in sorted(parents.items())
        if module in parent.lifecycle.adapters
    }
    said = dict(spec.adapters or {})
    if isinstance(every := said.pop("", None), Word):
        if not given:
            _none_left(state, "any module", every.span)
        said = dict.fromkeys(given, every)
    adapters: dict[str, Adapter] = {}
    left: dict[str, str] = {}
    for module, parent in given.items():
        if not isinstance(word := said.get(module), Word):
            if "adapters" not in spec.said or spec.adapters is not None:
                _unsaid(state, spec, module, parent, word)
            continue
        left[module] = word.text
        if word.text == "keep":
            adapters[module] = parent.lifecycle.adapters[module]
    for module, new in said.items():
        if isinstance(new, Word) and module not in given:
            _none_left(state, f"`{module}`", new.span)
        elif isinstance(new, AdapterSpec) and module not in given:
            if module not in shapes:
                _absent(state, spec, module, new.module.span)
            elif _fits(state, module, new, shapes[module]):
                adapters[module] = Adapter(
                    new.kind, new.rank, tuple(sorted(w.text for w in new.parts))
                )
    return dict(sorted(adapters.items())), left


def _fits(state: State, module: str, new: AdapterSpec, shape: Shape) -> bool:
    matrices = {
        part_of(shape.kind, name)
        for name, size in shape.weights().items()
        if takes_adapter(name, size)
    }
    wrong = [word for word in new.parts if word.text not in matrices]
    for word in wrong:
        state.report(
            "adapters-on",
            f"`{module}` has no part `{word.text}` with matrices to adapt",
            word.span,
            did_you_mean(word.text, sorted(matrices)),
        )
    return not wrong


def _unsaid(
    state: State, spec: StageSpec, module: str, parent: Draft, new: AdapterSpec | None
) -> None:
    span = spec.name.span if new is None else new.module.span
    what = "does not say what becomes of them" if new is None else "gives it others"
    state.report(
        "adapters-unsaid",
        f"stage `{spec.name.text}` takes `{module}` with the adapters of `{parent.name}`, "
        f"and {what}",
        span,
        f"adapters: {{{module}: merge}}, or drop, or keep; new ones begin in a stage after that",
        (Related(f"`{module}` has adapters here", parent.spec.name.span),),
    )


def _none_left(state: State, whose: str, span: Span) -> None:
    state.report(
        "adapters-none",
        f"no parent left adapters of {whose}",
        span,
        f"leave it out, or say new ones; they are trained as MODULE/{PART}",
    )


def _absent(state: State, spec: StageSpec, module: str, span: Span) -> None:
    state.report(
        "absent-module", f"stage `{spec.name.text}` has no module `{module}`", span,
        did_you_mean(module, sorted(spec.init or ())),
    )  # fmt: skip
