"""ONNX's losses of classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import raw
from .read_table import F, op, text

_NO_CLASS = -(1 << 62)


@op("NegativeLogLikelihoodLoss")
def _nll_loss(
    x: Any, target: Any, weight: Any = None, /, *, ignore_index: int | None = None, reduction: Any = "mean"
) -> Any:
    return _loss(F.nll_loss, x, target, weight, ignore_index, reduction)


@op("SoftmaxCrossEntropyLoss", outputs=2)
def _cross_entropy(
    x: Any, target: Any, weight: Any = None, /, *, count: int, ignore_index: int | None = None, reduction: Any = "mean"
) -> Any:
    y = _loss(F.cross_entropy, x, target, weight, ignore_index, reduction)
    return y if count == 1 else (y, F.log_softmax(x, 1))


def _loss(loss: Any, x: Any, target: Any, weight: Any, ignore_index: int | None, reduction: Any) -> Any:
    kind, ignored = text(reduction), _NO_CLASS if ignore_index is None else ignore_index
    return loss(x, np.asarray(raw(target)), None if weight is None else raw(weight), ignored, kind)
