"""Gradient clipping."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from ..autograd import Tensor
from ..checks import scalars, unmasked
from ..checks.scalars import FLOAT32_SMALLEST
from .flat import runs_of

_VANISHING = 2.0**-100  # if the mean of the powers is below this, some of them may be denormal
_BLOCK = 1 << 16  # elements that are squared at a time; they stay in the second-level cache


def clip_grad_value(params: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to ``[-clip_value, clip_value]``, in place.

    Parameters
    ----------
    params : Tensor or iterable of Tensor
        Those without a gradient are passed over. An iterator that gives nothing, as ``model.parameters()`` does the
        second time, brings a warning.
    clip_value : float
        Not below 0.

    Raises
    ------
    TypeError, ValueError
        For a limit that is no such number.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> x.grad = np.array([-3.0, 0.5])
    >>> fnn.optim.clip_grad_value([x], 1.0)
    >>> x.grad
    array([-1. ,  0.5])
    """
    limit = scalars.real("clip_grad_value", "clip_value", clip_value, 0.0)
    for g in runs_of(_with_gradient("clip_grad_value", params)):
        np.clip(g, -limit, limit, out=g)


def clip_grad_norm(params: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> float:
    """Scale the gradients so that the norm of all of them together is at most ``max_norm``, in place.

    Parameters
    ----------
    params : Tensor or iterable of Tensor
        Those without a gradient are passed over. An iterator that gives nothing, as ``model.parameters()`` does the
        second time, brings a warning.
    max_norm : float
        Not below 0.
    norm_type : float
        p of the p-norm, at least 1; ``inf`` for the largest absolute value.

    Returns
    -------
    float
        The norm before scaling, summed in an order that depends on the shapes alone. If it is infinite or NaN the
        gradients become NaN or 0, as in PyTorch.

    Raises
    ------
    TypeError, ValueError
        For numbers other than described.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> x.grad = np.array([3.0, 4.0])
    >>> fnn.optim.clip_grad_norm([x], 1.0), x.grad.round(5)
    (5.0, array([0.6, 0.8]))
    """
    limit = scalars.real("clip_grad_norm", "max_norm", max_norm, 0.0)
    p = np.inf if norm_type == np.inf else scalars.real("clip_grad_norm", "norm_type", norm_type, 1.0)
    given = _with_gradient("clip_grad_norm", params)
    gradients = list(runs_of(given))
    with np.errstate(all="ignore"):
        norm = _norm(gradients, p)
        factor = limit / (norm + 1e-6)  # PyTorch's constant
        if not factor >= 1:
            # If the factor is NaN, each gradient is multiplied alone: the zeros between neighbours must stay zeros, or
            # every later norm would be NaN.
            for g in [p.grad for p in given if p.grad is not None] if math.isnan(factor) else gradients:
                if factor < FLOAT32_SMALLEST:  # a factor so small has fewer digits in float32
                    np.multiply(g, factor, out=g, dtype=np.float64, casting="same_kind")
                else:
                    g *= factor
    return norm


def _norm(gradients: list[np.ndarray], p: float) -> float:
    """The p-norm of all; where powers may have overflowed or vanished they are those of values scaled by a power of two."""
    if p == np.inf:
        return _largest(gradients)
    total = sum(_power_sum(g.reshape(-1), p) for g in gradients)
    if not sum(g.size for g in gradients) * _VANISHING < total < np.inf:
        largest = _largest(gradients)
        if 0 < largest < np.inf:
            unit = 2.0 ** min(-math.frexp(largest)[1], 1022)
            return float(sum(_power_sum(g.reshape(-1), p, unit) for g in gradients) ** (1 / p) / unit)
    return float(total ** (1 / p))


def _largest(gradients: list[np.ndarray]) -> float:
    return float(np.max([np.abs(g).max(initial=0) for g in gradients], initial=0.0))


def _power_sum(g: np.ndarray, p: float, unit: float = 1.0) -> float:
    """Sum of |g unit|^p, block by block: NumPy adds each in pairs and on one thread, so that the bits are always the same."""
    total = 0.0
    for start in range(0, g.size, _BLOCK):
        block = g[start : start + _BLOCK]
        if unit != 1:
            block = block * np.float64(unit)
        powers = block * block if p == 2 else np.abs(block) ** p
        total += float(powers.sum(dtype=np.float64 if p != 2 else None))
    return total


def _with_gradient(op: str, params: Tensor | Iterable[Tensor]) -> list[Tensor]:
    listed = [params] if isinstance(params, Tensor) else list(params)
    if not listed and isinstance(params, Iterator):
        warnings.warn(f"{op}: the iterator gave no parameters, so nothing is clipped; was it used up?", stacklevel=3)
    for p in listed:
        unmasked(op, "a gradient", p.grad)
    return [p for p in listed if p.grad is not None]
