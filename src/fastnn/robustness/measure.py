"""What is measured of a model's outputs: accuracy of classes and of yes or no, or the error of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from .. import nn
from ..checks import shown
from ..training.constant import best_constant
from ..training.metric_arguments import NOT_COUNTED, fits
from ..training.metrics import accuracy, binary_accuracy, r2, rmse
from .attack import is_loss, takes_logits

Array = np.ndarray[Any, Any]

SURE = 2.0  # a difference of more standard errors than this is sure
_RIGHT_AND_WRONG = (0.0, 0.0, 1.0, 1.0)
"""Samples that are added for the standard error of a share: none is so sure that all samples are right (Agresti, Coull)."""


class Gap(NamedTuple):
    """How much worse samples are under one change than under another: in the mean, and whether that is clear."""

    size: float
    is_clear: bool


class Measure:
    """A metric of outputs for given targets.

    Parameters
    ----------
    name : {"accuracy", "RMSE"}
        Which.
    metric : callable
        Of outputs and targets.
    each : callable
        Of outputs and targets: a number for each sample, how right it is or its squared error.
    target : ndarray
        The targets.
    constant : ndarray or None
        The output of the best prediction that is the same for all samples.
    """

    def __init__(
        self,
        name: str,
        metric: Callable[..., float],
        each: Callable[[Array, Array], Array],
        target: Array,
        constant: Array | None,
    ) -> None:
        self.name, self._metric, self._each, self._target, self._constant = name, metric, each, target, constant
        self.of_numbers = name == "RMSE"
        self.words = "an RMSE" if self.of_numbers else "an accuracy"
        self.r2 = (lambda output: r2(output, target)) if self.of_numbers else None

    def figure(self, output: Array) -> float:
        """The metric of outputs."""
        return self._metric(output, self._target)

    def each(self, output: Array) -> Array:
        """A number for each sample; NaN where nothing counts."""
        return self._each(output, self._target)

    def of_constant(self) -> float | None:
        """The metric of the best prediction that is the same for all samples, where there is a formula for it."""
        if self._constant is None:
            return None
        return self.figure(np.broadcast_to(self._constant, (len(self._target), *self._constant.shape[1:])))

    def error(self, value: float, each: Array) -> float:
        """The standard error of a metric, from the numbers of the samples."""
        if not self.of_numbers:
            return standard_error(np.concatenate([each, _RIGHT_AND_WRONG]))
        with np.errstate(all="ignore"):
            return float(np.divide(standard_error(each), 2 * value))  # the error of a root: that of the mean / (2 root)

    def worse(self, each: Array, other: Array) -> Gap:
        """How much worse samples are than under another change."""
        differences = each - other if self.of_numbers else other - each
        counted = differences[~np.isnan(differences)]
        if not counted.size:
            return Gap(0.0, False)
        size = float(counted.mean())
        error = standard_error(counted if self.of_numbers else np.concatenate([counted, (-1.0, 1.0)]))
        return Gap(size, size > SURE * error)


def standard_error(values: Array) -> float:
    """The standard error of a mean; NaN counts for nothing, and of one value it is NaN.

    >>> standard_error(np.array([1.0, 2.0, 3.0, np.nan])).__round__(4)
    0.4714
    """
    counted = values[~np.isnan(values)]
    if len(counted) < 2:
        return math.nan
    with np.errstate(all="ignore"):
        return float(counted.std() / math.sqrt(len(counted)))


def measure_for(op: str, loss: Any, output: Any, target: Array) -> Measure:
    """What suits a loss, outputs and targets."""
    if not isinstance(output, np.ndarray):
        raise TypeError(f"{op}: the model must give one array, got {shown(output)}")
    shape, kind = output.shape, target.dtype.kind
    if takes_logits(loss) and shape[1:2] == (1,):
        raise ValueError(
            f"{op}: cross-entropy takes logits of several classes, got outputs of shape {shape}; loss= is "
            "F.binary_cross_entropy_with_logits for yes or no, and F.mse_loss for numbers"
        )
    try:
        constant = best_constant(loss, output, target)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{op}: y does not fit the loss, which is F.mse_loss for numbers: {error}") from error
    one = None if constant is None else constant.output
    if kind in "iu" and fits(target.shape, shape):
        return Measure("accuracy", accuracy, _right, target, one)
    if target.shape == shape and takes_logits(loss):
        return Measure("accuracy", accuracy, _right, target.argmax(axis=1), one)
    if target.shape == shape and is_loss(loss, F.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss):
        return Measure("accuracy", binary_accuracy, _right_sides, target, one)
    if target.shape == shape and is_loss(loss, F.hinge_loss, nn.HingeLoss):
        return Measure("accuracy", binary_accuracy, _right_sides, (target > 0).astype(output.dtype), one)
    if target.shape == shape and kind in "fiu":
        return Measure("RMSE", rmse, _squared_errors, target, one)
    raise ValueError(
        f"{op}: y must be classes of shape {(*shape[:1], *shape[2:])} or numbers of shape {shape}, as the output of the model, "
        f"got {target.dtype} of shape {target.shape}"
    )


def _right(output: Array, labels: Array) -> Array:
    """The share of a sample's positions that are right; NaN where none counts."""
    highest = np.where(np.isnan(output).any(axis=1), -1, output.argmax(axis=1))
    counted = (labels != NOT_COUNTED).reshape(len(labels), -1)
    right = (highest == labels).reshape(counted.shape) & counted
    with np.errstate(invalid="ignore"):
        return np.asarray(right.sum(axis=1) / counted.sum(axis=1))


def _right_sides(output: Array, target: Array) -> Array:
    right = ((output > 0) == (target > 0.5)) & ~np.isnan(output)
    return np.asarray(right.reshape(len(right), -1).mean(axis=1))


def _squared_errors(output: Array, target: Array) -> Array:
    with np.errstate(all="ignore"):
        squares = np.square(output.astype(np.float64) - target)
        return np.asarray(squares.reshape(len(squares), -1).mean(axis=1))
