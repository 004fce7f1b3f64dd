"""Rules about modules: what a loss reaches, RoPE and context along the path, unused names"""

from collections.abc import Iterator

from curriculum.check.places import related_place
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Checkpoint, Plan, Stage, Start
from curriculum.rope import Rope
from curriculum.units import decimal_words
from curriculum.words import BALANCES, LOSSES

_WHAT = {
    "modules": "module",
    "optimizers": "optimizer",
    "sources": "source",
    "schedules": "schedule",
    "stages": "outside checkpoint",
}


def rope_never_shrinks_unsaid(plan: Plan) -> Iterator[Diagnostic]:
    """The RoPE base of a module is not below that of the stage it comes from, unless the stage
    says its own."""
    for stage in plan.stages:
        for module, rope in stage.rope.items():
            if rope.base is None:
                continue
            for parent, _ in stages_before(plan, stage, module):
                before = rope_of(parent, module)
                if before is None or before.base is None or rope.base >= before.base:
                    continue
                if _says(plan, stage, "rope"):
                    break
                yield Diagnostic(
                    "rope-never-shrinks-unsaid",
                    f"stage `{stage.name}` takes `{module}` from `{parent.name}` at RoPE base "
                    f"{decimal_words(before.base)} and goes on at {decimal_words(rope.base)}",
                    plan.place(f"stages.{stage.name}.keep"),
                    f"say `rope.{module}.base: {decimal_words(before.base)}`, or the smaller one",
                    related=related_place(plan, "the larger base", f"stages.{parent.name}.rope"),
                )
                break


def rope_grows_with_context(plan: Plan) -> Iterator[Diagnostic]:
    """A stage that reads longer sequences than the one its LLM comes from raises the RoPE base, or
    says the one that it keeps, unless a stage before read as long ones at it, or prepared for them
    (`target_seq_len`)."""
    for stage in plan.stages:
        for module, rope in stage.rope.items():
            now = max(seq_len for _, seq_len in stage.batch.contexts(stage.steps))
            for parent, step in stages_before(plan, stage, module):
                before = parent.at(step).seq_len
                if rope_of(parent, module) != rope or rope.base is None or now <= before:
                    continue
                start = stage.init[module.partition("/")[0]]
                if _says(plan, stage, "rope") or now <= _longest_read(plan, start, module, rope):
                    break
                yield Diagnostic(
                    "rope-grows-with-context",
                    f"stage `{stage.name}` grows the context of `{module}` from {before:,} to "
                    f"{now:,} and leaves its RoPE base at {decimal_words(rope.base)}",
                    plan.place(f"stages.{stage.name}.seq_len"),
                    f"raise it, or say `rope.{module}.base: {decimal_words(rope.base)}` "
                    "to show that it is meant",
                    Severity.WARNING,
                    related_place(plan, "the base that is kept", f"stages.{parent.name}.rope"),
                )
                break


def context_never_shrinks_unsaid(plan: Plan) -> Iterator[Diagnostic]:
    """A stage does not read shorter sequences than the one its LLM comes from, unless it says its
    `seq_len`."""
    for stage in plan.stages:
        for module in stage.init:
            if plan.modules[module].shape.kind != "llm" or _says_context(plan, stage):
                continue
            now = stage.at(0).seq_len
            for parent, step in stages_before(plan, stage, module):
                before = parent.at(step).seq_len
                if now >= before:
                    continue
                if _says(plan, stage, "seq_len"):
                    break
                yield Diagnostic(
                    "context-never-shrinks-unsaid",
                    f"stage `{stage.name}` takes `{module}` from `{parent.name}` at a context of "
                    f"{before:,} and goes on at {now:,}",
                    plan.place(f"stages.{stage.name}.keep"),
                    f"say `seq_len: {before}`, or the smaller one",
                    related=related_place(
                        plan, "the longer context", f"stages.{parent.name}.seq_len"
                    ),
                )
                break


def every_loss_term_has_its_modules(plan: Plan) -> Iterator[Diagnostic]:
    """A stage has the modules that its loss terms are computed with."""
    for stage in plan.stages:
        kinds = _kinds(plan, stage)
        for term in stage.loss:
            missing = sorted(_needed(term) - kinds)
            if not missing and term in BALANCES and not _has_experts(plan, stage):
                yield Diagnostic(
                    "every-loss-term-has-its-modules",
                    f"the loss `{term}` of stage `{stage.name}` is about routed experts, and its "
                    "llm has none",
                    plan.place(f"stages.{stage.name}.loss.{term}"),
                    "leave the term out",
                )
            if missing:
                yield Diagnostic(
                    "every-loss-term-has-its-modules",
                    f"the loss `{term}` of stage `{stage.name}` needs a module of kind "
                    f"{' and '.join(missing)}",
                    plan.place(f"stages.{stage.name}.loss.{term}"),
                    "add it to `init`, or leave the term out",
                )


def every_trained_module_has_a_loss(plan: Plan) -> Iterator[Diagnostic]:
    """Every module that a stage trains is reached by the gradient of one of its loss terms.

    `next_token` reaches a ViT only through a projector and an LLM, and no image loss reaches
    anything in a stage that reads no images.
    """
    for stage in plan.stages:
        reached = _reached(plan, stage)
        for target in stage.train:
            kind = plan.modules[target.partition("/")[0]].shape.kind
            if kind in reached:
                continue
            if kind != "llm" and not _reads_images(plan, stage):
                why = "the stage reads no images"
            elif through := [t for t in stage.loss if kind in LOSSES[t] and "llm" in LOSSES[t]]:
                why = f"`{through[0]}` reaches it only through an LLM and a projector"
            else:
                why = f"its loss is {', '.join(stage.loss)}"
            yield Diagnostic(
                "every-trained-module-has-a-loss",
                f"no gradient reaches `{target}` in stage `{stage.name}`: {why}",
                plan.place(f"stages.{stage.name}.train"),
                f"leave `{target}` out of `train`, or add what it learns from",
            )


def everything_declared_is_used(plan: Plan) -> Iterator[Diagnostic]:
    """Every module, optimizer, source, schedule and outside checkpoint is named by a stage."""
    for path in plan.unused:
        kind, _, name = path.partition(".")
        yield Diagnostic(
            "everything-declared-is-used",
            f"no stage uses the {_WHAT[kind]} `{name}`",
            plan.place(path),
            "leave it out",
            Severity.WARNING,
        )


def _longest_read(plan: Plan, start: Start, name: str, rope: Rope) -> int:
    """Return the longest context that a module read, or was prepared for, at a RoPE, in all that it
    comes from: stages up to where they were left, and outside checkpoints that say both."""
    module = name.partition("/")[0]
    outside = {given.name: given.checkpoint for given in plan.outside}
    longest = 0
    left: dict[str, int] = {}
    waiting = list(plan.origins(start, module))
    while waiting:
        before = waiting.pop()
        source = before.stage or ""
        if source in outside and rope_of(outside[source], name) == rope:
            longest = max(longest, outside[source].seq_len or 0)
        if not plan.has_stage(source) or left.get(source, -1) >= before.step:
            continue
        left[source] = before.step
        stage = plan.stage(source)
        if rope_of(stage, name) == rope:
            read = [seq_len for _, seq_len in stage.batch.contexts(max(before.step, 1))]
            longest = max(longest, stage.target_seq_len or 0, *read)
        waiting += plan.origins(stage.init[module], module)
    return longest


def rope_of(parent: Stage | Checkpoint, name: str) -> Rope | None:
    """Return the RoPE that a module or part had in the stage that it comes from."""
    return parent.rope.get(name) or parent.rope.get(name.partition("/")[0])


def stages_before(plan: Plan, stage: Stage, name: str) -> list[tuple[Stage, int]]:
    """Return the stages of the plan that a module or part comes from, and where each was left."""
    module = name.partition("/")[0]
    starts = plan.origins(stage.init[module], module)
    return [(plan.stage(s.stage), s.step) for s in starts if s.stage and plan.has_stage(s.stage)]


def _says(plan: Plan, stage: Stage, key: str) -> bool:
    """Say whether the stage's own text has the key; a lock has no text and is not blamed."""
    path = f"stages.{stage.name}.{key}"
    if path in plan.places or not plan.places:
        return True
    return bool(plan.paths_below(f"{path}."))


def _says_context(plan: Plan, stage: Stage) -> bool:
    """Say whether the stage or a piece of its batch has its own `seq_len`."""
    batch = f"stages.{stage.name}.batch"
    said = any(path.endswith(".seq_len") for path in plan.paths_below(batch))
    return said or _says(plan, stage, "seq_len")


def _kinds(plan: Plan, stage: Stage) -> set[str]:
    return {plan.modules[module].shape.kind for module in stage.init}


def _needed(term: str) -> frozenset[str]:
    """Return the kinds of modules that a term is computed with."""
    return LOSSES[term] & {"llm"} or LOSSES[term]


def _has_experts(plan: Plan, stage: Stage) -> bool:
    return any("router" in plan.shape_of(stage, module).parts() for module in stage.init)


def _reads_images(plan: Plan, stage: Stage) -> bool:
    others = [n for n in stage.mixture.sources if plan.sources[n].modality != "text"]
    total = stage.mixture.ideal_tokens(stage.steps) if others else {}
    return any(total[name] for name in others)


def _reached(plan: Plan, stage: Stage) -> set[str]:
    """Return the kinds of modules that a gradient reaches; an unknown weight counts as one."""
    kinds, sees = _kinds(plan, stage), _reads_images(plan, stage)
    reached: set[str] = set()
    for term, weight in stage.loss.items():
        if weight is not None and all(p.a == p.b == 0 for p in weight.pieces):
            continue
        if "llm" in LOSSES[term]:
            whole = sees and kinds >= LOSSES[term]
            reached |= LOSSES[term] if whole else {"llm"}
        elif sees and kinds >= LOSSES[term]:
            reached |= LOSSES[term]
    return reached & kinds
