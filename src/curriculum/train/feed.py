"""What a stage reads: its sources, on from where its ancestors left them, as arrays"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from curriculum.data.loader import StageData, StageReader
from curriculum.data.packed import Packed
from curriculum.data.part import by_length, by_order
from curriculum.data.store import DataError, Source, Unit, open_source
from curriculum.data.stream import Reads
from curriculum.errors import RunError
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.shapes import CaptionerShape, DecoderShape, TextTowerShape, VitShape
from curriculum.plan import Plan, Stage
from curriculum.train.launch import Launch


@dataclass(frozen=True, slots=True)
class Drawn:
    """The arrays of one step, cut into micro-batches, and the hash of the documents in them."""

    micro_batches: tuple[Packed, ...]
    drawn_hash: str


def open_data(
    plan: Plan, stages: Sequence[Stage], data: Path, *, verify: bool = True
) -> dict[str, Source]:
    """Open what some stages draw from; RunError says how to get what is missing.

    Without `verify` the arrays are not held against their fingerprints, which reads all of them.
    """
    found: dict[str, Source] = {}
    for name in sorted({name for stage in stages for name in stage.mixture.sources}):
        try:
            folder = data / (plan.sources[name].path or name)
            source = _part(plan, name, open_source(folder, verify=verify))
        except DataError as error:
            raise RunError(
                f"{error}; the laptop plan's data are made by "
                f"`python -m curriculum.data.demo {data}`"
            ) from None
        _require_fit(plan, stages, name, source)
        # Rows are named by the plan's word for the source, whatever its folder calls itself.
        found[name] = replace(source, about=replace(source.about, name=name))
    return found


def _part(plan: Plan, name: str, whole: Source) -> Source:
    """Return what the plan's source is of the prepared one: all of it, or a part."""
    planned = plan.sources[name]
    if planned.part is not None:
        return by_order(whole, planned.part)
    if planned.of is not None:
        return by_length(whole, planned.min_tokens, planned.max_tokens)
    return whole


def _require_fit(plan: Plan, stages: Sequence[Stage], name: str, source: Source) -> None:
    """Refuse data that the plan's source and the modules beside it cannot read; RunError."""
    planned, about = plan.sources[name], source.about
    if (planned.modality == "text") != (about.modality == "text"):
        raise RunError(
            f"source `{name}` is {planned.modality} in the plan, its data are {about.modality}"
        )
    largest = int(source.tokens.max(initial=0))
    readers = [stage for stage in stages if name in stage.mixture.sources]
    for module, shape in [(m, plan.shape_of(stage, m)) for stage in readers for m in stage.init]:
        if isinstance(shape, DecoderShape | DenseDecoderShape | TextTowerShape | CaptionerShape):
            if largest >= shape.vocab:
                raise RunError(
                    f"source `{name}` holds token {largest}, module `{module}` has a vocab of "
                    f"{shape.vocab}"
                )
        elif isinstance(shape, VitShape) and about.modality != "text":
            _require_patches(name, source, shape)


def _require_patches(name: str, source: Source, shape: VitShape) -> None:
    side, merge = source.about.patch_px, source.about.merge
    if (shape.patch, shape.merge) != (side, merge):
        raise RunError(
            f"source `{name}` was prepared for patches of {side} pixels merged {merge} x {merge}, "
            f"the ViT has {shape.patch} and {shape.merge}"
        )


def open_reader(plan: Plan, stage: Stage, sources: Mapping[str, Source]) -> StageReader:
    """Open the data of a stage where its ancestors left them; RunError names the stage."""
    (_, seq_len), *later_contexts = stage.batch.contexts(stage.steps)
    data = StageData(
        draws=stage.draws(),
        seed=stage.seed,
        seq_len=seq_len,
        unit=unit_of(plan, stage),
        history=histories(plan, stage),
        holdout={name: plan.sources[name].holdout for name in stage.mixture.sources},
        later_contexts=tuple(later_contexts),
        packing=stage.packing,
    )
    try:
        return StageReader(data, sources)
    except ValueError as error:
        raise RunError(f"stage `{stage.name}`: {error}") from None


def draw(reader: StageReader, step: int, micro_batch_seqs: int) -> Drawn:
    """Make the arrays of a step: the same whenever and wherever they are asked for."""
    rows = reader.rows(step)
    cuts = [*range(0, len(rows), micro_batch_seqs), len(rows)]
    packed = tuple(reader.pack(rows[start:end]) for start, end in pairwise(cuts))
    return Drawn(packed, reader.drawn_hash(rows))


def drawing(
    plan: Plan, stage: Stage, sources: Mapping[str, Source], launch: Launch, device: str
) -> Callable[[int], Drawn]:
    """Return what makes the arrays of any step of a stage, cut as the launch says."""
    reader = open_reader(plan, stage, sources)

    def make(step: int) -> Drawn:
        now = stage.at(step)
        return draw(reader, step, launch.micro_batch(device, now.batch_seqs, now.seq_len))

    return make


def histories(plan: Plan, stage: Stage) -> dict[str, list[Reads]]:
    """Return what the ancestors of a stage read of each source, furthest first.

    Reading goes on where ancestors of the same seed left it; a stage with a seed of its own deals
    the documents anew.
    """
    found: dict[str, list[Reads]] = {}
    if stage.own_seed:
        return found
    for ancestor, left_at in plan.ancestors(stage.name):
        if ancestor.seed != stage.seed:
            continue
        draws, unit = ancestor.draws(), unit_of(plan, ancestor)
        contexts = [*ancestor.batch.contexts(left_at), (left_at, 0)]
        for (first_step, seq_len), (end_step, _) in pairwise(contexts):
            before = draws.before(first_step)
            for source, rows in draws.before(end_step).items():
                if rows > before[source]:
                    reads = Reads(seq_len, rows - before[source], unit, ancestor.packing)
                    found.setdefault(source, []).append(reads)
    return found


def unit_of(plan: Plan, stage: Stage) -> Unit:
    """Return what a stage's positions are: the LLM's, or a ViT's patches."""
    return "vit" if plan.modules[stage.count].shape.kind == "vit" else "llm"
