"""The JSON Schema of a plan file, made from the tables of words

Numbers may be words (`5.2T`, `unknown`), so most values are strings or numbers with a pattern. Tags
(`!assumed`) are YAML's and no part of the schema; editors need them declared as custom tags. What
`!conflict` holds is a list to them, so a list of values may stand wherever a value may.
"""

from typing import Any

from curriculum.curve import SHAPES
from curriculum.lifecycle import LEFT, ROWS
from curriculum.models.adapters import KINDS as ADAPTER_KINDS
from curriculum.models.presets import PRESETS
from curriculum.models.shapes import KINDS
from curriculum.module_words import SIZES
from curriculum.objective import MASKS, REDUCTIONS
from curriculum.rope_scaling import SCALINGS
from curriculum.spec_rope import keys_of
from curriculum.words import (
    ADAPTER,
    BATCH,
    CHECKPOINT,
    CLAIM,
    EMA,
    FOLLOWS_BATCH,
    GROUP,
    LAYOUT,
    LOSS,
    LOSSES,
    LR,
    MEASURES,
    MERGE,
    MIX_PIECE,
    MODALITIES,
    MODULE,
    NAME_PATTERN,
    OPTIMIZER_FIXED,
    OPTIMIZER_VALUES,
    PACKINGS,
    PIECE,
    PLAN,
    PLAN_PATTERN,
    RAMP,
    ROPE,
    SCALE,
    SCALING,
    SOURCE,
    STAGE,
    STATUSES,
    TARGET_PATTERN,
    Table,
)

Json = dict[str, Any]

NAME = f"^{NAME_PATTERN}$"
TARGET = f"^{TARGET_PATTERN}$"
POINT = f"^{NAME_PATTERN}(@.+)?$"
AMOUNT = (
    r"^[+]?[0-9._]+([eE][+-]?[0-9]+)?\s*(Ki|Mi|Gi|Ti|K|M|B|T)?\s*(%|tokens?|steps?|seqs?|epochs?)?$"
)
CONFLICT = "!conflict"
"""The title of what a conflict is to the schema: a list of several values."""
STEP_MARK = r"^\s*step\s+[0-9._]+([eE][+-]?[0-9]+)?\s*(K|M|B|T)?\s*$"


def plan_schema() -> Json:
    """Return the JSON Schema (draft 2020-12) of a plan file."""
    definitions = {name: _with_conflicts(one) for name, one in _definitions().items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "curriculum plan",
        "description": "A multi-stage training curriculum: what a model reads, and how.",
        **_with_conflicts(_table(PLAN, dotted=True)),
        "required": ["plan"],
        "$defs": definitions,
    }


def _with_conflicts(schema: Json) -> Json:
    """Let a conflict stand wherever a value may: below a key, or in a list."""
    found = dict(schema)
    for key in ("properties", "patternProperties"):
        if key in schema:
            found[key] = {name: _or_conflict(value) for name, value in schema[key].items()}
    if "items" in schema:
        found["items"] = _or_conflict(schema["items"])
    if "anyOf" in schema:
        found["anyOf"] = [_with_conflicts(one) for one in schema["anyOf"]]
    return found


def _or_conflict(value: Json) -> Json:
    described = {key: value[key] for key in ("description",) if key in value}
    plain = _with_conflicts({key: x for key, x in value.items() if key != "description"})
    if not plain:
        return value
    several = {"title": CONFLICT, "type": "array", "items": plain, "minItems": 1}
    return {**described, "anyOf": [plain, several]}


def _table(table: Table, dotted: bool = False, required: tuple[str, ...] = ()) -> Json:
    """Turn a table of words into an object schema; a dotted key reaches below one of its words."""
    schema: Json = {
        "type": "object",
        "properties": {
            key: {"description": word.means, **_takes(word.takes)} for key, word in table.items()
        },
        "additionalProperties": False,
    }
    if dotted:
        heads = "|".join(sorted(table))
        schema["patternProperties"] = {
            rf"^({heads})\..+$": {"description": "One thing below a key."}
        }
    return {**schema, "required": list(required)} if required else schema


def _one_of(schema: Json, keys: tuple[str, ...]) -> Json:
    """Ask for exactly one of some keys."""
    return {**schema, "oneOf": [{"required": [key]} for key in keys]}


def _takes(takes: str) -> Json:
    return {"$ref": f"#/$defs/{takes}"}


def _named(item: Json, pattern: str = NAME) -> Json:
    return {"type": "object", "patternProperties": {pattern: item}, "additionalProperties": False}


def _definitions() -> Json:
    null = {"type": "null"}
    word = {"type": "string"}
    number = {"anyOf": [{"type": "number"}, {"type": "string"}]}
    words = {"type": "string", "pattern": AMOUNT}
    amount = {"anyOf": [{"type": "number", "minimum": 0}, words]}
    known_or_not = {"anyOf": [*amount["anyOf"], {"const": "unknown"}]}
    pieces = {"type": "array", "items": _takes("piece"), "minItems": 1}
    ride = {"anyOf": [_takes("curve"), {"type": "string", "pattern": NAME}, _takes("ride")]}
    optimizer = {
        "type": "object",
        "properties": {
            "kind": {
                "enum": list(OPTIMIZER_VALUES),
                "description": "muon, adamw or ademamix.",
            },
            "source": {**word, "description": "Where this optimizer's values come from."},
            **{
                name: {"description": f"Of {kinds}.", **_optimizer_value(name)}
                for name, kinds in _optimizer_values().items()
            },
        },
        "patternProperties": {"^[a-z0-9][a-z0-9_-]*/[a-z0-9_-]+$": _takes("optimizer")},
        "required": ["kind"],
    }
    rope = {"anyOf": [{"const": "none"}, _takes("rope_of_module")]}
    point = {"type": "string", "pattern": POINT}
    points = {"type": "array", "items": point}
    origins = _named({"anyOf": [{"const": "new"}, point, _takes("merge")]}, TARGET)
    return {
        "plan_name": {"type": "string", "pattern": f"^{PLAN_PATTERN}$"},
        "name": {"type": "string", "pattern": POINT},
        "names": {
            "anyOf": [word, {"type": "array", "items": {"type": "string", "pattern": TARGET}}]
        },
        "claim": {"type": "string", "pattern": "[<>=!]"},
        "claims": {
            "anyOf": [
                _takes("claim"),
                {
                    "type": "array",
                    "items": {"anyOf": [_takes("claim"), _table(CLAIM, required=("claim",))]},
                    "minItems": 1,
                },
            ]
        },
        "tags": {
            "anyOf": [
                {"type": "string", "pattern": NAME},
                {"type": "array", "items": {"type": "string", "pattern": NAME}, "minItems": 1},
            ]
        },
        "text": word,
        "integer": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]},
        "number": number,
        "boolean": {"type": "boolean"},
        "ratio": number,
        "amount": amount,
        "mark": {"anyOf": [*amount["anyOf"], {"type": "string", "pattern": STEP_MARK}]},
        "path_mark": {"anyOf": [*known_or_not["anyOf"], {"type": "string", "pattern": STEP_MARK}]},
        "tokens": known_or_not,
        "count": {"anyOf": [*known_or_not["anyOf"], {"enum": ["keep", "current"]}]},
        "seq_len": known_or_not,
        "shape": {"enum": list(SHAPES)},
        "preset": {"enum": sorted(PRESETS)},
        "kind": {"enum": list(KINDS)},
        "size": {"type": ["number", "boolean", "string"]},
        "modality": {"enum": list(MODALITIES)},
        "round": {"enum": ["up", "down"]},
        "carry": {"anyOf": [{"enum": ["all", "none"]}, {"type": "array", "items": word}]},
        "scale": _table(SCALE),
        "piece": {
            **_table(PIECE),
            "anyOf": [{"required": [key]} for key in ("shape", "stretch", "repeat")],
        },
        "pieces": pieces,
        "with_batch": {"enum": list(FOLLOWS_BATCH)},
        "curve": {"anyOf": [number, pieces, _takes("piece")]},
        "ride": _table(LR),
        "lr": {"anyOf": [*ride["anyOf"], _named(ride, TARGET)]},
        "modules": _named(_takes("module")),
        "module": {
            **_table({**MODULE, **SIZES}),
            "oneOf": [{"required": ["preset"]}, {"required": ["kind", "params"]}],
            "description": "A preset and fields that differ, or a kind and its counts.",
        },
        "optimizers": _named(_takes("optimizer")),
        "optimizer": optimizer,
        "sources": _named(_one_of(_table(SOURCE), ("modality", "of"))),
        "schedules": _named(_takes("curve")),
        "stages": _named({"anyOf": [_takes("stage"), null]}),
        "stage": _table(STAGE, dotted=True),
        "checkpoint": _table(CHECKPOINT, required=("gives",)),
        "init": {"anyOf": [point, _takes("merge"), origins]},
        "merge": _table(MERGE),
        "points": {"anyOf": [point, {**points, "minItems": 1}]},
        "averaged": {
            "anyOf": [point, {**points, "minItems": 2}, _named(number, POINT)],
            "description": "Points in equal parts, by weights that sum to 1, or one stage.",
        },
        "keep": {"anyOf": [point, _named(point)]},
        "status": {"enum": list(STATUSES)},
        "rates": _named(number, TARGET),
        "loss": _named(
            {"anyOf": [_takes("curve"), _takes("loss_term")]}, f"^({'|'.join(LOSSES)})$"
        ),
        "loss_term": _table(LOSS, required=("weight",)),
        "mask": {"enum": list(MASKS)},
        "reduce": {"enum": list(REDUCTIONS)},
        "settings": _named(_named(_takes("curve")), TARGET),
        "batch_piece": _table(BATCH),
        "batch_size": {"anyOf": [_takes("count"), _takes("ramp")]},
        "ramp": _table(RAMP, required=("to",)),
        "ramp_shape": {"enum": ["linear", "unknown"]},
        "layout": {"anyOf": [{"const": "none"}, _table(LAYOUT, required=("dp", "micro"))]},
        "accumulation": {"anyOf": [_takes("integer"), {"const": "varies"}]},
        "batch": {
            "anyOf": [
                _takes("batch_piece"),
                {"type": "array", "items": _takes("batch_piece"), "minItems": 1},
                {"const": "unknown"},
            ]
        },
        "reshape": _named(
            {
                "type": "object",
                "properties": {
                    "rows": {
                        "enum": list(ROWS),
                        "description": "How the rows that a vocabulary gains begin; else new.",
                    }
                },
                "additionalProperties": {"type": ["number", "boolean", "string"]},
            }
        ),
        "adapters": {
            "anyOf": [
                {"enum": list(LEFT)},
                _named(
                    {
                        "anyOf": [
                            {"enum": list(LEFT)},
                            _table(ADAPTER, required=("kind", "rank", "parts")),
                        ]
                    }
                ),
            ]
        },
        "adapter_kind": {"enum": list(ADAPTER_KINDS)},
        "ema": {"anyOf": [{"const": "none"}, _table(EMA, required=("decay",))]},
        "packing": {"enum": list(PACKINGS)},
        "rope": {"anyOf": [{"const": "none"}, _named(rope, TARGET)]},
        "rope_of_module": _table(ROPE, required=("base",)),
        "scaling": {"anyOf": [_takes(f"scaling_{kind}") for kind in SCALINGS]},
        **{f"scaling_{kind}": _scaling(kind) for kind in SCALINGS},
        "factors": {"type": "array", "items": number, "minItems": 1},
        "group": _one_of(_table(GROUP), ("ratio", *MEASURES)),
        "mix_shape": {"enum": ["linear"]},
        "mix_piece": _one_of(_table(MIX_PIECE), ("of", "shape")),
        "mixture": {
            "anyOf": [
                _named({"anyOf": [_takes("curve"), _takes("group"), {"type": "boolean"}]}),
                {"type": "array", "items": word, "minItems": 1},
                {"type": "array", "items": _takes("mix_piece"), "minItems": 1},
                {"enum": ["unknown", "previous"]},
            ]
        },
    }


def _scaling(kind: str) -> Json:
    """Return the schema of one kind of RoPE scaling: its own keys, and those it must say."""
    known = keys_of(kind)
    table = _table(
        {name: SCALING[name] for name in known},
        required=("kind", *(name for name, is_required in known.items() if is_required)),
    )
    kind_word = {"const": kind, "description": SCALING["kind"].means}
    return {**table, "properties": {"kind": kind_word, **table["properties"]}}


def _optimizer_value(name: str) -> Json:
    """A number or a switch; most values may also run over the steps of the optimizer's state."""
    plain = {"type": ["number", "boolean", "string"]}
    return plain if name in OPTIMIZER_FIXED else {"anyOf": [plain, _takes("curve")]}


def _optimizer_values() -> dict[str, str]:
    names = sorted({name for values in OPTIMIZER_VALUES.values() for name in values})
    return {
        name: " and ".join(kind for kind, values in OPTIMIZER_VALUES.items() if name in values)
        for name in names
    }
