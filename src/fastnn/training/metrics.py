"""Metrics: plain functions of outputs and targets, of a batch or of a whole pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..checks import integer, real, shown
from .metric_arguments import (
    Array,
    compared,
    highest,
    mean,
    mean_of_rows,
    pair,
    power_of_two,
    predicted_classes,
    scored,
)


def accuracy(scores: Any, labels: Any, weight: Any = None) -> float:
    """Share of samples whose highest score is that of their label.

    Parameters
    ----------
    scores : ndarray or Tensor, (N, classes, ...)
        Logits or probabilities. Of equal ones the first counts as the highest; a sample with NaN among them is wrong.
    labels : ndarray of int, (N, ...)
        The right classes, of the shape of the scores without the axis of classes. Those of -100 don't count, as in
        `fastnn.functional.cross_entropy`.
    weight : ndarray, (N,), optional
        How much each sample counts, at least 0; all the same without it.

    Returns
    -------
    float
        In 0…1; NaN where nothing counts.

    Raises
    ------
    ValueError
        For scores without an axis of classes, labels of another shape or beyond the classes, or weights that are not one
        finite number of at least 0 per sample.
    TypeError
        For labels that are no integers, or a masked array.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training import accuracy
    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    given, right, counts = scored("accuracy", scores, labels, weight)
    return mean(highest(given) == right, counts)


def binary_accuracy(scores: Any, target: Any, weight: Any = None, threshold: float = 0.0) -> float:
    """Share of scores that are on the right side: above a threshold where the target is above 0.5, and nowhere else.

    Parameters
    ----------
    scores : ndarray or Tensor, (N, ...)
        One score for each yes or no, as of `fastnn.functional.binary_cross_entropy_with_logits`. NaN is wrong.
    target : ndarray or Tensor, (N, ...)
        1 for yes, 0 for no, of exactly the same shape: (N, 1) and (N,) differ.
    weight : ndarray, (N,), optional
        How much each sample counts, at least 0; all the same without it.
    threshold : float
        0 for logits, 0.5 for probabilities.

    Returns
    -------
    float
        In 0…1, over all elements; NaN where nothing counts.

    Raises
    ------
    ValueError
        For shapes that differ or have no axis, or weights that are not one finite number of at least 0 per sample.
    TypeError
        For what holds no real numbers, or a masked array.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training import binary_accuracy
    >>> binary_accuracy(np.array([[2.0], [-1.0], [0.3], [-4.0]]), np.array([[1.0], [0.0], [0.0], [0.0]]))
    0.75
    """
    border = real("binary_accuracy", "threshold", threshold)
    given, right, counts = pair("binary_accuracy", scores, target, weight)
    return mean_of_rows(((given > border) == (right > 0.5)) & ~np.isnan(given), counts)


def top_k(scores: Any, labels: Any, k: int = 5, weight: Any = None) -> float:
    """Share of samples whose label is among the classes of the ``k`` highest scores.

    Parameters
    ----------
    scores : ndarray or Tensor, (N, classes, ...)
        Logits or probabilities. Of equal ones the first counts as higher; a sample with NaN among them is wrong.
    labels : ndarray of int, (N, ...)
        The right classes, of the shape of the scores without the axis of classes. Those of -100 don't count, as in
        `fastnn.functional.cross_entropy`.
    k : int
        At least 1, at most the number of classes. 1 gives `accuracy`.
    weight : ndarray, (N,), optional
        How much each sample counts, at least 0; all the same without it.

    Returns
    -------
    float
        In 0…1; NaN where nothing counts.

    Raises
    ------
    ValueError
        As of `accuracy`, and for another ``k``.
    TypeError
        For labels that are no integers, or a masked array; for a ``k`` that is no int.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training import top_k
    >>> top_k(np.array([[0.1, 0.6, 0.3], [0.7, 0.2, 0.1]]), np.array([2, 2]), k=2)
    0.5
    """
    given, right, counts = scored("top_k", scores, labels, weight)
    if not 1 <= integer("top_k", "k", k) <= given.shape[1]:
        raise ValueError(f"top_k: k must be 1 to {given.shape[1]}, the number of classes, got {shown(k)}")
    own = np.take_along_axis(given, right[:, None], axis=1)
    before = np.arange(given.shape[1]) < right[:, None]
    higher = (given > own) | ((given == own) & before)
    return mean((higher.sum(axis=1) < k) & ~np.isnan(given).any(axis=1), counts)


def confusion(scores: Any, labels: Any, classes: int | None = None, weight: Any = None) -> Array:
    """How many samples of each class were taken for which.

    Parameters
    ----------
    scores : ndarray or Tensor, (N, classes, ...); or ndarray of int, (N, ...)
        Logits or probabilities, of equal ones of which the first counts as the highest; or the predicted classes themselves.
        A sample with NaN among its scores has no prediction, and is left out.
    labels : ndarray of int, (N, ...)
        The right classes. Those of -100 don't count, as in `fastnn.functional.cross_entropy`.
    classes : int, optional
        How many classes there are: as many as there are scores by default, or as many as the largest class that occurs says.
    weight : ndarray, (N,), optional
        How much each sample counts, at least 0; all the same without it.

    Returns
    -------
    ndarray, (classes, classes)
        In row i and column j the samples of class i that were taken for class j: int64, or with weights their sums, float64.

    Raises
    ------
    ValueError
        For shapes that don't fit, labels or predictions beyond the classes, or weights that are not one finite number of at
        least 0 per sample.
    TypeError
        For labels that are no integers, or a masked array; for a number of classes that is no int.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training import confusion
    >>> confusion(np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), np.array([1, 1, 0]))
    array([[0, 1],
           [1, 1]])
    """
    predicted, right, counts, n = predicted_classes("confusion", scores, labels, weight, classes)
    known = predicted >= 0
    of_known = None if counts is None else counts[known]
    return np.bincount(right[known] * n + predicted[known], of_known, n * n).reshape(n, n)


def f1(scores: Any, labels: Any, average: str | None = "macro", weight: Any = None) -> Any:
    """F1, the harmonic mean of precision and recall: ``2 TP / (2 TP + FP + FN)`` of each class.

    Parameters
    ----------
    scores : ndarray or Tensor, (N, classes, ...); or ndarray of int, (N, ...)
        Logits or probabilities, of equal ones of which the first counts as the highest; or the predicted classes themselves.
        A sample with NaN among its scores has no prediction: its own class missed it.
    labels : ndarray of int, (N, ...)
        The right classes. Those of -100 don't count, as in `fastnn.functional.cross_entropy`.
    average : {"macro", "weighted", None}
        The mean of the classes that occur among labels or predictions; that mean weighted by how often each is the right one;
        or None for the F1 of each class. (The mean over samples, "micro", would be `accuracy`.)
    weight : ndarray, (N,), optional
        How much each sample counts, at least 0; all the same without it.

    Returns
    -------
    float or ndarray, (classes,)
        In 0…1. NaN where nothing counts, and of a class that does not occur.

    Raises
    ------
    ValueError
        For another ``average``, shapes that don't fit, labels or predictions beyond the classes, or weights that are not one
        finite number of at least 0 per sample.
    TypeError
        For labels that are no integers, or a masked array.

    Notes
    -----
    F1 of a pass is no mean of the F1 of its batches: give it the whole pass.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training import f1
    >>> scores, labels = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), np.array([1, 1, 0])
    >>> f1(scores, labels), f1(scores, labels, average=None)
    (0.25, array([0. , 0.5]))
    """
    if average not in ("macro", "weighted", None):
        raise ValueError(f'f1: average must be "macro", "weighted" or None, got {shown(average)}')
    predicted, right, counts, n = predicted_classes("f1", scores, labels, weight, None)
    known, hit = predicted >= 0, predicted == right

    def total(classes: Array, which: Array) -> Array:
        return np.bincount(classes[which], None if counts is None else counts[which], n)

    of_labels = total(right, np.ones_like(hit))
    occurrences = of_labels + total(predicted, known)
    with np.errstate(invalid="ignore"):
        each = 2 * total(right, hit) / occurrences
    if average is None:
        return each
    occurs = occurrences > 0
    return mean(each[occurs], of_labels[occurs] if average == "weighted" else None)


def r2(output: Any, target: Any, weight: Any = None) -> float:
    """R², the share of the target's variance that is explained: ``1 - sum((target - output)²) / sum((target - mean)²)``.

    Parameters
    ----------
    output : ndarray or Tensor, (N, ...)
        Predictions.
    target : ndarray or Tensor, (N, ...)
        What is right, of exactly the same shape: (N, 1) and (N,) differ.
    weight : ndarray, (N,), optional
        How much each sample counts, at least 0; all the same without it.

    Returns
    -------
    float
        At most 1; 0 is as good as always predicting the mean. Of several values per sample the mean of their R². A constant target counts
        as 1 if it is met exactly, else as 0, as in scikit-learn. NaN for fewer than two samples that count, and where an output or
        target is NaN.

    Raises
    ------
    ValueError
        For shapes that differ or have no axis, or weights that are not one finite number of at least 0 per sample.
    TypeError
        For what holds no real numbers, or a masked array.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training import r2
    >>> r2(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    0.5
    """
    error, right, counts = compared("r2", output, target, weight)
    if len(right) < 2 or not right.size:
        return math.nan
    row = np.ones((len(right), 1)) if counts is None else counts[:, None]
    with np.errstate(all="ignore"):
        deviation = right - (row * right).sum(axis=0) / row.sum()
        constant = right.max(axis=0) == right.min(axis=0)  # not by `deviation`, whose mean may be rounded
        unit = power_of_two(np.abs(deviation).max(axis=0))
        residual, total = ((row * np.square(part / unit)).sum(axis=0) for part in (error, deviation))
        of_constant = np.where(np.isnan(residual), np.nan, residual == 0)
        return float(np.mean(np.where(constant, of_constant, 1 - residual / total)))


def mae(output: Any, target: Any, weight: Any = None) -> float:
    """Mean absolute error, over all elements.

    Parameters
    ----------
    output : ndarray or Tensor, (N, ...)
        Predictions.
    target : ndarray or Tensor, (N, ...)
        What is right, of exactly the same shape: (N, 1) and (N,) differ.
    weight : ndarray, (N,), optional
        How much each sample counts, at least 0; all the same without it.

    Returns
    -------
    float
        In the unit of the target. NaN where nothing counts, or an output or target is NaN.

    Raises
    ------
    ValueError
        For shapes that differ or have no axis, or weights that are not one finite number of at least 0 per sample.
    TypeError
        For what holds no real numbers, or a masked array.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training import mae
    >>> mae(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 2.5]))
    0.5
    """
    error, _, counts = compared("mae", output, target, weight)
    return mean_of_rows(np.abs(error), counts)


def rmse(output: Any, target: Any, weight: Any = None) -> float:
    """Root of the mean squared error, over all elements.

    Parameters
    ----------
    output : ndarray or Tensor, (N, ...)
        Predictions.
    target : ndarray or Tensor, (N, ...)
        What is right, of exactly the same shape: (N, 1) and (N,) differ.
    weight : ndarray, (N,), optional
        How much each sample counts, at least 0; all the same without it.

    Returns
    -------
    float
        In the unit of the target. NaN where nothing counts, or an output or target is NaN.

    Raises
    ------
    ValueError
        For shapes that differ or have no axis, or weights that are not one finite number of at least 0 per sample.
    TypeError
        For what holds no real numbers, or a masked array.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training import rmse
    >>> rmse(np.array([1.0, 2.0]), np.array([2.0, 9.0]))
    5.0
    """
    error, _, counts = compared("rmse", output, target, weight)
    unit = float(power_of_two(np.abs(error).max(initial=0.0)))
    return unit * math.sqrt(mean_of_rows(np.square(error / unit), counts))
