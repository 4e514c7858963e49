"""What metrics are given, checked and laid out: flat arrays of what counts, and means over these."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autograd import raw
from ..checks import integer, unmasked

Array = NDArray[Any]

NOT_COUNTED = -100  # the label that the loss functions pass over, too


def fits(labels: tuple[int, ...], scores: tuple[int, ...]) -> bool:
    """Whether labels of one shape can be the classes that scores of the other are about."""
    return len(scores) > 1 and labels == scores[:1] + scores[2:]


def _array(op: str, name: str, value: Any) -> Array:
    return np.asarray(raw(unmasked(op, name, value)))


def _refuse_unreal(op: str, name: str, array: Array) -> None:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{op}: {name} must hold real numbers, got dtype {array.dtype}")


def mean(values: Array, counts: Array | None) -> float:
    """The mean over samples; NaN of none."""
    total = len(values) if counts is None else float(counts.sum())
    if not total:
        return math.nan
    return float((values if counts is None else values * counts).sum()) / total


def power_of_two(largest: Any) -> Any:
    """A power of two near the largest of some numbers: squares of what it divides don't overflow, and no digit is lost."""
    return np.ldexp(1.0, np.minimum(np.frexp(largest)[1], 1023))


def mean_of_rows(values: Array, counts: Array | None) -> float:
    """The mean of all elements of (N, columns); NaN of none."""
    if not values.size:
        return math.nan
    with np.errstate(all="ignore"):
        return mean(values.mean(axis=1), counts)


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


def scored(op: str, scores: Any, labels: Any, weight: Any) -> tuple[Array, Array, Array | None]:
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


def highest(scores: Array) -> Array:
    """The class of each row of scores; -1 where there is none."""
    if not scores.size:
        return np.full(len(scores), -1)
    highest: Array = scores.argmax(axis=1)  # the place of a NaN, where there is one
    highest[np.isnan(np.take_along_axis(scores, highest[:, None], axis=1)[:, 0])] = -1
    return highest


def predicted_classes(
    op: str, scores: Any, labels: Any, weight: Any, classes: int | None
) -> tuple[Array, Array, Array | None, int]:
    """Predicted classes, -1 for none, labels and weights of all that counts, and the number of classes."""
    n = None if classes is None else integer(op, "classes", classes, 1)
    given, right = _array(op, "scores", scores), _labels(op, labels)
    if not (given.dtype.kind in "biu" and given.shape == right.shape and given.ndim):
        rows, flat, counts = scored(op, scores, right, weight)
        predicted = highest(rows)
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


def compared(op: str, output: Any, target: Any, weight: Any) -> tuple[Array, Array, Array | None]:
    """Errors and targets as float64 (n, columns), and weights, of the samples that count."""
    first, second, counts = pair(op, output, target, weight)
    with np.errstate(all="ignore"):
        return first - second, second, counts


def pair(op: str, output: Any, target: Any, weight: Any) -> tuple[Array, Array, Array | None]:
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
