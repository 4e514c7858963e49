"""`differentiable`: an operation of one's own, in Python or around a kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from .._types import Array, ArrayLike, Value
from ..checks.arrays import unmasked
from .core import TensorBase, raw, record, unboxed
from .several import record_many

if TYPE_CHECKING:
    from .tensors import Tensor


class Operation(Protocol):
    """What `differentiable` makes of a function with one result."""

    @overload
    def __call__(self, *inputs: ArrayLike, **options: Any) -> Array: ...
    @overload
    def __call__(self, *inputs: Value, **options: Any) -> Tensor: ...


class OperationOfSeveral(Protocol):
    """The same for a tuple of results."""

    @overload
    def __call__(self, *inputs: ArrayLike, **options: Any) -> tuple[Array, ...]: ...
    @overload
    def __call__(self, *inputs: Value, **options: Any) -> tuple[Tensor, ...]: ...


@overload
def differentiable(
    forward: Callable[..., tuple[Array, Any]],
    vjp: Callable[..., Any],
    jvp: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Operation: ...
@overload
def differentiable(
    forward: Callable[..., tuple[tuple[Array, ...], Any]],
    vjp: Callable[..., Any],
    jvp: Callable[..., Any] | None = None,
    name: str | None = None,
) -> OperationOfSeveral: ...
def differentiable(
    forward: Callable[..., tuple[Any, Any]],
    vjp: Callable[..., Any],
    jvp: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Any:
    """Make an operation out of a function of arrays and its derivative.

    Parameters
    ----------
    forward : callable
        ``forward(*arrays, **options)`` returns ``(result, saved)``: an ndarray, or a tuple of them, and whatever the
        derivatives need again. It gets plain arrays in the place of tensors.
    vjp : callable
        ``vjp(saved, dy)`` returns the gradient of each positional argument (None where there is none): an array if there
        is one argument, else a tuple. For several results, ``vjp(saved, *dys)``.
    jvp : callable, optional
        ``jvp(saved, *tangents)`` returns the tangent of the result (or a tuple of them); only `fastnn.jvp` needs it.
        Arguments that do not move have tangents of zeros.
    name : str, optional
        What error messages and pictures call it; by default the name of ``forward``.

    Returns
    -------
    callable
        Takes tensors and arrays; positional arguments are differentiated, keyword arguments are not. Returns tensors if
        an argument is one, else arrays.

    Raises
    ------
    TypeError
        If ``forward`` does not return a pair.
    ValueError
        In the reverse pass, if there are too many or too few gradients, or one has a wrong shape.

    Notes
    -----
    Check a new one with `fastnn.testing.gradcheck`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> cube = fnn.differentiable(
    ...     lambda x: (x**3, x),
    ...     lambda x, dy: 3 * x**2 * dy,
    ...     lambda x, t: 3 * x**2 * t,
    ...     name="cube",
    ... )
    >>> fnn.grad(lambda x: cube(x).sum())([1.0, 2.0])
    array([ 3., 12.])
    >>> cube(np.array(2.0))
    np.float64(8.0)
    """
    op = name or str(getattr(forward, "__name__", "differentiable"))

    @functools.wraps(forward)
    def operation(*inputs: Any, **options: Any) -> Any:
        arrays = [_array(op, x) for x in inputs]
        pair = forward(*arrays, **options)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"{op}: forward must return (result, saved), got {type(pair).__name__}")
        result, saved = pair
        several = isinstance(result, tuple)
        results = [np.asarray(r) for r in (result if several else (result,))]
        forms = [(r.shape, r.dtype) for r in results]

        def pull(dys: Sequence[Any], needs: tuple[bool, ...]) -> Sequence[Any]:
            given = (np.zeros(*form) if dy is None else dy for dy, form in zip(dys, forms, strict=True))
            gradients = vjp(saved, *given)
            return gradients if isinstance(gradients, (tuple, list)) else (gradients,)

        def push(tangents: Sequence[Any]) -> Any:
            if jvp is None:
                raise NotImplementedError(f"{op}: has no derivative in forward mode; give differentiable a jvp")
            return jvp(saved, *(np.zeros_like(a) if t is None else t for t, a in zip(tangents, arrays, strict=True)))

        if several:
            return tuple(map(unboxed, record_many(op, results, inputs, pull, push)))
        return unboxed(record(op, results[0], inputs, lambda dy, needs: pull((dy,), needs), push))

    return operation


def _array(op: str, x: Any) -> Any:
    return raw(x) if isinstance(x, (TensorBase, np.ndarray)) else np.asarray(unmasked(op, "an argument", x))
