"""First pass over a stage: its parents, budget, batch, and where the clocks stand

Everything here is integers: what whole steps make of the budget, and the marks on the way. Values
that come from `keep` are those at the step the ancestor was left at.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

from curriculum.batch import Batch, BatchPiece, lay_out
from curriculum.compile_state import Draft, Outside, State
from curriculum.errors import Related, Span
from curriculum.plan import Budget, Checkpoint, Start, UnknownStage
from curriculum.riding import Clock, tokens_of
from curriculum.source_map import UNSCALED, did_you_mean
from curriculum.spec import BatchSpec, Point, Quantity, RideSpec, StageSpec, Word
from curriculum.units import LARGEST, count_in_words, decimal_words, rounded_in_words

REQUIRED = ("train", "optimizer", "loss", "lr", "seq_len", "batch", "packing", "rope", "mixture")


def draft_stage(state: State, spec: StageSpec) -> "Draft | Outside | None":
    """Draft a stage whose parents are drafted; None where that failed or it is unknown."""
    name = spec.name.text
    if spec.checkpoint is not None:
        return _outside(state, spec)
    if "checkpoint" in spec.said:
        return None
    parents = _parents(state, spec)
    if parents is None:
        if spec.keep is None:
            _all_said(state, spec, None)
        return None
    if _is_unknown(state, spec, parents):
        return None
    kept = _kept(state, spec, parents)
    if not _all_said(state, spec, kept):
        return None
    init = _init(state, spec, parents)
    layout = _layout(state, spec, kept)
    if init is None or layout is None:
        return None
    batch, full_batch, budget, steps, full_steps = layout
    if steps < 1:
        state.report(
            "shorter-than-a-step",
            f"stage `{name}` asks for {budget.words}, less than one step "
            f"of {rounded_in_words(batch.pieces[0].tokens_per_step)} tokens",
            spec.budget[1].span if spec.budget else spec.span,
            "ask for more, or make the batch smaller",
        )
        return None
    train = _train(state, spec, kept, init)
    uniform, rides = _rides(state, spec, kept, train)
    followed = _followed(uniform, rides, train or ())
    clocks = _clocks(state, spec, parents, followed)
    if train is None or clocks is None:
        return None
    ridden = {r.schedule.text for r in followed if r.schedule}
    seed, own_seed = _seed(state, spec, init)
    count = (
        spec.count.text if spec.count else kept[0].count if kept else _default_count(state, init)
    )
    draft = Draft(
        spec, init, kept, train, count, budget, steps, batch, full_batch, full_steps,
        uniform, rides, clocks, frozenset(ridden), seed, own_seed,
    )  # fmt: skip
    return _counted(state, spec, draft)


def _outside(state: State, spec: StageSpec) -> Outside:
    assert spec.checkpoint is not None
    for word in spec.checkpoint.gives:
        _known_module(state, word.text, word.span)
    gives = tuple(sorted(word.text for word in spec.checkpoint.gives))
    checkpoint = Checkpoint(gives, spec.checkpoint.path, spec.checkpoint.stand_in)
    return Outside(spec.name.text, checkpoint)


def _points(spec: StageSpec) -> Iterator[Point]:
    yield from (point for point in (spec.init or {}).values() if point is not None)
    if spec.init_all is not None:
        yield spec.init_all


def _parents(state: State, spec: StageSpec) -> list[Point] | None:
    """Return the points that `init` names; None where one is not there."""
    if spec.init is None and spec.init_all is None:
        if spec.init_span is None:
            state.report(
                "missing-key",
                f"stage `{spec.name.text}` does not say where its modules come from",
                spec.name.span,
                "add `init: {llm: new}` or `init: STAGE`",
            )
        return None
    points = list(_points(spec))
    missing = [p for p in points if p.stage not in state.spec.stages]
    for point in (p for p in missing if not state.is_declared("stages", p.stage)):
        state.report(
            "missing-parent",
            f"there is no stage `{point.stage}` to start from",
            point.span,
            did_you_mean(point.stage, list(state.spec.stages)),
        )
    failed = any(
        p.stage not in state.drafts
        and p.stage not in state.outside
        and p.stage not in state.unknown
        for p in points
    )
    return None if missing or failed else points


def _is_unknown(state: State, spec: StageSpec, parents: list[Point]) -> bool:
    missing = [f"stages.{spec.name.text}.{key}" for key in spec.unknown]
    read = [*(p.stage for p in parents), *(spec.mixture.replayed() if spec.mixture else ())]
    missing += [f"stages.{stage}" for stage in read if stage in state.unknown]
    if not missing:
        return False
    asked = tokens_of(spec.budget[1]) if spec.budget and spec.budget[0] == "tokens" else None
    names = tuple(dict.fromkeys(p.stage for p in parents))
    state.unknown[spec.name.text] = UnknownStage(
        spec.name.text, names, asked, tuple(dict.fromkeys(missing))
    )
    return True


def mark_step(state: State, point: Point) -> int | None:
    """Return the step of a drafted stage that a point names: its end, or the first at a mark."""
    draft = state.drafts[point.stage]
    if point.mark is None:
        return draft.steps
    amount = point.mark.amount
    match amount.unit:
        case "steps":
            step = int(amount.value)
            if point.mark.scale != UNSCALED:
                step = floor(amount.value * draft.step_share + Fraction(1, 2))
        case "share":
            step = draft.batch.step_at_tokens(ceil(amount.value * draft.budget.tokens))
        case "tokens":
            step = draft.batch.step_at_tokens(tokens_of(point.mark))
        case _:
            state.report(
                "wrong-unit", "a mark is in tokens, `step N` or a share", point.span, "joint@0.7T"
            )
            return None
    if amount.unit != "steps" and draft.budget.round_down:
        asked = (
            amount.value * draft.budget.tokens if amount.unit == "share" else tokens_of(point.mark)
        )
        step = min(step, draft.steps) if asked <= draft.budget.tokens else step
    if step > draft.steps:
        state.report(
            "mark-beyond-stage",
            f"`{amount}` lies behind the end of stage `{point.stage}` "
            f"({count_in_words(draft.budget.tokens)} tokens, {draft.steps:,} steps)",
            point.span,
            f"`{point.stage}` alone means its end",
        )
        return None
    return step


def _kept(state: State, spec: StageSpec, parents: list[Point]) -> tuple[Draft, int] | None:
    if spec.keep is None:
        return None
    name = spec.keep.stage
    draft = state.drafts.get(name)
    if draft is None or not _reaches(state, parents, name):
        state.report(
            "keep-ancestor",
            f"`keep: {name}` names no stage that `init` reaches",
            spec.keep.span,
            did_you_mean(name, sorted({p.stage for p in parents if p.stage in state.drafts})),
        )
        return None
    same = [p for p in parents if p.stage == name and p.mark is not None]
    step = mark_step(state, same[0] if same and spec.keep.mark is None else spec.keep)
    return None if step is None else (draft, step)


def _reaches(state: State, parents: list[Point], name: str) -> bool:
    waiting = [p.stage for p in parents]
    seen: set[str] = set()
    while waiting:
        stage = waiting.pop()
        if stage == name:
            return True
        if stage in seen or stage not in state.drafts:
            continue
        seen.add(stage)
        waiting += [s.stage for s in state.drafts[stage].init.values() if s.stage is not None]
    return False


def _all_said(state: State, spec: StageSpec, kept: tuple[Draft, int] | None) -> bool:
    said = {
        "train": spec.train, "optimizer": spec.optimizer, "loss": spec.loss,
        "lr": spec.lr or spec.lr_by_target, "seq_len": spec.seq_len, "batch": spec.batch,
        "packing": spec.packing, "rope": spec.rope, "mixture": spec.mixture,
    }  # fmt: skip
    if spec.keep is not None and kept is None:
        return False
    missing = [key for key in REQUIRED if said[key] is None] if kept is None else []
    # What was said and could not be read, or is unknown, was told of already.
    unsaid = [key for key in missing if key not in spec.said]
    if spec.budget is None:
        missing.insert(0, "tokens")
        if not spec.said.intersection(("tokens", "steps", "seqs")):
            unsaid.insert(0, "tokens")
    # An `extends` that is still there failed, and was to say the rest.
    if unsaid and "extends" not in spec.said:
        state.report(
            "missing-key",
            f"stage `{spec.name.text}` does not say {', '.join(f'`{key}`' for key in unsaid)}",
            spec.name.span,
            "say it, or `keep: ANCESTOR` to leave it as that stage left it",
        )
    if spec.dotted and kept is None:
        for _, key, _ in spec.dotted:
            state.report(
                "dotted-key",
                f"`{key.text}` changes one thing of what is kept, and this stage keeps nothing",
                key.span,
                "add `keep: ANCESTOR`",
            )
    return not missing


def _known_module(state: State, name: str, span: Span) -> bool:
    if name in state.modules:
        return True
    if not state.is_declared("modules", name):
        state.report(
            "unknown-module",
            f"there is no module `{name}`",
            span,
            did_you_mean(name, list(state.spec.modules)),
        )
    return False


def _gives(state: State, stage: str) -> tuple[str, ...]:
    if stage in state.outside:
        return state.outside[stage].checkpoint.gives
    return tuple(state.drafts[stage].init)


def _init(state: State, spec: StageSpec, parents: list[Point]) -> dict[str, Start] | None:
    """Return where each module comes from, in the order of their names."""
    if spec.init_all is not None:
        wanted: dict[str, Point | None] = dict.fromkeys(
            _gives(state, spec.init_all.stage), spec.init_all
        )
    else:
        wanted = dict(spec.init or {})
    starts: dict[str, Start] = {}
    good = True
    for module in sorted(wanted):
        point = wanted[module]
        span = point.span if point else spec.init_span or spec.span
        good = _known_module(state, module, span) and good
        if point is None:
            starts[module] = Start(None)
            continue
        if module not in _gives(state, point.stage):
            state.report(
                "parent-lacks-module",
                f"stage `{point.stage}` has no module `{module}`",
                point.span,
                f"it has {', '.join(_gives(state, point.stage)) or 'none'}",
            )
            good = False
            continue
        step = 0 if point.stage in state.outside else mark_step(state, point)
        if step is None:
            good = False
            continue
        starts[module] = Start(point.stage, step)
    return _carried(state, spec, starts) if good else None


def _has_state(state: State, start: Start, module: str) -> bool:
    """Say whether the stage a module comes from leaves optimizer state for it."""
    draft = state.drafts.get(start.stage or "")
    if draft is None:
        return False
    trained = any(target.partition("/")[0] == module for target in draft.train)
    return trained or draft.init[module].carries_state


def _carried(state: State, spec: StageSpec, starts: dict[str, Start]) -> dict[str, Start] | None:
    stateful = [m for m, start in starts.items() if _has_state(state, start, m)]
    if spec.carry is None and "carry" in spec.said:
        return None
    if spec.carry is None:
        if stateful:
            trained = [
                Related(f"`{m}` was trained here", state.drafts[s].spec.name.span)
                for m in stateful
                if (s := starts[m].stage) is not None
            ]
            state.report(
                "carry-unsaid",
                f"stage `{spec.name.text}` does not say whether the optimizer state of "
                f"{', '.join(stateful)} comes along",
                spec.name.span,
                f"add `carry: all`, `carry: none` or `carry: [{', '.join(stateful)}]`",
                tuple(trained),
            )
            return None
        return starts
    words = [word.text for word in spec.carry]
    if not words:
        state.report(
            "wrong-value", "`carry` names no module", spec.name.span, "write `carry: none`"
        )
        return None
    if words == ["all"]:
        carried = stateful
    elif words == ["none"]:
        carried = []
    else:
        carried = words
        for word in spec.carry:
            if word.text not in stateful:
                state.report(
                    "carry-without-state",
                    f"no parent leaves optimizer state for `{word.text}`",
                    word.span,
                    f"modules with state: {', '.join(stateful) or 'none'}",
                )
                return None
    return {m: replace(start, carries_state=m in carried) for m, start in starts.items()}


Layout = tuple[Batch, Batch, Budget, int, int]


def _layout(state: State, spec: StageSpec, kept: tuple[Draft, int] | None) -> Layout | None:
    """Lay out the batch twice, through the proxy's scale and without, and count the steps."""
    assert spec.budget is not None
    if kept and spec.seq_len and spec.batch is None:
        state.report(
            "batch-with-context",
            f"stage `{spec.name.text}` changes the context and does not say its batch",
            spec.seq_len.span,
            "add `batch: {tokens: keep}` or `batch: {seqs: keep}`",
        )
        return None
    entries = []
    for is_scaled in (True, False):
        found = _entries(state, spec, kept, is_scaled)
        if found is None:
            return None
        entries.append(found)
    asked, full_asked = _asked(spec.budget, entries[0], entries[1])
    if asked >= LARGEST:
        state.report(
            "wrong-value",
            f"stage `{spec.name.text}` asks for {rounded_in_words(asked)} tokens, "
            "more than a plan can count (below 1e18)",
            spec.budget[1].span,
        )
        return None
    full = _marked(entries[1], full_asked, None)
    marked = _marked(entries[0], asked, full)
    if not _marks_rise(state, spec, marked, asked):
        return None
    batch, full_batch = lay_out(marked), lay_out(full)
    steps = _steps(batch, asked, spec.round_down)
    full_steps = max(1, _steps(full_batch, full_asked, spec.round_down))
    words = _budget_words(spec.budget, asked, batch)
    budget = Budget(words, asked, spec.round_down)
    return batch, full_batch, budget, steps, full_steps


Entry = tuple[int, int, Quantity | None]


def _entries(
    state: State, spec: StageSpec, kept: tuple[Draft, int] | None, is_scaled: bool
) -> list[Entry] | None:
    left = _left_piece(kept, is_scaled) if kept else None
    if spec.seq_len is not None:
        factor = spec.seq_len.scale.seq_len if is_scaled else Fraction(1)
        seq_len = _whole(
            state, spec.seq_len.amount.value * factor, "tokens of context", spec.seq_len.span
        )
    else:
        assert left is not None
        seq_len = left.seq_len
    if seq_len is None:
        return None
    if spec.batch is None:
        assert left is not None
        return [(left.batch_seqs, seq_len, None)]
    entries: list[Entry] = []
    for piece in spec.batch:
        seqs = _batch_seqs(state, piece, seq_len, left, is_scaled)
        if seqs is None:
            return None
        entries.append((seqs, seq_len, piece.until))
    return entries


def _left_piece(kept: tuple[Draft, int], is_scaled: bool) -> BatchPiece:
    draft, step = kept
    if is_scaled:
        return draft.batch.piece_at(min(step, draft.steps - 1))
    full_step = floor(step / draft.step_share)
    return draft.full_batch.piece_at(min(full_step, draft.full_steps - 1))


def _batch_seqs(
    state: State, piece: BatchSpec, seq_len: int, left: BatchPiece | None, is_scaled: bool
) -> int | None:
    if piece.keeps is not None:
        if left is None:
            state.report(
                "keep-nothing",
                "there is no batch to keep",
                piece.span,
                "say `keep: ANCESTOR` in the stage",
            )
            return None
        if piece.keeps == "seqs":
            return left.batch_seqs
        tokens = left.tokens_per_step
        return _sequences(
            state, tokens, seq_len, f"{count_in_words(tokens)} tokens a step", piece.span
        )
    size = piece.seqs or piece.tokens
    assert size is not None
    if piece.seqs is not None:
        factor = size.scale.seqs if is_scaled else Fraction(1)
        return _whole(state, size.amount.value * factor, "sequences in a step", size.span)
    factor = size.scale.seqs * size.scale.seq_len if is_scaled else Fraction(1)
    value = _whole(state, size.amount.value * factor, "tokens in a step", size.span)
    return (
        None if value is None else _sequences(state, value, seq_len, f"`{size.amount}`", size.span)
    )


def _sequences(state: State, tokens: int, seq_len: int, words: str, span: Span) -> int | None:
    if tokens % seq_len == 0:
        return tokens // seq_len
    near = max(1, round(tokens / seq_len))
    power = 1 << max(0, near.bit_length() - 1)
    near = min((power, 2 * power), key=lambda n: abs(n - near)) if near > 8 else near
    state.report(
        "whole-sequences",
        f"{words} are {decimal_words(Fraction(tokens, seq_len))} sequences of {seq_len}",
        span,
        f"did you mean {_binary_words(near * seq_len)} ({near} sequences)?",
    )
    return None


def _binary_words(count: int) -> str:
    for suffix, size in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)


def _whole(state: State, value: Fraction, what: str, span: Span) -> int | None:
    if value.denominator == 1 and value >= 1:
        return int(value)
    state.report(
        "not-whole",
        f"{decimal_words(value)} {what} are not a whole number",
        span,
        "choose a factor that divides",
    )
    return None


def _asked(
    budget: tuple[str, Quantity], entries: list[Entry], full: list[Entry]
) -> tuple[int, int]:
    """Return the budget in tokens, through the scale and without."""
    unit, quantity = budget
    if unit == "tokens" and quantity.amount.unit == "tokens":
        return tokens_of(quantity), ceil(quantity.amount.value)
    value = int(quantity.amount.value)
    if unit == "seqs":
        full_asked = value * full[0][1]
    else:
        full_asked = lay_out(_marked(full, None, None)).tokens_before(value)
    if quantity.scale == UNSCALED:
        laid = lay_out(_marked(entries, None, _marked(full, None, None)))
        return (value * entries[0][1] if unit == "seqs" else laid.tokens_before(value)), full_asked
    return ceil(full_asked * quantity.scale.tokens), full_asked


Marked = list[tuple[int, int, int | None]]


def _marked(entries: list[Entry], asked: int | None, full: Marked | None) -> Marked:
    """Turn the marks of the entries into tokens of the stage.

    `full` are the entries without the proxy's scale; None if `entries` themselves are.
    """
    marked: Marked = []
    for index, (seqs, seq_len, until) in enumerate(entries):
        mark = None
        if until is not None:
            whole = None if full is None else full[index][2]
            mark = _mark_tokens(until, marked, seqs * seq_len, asked, whole)
        marked.append((seqs, seq_len, mark))
    return marked


def _mark_tokens(
    until: Quantity, before: Marked, per_step: int, asked: int | None, full: int | None
) -> int:
    amount = until.amount
    if amount.unit == "share":
        return ceil(amount.value * (asked or 0))
    if amount.unit == "tokens":
        return ceil(amount.value) if full is None else tokens_of(until)
    if full is not None and until.scale != UNSCALED:
        return ceil(full * until.scale.tokens)  # a mark in steps keeps its place in the stage
    so_far = lay_out([*before, (1, per_step, None)]).pieces[-1]
    return so_far.tokens_before + (int(amount.value) - so_far.first_step) * per_step


def _marks_rise(state: State, spec: StageSpec, marked: Marked, asked: int) -> bool:
    """Hold that every piece of the batch has a step: nothing that was said goes unread."""
    assert spec.budget is not None
    tokens = 0
    for (seqs, seq_len, mark), piece in zip(marked, spec.batch or (), strict=False):
        until = piece.until
        if until is None or mark is None:
            return True
        if until.amount.unit == "share" and spec.budget[0] != "tokens":
            state.report(
                "batch-mark",
                f"a share of a budget in {spec.budget[0]} is no mark of the batch",
                until.span,
                "write `until: step N` or tokens",
            )
            return False
        if mark <= tokens:
            state.report(
                "batch-mark",
                f"this piece of the batch ends at {rounded_in_words(max(mark, 0))} tokens, "
                f"before its first step at {rounded_in_words(tokens)}",
                until.span,
                "let the marks rise by a step at least, or leave the piece out",
            )
            return False
        tokens += -((tokens - mark) // (seqs * seq_len)) * seqs * seq_len
        if tokens >= asked:
            state.report(
                "batch-mark",
                f"stage `{spec.name.text}` ends at {rounded_in_words(asked)} tokens, "
                "before the next piece of its batch",
                until.span,
                "move the mark, or leave the next piece out",
            )
            return False
    return True


def _steps(batch: Batch, asked: int, round_down: bool) -> int:
    steps = batch.step_at_tokens(asked)
    return steps - 1 if round_down and batch.tokens_before(steps) > asked else steps


def _budget_words(budget: tuple[str, Quantity], asked: int, batch: Batch) -> str:
    unit, quantity = budget
    steps, seq_len = batch.step_at_tokens(asked), batch.pieces[0].seq_len
    if quantity.scale != UNSCALED and unit == "steps" and batch.tokens_before(steps) == asked:
        return f"{steps} steps"
    if quantity.scale != UNSCALED and unit == "seqs" and asked % seq_len == 0:
        return f"{asked // seq_len} seqs"
    if quantity.scale != UNSCALED or unit == "tokens":
        return f"{count_in_words(asked)} tokens"
    return f"{decimal_words(quantity.amount.value)} {unit}"


def _train(
    state: State, spec: StageSpec, kept: tuple[Draft, int] | None, init: Mapping[str, Start]
) -> tuple[str, ...] | None:
    if spec.train is None:
        assert kept is not None
        left = tuple(t for t in kept[0].train if t.partition("/")[0] in init)
        if not left:
            state.report(
                "trains-nothing",
                f"nothing that stage `{kept[0].name}` trained is in stage `{spec.name.text}`",
                spec.name.span,
                "say `train: [MODULE]`",
            )
        return left or None
    targets: list[str] = []
    for word in spec.train:
        module, _, part = word.text.partition("/")
        if module not in init:
            state.report(
                "trains-what-it-lacks",
                f"stage `{spec.name.text}` trains `{module}` and has no such module",
                word.span,
                f"it has {', '.join(init) or 'none'}",
            )
        elif part and module in state.modules and part not in state.modules[module].shape.parts():
            state.report(
                "unknown-part",
                f"`{module}` has no part `{part}`",
                word.span,
                did_you_mean(part, tuple(state.modules[module].shape.parts())),
            )
        else:
            targets.append(word.text)
    if not spec.train:
        state.report(
            "trains-nothing", "a stage trains at least one module", spec.span, "train: [llm]"
        )
    return tuple(sorted(targets)) if len(targets) == len(spec.train) else None


def _rides(
    state: State, spec: StageSpec, kept: tuple[Draft, int] | None, train: tuple[str, ...] | None
) -> tuple[RideSpec | None, Mapping[str, RideSpec]]:
    """Return how the LR runs: one ride for all, or one per module or part."""
    if spec.lr is not None or spec.lr_by_target is not None:
        uniform, rides = spec.lr, spec.lr_by_target or {}
    elif kept is not None:
        uniform = _kept_ride(kept[0].uniform_ride)
        rides = {t: r for t, r0 in kept[0].rides.items() if (r := _kept_ride(r0)) is not None}
    else:
        return None, {}
    for ride in (uniform, *rides.values()):
        if ride is not None and ride.schedule is not None:
            name: Word = ride.schedule
            if not state.is_declared("schedules", name.text):
                state.report(
                    "unknown-schedule",
                    f"there is no schedule `{name.text}`",
                    name.span,
                    did_you_mean(name.text, list(state.spec.schedules)),
                )
    for dotted, key, node in spec.dotted:
        if dotted[0] == "lr":
            from curriculum.spec import SpecReader

            reader = SpecReader(state.problems)
            if len(dotted) == 2 and (changed := reader.ride(node)) is not None:
                rides = {**rides, dotted[1]: changed}
            elif len(dotted) != 2:
                state.report("dotted-key", "`lr.MODULE` is as far as a key reaches here", key.span)
    return uniform, rides


def _kept_ride(ride: RideSpec | None) -> RideSpec | None:
    return None if ride is None else replace(ride, restart=False, jump=False)


def _followed(
    uniform: RideSpec | None, rides: Mapping[str, RideSpec], train: tuple[str, ...]
) -> list[RideSpec]:
    """Return the rides that a trained module or part follows: nobody rides for the others."""
    modules = {target.partition("/")[0] for target in train}
    own = [ride for target, ride in rides.items() if target.partition("/")[0] in modules]
    bare = [t for t in train if t not in rides and t.partition("/")[0] not in rides]
    return [*own, uniform] if uniform and bare else own


def _clocks(
    state: State, spec: StageSpec, parents: list[Point], rides: list[RideSpec]
) -> dict[str, Clock] | None:
    """Return where every schedule's clock stands when the stage begins."""
    clocks: dict[str, Clock] = {}
    restarted = {r.schedule.text for r in rides if r.schedule and r.restart}
    ridden = {r.schedule.text for r in rides if r.schedule}
    for point in parents:
        draft = state.drafts.get(point.stage)
        step = mark_step(state, point) if draft is not None else None
        if draft is None or step is None:
            continue
        for schedule, clock in _left_clocks(draft, step).items():
            if schedule in restarted:
                continue
            other = clocks.setdefault(schedule, clock)
            agree = (other.instance, other.tokens, other.steps) == (
                clock.instance, clock.tokens, clock.steps,
            )  # fmt: skip
            if agree and clock.instance:
                continue
            clocks[schedule] = replace(other, instance="")  # whoever rides on it is refused
            if schedule in ridden:
                ends = [rounded_in_words(c.tokens) for c in (other, clock)]
                state.report(
                    "clocks-disagree",
                    f"the paths to `{spec.name.text}` left schedule `{schedule}` at different "
                    f"places ({' and '.join(dict.fromkeys(ends))} tokens)",
                    spec.init_span or spec.span,
                    "say `lr: {schedule: NAME, restart: true}`",
                )
                return None
    for schedule in ridden:
        clocks.setdefault(schedule, Clock(spec.name.text, 0, 0, ()))
    return clocks


def _left_clocks(draft: Draft, step: int) -> dict[str, Clock]:
    """Return all clocks as they stand when a stage is left at a step."""
    clocks = dict(draft.clocks)
    for schedule in draft.ridden:
        clock = draft.clocks[schedule]
        rider = draft.rider(clock)
        tokens, steps = rider.tokens_at(step), clock.steps + step
        if step < draft.steps:
            rider = replace(rider, asked_tokens=tokens - clock.tokens, steps=step)
        clocks[schedule] = Clock(clock.instance, tokens, steps, (*clock.chain, rider))
    return clocks


def _seed(state: State, spec: StageSpec, init: Mapping[str, Start]) -> tuple[int, bool]:
    """Return the data seed: the stage's own, else its ancestors', else the plan's."""
    if spec.seed is not None:
        return spec.seed, True
    seeds = {state.drafts[s.stage].seed for s in init.values() if s.stage in state.drafts}
    if len(seeds) > 1:
        state.report(
            "seeds-disagree",
            f"the parents of `{spec.name.text}` deal their sources with different seeds",
            spec.init_span or spec.span,
            "say `seed: N` in this stage",
        )
    return (min(seeds) if seeds else state.spec.seed), False


def _default_count(state: State, init: Mapping[str, Start]) -> str:
    kinds = {m: state.modules[m].shape.kind for m in init if m in state.modules}
    return next((m for m, kind in sorted(kinds.items()) if kind == "llm"), "")


def _counted(state: State, spec: StageSpec, draft: Draft) -> Draft | None:
    """Check whose positions the tokens are."""
    kinds = {m: state.modules[m].shape.kind for m in draft.init if m in state.modules}
    span = spec.count.span if spec.count else spec.name.span
    if not draft.count:
        state.report(
            "count-unsaid",
            f"stage `{spec.name.text}` has no LLM and does not say whose positions its tokens are",
            span,
            "add `count: vit`",
        )
        return None
    if draft.count not in draft.init:
        state.report("count-unknown", f"the stage has no module `{draft.count}` to count", span)
        return None
    has_llm = "llm" in kinds.values()
    wanted = "llm" if has_llm else "vit"
    if kinds.get(draft.count) != wanted:
        there = "with an LLM, tokens are the LLM's" if has_llm else "without one, the ViT's"
        state.report("count-unknown", f"{there} positions, not `{draft.count}`'s", span)
        return None
    return draft
