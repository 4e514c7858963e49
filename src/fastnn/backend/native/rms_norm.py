"""RMS norm: y = x * rstd * weight with rstd = 1 / sqrt(mean(x^2) + eps) of each row."""

from __future__ import annotations

from ... import _core
from ..._core import rms_norm_forward
from ...checks import Norm
from ._common import Array

__all__ = ["rms_norm_backward", "rms_norm_forward"]


def rms_norm_backward(
    g: Norm, dy: Array, x: Array, weight: Array | None, rstd: Array, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None]:
    dx = _core.empty(x.shape, x.dtype) if needs[0] else None
    dweight = _core.empty((g.inner,), x.dtype) if needs[1] else None
    _core.rms_norm_backward(g, dy, x, weight, rstd, dx, dweight)
    return dx, dweight
