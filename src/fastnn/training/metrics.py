"""Metrics: plain functions of outputs and targets, of a batch or of a whole pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autograd import raw
from ..checks import integer, real, shown, unmasked

Array = NDArray[Any]

NOT_COUNTED = -100  # the label that the loss functions pass over, too


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
    given, right, counts = _scored("accuracy", scores, labels, weight)
    return _mean(_highest(given) == right, counts)


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
    given, right, counts = _pair("binary_accuracy", scores, target, weight)
    return _mean_of_rows(((given > border) == (right > 0.5)) & ~np.isnan(given), counts)


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
    given, right, counts = _scored("top_k", scores, labels, weight)
    if not 1 <= integer("top_k", "k", k) <= given.shape[1]:
        raise ValueError(f"top_k: k must be 1 to {given.shape[1]}, the number of classes, got {shown(k)}")
    own = np.take_along_axis(given, right[:, None], axis=1)
    before = np.arange(given.shape[1]) < right[:, None]
    higher = (given > own) | ((given == own) & before)
    return _mean((higher.sum(axis=1) < k) & ~np.isnan(given).any(axis=1), counts)


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
    predicted, right, counts, n = _predicted("confusion", scores, labels, weight, classes)
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
    predicted, right, counts, n = _predicted("f1", scores, labels, weight, None)
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
    return _mean(each[occurs], of_labels[occurs] if average == "weighted" else None)


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
    error, right, counts = _compared("r2", output, target, weight)
    if len(right) < 2 or not right.size:
        return math.nan
    row = np.ones((len(right), 1)) if counts is None else counts[:, None]
    with np.errstate(all="ignore"):
        deviation = right - (row * right).sum(axis=0) / row.sum()
        constant = right.max(axis=0) == right.min(axis=0)  # though its mean may be rounded
        unit = _unit(np.abs(deviation).max(axis=0))
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
    error, _, counts = _compared("mae", output, target, weight)
    return _mean_of_rows(np.abs(error), counts)


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
    error, _, counts = _compared("rmse", output, target, weight)
    unit = float(_unit(np.abs(error).max(initial=0.0)))
    return unit * math.sqrt(_mean_of_rows(np.square(error / unit), counts))


def fits(labels: tuple[int, ...], scores: tuple[int, ...]) -> bool:
    """Whether labels of one shape can be the classes that scores of the other are about."""
    return len(scores) > 1 and labels == scores[:1] + scores[2:]


def _array(op: str, name: str, value: Any) -> Array:
    return np.asarray(raw(unmasked(op, name, value)))


def _refuse_unreal(op: str, name: str, array: Array) -> None:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{op}: {name} must hold real numbers, got dtype {array.dtype}")


def _mean(values: Array, counts: Array | None) -> float:
    """The mean over samples; NaN of none."""
    total = len(values) if counts is None else float(counts.sum())
    if not total:
        return math.nan
    return float((values if counts is None else values * counts).sum()) / total


def _unit(largest: Any) -> Any:
    """A power of two near the largest of some numbers: squares of what it divides don't overflow, and no digit is lost."""
    return np.ldexp(1.0, np.minimum(np.frexp(largest)[1], 1023))


def _mean_of_rows(values: Array, counts: Array | None) -> float:
    """The mean of all elements of (N, columns); NaN of none."""
    if not values.size:
        return math.nan
    with np.errstate(all="ignore"):
        return _mean(values.mean(axis=1), counts)


def _counts(op: str, weight: Any, samples: int) -> Array | None:
    """Weights as float64, one per sample."""
    if weight is None:
        return None
    given = _array(op, "weight", weight)
    if given.shape != (samples,):
        raise ValueError(f"{op}: weight must have shape {(samples,)}, one per sample, got {given.shape}")
    _refuse_unreal(op, "weight", given)
    counts = given.astype(np.float64)
    legal = (counts >= 0) & (counts < np.inf)
    if not legal.all():
        raise ValueError(f"{op}: weight must be finite and at least 0, got {counts[~legal][0]}")
    return counts


def _labels(op: str, labels: Any) -> Array:
    right = _array(op, "labels", labels)
    if right.dtype.kind not in "biu" and right.size:
        raise TypeError(f"{op}: labels must be integers, which are classes, got dtype {right.dtype}")
    return right


def _counting(op: str, right: Array, weight: Any, classes: int | None) -> tuple[Array, Array | None]:
    """Which of the flat labels count, once it is sure that those are classes, and how much."""
    counts = _counts(op, weight, len(right))
    if counts is not None:
        counts = np.broadcast_to(counts.reshape(-1, *[1] * (right.ndim - 1)), right.shape).reshape(-1)
    flat = right.reshape(-1)
    counted = flat != NOT_COUNTED
    wrong = counted & ((flat < 0) | (flat >= (np.inf if classes is None else classes)))
    if wrong.any():
        expected = "at least 0" if classes is None else f"0 to {classes - 1}"
        raise ValueError(f"{op}: labels hold {flat[wrong][0]}, expected {expected}, or {NOT_COUNTED} for no class")
    return (counted if counts is None else counted & (counts > 0)), counts


def _scored(op: str, scores: Any, labels: Any, weight: Any) -> tuple[Array, Array, Array | None]:
    """Scores (n, classes), labels (n,) and weights (n,) of all that counts."""
    given, right = _array(op, "scores", scores), _labels(op, labels)
    if not fits(right.shape, given.shape):
        raise ValueError(
            f"{op}: labels must have the shape of the scores without their axis 1, got scores {given.shape} and "
            f"labels {right.shape}"
        )
    _refuse_unreal(op, "scores", given)
    counted, counts = _counting(op, right, weight, given.shape[1])
    rows = np.moveaxis(given, 1, -1).reshape(right.size, given.shape[1])
    flat = right.reshape(-1).astype(np.int64)
    if counted.all():
        return rows, flat, counts
    return rows[counted], flat[counted], None if counts is None else counts[counted]


def _highest(scores: Array) -> Array:
    """The class of each row of scores; -1 where there is none."""
    if not scores.size:
        return np.full(len(scores), -1)
    highest: Array = scores.argmax(axis=1)  # of a NaN, where there is one
    highest[np.isnan(np.take_along_axis(scores, highest[:, None], axis=1)[:, 0])] = -1
    return highest


def _predicted(
    op: str, scores: Any, labels: Any, weight: Any, classes: int | None
) -> tuple[Array, Array, Array | None, int]:
    """Predicted classes, -1 for none, labels and weights of all that counts, and the number of classes."""
    n = None if classes is None else integer(op, "classes", classes, 1)
    given, right = _array(op, "scores", scores), _labels(op, labels)
    if not (given.dtype.kind in "biu" and given.shape == right.shape and given.ndim):
        rows, flat, counts = _scored(op, scores, right, weight)
        predicted = _highest(rows)
        return predicted, flat, counts, _enough(op, n, given.shape[1], predicted, flat)
    counted, counts = _counting(op, right, weight, n)
    flat, predicted = (part.reshape(-1)[counted].astype(np.int64) for part in (right, given))
    if predicted.min(initial=0) < 0:
        raise ValueError(f"{op}: predictions hold {predicted.min()}, expected at least 0")
    least = 1 + int(max(flat.max(initial=-1), predicted.max(initial=-1)))
    return predicted, flat, None if counts is None else counts[counted], _enough(op, n, least, predicted, flat)


def _enough(op: str, classes: int | None, default: int, *used: Array) -> int:
    """A number of classes that all that occur are among."""
    if classes is None:
        return default
    largest = max(int(part.max(initial=-1)) for part in used)
    if largest >= classes:
        raise ValueError(f"{op}: class {largest} occurs, expected 0 to {classes - 1}")
    return classes


def _compared(op: str, output: Any, target: Any, weight: Any) -> tuple[Array, Array, Array | None]:
    """Errors and targets as float64 (n, columns), and weights, of the samples that count."""
    first, second, counts = _pair(op, output, target, weight)
    with np.errstate(all="ignore"):
        return first - second, second, counts


def _pair(op: str, output: Any, target: Any, weight: Any) -> tuple[Array, Array, Array | None]:
    """Outputs and targets of one shape as float64 (n, columns), and weights, of the samples that count."""
    given, right = _array(op, "output", output), _array(op, "target", target)
    if given.shape != right.shape or not right.ndim:
        raise ValueError(
            f"{op}: output and target must have one shape (N, ...), got {given.shape} and {right.shape}; "
            "reshape says which is meant"
        )
    _refuse_unreal(op, "output", given)
    _refuse_unreal(op, "target", right)
    counts = _counts(op, weight, len(right))
    n, columns = len(right), math.prod(right.shape[1:])
    first, second = (array.astype(np.float64).reshape(n, columns) for array in (given, right))
    if counts is not None and not counts.all():
        kept = counts > 0
        first, second, counts = first[kept], second[kept], counts[kept]
    return first, second, counts
