"""What a stage trains, whose positions its tokens are, and the seed that deals its data"""

from collections.abc import Mapping

from curriculum.compile_lifecycle import shape_in
from curriculum.compile_state import Draft, Kept, State
from curriculum.errors import did_you_mean, named_or_listed
from curriculum.lifecycle import Lifecycle
from curriculum.models.adapters import PART
from curriculum.plan import Start
from curriculum.spec import StageSpec, Word


def train_of(
    state: State,
    spec: StageSpec,
    kept: Kept | None,
    init: Mapping[str, Start],
    lifecycle: Lifecycle,
) -> tuple[str, ...] | None:
    """Return the modules and parts that a stage trains, by name; None where that is refused."""
    if spec.train is None:
        assert kept is not None
        return _kept_train(state, spec, kept[0], init, lifecycle)
    targets = [
        word.text for word in spec.train if _can_be_trained(state, spec, word, init, lifecycle)
    ]
    if not spec.train:
        state.report(
            "trains-nothing", "a stage trains at least one module", spec.span, "train: [llm]"
        )
    return tuple(sorted(targets)) if len(targets) == len(spec.train) else None


def _kept_train(
    state: State, spec: StageSpec, kept: Draft, init: Mapping[str, Start], lifecycle: Lifecycle
) -> tuple[str, ...] | None:
    left = tuple(
        target
        for target in kept.train
        if (module := target.partition("/")[0]) in init
        and (target != f"{module}/{PART}" or module in lifecycle.adapters)
    )
    if not left:
        state.report(
            "trains-nothing",
            f"nothing that stage `{kept.name}` trained is in stage `{spec.name.text}`",
            spec.name.span,
            "say `train: [MODULE]`",
        )
    return left or None


def _can_be_trained(
    state: State, spec: StageSpec, word: Word, init: Mapping[str, Start], lifecycle: Lifecycle
) -> bool:
    module, _, part = word.text.partition("/")
    if module not in init:
        state.report(
            "trains-what-it-lacks",
            f"stage `{spec.name.text}` trains `{module}` and has no such module",
            word.span,
            named_or_listed(module, init),
        )
        return False
    parts: tuple[str, ...] = (part,)
    if module in state.modules:
        shape = shape_in(state, module, lifecycle.sizes)
        parts = (*shape.parts(), *lifecycle.parts_of(module))
    if part and part not in parts:
        state.report(
            "unknown-part", f"`{module}` has no part `{part}`", word.span, did_you_mean(part, parts)
        )
        return False
    return True


def seed_of(state: State, spec: StageSpec, init: Mapping[str, Start]) -> tuple[int, bool]:
    """Return the data seed: the stage's own, else its ancestors', else the plan's."""
    if spec.seed is not None:
        return spec.seed, True
    seeds = {parent.seed for parent, _ in state.left_drafts(init)}
    if len(seeds) > 1:
        state.report(
            "seeds-disagree",
            f"the parents of `{spec.name.text}` deal their sources with different seeds",
            spec.init_span or spec.span,
            "say `seed: N` in this stage",
        )
    return (min(seeds) if seeds else state.spec.seed), False


def count_of(
    state: State, spec: StageSpec, kept: Kept | None, init: Mapping[str, Start]
) -> str | None:
    """Return the module whose positions the tokens are; None where that is refused."""
    kinds = {m: state.modules[m].shape.kind for m in init if m in state.modules}
    llm = next((m for m, kind in sorted(kinds.items()) if kind == "llm"), "")
    count = spec.counted.text if spec.counted else kept[0].count if kept else llm
    span = spec.counted.span if spec.counted else spec.name.span
    if not count:
        state.report(
            "count-unsaid",
            f"stage `{spec.name.text}` has no LLM and does not say whose positions its tokens are",
            span,
            "add `count: vit`",
        )
        return None
    if count not in init:
        state.report(
            "count-unknown",
            f"the stage has no module `{count}` to count",
            span,
            named_or_listed(count, init),
        )
        return None
    wanted = "llm" if llm else "vit"
    if kinds.get(count) != wanted:
        there = "with an LLM, tokens are the LLM's" if llm else "without one, the ViT's"
        state.report("count-unknown", f"{there} positions, not `{count}`'s", span)
        return None
    return count
