from fractions import Fraction
from math import log

import numpy as np
import pytest
import torch

from curriculum.data.collate import caption, collate
from curriculum.data.heldout import as_rows, held_out_docs
from curriculum.data.store import Document, Source, collect
from curriculum.models.batch import to_torch
from curriculum.models.decoder import Decoder
from curriculum.models.vlm import build, forward_losses
from curriculum.rope import Rope
from curriculum.train.evaluate import (
    SAMPLE_TOKENS,
    SAMPLES,
    HeldOut,
    evaluate,
    evaluating,
    held_out,
    samples,
    unigram_entropy,
)
from train.plans import MODULES
from train.worlds import about, documents, world_sources

CPU = torch.device("cpu")
SHARES = {name: Fraction(1, 10) for name in ("captions", "code", "english")}
Modules = dict[str, torch.nn.Module]


@pytest.fixture(scope="module")
def sources() -> dict[str, Source]:
    return world_sources()


@pytest.fixture(scope="module")
def held(sources: dict[str, Source]) -> HeldOut:
    return held_out(sources, SHARES)


@pytest.fixture
def modules() -> Modules:
    made = {name: build(module.shape, CPU, 0, name) for name, module in MODULES.items()}
    llm = made["llm"]
    assert isinstance(llm, Decoder)
    llm.set_rope(Rope(Fraction(50_000)).inv_freq(llm.shape.rope_head_dim))
    return made


def test_only_held_out_documents_are_read(sources: dict[str, Source], held: HeldOut) -> None:
    assert [source.about.name for source, _ in held.text] == ["code", "english"]
    assert [source.about.name for source, _ in held.captions] == ["captions"]
    for source, docs in (*held.text, *held.captions):
        assert set(docs) <= set(held_out_docs(sources[source.about.name], Fraction(1, 10)))
    assert held_out(sources, {}) == HeldOut((), ())


def test_no_caption_stands_twice(held: HeldOut) -> None:
    ((source, docs),) = held.captions
    captions = [tuple(caption(source, doc, 0)) for doc in docs]
    assert len(captions) == len(set(captions)) > 10


def test_unigram_entropy_is_that_of_the_frequencies() -> None:
    assert unigram_entropy([1] * 8) == 0
    assert unigram_entropy(range(16)) == pytest.approx(log(16))


def test_a_model_that_knows_nothing_pays_the_logarithm_of_the_vocabulary(
    modules: Modules, held: HeldOut
) -> None:
    with torch.no_grad():
        modules["llm"].get_parameter("head.weight").zero_()
    found = evaluate(modules, held, 16, str, CPU)
    assert found["text"]["loss"] == pytest.approx(log(64), abs=1e-5)
    assert found["captions"]["right_image"] == pytest.approx(log(64), abs=1e-5)
    assert found["captions"]["other_image"] == pytest.approx(log(64), abs=1e-5)
    assert found["captions"]["pairs"] == len(held.captions[0][1])


def test_context_does_not_change_which_tokens_are_predicted(
    modules: Modules, held: HeldOut
) -> None:
    short = evaluate(modules, held, 64, str, CPU)
    long = evaluate(modules, held, 128, str, CPU)
    assert short["text"]["tokens"] == long["text"]["tokens"]
    assert short["text"]["loss"] == pytest.approx(long["text"]["loss"], abs=1e-5)


def test_evaluation_leaves_no_trace(modules: Modules, held: HeldOut) -> None:
    llm = modules["llm"]
    assert isinstance(llm, Decoder)
    llm.train()
    modules["vit"].eval()
    before = {k: v.clone() for k, v in llm.state_dict().items()}
    evaluate(modules, held, 16, str, CPU)
    assert [modules[name].training for name in ("llm", "vit")] == [True, False]
    assert all(torch.equal(before[k], v) for k, v in llm.state_dict().items())
    assert all(int(moe.expert_counts.sum()) == 0 for moe in llm.moe_layers())
    with pytest.raises(KeyError), evaluating(modules):
        raise KeyError
    assert llm.training


def test_a_stage_without_an_llm_has_nothing_to_say(modules: Modules, held: HeldOut) -> None:
    assert evaluate({"vit": modules["vit"]}, held, 16, str, CPU) == {}
    assert evaluate({"llm": modules["llm"]}, held, 16, str, CPU).keys() == {"text"}


def test_images_tell_captions_apart_once_they_are_learned(modules: Modules) -> None:
    """A model that learned one caption per image pays more with another's image."""
    # Two documents, black and white, whose captions are one token each.
    made = []
    for shade, word in ((0, 30), (255, 31)):
        pixels = np.full((8, 8, 3), shade, dtype=np.uint8)
        made.append(Document((1, 3, 5, 4, word, 2), (pixels,)))
    source = collect(about("captions"), made)
    held = HeldOut((), ((source, (0, 1)),))
    parameters = [p for module in modules.values() for p in module.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    batch = to_torch(collate(as_rows(source, [0, 1], 16), {"captions": source}))
    for _ in range(40):
        optimizer.zero_grad()
        forward_losses(modules, batch, {"next_token": 1.0})["next_token"].total.backward()
        optimizer.step()
    found = evaluate(modules, held, 16, lambda tokens: " ".join(map(str, tokens)), CPU)
    assert found["captions"]["other_image"] > found["captions"]["right_image"] + 1
    assert found["samples"] == [
        {"truth": "30", "written": "30"},
        {"truth": "31", "written": "31"},
    ]


def test_six_samples_end_somewhere(modules: Modules, held: HeldOut) -> None:
    written = samples(modules, held, lambda tokens: " ".join(map(str, tokens)), CPU)
    assert len(written) == SAMPLES
    assert all(len(sample["written"].split()) <= SAMPLE_TOKENS for sample in written)
    assert all(sample["truth"] for sample in written)


def test_a_model_that_would_write_images_writes_text(modules: Modules, held: HeldOut) -> None:
    llm = modules["llm"]
    with torch.no_grad():
        # Whatever the hidden state, one of the two signs of this direction wins.
        head = llm.get_parameter("head.weight")
        head.mul_(0.01)
        head[[3, 4, 5]] += 1
        head[[0, 1]] -= 1
    written = samples(modules, held, lambda tokens: " ".join(map(str, tokens)), CPU)
    assert all(int(token) > 5 for sample in written for token in sample["written"].split())


def test_long_documents_are_left_out_but_for_one() -> None:
    made = [Document((1, *[7] * 50_000, 2)), *documents("code")]
    source = collect(about("code"), made)
    held = held_out({"code": source}, {"code": Fraction(1)})
    ((_, docs),) = held.text
    assert 0 not in docs
    only = collect(about("code"), made[:1])
    assert held_out({"code": only}, {"code": Fraction(1)}).text[0][1] == (0,)
