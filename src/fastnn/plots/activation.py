"""Activation functions and their derivatives."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import functional as F
from ..autograd import Tensor, concatenate, raw, vjp
from ..checks import real, shown
from ..functional import activation as _plain
from ..functional import activation_hard as _hard
from ..functional import activation_smooth as _smooth
from ..nn import Module
from ..nn.intercept import evaluation
from ._style import COLOURS, GREY, LINES, as_array, colours_of, is_several, one_axes, panel_axes, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Function = Callable[[Any], Any]

SATURATED = 0.05
"""A function is saturated where the size of its slope is below this share of the largest.
That is where tanh is beyond ±0.97, as in Karpathy's lecture "makemore, part 3"."""

_POINTS = 801  # odd, so that the middle of the span is among them
_LIMIT = 0.9995  # how much of the largest slope counts as the largest: ReLU has it everywhere above 0


def _of_first(function: Function) -> Function:
    """A function along an axis as one of a number, of which the second element is 0."""
    return lambda x: function(concatenate([x[:, None], x[:, None] * 0.0], axis=1))[:, 0]


_ELEMENTWISE = {
    name: getattr(F, name)
    for module in (_plain, _hard, _smooth)
    for name in module.__all__
    if not name.endswith("_backward")
}
_OTHERS: dict[str, Function] = {
    "log_softmax": _of_first(F.log_softmax),
    "maxout": lambda x: F.maxout(concatenate([x[:, None], x[:, None] * -0.5], axis=1), 2)[:, 0],
    "prelu": lambda x: F.prelu(x, np.array(0.25)),
    "rrelu": F.rrelu,
    "softmax": _of_first(F.softmax),
}
NAMED: Mapping[str, Function] = types.MappingProxyType(dict(sorted((_ELEMENTWISE | _OTHERS).items())))
"""All activations of `fastnn.functional` as functions of one number."""


class Curve(NamedTuple):
    """An activation along a span."""

    name: str
    x: np.ndarray[Any, Any]
    """The arguments (points,), evenly spaced."""
    y: np.ndarray[Any, Any]
    """The function there."""
    slope: np.ndarray[Any, Any]
    """Its derivative there, by automatic differentiation."""
    saturated: tuple[tuple[float, float], ...]
    """The intervals of x where it is saturated."""
    peak: int
    """Where the slope is largest: an index, of the one nearest to 0 where there are several."""


@picture
def activation(
    functions: str | Function | Sequence[str | Function] | Mapping[str, Function],
    *,
    span: tuple[float, float] = (-6.0, 6.0),
    ax: Axes | Sequence[Axes] | np.ndarray[Any, Any] | None = None,
) -> Any:
    """Draw activation functions with their derivatives, saturated zones and largest slopes.

    Parameters
    ----------
    functions : str, callable, sequence of these, or mapping of str to callable
        Names of activations of `fastnn.functional`, such as "gelu"; functions that take and return a tensor (N,); or layers
        such as ``nn.LeakyReLU(0.1)``. A mapping says what they are called.
    span : (float, float)
        The arguments, from and to.
    ax : matplotlib Axes, or sequence of Axes, optional
        Where to draw: all functions in a single one, each in one of its own in several. By default a single one in a new figure.

    Returns
    -------
    Axes or ndarray of Axes
        What was given, or the new one.

    Raises
    ------
    ValueError
        If a name is not known, there are no functions, the span is empty, there are not as many axes as functions, or a function
        is finite nowhere.
    TypeError
        If a function is none, or does not return a number for each.
    MissingExtraError
        If Matplotlib is not installed.

    Notes
    -----
    A function counts as saturated where the size of its slope is below 5 % of the largest within the span: there is next to no
    gradient. The surroundings of a turning point don't count. Zones of a single function are shaded from top to bottom; those of several are bars at the lower edge. The
    derivative is dashed, and a dot marks where it is largest.

    Functions that take more than a number are drawn for one choice of the rest: the slope of "prelu" is 0.25, that of "rrelu" the
    one of evaluation, "softmax" and "log_softmax" are those of (x, 0), and "maxout" is the larger of x and −x/2.


    Examples
    --------
    >>> import fastnn as fnn
    >>> ax = fnn.plots.activation(["sigmoid", "tanh", "relu"])  # doctest: +SKIP
    >>> ax.figure.savefig("activations.png")  # doctest: +SKIP
    """
    curves = [curve(name, function, span) for name, function in _named(functions).items()]
    if is_several(ax):
        axes = panel_axes("activation", ax, len(curves))
        for one, drawn in zip(axes, curves, strict=True):
            draw_curves(one, [drawn])
            one.set_title(drawn.name)
        return as_array(axes)
    one = one_axes("activation", ax)
    draw_curves(one, curves)
    return one


def curve(name: str, function: Function, span: tuple[float, float] = (-6.0, 6.0), points: int = _POINTS) -> Curve:
    """A function and its derivative along a span, where it is saturated, and where it is steepest."""
    low, high = _checked_span(span)
    x = np.linspace(low, high, points)
    y, slope = _values(name, function, x)
    size = np.abs(np.where(np.isfinite(slope), slope, 0.0))
    if not (np.isfinite(y) & np.isfinite(slope)).any():
        raise ValueError(f"activation: {name} is finite nowhere from {low:g} to {high:g}")
    flat = size < SATURATED * size.max() if size.max() > 0 else np.ones(points, bool)
    known = np.where(np.isfinite(slope), slope, -np.inf)
    steepest = np.flatnonzero(known >= known.max() - (1 - _LIMIT) * size.max())
    zones = tuple((float(x[a]), float(x[b])) for a, b in _runs(flat) if not _turns(slope, a, b))
    return Curve(name, x, y, slope, zones, int(steepest[np.argmin(np.abs(x[steepest]))]))


def _named(functions: Any) -> dict[str, Function]:
    if isinstance(functions, Mapping):
        listed = {str(name): _function(function) for name, function in functions.items()}
    else:
        several = list(functions) if isinstance(functions, list | tuple) else [functions]
        listed = {_name(function): _function(function) for function in several}
    if not listed:
        raise ValueError("activation: there are no functions to draw")
    return listed


def _name(function: Any) -> str:
    if isinstance(function, Module):
        return repr(function)
    return function if isinstance(function, str) else str(getattr(function, "__name__", type(function).__name__))


def _function(function: Any) -> Function:
    if isinstance(function, str):
        if function not in NAMED:
            raise ValueError(f"activation: there is no {function!r}, only {', '.join(NAMED)}")
        return NAMED[function]
    if isinstance(function, type):
        raise TypeError(f"activation: {function.__name__} is a class; give an object of it, such as nn.ReLU()")
    if not callable(function):
        raise TypeError(f"activation: a function must be a name or callable, got {shown(function)}")
    return function  # type: ignore[no-any-return]


def _checked_span(span: Any) -> tuple[float, float]:
    if not isinstance(span, tuple | list) or len(span) != 2:
        raise TypeError(f"activation: span must be two numbers, got {shown(span)}")
    low, high = (real("activation", "span", end) for end in span)
    if not low < high:
        raise ValueError(f"activation: span must go upwards, got {span}")
    return low, high


def _values(name: str, function: Function, x: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Function and derivative: each output depends on its own argument, so the gradient of their sum has all derivatives."""
    if not isinstance(function, Module):
        return _differentiated(name, function, x)
    dtype = next((parameter.dtype for parameter in function.parameters()), x.dtype)
    with evaluation(function):
        return _differentiated(name, function, x.astype(dtype))


def _differentiated(name: str, function: Function, x: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    def checked(given: Any) -> Any:
        try:
            output = function(given)
        except TypeError as error:
            raise TypeError(
                f"activation: {name} must take a tensor, as functions of fastnn do and those of NumPy do not: {error}"
            ) from error
        if not isinstance(output, Tensor) or output.shape != x.shape:
            found = f"{type(output).__name__} of shape {np.shape(raw(output))}"
            raise TypeError(
                f"activation: {name} must give a tensor of the shape of its argument, {x.shape}, got {found}"
            )
        return output

    y, pullback = vjp(checked, x)
    (slope,) = pullback(np.ones_like(y))
    return y.astype(np.float64), slope.astype(np.float64)


def _runs(inside: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    """The first and last index of each run of points that are inside."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    return [(int(first), int(after) - 1) for first, after in edges.reshape(-1, 2)]


def _turns(slope: np.ndarray[Any, Any], first: int, last: int) -> bool:
    """Whether a run only surrounds a turning point: a slope that goes through 0 is small there, but nothing saturates."""
    inner = 0 < first and last < len(slope) - 1
    return inner and bool(slope[first - 1] * slope[last + 1] < 0)


def draw_curves(ax: Any, curves: Sequence[Curve]) -> None:
    """One function with its derivative, or several in colours of their own."""
    colours = colours_of(len(curves))
    several = len(curves) > 1
    for i, (drawn, colour) in enumerate(zip(curves, colours, strict=True)):
        ax.plot(drawn.x, drawn.y, color=colour, linewidth=2.0, label=drawn.name if several else "f(x)")
        slope = drawn.slope[drawn.peak]
        label = None if several else f"f′(x), largest {slope:.3g}"
        tone = colour if several else COLOURS[1]
        ax.plot(drawn.x, drawn.slope, color=tone, linewidth=1.5, linestyle=LINES[1], label=label)
        ax.plot(drawn.x[drawn.peak], slope, color=tone, marker="o", markersize=6, linestyle="")
        _shade(ax, drawn, colour, i, several)
    if several:
        ax.plot([], [], color=GREY, linestyle=LINES[1], marker="o", label="derivatives, dots at the largest")
        ax.plot([], [], color=GREY, linewidth=5, alpha=0.6, label="saturated")
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    ax.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    ax.set(xlabel="x", ylabel="f(x), f′(x)", xlim=curves[0].x[[0, -1]])
    ax.legend(fontsize="small", framealpha=0.8)


def _shade(ax: Any, drawn: Curve, colour: Any, place: int, several: bool) -> None:
    """The saturated zones: over the whole height of one function, of several as bars above one another at the lower edge."""
    height = 0.02
    bottom, top = (place * 1.5 * height, place * 1.5 * height + height) if several else (0.0, 1.0)
    for i, (low, high) in enumerate(drawn.saturated):
        label = "saturated" if i == 0 and not several else None
        tone, alpha = (colour, 0.6) if several else (GREY, 0.25)
        ax.axvspan(low, high, bottom, top, color=tone, alpha=alpha, linewidth=0, label=label)
