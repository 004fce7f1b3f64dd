"""What a stage costs in FLOPs, module by module; None where the plan does not say

The convention is `models/flops.py`'s (6 N_active + attention over every pair of positions), with
what a plan adds to it:

- the LLM's attention sees the whole packed sequence (`seq_len`), documents' borders ignored; the
  ViT's sees one image of the size of its position grid, or the sequence where that is shorter;
- image positions are what a source's `image_share` says; each was merge x merge ViT patches;
- a frozen module costs its forward pass, and the gradient of its inputs where a trained module
  stands before it. A module of which only parts are trained counts as frozen with gradient through;
  its adapters cost 6 of their own parameters beside it.

How many caption tokens belong to an image no plan says: text tower and captioner are None. So is a
ViT known by counts that does not say how many patches `merge` into one position.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import pairwise

from curriculum.models.adapters import PART
from curriculum.models.counted_shape import CountedShape
from curriculum.models.flops import (
    Gradient,
    lacks_attention,
    patches_per_position,
    train_flops_per_token,
)
from curriculum.models.shapes import Shape, VitShape
from curriculum.plan import Plan, Stage

# What each kind of module reads from, nearest first; gradient flows back along these.
_BEFORE = {
    "vit": (),
    "projector": ("vit",),
    "llm": ("projector", "vit"),
    "captioner": ("vit",),
    "text_tower": (),
}


def stage_flops(plan: Plan, stage: Stage) -> dict[str, int | None]:
    """Return the FLOPs of all steps of a stage for every module that is there, frozen ones too."""
    shapes = {name: plan.shape_of(stage, name) for name in stage.modules}
    counted = shapes[stage.count].kind if stage.count in shapes else stage.count
    patches = next((patches_per_position(s) for s in shapes.values() if s.kind == "vit"), 1)
    # In LLM positions, each of some patches; where the ViT counts, all tokens are patches.
    images = image_positions(plan, stage)
    if counted == "vit":
        images = None if patches is None else Fraction(stage.tokens, patches)
    flops: dict[str, int | None] = {}
    for name, shape in shapes.items():
        how = gradient(stage, name, shapes)
        extra = _adapter_flops_per_token(stage, name, shape, how)
        match shape.kind:
            case "llm" if counted == "llm":
                flops[name] = _packed(stage, shape, how) + stage.tokens * extra
            case "vit" if counted == "vit":
                flops[name] = stage.tokens * (_per_patch(stage, shape, how, 1) + extra)
            case "vit" if images is not None and patches is not None:
                each = _per_patch(stage, shape, how, patches) + extra
                flops[name] = int(images * patches * each)
            case "projector":
                each = train_flops_per_token(shape, 0, how) + extra
                flops[name] = None if images is None else int(images * each)
            case _:
                flops[name] = None
    return flops


def known_flops(flops: Mapping[str, int | None]) -> tuple[int, tuple[str, ...]]:
    """Return the sum over the modules whose cost is known, and the names of the others.

    >>> known_flops({"llm": 6, "vit": None})
    (6, ('vit',))
    """
    missing = tuple(name for name, count in flops.items() if count is None)
    return sum(count for count in flops.values() if count is not None), missing


def without_attention(plan: Plan) -> tuple[str, ...]:
    """Return the modules whose FLOPs leave attention out: their heads and layers are not said."""
    return tuple(name for name, module in plan.modules.items() if lacks_attention(module.shape))


def image_positions(plan: Plan, stage: Stage) -> Fraction | None:
    """Return the LLM positions of a stage that images fill, exactly; None where nobody says."""
    shares = {name: plan.sources[name].image_share for name in stage.mixture.sources}
    with_images = {
        name: share
        for name, share in shares.items()
        if share or (share is None and plan.sources[name].modality != "text")
    }
    total = Fraction(0)
    if not with_images:
        return total
    read = stage.mixture.ideal_tokens(stage.steps)
    for name, share in with_images.items():
        if share is None and read[name]:
            return None
        total += read[name] * (share or 0)
    return total


def without_share(plan: Plan, stage: Stage) -> tuple[str, ...]:
    """Return the sources with images that a stage reads and that do not say their `image_share`."""
    read = stage.mixture.ideal_tokens(stage.steps)
    named = {name: plan.sources[name] for name in stage.mixture.sources if read[name]}
    return tuple(n for n, s in named.items() if s.image_share is None and s.modality != "text")


def gradient(stage: Stage, name: str, shapes: Mapping[str, Shape]) -> Gradient:
    """Return how much of the backward pass a module of a stage takes part in."""
    if name in stage.train:
        return Gradient.TRAINED
    before = _BEFORE.get(shapes[name].kind, ())
    upstream = [other for other, shape in shapes.items() if shape.kind in before]
    through = _trains_any(stage, [name, *upstream])
    return Gradient.THROUGH if through else Gradient.NONE


def _trains_any(stage: Stage, names: Iterable[str]) -> bool:
    modules = {target.partition("/")[0] for target in stage.train}
    return any(name in modules for name in names)


def _adapter_flops_per_token(stage: Stage, name: str, shape: Shape, how: Gradient) -> int:
    """What adapters add to a module: 6, 4 or 2 of their active parameters, as for any weight."""
    if name not in stage.lifecycle.adapters:
        return 0
    params = stage.lifecycle.adapters[name].num_params(shape, active=True)
    if {name, f"{name}/{PART}"} & set(stage.train):
        return 6 * params
    return (2 if how is Gradient.NONE else 4) * params


def _packed(stage: Stage, shape: Shape, how: Gradient) -> int:
    """FLOPs of all steps of a module that reads the packed sequences."""
    contexts = stage.batch.contexts(stage.steps)
    marks = [*(stage.batch.tokens_before(first) for first, _ in contexts), stage.tokens]
    return sum(
        (end - start) * train_flops_per_token(shape, seq_len, how)
        for (start, end), (_, seq_len) in zip(pairwise(marks), contexts, strict=True)
    )


def _per_patch(stage: Stage, shape: Shape, how: Gradient, patches_per_token: int) -> int:
    """FLOPs of a ViT for one patch, which sees an image, or a sequence where that is shorter."""
    shortest = min(seq_len for _, seq_len in stage.batch.contexts(stage.steps))
    if isinstance(shape, CountedShape):
        image = shape.image_patches or 0
    else:
        assert isinstance(shape, VitShape)
        image = shape.position_rows * shape.position_columns
    return train_flops_per_token(shape, min(image, shortest * patches_per_token), how)
