"""A rule about widths: a projector is as wide as the ViT and the LLM that it stands between

ViT: hidden a patch -- merge x merge side by side --> projector --> LLM: hidden a position
"""

from collections.abc import Iterator

from curriculum.check.places import related_place
from curriculum.errors import Diagnostic, Severity
from curriculum.models.counted_shape import CountedShape
from curriculum.models.published_vision import projector_widths
from curriculum.models.shapes import Shape, VitShape
from curriculum.plan import Plan, Stage


def projectors_fit_their_neighbours(plan: Plan) -> Iterator[Diagnostic]:
    """The projector of a stage is as wide as what it stands between: it reads the merged patches of
    the ViT, and writes embeddings of the LLM."""
    told: set[tuple[Shape, Shape]] = set()
    for stage in plan.stages:
        by_kind = {plan.modules[module].shape.kind: module for module in stage.init}
        if "projector" not in by_kind:
            continue
        projector = plan.shape_of(stage, by_kind["projector"])
        if (widths := projector_widths(projector)) is None:
            continue
        for kind, own, does in (("vit", widths[0], "reads"), ("llm", widths[1], "writes")):
            if kind not in by_kind:
                continue
            shape = plan.shape_of(stage, by_kind[kind])
            width = _beside(shape)
            if width in (None, own) or (projector, shape) in told:
                continue
            told.add((projector, shape))
            yield _finding(plan, stage, by_kind, kind, f"{does} a width of {own}", shape)


def _finding(
    plan: Plan, stage: Stage, by_kind: dict[str, str], kind: str, what: str, shape: Shape
) -> Diagnostic:
    projector, other = by_kind["projector"], by_kind[kind]
    wide = f"{_beside(shape)} ({_patches(shape)})" if kind == "vit" else f"{_beside(shape)}"
    return Diagnostic(
        "projectors-fit-their-neighbours",
        f"the projector `{projector}` of stage `{stage.name}` {what}, and "
        f"{'a position' if kind == 'vit' else 'an embedding'} of `{other}` has {wide}",
        plan.place(f"modules.{projector}"),
        "choose the preset that was made for both, or say what is known of another one: "
        "{kind: projector, params: 27M}",
        Severity.WARNING,
        related_place(plan, "the width beside it", f"modules.{other}"),
    )


def _beside(shape: Shape) -> int | None:
    """Return the width that a projector meets: of merged patches, or of an embedding."""
    hidden: int | None = getattr(shape, "hidden", None)
    if not isinstance(shape, VitShape | CountedShape) or shape.kind != "vit":
        return hidden
    return None if hidden is None or shape.merge is None else hidden * shape.merge**2


def _patches(shape: Shape) -> str:
    assert isinstance(shape, VitShape | CountedShape)
    side = shape.merge
    return f"{side} x {side} patches of {shape.hidden}"
