"""Local response norm: y = x * (k + alpha / size * sum of x^2 over neighbouring channels)^-beta."""

from __future__ import annotations

from ... import _core
from ...checks import Norm
from ._common import Array

__all__ = ["local_response_norm_backward", "local_response_norm_forward"]


def local_response_norm_forward(g: Norm, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    y = _core.empty(x.shape, x.dtype)
    _core.local_response_norm_forward(g, size, alpha, beta, k, x, y)
    return y


def local_response_norm_backward(g: Norm, dy: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    dx = _core.empty(x.shape, x.dtype)
    _core.local_response_norm_backward(g, size, alpha, beta, k, dy, x, dx)
    return dx
