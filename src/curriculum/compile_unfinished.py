"""What can still be said of a stage that was refused, or whose parents were"""

from curriculum.compile_clocks import check_schedule
from curriculum.compile_init import report_unsaid
from curriculum.compile_merge import is_composing
from curriculum.compile_mixture import check_unfinished as check_mixture
from curriculum.compile_optimizer import optimizer_named
from curriculum.compile_rope_values import report_unreached
from curriculum.compile_state import State
from curriculum.errors import did_you_mean
from curriculum.nodes import Node
from curriculum.spec import Point, StageSpec
from curriculum.spec_curve import read_curve, read_ride
from curriculum.spec_loss import read_term
from curriculum.spec_mixture import read_ratio
from curriculum.spec_reader import SpecReader, meant_keys
from curriculum.spec_rope import check_rope_below
from curriculum.words import ROPE, STAGE


def check_unfinished(state: State, name: str) -> None:
    """Check what a stage says by itself; what hangs on the values of a refused parent waits."""
    spec = state.spec.stages[name]
    if spec.mixture is not None:
        check_mixture(state, spec.mixture)
    for ride in (spec.lr, *(spec.lr_by_target or {}).values()):
        if ride is not None and ride.schedule is not None:
            check_schedule(state, ride.schedule)
    if spec.optimizer is not None:
        optimizer_named(state, spec.optimizer)
    for dotted, key, node in spec.dotted:
        if dotted[0] == "rope" and len(dotted) > 2 and dotted[2] not in ROPE:
            report_unreached(state, key)
        _check_value(state, dotted, node)
    _check_names(state, spec)
    _check_batch(state, spec)
    in_a_ring = any(problem.rule == "cycle" for problem in state.problems)
    is_silent = not spec.said.intersection(("carry", "extends"))
    is_silent = is_silent and "carry" not in meant_keys(spec.said, STAGE)
    says_nothing_of_state = is_silent and not is_composing(spec)
    if not in_a_ring and says_nothing_of_state and (stateful := _stateful(state, spec)):
        report_unsaid(state, spec, stateful)


def _check_names(state: State, spec: StageSpec) -> None:
    """Tell of modules and stages that the plan does not have, where nobody told of them yet."""
    told = {problem.span for problem in state.problems}
    modules = list(state.spec.modules)
    words = [(word, modules) for word in spec.train or ()]
    words += [(word, [*modules, "all", "none"]) for word in spec.carry or ()]
    for word, known in words:
        name = word.text.partition("/")[0]
        is_there = name in known or name in (spec.init or ()) or state.is_declared("modules", name)
        if not is_there and word.span not in told and name not in ("true", "false"):
            what = f"there is no module `{name}`"
            state.report("unknown-module", what, word.span, did_you_mean(name, known))
    keep, parents = spec.keep, [point.stage for point in spec.points()]
    is_told = keep is None or keep.span in told or keep.stage in parents
    if keep and not is_told and not state.is_declared("stages", keep.stage):
        what = f"there is no stage `{keep.stage}` to keep"
        way_out = did_you_mean(keep.stage, list(state.spec.stages))
        state.report("keep-ancestor", what, keep.span, way_out)


def _check_batch(state: State, spec: StageSpec) -> None:
    if spec.keep is not None and spec.seq_len is not None and "batch" not in spec.said:
        state.report(
            "batch-with-context",
            f"stage `{spec.name.text}` changes the context and does not say its batch",
            spec.seq_len.span,
            "add `batch: {tokens: keep}` or `batch: {seqs: keep}`",
        )


def _check_value(state: State, dotted: tuple[str, ...], node: Node) -> None:
    reader = SpecReader(state.problems)
    match dotted[0]:
        case "rope":
            check_rope_below(reader, dotted[1:], node)
        case "lr":
            read_ride(reader, node)
        case "mixture":
            read_ratio(reader, node)
        case "loss" if len(dotted) == 2:
            read_term(reader, dotted[1], node)
        case "set":
            read_curve(reader, node)


def _stateful(state: State, spec: StageSpec) -> dict[str, str]:
    """Return the modules that a named parent surely trained, each with that parent.

    Those that the stage surely freezes are left out: their state rests.
    """
    found = {}
    for module, point in (spec.init or {}).items():
        if not isinstance(point, Point):
            continue
        parent = state.spec.stages.get(point.stage)
        if parent is not None and module in _trained(state, parent):
            found[module] = point.stage
    whole = spec.init_all
    if isinstance(whole, Point) and (parent := state.spec.stages.get(whole.stage)):
        found = dict.fromkeys(_trained(state, parent), whole.stage)
    own = _trained(state, spec) or found.keys()
    return {module: parent for module, parent in sorted(found.items()) if module in own}


def _trained(state: State, spec: StageSpec, depth: int = 0) -> set[str]:
    """Return the modules that a stage says it trains; nothing where that could not be read."""
    if spec.train is not None:
        return {word.text.partition("/")[0] for word in spec.train} & set(state.modules)
    kept = (
        state.spec.stages.get(spec.keep.stage) if spec.keep and "train" not in spec.said else None
    )
    if kept is None or depth > len(state.spec.stages):
        return set()
    trained = _trained(state, kept, depth + 1)
    return trained if spec.init is None else trained & set(spec.init)
