from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curriculum.data.store import Source
from curriculum.data.stream import Reads
from curriculum.errors import RunError
from curriculum.models.shapes import DecoderShape, VitShape
from curriculum.plan import Start
from curriculum.train.feed import draw, histories, open_data, open_reader, unit_of
from train.worlds import world_plan, world_sources, write_world


@pytest.fixture(scope="module")
def sources() -> dict[str, Source]:
    return world_sources()


def test_reading_goes_on_where_the_ancestors_left_it() -> None:
    plan = world_plan()
    found = histories(plan, plan.stage("joint"))
    text, coca = plan.stage("text"), plan.stage("vit-coca")
    drawn = text.draws().before(text.steps)
    assert found["english"] == [Reads(16, drawn["english"], "llm")]
    assert found["captions"][0] == Reads(32, coca.draws().before(coca.steps)["captions"], "vit")


def test_an_ancestor_counts_up_to_the_mark_it_was_left_at() -> None:
    plan = world_plan()
    joint = plan.stage("joint")
    early = replace(joint, init={**joint.init, "llm": Start("text", 3)})
    # The align stage still needs all of `text`: without it nothing else does.
    stages = tuple(early if s.name == "joint" else s for s in plan.stages if s.name != "align")
    early = replace(early, init={"llm": Start("text", 3)})
    stages = tuple(early if s.name == "joint" else s for s in stages)
    found = histories(replace(plan, stages=stages), early)
    text = plan.stage("text")
    assert sum(r.rows for reads in found.values() for r in reads) == 3 * text.at(0).batch_seqs


def test_a_seed_of_its_own_deals_anew() -> None:
    plan = world_plan()
    own = replace(plan.stage("joint"), own_seed=True, seed=5)
    assert histories(plan, own) == {}
    other = replace(plan.stage("joint"), seed=5)  # kept from an ancestor that dealt anew
    assert histories(plan, other) == {}


def test_no_document_is_read_twice_along_a_path(sources: dict[str, Source]) -> None:
    plan = world_plan()
    seen: set[tuple[int, int, int]] = set()
    for stage in plan.stages:
        if stage.name == "vit-coca":
            continue
        reader = open_reader(plan, stage, sources)
        for step in range(stage.steps):
            for row in reader.rows(step):
                for span in row.spans if row.source == "english" else ():
                    assert (span.doc, span.start, span.end) not in seen
                    seen.add((span.doc, span.start, span.end))
    assert len(seen) > 20


def test_cuts_hold_the_same_sequences_in_the_same_order(sources: dict[str, Source]) -> None:
    plan = world_plan()
    for name in ("vit-coca", "joint"):
        reader = open_reader(plan, plan.stage(name), sources)
        whole, cut = draw(reader, 1, 4), draw(reader, 1, 3)
        assert [len(packed.sources) for packed in cut.micro_batches] == [3, 1]
        assert whole.drawn_hash == cut.drawn_hash
        for array in ("tokens", "targets", "kinds", "patches", "captions"):
            parts = [getattr(packed, array) for packed in cut.micro_batches]
            assert np.array_equal(np.concatenate(parts), getattr(whole.micro_batches[0], array))


def test_what_is_counted_is_the_stages_unit() -> None:
    plan = world_plan()
    assert [unit_of(plan, stage) for stage in plan.stages] == ["llm", "vit", "llm", "llm", "llm"]


def test_a_source_keeps_the_plans_name_whatever_its_folder_is_called(tmp_path: Path) -> None:
    plan = world_plan()
    write_world(tmp_path)
    (tmp_path / "code").rename(tmp_path / "python")
    moved = {**plan.sources, "code": replace(plan.sources["code"], path="python")}
    found = open_data(replace(plan, sources=moved), plan.stages, tmp_path)
    assert [source.about.name for source in found.values()] == ["captions", "code", "english"]
    with pytest.raises(RunError, match=r"code.*python -m curriculum.data.demo"):
        open_data(plan, plan.stages, tmp_path)


def test_a_part_is_read_from_the_folder_of_its_whole(tmp_path: Path) -> None:
    plan = world_plan()
    write_world(tmp_path)
    whole = open_data(plan, plan.stages, tmp_path)["english"]
    half = Fraction(1, 2)
    first = replace(plan.sources["code"], of="english", path="english", part=(Fraction(0), half))
    long = replace(plan.sources["code"], of="english", path="english", min_tokens=9)
    every = np.ones(whole.num_docs, dtype=bool)
    docs = {}
    for name, part in (("first", first), ("long", long)):
        parts = replace(plan, sources={**plan.sources, "code": part})
        found = open_data(parts, plan.stages, tmp_path)
        docs[name] = found["code"].docs(every)
        assert found["code"].about.name == "code"
        assert len(found["english"].docs(every)) == whole.num_docs
        reader = open_reader(parts, plan.stage("text"), found)
        read = {s.doc for row in reader.rows(0) for s in row.spans if row.source == "code"}
        assert read <= set(docs[name])
    assert docs["first"].tolist() == list(range(len(docs["first"])))
    assert 0 < len(docs["first"]) < whole.num_docs
    assert docs["long"].tolist() == np.flatnonzero(np.diff(whole.offsets) >= 9).tolist()


def test_an_image_longer_than_the_context_is_refused_with_the_stages_name(
    sources: dict[str, Source],
) -> None:
    plan = world_plan()
    coca = plan.stage("vit-coca")
    piece = replace(coca.batch.pieces[0], seq_len=4)
    small = replace(coca, batch=replace(coca.batch, pieces=(piece,)))
    with pytest.raises(RunError, match="stage `vit-coca`: .*no row of 4 holds"):
        draw(open_reader(plan, small, sources), 0, 1)


def test_data_that_the_plan_cannot_read_are_refused_before_the_first_step(tmp_path: Path) -> None:
    plan = world_plan()
    write_world(tmp_path)
    llm, vit = plan.modules["llm"], plan.modules["vit"]
    assert isinstance(llm.shape, DecoderShape)
    assert isinstance(vit.shape, VitShape)
    small = replace(llm, shape=replace(llm.shape, vocab=4))
    few = replace(plan, modules={**plan.modules, "llm": small})
    with pytest.raises(RunError, match=r"module `llm` has a vocab of 4"):
        open_data(few, few.stages, tmp_path)
    coarse = replace(vit, shape=replace(vit.shape, patch=8))
    other = replace(plan, modules={**plan.modules, "vit": coarse})
    with pytest.raises(RunError, match=r"prepared for patches of 4 pixels .* the ViT has 8"):
        open_data(other, other.stages, tmp_path)
    source = replace(plan.sources["english"], path="captions")
    mixed = replace(plan, sources={**plan.sources, "english": source})
    with pytest.raises(RunError, match=r"`english` is text in the plan, its data are image-text"):
        open_data(mixed, mixed.stages, tmp_path)
