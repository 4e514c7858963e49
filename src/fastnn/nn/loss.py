"""Losses as modules (SPEC F)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import ops
from .module import Module

_REDUCTIONS = ("mean", "sum", "none")


def _checked(op: str, reduction: str) -> str:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{op}: reduction must be one of {_REDUCTIONS}, got {reduction!r}")
    return reduction


class CrossEntropyLoss(Module):
    """Cross-entropy from logits; parameters as `fastnn.functional.cross_entropy`.

    Parameters
    ----------
    weight : array_like, (classes,), optional
        Weights of the classes; a buffer, so that it is part of the state.
    ignore_index : int
        Targets that don't count.
    reduction : {"mean", "sum", "none"}
        What to make of the values per sample.
    label_smoothing : float
        Share of the target probability spread over all classes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> round(float(nn.CrossEntropyLoss()(np.zeros((4, 10)), np.arange(4))), 4)
    2.3026
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight: np.ndarray | None
        self.register_buffer("weight", None if weight is None else np.array(weight))
        self.ignore_index = ignore_index
        self.reduction = _checked("CrossEntropyLoss", reduction)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, target: Any) -> Any:
        """logits (N, C, ...), target (N, ...) of class indices."""
        return F.cross_entropy(logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class _ElementLoss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = _checked(type(self).__name__, reduction)

    def _difference(self, output: Any, target: Any) -> Any:
        if np.shape(output) != np.shape(target):
            raise ValueError(
                f"{type(self).__name__}: output has shape {np.shape(output)} but target {np.shape(target)}"
            )
        return ops.subtract(output, target)

    def _reduced(self, values: Any) -> Any:
        if self.reduction == "none":
            return values
        return ops.mean(values) if self.reduction == "mean" else ops.sum(values)

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class MSELoss(_ElementLoss):
    """``(output − target)²``; the mean, the sum, or (reduction "none") each.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> float(nn.MSELoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """

    def forward(self, output: Any, target: Any) -> Any:
        """Both of one shape."""
        difference = self._difference(output, target)
        return self._reduced(ops.multiply(difference, difference))


class L1Loss(_ElementLoss):
    """``|output − target|``; the mean, the sum, or (reduction "none") each.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> float(nn.L1Loss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """

    def forward(self, output: Any, target: Any) -> Any:
        """Both of one shape."""
        return self._reduced(ops.absolute(self._difference(output, target)))
