"""The layout that a stage says or keeps, and whether every batch and context fits it"""

from curriculum.compile_batch import Entry
from curriculum.compile_budget import Laid
from curriculum.compile_state import Kept, State
from curriculum.errors import Related
from curriculum.layout import Layout
from curriculum.nodes import UNSCALED
from curriculum.spec import LayoutSpec, StageSpec


def layout_of(spec: StageSpec, kept: Kept | None) -> LayoutSpec | None:
    """Return the layout that a stage says, or the ancestor's that it keeps; None for `none`."""
    said = spec.layout or (kept[0].layout if kept else None)
    return said if said is not None and said.numbers else None


def layout_in_plan(said: LayoutSpec | None) -> Layout | None:
    """Return the layout of the run that the plan is; a proxy has none of the run it stands for."""
    return None if said is None or said.scale != UNSCALED else Layout(**said.numbers)


def check_layout(state: State, spec: StageSpec, said: LayoutSpec, laid: Laid) -> None:
    """Hold that every entry of the batch is whole micro-batches of all ranks.

    What is said below a proxy's scale is held to the batches there.
    """
    if said.scale != UNSCALED:
        found = state.below(said.scale.depth).problems
        state.problems += [p for p in found if p.related == _there(said)]
        return
    layout = Layout(**said.numbers)
    for entry in laid.entries:
        _check_batch(state, said, layout, entry)
        if not layout.fits_context(entry.seq_len):
            part = 2 * layout.cp
            below = entry.seq_len // part * part
            state.report(
                "layout",
                f"a context of {entry.seq_len:,} is not a multiple of 2 x cp = {part}",
                spec.seq_len.span if spec.seq_len else entry.span,
                " or ".join(f"{n:,}" for n in (below, below + part) if n) + " fit",
                _there(said),
            )


def _check_batch(state: State, said: LayoutSpec, layout: Layout, entry: Entry) -> None:
    unit = f"dp x micro = {layout.dp} x {layout.micro} = {layout.unit_seqs:,}"
    if layout.accumulation is not None:
        whole = layout.unit_seqs * layout.accumulation
        factors = f"{layout.dp} x {layout.micro} x {layout.accumulation}"
        unit = f"dp x micro x accumulation = {factors} = {whole:,}"
    if not layout.fits(entry.batch_seqs):
        near = " or ".join(f"{n:,}" for n in layout.nearest(entry.batch_seqs))
        relation = "a multiple of " if layout.accumulation is None else ""
        state.report(
            "layout",
            f"a batch of {entry.batch_seqs:,} sequences is not {relation}{unit}",
            entry.span,
            f"{near} sequences fit",
            _there(said),
        )
    elif entry.climb and layout.accumulation is not None:
        state.report(
            "layout",
            f"a ramp has batches other than {unit}",
            entry.climb.span,
            "say `accumulation: varies`",
            _there(said),
        )
    elif entry.climb and not layout.fits(entry.climb.by_seqs):
        near = " or ".join(f"{n:,}" for n in layout.nearest(entry.climb.by_seqs))
        state.report(
            "layout",
            f"levels of {entry.climb.by_seqs:,} sequences are not a multiple of {unit}",
            entry.climb.span,
            f"levels of {near} sequences fit",
            _there(said),
        )


def _there(said: LayoutSpec) -> tuple[Related, ...]:
    return (Related("the layout", said.span),)
