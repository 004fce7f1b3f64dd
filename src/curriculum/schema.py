"""The JSON Schema of a plan file, made from the tables of words

Numbers may be words (`5.2T`, `unknown`), so most values are strings or numbers with a pattern. Tags
(`!assumed`) are YAML's and no part of the schema; editors need them declared as custom tags.
"""

from curriculum.models.presets import PRESETS
from curriculum.module_words import SIZES
from curriculum.rope_scaling import SCALINGS
from curriculum.schema_forms import (
    AMOUNT,
    CONFLICT,
    KINDS_OF_VALUE,
    NAME,
    POINT,
    STEP_MARK,
    TARGET,
    Json,
    choice,
    described,
    mapping,
    named,
    number,
    one_of,
    ref,
    some,
    with_conflicts,
    with_markdown,
)
from curriculum.schema_words import CHOICES, LOSS_TERMS, OPTIMIZER_MEANS, SETTING_MEANS
from curriculum.spec_rope import keys_of
from curriculum.words import (
    ADAPTER,
    BATCH,
    CHECKPOINT,
    CLAIM,
    EMA,
    GATE,
    GROUP,
    LAYOUT,
    LOSS,
    LR,
    MEASURES,
    MERGE,
    MIX_PIECE,
    MODULE,
    NAME_PATTERN,
    OPTIMIZER_FIXED,
    OPTIMIZER_VALUES,
    PIECE,
    PLAN,
    PLAN_PATTERN,
    RAMP,
    ROPE,
    SCALE,
    SCALING,
    SOURCE,
    STAGE,
    Word,
)

ROWS_WORD = Word("rows", "How the rows that a vocabulary gains begin: `new` or `mean`.")


def plan_schema() -> Json:
    """Return the JSON Schema (draft 2020-12) of a plan file."""
    schema: Json = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "curriculum plan",
        "description": "A multi-stage training curriculum: what a model reads, and how.",
        **with_conflicts(mapping(PLAN, dotted=True)),
        "required": ["plan"],
        "$defs": {name: _explained(name, one) for name, one in _definitions().items()},
    }
    return with_markdown(schema)


def _explained(name: str, schema: Json) -> Json:
    """Add to a definition what it is, and examples of it."""
    kind = KINDS_OF_VALUE[name]
    examples = {"examples": list(kind.examples)} if kind.examples else {}
    return {
        "title": name.replace("_", " "),
        "description": kind.means,
        **with_conflicts(schema),
        **examples,
    }


def _definitions() -> Json:
    return {
        **_simple(),
        **{name: choice(kind) for name, kind in CHOICES.items()},
        **_of_stages(),
        **_of_data(),
        **_of_models(),
    }


def _simple() -> Json:
    names = {"type": "string", "pattern": TARGET}
    tag = {"type": "string", "pattern": NAME}
    return {
        "plan_name": {"type": "string", "pattern": f"^{PLAN_PATTERN}$"},
        "name": POINT,
        "names": {"anyOf": [{"type": "string"}, {"type": "array", "items": names}]},
        "text": {"type": "string"},
        "boolean": {"type": "boolean"},
        "integer": {"type": ["integer", "string"], "minimum": 0},
        "number": number(),
        "ratio": number(),
        "size": {"type": ["number", "boolean", "string", "array"], **CONFLICT},
        "amount": number(AMOUNT),
        "length": number(AMOUNT),
        "tokens": number(f"{AMOUNT}|^unknown$"),
        "seq_len": number(f"{AMOUNT}|^unknown$"),
        "whole": number(f"{AMOUNT}|^unknown$"),
        "count": number(f"{AMOUNT}|^(unknown|keep|current)$"),
        "mark": number(f"{AMOUNT}|{STEP_MARK}"),
        "path_mark": number(f"{AMOUNT}|{STEP_MARK}|^unknown$"),
        "preset": {"anyOf": [{"enum": sorted(PRESETS)}, some({"enum": sorted(PRESETS)})]},
        "factors": some(number()),
        "tags": {"anyOf": [tag, some(tag)]},
        "claim": {"type": "string", "pattern": "[<>=!]"},
        "claims": {"anyOf": [ref("claim"), some({"anyOf": [ref("claim"), ref("reason")]})]},
        "reason": mapping(CLAIM, required=("claim",)),
        "points": {"anyOf": [POINT, some(POINT)]},
    }


def _of_stages() -> Json:
    """The graph, budgets, curves and batches."""
    ride = {"anyOf": [{"type": "string", "pattern": NAME}, ref("curve"), ref("ride")]}
    origin = {"anyOf": [{"const": "new"}, POINT, ref("merge")]}
    return {
        "scale": mapping(SCALE),
        "stages": named({"anyOf": [ref("stage"), {"type": "null"}]}),
        "stage": mapping(STAGE, dotted=True),
        "checkpoint": mapping(CHECKPOINT, required=("gives",)),
        "init": {"anyOf": [POINT, ref("merge"), named(origin, TARGET)]},
        "merge": mapping(MERGE),
        "averaged": {
            "anyOf": [
                POINT,
                {"type": "array", "items": POINT, "minItems": 2},
                named(number(), POINT["pattern"]),
            ]
        },
        "keep": {"anyOf": [POINT, named(POINT)]},
        "carry": {
            "anyOf": [{"enum": ["all", "none"]}, {"type": "array", "items": {"type": "string"}}]
        },
        "gate": mapping(GATE, required=("when",)),
        "rates": named(number(), TARGET),
        "schedules": named(ref("curve")),
        "curve": {"anyOf": [number(), ref("pieces"), ref("piece")]},
        "pieces": some(ref("piece")),
        "piece": {
            **mapping(PIECE),
            "anyOf": [{"required": [key]} for key in ("shape", "stretch", "repeat")],
        },
        "lr": {"anyOf": [*ride["anyOf"], named(ride, TARGET)]},
        "ride": mapping(LR),
        "batch": {
            "anyOf": [
                ref("batch_piece"),
                some(ref("batch_piece")),
                {"const": "unknown"},
            ]
        },
        "batch_piece": mapping(BATCH),
        "batch_size": {"anyOf": [ref("count"), ref("ramp")]},
        "ramp": mapping(RAMP, required=("to",)),
        "layout": {"anyOf": [{"const": "none"}, ref("ranks")]},
        "ranks": mapping(LAYOUT, required=("dp", "micro")),
        "accumulation": {"anyOf": [ref("integer"), {"const": "varies"}]},
    }


def _of_data() -> Json:
    """Sources, and the mixtures of them."""
    node = {"anyOf": [ref("curve"), ref("group")]}
    tree = {
        **named(node, rf"^(?!replay$|normalize$){NAME_PATTERN}$"),
        "properties": {
            "replay": {
                "description": "In the place of sources: the mixture of a stage, or a group of it.",
                "type": "string",
            },
            "normalize": {"description": GROUP["normalize"].means, **ref("boolean")},
        },
    }
    return {
        "sources": named(ref("source")),
        "source": one_of(mapping(SOURCE), ("modality", "of")),
        "mixture": {
            "anyOf": [
                tree,
                some({"type": "string"}),
                some(ref("mix_piece")),
                {"enum": ["unknown", "previous"]},
            ]
        },
        "group": one_of(mapping(GROUP), ("ratio", *MEASURES)),
        "mix_piece": one_of(mapping(MIX_PIECE), ("of", "shape")),
    }


def _of_models() -> Json:
    """Modules and what becomes of them, optimizers, losses, settings, RoPE."""
    rope = {"anyOf": [{"const": "none"}, ref("rope_of_module")]}
    term = {"anyOf": [ref("curve"), ref("loss_term")]}
    left = ref("left")
    return {
        "modules": named(ref("module")),
        "module": {
            **mapping({**MODULE, **SIZES}),
            "oneOf": [{"required": ["preset"]}, {"required": ["kind", "params"]}],
        },
        "reshape": named(ref("sizes")),
        "sizes": mapping({"rows": ROWS_WORD, **SIZES}),
        "adapters": {"anyOf": [left, named({"anyOf": [left, ref("adapter")]})]},
        "adapter": mapping(ADAPTER, required=("kind", "rank", "parts")),
        "ema": {"anyOf": [{"const": "none"}, ref("running_average")]},
        "running_average": mapping(EMA, required=("decay",)),
        "optimizers": named(ref("optimizer")),
        "optimizer": _optimizer(),
        "loss": described(LOSS_TERMS, term),
        "loss_term": mapping(LOSS, required=("weight",)),
        "settings": named(ref("setting"), TARGET),
        "setting": described(SETTING_MEANS, ref("curve")),
        "rope": {"anyOf": [{"const": "none"}, named(rope, TARGET)]},
        "rope_of_module": mapping(ROPE, required=("base",)),
        "scaling": {"anyOf": [ref(f"scaling_{kind}") for kind in SCALINGS]},
        **{f"scaling_{kind}": _scaling(kind) for kind in SCALINGS},
    }


def _optimizer() -> Json:
    """A kind and its values; all but two may also run over the steps of the optimizer's state.

    A part may leave its kind to its module, and the whole to all modules.
    """
    values = {}
    for name, means in OPTIMIZER_MEANS.items():
        kinds = [kind for kind, names in OPTIMIZER_VALUES.items() if name in names]
        fixed = {"type": ["boolean", "string", "array"]} if name == "nesterov" else ref("number")
        takes = fixed if name in OPTIMIZER_FIXED else ref("curve")
        values[name] = {"description": f"{means} Of {', '.join(kinds)}.", **takes}
    own = {
        "kind": Word("optimizer_kind", "The update rule: muon, adamw or ademamix."),
        "source": Word("text", "Where this optimizer's values come from."),
    }
    table = mapping(own)
    return {
        **table,
        "properties": {**table["properties"], **values},
        "additionalProperties": ref("optimizer"),
        "propertyNames": {"pattern": TARGET},
    }


def _scaling(kind: str) -> Json:
    """Return the schema of one kind of RoPE scaling: its own keys, and those it must say."""
    known = keys_of(kind)
    table = mapping(
        {name: SCALING[name] for name in known},
        required=("kind", *(name for name, is_required in known.items() if is_required)),
    )
    kind_word = {"const": kind, "description": SCALING["kind"].means}
    return {**table, "properties": {"kind": kind_word, **table["properties"]}}
