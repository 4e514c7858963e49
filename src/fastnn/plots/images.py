"""Batches of images, and tiles of small pictures in one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd import raw
from ..checks import counted, integer
from ._style import ink, one_axes, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 0.12
"""Between tiles, as a share of their width."""
_LABEL = 0.26  # the height of a line of text above a tile, as a share of its width


class Grid(NamedTuple):
    """Where tiles of one size lie side by side, in units of a pixel of theirs; rows go downwards."""

    tiles: int
    columns: int
    height: int
    """Of a tile, in its pixels."""
    width: int
    above: float
    """Room for text over each tile."""

    @property
    def lines(self) -> int:
        """Rows of tiles."""
        return math.ceil(self.tiles / self.columns)

    @property
    def gap(self) -> float:
        """Between neighbours."""
        return GAP * self.width

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height of it all."""
        across = self.columns * self.width + (self.columns - 1) * self.gap
        return across, self.lines * (self.height + self.above) + (self.lines - 1) * self.gap

    def place(self, i: int) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of a tile, as `imshow` takes its extent."""
        line, column = divmod(i, self.columns)
        left = column * (self.width + self.gap)
        top = line * (self.height + self.above + self.gap) + self.above
        return left, left + self.width, top + self.height, top


@picture
def images(
    batch: Any,
    labels: Sequence[Any] | np.ndarray[Any, Any] | None = None,
    *,
    columns: int | None = None,
    ax: Axes | None = None,
) -> Any:
    """Draw a batch of images side by side, all on one scale, which is said below them.

    Parameters
    ----------
    batch : array_like
        Grey images (N, H, W) or (N, 1, H, W), or images (N, 3, H, W) of red, green and blue; numbers or bools of any range.
    labels : sequence, optional
        What to write above each, (N,).
    columns : int, optional
        Images side by side. By default so many that the whole is a little wider than high.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        The one with the images.

    Raises
    ------
    ValueError
        If the batch has another shape, holds no image or no finite number, there are not as many labels as images, or
        ``columns`` is below 1.
    TypeError
        If the batch holds no numbers, or is a tuple of different things, such as images and labels.
    MissingExtraError
        If Matplotlib is not installed.

    Notes
    -----
    The smallest number of the batch is black and the largest white, also in colour, unless integers of 8 bits say that these are
    0 and 255, or colours between 0 and 1 that these are. NaN and infinities are left out.


    Examples
    --------
    >>> import fastnn as fnn
    >>> digits = fnn.data.load_digits().train  # doctest: +SKIP
    >>> ax = fnn.plots.images(digits.images[:20], digits.labels[:20])  # doctest: +SKIP
    """
    whole = checked_batch("images", batch)
    count, channels, height, width = whole.shape
    if labels is not None and len(labels) != count:
        raise ValueError(f"images: {counted(count, 'image')} must have as many labels, got {len(labels)}")
    across = default_columns(count, height / width) if columns is None else integer("images", "columns", columns, 1)
    low, high = scale(whole)
    grid = Grid(count, min(across, count), height, width, _LABEL * width if labels is not None else 0.0)
    one = tile_axes("images", ax, grid)
    for i, image in enumerate(whole):
        tone = to_unit(image, low, high)
        show_tile(one, grid, i, tone[0] if channels == 1 else np.moveaxis(tone, 0, -1), cmap="gray", vmin=0, vmax=1)
        if labels is not None:
            write_above(one, grid, i, str(labels[i]))
    one.set_xlabel(f"black is {low:.4g}, white is {high:.4g}")
    return one


def checked_batch(op: str, batch: Any) -> np.ndarray[Any, Any]:
    """A batch as (N, C, H, W) with one channel or three."""
    if isinstance(batch, tuple | list) and len({np.shape(raw(part)) for part in batch}) > 1:
        raise TypeError(
            f"{op}: expected images of one shape, got a {type(batch).__name__} of parts of different shapes; of a batch (images, "
            "labels) give the images, and labels=labels"
        )
    array = np.asarray(raw(batch))
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{op}: images must be numbers, got {array.dtype}")
    whole = array[:, None] if array.ndim == 3 else array
    if whole.ndim != 4 or whole.shape[1] not in (1, 3) or not whole.size:
        raise ValueError(f"{op}: expected images (N, H, W), (N, 1, H, W) or (N, 3, H, W), got shape {array.shape}")
    return whole


def scale(whole: np.ndarray[Any, Any]) -> tuple[float, float]:
    """What is black and what is white in a batch (N, C, H, W)."""
    if whole.dtype == np.uint8:
        return 0.0, 255.0
    finite = whole[np.isfinite(whole)]
    if not finite.size:
        raise ValueError("images: there is no finite number in the batch")
    low, high = float(finite.min()), float(finite.max())
    if whole.dtype.kind == "b" or (whole.shape[1] == 3 and low >= 0 and high <= 1):
        return 0.0, 1.0
    return (low, high) if low < high else (low, low + 1.0)


def to_unit(values: np.ndarray[Any, Any], low: float, high: float) -> np.ndarray[Any, Any]:
    """Numbers from low to high on 0 to 1; what is not finite, or beyond, at the nearer end or NaN."""
    return np.clip((values.astype(np.float64) - low) / (high - low), 0.0, 1.0)


def default_columns(count: int, shape: float = 1.0) -> int:
    """Columns with which tiles, ``shape`` times as high as wide, make a whole about half as wide again as high.

    Rows without gaps are preferred where there is a number of columns near enough.
    """
    wanted = math.sqrt(1.5 * count * shape)
    near = [c for c in range(1, count + 1) if count % c == 0 and 0.7 * wanted <= c <= 1.5 * wanted]
    return min(near, key=lambda c: abs(c - wanted)) if near else max(1, min(count, math.ceil(wanted)))


def tile_axes(op: str, ax: Any, grid: Grid, beside: float = 0.0) -> Any:
    """Axes without ticks for tiles; a new figure has the shape of the whole, with so many inches beside it."""
    across, down = grid.extent
    one = one_axes(op, ax, (6.4, min(max((6.4 - beside) * down / across, 1.2) + 0.6, 9.0)))
    half = grid.gap / 2
    one.set(aspect="equal", xlim=(-half, across + half), ylim=(down + half, -half), xticks=[], yticks=[])
    one.spines[:].set_visible(False)
    return one


def show_tile(ax: Any, grid: Grid, i: int, picture: np.ndarray[Any, Any], **settings: Any) -> Any:
    """Draw a tile in its place; the limits of the axes stay."""
    limits = ax.get_xlim(), ax.get_ylim()
    image = ax.imshow(picture, extent=grid.place(i), interpolation="nearest", **settings)
    ax.set(xlim=limits[0], ylim=limits[1])
    return image


def write_above(ax: Any, grid: Grid, i: int, text: str) -> None:
    """A line over a tile, in letters that fit."""
    left, right, _, top = grid.place(i)
    points = 72 * ax.get_window_extent().width / ax.figure.dpi * grid.width / grid.extent[0]
    size = min(max(0.9 * _LABEL * points, 4.0), 10.0)
    ax.text((left + right) / 2, top - 0.03 * grid.width, text, ha="center", va="bottom", fontsize=size, color=ink())


def add_bar(ax: Any, image: Any, label: str) -> None:
    """The scale of tiles, as high as the tiles are, and what its numbers are."""
    ax.figure.colorbar(image, cax=ax.inset_axes((1.02, 0.0, 0.04, 1.0)))
    ax.set_anchor("W")  # tiles to the left, so that the bar gets all free room
    ax.set_xlabel(label)
