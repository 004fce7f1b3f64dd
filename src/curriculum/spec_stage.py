"""A stage as a person wrote it, read key by key into its spec"""

from collections.abc import Mapping

from curriculum.nodes import Map, Node, Scalar, Seq
from curriculum.spec import CurveSpec, Point, RideSpec, StageSpec, Word
from curriculum.spec_batch import BUDGETS, read_batch, read_budget, read_seq_len
from curriculum.spec_checkpoint import read_checkpoint
from curriculum.spec_curve import ONE_PIECE, read_curve, read_ride
from curriculum.spec_gate import read_gate
from curriculum.spec_init import read_init
from curriculum.spec_lifecycle import read_adapters, read_ema, read_reshape
from curriculum.spec_loss import read_loss
from curriculum.spec_mixture import read_mixture
from curriculum.spec_ramp import read_layout
from curriculum.spec_reader import TARGET, SpecReader
from curriculum.spec_rope import read_rope
from curriculum.words import LR, PACKINGS, STAGE, STATUSES

STRUCTURAL = (*BUDGETS, "seq_len", "batch", "mixture")
"""What a stage cannot be compiled without: where one is unknown, so is the stage."""


def read_stage(reader: SpecReader, name: Word, node: Node) -> StageSpec | None:
    """Read one stage; problems are noted in the reader."""
    stage = reader.mapping(node, "a stage")
    if stage is None:
        return None
    reader.keys(stage, STAGE, f"stage `{name.text}`", dotted=True)
    if stage.get("checkpoint") is not None:
        _alone(reader, name, stage)
    dotted = tuple(
        (tuple(key.text.split(".")), key, value)
        for key, value in stage.entries
        if "." in key.text and key.text.split(".")[0] in STAGE
    )
    unknown = tuple(
        key.text
        for key, value in stage.entries
        if key.text in STRUCTURAL and _is_unknown(key.text, value)
    )
    at = {key.text: value for key, value in stage.entries if key.text not in unknown}
    init, init_all, fresh = read_init(reader, at.get("init"))
    keep, keep_by = _keep(reader, at.get("keep"))
    ride, rides = _lr(reader, at.get("lr"))
    return StageSpec(
        name=name,
        span=stage.span,
        checkpoint=read_checkpoint(reader, at.get("checkpoint")),
        init=init,
        init_all=init_all,
        init_span=at["init"].span if "init" in at else None,
        keep=keep,
        keep_by=keep_by,
        status=reader.word(at["status"], STATUSES) if "status" in at else None,
        carry=reader.names(at["carry"]) if "carry" in at else None,
        budget=read_budget(reader, stage, at),
        round_down="round" in at and _is_down(reader, at["round"]),
        gate=read_gate(reader, at.get("gate")),
        counted=reader.word(at["count"]) if "count" in at else None,
        train=reader.names(at["train"]) if "train" in at else None,
        optimizer=reader.word(at["optimizer"]) if "optimizer" in at else None,
        loss=read_loss(reader, at.get("loss")),
        settings=_settings(reader, at.get("set")),
        lr=ride,
        lr_by_target=rides,
        seq_len=read_seq_len(reader, at.get("seq_len")),
        batch=read_batch(reader, at["batch"]) if "batch" in at else None,
        layout=read_layout(reader, at["layout"]) if "layout" in at else None,
        packing=reader.word(at["packing"], PACKINGS, _packings) if "packing" in at else None,
        rope=read_rope(reader, at.get("rope")),
        target_seq_len=read_seq_len(reader, at.get("target_seq_len")),
        mixture=read_mixture(reader, at["mixture"]) if "mixture" in at else None,
        seed=reader.integer(at["seed"]) if "seed" in at else None,
        fresh=fresh,
        reshape=read_reshape(reader, at.get("reshape")),
        adapters=read_adapters(reader, at.get("adapters")),
        ema=read_ema(reader, at.get("ema")),
        dotted=dotted,
        unknown=unknown,
        said=frozenset(key.text.partition(".")[0] for key, _ in stage.entries),
    )


def _packings() -> Mapping[str, str]:
    from curriculum.schema_words import CHOICES  # only mistakes need it

    return CHOICES["packing"].words


def _is_unknown(key: str, value: Node) -> bool:
    """Say whether nobody knows a value; of a batch, whether nobody knows some of it."""
    if isinstance(value, Scalar) or key != "batch":
        return isinstance(value, Scalar) and value.text == "unknown"
    below = value.items if isinstance(value, Seq) else tuple(v for _, v in value.entries)
    return any(_is_unknown(key, node) for node in below)


def _alone(reader: SpecReader, name: Word, stage: Map) -> None:
    for key, _ in stage.entries:
        if key.text not in ("checkpoint", "source"):
            reader.problem(
                "checkpoint-alone",
                f"`{name.text}` is an outside checkpoint: it is over, and has no `{key.text}`",
                key.span,
                "leave it out, or give the stage another name",
            )


def _keep(reader: SpecReader, node: Node | None) -> tuple[Point | None, dict[str, Point]]:
    """Read the ancestor that is kept, and by module those that are kept instead of it."""
    if not isinstance(node, Map):
        return (None if node is None else reader.point(node)), {}
    rest, by = None, {}
    for word, value in reader.named(node, "`keep`"):
        point = reader.point(value)
        if word.text == "rest":
            rest = point
        elif point is not None:
            by[word.text] = point
    if node.get("rest") is None:
        reader.problem(
            "missing-key",
            "`keep` by module does not say what the `rest` keeps",
            node.span,
            "{rest: STAGE, vit: STAGE}",
        )
    return rest, by


def _is_down(reader: SpecReader, node: Node) -> bool:
    word = reader.word(node, ("up", "down"))
    return word is not None and word.text == "down"


def _settings(reader: SpecReader, node: Node | None) -> dict[str, dict[str, CurveSpec]] | None:
    entries = reader.mapping(node, "`set`")
    if entries is None:
        return None
    settings: dict[str, dict[str, CurveSpec]] = {}
    for key, value in entries.entries:
        values = reader.mapping(value, f"`set` of {key.text}")
        if not TARGET.fullmatch(key.text):
            reader.problem("wrong-name", f"`{key.text}` is no module or part", key.span)
        elif values is not None:
            settings[key.text] = {
                name.text: curve
                for name, v in values.entries
                if (curve := read_curve(reader, v)) is not None
            }
    return settings


def _lr(
    reader: SpecReader, node: Node | None
) -> tuple[RideSpec | None, dict[str, RideSpec] | None]:
    """Read one ride for all, or one for each module or part and for the `rest` of them."""
    if node is None:
        return None, None
    single = isinstance(node, Scalar | Seq) or any(
        key.text in LR or key.text in (*ONE_PIECE, "from", "to") for key, _ in node.entries
    )
    if single:
        return read_ride(reader, node), None
    assert isinstance(node, Map)
    rest, rides = None, dict[str, RideSpec]()
    for key, value in node.entries:
        if not TARGET.fullmatch(key.text):
            reader.problem("wrong-name", f"`{key.text}` is no module or part", key.span)
        elif (ride := read_ride(reader, value)) is None:
            continue
        elif key.text == "rest":
            rest = ride
        else:
            rides[key.text] = ride
    return rest, rides
