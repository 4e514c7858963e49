"""What is learned of a pass beside its mean loss: how sure that is, and what a constant prediction would have."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np

from .constant import FAULTS, Baseline, Constant
from .figures import Figures, Objective, Sample, usual_metrics

_FEWEST = 1.5  # samples, counted as if all had one weight; of fewer no error is given: a single one has no spread


class LossSpread:
    """The standard error, over samples, of the mean loss of a pass, and the loss of a constant prediction.

    With a loss l and a weight w per sample: ``sqrt(sum of w²·(l − mean)²) / sum of w``, times ``sqrt(n / (n − 1))``, where n is
    the number of samples, or ``(sum of w)² / sum of w²`` (Cochran, Sampling Techniques, 3rd edition, section 6.4).

    Parameters
    ----------
    objective : Objective
        The loss.
    constant : Constant, optional
        The prediction.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> from fastnn.training.figures import Objective, Sample
    >>> from fastnn.training.loss_spread import LossSpread
    >>> spread = LossSpread(Objective(F.l1_loss))
    >>> spread.add(np.array([1.0, 2.0, 3.0]), Sample((np.zeros(3), np.zeros(3))), 2.0)
    >>> round(spread.error(2.0), 4)  # the standard deviation, 1, over the root of 3
    0.5774
    """

    def __init__(self, objective: Objective, constant: Constant | None = None) -> None:
        self._objective = objective
        self._constant = constant
        self._of_constant: Figures | None = None
        self._samples = 0
        self._batches: list[tuple[np.ndarray, np.ndarray | None, float]] = []  # losses and weights of samples, loss
        self._known = True

    def add(self, output: Any, sample: Sample, mean: float) -> None:
        """Take a batch and its loss."""
        if self._constant is not None:
            self._add_constant(self._constant, sample)
        each = self._losses(output, sample) if self._known else None
        if each is None:
            self._known = False
        elif sample.count:
            self._batches.append((each, sample.weight, mean))

    def _losses(self, output: Any, sample: Sample) -> np.ndarray | None:
        try:
            return self._objective.of_each(output, sample)
        except FAULTS:  # the loss takes no reduction="none"
            return None

    def _add_constant(self, constant: Constant, sample: Sample) -> None:
        try:
            loss = constant.loss_of(self._objective, sample)
            output = np.repeat(constant.output, sample.count, axis=0)
            if self._of_constant is None:
                usual = usual_metrics(self._objective.loss, sample.target, output)
                accuracy = {name: metric for name, metric in usual.items() if name == "accuracy"}
                self._of_constant = Figures(self._objective.loss, accuracy)
            self._of_constant.hold(output, sample, loss)
            self._of_constant.count()
        except FAULTS:  # outputs of this pass may have another shape than the constant
            self._constant = None
        self._samples += sample.count

    def error(self, mean: float) -> float | None:
        """The standard error, given the mean loss; None where it is not known."""
        if not self._known or not self._batches:
            return None
        with np.errstate(all="ignore"):  # with numbers that are not finite, the error is not known: None
            losses = np.concatenate([_scaled(*batch) for batch in self._batches])
            weights = np.concatenate([_weights(each, weight) for each, weight, _ in self._batches])
            amount, squares = float(weights.sum()), float(weights @ weights)
            samples = amount**2 / squares if squares else 0.0
            if samples < _FEWEST:
                return None
            variance = float(np.square(weights * (losses - mean)).sum())
        return math.sqrt(variance * samples / (samples - 1)) / amount if math.isfinite(variance) else None

    def baseline(self, constant: Constant) -> Baseline:
        """The loss of a constant prediction, with what it comes to in this pass if it was given for that."""
        loss = accuracy = None
        if self._constant is not None and self._of_constant is not None:
            with contextlib.suppress(*FAULTS):  # batches that cannot be joined
                figures = self._of_constant.result()
                loss, accuracy = (_finite(figures.get(name)) for name in ("loss", "accuracy"))
        return Baseline(constant.loss, constant.words, loss, accuracy, None if loss is None else self._samples)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _weights(each: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    return np.ones(len(each)) if weight is None else weight.astype(np.float64)


def _scaled(each: np.ndarray, weight: np.ndarray | None, loss: float) -> np.ndarray:
    """The losses of samples, such that their mean is the loss of the batch.

    It need not be before: classes have weights, and some positions may not count.
    """
    plain = float(np.average(each, weights=weight)) if weight is None or weight.any() else 0.0
    scaled: np.ndarray = each.astype(np.float64) * (loss / plain if plain else 1.0)
    return scaled
