"""First pass over a stage: its parents, budget, batch, and where the clocks stand

Everything here is integers: what whole steps make of the budget, and the marks on the way. Values
that come from `keep` are those at the step the ancestor was left at.
"""

from collections.abc import Mapping

from curriculum.compile_asked import mixture_sources
from curriculum.compile_budget import Laid, laid_of
from curriculum.compile_clocks import clocks_of, followed_of, rides_of
from curriculum.compile_init import Inits, init_of
from curriculum.compile_keep import Keeps, keeps_of
from curriculum.compile_layout import check_layout, layout_of
from curriculum.compile_lifecycle import lifecycle_of
from curriculum.compile_merge import composed_of, is_composing
from curriculum.compile_outside import outside_of
from curriculum.compile_points import parents_of
from curriculum.compile_state import Draft, Outside, State
from curriculum.compile_step import holds_a_step
from curriculum.compile_train import count_of, seed_of, train_of
from curriculum.composed import ComposedStage
from curriculum.plan import Start, UnknownStage
from curriculum.spec import StageSpec
from curriculum.spec_batch import BUDGETS
from curriculum.spec_reader import meant_keys
from curriculum.words import STAGE

REQUIRED = ("train", "optimizer", "loss", "lr", "seq_len", "batch", "packing", "rope", "mixture")


def draft_stage(state: State, spec: StageSpec) -> Draft | Outside | ComposedStage | None:
    """Draft a stage whose parents are drafted; None where that failed or it is unknown."""
    if spec.checkpoint is not None:
        return outside_of(state, spec.name.text, spec.checkpoint)
    if "checkpoint" in spec.said:
        return None
    parents = parents_of(state, spec)
    composing = is_composing(spec)
    if parents is None:
        is_meant = "init" in meant_keys(spec.said, STAGE) or "extends" in spec.said
        if spec.keep is None and not composing and not is_meant:
            _all_said(state, spec, Keeps(spec))
        return None
    if _is_unknown(state, spec, composing):
        return None
    if composing:
        return composed_of(state, spec)
    keeps = keeps_of(state, spec)
    spec, kept = keeps.spec, keeps.kept
    if not _all_said(state, spec, keeps):
        return None
    inits = init_of(state, spec, kept)
    init: Mapping[str, Start] = inits.starts if inits else {}
    count = count_of(state, spec, kept, init) if inits else None
    laid = laid_of(state, spec, kept, init, count)
    if inits is None or laid is None or not holds_a_step(state, spec, laid):
        return None
    layout = layout_of(spec, kept)
    if layout is not None:
        check_layout(state, spec, layout, laid)
    return _drafted(state, spec, keeps, inits, count, laid)


def _drafted(
    state: State,
    spec: StageSpec,
    keeps: Keeps,
    inits: Inits,
    count: str | None,
    laid: Laid,
) -> Draft | None:
    init, kept = inits.starts, keeps.kept
    lifecycle = lifecycle_of(state, spec, kept, init)
    if lifecycle is None:
        return None
    train = train_of(state, spec, kept, init, lifecycle)
    uniform, rides = rides_of(state, spec, kept, keeps.by_module)
    followed = followed_of(uniform, rides, train or ())
    clocks = clocks_of(state, spec, init, followed)
    if train is None or clocks is None:
        return None
    seed, own_seed = seed_of(state, spec, init)
    if count is None:
        return None
    return Draft(
        spec=spec,
        init=init,
        kept=kept,
        train=train,
        count=count,
        layout=layout_of(spec, kept),
        budget=laid.budget,
        steps=laid.steps,
        batch=laid.batch,
        uniform_ride=uniform,
        rides=rides,
        clocks=clocks,
        ridden=frozenset(ride.schedule.text for ride in followed if ride.schedule),
        seed=seed,
        own_seed=own_seed,
        lifecycle=lifecycle,
        kept_by=keeps.by_module,
        among=inits.among,
    )


def _is_unknown(state: State, spec: StageSpec, composing: bool) -> bool:
    parents = spec.points(with_candidates=False)
    missing = [f"stages.{spec.name.text}.{key}" for key in spec.unknown]
    read = [*(p.stage for p in parents), *(spec.mixture.replayed() if spec.mixture else ())]
    missing += [f"stages.{stage}" for stage in read if stage in state.unknown]
    if spec.budget is not None and spec.budget[0] == "epochs":
        read_by = mixture_sources(state, spec)
        sizes = {name: state.sources[name].tokens for name in read_by if name in state.sources}
        missing += [f"sources.{name}.tokens" for name in sorted(sizes) if sizes[name] is None]
    if not missing:
        return False
    asked = spec.budget[1].scaled_tokens if spec.budget and spec.budget[0] == "tokens" else None
    asked = 0 if composing else asked
    names = tuple(dict.fromkeys(p.stage for p in parents))
    state.unknown[spec.name.text] = UnknownStage(
        spec.name.text, names, asked, tuple(dict.fromkeys(missing))
    )
    return True


def _trains(state: State, name: str) -> bool:
    stage = state.spec.stages.get(name)
    return stage is not None and stage.checkpoint is None


def _listed(unsaid: list[str]) -> str:
    words = [f"`{key}`" for key in unsaid if key != "tokens"]
    return ", ".join(["its budget", *words] if "tokens" in unsaid else words)


def _way_to_say(state: State, spec: StageSpec, keeps: Keeps, unsaid: list[str]) -> str:
    """Say how what is missing may be said: kept, where there is somebody to keep it from."""
    budget = "`tokens: 5.2T`, `steps: 2000`, `seqs: 558K`, `epochs: 2` or `until: 6.6T`"
    if unsaid == ["tokens"]:
        return f"say how much it reads: {budget}"
    way_out = "say it: none of this has a default"
    if keeps.outside is not None:
        way_out = f"say it: of `{keeps.outside}` only the `rope` and `seq_len` it says are kept"
    elif any(_trains(state, point.stage) for point in spec.points()):
        way_out = "say it, or `keep: ANCESTOR` to leave it as that stage left it"
    return f"{way_out}; how much it reads is {budget}" if "tokens" in unsaid else way_out


def _all_said(state: State, spec: StageSpec, keeps: Keeps) -> bool:
    kept = keeps.kept
    said = {
        "train": spec.train, "optimizer": spec.optimizer, "loss": spec.loss,
        "lr": spec.lr or spec.lr_by_target, "batch": spec.batch,
        "seq_len": spec.seq_len or (spec.batch[0].seq_len if spec.batch else None),
        "packing": spec.packing, "rope": spec.rope, "mixture": spec.mixture,
    }  # fmt: skip
    if spec.keep is not None and kept is None:
        return False
    missing = [key for key in REQUIRED if said[key] is None] if kept is None else []
    # What was said and could not be read, or is unknown, was told of already.
    unsaid = [key for key in missing if key not in spec.said]
    meant = meant_keys(spec.said, STAGE)
    unsaid = [key for key in unsaid if key not in meant]
    if spec.budget is None:
        missing.insert(0, "tokens")
        if not spec.said.intersection(BUDGETS) and not meant.intersection(BUDGETS):
            unsaid.insert(0, "tokens")
    # An `extends` that is still there failed, and was to say the rest.
    if unsaid and "extends" not in spec.said:
        state.report(
            "missing-key",
            f"stage `{spec.name.text}` does not say {_listed(unsaid)}",
            spec.name.span,
            _way_to_say(state, spec, keeps, unsaid),
        )
    if spec.dotted and kept is None and "extends" not in spec.said:
        for dotted, key, _ in spec.dotted:
            if keeps.outside is not None and dotted[0] == "rope" and spec.rope is not None:
                continue
            state.report(
                "dotted-key",
                f"`{key.text}` changes one thing of what is kept, and this stage keeps nothing",
                key.span,
                "add `keep: ANCESTOR`",
            )
    return not missing
