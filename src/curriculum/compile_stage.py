"""Second pass over a stage: its curves, mixture, optimizer, RoPE and settings

All budgets are known here, so open pieces know where their schedule ends, and every parent is
compiled, so `current`, `keep` and `replay` have something to read.
"""

from collections.abc import Mapping
from fractions import Fraction

from curriculum.compile_mixture import compile_mixture
from curriculum.compile_state import Draft, State
from curriculum.curve import Curve, constant
from curriculum.errors import Span
from curriculum.plan import OptimizerRule, Ride, Stage
from curriculum.riding import Clock, Refused, lay_on_clock
from curriculum.rope import Rope
from curriculum.source_map import did_you_mean
from curriculum.spec import CurveSpec, Number, OptimizerSpec, RideSpec, SpecReader, Word
from curriculum.words import OPTIMIZER_DEFAULTS, SETTINGS

DOTTED = ("rope", "set", "loss", "lr", "mixture")
"""The keys below which a dotted key may change one thing of what is kept."""


def finish_stage(state: State, draft: Draft) -> Stage | None:
    """Compile a drafted stage; None where something in it was refused."""
    before = len(state.problems)
    if not _parents_finished(state, draft):
        return None
    for dotted, key, _ in draft.spec.dotted:
        if dotted[0] not in DOTTED:
            state.report(
                "dotted-key",
                f"`{key.text}` cannot change one thing of `{dotted[0]}`",
                key.span,
                f"say `{dotted[0]}` whole; dotted keys reach below {', '.join(DOTTED)}",
            )
    lr, rides = _lr(state, draft)
    loss = _loss(state, draft)
    settings = _settings(state, draft)
    rope = _rope(state, draft)
    optimizer = _optimizer(state, draft)
    mixture = compile_mixture(state, draft)
    if mixture is None or len(state.problems) > before:
        return None
    packing = draft.spec.packing
    kept = state.stages[draft.kept[0].name] if draft.kept else None
    return Stage(
        name=draft.name,
        init=draft.init,
        train=draft.train,
        count=draft.count,
        budget=draft.budget,
        steps=draft.steps,
        batch=draft.batch,
        mixture=mixture,
        lr=lr,
        rides=rides,
        optimizer=optimizer,
        loss=loss,
        settings=settings,
        rope=rope,
        packing=packing.text if packing else kept.packing if kept else "",
        seed=draft.seed,
        own_seed=draft.own_seed,
    )


def _parents_finished(state: State, draft: Draft) -> bool:
    stages = [s.stage for s in draft.init.values() if s.stage in state.drafts]
    return all(stage in state.stages for stage in stages)


def on_stage(state: State, draft: Draft, spec: CurveSpec) -> Curve | None:
    """Lay a curve over the stage itself; None where it is unknown or was refused."""
    own = draft.rider(Clock(draft.name, 0, 0, ()))

    def no_current(span: Span) -> Fraction | None:
        state.report("current", "`current` is a learning rate's; say the value here", span)
        raise Refused

    try:
        return lay_on_clock(
            spec, (own,), own.asked_tokens, no_current, state.report, relative=False
        )
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


# Learning rates


def _lr(state: State, draft: Draft) -> tuple[dict[str, Curve | None], dict[str, Ride]]:
    curves: dict[str, Curve | None] = {}
    rides: dict[str, Ride] = {}
    said = draft.spec.lr_by_target or {}
    modules = {target.partition("/")[0] for target in draft.train}
    for target, ride in said.items():
        if target.partition("/")[0] not in modules:
            state.report(
                "lr-of-untrained", f"`{target}` is not trained here", ride.span, "leave it out"
            )
    parts = [t for t in draft.rides if "/" in t and t.partition("/")[0] in modules]
    for target in sorted({*draft.train, *parts}):
        found = draft.rides.get(target) or draft.rides.get(target.partition("/")[0])
        found = found or draft.uniform_ride
        if found is None:
            state.report(
                "lr-missing",
                f"`{target}` is trained in stage `{draft.name}` and has no learning rate",
                draft.spec.name.span,
                f"add it to `lr`: {{{target}: SCHEDULE}}",
            )
            continue
        curve, rides[target] = _lr_of(state, draft, target, found)
        same = next((c for c in curves.values() if c == curve), curve)
        curves[target] = same
    return curves, rides


def _lr_of(state: State, draft: Draft, target: str, ride: RideSpec) -> tuple[Curve | None, Ride]:
    if ride.schedule is None:
        assert ride.curve is not None
        own = Clock(draft.name, 0, 0, ())
        total = draft.budget.tokens
        how = Ride(None, draft.name, 0, 0, Fraction(1), ride.jump)
        spec = ride.curve
        changed = {f"lr.{target}", f"lr.{target.partition('/')[0]}"}
        is_new = any(key.text in changed for _, key, _ in draft.spec.dotted)
        if draft.spec.lr is None and draft.spec.lr_by_target is None and draft.kept and not is_new:
            return _left_curve(state, draft, target), how
        return _laid(state, draft, target, spec, own, total, Fraction(1)), how
    name = ride.schedule.text
    if name not in state.spec.schedules or name not in draft.clocks:
        return None, Ride(name, draft.name, 0, 0)
    clock = draft.clocks[name]
    how = Ride(name, clock.instance, clock.tokens, clock.steps, ride.scale, ride.jump)
    total_known = _total(state, name, clock.instance)
    spec = state.spec.schedules[name]
    return _laid(state, draft, target, spec, clock, total_known, ride.scale), how


def _left_curve(state: State, draft: Draft, target: str) -> Curve | None:
    """A curve that is kept over its stage stands at the value it was left at."""
    assert draft.kept is not None
    kept = state.stages[draft.kept[0].name]
    if not _trains(kept, target):
        state.report(
            "lr-missing",
            f"`{target}` is trained in stage `{draft.name}` and has no learning rate to keep",
            draft.spec.keep.span if draft.spec.keep else draft.spec.span,
            f"say `lr: {{{target}: SCHEDULE}}`",
        )
        return None
    value = value_left(kept.lr_of(target), kept, draft.kept[1])
    return None if value is None else constant(value)


def _laid(
    state: State,
    draft: Draft,
    target: str,
    spec: CurveSpec,
    clock: Clock,
    total: int | None,
    scale: Fraction,
) -> Curve | None:
    chain = (*clock.chain, draft.rider(clock))

    def current(span: Span) -> Fraction | None:
        return _current(state, chain[0].stage, target, span)

    try:
        return lay_on_clock(spec, chain, total, current, state.report, relative=True, scale=scale)
    except Refused:
        return None


def _current(state: State, began: str, target: str, span: Span) -> Fraction | None:
    """Return the LR of a target where the parent left it, when the clock began in stage `began`."""
    draft = state.drafts[began]
    start = draft.init.get(target.partition("/")[0])
    parent = state.stages.get(start.stage or "") if start else None
    if parent is None or start is None or not _trains(parent, target):
        state.report(
            "current",
            f"`current` has no value: `{target}` was not trained by the parent of stage `{began}`",
            span,
            "write the learning rate",
        )
        raise Refused
    return value_left(parent.lr_of(target), parent, start.step)


def _trains(stage: Stage, target: str) -> bool:
    return target in stage.lr or target.partition("/")[0] in stage.lr


def _total(state: State, schedule: str, instance: str) -> int | None:
    """Return where a schedule's clock ends, None where its paths end it differently."""
    riders = [
        draft.rider(draft.clocks[schedule])
        for draft in state.drafts.values()
        if schedule in draft.ridden and draft.clocks[schedule].instance == instance
    ]
    followed = {
        rider
        for draft in state.drafts.values()
        if schedule in draft.ridden and draft.clocks[schedule].instance == instance
        for rider in draft.clocks[schedule].chain[-1:]
    }
    ends = {rider.end_tokens for rider in riders if rider not in followed}
    return ends.pop() if len(ends) == 1 else None


# Loss, settings, RoPE


def _loss(state: State, draft: Draft) -> dict[str, Curve | None]:
    curves: dict[str, Curve | None] = {}
    if draft.spec.loss is not None:
        curves = {t: on_stage(state, draft, spec) for t, spec in draft.spec.loss.items()}
        if not draft.spec.loss:
            state.report("no-loss", "a stage has at least one loss term", draft.spec.span)
    elif draft.kept:
        kept = state.stages[draft.kept[0].name]
        curves = _left_all(kept.loss, kept, draft.kept[1])
    for dotted, key, node in draft.spec.dotted:
        if dotted[0] == "loss" and len(dotted) == 2:
            reader = SpecReader(state.problems)
            if dotted[1] not in curves:
                state.report(
                    "dotted-key",
                    f"no loss term `{dotted[1]}` is kept",
                    key.span,
                    did_you_mean(dotted[1], list(curves)),
                )
            elif (spec := reader.curve(node)) is not None:
                curves[dotted[1]] = on_stage(state, draft, spec)
    return dict(sorted(curves.items()))


def _left_all(
    curves: Mapping[str, Curve | None], stage: Stage, step: int
) -> dict[str, Curve | None]:
    values = {name: value_left(curve, stage, step) for name, curve in curves.items()}
    return {name: None if value is None else constant(value) for name, value in values.items()}


def _settings(state: State, draft: Draft) -> dict[str, Curve | None]:
    curves: dict[str, Curve | None] = {}
    if draft.spec.settings is not None:
        said = dict(draft.spec.settings)
    else:
        said = {}
        if draft.kept:
            kept = state.stages[draft.kept[0].name]
            left = _left_all(kept.settings, kept, draft.kept[1])
            curves = {n: c for n, c in left.items() if n.partition("/")[0] in draft.init}
    for dotted, key, node in draft.spec.dotted:
        if dotted[0] == "set" and len(dotted) == 3:
            spec = SpecReader(state.problems).curve(node)
            if spec is not None:
                said[dotted[1]] = {**said.get(dotted[1], {}), dotted[2]: spec}
        elif dotted[0] == "set":
            state.report("dotted-key", f"`{key.text}` is not `set.PART.NAME`", key.span)
    for target, values in said.items():
        for name, spec in values.items():
            if _may_set(state, draft, target, name, spec.span):
                curves[f"{target}.{name}"] = on_stage(state, draft, spec)
    return dict(sorted(curves.items()))


def _may_set(state: State, draft: Draft, target: str, name: str, span: Span) -> bool:
    module, _, part = target.partition("/")
    if module not in draft.init or module not in state.modules:
        state.report("set-of-absent", f"stage `{draft.name}` has no module `{module}`", span)
        return False
    kind = state.modules[module].shape.kind
    known = SETTINGS.get(f"{kind}/{part}", ())
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


def _rope(state: State, draft: Draft) -> dict[str, Rope]:
    ropes: dict[str, Rope] = {}
    said: dict[str, Mapping[str, Number]] = {}
    if draft.spec.rope is not None:
        said = dict(draft.spec.rope)
    elif draft.kept:
        kept = state.stages[draft.kept[0].name]
        ropes = {m: rope for m, rope in kept.rope.items() if m in draft.init}
    for dotted, key, node in draft.spec.dotted:
        if dotted[0] != "rope":
            continue
        number = SpecReader(state.problems).number(node)
        if len(dotted) != 3 or dotted[2] != "base" or dotted[1] not in {**ropes, **said}:
            state.report(
                "dotted-key",
                f"`{key.text}` reaches nothing that is kept",
                key.span,
                "rope.llm.base",
            )
        elif number is not None:
            said[dotted[1]] = {"base": number}
    for module, numbers in said.items():
        base = numbers["base"]
        if module not in draft.init:
            state.report(
                "rope-of-absent", f"stage `{draft.name}` has no module `{module}`", base.span
            )
        elif module in state.modules and state.modules[module].shape.kind != "llm":
            state.report(
                "rope-of-absent", f"the RoPE of `{module}` belongs to its preset", base.span
            )
        elif base.value is None:
            state.report(
                "rope-unknown", "a stage cannot be compiled without its RoPE base", base.span
            )
        elif base.value <= 1:
            state.report("wrong-value", "a RoPE base is greater than 1", base.span)
        else:
            ropes[module] = Rope(base.value)
    for module in draft.init:
        is_llm = module in state.modules and state.modules[module].shape.kind == "llm"
        unread = draft.spec.rope is None and "rope" in draft.spec.said
        if is_llm and module not in {**ropes, **said} and not unread:
            state.report(
                "rope-unsaid",
                f"stage `{draft.name}` does not say the RoPE base of `{module}`",
                draft.spec.name.span,
                f"rope: {{{module}: {{base: 50_000}}}}",
            )
    return dict(sorted(ropes.items()))


# Optimizer


def _optimizer_word(draft: Draft) -> Word | None:
    if draft.spec.optimizer is not None or draft.kept is None:
        return draft.spec.optimizer
    return _optimizer_word(draft.kept[0])


def _optimizer(state: State, draft: Draft) -> dict[str, OptimizerRule]:
    word = _optimizer_word(draft)
    if word is None:
        return {}
    spec = state.spec.optimizers.get(word.text)
    if spec is None and state.is_declared("optimizers", word.text):
        return {}
    if spec is None:
        state.report(
            "unknown-optimizer",
            f"there is no optimizer `{word.text}`",
            word.span,
            did_you_mean(word.text, list(state.spec.optimizers)),
        )
        return {}
    state.used_optimizers.add(word.text)
    modules = sorted({target.partition("/")[0] for target in draft.train})
    rules = {module: _rule(state, spec, {}) for module in modules}
    for name, part_spec in spec.parts.items():
        module, _, part = name.partition("/")
        if module not in state.modules or (
            part and part not in state.modules[module].shape.parts()
        ):
            state.report(
                "unknown-part",
                f"there is no module or part `{name}`",
                part_spec.name.span,
                did_you_mean(name, _targets(state)),
            )
        elif module in modules:
            rules[name] = _rule(state, part_spec, spec.values)
    return dict(sorted(rules.items()))


def _targets(state: State) -> list[str]:
    parts = [f"{n}/{p}" for n, m in state.modules.items() for p in m.shape.parts()]
    return [*state.modules, *parts]


def _rule(state: State, spec: OptimizerSpec, above: Mapping[str, Number | bool]) -> OptimizerRule:
    """Put together what is said of a part, of the whole, and the table of defaults."""
    kind = spec.kind.text
    values: dict[str, float | bool | None] = dict(OPTIMIZER_DEFAULTS[kind])
    wanted = ("update_rms", "weight_decay") if kind == "muon" else ("weight_decay",)
    known = {*values, *wanted}
    for name, said in {**above, **spec.values}.items():
        if name in known:
            values[name] = _plain(said)
    for name in wanted:
        if name not in values:
            state.report(
                "missing-key",
                f"optimizer `{spec.name.text}` says no `{name}`",
                spec.name.span,
                f"{name}: 0.1",
            )
    return OptimizerRule(kind, dict(sorted(values.items())))


def _plain(said: Number | bool) -> float | bool | None:
    if isinstance(said, bool):
        return said
    if said.value is None:
        return None
    return int(said.value) if said.value.denominator == 1 else float(said.value)
