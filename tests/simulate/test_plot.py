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
from curriculum.simulate.areas import MOST_AREAS, areas, named
from curriculum.simulate.plot import STYLE, draw, figure
from curriculum.simulate.timeline import outline
from simulate.plans import full_plan, laptop_plan
from small import right

FOLDER = Path(__file__).parents[2]


def published(name: str) -> Plan:
    return right(compile_file(FOLDER / "plans" / f"{name}.yaml"))


def example(name: str) -> Plan:
    return right(compile_file(FOLDER / "docs" / "language" / f"{name}.yaml"))


NAMES = (
    "smollm3-3b", "marin-8b", "minimax-text-01", "olmo2-7b", "smolvlm-256m", "deepseek-v3",
    "llama-3.1-405b", "molmo-7b",
)  # fmt: skip
PLANS: Mapping[str, Callable[[], Plan]] = {
    "full": full_plan,
    "laptop": laptop_plan,
    "rope": partial(example, "rope"),
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
    return [axes for axes in whole.axes if axes.axison and not is_right(axes)]


def is_right(axes: Axes) -> bool:
    return axes.yaxis.get_ticks_position() == "right"


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
        "sequences\nper step (log)",
        "share of tokens [%]",
        "context\n[tokens, log]",
        "RoPE base\n(log)",
    ]
    for axes in panels(page(name)):
        low, high = axes.get_ylim()
        heights = [float(y) for line in axes.lines for y in np.asarray(line.get_ydata())]
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
        inside = 0 <= box.x0 < box.x1 <= whole.bbox.x1 and 0 <= box.y0 < box.y1 <= whole.bbox.y1
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
        if legend is None:
            assert "context" in axes.get_ylabel()  # one line, named by its axis
            continue
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
    soup = "composed, without steps: soup (llm: average of seed-42, seed-42069, seed-666)"
    assert soup in " ".join(t.get_text() for t in page("olmo2-7b").texts)
    batch = panels(page("marin-8b"))[1].lines
    (line,) = (line for line in batch if str(line.get_label()).startswith("sequences"))
    gaps = np.isnan(np.asarray(line.get_ydata(), dtype=float))
    assert gaps.sum() == 8  # where a stage does not go on from the one before it


@pytest.mark.parametrize("name", ["smollm3-3b", "marin-8b"])
def test_of_many_sources_the_largest_are_named_and_the_rest_is_one_area(name: str) -> None:
    plan = PLANS[name]()
    table = outline(plan)
    shown = {area.name for area in named(areas(plan, table, "source"))}
    assert len(shown) == MOST_AREAS
    shares = {c.removeprefix("ratio."): table[c].max() for c in table.columns if "ratio." in c}
    others = {source: float(str(x)) for source, x in shares.items() if source not in shown and x}
    assert max(others.values()) <= min(float(str(shares[source])) for source in shown)
    legend = panels(page(name))[2].get_legend()
    assert legend is not None
    words = [t.get_text() for t in legend.get_texts()]
    assert words[0] == f"{len(others)} smaller sources"
    assert sorted(words[1:]) == sorted(shown)


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("minimax-text-01", ["10K", "5M", "10M"]),
        ("marin-8b", ["10K", "500K llama3 x8"]),
        ("full", ["50K", "50K", "800K"]),
        ("rope", ["10K", "50K", "50K yarn x8", "50K yarn x16"]),
    ],
)
def test_every_rope_base_is_written_where_it_begins(name: str, bases: list[str]) -> None:
    found = [t for t in texts(page(name)) if t.get_gid() == "rope"]
    assert [t.get_text() for t in found] == bases


@pytest.mark.parametrize("name", PLANS)
def test_rope_bases_cover_neither_each_other_nor_a_line(name: str) -> None:
    *_, axes = panels(page(name))
    boxes = [extent(t) for t in texts(page(name)) if t.get_gid() == "rope"]
    assert boxes
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for line in axes.lines:
        if len(set(np.asarray(line.get_ydata()))) > 1:
            continue  # the border of a stage
        (left, y), (right, _) = axes.transData.transform(np.asarray(line.get_xydata()))
        assert not any(box.overlaps(Bbox([[left + 1, y - 1], [right - 1, y + 1]])) for box in boxes)


@pytest.mark.parametrize("name", PLANS)
def test_tokens_per_step_have_their_axis_on_the_right(name: str) -> None:
    (tokens,) = (axes for axes in page(name).axes if is_right(axes))
    stages = PLANS[name]().stages
    pieces = [(s, p) for s in stages for p in s.batch.pieces if p.first_step < s.steps]
    (line,) = tokens.lines
    drawn = np.asarray(line.get_ydata(), dtype=float)
    assert np.nanmax(drawn) == max(p.tokens_per_step for _, p in pieces)
    assert np.nanmin(drawn) == min(p.tokens_per_step for _, p in pieces)
    seqs = panels(page(name))[1]
    (low, high), (least, most) = seqs.get_ylim(), tokens.get_ylim()
    assert high / low == pytest.approx(most / least)  # a factor is as high on both sides
    legend = seqs.get_legend()
    assert legend is not None
    words = [t.get_text() for t in legend.get_texts()]
    assert words == ["sequences (left)", "tokens (right)"]


@pytest.mark.parametrize("name", PLANS)
def test_marks_of_levels_do_not_touch(name: str) -> None:
    for axes in (*panels(page(name)), *(a for a in page(name).axes if is_right(a))):
        labels = [t for t in axes.get_yticklabels() if t.get_text()]
        low, high = axes.get_ylim()
        boxes = [extent(t) for t in labels if low <= t.get_position()[1] <= high]
        for one, other in itertools.pairwise(sorted(boxes, key=lambda box: box.y0)):
            assert one.y1 <= other.y0 + 4  # of their extent, which is more than a digit's height


def test_the_level_that_holds_longest_is_marked_and_so_are_the_ends() -> None:
    context = panels(page("minimax-text-01"))[3]
    assert [t.get_text() for t in context.get_yticklabels()] == ["8Ki", "128Ki", "1Mi"]


def test_the_scale_of_the_learning_rate_can_be_asked_for() -> None:
    plan = PLANS["full"]()
    with rc_context(STYLE):  # type: ignore[arg-type]
        straight = panels(figure(plan, outline(plan), scale="linear"))[0]
    assert (straight.get_yscale(), straight.get_ylabel()) == ("linear", "learning rate")
    assert panels(page("full"))[0].get_yscale() == "log"


def test_no_end_of_a_curve_is_below_the_foot_of_a_logarithmic_axis() -> None:
    axes = panels(page("molmo-7b"))[0]
    low, _ = axes.get_ylim()
    ends = [
        float(np.asarray(line.get_ydata())[-1]) for line in axes.lines if line.get_linewidth() > 1.5
    ]
    assert len(ends) == 5
    assert min(ends) > low


def test_areas_may_be_groups() -> None:
    plan = published("kimi-vl")
    with rc_context(STYLE):  # type: ignore[arg-type]
        legend = panels(figure(plan, outline(plan), by="group"))[2].get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "groups"
    assert "multimodal" in [t.get_text() for t in legend.get_texts()]


def test_a_stage_whose_end_waits_for_a_check_ends_in_a_diamond() -> None:
    strip = next(axes for axes in page("llama-3.1-405b").axes if not axes.axison)
    assert [line.get_marker() for line in strip.lines] == ["D"] * 6
    said = " ".join(t.get_text() for t in page("llama-3.1-405b").texts)
    assert "a diamond: the stage goes on until a check is met (gate)" in said


def test_outside_checkpoints_are_named() -> None:
    said = " ".join(t.get_text() for t in page("smolvlm-256m").texts)
    assert "outside checkpoints: siglip, smollm2" in said
    assert "from smollm2, siglip" in said_in("smolvlm-256m")


def test_a_plan_of_one_stage_is_not_of_stages() -> None:
    plan = full_plan()
    alone = replace(plan, stages=plan.stages[:1])
    said = [t.get_text() for t in figure(alone, outline(alone)).texts]
    assert any("5.2T tokens, 1 stage, " in text for text in said)


def test_the_page_is_as_high_as_what_stands_on_it() -> None:
    assert page("marin-8b").bbox.height > page("full").bbox.height > 1000
    for name in ("marin-8b", "full"):
        assert panels(page(name))[0].get_window_extent().height == pytest.approx(210, abs=1)


def test_borders_of_stages_are_told_apart_by_digits() -> None:
    for name in PLANS:
        labels = [t.get_text() for t in panels(page(name))[-1].get_xticklabels()]
        assert len(labels) == len(set(labels))


def test_rates_that_nobody_knows_are_said_to_be_unknown() -> None:
    plan = published("kimi-k2.5")
    with rc_context(STYLE):  # type: ignore[arg-type]
        whole = figure(plan, outline(plan))
    assert any("no learning rate is known" in t.get_text() for t in whole.texts)
    assert len(panels(whole)) == 4


def test_a_panel_with_nothing_to_show_is_left_out() -> None:
    plan = full_plan()
    coca = replace(plan, stages=(plan.stage("vit-coca"),))
    assert len(panels(figure(coca, outline(coca)))) == 4


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


def test_a_module_keeps_its_colour_through_all_stages(tmp_path: Path) -> None:
    """In `vit-coca` and `vit-align` the ViT leads its line, whoever else shares it there."""
    text = (Path(__file__).parents[2] / "plans" / "kimi-vl.yaml").as_posix()
    plan = compile_file(Path(text)).plan
    assert plan is not None
    picture = tmp_path / "lr.svg"
    draw(plan, outline(plan), picture, by="source", scale=None)
    words = picture.read_text(encoding="utf-8")
    for label in ("llm, at times vit, projector", "vit, at times text_tower,"):
        assert label in words
