"""Values over a stage alone, and what a stage sets in its modules

What is not said stands at the value where the ancestor was left.
"""

from collections.abc import Mapping
from fractions import Fraction

from curriculum.clock import Clock
from curriculum.compile_state import Draft, State
from curriculum.curve import Curve, constant
from curriculum.errors import Span, named_or_listed
from curriculum.extent import Ground, Refused
from curriculum.plan import Stage
from curriculum.riding import Reading, lay_on_clock
from curriculum.spec import CurveSpec
from curriculum.spec_curve import read_curve
from curriculum.spec_reader import SpecReader
from curriculum.words import SETTINGS, SHARES


def compile_settings(state: State, draft: Draft) -> dict[str, Curve | None]:
    """Return what is set, as `MODULE/PART.NAME`; None where it is unknown."""
    curves: dict[str, Curve | None] = {}
    said = dict(draft.spec.settings or {})
    if draft.spec.settings is None and draft.kept:
        for module in draft.init:
            kept = draft.kept_of(module)
            if kept is not None:
                stage = state.stages[kept[0].name]
                left = left_all(stage.settings, stage, kept[1])
                curves |= {n: c for n, c in left.items() if _module_of(n) == module}
    reader = SpecReader(state.problems)
    for dotted, key, node in draft.spec.dotted:
        if dotted[0] != "set":
            continue
        if len(dotted) != 3:
            state.report("dotted-key", f"`{key.text}` is not `set.PART.NAME`", key.span)
        elif (spec := read_curve(reader, node)) is not None:
            said[dotted[1]] = {**said.get(dotted[1], {}), dotted[2]: spec}
    for target, values in said.items():
        for name, spec in values.items():
            if _may_set(state, draft, target, name, spec.span):
                curve = on_stage(state, draft, spec)
                if name in SHARES and curve is not None and not _is_share(curve):
                    message = f"`{name}` lies in 0..1, 1 left out, all along"
                    state.report("wrong-value", message, spec.span)
                curves[f"{target}.{name}"] = curve
    return dict(sorted(curves.items()))


def _is_share(curve: Curve) -> bool:
    return all(0 <= end < 1 for piece in curve.pieces for end in (piece.a, piece.b))


def _module_of(setting: str) -> str:
    """Return the module of a setting: of `llm/router.bias_rate`, and of `vit.drop_path`."""
    return setting.partition(".")[0].partition("/")[0]


def _may_set(state: State, draft: Draft, target: str, name: str, span: Span) -> bool:
    module, _, part = target.partition("/")
    if module not in draft.init or module not in state.modules:
        message = f"stage `{draft.name}` has no module `{module}`"
        state.report("set-of-absent", message, span, named_or_listed(module, draft.init))
        return False
    kind = state.modules[module].shape.kind
    has = not part or part in state.modules[module].shape.parts()
    known = SETTINGS.get(f"{kind}/{part}" if part else kind, ()) if has else ()
    if name not in known:
        can = [f"{k}: {', '.join(v)}" for k, v in SETTINGS.items()]
        state.report(
            "unknown-setting",
            f"`{target}` lets no `{name}` change",
            span,
            f"there is {'; '.join(can)}",
        )
        return False
    return True


def on_stage(state: State, draft: Draft, spec: CurveSpec) -> Curve | None:
    """Lay a curve over the stage itself; None where it is unknown or was refused."""
    own = draft.rider(Clock(draft.name, 0, 0, ()))

    def no_current(span: Span) -> Fraction | None:
        state.report("current", "`current` is a learning rate's; say the value here", span)
        raise Refused

    end, name = frozenset({own.asked_tokens}), draft.spec.name.span
    ground = Ground((own,), end, name, state.report, state.share_of, state.became)
    try:
        return lay_on_clock(spec, ground, Reading(no_current, is_relative=False))
    except Refused:
        return None


def value_left(curve: Curve | None, stage: Stage, step: int) -> Fraction | None:
    """Return the exact value a curve was left at; floats of a curved piece count as they are."""
    if curve is None:
        return None
    tokens = stage.batch.tokens_before(step) if step < stage.steps else stage.budget.tokens
    piece = curve.piece_at(step)
    x = tokens if piece.unit == "tokens" else step
    if piece.shape == "constant":
        return piece.a
    if piece.end is not None and x >= piece.end:
        return piece.b
    return Fraction(piece.value(x))


def left_all(
    curves: Mapping[str, Curve | None], stage: Stage, step: int
) -> dict[str, Curve | None]:
    """Return every curve as the value at which it was left."""
    values = {name: value_left(curve, stage, step) for name, curve in curves.items()}
    return {name: None if value is None else constant(value) for name, value in values.items()}
