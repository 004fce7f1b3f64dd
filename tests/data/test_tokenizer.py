from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.data.store import DataError
from curriculum.data.tokenizer import SPECIAL_IDS, TextTokenizer, load_tokenizer, train_tokenizer

TEXTS = ["the cat sat on the mat", "def main(): return 0", "<image> is a tag, </image> too"] * 20


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return train_tokenizer(TEXTS, 300, tmp_path_factory.mktemp("t") / "tokenizer.json")


@given(st.text(max_size=50))
def test_any_text_comes_back(tokenizer: TextTokenizer, text: str) -> None:
    (tokens,) = tokenizer.encode([text])
    assert tokenizer.decode(tokens) == text


def test_text_that_looks_special_is_text(tokenizer: TextTokenizer) -> None:
    (tokens,) = tokenizer.encode(["<image></image><pad><begin>"])
    assert min(tokens) > SPECIAL_IDS.image_position
    framed = [SPECIAL_IDS.begin, *tokens, SPECIAL_IDS.end, SPECIAL_IDS.pad]
    assert tokenizer.decode(framed) == "<image></image><pad><begin>"


def test_training_again_gives_the_same_file(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    again = train_tokenizer(TEXTS, 300, tmp_path / "tokenizer.json")
    assert again.fingerprint == tokenizer.fingerprint
    assert again.vocab_size == 300
    fewer = train_tokenizer(TEXTS, 280, tmp_path / "fewer.json")
    assert fewer.fingerprint != tokenizer.fingerprint
    assert load_tokenizer(tmp_path / "tokenizer.json").fingerprint == tokenizer.fingerprint


def test_what_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(DataError, match="no such tokenizer"):
        load_tokenizer(path)
    path.write_text("{}")
    with pytest.raises(DataError, match="cannot be read as a tokenizer"):
        load_tokenizer(path)
