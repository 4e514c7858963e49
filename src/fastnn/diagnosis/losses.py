"""What a loss takes, and what a model gives it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from ..autograd import no_grad, raw
from ..nn import Module
from ..training.constant import best_constant, function_and_settings
from ..training.figures import Objective, Sample, values_of
from ..training.metric_arguments import NOT_COUNTED
from .taken import Array, Taken, axis_of_samples

_KINDS = {
    F.cross_entropy: "classes",
    F.nll_loss: "classes",
    F.multi_margin_loss: "classes",
    F.binary_cross_entropy_with_logits: "yes or no",
    F.hinge_loss: "signs",
    F.mse_loss: "numbers",
    F.l1_loss: "numbers",
    F.huber_loss: "numbers",
    F.kl_div: "distribution",
}
_LEAST = 1e-30  # a lower bound of probabilities, so that their logarithms are finite
BATCH = 256
"""Samples that go through a model at a time where there is no training."""


def function_of(loss: Any) -> Any:
    """The function of `fastnn.functional` that a loss, a module of one or a partial of one stands for; None of others.

    >>> import fastnn.functional as F
    >>> from fastnn import nn
    >>> from fastnn.diagnosis.losses import function_of
    >>> function_of(nn.MSELoss()) is F.mse_loss
    True
    """
    if loss is F.kl_div or type(loss).__name__ == "KLDivLoss":
        return F.kl_div
    return function_and_settings(loss)[0]


def kind_of(loss: Any) -> str:
    """What targets are to a loss: "classes", "yes or no", "signs", "numbers", "distribution", or "unknown".

    >>> import fastnn.functional as F
    >>> from fastnn.diagnosis.losses import kind_of
    >>> kind_of(F.cross_entropy), kind_of(lambda output, target: output.mean())
    ('classes', 'unknown')
    """
    return _KINDS.get(function_of(loss), "unknown")


def ignored_by(loss: Any) -> int:
    """The label that a loss of classes passes over."""
    return int(function_and_settings(loss)[1].get("ignore_index", NOT_COUNTED))


class Seen(NamedTuple):
    """What a model gave for samples.

    Attributes
    ----------
    outputs : ndarray or tuple
        Those of all samples together.
    loss : float
        The mean.
    """

    outputs: Any
    loss: float


def seen(model: Module, taken: Taken, loss: Any) -> Seen:
    """Outputs and loss of samples in the mode that the model is in, without gradients."""
    outputs, total, amount = [], 0.0, 0.0
    objective = Objective(loss)
    with no_grad():
        for batch in taken.batches(BATCH):
            part = Sample(batch)
            output = model(*part.inputs)
            outputs.append(values_of(output))
            total += float(raw(objective(output, part))) * part.amount
            amount += part.amount
    return Seen(joined(outputs, [BATCH] * (len(outputs) - 1)), total / amount if amount else 0.0)


def joined(parts: list[Any], counts: list[int]) -> Any:
    """Outputs of batches one after another along the axis of samples."""
    if isinstance(parts[0], tuple):
        return tuple(joined(list(each), counts) for each in zip(*parts, strict=True))
    if len(parts) == 1:
        return parts[0]
    axis = axis_of_samples(parts[0], counts[0])
    return parts[0] if axis is None else np.concatenate(parts, axis)


def losses_of_samples(loss: Any, outputs: Any, taken: Taken) -> Array | None:
    """The loss of each sample, None where the loss does not give them."""
    return Objective(loss).of_each(outputs, Sample(taken.batch()))


def constant_loss(loss: Any, outputs: Any, taken: Taken) -> tuple[float, str] | None:
    """The loss of the best constant prediction and its name; None where it is not known, or no number."""
    try:
        found = best_constant(loss, outputs, taken.target, taken.weight)
    except (TypeError, ValueError):
        return None
    if found is None or not np.isfinite(found.loss):
        return None
    return found.loss, found.words


def least_loss(loss: Any, outputs: Any, taken: Taken) -> float:
    """The smallest loss that any prediction has: above 0 where targets are probabilities, or labels are smoothed."""
    function, settings = function_and_settings(loss)
    if isinstance(outputs, tuple) or function not in (F.cross_entropy, F.binary_cross_entropy_with_logits):
        return 0.0
    target = np.asarray(raw(taken.target))
    if function is F.cross_entropy:
        smoothing, classes = settings.get("label_smoothing", 0.0), outputs.shape[1]
        if target.dtype.kind in "iu":
            if not smoothing:
                return 0.0
            target = np.moveaxis(np.eye(classes)[np.where(target < 0, 0, target)], -1, 1)
        target = (1 - smoothing) * target + smoothing / classes
        best = np.log(np.maximum(target, _LEAST))
    else:
        best = np.log(np.maximum(target, _LEAST)) - np.log(np.maximum(1 - target, _LEAST))
    return float(raw(Objective(loss)(best.astype(outputs.dtype), Sample(taken.batch()))))


def share_right(outputs: Any, target: Any, loss: Any) -> float | None:
    """The share of positions whose class is predicted, None where targets are no classes."""
    if isinstance(outputs, tuple) or isinstance(target, tuple):
        return None
    kind, target = kind_of(loss), np.asarray(raw(target))
    if kind == "classes" and target.dtype.kind in "iu":
        counts = target != ignored_by(loss)
        right = (np.argmax(outputs, axis=1) == target)[counts]
    elif kind in ("yes or no", "signs") and target.shape == np.shape(outputs):
        right = (outputs > 0) == (target > (0.5 if kind == "yes or no" else 0))
    else:
        return None
    return float(right.mean()) if right.size else None
