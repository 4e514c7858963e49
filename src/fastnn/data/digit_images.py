"""Pictures of digits from elsewhere, brought to the form of the training set.

The digits of scikit-learn are 8×8, light ink (up to 1) on dark ground (0), and their ink always reaches from the
first row to the last. `digit_images` brings arrays of other sizes, scalings and polarities to that form, and says
which it assumed; `read_digits` reads files into it.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .array_file import array_names, read_arrays
from .pictures import read_picture

SIDE = 8
SCALES = (1, 16, 255)
Ink = Literal["auto", "light", "dark"]

_INK_LEVEL = 0.25  # pixels above this share of the contrast count as ink when its bounding box is sought
_LEAST_CONTRAST = 0.1  # below this, differences are taken for the grain of an empty page
_MAX_BYTES = 1 << 30


class DigitImages(NamedTuple):
    """What was read, and how it was understood."""

    images: NDArray[np.float32]
    """(N, 1, 8, 8), in 0…1, light ink on dark ground."""
    shape: tuple[int, ...]
    """Shape of the array read."""
    scale: int
    """The value that was taken as full brightness."""
    inverted: int
    """How many images were dark on light, and were inverted."""


def digit_images(array: NDArray[Any], *, scale: int | None = None, ink: Ink = "auto") -> DigitImages:
    """Bring images of digits to 8×8, light on dark, in 0…1.

    Parameters
    ----------
    array : ndarray of bool, integer or float
        One image (H, W), a batch (N, H, W) or (N, 1, H, W), or digits as flat rows of 64 pixels, (64,) or (N, 64),
        as scikit-learn has them. 64×64 can be either and is refused.
    scale : {1, 16, 255}, optional
        The value of full brightness. By default the smallest of the three that no pixel of the array exceeds;
        boolean arrays have scale 1.
    ink : {"auto", "light", "dark"}
        Whether ink is lighter or darker than the ground. "auto" looks at the outermost pixels of each image, which
        are mostly ground: a median above half the scale means dark ink.

    Returns
    -------
    DigitImages
        The images, and what was assumed. Images of 8×8 pixels keep every pixel; of others the
        ground is taken to 0, the square around the ink averaged over an 8×8 grid, and the brightest cell becomes 1.

    Raises
    ------
    ValueError, TypeError
        If the array has another shape, values that are not finite, negative or above the scale, or another dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data.digit_images import digit_images
    >>> picture = np.full((40, 30), 255, np.uint8)  # a one, drawn in black on white
    >>> picture[5:35, 13:17] = 0
    >>> found = digit_images(picture)
    >>> found.images.shape, found.scale, found.inverted
    ((1, 1, 8, 8), 255, 1)
    """
    if array.dtype.kind not in "biuf":
        raise TypeError(f"digit_images: dtype {array.dtype} is not supported, expected bool, integer or float pixels")
    batch = _as_batch(array)
    batch, scale = _rescale(batch, array.dtype == bool, scale)
    if ink == "auto":
        dark = _border_medians(batch) > 0.5
    else:
        dark = np.full(len(batch), ink == "dark")
    batch[dark] = 1 - batch[dark]
    if batch.shape[1:] != (SIDE, SIDE):
        batch = np.array([_fit(image) for image in batch]).reshape(-1, SIDE, SIDE)
    images = batch[:, None].astype(np.float32)
    return DigitImages(images, array.shape, scale, int(dark.sum()))


def read_digits(path: str, *, name: str | None = None, scale: int | None = None, ink: Ink = "auto") -> DigitImages:
    """Read digits from a ``.npy`` or ``.npz`` file of arrays, or from a picture.

    Parameters
    ----------
    path : str
        A file of arrays, known by its first bytes; anything else is opened as a picture with Pillow.
    name : str, optional
        Which array of an ``.npz`` file to take. Needed only where it holds several and none is called "images".
    scale, ink
        As for `digit_images`; a picture has scale 255. It is turned as its EXIF data say.

    Returns
    -------
    DigitImages
        The images, and what was assumed about them.

    Raises
    ------
    ValueError, TypeError
        If the file is none of these, is damaged, or its content does not fit; for a picture of 32 bits per pixel, integers
        or floats, which has no agreed brightness. Nothing in it is ever run.
    MissingExtraError
        If the file is a picture and Pillow is not installed.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn.data.digit_images import read_digits
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "digits.npy")
    ...     np.save(path, np.zeros((3, 8, 8)))
    ...     read_digits(path).images.shape
    (3, 1, 8, 8)
    """
    with open(path, "rb") as file:
        if file.read(6).startswith((b"\x93NUMPY", b"PK")):
            array = _array(path, name)
        else:
            file.seek(0)
            array, scale = read_picture(file, path), 255
    return digit_images(array, scale=scale, ink=ink)


def _as_batch(array: NDArray[Any]) -> NDArray[Any]:
    """The array as (N, H, W), not copied."""
    shape, pixels = array.shape, SIDE * SIDE
    if shape == (pixels, pixels):
        raise ValueError(
            "digit_images: (64, 64) can be one image or 64 flat digits; reshape it to (1, 64, 64) or (64, 8, 8)"
        )
    if shape == (pixels,) or (len(shape) == 2 and shape[1] == pixels):
        array = array.reshape(-1, SIDE, SIDE)
    elif len(shape) == 2:
        array = array[None]
    elif len(shape) == 4 and shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 3 or 0 in array.shape[1:]:
        raise ValueError(
            f"digit_images: shape {shape} is not understood, expected (H, W), (N, H, W), (N, 1, H, W), (64,) or (N, 64)"
        )
    return array


def _rescale(batch: NDArray[Any], boolean: bool, scale: int | None) -> tuple[NDArray[np.float64], int]:
    """The batch in 0…1, as a fresh array, and the scale it had."""
    batch = batch.astype(np.float64)
    if not np.isfinite(batch).all():
        raise ValueError("digit_images: there are pixels that are not finite")
    low, high = batch.min(initial=0), batch.max(initial=0)
    if scale is None:
        scale = 1 if boolean else next((s for s in SCALES if high <= s), None)
    elif scale not in SCALES:
        raise ValueError(f"digit_images: scale must be one of {SCALES}, got {scale}")
    if low < 0 or scale is None or high > scale:
        raise ValueError(f"digit_images: pixels lie in {low:g}…{high:g}, expected 0…{scale or '1, 0…16 or 0…255'}")
    return batch / scale, scale


def _border_medians(batch: NDArray[np.float64]) -> NDArray[np.float64]:
    border = np.concatenate([batch[:, 0], batch[:, -1], batch[:, 1:-1, 0], batch[:, 1:-1, -1]], axis=1)
    return np.asarray(np.median(border, axis=1))


def _fit(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the square around the ink over 8×8 cells; the ink then reaches from edge to edge, as in the training set."""
    image = np.clip(image - _border_medians(image[None])[0], 0, None)
    ink = image > image.max() * _INK_LEVEL
    if image.max() < _LEAST_CONTRAST:
        return np.zeros((SIDE, SIDE))
    (top, bottom), (left, right) = (
        (np.flatnonzero(hits)[0], np.flatnonzero(hits)[-1] + 1) for hits in (ink.any(axis=1), ink.any(axis=0))
    )
    half = max(bottom - top, right - left) / 2
    rows = _cell_weights((top + bottom) / 2 - half, 2 * half, image.shape[0])
    columns = _cell_weights((left + right) / 2 - half, 2 * half, image.shape[1])
    cells = rows @ image @ columns.T
    return np.asarray(cells / cells.max())


def _cell_weights(start: float, length: float, pixels: int) -> NDArray[np.float64]:
    """(8, pixels): the share of each pixel in the mean of each cell; cells may reach beyond the image, where all is 0."""
    edges = start + length * np.arange(SIDE + 1) / SIDE
    position = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], position + 1) - np.maximum(edges[:-1, None], position)
    return np.asarray(np.clip(overlap, 0, None) * (SIDE / length))


def _array(path: str, name: str | None) -> NDArray[Any]:
    """The array of a file that has this name, or the one that it must be."""
    names = array_names(path)
    only = names[0] if len(names) == 1 else "images"
    chosen = only if name is None or names == [""] else name
    if chosen not in names:
        listed = ", ".join(names[:20]) or "no arrays"
        raise ValueError(f"{path!r} holds {listed}; " + (f"there is no {name!r}" if name else "name the array to take"))
    return read_arrays(path, [chosen], _MAX_BYTES)[chosen]
