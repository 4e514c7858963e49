"""What the channels of a layer make of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd import no_grad, raw
from ..checks import counted, flag, shown
from ..nn import Module
from ..nn.intercept import evaluation, intercepted
from ._style import DIVERGING, GREY, picture
from .images import Grid, add_bar, default_columns, show_tile, tile_axes, write_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR = 1.1  # inches for the bar of the scale
MOST = 64
"""Maps that are drawn; the title says so where there are more."""


class FeatureMaps(NamedTuple):
    """The output of a layer for one image."""

    layer: str
    """Its name and kind."""
    maps: np.ndarray[Any, Any]
    """(C, H, W)"""
    order: np.ndarray[Any, Any]
    """Channels in the order in which they are drawn."""
    dead: np.ndarray[Any, Any]
    """Bools (C,): the map is 0 everywhere."""
    limit: float
    """The largest absolute value of all maps."""


@picture
def feature_maps(model: Module, image: Any, layer: str | Module, *, sort: bool = False, ax: Axes | None = None) -> Any:
    """Draw what each channel of a layer gives for an image, all on one scale around 0.

    Parameters
    ----------
    model : Module
        The network, of any kind. It is run in evaluation mode, and is afterwards as it was.
    image : array_like
        One input: (C, H, W), or (1, C, H, W) as a batch of one; or (H, W) of one channel.
    layer : str or Module
        The layer below the model, or its dotted name, such as "0" or "features.3".
    sort : bool
        Whether the map with the largest mean square comes first; by default channels come in their order.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        The one with the maps; their channels are written above them.

    Raises
    ------
    ValueError
        If the model has no such layer or does not call it, the image is none, the layer's output is not (1, C, H, W) or
        (1, C, L), or image or output hold numbers that are not finite.
    TypeError
        If an argument is of another kind.
    MissingExtraError
        If Matplotlib is not installed.

    Notes
    -----
    All maps of the layer have the same scale, which is symmetric, so that strong and weak ones can be told apart. Maps that are
    0 everywhere have a grey frame. Of a layer that is called several times the last call counts.


    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> net = fnn.nn.Sequential(fnn.nn.Conv2d(1, 8, 3, rng=0), fnn.nn.ReLU())
    >>> ax = fnn.plots.feature_maps(net, np.eye(8, dtype=np.float32), "1")  # doctest: +SKIP
    """
    return draw_maps(maps_of(model, image, layer, sort), ax)


def draw_maps(found: FeatureMaps, ax: Any = None) -> Any:
    """The maps on their scale; returns the axes."""
    drawn = found.order[:MOST]
    height, width = found.maps.shape[1:]
    grid = Grid(len(drawn), default_columns(len(drawn), height / width), height, width, above=0.28 * width)
    one = tile_axes("feature_maps", ax, grid, _BAR)
    for i, channel in enumerate(drawn):
        shown_map = show_tile(one, grid, i, found.maps[channel], cmap=DIVERGING, vmin=-found.limit, vmax=found.limit)
        write_above(one, grid, i, str(channel))
        if found.dead[channel]:
            _frame(one, grid, i)
    add_bar(one, shown_map, "colour: activation")
    one.set_title(_title(found, len(drawn)))
    return one


def maps_of(model: Module, image: Any, layer: str | Module, sort: bool = False) -> FeatureMaps:
    """The maps of a layer for an image, and what is to be said of them."""
    name = layer_name("feature_maps", model, layer)
    sort = flag("feature_maps", "sort", sort)
    output = output_of(model, _as_batch(model, image), name)
    if output is None:
        raise ValueError(f"feature_maps: the model does not call its layer {name!r}")
    maps = output[0]
    if output.ndim == 3:
        maps = maps[:, None, :]
    if output.ndim not in (3, 4) or len(output) != 1 or not maps.size:
        raise ValueError(
            f"feature_maps: the output of {name!r} must be (1, channels, height, width) or (1, channels, length), "
            f"got shape {output.shape}"
        )
    maps = maps.astype(np.float64)
    if not np.isfinite(maps).all():
        raise ValueError(f"feature_maps: what leaves {name!r} is not finite")
    activity = np.square(maps).mean((1, 2))
    order = np.argsort(-activity, kind="stable") if sort else np.arange(len(maps))
    words = f"{name} ({type(dict(model.named_modules())[name]).__name__})"
    return FeatureMaps(words, maps, order, ~np.any(maps, axis=(1, 2)), float(np.abs(maps).max()) or 1.0)


def layer_name(op: str, model: Any, layer: Any) -> str:
    """The dotted name of a layer that is given by name or itself."""
    if not isinstance(model, Module):
        raise TypeError(f"{op}: model must be a Module, got {shown(model)}")
    if not isinstance(layer, str | Module):
        raise TypeError(f"{op}: layer must be a name or a Module, got {shown(layer)}")
    for name, module in model.named_modules():
        if module is layer or (name == layer and name):
            return name
    names = ", ".join(name for name, _ in model.named_modules() if name)
    wanted = repr(layer) if isinstance(layer, str) else f"such a {type(layer).__name__}"
    raise ValueError(f"{op}: the model has no {wanted}, only {names or 'itself'}")


def output_of(model: Module, batch: Any, name: str) -> np.ndarray[Any, Any] | None:
    """The (first) output of a layer, in evaluation mode; None where it is not called."""
    seen: list[Any] = []

    def around(called: str, module: Module, forward: Any, args: Any, kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        if called == name:
            first = output[0] if isinstance(output, tuple | list) else output
            seen.append(np.array(raw(first)))
        return output

    with evaluation(model), no_grad(), intercepted(model, around):
        model(batch)
    return seen[-1] if seen else None


def _as_batch(model: Module, image: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(raw(image))
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim not in (2, 3) or not array.size or array.dtype.kind not in "biuf":
        raise ValueError(
            f"feature_maps: image must be one image (C, H, W) of numbers, got {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError("feature_maps: image holds numbers that are not finite")
    dtype = next((parameter.dtype for parameter in model.parameters()), np.dtype(np.float32))
    return (array if array.ndim == 3 else array[None])[None].astype(dtype)


def _frame(ax: Any, grid: Grid, i: int) -> None:
    left, right, bottom, top = grid.place(i)
    ax.plot([left, right, right, left, left], [bottom, bottom, top, top, bottom], color=GREY, linewidth=2)


def _title(found: FeatureMaps, drawn: int) -> str:
    count = len(found.maps)
    words = [
        f"{counted(count, 'map')} of {found.layer}" if drawn == count else f"{drawn} of {count} maps of {found.layer}"
    ]
    if found.dead.any():
        words.append(f"{int(found.dead.sum())} dead, framed in grey")
    return "; ".join(words)
