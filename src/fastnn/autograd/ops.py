"""Arithmetic and elementwise functions of tensors; everything NumPy broadcasts, these broadcast.

In each backward, ``needs`` decides what is computed. ``_fit`` sums a gradient over the axes along which its
input was broadcast. A backward that needs no values keeps shapes only: the values may be changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._types import Constant, Value
from ..checks.arrays import unmasked
from .core import _FLOATS, TensorBase, _as_data, is_followed, record
from .graph import Jvp, self_adjoint
from .graph import add as _sum
from .modes import mode

if TYPE_CHECKING:
    from .tensors import Tensor

Gradients = tuple[Any, ...]
Derivative = Callable[[np.ndarray], Any]
_NUMBERS = frozenset((float, int))
_NUMPY_NUMBERS = frozenset(np.dtype(code).type for code in "fd" + np.typecodes["AllInteger"])


recorded: Callable[..., Tensor] = record  # gives a tensor, since an operator or method has one as an input


def operand(x: Any, name: str, beside: Any = None) -> Any:
    """What NumPy shall compute with: an array, or a Python number (which leaves the other's dtype alone).

    A NumPy scalar ``beside`` a tensor of floats counts as such a number: NumPy has ``x / np.sqrt(d)`` be float64.
    """
    if isinstance(x, TensorBase):
        return x.data
    if type(x) in _NUMBERS:
        return x
    if type(x) in _NUMPY_NUMBERS and isinstance(beside, TensorBase) and beside.data.dtype in _FLOATS:
        return x.item()
    return _as_data(x, name)


def _fit(gradient: Any, shape: tuple[int, ...]) -> Any:
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    stretched = [axis for axis, n in enumerate(shape, extra) if n == 1 and gradient.shape[axis] != 1]
    return gradient.sum(axis=(*range(extra), *stretched)).reshape(shape)


def _binary(
    name: str,
    y: Any,
    a: Value,
    b: Value,
    a_: Any,
    b_: Any,
    by_a: Derivative,
    by_b: Derivative,
    arguments: tuple[Any, ...] = (),
) -> Tensor:
    """Record an elementwise function of two; ``by_a`` and ``by_b`` multiply by the derivative by each.

    That of an operand without a gradient is dropped, and the values with it.
    """
    forward = mode.forward
    shape_a: tuple[int, ...] = ()
    shape_b: tuple[int, ...] = ()
    if isinstance(a, TensorBase) and (a._requires_grad or forward):
        shape_a = a_.shape
    else:
        by_a = _same
    if isinstance(b, TensorBase) and (b._requires_grad or forward):
        shape_b = b_.shape
    else:
        by_b = _same

    def vjp(dy: np.ndarray, needs: tuple[bool, ...]) -> Gradients:
        return _fit(by_a(dy), shape_a) if needs[0] else None, _fit(by_b(dy), shape_b) if needs[1] else None

    return recorded(name, y, (a, b), vjp, _jvp_of_two(y, by_a, by_b) if forward else None, arguments)


def _jvp_of_two(y: Any, by_a: Derivative, by_b: Derivative) -> Jvp:
    def jvp(tangents: Sequence[Any]) -> np.ndarray:
        ta, tb = tangents
        moved = by_b(tb) if ta is None else by_a(ta) if tb is None else by_a(ta) + by_b(tb)
        return np.broadcast_to(moved, np.shape(y))

    return jvp


def _same(d: np.ndarray) -> np.ndarray:
    return d


def add(a: Any, b: Any) -> Tensor:
    """``a + b``."""
    a_, b_ = operand(a, "add", b), operand(b, "add", a)
    return _binary("add", _sum(a_, b_), a, b, a_, b_, _same, _same)


def subtract(a: Any, b: Any) -> Tensor:
    """``a - b``."""
    a_, b_ = operand(a, "subtract", b), operand(b, "subtract", a)
    return _binary("subtract", a_ - b_, a, b, a_, b_, _same, np.negative)


def multiply(a: Any, b: Any) -> Tensor:
    """``a * b``."""
    a_, b_ = operand(a, "multiply", b), operand(b, "multiply", a)
    return _binary("multiply", a_ * b_, a, b, a_, b_, lambda d: d * b_, lambda d: d * a_)


def divide(a: Any, b: Any) -> Tensor:
    """``a / b``."""
    a_, b_ = operand(a, "divide", b), operand(b, "divide", a)
    y = a_ / b_
    return _binary("divide", y, a, b, a_, b_, lambda d: d / b_, lambda d: -(d / b_) * y)


def _raised(a: Any, b: Any) -> Any:
    """``a ** b``, by multiplication where b is the number 3 or 4.

    NumPy's power is a hundred times slower where a is negative. Two roundings are up to two units in the last place from
    the value, those of NumPy one. More of them would be more than that, and NumPy multiplies by itself where b is 2.
    """
    if type(b) in _NUMBERS and (b == 3 or b == 4) and a.dtype in _FLOATS:
        square = a * a
        return square * (a if b == 3 else square)
    return a**b


def power(a: Any, b: Any) -> Tensor:
    """``a ** b``; both derivatives are taken as 0 where their formula gives 0·∞ (``0 ** 0``; by ``b`` at ``a = 0``)."""
    a_, b_ = operand(a, "power", b), operand(b, "power", a)
    y = _raised(a_, b_)

    def by_base(d: np.ndarray) -> Any:
        # y = a^b: b·a^(b−1), without 0·∞ at a = 0, b = 0
        if type(b_) in _NUMBERS:
            return np.zeros_like(d) if b_ == 0 else d * (b_ * _raised(a_, b_ - 1))
        return d * (b_ * np.power(a_, np.where(b_ == 0, np.ones_like(b_), b_ - 1)))

    def by_exponent(d: np.ndarray) -> Any:
        # y = a^b: y·log a, without 0·(−∞) at a = 0
        flat = (np.equal(a_, 0)) & (b_ >= 0)
        return d * np.where(flat, np.zeros_like(y), y * np.log(np.where(flat, np.ones_like(a_), a_)))

    return _binary("power", y, a, b, a_, b_, by_base, by_exponent)


def negative(x: Any) -> Tensor:
    """``-x``."""
    return recorded("negative", -operand(x, "negative"), (x,), lambda dy, needs: (-dy,), self_adjoint, ())


def exp(x: Value) -> Value:
    """e to the power of each element.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; float32 or float64, integers and booleans as NumPy promotes them.

    Returns
    -------
    ndarray or Tensor
        Of the shape of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32, float64, integers and booleans.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.exp(fnn.tensor([0.0, 1.0]))
    tensor([1.        , 2.71828183])
    """
    y = np.exp(operand(x, "exp"))
    return recorded("exp", y, (x,), lambda dy, needs: (dy * y,), self_adjoint, ())


def log(x: Value) -> Value:
    """The natural logarithm of each element.

    0 gives −inf and less than 0 gives NaN, each with NumPy's warning.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; float32 or float64, integers and booleans as NumPy promotes them.

    Returns
    -------
    ndarray or Tensor
        Of the shape of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32, float64, integers and booleans.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.log(fnn.tensor([1.0, 2.0]))
    tensor([0.        , 0.69314718])
    """
    x_ = operand(x, "log")
    return recorded("log", np.log(x_), (x,), lambda dy, needs: (dy / x_,), self_adjoint, ())


def sqrt(x: Value) -> Value:
    """The square root of each element.

    Less than 0 gives NaN, with NumPy's warning; the derivative at 0 is infinite.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; float32 or float64, integers and booleans as NumPy promotes them.

    Returns
    -------
    ndarray or Tensor
        Of the shape of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32, float64, integers and booleans.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.sqrt(fnn.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    y = np.sqrt(operand(x, "sqrt"))
    return recorded("sqrt", y, (x,), lambda dy, needs: (dy / (2 * y),), self_adjoint, ())


def absolute(x: Value) -> Value:
    """The absolute value of each element; the derivative at 0 is 0.

    Parameters
    ----------
    x : array_like or Tensor
        Any shape; float32 or float64, integers and booleans as NumPy promotes them.

    Returns
    -------
    ndarray or Tensor
        Of the shape of ``x``; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32, float64, integers and booleans.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.absolute(fnn.tensor([-1.5, 2.0]))
    tensor([1.5, 2. ])
    """
    x_ = operand(x, "absolute")
    return recorded("absolute", np.abs(x_), (x,), lambda dy, needs: (dy * np.sign(x_),), self_adjoint, ())


def maximum(a: Value, b: Value) -> Value:
    """The larger of two elements; equal ones give the gradient to the first, NaN propagates.

    Parameters
    ----------
    a, b : array_like or Tensor
        Of shapes that broadcast; float32 or float64, integers and booleans as NumPy promotes them.

    Returns
    -------
    ndarray or Tensor
        Of the broadcast shape; a tensor if ``a`` or ``b`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32, float64, integers and booleans.
    ValueError
        For shapes that don't broadcast.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.maximum(fnn.tensor([-1.0, 2.0]), 0.0)
    tensor([0., 2.])
    """
    a_, b_ = operand(a, "maximum", b), operand(b, "maximum", a)
    return _pick("maximum", np.maximum(a_, b_), (a_ >= b_) | np.isnan(a_), a, b, a_, b_)


def minimum(a: Value, b: Value) -> Value:
    """The smaller of two elements; equal ones give the gradient to the first, NaN propagates.

    Parameters
    ----------
    a, b : array_like or Tensor
        Of shapes that broadcast; float32 or float64, integers and booleans as NumPy promotes them.

    Returns
    -------
    ndarray or Tensor
        Of the broadcast shape; a tensor if ``a`` or ``b`` is one.

    Raises
    ------
    TypeError
        For a dtype other than float32, float64, integers and booleans.
    ValueError
        For shapes that don't broadcast.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.minimum(fnn.tensor([-1.0, 2.0]), 0.0)
    tensor([-1.,  0.])
    """
    a_, b_ = operand(a, "minimum", b), operand(b, "minimum", a)
    return _pick("minimum", np.minimum(a_, b_), (a_ <= b_) | np.isnan(a_), a, b, a_, b_)


def where(condition: Constant, a: Value, b: Value) -> Value:
    """Elements of ``a`` where the condition holds, else of ``b``.

    Parameters
    ----------
    condition : array_like or Tensor
        Taken as booleans; gets no gradient.
    a, b : array_like or Tensor
        float32 or float64, integers and booleans as NumPy promotes them. All three broadcast.

    Returns
    -------
    ndarray or Tensor
        Of the broadcast shape; a tensor if ``a`` or ``b`` is one. A gradient reaches only the elements taken.

    Raises
    ------
    TypeError
        For a dtype other than float32, float64, integers and booleans.
    ValueError
        For shapes that don't broadcast.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([-1.0, 2.0])
    >>> fnn.where(x > 0, x, 0.1 * x)
    tensor([-0.1,  2. ])
    """
    a_, b_ = operand(a, "where", b), operand(b, "where", a)
    mask = np.asarray(operand(condition, "where"), dtype=bool)
    return _pick("where", np.where(mask, a_, b_), mask, a, b, a_, b_, (condition,))


def _pick(
    name: str, y: Any, mask: Any, a: Value, b: Value, a_: Any, b_: Any, arguments: tuple[Any, ...] = ()
) -> Tensor:
    return _binary(
        name, y, a, b, a_, b_,
        lambda d: np.where(mask, d, d.dtype.type(0)), lambda d: np.where(mask, d.dtype.type(0), d), arguments,
    )  # fmt: skip


def clip(x: Any, low: Any = None, high: Any = None) -> Tensor:
    """Each element, but not below ``low`` nor above ``high``, which broadcast; the derivative is 0 outside."""
    for name, bound in (("min", low), ("max", high)):
        if is_followed(bound):
            raise TypeError(
                f"clip: {name} gets no gradient, but the tensor requires one; use fastnn.maximum or minimum"
            )
        unmasked("clip", name, bound)
    x_ = operand(x, "clip")
    low, high = (None if bound is None else operand(bound, "clip", x) for bound in (low, high))
    shape = x_.shape
    outside = np.zeros(shape, bool)
    if low is not None:
        outside = outside | (x_ < low)
    if high is not None:
        outside = outside | (x_ > high)

    def within(d: np.ndarray) -> Any:
        return np.where(outside, d.dtype.type(0), d)

    return recorded(
        "clip", np.clip(x_, low, high), (x,), lambda dy, needs: (_fit(within(dy), shape),), lambda t: within(t[0]),
        (low, high),
    )  # fmt: skip
