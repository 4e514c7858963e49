"""`grad`, `value_and_grad`, `vjp` and `jvp`: derivatives of functions, without touching any ``.grad``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, overload

import numpy as np

from .._types import Array, Constant
from ..checks.arrays import shown, unmasked
from .core import TensorBase, has_tangent, is_followed, raw, unboxed
from .graph import run_backward
from .modes import enable_grad, mode, no_grad
from .tensors import Tensor

_NO_SECOND = "second derivatives are not supported"


@contextmanager
def _differentiating(name: str, leaves: Sequence[Tensor], arguments: Iterable[Any]) -> Iterator[None]:
    """Inside, ``leaves`` are what a transformation differentiates by; an ``argument`` may not be what another one does."""
    for x in arguments:
        if has_tangent(x) or (is_followed(x) and (x._node is not None or _is_variable(x))):
            raise NotImplementedError(
                f"{name}: an argument of shape {x.shape} is followed by another derivative, which would be lost: "
                f"{_NO_SECOND}; pass x.detach() for the derivative at its values alone"
            )
    outer = mode.variables
    mode.variables = (*outer, *leaves)
    try:
        yield
    finally:
        mode.variables = outer


def _variable(x: Any) -> Tensor:
    """What to differentiate by at the values of x. They are the caller's, so that ``f`` gets a view that it cannot change."""
    leaf = Tensor(raw(x), requires_grad=True)  # Tensor refuses integers
    leaf.data = view = leaf.data.view()
    view.setflags(write=False)
    return leaf


def _direction(name: str, what: str, x: Any, like: Tensor, of: str) -> np.ndarray:
    """A gradient or a tangent that was given for a tensor."""
    array = np.array(unmasked(name, what, raw(x)), dtype=like.dtype, order="C")
    if array.shape != like.shape:
        raise ValueError(f"{name}: {what} has shape {array.shape} but {of} {like.shape}")
    return array


def _require_function(name: str, f: Any) -> None:
    if not callable(f):
        hint = "loss.backward() leaves gradients in .grad, and " if isinstance(f, Tensor) else ""
        raise TypeError(
            f"{name}: expected a function, got {type(f).__name__}; {hint}{_FORMS[name]} differentiates the function f at x"
        )


_FORMS = {
    "grad": "fnn.grad(f)(x)", "value_and_grad": "fnn.value_and_grad(f)(x)", "vjp": "fnn.vjp(f, x)",
    "jvp": "fnn.jvp(f, (x,), (tangent,))",
}  # fmt: skip


def _require_argnums(name: str, argnums: Any) -> None:
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in numbers):
        raise TypeError(f"{name}: argnums must be an int or a tuple of ints, got {shown(argnums)}")


def _is_variable(x: Any) -> bool:
    return any(x is v for v in mode.variables)


class _Gradients:
    """Gradients by leaves, summed where the reverse pass delivers them."""

    def __init__(self, name: str, leaves: Sequence[Tensor]) -> None:
        self._name, self._leaves = name, leaves
        self._found = {leaf: np.zeros_like(leaf.data, order="C") for leaf in leaves}

    def deliver(self, leaf: TensorBase, gradient: np.ndarray) -> None:
        if leaf in self._found:
            self._found[leaf] += gradient  # type: ignore[index]
        elif _is_variable(leaf):
            raise NotImplementedError(
                f"{self._name}: the function uses a tensor of shape {leaf.shape} that another derivative follows: {_NO_SECOND}"
            )

    def all(self) -> tuple[np.ndarray, ...]:
        return tuple(self._found[leaf] for leaf in self._leaves)


@overload
def value_and_grad(f: Callable[..., Tensor], argnums: int = 0) -> Callable[..., tuple[Array, Array]]: ...
@overload
def value_and_grad(
    f: Callable[..., Tensor], argnums: tuple[int, ...]
) -> Callable[..., tuple[Array, tuple[Array, ...]]]: ...
def value_and_grad(f: Callable[..., Tensor], argnums: int | tuple[int, ...] = 0) -> Callable[..., tuple[Array, Any]]:
    """A function that returns the value of ``f`` and its gradient.

    Parameters
    ----------
    f : callable
        Takes tensors (and whatever else) and returns a one-element tensor.
    argnums : int or tuple of int
        The positional arguments to differentiate by.

    Returns
    -------
    callable
        With the arguments of ``f``; returns ``(value, gradient)``, a NumPy scalar and an ndarray, a tuple of gradients
        if ``argnums`` is a tuple. Gradients of parameters ``f`` uses besides are not touched.

    Raises
    ------
    TypeError
        If ``f`` is no function, or does not return a one-element tensor; if an argument is not of float32 or float64, or
        ``argnums`` neither an integer nor a tuple of them.
    ValueError
        If ``argnums`` names an argument that was not given by position, or one twice; if ``f`` changes an argument that
        it is differentiated by in place.
    NotImplementedError
        Where the derivative of a derivative would be needed: for an argument that another transformation follows, or
        that was computed from such, and if ``f`` uses one.

    Examples
    --------
    >>> import fastnn as fnn
    >>> value, gradient = fnn.value_and_grad(lambda x: (x * x).sum())([1.0, 2.0])
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """

    return _with_value("value_and_grad", f, argnums)


def _with_value(name: str, f: Callable[..., Any], argnums: Any) -> Callable[..., tuple[Any, Any]]:
    _require_function(name, f)
    _require_argnums(name, argnums)

    @wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        arguments = list(args)
        positions = _positions(argnums, len(args))
        leaves = []
        for i in positions:
            arguments[i] = _variable(args[i])
            leaves.append(arguments[i])
        found = _Gradients("grad", leaves)
        with _differentiating("grad", leaves, (args[i] for i in positions)):
            with enable_grad():
                value = f(*arguments, **kwargs)
            if not isinstance(value, Tensor) or value.size != 1:
                raise TypeError(f"grad: the function must return a one-element tensor, not {_kind_of(value)}")
            if value.requires_grad:
                run_backward(value, np.ones(value.shape, value.dtype), False, found.deliver)
        gradients = found.all()
        return unboxed(value.data), gradients if isinstance(argnums, tuple) else gradients[0]

    return wrapped


def _positions(argnums: int | tuple[int, ...], count: int) -> list[int]:
    """From the front, of so many positional arguments."""
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(-count <= i < count for i in numbers):
        raise ValueError(f"grad: argnums={argnums} but there are {count} positional arguments")
    positions = [i % count for i in numbers]
    if len({*positions}) < len(positions):
        raise ValueError(f"grad: argnums={argnums} names one of {count} positional arguments twice")
    return positions


@overload
def grad(f: Callable[..., Tensor], argnums: int = 0) -> Callable[..., Array]: ...
@overload
def grad(f: Callable[..., Tensor], argnums: tuple[int, ...]) -> Callable[..., tuple[Array, ...]]: ...
def grad(f: Callable[..., Tensor], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that returns the gradient of ``f``, without its value; see `value_and_grad`.

    Parameters
    ----------
    f : callable
        Takes tensors (and whatever else) and returns a one-element tensor.
    argnums : int or tuple of int
        The positional arguments to differentiate by.

    Returns
    -------
    callable
        With the arguments of ``f``; returns the gradient, an ndarray, or a tuple of them if ``argnums`` is a tuple.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As `value_and_grad`, or when the function returned is called.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.grad(lambda x: x * x.exp())(0.0)
    array(1.)
    """
    both = _with_value("grad", f, argnums)

    @wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return wrapped


def vjp(f: Callable[..., Tensor], *primals: Constant) -> tuple[Array, Callable[[Constant], tuple[Array, ...]]]:
    """The value of ``f`` and the function that pulls a gradient of the value back to the arguments (reverse mode).

    Parameters
    ----------
    f : callable
        Takes tensors and returns a tensor of any shape.
    *primals : array_like
        Its arguments, float32 or float64.

    Returns
    -------
    value : ndarray
        ``f(*primals)``; a NumPy scalar where that has no axes.
    pullback : callable
        ``pullback(dy)``, with ``dy`` of the shape of the value, gives one gradient per argument; it may be called
        repeatedly.

    Raises
    ------
    TypeError
        If ``f`` is no function, or does not return a tensor, or an argument is not of float32 or float64.
    ValueError
        If ``f`` changes an argument in place; in the pullback, if ``dy`` has another shape.
    NotImplementedError
        As `value_and_grad`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> value, pullback = fnn.vjp(lambda x, y: x * y, [1.0, 2.0], [3.0, 4.0])
    >>> pullback([1.0, 10.0])
    (array([ 3., 40.]), array([ 1., 20.]))
    """
    _require_function("vjp", f)
    leaves = [_variable(x) for x in primals]
    with _differentiating("vjp", leaves, primals), enable_grad():
        value = f(*leaves)
    if not isinstance(value, Tensor):
        raise TypeError(f"vjp: the function must return a tensor, not {_kind_of(value)}")

    def pullback(dy: Any) -> tuple[np.ndarray, ...]:
        found = _Gradients("vjp", leaves)
        seed = _direction("vjp", "dy", dy, value, "the value has shape")
        if value.requires_grad:
            run_backward(value, seed, True, found.deliver)
        return found.all()

    return unboxed(value.data), pullback


def jvp(
    f: Callable[..., Tensor], primals: Sequence[Constant], tangents: Sequence[Constant | None]
) -> tuple[Array, Array]:
    """The value of ``f`` and its derivative in one direction, in one pass (forward mode).

    Parameters
    ----------
    f : callable
        Takes tensors and returns a tensor of any shape.
    primals : sequence of array_like
        Its arguments, float32 or float64.
    tangents : sequence of array_like or None
        The direction: for each argument an array of its shape, or None where it shall not move.

    Returns
    -------
    value, tangent : ndarray
        ``f(*primals)``, and the derivative of ``f(*(primals + t * tangents))`` by ``t`` at 0. NumPy scalars where they
        have no axes.

    Raises
    ------
    TypeError
        If ``f`` is no function, or does not return a tensor, or an argument is not of float32 or float64.
    ValueError
        If a tangent has not the shape of its argument, or ``f`` changes an argument in place.
    RuntimeError
        Inside another `jvp`: tangents of tangents are not kept.
    NotImplementedError
        If ``f`` uses an operation that has no derivative in forward mode; and as `value_and_grad`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.jvp(lambda x: x * x, [[1.0, 3.0]], [[1.0, 10.0]])
    (array([1., 9.]), array([ 2., 60.]))
    """
    _require_function("jvp", f)
    if len(primals) != len(tangents):
        raise ValueError(f"jvp: {len(primals)} primals but {len(tangents)} tangents")
    if mode.forward:
        raise RuntimeError("jvp: cannot be used inside another jvp, or in a model that is exported")
    arguments = [_with_tangent(x, t) for x, t in zip(primals, tangents, strict=True)]
    with _differentiating("jvp", (), primals), no_grad():
        mode.forward = True
        try:
            value = f(*arguments)
        finally:
            mode.forward = False
    if not isinstance(value, Tensor):
        raise TypeError(f"jvp: the function must return a tensor, not {_kind_of(value)}")
    tangent = getattr(value, "_tangent", None)
    return unboxed(value.data), unboxed(np.zeros_like(value.data) if tangent is None else tangent)


def _kind_of(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {value.shape}"
    plain = isinstance(value, (np.ndarray, np.generic))
    return f"{type(value).__name__}" + f" (what grad, vjp and jvp give is a plain array: {_NO_SECOND})" * plain


def _with_tangent(x: Any, tangent: Any) -> Tensor:
    primal = _variable(x)
    if tangent is not None:
        primal._tangent = _direction("jvp", "a tangent", tangent, primal, "its argument")
    return primal
