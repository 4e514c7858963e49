"""Channels as pixels of a larger image, and back."""

from __future__ import annotations

import numpy as np

from ...checks import Pixels
from ._common import Array


def pixel_shuffle(x: Array, g: Pixels) -> Array:
    """y[..., h * r + i, w * r + j] = x[..., i * r + j, h, w], r the factor."""
    pieces = x.reshape(g.planes, g.factor, g.factor, g.height, g.width)
    return np.array(pieces.transpose(0, 3, 1, 4, 2), order="C").reshape(g.fine)


def pixel_unshuffle(x: Array, g: Pixels) -> Array:
    """y[..., i * r + j, h, w] = x[..., h * r + i, w * r + j], r the factor."""
    pieces = x.reshape(g.planes, g.height, g.factor, g.width, g.factor)
    return np.array(pieces.transpose(0, 2, 4, 1, 3), order="C").reshape(g.coarse)
