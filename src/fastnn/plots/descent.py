"""Functions of two numbers that optimisers are compared on, and the paths that optimisers take on them."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor, enable_grad, raw
from ..checks import integer
from ..nn import Parameter
from ..optim import Optimizer

Function = Callable[[Any, Any], Any]


def beale(x: Any, y: Any) -> Any:
    """Beale's function: flat ground and steep walls; 0 at (3, 0.5) (Jamil and Yang 2013, function 10).

    >>> float(beale(3.0, 0.5))
    0.0
    """
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def rosenbrock(x: Any, y: Any) -> Any:
    """Rosenbrock's function: a curved valley with steep sides; 0 at (1, 1) (Rosenbrock 1960).

    >>> float(rosenbrock(1.0, 1.0))
    0.0
    """
    return (1.0 - x) ** 2 + 100.0 * (y - x**2) ** 2


def saddle(x: Any, y: Any) -> Any:
    """``x² − y²``: uphill along x, downhill along y, and without a slope in the middle.

    >>> float(saddle(2.0, 1.0))
    3.0
    """
    return x**2 - y**2


class TestFunction(NamedTuple):
    """A function of two numbers, and the part of the plane that shows it."""

    function: Function
    span: tuple[tuple[float, float], tuple[float, float]]
    """(from, to) of x and of y."""


NAMED: Mapping[str, TestFunction] = types.MappingProxyType(
    {
        "beale": TestFunction(beale, ((-0.5, 4.5), (-1.5, 1.5))),
        "rosenbrock": TestFunction(rosenbrock, ((-2.0, 2.0), (-1.0, 3.0))),
        "saddle": TestFunction(saddle, ((-1.5, 1.5), (-1.5, 1.5))),
    }
)


def descent(
    function: str | Function,
    start: tuple[float, float],
    make_optimizer: Callable[[list[Parameter]], Optimizer],
    steps: int = 100,
) -> np.ndarray[Any, Any]:
    """The path of an optimiser on a function of two numbers.

    Parameters
    ----------
    function : {"beale", "rosenbrock", "saddle"} or callable
        Takes two tensors and returns one; it is to be made small.
    start : (float, float)
        Where the path begins.
    make_optimizer : callable
        Given a list with the parameter, which holds both numbers, it returns the optimiser.
    steps : int
        How often it steps.

    Returns
    -------
    ndarray of float64, (steps + 1, 2)
        The points, the start first. Where a number ceases to be finite the path ends.

    Raises
    ------
    ValueError
        If the name is not known, or the start is not two numbers.

    Examples
    --------
    >>> from fastnn import optim
    >>> from fastnn.plots.descent import descent
    >>> descent("saddle", (1.0, 0.5), lambda point: optim.SGD(point, lr=0.25), steps=1)
    array([[1.  , 0.5 ],
           [0.5 , 0.75]])
    """
    steps = integer("descent", "steps", steps, 0)
    point = Parameter(np.array(start, dtype=np.float64))
    if point.shape != (2,):
        raise ValueError(f"descent: start must be two numbers, got shape {point.shape}")
    optimizer = make_optimizer([point])
    called = function_of(function)
    path = [point.data.copy()]
    for _ in range(steps):
        optimizer.zero_grad()
        with enable_grad(), np.errstate(over="ignore", invalid="ignore"):
            called(point[0], point[1]).backward()
            optimizer.step()
        if not np.isfinite(point.data).all():
            break
        path.append(point.data.copy())
    return np.array(path)


def function_of(function: Any, op: str = "descent") -> Function:
    """A function by its name, or itself."""
    if not isinstance(function, str):
        return function  # type: ignore[no-any-return]
    if function not in NAMED:
        raise ValueError(f"{op}: there is no function {function!r}, only {', '.join(NAMED)}")
    return NAMED[function].function


def values_over(function: Function, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A function at many points, (…)."""
    given = function(Tensor(x), Tensor(y))
    return np.broadcast_to(np.asarray(raw(given), dtype=np.float64), x.shape).copy()
