"""The optimizer's rule for every module that a stage trains, and for parts that differ"""

from collections.abc import Mapping

from curriculum.compile_lifecycle import parts_in
from curriculum.compile_state import Draft, State
from curriculum.errors import did_you_mean
from curriculum.models.adapters import PART
from curriculum.plan import OptimizerRule
from curriculum.spec import Number, OptimizerSpec, Word
from curriculum.words import OPTIMIZER_DEFAULTS


def compile_optimizer(state: State, draft: Draft) -> dict[str, OptimizerRule]:
    """Return the rule of every trained module, and of the parts that differ."""
    modules = sorted({target.partition("/")[0] for target in draft.train})
    by_word: dict[str, list[str]] = {}
    words: dict[str, Word] = {}
    for module in modules:
        if (word := _optimizer_word(state, draft, module)) is not None:
            words[word.text] = word
            by_word.setdefault(word.text, []).append(module)
    rules: dict[str, OptimizerRule] = {}
    for name, followers in by_word.items():
        rules |= _rules(state, draft, words[name], followers)
    return dict(sorted(rules.items()))


def _rules(state: State, draft: Draft, word: Word, modules: list[str]) -> dict[str, OptimizerRule]:
    """Return the rules that one optimizer has for modules, and for parts of them that differ."""
    if (spec := optimizer_named(state, word)) is None:
        return {}
    state.used_optimizers.add(word.text)
    rules = {module: _rule(state, spec, {}) for module in modules}
    for name, part_spec in spec.parts.items():
        module, _, part = name.partition("/")
        if module not in state.modules or (part and part not in _parts(state, draft, module)):
            state.report(
                "unknown-part",
                f"there is no module or part `{name}`",
                part_spec.name.span,
                did_you_mean(name, _targets(state)),
            )
        elif module in modules and (not part or part in parts_in(state, draft, module)):
            rules[name] = _rule(state, part_spec, spec.values)
    return rules


def optimizer_named(state: State, word: Word) -> OptimizerSpec | None:
    """Return an optimizer of the plan; None, and a report, where there is no such one."""
    spec = state.spec.optimizers.get(word.text)
    if spec is None and not state.is_declared("optimizers", word.text):
        state.report(
            "unknown-optimizer",
            f"there is no optimizer `{word.text}`",
            word.span,
            did_you_mean(word.text, list(state.spec.optimizers)),
        )
    return spec


def _optimizer_word(state: State, draft: Draft, module: str) -> Word | None:
    """Return what names the optimizer of a module: what the stage says, or one that it keeps."""
    known, now = state.optimizer_words, draft
    while (now.name, module) not in known and now.spec.optimizer is None:
        kept = now.kept_of(module)
        if kept is None:
            break
        now = kept[0]
    known[draft.name, module] = known.get((now.name, module), now.spec.optimizer)
    return known[draft.name, module]


def _parts(state: State, draft: Draft, module: str) -> tuple[str, ...]:
    """Return the parts that a module has somewhere in the plan."""
    here = parts_in(state, draft, module) if module in draft.init else ()
    return (*state.modules[module].shape.parts(), *here, PART)


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
