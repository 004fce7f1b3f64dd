import itertools
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from curriculum.compile import compile_file
from curriculum.plan import Plan
from curriculum.simulate.colours import MOST_SOURCES, named_sources
from curriculum.simulate.plot import STYLE, draw, figure
from curriculum.simulate.timeline import outline
from simulate.plans import full_plan, laptop_plan
from small import right

FOLDER = Path(__file__).parents[2] / "plans"


def published(name: str) -> Plan:
    return right(compile_file(FOLDER / f"{name}.yaml"))


NAMES = ("smollm3-3b", "marin-8b", "minimax-text-01", "olmo2-7b", "smolvlm-256m")
PLANS: Mapping[str, Callable[[], Plan]] = {
    "full": full_plan,
    "laptop": laptop_plan,
    **{name: partial(published, name) for name in NAMES},
}


@cache
def page(name: str) -> Figure:
    plan = PLANS[name]()
    with rc_context(STYLE):  # type: ignore[arg-type]
        whole = figure(plan, outline(plan))
        whole.canvas.draw()
        return whole


def panels(whole: Figure) -> list[Axes]:
    return [axes for axes in whole.axes if axes.axison]


def extent(text: Text) -> Bbox:
    return text.get_window_extent()


def texts(whole: Figure) -> list[Text]:
    found = [t for t in whole.findobj(Text) if isinstance(t, Text)]
    ticks = [t for axes in panels(whole) for t in axes.get_xticklabels()]
    upper = {id(t) for axes in panels(whole)[:-1] for t in axes.get_xticklabels()}
    assert ticks
    return [t for t in found if t.get_text() and t.get_visible() and id(t) not in upper]


@pytest.mark.parametrize("name", PLANS)
def test_every_panel_shows_something_and_names_its_unit(name: str) -> None:
    labels = [axes.get_ylabel() for axes in panels(page(name))]
    assert [label.replace("rate (log)", "rate") for label in labels] == [
        "learning rate",
        "sequences;\ntokens (log2)",
        "share of tokens [%]",
        "RoPE base\n(log)",
    ]
    for axes in panels(page(name)):
        low, high = axes.get_ylim()
        lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
        heights = [float(y) for line in lines for y in np.asarray(line.get_ydata())]
        shown = [y for y in heights if low < y < high]
        assert shown or axes.collections


@pytest.mark.parametrize("name", PLANS)
def test_every_stage_is_named_and_no_name_covers_another(name: str) -> None:
    whole = page(name)
    names = [t for t in texts(whole) if t.get_gid() == "stage"]
    assert [t.get_text() for t in names] == [s.name for s in PLANS[name]().stages]
    boxes = [extent(t) for t in names]
    for one, other in itertools.pairwise(boxes):
        assert one.x1 < other.x0


@pytest.mark.parametrize("name", PLANS)
def test_no_text_is_cut_off_at_the_edge(name: str) -> None:
    whole = page(name)
    for text in texts(whole):
        box = extent(text)
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1600 and box.y1 <= 1000
        assert inside, (text.get_text(), box)


@pytest.mark.parametrize("name", PLANS)
def test_labels_of_the_token_axis_do_not_touch(name: str) -> None:
    whole = page(name)
    labels = [t for t in panels(whole)[-1].get_xticklabels() if t.get_text()]
    boxes = [extent(t) for t in labels]
    assert len(boxes) >= 8
    for one, other in itertools.pairwise(boxes):
        assert one.x1 < other.x0


@pytest.mark.parametrize("name", PLANS)
def test_legends_stand_outside_the_data_and_apart(name: str) -> None:
    whole = page(name)
    boxes = []
    for axes in panels(whole):
        legend = axes.get_legend()
        assert legend is not None
        box = legend.get_window_extent()
        assert box.x0 > axes.get_window_extent().x1
        boxes.append(box)
    for upper, lower in itertools.pairwise(boxes):
        assert lower.y1 < upper.y0


def test_the_axis_says_when_it_is_not_to_scale() -> None:
    assert "not to scale" in panels(page("full"))[-1].get_xlabel()
    plan = full_plan()
    alone = replace(plan, stages=plan.stages[:1])
    with rc_context(STYLE):  # type: ignore[arg-type]
        label = panels(figure(alone, outline(alone)))[-1].get_xlabel()
    assert "tokens" in label
    assert "not to scale" not in label


def test_the_subtitle_says_what_runs_side_by_side() -> None:
    said = [t.get_text() for t in page("full").texts]
    assert any(t.startswith("text and vit-coca run side by side") for t in said)


def said_in(name: str) -> list[str]:
    return [t.get_text() for t in texts(page(name))]


def test_a_stage_says_what_it_starts_from_where_that_is_not_the_one_before() -> None:
    assert sum(text == "from jellyfish, side" for text in said_in("marin-8b")) == 3
    assert sum(text == "from stage1" for text in said_in("olmo2-7b")) == 2
    assert not any("from" in text for text in said_in("minimax-text-01"))
    assert any("composed, without steps: soup" in text for text in said_in("olmo2-7b"))
    batch = panels(page("marin-8b"))[1].lines
    (line,) = (line for line in batch if str(line.get_label()).startswith("batch"))
    gaps = np.isnan(np.asarray(line.get_ydata(), dtype=float))
    assert gaps.sum() == 8  # where a stage does not go on from the one before it


@pytest.mark.parametrize("name", ["smollm3-3b", "marin-8b"])
def test_of_many_sources_the_largest_are_named_and_the_rest_is_one_area(name: str) -> None:
    plan = PLANS[name]()
    table = outline(plan)
    named = named_sources(plan, table)
    assert len(named) == MOST_SOURCES
    shares = {c.removeprefix("ratio."): table[c].max() for c in table.columns if "ratio." in c}
    others = {source: float(str(x)) for source, x in shares.items() if source not in named and x}
    assert max(others.values()) <= min(float(str(shares[source])) for source in named)
    legend = panels(page(name))[2].get_legend()
    assert legend is not None
    words = [t.get_text() for t in legend.get_texts()]
    assert words[0] == f"{len(others)} smaller sources"
    assert sorted(words[1:]) == sorted(named)


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("minimax-text-01", ["10K", "5M", "10M"]),
        ("marin-8b", ["10K", "500K llama3 x8"]),
        ("full", ["50K", "50K", "800K"]),
    ],
)
def test_every_rope_base_is_written_where_it_begins(name: str, bases: list[str]) -> None:
    found = [t for t in texts(page(name)) if t.get_gid() == "rope"]
    assert [t.get_text() for t in found] == bases


def test_borders_of_stages_are_told_apart_by_digits() -> None:
    for name in PLANS:
        labels = [t.get_text() for t in panels(page(name))[-1].get_xticklabels()]
        assert len(labels) == len(set(labels))


def test_rates_that_nobody_knows_are_said_to_be_unknown() -> None:
    plan = published("kimi-k2.5")
    with rc_context(STYLE):  # type: ignore[arg-type]
        whole = figure(plan, outline(plan))
    assert any("no learning rate is known" in t.get_text() for t in whole.texts)
    assert len(panels(whole)) == 3


def test_a_panel_with_nothing_to_show_is_left_out() -> None:
    plan = full_plan()
    coca = replace(plan, stages=(plan.stage("vit-coca"),))
    assert len(panels(figure(coca, outline(coca)))) == 3


def test_many_stages_are_named_upright() -> None:
    plan = full_plan()
    text = plan.stage("text")
    many = replace(plan, stages=tuple(replace(text, name=f"web-part-{i:02}") for i in range(24)))
    with rc_context(STYLE):  # type: ignore[arg-type]
        whole = figure(many, outline(many, 20))
        whole.canvas.draw()
    names = [t for t in texts(whole) if t.get_gid() == "stage"]
    assert {t.get_rotation() for t in names} == {90.0}
    boxes = [extent(t) for t in names]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("size", [(1600, 1000), (1200, 900)])
def test_a_png_has_the_size_that_was_asked_for(tmp_path: Path, size: tuple[int, int]) -> None:
    plan: Plan = laptop_plan()
    draw(plan, outline(plan), tmp_path / "run.png", size)
    head = (tmp_path / "run.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:24]) == size
    assert [path.name for path in tmp_path.iterdir()] == ["run.png"]


def test_an_svg_is_the_same_twice(tmp_path: Path) -> None:
    plan = laptop_plan()
    for name in ("a.svg", "b.svg"):
        draw(plan, outline(plan), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()
