"""Which stage of one plan is which of another: by name, or the same under another name"""

import json
from collections.abc import Mapping
from typing import Any

from curriculum.composed import ComposedStage
from curriculum.lock_json import composed_json, stage_json
from curriculum.paths import in_order
from curriculum.plan import Plan, Stage

AnyStage = Stage | ComposedStage


def stages_of(plan: Plan) -> dict[str, AnyStage]:
    """Return all stages by name, each behind its parents."""
    return {stage.name: stage for stage in in_order(plan)}


def pairs(a: Plan, b: Plan) -> dict[str, str]:
    """Return, for the name of a stage of `a`, its name in `b`; what is gone is not in it.

    A stage under another name says the same in all else, its parents under their names. Where such
    stages come in another order than before, none counts as renamed: data are read on in order.
    """
    olds, news = stages_of(a), stages_of(b)
    known = {name: name for name in olds if name in news}
    free = {name: stage for name, stage in news.items() if name not in olds}
    renamed: dict[str, str] = {}
    for name, stage in olds.items() if free else ():
        if name in known:
            continue
        words = _content(stage, {**known, **renamed})
        alike = [new for new, other in free.items() if _content(other, {}) == words]
        if len(alike) == 1:
            renamed[name] = alike[0]
            del free[alike[0]]
    together = {**known, **renamed}
    places = {name: place for place, name in enumerate(news)}
    order = [places[together[name]] for name in olds if name in together]
    return together if order == sorted(order) else known


def _content(stage: AnyStage, names: Mapping[str, str]) -> str:
    """Write all that a stage says but its name, the stages that it names as they are called now."""
    names = {**names, stage.name: ""}

    def called(name: str | None) -> str | None:
        return name if name is None else names.get(name, name)

    def starts(rows: Mapping[str, Any]) -> dict[str, Any]:
        return {m: [[called(first), *rest] for first, *rest in found] for m, found in rows.items()}

    if isinstance(stage, ComposedStage):
        said = composed_json(stage)
        said["averages"] = starts(said["averages"])
    else:
        said = stage_json(stage)
        said["init"] = {m: [called(first), *rest] for m, (first, *rest) in said["init"].items()}
        said["rides"] = {t: [row[0], called(row[1]), *row[2:]] for t, row in said["rides"].items()}
    if "among" in said:
        said["among"] = starts(said["among"])
    said["name"] = ""
    return json.dumps(said, sort_keys=True)
