"""Losses as modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from .. import checks
from .. import functional as F
from .._types import Array, ArrayLike, Reduction, Value
from ..autograd import Tensor
from .module import Module

__all__ = [
    "BCEWithLogitsLoss", "CrossEntropyLoss", "HingeLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "MultiMarginLoss",
    "NLLLoss",
]  # fmt: skip


class _Weighted(Module):
    weight: Array | None

    def _keep(self, name: str, value: ArrayLike | None) -> None:
        """Have a copy of what the loss is weighted with as a buffer; no gradient is computed for it."""
        if value is not None:
            op = type(self).__name__
            value = np.array(checks.unmasked(op, name, checks.constant(op, name, value)))
        self.register_buffer(name, value)


class CrossEntropyLoss(_Weighted):
    """Cross-entropy from logits; see `fastnn.functional.cross_entropy`.

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
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self._keep("weight", weight)
        self.ignore_index = checks.integer("CrossEntropyLoss", "ignore_index", ignore_index)
        self.reduction: Reduction = checks.reduction_of("CrossEntropyLoss", reduction)
        self.label_smoothing = checks.real("CrossEntropyLoss", "label_smoothing", label_smoothing, 0.0, 1.0)

    if TYPE_CHECKING:

        @overload
        def __call__(self, logits: ArrayLike, target: ArrayLike) -> Array: ...  # type: ignore[overload-overlap]
        @overload
        def __call__(self, logits: Value, target: Value) -> Tensor: ...
        def __call__(self, logits: Value, target: Value) -> Value: ...

    def forward(self, logits: Value, target: Value) -> Value:
        """logits (N, C, ...), target (N, ...) of classes, or (N, C, ...) of probabilities."""
        return F.cross_entropy(logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class _Loss(Module):
    def __init__(self, reduction: Reduction = "mean") -> None:
        self.reduction: Reduction = checks.reduction_of(type(self).__name__, reduction)

    if TYPE_CHECKING:

        @overload
        def __call__(self, x: ArrayLike, target: ArrayLike) -> Array: ...  # type: ignore[overload-overlap]
        @overload
        def __call__(self, x: Value, target: Value) -> Tensor: ...
        def __call__(self, x: Value, target: Value) -> Value: ...

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """Squared error ``(x − target)²``.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        The mean over all elements, their sum, or each.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> float(nn.MSELoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """

    def forward(self, x: Value, target: Value) -> Value:
        """Both of one shape."""
        return F.mse_loss(x, target, self.reduction)


class L1Loss(_Loss):
    """Absolute error ``|x − target|``.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        The mean over all elements, their sum, or each.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> float(nn.L1Loss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """

    def forward(self, x: Value, target: Value) -> Value:
        """Both of one shape."""
        return F.l1_loss(x, target, self.reduction)


class HuberLoss(_Loss):
    """Squared up to ``delta``, absolute beyond; see `fastnn.functional.huber_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        The mean over all elements, their sum, or each.
    delta : float
        Where the one becomes the other; above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> float(nn.HuberLoss("sum")(np.array([1.0, 4.0]), np.array([2.0, 0.0])))
    4.0
    """

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = checks.real("HuberLoss", "delta", delta, 0.0, open_low=True)

    def forward(self, x: Value, target: Value) -> Value:
        """Both of one shape."""
        return F.huber_loss(x, target, self.delta, self.reduction)


class HingeLoss(_Loss):
    """Hinge ``max(0, margin − target · x)`` for targets of 1 and −1.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        The mean over all elements, their sum, or each.
    margin : float
        The score from which on a right answer costs nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> float(nn.HingeLoss("sum")(np.array([0.25, -3.0]), np.array([1.0, -1.0])))
    0.75
    """

    def __init__(self, reduction: Reduction = "mean", margin: float = 1.0) -> None:
        super().__init__(reduction)
        self.margin = checks.real("HingeLoss", "margin", margin)

    def forward(self, x: Value, target: Value) -> Value:
        """Both of one shape."""
        return F.hinge_loss(x, target, self.margin, self.reduction)


class KLDivLoss(_Loss):
    """``target · (log target − x)`` for ``x`` of log-probabilities; see `fastnn.functional.kl_div`.

    Parameters
    ----------
    reduction : {"mean", "batchmean", "sum", "none"}
        "mean" divides the sum by the number of elements, "batchmean" by the first extent: that is the divergence.
    log_target : bool
        Whether the target holds logarithms too.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.KLDivLoss("batchmean")(np.log([[0.25, 0.75]]), np.array([[0.5, 0.5]])).round(4)
    np.float64(0.1438)
    """

    def __init__(
        self, reduction: Literal["mean", "batchmean", "sum", "none"] = "mean", log_target: bool = False
    ) -> None:
        self.reduction = checks.reduction_of("KLDivLoss", reduction, "batchmean")
        self.log_target = checks.flag("KLDivLoss", "log_target", log_target)

    def forward(self, x: Value, target: Value) -> Value:
        """Both of one shape."""
        return F.kl_div(x, target, self.reduction, self.log_target)


class BCEWithLogitsLoss(_Loss, _Weighted):
    """Cross-entropy of two classes from logits; see `fastnn.functional.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    weight : array_like, optional
        Factors of the elements, of a shape that broadcasts to that of the input; a buffer, so that it is part of
        the state.
    reduction : {"mean", "sum", "none"}
        The mean over all elements, their sum, or each.
    pos_weight : array_like, optional
        Factors of the part of class 1; a buffer too.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.BCEWithLogitsLoss()(np.zeros(2), np.array([1.0, 0.0])).round(4)
    np.float64(0.6931)
    """

    pos_weight: Array | None

    def __init__(
        self, weight: ArrayLike | None = None, reduction: Reduction = "mean", pos_weight: ArrayLike | None = None
    ) -> None:
        super().__init__(reduction)
        self._keep("weight", weight)
        self._keep("pos_weight", pos_weight)

    def forward(self, x: Value, target: Value) -> Value:
        """Both of one shape."""
        return F.binary_cross_entropy_with_logits(x, target, self.weight, self.reduction, self.pos_weight)


class NLLLoss(_Loss, _Weighted):
    """``−weight[target] · x[target]`` for ``x`` of log-probabilities; see `fastnn.functional.nll_loss`.

    Parameters
    ----------
    weight : array_like, (classes,), optional
        Weights of the classes; a buffer, so that it is part of the state.
    ignore_index : int
        Targets that don't count.
    reduction : {"mean", "sum", "none"}
        The mean weighted by ``weight[target]``, the sum, or each.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.NLLLoss(reduction="sum")(np.array([[-0.5, -1.0]]), np.array([1]))
    np.float64(1.0)
    """

    def __init__(
        self, weight: ArrayLike | None = None, ignore_index: int = -100, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self._keep("weight", weight)
        self.ignore_index = checks.integer("NLLLoss", "ignore_index", ignore_index)

    def forward(self, x: Value, target: Value) -> Value:
        """x (N, C, ...), target (N, ...) of classes."""
        return F.nll_loss(x, target, self.weight, self.ignore_index, self.reduction)


class MultiMarginLoss(_Loss, _Weighted):
    """Hinge of several classes; see `fastnn.functional.multi_margin_loss`.

    Parameters
    ----------
    p : {1, 2}
        Whether the hinges are squared.
    margin : float
        By how much the score of the right class shall be larger than the others.
    weight : array_like, (classes,), optional
        Weights of the classes; a buffer, so that it is part of the state.
    reduction : {"mean", "sum", "none"}
        The mean over the samples, their sum, or each.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> float(nn.MultiMarginLoss()(np.array([[0.5, 0.75, -4.0, 1.0]]), np.array([3])))
    0.3125
    """

    def __init__(
        self, p: Literal[1, 2] = 1, margin: float = 1.0, weight: ArrayLike | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self._keep("weight", weight)
        self.p = checks.margin_power("MultiMarginLoss", p)
        self.margin = checks.real("MultiMarginLoss", "margin", margin)

    def forward(self, x: Value, target: Value) -> Value:
        """x (N, C), target (N,) of classes."""
        return F.multi_margin_loss(x, target, self.p, self.margin, self.weight, self.reduction)
