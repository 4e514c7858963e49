"""Targets that the loss does not take, or takes for something else."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .._files import listed
from ..training.findings import Finding, graded
from .look import Look, target_of
from .losses import ignored_by, kind_of
from .overfit_batch import all_weights_are_zero
from .taken import LISTED, Array

UNEVEN = (10.0, 100.0, math.inf)
"""Samples of the largest class over those of the smallest."""
_SUM = 1e-2  # the sum of probabilities may differ from 1 by this


def labels(look: Look) -> Iterator[Finding]:
    """What is wrong with the targets, given the loss and what the model gives."""
    weights = [part.weight for part in look.data.parts if part.weight is not None]
    if weights and not any(weight.any() for weight in weights):
        yield _wrong(*all_weights_are_zero(look.data.total))
        return
    outputs = None if look.run is None else look.run.outputs
    if isinstance(look.data.target, tuple) or not isinstance(outputs, np.ndarray) or outputs.dtype.kind != "f":
        return
    if not outputs.ndim:  # of which the loss says that it is no output per sample
        return
    target, kind = target_of(look.data), kind_of(look.loss)
    judge = {"classes": _classes, "yes or no": _probabilities, "signs": _signs, "numbers": _of_numbers}.get(kind)
    if judge is None:
        return
    for number, part in enumerate(look.data.parts):
        other = target_of(part)
        if (other.dtype, other.ndim) != (target.dtype, target.ndim):
            message = f"batch {number + 1} has targets of {other.dtype} {other.shape}, the first one of {target.dtype} {target.shape}"
            yield _wrong(message, "give all batches targets of one dtype and as many axes")
            return
    yield from judge(look, target, np.asarray(outputs))


def _of_all_batches(look: Look) -> Array:
    """The targets; one after another where batches are of different shapes."""
    if not look.data.rest:
        return target_of(look.data)
    return np.concatenate([target_of(part).ravel() for part in look.data.parts])


def _wrong(message: str, advice: str, value: float | None = None, level: str = "problem") -> Finding:
    return Finding(level, "labels", message, value, advice=advice)


def _fine(message: str) -> Finding:
    return Finding("ok", "labels", message)


def _one_class(message: str, advice: str = "") -> Finding:
    return Finding("problem", "one class", f"{message}: there is nothing to learn", 1.0, 1.0, advice=advice)


# ---- classes -----------------------------------------------------------------------------------------------------------


def _classes(look: Look, target: Array, outputs: Array) -> Iterator[Finding]:
    classes = outputs.shape[1] if outputs.ndim > 1 else 1
    expected = (target.shape[0], *outputs.shape[2:])
    if target.dtype.kind not in "iu":
        yield _soft(look, target, outputs, expected)
        return
    if target.shape != expected:
        one_hot = target.shape[1:] == outputs.shape[1:] and set(np.unique(target)) <= {0, 1}
        what = "one-hot rows of integers" if one_hot else f"of shape {target.shape}, expected {expected}"
        advice = "give the numbers of the classes: y.argmax(axis=1)" if one_hot else f"reshape them to {expected}"
        yield _wrong(f"the targets are {what}; a class is one integer", advice)
        return
    ignored = ignored_by(look.loss)
    every = _of_all_batches(look)
    counted = every[every != ignored]
    if not counted.size:
        yield _wrong(f"all targets are {ignored}, which the loss passes over", "give some targets that count")
        return
    low, high = int(counted.min()), int(counted.max())
    span = f"the targets are {low}…{high}, the network has {classes} outputs, for 0…{classes - 1}"
    if low == 1 and high == classes:
        yield _wrong(span, "count from 0: y - 1", float(high))
    elif low < 0:
        advice = f"count from 0; the loss passes over {ignored} alone (ignore_index)"
        yield _wrong(f"{span}; the first negative one is in {_first_row(look, low)}", advice, float(low))
    elif high >= classes:
        anew = "number the classes anew: np.unique(y, return_inverse=True)[1]"
        advice = f"give the last layer {high + 1} outputs, or {anew}"
        yield _wrong(f"{span}; the first {high} is in {_first_row(look, high)}", advice, float(high))
    else:
        yield from _frequencies(counted, classes, target.ndim == 1)


def _first_row(look: Look, value: int) -> str:
    for number, part in enumerate(look.data.parts):
        places = np.argwhere(target_of(part) == value)
        if len(places):
            return look.data.row(int(places[0, 0]), number)
    raise AssertionError(value)


def _frequencies(counted: Array, classes: int, one_each: bool) -> Iterator[Finding]:
    counts = np.bincount(counted.ravel().astype(np.int64), minlength=classes)
    present = np.flatnonzero(counts)
    if len(present) == 1:
        message = f"all {len(counted)} targets are class {present[0]}"
        yield _one_class(message, "see how the data were read, sorted and split")
        return
    absent = np.flatnonzero(counts == 0)
    if len(absent) and one_each:
        what = f"{len(absent)} of {classes} outputs have no sample: {listed(absent.tolist(), LISTED)}"
        yield _wrong(what, "a smaller last layer would do, if they never come", float(len(absent)), "note")
    few, many = present[counts[present].argmin()], present[counts[present].argmax()]
    grade = graded(counts[many] / counts[few], UNEVEN)
    if grade and one_each:
        more = f"class {many} has {counts[many]} samples, class {few} only {counts[few]}"
        advice = "accuracy says little then; weights of the classes or data.resample help"
        yield grade.finding("labels", f"{more}: {grade.value:.3g} times as many", advice=advice)
    if not grade and not len(absent):
        yield _fine(f"{len(present)} classes, of {counts[few]} to {counts[many]} targets")


def _soft(look: Look, target: Array, outputs: Array, expected: tuple[int, ...]) -> Finding:
    """Probabilities of classes, or class numbers that are floats."""
    if target.shape[1:] != outputs.shape[1:]:
        as_integers = "make them integers: y.astype(np.int64)"
        advice = as_integers if target.shape == expected else f"integers of shape {expected}"
        return _wrong(f"the targets are {target.dtype} of shape {target.shape}, where classes are integers", advice)
    beyond = _beyond_unit(_of_all_batches(look), "give integers for classes, or divide rows by their sum")
    if beyond is not None:
        return beyond
    sums = target.sum(axis=1)
    if not np.allclose(sums, 1, atol=_SUM):
        message = f"probabilities of a target sum to {sums.min():.3g}…{sums.max():.3g}, expected 1"
        advice = "divide each row by its sum; several classes at once need a binary loss"
        return _wrong(message, advice, level="warning")
    if np.ptp(target, axis=0).max() < 1e-12:
        return _one_class("all targets are the same probabilities")
    return _fine(f"probabilities of {target.shape[1]} classes")


# ---- numbers, one for each output --------------------------------------------------------------------------------------


def _probabilities(look: Look, target: Array, outputs: Array) -> Iterator[Finding]:
    every = _of_all_batches(look)
    two = set(np.unique(every)) <= {-1, 1, 2}
    beyond = _beyond_unit(every, "number the two classes 0 and 1" if two else "scale them into [0, 1]")
    fine = f"of {every.min():.4g}…{every.max():.4g}, mean {every.mean():.3g}"
    yield beyond or _differs(target, outputs) or _constant(every) or _fine(fine)


def _signs(look: Look, target: Array, outputs: Array) -> Iterator[Finding]:
    every = _of_all_batches(look)
    values = np.unique(every)
    if set(values) <= {-1, 1}:
        yield _differs(target, outputs) or _constant(every) or _fine(f"-1 and 1, mean {every.mean():.3g}")
    else:
        advice = "2 * y - 1 makes signs of 0 and 1" if set(values) <= {0, 1} else "give -1 and 1"
        yield _wrong(f"the targets are {values[0]:.4g}…{values[-1]:.4g}, where the hinge takes -1 and 1", advice)


def _of_numbers(look: Look, target: Array, outputs: Array) -> Iterator[Finding]:
    every = _of_all_batches(look)
    fine = f"mean {every.mean():.3g}, standard deviation {every.std():.3g}"
    yield _differs(target, outputs) or _constant(every) or _fine(fine)


def _beyond_unit(every: Array, advice: str) -> Finding | None:
    low, high = float(every.min()), float(every.max())
    if 0 <= low and high <= 1:
        return None
    return _wrong(f"the targets are {low:.4g}…{high:.4g}, where probabilities lie in [0, 1]", advice, high)


def _differs(target: Array, outputs: Array) -> Finding | None:
    """Targets of another shape or dtype than the outputs."""
    if target.shape[1:] != outputs.shape[1:]:
        shapes = f"outputs have shape {('N', *outputs.shape[1:])}, targets {('N', *target.shape[1:])}"
        wanted = ", ".join(map(str, (-1, *outputs.shape[1:])))
        same_size = math.prod(target.shape[1:]) == math.prod(outputs.shape[1:])
        advice = f"y.reshape({wanted})" if same_size else "give the last layer as many outputs"
        return Finding("problem", "shapes", shapes.replace("'N'", "N"), advice=advice)
    if target.dtype != outputs.dtype:
        message = f"targets are {target.dtype}, outputs {outputs.dtype}: the loss takes one dtype"
        return _wrong(message, f"y.astype(np.{outputs.dtype})")
    return None


def _constant(every: Array) -> Finding | None:
    """Targets that never change; NaN is no constant."""
    return None if np.ptp(every, axis=0).max(initial=0) else _one_class(f"all targets are {every.flat[0]:.4g}")
