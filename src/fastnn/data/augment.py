"""Augmentation of image batches, seeded (SPEC I3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def random_shift(images: Array, rng: np.random.Generator, pixels: int = 1, share: float = 1.0) -> Array:
    """Shift images by a random number of pixels along both axes, filling with zeros.

    Parameters
    ----------
    images : ndarray, (N, C, H, W)
        The batch; it is not changed.
    rng : numpy.random.Generator
        The source of randomness.
    pixels : int
        The largest shift; each of -pixels … pixels is equally likely along each axis.
    share : float
        The share of images that is shifted at all.

    Returns
    -------
    ndarray, (N, C, H, W)
        A new batch of the same dtype.

    Raises
    ------
    TypeError
        If ``pixels`` is not an integer.
    ValueError
        For images without four axes, or ``pixels`` below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import random_shift
    >>> random_shift(np.ones((5, 1, 8, 8)), np.random.default_rng(0)).shape
    (5, 1, 8, 8)
    """
    n, _, height, width = images.shape
    offsets = rng.integers(-pixels, pixels + 1, (2, n)) * (rng.random(n) < share) + pixels
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)))
    rows = offsets[0][:, None] + np.arange(height)
    columns = offsets[1][:, None] + np.arange(width)
    shifted = padded[np.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(np.moveaxis(shifted, -1, 1))


def random_noise(images: Array, rng: np.random.Generator, std: float) -> Array:
    """Add Gaussian noise.

    Parameters
    ----------
    images : ndarray of float
        The batch; it is not changed.
    rng : numpy.random.Generator
        The source of randomness.
    std : float
        Standard deviation of the noise.

    Returns
    -------
    ndarray
        A new batch of the same shape and dtype.

    Raises
    ------
    TypeError
        For images that are not of a float dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import random_noise
    >>> random_noise(np.zeros((2, 1, 8, 8), np.float32), np.random.default_rng(0), 0.1).dtype
    dtype('float32')
    """
    if images.dtype.kind != "f":
        raise TypeError(f"random_noise: images must be of a float dtype, got {images.dtype}")
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    noisy: Array = images + images.dtype.type(std) * noise.astype(images.dtype, copy=False)
    return noisy
