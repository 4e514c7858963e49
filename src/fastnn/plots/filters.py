"""What a convolution, or a layer on the pixels of an image, looks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..checks import counted, shown
from ..nn import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear, Module
from ._style import DIVERGING, picture
from .images import Grid, add_bar, default_columns, show_tile, tile_axes, to_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR = 1.1  # inches for the bar of the scale
MOST = 16
"""Filters of many inputs, and inputs of these, that are drawn; the title says so where there are more."""
_MOST_SINGLE = 64  # filters of one input, or of red, green and blue, that are drawn at most
_TRANSPOSED = (ConvTranspose1d, ConvTranspose2d)


class Filters(NamedTuple):
    """The weights of a layer as pictures."""

    tiles: np.ndarray[Any, Any]
    """(tiles, H, W), or (tiles, H, W, 3) with red, green and blue; row by row."""
    columns: int
    limit: float
    """The largest absolute weight: the scale goes from minus this to this."""
    words: str
    """What is drawn, for the title."""


@picture
def filters(layer: Module, *, shape: tuple[int, int, int] | None = None, ax: Axes | None = None) -> Any:
    """Draw the filters of a layer, all on one scale around 0.

    Parameters
    ----------
    layer : Module
        A convolution in 1 or 2 dimensions, transposed or not; or a `fastnn.nn.Linear` layer whose inputs are pixels.
    shape : (int, int, int), optional
        Of a linear layer: channels, height and width of the image that its inputs are.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        The one with the filters.

    Raises
    ------
    ValueError
        If ``shape`` does not fit the layer, or a weight is not finite.
    TypeError
        If the layer is of another kind.
    MissingExtraError
        If Matplotlib is not installed.

    Notes
    -----
    Filters of one input channel, or of three, have a tile each; three are shown as red, green and blue, where grey is 0. With
    other numbers of channels each filter is a row, with a tile for each input channel. All tiles have the same scale, which is
    symmetric, so that they can be compared.


    Examples
    --------
    >>> import fastnn as fnn
    >>> ax = fnn.plots.filters(fnn.nn.Conv2d(1, 8, 5, rng=0))  # doctest: +SKIP
    """
    return draw_filters(weights_as_tiles(layer, shape), ax)


def draw_filters(found: Filters, ax: Any = None) -> Any:
    """The tiles on their scale; returns the axes."""
    coloured = found.tiles.ndim == 4
    height, width = found.tiles.shape[1:3]
    grid = Grid(len(found.tiles), found.columns, height, width, above=0.0)
    one = tile_axes("filters", ax, grid, 0.0 if coloured else _BAR)
    for i, tile in enumerate(found.tiles):
        if coloured:
            image = show_tile(one, grid, i, to_unit(tile, -found.limit, found.limit))
        else:
            image = show_tile(one, grid, i, tile, cmap=DIVERGING, vmin=-found.limit, vmax=found.limit)
    if coloured:
        one.set_xlabel(f"of each colour: none is −{found.limit:.3g}, full is {found.limit:.3g}, grey is 0")
    else:
        add_bar(one, image, "colour: weight")
    one.set_title(found.words)
    return one


def weights_as_tiles(layer: Module, shape: tuple[int, int, int] | None = None) -> Filters:
    """The weights of a layer, arranged for drawing."""
    weight = _weight(layer, shape)
    if not np.isfinite(weight).all():
        raise ValueError("filters: the layer has weights that are not finite")
    limit = float(np.abs(weight).max()) or 1.0
    count, channels, height, width = weight.shape
    if channels not in (1, 3):
        part = weight[:MOST, :MOST]
        words = f"{_first(len(part), count, 'filter')} (rows) of {_first(part.shape[1], channels, 'input')} (columns)"
        return Filters(part.reshape(-1, height, width), part.shape[1], limit, words)
    part = weight[:_MOST_SINGLE]
    tiles = part[:, 0] if channels == 1 else np.moveaxis(part, 1, -1)
    words = _first(len(part), count, "filter") + (" of red, green and blue" if channels == 3 else "")
    return Filters(tiles, default_columns(len(part), height / width), limit, words)


def _first(drawn: int, count: int, what: str) -> str:
    whole = counted(count, what)
    return whole if drawn == count else f"the first {drawn} of {whole}"


def _weight(layer: Any, shape: Any) -> np.ndarray[Any, Any]:
    """As (filters, inputs, height, width)."""
    if isinstance(layer, Linear):
        return _of_linear(layer, shape)
    if not isinstance(layer, Conv1d | Conv2d | ConvTranspose1d | ConvTranspose2d):
        raise TypeError(
            f"filters: expected a convolution in 1 or 2 dimensions, or a Linear layer, got {type(layer).__name__}"
        )
    if shape is not None:
        raise ValueError(f"filters: shape is for Linear layers; a {type(layer).__name__} has its own")
    weight = layer.weight.data
    if isinstance(layer, _TRANSPOSED):
        weight = _by_outputs(weight, layer.groups)
    return weight if weight.ndim == 4 else weight[:, :, None, :]


def _by_outputs(weight: np.ndarray[Any, Any], groups: int) -> np.ndarray[Any, Any]:
    """Of a transposed convolution: (in, out / groups, …) to (out, in / groups, …)."""
    inputs, outputs, *kernel = weight.shape
    grouped = weight.reshape(groups, inputs // groups, outputs, *kernel)
    return grouped.swapaxes(1, 2).reshape(groups * outputs, inputs // groups, *kernel)


def _of_linear(layer: Linear, shape: Any) -> np.ndarray[Any, Any]:
    weight = layer.weight.data
    if shape is None:
        raise ValueError(
            "filters: of a Linear layer, shape must say which image its inputs are: (channels, height, width)"
        )
    if not isinstance(shape, tuple | list) or len(shape) != 3 or math.prod(shape) != weight.shape[1]:
        raise ValueError(
            f"filters: shape must be (channels, height, width) of {weight.shape[1]} inputs, got {shown(shape)}"
        )
    return weight.reshape(len(weight), *shape)
