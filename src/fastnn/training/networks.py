"""Networks for data that nobody has chosen one for: tables, and small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from .._generators import generator

_WIDTHS = (32, 64, 128)
_STEM = 16  # channels of the stem: a first convolution for larger images, before their sides are halved
_SMALL_SIDE = 16  # images up to this side need no stem
_LAST_SIDE = 4


def image_network(channels: int, size: tuple[int, int], outputs: int, rng: Any = None) -> nn.Sequential:
    """A small convolutional network from images (N, C, H, W) to (N, outputs).

    Parameters
    ----------
    channels : int
        Of the images.
    size : (int, int)
        Their height and width.
    outputs : int
        Classes, or 1 for a number.
    rng : optional
        Anything `numpy.random.default_rng` takes: initial weights and dropout masks are drawn from it.

    Returns
    -------
    Sequential
        Stages of 3×3 convolutions with batch norm and ReLU, each followed by pooling that halves the sides, until these are
        at most 4; dropout; linear. The first stage has two convolutions of 32 channels, the next one of 64, further ones of
        128. Images larger than 16 pixels have a stem before it: a convolution to 16 channels, and pooling.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training.networks import image_network
    >>> image_network(1, (28, 28), 10, rng=0)(np.zeros((5, 1, 28, 28), np.float32)).shape
    (5, 10)
    """
    rng = generator(rng)
    height, width = size
    layers: list[nn.Module] = []
    wide = channels

    def stage(*widths: int) -> None:
        nonlocal wide, height, width
        for out in widths:
            # Epochs are short: running statistics must follow faster than with the usual momentum of 0.99.
            layers.extend(
                [nn.Conv2d(wide, out, 3, padding=1, bias=False, rng=rng), nn.BatchNorm2d(out, momentum=0.9), nn.ReLU()]
            )
            wide = out
        pool = (min(2, height), min(2, width))
        layers.append(nn.MaxPool2d(pool))
        height, width = height // pool[0], width // pool[1]

    if max(size) > _SMALL_SIDE:
        stage(_STEM)
    stage(_WIDTHS[0], _WIDTHS[0])
    deeper = iter(_WIDTHS[1:])
    stage(next(deeper))
    while max(height, width) > _LAST_SIDE:
        stage(next(deeper, _WIDTHS[-1]))
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(0.3, rng=rng), nn.Linear(wide * height * width, outputs, rng=rng)
    )


def table_network(features: int, outputs: int, hidden: Sequence[int] = (64,), rng: Any = None) -> nn.Module:
    """A network from features (N, F), scaled, to (N, outputs), in float64.

    Parameters
    ----------
    features : int
        Columns, where each category of a text counts as one.
    outputs : int
        Classes, or 1 for a number.
    hidden : sequence of int
        Units of the hidden layers.
    rng : optional
        Anything `numpy.random.default_rng` takes: initial weights and dropout masks are drawn from it.

    Returns
    -------
    Residual
        A linear model, to which hidden layers add what is not linear. Both begin at 0, so that the network is first the linear
        model that small tables can bear.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training.networks import table_network
    >>> table_network(13, 3, rng=0)(np.zeros((5, 13))).shape
    (5, 3)
    """
    rng = generator(rng)
    layers: list[nn.Module] = []
    wide = features
    for units in hidden:
        layers += [nn.Linear(wide, units, dtype=np.float64, rng=rng), nn.ReLU(), nn.Dropout(0.2, rng=rng)]
        wide = units
    linear, last = (nn.Linear(n, outputs, dtype=np.float64, rng=rng) for n in (features, wide))
    linear.weight.data[...] = last.weight.data[...] = 0
    return nn.Residual(nn.Sequential(*layers, last), linear)
