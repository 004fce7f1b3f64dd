"""Text to token ids and back: byte-level BPE, trained once and known by its fingerprint"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from curriculum.data.store import DataError, Specials

SPECIALS = ("<pad>", "<begin>", "<end>", "<image>", "</image>", "<image-position>")
SPECIAL_IDS = Specials(pad=0, begin=1, end=2, image=3, image_end=4, image_position=5)


@dataclass(frozen=True, slots=True)
class TextTokenizer:
    """A trained tokenizer. Text that looks like a special token is text all the same."""

    _tokenizer: Tokenizer
    fingerprint: str

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without begin and end."""
        return [e.ids for e in self._tokenizer.encode_batch_fast(list(texts))]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of some tokens; special tokens are left out."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True)


def train_tokenizer(texts: Iterable[str], vocab_size: int, path: Path) -> TextTokenizer:
    """Learn merges from texts and save them; the same texts give the same file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return load_tokenizer(path)


def load_tokenizer(path: Path) -> TextTokenizer:
    """Read a saved tokenizer; DataError where there is none."""
    try:
        raw = path.read_bytes()
        tokenizer = Tokenizer.from_str(raw.decode())
    except FileNotFoundError:
        raise DataError(f"{path}: no such tokenizer; prepare the data first") from None
    except Exception as error:  # tokenizers raises bare Exceptions
        raise DataError(f"{path}: cannot be read as a tokenizer: {error}") from None
    if [tokenizer.token_to_id(name) for name in SPECIALS] != list(range(len(SPECIALS))):
        raise DataError(f"{path}: its first tokens are not {', '.join(SPECIALS)}")
    tokenizer.encode_special_tokens = True
    return TextTokenizer(tokenizer, sha256(raw).hexdigest())
