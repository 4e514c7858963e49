"""Layers that make pixels of channels, and channels of pixels."""

from __future__ import annotations

from .. import functional as F
from .._types import Value
from ..checks import scalars
from .kinds import WithoutParameters

__all__ = ["PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(WithoutParameters):
    """Channels as pixels of a larger image; see `fastnn.functional.pixel_shuffle`.

    Parameters
    ----------
    upscale_factor : int
        How many times as high and as wide the image becomes; its square divides the channels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.PixelShuffle(2)(np.zeros((1, 12, 5, 6))).shape
    (1, 3, 10, 12)
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = scalars.integer("PixelShuffle", "upscale_factor", upscale_factor, 1)

    def forward(self, x: Value) -> Value:
        """(..., channels · r², height, width) to (..., channels, height · r, width · r)."""
        return F.pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"{self.upscale_factor}"


class PixelUnshuffle(WithoutParameters):
    """Pixels as channels of a smaller image; see `fastnn.functional.pixel_unshuffle`.

    Parameters
    ----------
    downscale_factor : int
        By how many the height and the width are divided.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.PixelUnshuffle(2)(np.zeros((1, 3, 10, 12))).shape
    (1, 12, 5, 6)
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = scalars.integer("PixelUnshuffle", "downscale_factor", downscale_factor, 1)

    def forward(self, x: Value) -> Value:
        """(..., channels, height · r, width · r) to (..., channels · r², height, width)."""
        return F.pixel_unshuffle(x, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"{self.downscale_factor}"
