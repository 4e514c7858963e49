"""Pictures as arrays: upright, without transparency, of eight bits."""

from __future__ import annotations

import contextlib
import warnings
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._extras import require
from .._files import kind_of

Mode = Literal["RGB", "L"]

_MAX_PIXELS = 1 << 26
_START = 512


def read_picture(
    file: IO[bytes], path: str, mode: Mode = "L", size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """The levels 0…255 of a picture as viewers show it, (H, W) or (H, W, 3); transparent parts are white, as paper.

    `size`, height and width, is what the picture is stretched or reduced to, each pixel a weighted mean of those that it
    covers. Raises `ValueError`, which names the path, where the file is no picture or cannot be read.
    """
    image_module = require("PIL.Image", "Pillow", "images", "reading pictures")
    operations = require("PIL.ImageOps", "Pillow", "images", "reading pictures")
    start = file.read(_START)
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged metadata, and sizes that are refused here anyway
            with image_module.open(file) as picture:
                if picture.width * picture.height > _MAX_PIXELS:
                    raise ValueError(f"{picture.width} x {picture.height} pixels are too many")
                _refuse_32_bits(picture)
                # Loaded before `_upright`, which passes over errors: after a load that failed, a second one would give
                # half a picture.
                picture.load()
                coloured = _eight_bits(_upright(picture, operations)).convert("RGBA")
                paper = image_module.new("RGBA", coloured.size, "white")
                plain = image_module.alpha_composite(paper, coloured).convert(mode)
                if size is not None and plain.size != size[::-1]:
                    plain = plain.resize(size[::-1], image_module.Resampling.BILINEAR)
                return np.asarray(plain)
    except Exception as error:  # Pillow's decoders raise many kinds on bad bytes
        reason = "" if isinstance(error, image_module.UnidentifiedImageError) else f" ({error})"
        raise ValueError(f"{path!r} is {_what(start)}{reason}") from error


def _what(start: bytes) -> str:
    kind = kind_of(start)
    if kind.endswith("picture"):
        return f"{kind} that is damaged or cannot be read"
    return f"{kind}; expected a picture"


def _refuse_32_bits(picture: Any) -> None:
    # Of some formats, here PNG and PPM, Pillow has pixels of 16 bits in 32: these are right.
    if picture.mode == "F" or (picture.mode == "I" and picture.format not in ("PNG", "PPM")):
        kind = "floats" if picture.mode == "F" else "integers"
        raise ValueError(f"pixels are {kind} of 32 bits, whose full brightness is not known; save them as .npy")


def _upright(picture: Any, operations: Any) -> Any:
    with contextlib.suppress(Exception):  # damaged EXIF data, which viewers pass over
        picture = operations.exif_transpose(picture)
    return picture


def _eight_bits(picture: Any) -> Any:
    """Pictures of 16 bits per pixel keep their upper 8; Pillow would clip them."""
    if not picture.mode.startswith("I"):
        return picture
    return picture.convert("I").point(lambda level: level / 256).convert("L")
