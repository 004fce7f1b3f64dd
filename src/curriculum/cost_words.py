"""What the FLOPs of a plan count, in words: what attention sees, and what is left out"""

from collections.abc import Iterator

from curriculum.cost import (
    image_positions,
    known_flops,
    stage_flops,
    without_attention,
    without_share,
)
from curriculum.models.counted_shape import CountedShape
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.flops import lacks_attention
from curriculum.models.shapes import Shape, VitShape
from curriculum.plan import Plan

MOST_NAMED = 8  # sources without an `image_share`
CONVENTION = "6 N_active (2 or 4 where frozen) + attention, nothing recomputed"


def convention_lines(plan: Plan) -> list[str]:
    """Say what a plan's FLOPs count, a line each; `cost.py` counts so."""
    lines = [CONVENTION]
    for name in plan.modules:
        shapes = dict.fromkeys(plan.shape_of(s, name) for s in plan.stages if name in s.modules)
        for shape in shapes:
            if not lacks_attention(shape):
                lines += [f"attention of {name}: {words}" for words in _seen(shape)]
    if lacking := ", ".join(without_attention(plan)):
        lines.append(f"without the attention of {lacking}: no heads and layers are said")
    return list(dict.fromkeys(lines))


def missing_lines(plan: Plan) -> list[str]:
    """Say what `+` behind a number of FLOPs means, and what would make it whole; none without."""
    missing: dict[str, None] = {}
    unsaid: dict[str, None] = {}
    for stage in plan.stages:
        names = known_flops(stage_flops(plan, stage))[1]
        missing |= dict.fromkeys(names)
        kinds = {plan.modules[name].shape.kind for name in names}
        if kinds & {"vit", "projector"} and image_positions(plan, stage) is None:
            unsaid |= dict.fromkeys(without_share(plan, stage))
    if not missing:
        return []
    lines = [f"+: and more, not known of {', '.join(missing)}"]
    if unsaid:
        first, more = ", ".join(list(unsaid)[:MOST_NAMED]), len(unsaid) - MOST_NAMED
        others = f" and {more:,} more" if more > 0 else ""
        lines.append(f"say the `image_share` of {first}{others}: how much of them is images")
    return lines


def _seen(shape: Shape) -> Iterator[str]:
    """Say what one attention of a module sees; nothing where no plan says how often it runs."""
    if shape.kind == "llm":
        seen = "a token sees the whole context, other documents and later tokens too"
        if isinstance(shape, DenseDecoderShape) and shape.window is not None:
            windows = [shape.window_of(layer) for layer in range(shape.num_layers)]
            local = sum(window is not None for window in windows)
            seen += f"; in {local} of {shape.num_layers} layers a window of {shape.window:,}"
        yield seen
    elif isinstance(shape, VitShape):
        size = f"{shape.position_rows} x {shape.position_columns}"
        yield f"a patch sees an image of {size} patches at most"
    elif isinstance(shape, CountedShape) and shape.image_patches is not None:
        yield f"a patch sees an image of {shape.image_patches:,} patches at most"
