"""The optimizer's rule for every module that a stage trains, and for parts that differ"""

from curriculum.compile_lifecycle import parts_in
from curriculum.compile_state import Draft, State
from curriculum.compile_state_curve import over_state
from curriculum.curve import Curve
from curriculum.errors import did_you_mean
from curriculum.models.adapters import PART
from curriculum.plan import OptimizerRule
from curriculum.spec import CurveSpec, Number, OptimizerSpec, Word
from curriculum.words import OPTIMIZER_DEFAULTS, OPTIMIZER_VALUES, OPTIMIZER_WANTED


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
    names = list(modules)
    for name, part_spec in spec.parts.items():
        module, _, part = name.partition("/")
        if module not in state.modules or (part and part not in _parts(state, draft, module)):
            state.report(
                "unknown-part",
                f"there is no module or part `{name}`",
                part_spec.name.span,
                did_you_mean(name, _targets(state)),
            )
        elif module in modules and part and part in parts_in(state, draft, module):
            names.append(name)
    rules = {name: _rule(state, draft, name, spec) for name in names}
    return {name: rule for name, rule in rules.items() if rule is not None}


def optimizer_named(state: State, word: Word) -> OptimizerSpec | None:
    """Return an optimizer of the plan; None, and a report, where there is no such one."""
    spec = state.spec.optimizers.get(word.text)
    if spec is None and not state.is_declared("optimizers", word.text):
        state.report(
            "unknown-optimizer",
            f"there is no optimizer `{word.text}`",
            word.span,
            did_you_mean(word.text, list(state.spec.optimizers))
            or f"add it below `optimizers`: {word.text}: {{kind: adamw, weight_decay: .1}}",
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


def _rule(state: State, draft: Draft, target: str, whole: OptimizerSpec) -> OptimizerRule | None:
    """Put together what is said of a part, of its module, of the whole, and the defaults."""
    chain = [whole]
    for name in dict.fromkeys((target.partition("/")[0], target)):
        chain += [whole.parts[name]] if name in whole.parts else []
    spec = chain[-1]
    if spec.kind is None:
        state.report(
            "missing-key",
            f"optimizer `{whole.name.text}` says no `kind`, and nothing of `{target}`",
            whole.name.span,
            f"add `kind: adamw`, or `{target}: {{kind: adamw, weight_decay: .1}}`",
        )
        return None
    kind = spec.kind.text
    values: dict[str, float | bool | None] = dict(OPTIMIZER_DEFAULTS[kind])
    curves: dict[str, Curve] = {}
    for name, said in {k: v for one in chain for k, v in one.values.items()}.items():
        if name not in OPTIMIZER_VALUES[kind]:
            continue
        if not isinstance(said, CurveSpec):
            values[name] = _plain(said)
            continue
        curve = over_state(state, draft, target, whole.parts, said)
        values.pop(name, None)
        if curve is None:
            values[name] = None
        else:
            curves[name] = curve
    for name in OPTIMIZER_WANTED[kind]:
        if name not in values and name not in curves:
            state.report(
                "missing-key",
                f"optimizer `{spec.name.text}` says no `{name}`",
                spec.name.span,
                f"{name}: {_EXAMPLES[name]}",
            )
    return OptimizerRule(kind, dict(sorted(values.items())), dict(sorted(curves.items())))


_EXAMPLES = {"update_rms": "0.2", "weight_decay": "0.1", "beta3": "0.9999", "alpha": "8"}


def _plain(said: Number | bool) -> float | bool | None:
    if isinstance(said, bool):
        return said
    if said.value is None:
        return None
    return int(said.value) if said.value.denominator == 1 else float(said.value)
