"""`grad` and `value_and_grad`: derivatives of functions, without touching any ``.grad``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .core import Tensor, raw
from .graph import enable_grad, run_backward


def value_and_grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., tuple[Any, Any]]:
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
        With the arguments of ``f``; returns ``(value, gradient)``, ndarrays, a tuple of gradients if
        ``argnums`` is a tuple. Gradients of parameters ``f`` uses besides are not touched.

    Raises
    ------
    TypeError
        If ``f`` does not return a one-element tensor, or an argument is not of float32 or float64.

    Examples
    --------
    >>> import fastnn as fnn
    >>> value, gradient = fnn.value_and_grad(lambda x: (x * x).sum())([1.0, 2.0])
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)

    @wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        arguments = list(args)
        leaves = []
        for i in numbers:
            if not -len(args) <= i < len(args):
                raise ValueError(f"grad: argnums={argnums} but there are {len(args)} positional arguments")
            arguments[i] = Tensor(raw(args[i]), requires_grad=True)
            leaves.append(arguments[i])
        with enable_grad():
            value = f(*arguments, **kwargs)
        if not isinstance(value, Tensor) or value.size != 1:
            what = f"a tensor of shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"grad: the function must return a one-element tensor, not {what}")
        found: dict[Tensor, np.ndarray] = {leaf: np.zeros_like(leaf.data, order="C") for leaf in leaves}

        def deliver(leaf: Tensor, gradient: np.ndarray) -> None:
            if leaf in found:
                found[leaf] += gradient

        if value.requires_grad:
            run_backward(value, np.ones(value.shape, value.dtype), False, deliver)
        gradients = tuple(found[leaf] for leaf in leaves)
        return value.data, gradients if isinstance(argnums, tuple) else gradients[0]

    return wrapped


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that returns the gradient of ``f``; see `value_and_grad`.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.grad(lambda x: x * x.exp())(0.0)
    array(1.)
    """
    both = value_and_grad(f, argnums)

    @wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return wrapped
