"""What all pictures have in common: colours that everybody can tell apart, axes, and marks that suit light and dark grounds."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .._extras import require
from ..checks import counted
from ..nn import Module

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Okabe and Ito's colours, which people with any kind of colour blindness can tell apart, without the two of them that
# are hard to see on a white or a black ground. Lines and points that share a picture also differ in style.
BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY)
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
GREY = "#808080"
"""Of what is less than the matter itself, on light and dark grounds."""
DIVERGING = "RdBu_r"
"""The colour map of numbers around 0; its scale is symmetric."""
SEQUENTIAL = "cividis"
"""The colour map of amounts."""

INCHES = 4.0, 3.2
"""Of a panel."""


def matplotlib(op: str, module: str = "matplotlib.pyplot") -> Any:
    """A module of Matplotlib, or the advice to install it."""
    return require(module, "Matplotlib", "plot", op)


def picture(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that draws, which leaves no new figure open when it fails, and refuses results that draw themselves."""

    @wraps(function)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        first = args[0] if args else next(iter(kwargs.values()), None)
        if _draws_itself(first):
            name = type(first).__name__
            raise TypeError(f"{function.__name__}: got {name}, which draws itself: use result.plot()")
        before = _open_figures()
        try:
            return function(*args, **kwargs)
        except BaseException:
            for number in _open_figures() - before:
                sys.modules["matplotlib.pyplot"].close(number)
            raise

    return drawn


def _draws_itself(given: Any) -> bool:
    """Whether this is a result with a method ``plot``, and neither a network nor the records that pictures are made of."""
    if isinstance(given, type | Module) or not callable(getattr(given, "plot", None)):
        return False
    return hasattr(given, "findings") or not isinstance(given, Iterable)


def _open_figures() -> set[int]:
    """The numbers of pyplot's figures, where it is in use."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return set() if pyplot is None else set(pyplot.get_fignums())


def ink() -> str:
    """The colour of text, which is black on light grounds and white on dark ones, by Matplotlib's own setting."""
    return str(matplotlib("a picture", "matplotlib").rcParams["text.color"])


def colours_of(classes: int) -> list[Any]:
    """A colour for each class, of any number of them."""
    if classes <= len(COLOURS):
        return list(COLOURS[:classes])
    colour_map = matplotlib("a picture", "matplotlib").colormaps["turbo"]
    return [colour_map(float(share)) for share in np.linspace(0.05, 0.95, classes)]


def is_several(ax: Any) -> bool:
    """Whether axes are several, rather than one."""
    return isinstance(ax, (list, tuple, np.ndarray))


def one_axes(op: str, ax: Any, size: tuple[float, float] = (6.4, 4.4)) -> Any:
    """The given axes, or those of a new figure."""
    if ax is None:
        return matplotlib(op).subplots(figsize=size, layout="constrained")[1]
    if is_several(ax):
        raise TypeError(f"{op}: ax must be one Axes, got {type(ax).__name__}")
    return ax


def panel_axes(
    op: str, axes: Any, count: int, columns: int = 3, inches: tuple[float, float] = INCHES, least: float = 6.4
) -> list[Any]:
    """As many axes as panels: the given ones, or those of a new figure, row by row.

    Parameters
    ----------
    op : str
        The function, for messages.
    axes : Axes, sequence or array of Axes, or None
        What was given.
    count, columns : int
        Panels, and how many are side by side in a new figure.
    inches : (float, float)
        Width and height of a panel in a new figure.
    least : float
        The least width of a new figure, in inches.

    Raises
    ------
    ValueError
        If not as many were given.
    """
    if axes is None:
        columns = min(count, columns)
        lines = math.ceil(count / columns)
        size = max(columns * inches[0], least), lines * inches[1]
        figure, grid = matplotlib(op).subplots(lines, columns, squeeze=False, figsize=size, layout="constrained")
        for unused in grid.flat[count:]:
            figure.delaxes(unused)
        return list(grid.flat[:count])
    given = list(np.asarray(axes, dtype=object).flat) if is_several(axes) else [axes]
    if len(given) != count:
        raise ValueError(f"{op}: {counted(count, 'panel')} must have as many axes, got {len(given)}")
    return given


def as_array(axes: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Axes as pictures of several panels return them."""
    return np.array(axes, dtype=object)
