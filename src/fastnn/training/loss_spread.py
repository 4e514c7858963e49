"""What is learned of a pass beside its mean loss: how sure that is, and what a constant prediction would have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .constant import Baseline, Constant
from .figures import Figures, Loss, Objective, Sample

_FEWEST = 1.5  # samples that count the same: of a single one there is no spread


class LossSpread:
    """The standard error, over samples, of the mean loss of a pass, and the loss of a constant prediction.

    With a loss l and a weight w per sample: ``sqrt(sum of w²·(l − mean)²) / sum of w``, times ``sqrt(n / (n − 1))``, where n is
    the number of samples, or ``(sum of w)² / sum of w²`` (Cochran, Sampling Techniques, 3rd edition, section 6.4).

    Parameters
    ----------
    loss : callable
        As of the `Trainer`.
    constant : Constant, optional
        The prediction.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn.functional as F
    >>> from fastnn.training.figures import Sample
    >>> from fastnn.training.loss_spread import LossSpread
    >>> spread = LossSpread(F.l1_loss)
    >>> spread.add(np.array([1.0, 2.0, 3.0]), Sample((np.zeros(3), np.zeros(3))), 2.0)
    >>> round(spread.error(2.0), 4)  # the standard deviation, 1, over the root of 3
    0.5774
    """

    def __init__(self, loss: Loss, constant: Constant | None = None) -> None:
        self._objective = Objective(loss)
        self._constant = constant
        self._of_constant = Figures(loss, None)
        self._samples = 0
        self._amount = 0.0
        self._moments = np.zeros(3)  # sums of w², w²·l and w²·l²
        self._known = True

    def add(self, output: Any, sample: Sample, mean: float) -> None:
        """Take a batch and its loss."""
        if self._constant is not None:
            self._add_constant(self._constant, sample)
        each = self._objective.of_each(output, sample) if self._known else None
        if each is None:
            self._known = False
        else:
            self._add_each(each, sample, mean)
        self._amount += sample.amount

    def _add_constant(self, constant: Constant, sample: Sample) -> None:
        try:
            loss = constant.loss_of(self._objective, sample)
            self._of_constant.hold(np.repeat(constant.output, sample.count, axis=0), sample, loss)
        except (TypeError, ValueError):  # outputs here have another shape
            self._constant = None
        else:
            self._of_constant.count()
            self._samples += sample.count

    def _add_each(self, each: np.ndarray, sample: Sample, mean: float) -> None:
        """The losses of samples.

        Their mean need not be the loss of the batch: classes have weights, and some positions may not count. Then they are
        scaled to it.
        """
        weight = np.ones(sample.count) if sample.weight is None else sample.weight.astype(np.float64)
        with np.errstate(all="ignore"):  # what is not finite makes an error that is not known
            plain = float(weight @ each) / sample.amount if sample.amount else 0.0
            scaled = each * (mean / plain) if plain else each
            square = weight * weight
            self._moments += square.sum(), square @ scaled, square @ (scaled * scaled)

    def error(self, mean: float) -> float | None:
        """The standard error, given the mean loss; None where it is not known."""
        squares, first, second = map(float, self._moments)
        samples = self._amount**2 / squares if squares else 0.0
        if not self._known or samples < _FEWEST:
            return None
        variance = second - 2 * mean * first + mean * mean * squares
        if not math.isfinite(variance):
            return None
        return math.sqrt(max(variance, 0.0) * samples / (samples - 1)) / self._amount

    def baseline(self, constant: Constant) -> Baseline:
        """The loss of a constant prediction, with what it comes to in this pass if it was given for that."""
        if self._constant is None or not self._samples:
            return Baseline(constant.loss, constant.words)
        figures = self._of_constant.result()
        if not math.isfinite(figures["loss"]):
            return Baseline(constant.loss, constant.words)
        return Baseline(constant.loss, constant.words, figures["loss"], figures.get("accuracy"), self._samples)
