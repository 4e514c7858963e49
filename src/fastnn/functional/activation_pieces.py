"""Activations of linear pieces: learned slopes, random slopes, the largest of several."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, checks
from .._types import Array, Constant, Rng, Value
from ..autograd import Tensor, record, self_adjoint
from ..checks import Norm, Softmax
from ._elementwise import elementwise
from ._op import Plan, Tape, operation
from ._random import key, key_again

__all__ = ["maxout", "maxout_backward", "prelu", "prelu_backward", "rrelu", "rrelu_backward"]


def prelu(x: Value, weight: Value) -> Value:
    """``x`` where ``x > 0``, else ``weight * x`` with a learned slope.

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, any shape; with a slope per channel (n, channels, ...).
    weight : array_like or Tensor, shape (), (1,) or (channels,)
        The slope of the negative side, of the dtype of ``x``; it starts at 0.25 (He et al. 2015).

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if one of the two is.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64, or a mixture of them.
    ValueError
        If ``weight`` is neither one slope nor one per channel.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.prelu(np.array([[-4.0, -4.0], [1.0, 1.0]]), np.array([0.25, 0.5]))
    array([[-1., -2.],
           [ 1.,  1.]])
    """
    return _PRELU(x, weight)


def _prelu_plan(x: Any, weight: Any) -> Plan:
    return Plan("prelu_forward", checks.prelu("prelu", x, weight), tape=Tape("prelu_backward", _prelu_jvp))


def _prelu_jvp(ops: Any, tangents: Any, g: Norm, x: Array, weight: Array) -> Array:
    dx, dw = tangents
    moved = np.zeros_like(x) if dx is None else ops.prelu_backward(g, dx, x, weight)[0]
    if dw is not None:
        with np.errstate(all="ignore"):
            slope = np.where(x > 0, x.dtype.type(0), x)
            moved = moved + (slope.reshape(g) * dw.reshape(-1, 1)).reshape(x.shape)
    return np.asarray(moved)


_PRELU = operation("prelu", _prelu_plan, ("x", "weight"))


def prelu_backward(dy: Constant, x: Constant, weight: Constant) -> tuple[Array, Array]:
    """Gradients of `prelu`.

    Parameters
    ----------
    dy : array_like
        The gradient of the output, of the shape of ``x``.
    x, weight : array_like
        What `prelu` got.

    Returns
    -------
    dx, dweight : ndarray
        ``dy`` where ``x > 0``, else ``weight * dy``; the sums of ``x * dy`` where ``x`` is not above 0, in an
        order that does not depend on the number of threads.

    Raises
    ------
    TypeError, ValueError
        As `prelu`, and if ``dy`` has not the shape of ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.prelu_backward(np.array([1.0, 1.0]), np.array([-4.0, 2.0]), np.array([0.25]))
    (array([0.25, 1.  ]), array([-4.]))
    """
    return _PRELU_BACKWARD(dy, x, weight)


def _prelu_gradient_plan(dy: Any, x: Any, weight: Any) -> Plan:
    op = "prelu_backward"
    g, x, weight = checks.prelu(op, x, weight)
    return Plan(op, (g, checks.operand(op, "dy", dy, x.dtype, x.shape), x, weight))


_PRELU_BACKWARD = operation("prelu_backward", _prelu_gradient_plan)


def rrelu(
    x: Value, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, *, rng: Rng | None = None
) -> Value:
    """``x`` where ``x > 0``, else ``slope * x`` with a random slope per element.

    In training the slopes are uniform on [lower, upper]; they follow from 64 bits drawn from ``rng`` and the position
    of the element, the same on both backends and for every number of threads. In evaluation all are
    ``(lower + upper) / 2``. Source: Xu et al. 2015.

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, any shape.
    lower, upper : float
        The interval of the slopes.
    training : bool
        Whether the slopes are random.
    rng : None, int, sequence of int, SeedSequence or Generator
        What `numpy.random.default_rng` takes. A generator gives new slopes at each call, an int the same ones
        again, as `rrelu_backward` needs them, None ones that cannot be foreseen.

    Returns
    -------
    ndarray or Tensor
        Of the shape and dtype of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        If the bounds are not finite, the dtype does not hold them, or ``lower`` is above ``upper``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.rrelu(np.array([-1.0, 1.0]), 0.25, 0.75)
    array([-0.5,  1. ])
    >>> y = F.rrelu(-np.ones(1000), training=True, rng=0)
    >>> bool(-1 / 3 < y.min() < y.max() < -1 / 8)
    True
    """
    low, high = checks.interval("rrelu", "lower", lower, "upper", upper, x)
    if not checks.flag("rrelu", "training", training):
        return _RRELU(x, low / 2 + high / 2)
    # The array is taken in C order, since an element's slope follows from its position. The key is drawn after all
    # checks, so that a generator moves on only if nothing is refused.
    if not isinstance(x, Tensor):
        y: Array = backend.current().rrelu_forward(checks.array("rrelu", "x", x), low, high, key("rrelu", rng))
        return y
    return _random_rrelu(x, checks.array("rrelu", "x", x.data), low, high, key("rrelu", rng))


def _random_rrelu(x: Tensor, array: Array, low: float, high: float, bits: int) -> Tensor:
    ops = backend.current()

    def vjp(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (ops.rrelu_backward(dy, array, low, high, bits),)

    return record("rrelu", ops.rrelu_forward(array, low, high, bits), (x,), vjp, self_adjoint, (low, high))


def rrelu_backward(
    dy: Constant,
    x: Constant,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    *,
    rng: Rng | None = None,
) -> Array:
    """Gradient of `rrelu`: ``dy`` where ``x > 0``, else ``slope * dy`` with the slopes of the forward.

    Parameters
    ----------
    dy, x : array_like
        The gradient of the output, and what `rrelu` got; of one shape and dtype.
    lower, upper, training
        What `rrelu` got.
    rng : int, sequence of int or SeedSequence
        What `rrelu` got, from which the same slopes follow; refused in evaluation, which draws none. A generator has
        moved on since, so it is refused: draw a seed from it for both, ``seed = int(generator.integers(2**63))``.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError
        For another dtype, or an ``rng`` that would give other slopes than in the forward: None or a generator.
    ValueError
        For different shapes, an ``rng`` without ``training=True``, or as `rrelu`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> x = np.array([-1.0, 1.0, -2.0])
    >>> y = F.rrelu(x, training=True, rng=7)
    >>> bool(np.allclose(F.rrelu_backward(np.ones(3), x, training=True, rng=7), y / x))
    True
    """
    op = "rrelu_backward"
    low, high = checks.interval(op, "lower", lower, "upper", upper, x)
    if not checks.flag(op, "training", training):
        if rng is not None:
            raise ValueError(
                f"{op}: rng gives the slopes of training only; pass training=True, as the forward had, or no rng"
            )
        return _RRELU_BACKWARD(dy, x, low / 2 + high / 2)
    x = checks.array(op, "x", x)  # in C order, since an element's slope follows from its position
    dy = checks.operand(op, "dy", dy, x.dtype, x.shape, "x")
    # No plan is kept: each key would need one of its own.
    return backend.current().rrelu_backward(dy, x, low, high, key_again(op, rng))


# In evaluation rrelu is a leaky ReLU, whose slope is the mean of the bounds.
_RRELU, _RRELU_BACKWARD = elementwise("rrelu", choose=lambda name, x, slope: ("leaky_relu", slope))


def maxout(x: Value, k: int, axis: int = 1) -> Value:
    """The largest of each ``k`` neighbours along an axis.

    Applied to ``k`` times as many linear features as are wanted, it is a learned convex activation of ``k`` linear
    pieces. Source: Goodfellow et al. 2013.

    Parameters
    ----------
    x : array_like or Tensor
        float32 or float64, at least one axis.
    k : int
        How many pieces each output is the largest of; divides the extent of the axis.
    axis : int
        The axis of the features.

    Returns
    -------
    ndarray or Tensor
        The shape of ``x`` with the axis ``k`` times shorter: output i is the largest of ``i*k … i*k + k - 1``, NaN if
        one of them is. Of equal ones the first gets the gradient. A tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32 and float64.
    ValueError
        If ``x`` has no such axis, or ``k`` does not divide its extent.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.maxout(np.array([[1.0, 3.0, -2.0, -5.0]]), 2)
    array([[ 3., -2.]])
    """
    return _MAXOUT(x, k, axis)


def _maxout_plan(x: Any, k: Any, axis: Any) -> Plan:
    return Plan("maxout_forward", checks.maxout("maxout", x, k, axis), tape=Tape("maxout_backward", _maxout_jvp))


def _maxout_jvp(ops: Any, tangents: Any, g: Softmax, x: Array, y: Array) -> Array:
    first = ops.maxout_backward(g, np.ones(y.shape, x.dtype), x).reshape(g)
    moved = np.where(first != 0, tangents[0].reshape(g), x.dtype.type(0))
    return np.asarray(moved.sum(axis=1).reshape(y.shape))


_MAXOUT = operation("maxout", _maxout_plan, ("x",))


def maxout_backward(dy: Constant, x: Constant, k: int, axis: int = 1) -> Array:
    """Gradient of `maxout`: ``dy`` at the first of the largest, else 0.

    Parameters
    ----------
    dy : array_like
        The gradient of the output, of its shape.
    x, k, axis
        What `maxout` got.

    Returns
    -------
    ndarray
        The gradient of ``x``.

    Raises
    ------
    TypeError, ValueError
        As `maxout`, and if ``dy`` has not the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> F.maxout_backward(np.array([[5.0]]), np.array([[1.0, 3.0, 3.0]]), 3)
    array([[0., 5., 0.]])
    """
    return _MAXOUT_BACKWARD(dy, x, k, axis)


def _maxout_gradient_plan(dy: Any, x: Any, k: Any, axis: Any) -> Plan:
    op = "maxout_backward"
    g, x, shape = checks.maxout(op, x, k, axis)
    return Plan(op, (g, checks.operand(op, "dy", dy, x.dtype, shape), x))


_MAXOUT_BACKWARD = operation("maxout_backward", _maxout_gradient_plan)
