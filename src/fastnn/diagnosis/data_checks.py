"""What is wrong with data before anything is trained: numbers that are not finite, scales, duplicates."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import nn
from .._files import listed
from ..data.samples import leaves
from ..nn.norm import _Norm
from ..training.findings import Finding, graded, most_severe_first, quoted
from .look import First, Look, target_of
from .losses import kind_of
from .taken import LISTED, Array, Taken, along

TOO_WIDE = (5.0, 10.0, 30.0)
"""Root of the mean square of a column. Sound networks are drawn for 1; measured, raw pixels have 85."""
TOO_NARROW = (1e-1, 1e-2, 1e-3)
"""The same where it is too small: pixels in 0…1 have 0.2 to 0.6, divided by 255 a second time 0.002."""
TOO_DIFFERENT = (30.0, 300.0, math.inf)
"""The largest number of a wide column over that of a narrow one, of nine tenths and one tenth of the columns: pixels 1 to 4, the
unscaled table of breast cancer 3700."""
TARGET_TOO_LARGE = (5.0, 30.0, math.inf)
"""Root of the mean square of a target of numbers, where outputs begin at a fifth of it or less."""
_OF_SCALE = "LeCun et al. 1998, Efficient BackProp: inputs of mean 0 and deviation 1"
OF_TARGET = "train on data.StandardScaler().fit(y).transform(y), and put predictions back by inverse_transform"
"""Advice where a target of large numbers is what is wrong."""
SHARED = (0.0, 0.01, 0.2)
"""The share of the validation part's rows that are in the training part too."""
NATURAL = 4.0
"""The share of shared rows over that of rows which the training part itself has before: up to here rows come again by nature, in
tables of few values or where pictures are there twice. Of pairs that a random split parts, 2 is expected."""
OTHER_SCALE = (3.0, 10.0, 100.0)
"""Mean size of the validation part's numbers over that of as many samples of the training part, or the inverse."""
_ROWS_TO_TRY = 32
_MOST_ROWS = 200_000  # at most so many are compared with each other


# ---- not finite --------------------------------------------------------------------------------------------------------


def not_finite(look: Look) -> Iterator[Finding]:
    """NaN and infinities in inputs, targets and parameters."""
    found = [*not_finite_values(look), *_not_finite_parameters(look)]
    yield from found
    if not found:
        yield Finding("ok", "not finite", f"all numbers of {look.data.total} samples are finite", 0.0, 0.0)


def not_finite_values(look: Look) -> Iterator[Finding]:
    """NaN and infinities in inputs and targets, with row and column; a note where the model takes them."""
    found: dict[str, list[tuple[int, NDArray[np.intp], str, float, int]]] = {}
    for number, part in enumerate(look.data.parts):
        named = [(f"input {i}" if i else "input", array) for i, array in enumerate(part.inputs)]
        named += [("target", target) for target in leaves(part.target)]
        for name, array in named:
            places = _places(np.asarray(array), part.count)
            if places is not None:
                found.setdefault(name, []).append((number, *places))
    for name, all_places in found.items():
        number, rows, first, value, _ = all_places[0]
        where = look.data.row(int(rows[0]), number) + (
            f", {'place' if ',' in first else 'column'} {first}" if first else ""
        )
        count, among = sum(places[-1] for places in all_places), sum(len(places[1]) for places in all_places)
        message = f"{_numbers(count)} of the {name} in {among} of {look.data.total} rows, the first {value} in {where}"
        if name != "target" and _are_taken(look, look.data.parts[number].at(rows[:_ROWS_TO_TRY])):
            message = f"{message}; the model gives finite outputs for them"
            yield Finding("note", "not finite", message, float(count), 0.0)
        else:
            advice = "leave such rows out, or fill them: data.Imputer().fit(x).as_module() as the first layer"
            yield Finding("problem", "not finite", message, float(count), 0.0, advice=advice)


def _not_finite_parameters(look: Look) -> Iterator[Finding]:
    for name, parameter in look.model.named_parameters():
        if not np.isfinite(parameter.data).all():
            count = int(np.count_nonzero(~np.isfinite(parameter.data)))
            message = f"parameter {name!r} holds {_numbers(count)}"
            yield Finding("problem", "not finite", message, float(count), 0.0, layer=name)


def _numbers(count: int) -> str:
    return f"{count} number{'s' * (count != 1)} not finite"


def _places(array: Array, count: int) -> tuple[NDArray[np.intp], str, float, int] | None:
    """Rows, the column of the first in words, its value, and how many there are."""
    if array.dtype.kind != "f" or not array.size:
        return None
    finite = np.isfinite(array)
    if finite.all():
        return None
    samples = finite if len(array) == count else np.moveaxis(finite, 1, 0)
    rows = np.flatnonzero(~samples.reshape(len(samples), -1).all(axis=1))
    place = np.argwhere(~samples[rows[0]])[0]
    values = array if len(array) == count else np.moveaxis(array, 1, 0)
    value = float(values[(rows[0], *place)])
    return rows, ", ".join(map(str, place.tolist())), value, int(array.size - np.count_nonzero(finite))


def _are_taken(look: Look, some: Taken) -> bool:
    """Whether a model that fills gaps gives numbers for such rows."""
    try:
        outputs = look.outputs_in_evaluation(look.as_the_model_gets(some))
    except Exception:  # noqa: BLE001 - a model of somebody's own may refuse such rows by any exception
        return False
    return all(np.isfinite(array).all() for array in leaves(outputs))


# ---- scale -------------------------------------------------------------------------------------------------------------


def scale(look: Look) -> Iterator[Finding]:
    """Inputs that are too large, too small, or very different, as the first layers with weights get them."""
    firsts = [] if look.run is None else [first for first in look.run.first if _is_scaled_by(first)]
    if not firsts:
        yield Finding("ok", "scale", "no layer with weights takes the inputs as they are")
        return
    yield most_severe_first([_judged_scale(first) for first in firsts])[0]


def scale_of_target(look: Look) -> Iterator[Finding]:
    """Numbers that the outputs are far below of, which many steps have to make up for."""
    if look.run is not None:
        yield from judged_target(look.loss, look.run.outputs, target_of(look.data))


def judged_target(loss: Any, outputs: Any, target: Array) -> Iterator[Finding]:
    """The same of outputs and targets."""
    if kind_of(loss) != "numbers" or not isinstance(outputs, np.ndarray) or target.dtype.kind != "f":
        return
    size, given = (float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) for array in (target, outputs))
    grade = graded(size, TARGET_TOO_LARGE)
    if grade and given < size / TARGET_TOO_LARGE[0]:
        message = (
            f"the target has mean {target.mean():.3g} and standard deviation {target.std():.3g}, outputs begin at {given:.2g}: it "
            "takes many steps to bring them there"
        )
        yield grade.finding("scale", message, _OF_SCALE, OF_TARGET)


def _is_scaled_by(first: First) -> bool:
    """Whether the scale of what a layer gets matters to it: norms take it away, and tables are looked up in."""
    return first.given.dtype.kind == "f" and first.given.size > 0 and not isinstance(first.module, _Norm | nn.Embedding)


def _judged_scale(first: First) -> Finding:
    columns = _columns(first)
    if not len(columns):
        return Finding("ok", "scale", "no row is finite", layer=first.name)
    size = np.sqrt(np.mean(np.square(columns, dtype=np.float64), axis=0))
    large = float(size.max())
    mean, spread = float(columns.mean(dtype=np.float64)), float(columns.std(dtype=np.float64))
    where = quoted(first.name, type(first.module).__name__)
    what = f"{where} gets numbers of {columns.min():.4g}…{columns.max():.4g}, mean {mean:.3g}, standard deviation {spread:.3g}"
    if grade := graded(large, TOO_WIDE):
        message = f"{what}; the largest column has {large:.3g}, expected about 1"
        return grade.finding("scale", message, _OF_SCALE, _advice(columns), first.name)
    if large == 0:
        return Finding("ok", "scale", what, large)
    if grade := graded(large, TOO_NARROW, below=True):
        message = f"{what}; the largest column has only {large:.3g}, expected about 1"
        advice = "scale the inputs once: data.StandardScaler().fit(x)"
        return grade.finding("scale", message, _OF_SCALE, advice, first.name)
    return _compared(columns, what, first)


def _compared(columns: Array, what: str, first: First) -> Finding:
    """Columns beside each other."""
    reach = np.abs(columns).max(axis=0)
    reach = reach[reach > 0]
    wide, narrow = np.quantile(reach, [0.9, 0.1])
    if grade := graded(float(wide / narrow), TOO_DIFFERENT):
        message = f"{what}; columns reach from {reach.min():.3g} to {reach.max():.3g}"
        advice = "columns of small numbers hardly count: data.StandardScaler().fit(x)"
        return grade.finding("scale", message, _OF_SCALE, advice, first.name)
    return Finding("ok", "scale", what, float(columns.std()), TOO_WIDE[0], _OF_SCALE, layer=first.name)


def _columns(first: First) -> Array:
    """What a layer gets, a column for each feature: each channel of a convolution, else each number of the last axis."""
    weight = getattr(first.module, "weight", None)
    convolved = weight is not None and weight.ndim > 2 and first.given.ndim > 2
    array = np.moveaxis(first.given, 1, -1) if convolved else first.given
    columns = array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)
    return columns[np.isfinite(columns).all(axis=1)]


def _advice(columns: Array) -> str:
    if columns.min() >= 0 and 200 < columns.max() <= 255 and (columns == np.round(columns)).all():
        return "these look like raw pixels: x / 255, or data.ImageScaler().fit(x).as_module() as the first layer"
    return "scaler = data.StandardScaler().fit(x): x = scaler.transform(x), or scaler.as_module() as the first layer"


# ---- the validation part ------------------------------------------------------------------------------------------------


def other_scale(train: Taken, other: Taken) -> Iterator[Finding]:
    """Inputs of the validation part that are much larger or smaller than those of the training part.

    As many samples of the training part are taken at a time, so that what differs by chance in few samples differs there too.
    """
    for given, judged in zip(train.inputs, other.inputs, strict=False):
        if "f" not in (given.dtype.kind, judged.dtype.kind) or {given.dtype.kind, judged.dtype.kind} - set("fiu"):
            continue
        sizes = [
            _size(along(given, train.count, slice(start, start + other.count)))
            for start in range(0, max(train.count - other.count, 0) + 1, other.count)
        ]
        size = _size(judged)
        if not (size > 0 and min(sizes) > 0):
            continue
        ratio = max(size / max(sizes), min(sizes) / size)
        if grade := graded(ratio, OTHER_SCALE):
            relation = "large" if size > max(sizes) else "small"
            message = f"its inputs are {ratio:.3g} times as {relation} as those of the training part: mean size {size:.3g}, there {np.mean(sizes):.3g}"
            advice = "give both parts the same scaling, by the scaler that was fitted to the training part"
            yield grade.finding("scale", message, _OF_SCALE, advice)


def _size(array: Array) -> float:
    finite = np.isfinite(array)
    return float(np.abs(array, dtype=np.float64, where=finite, out=np.zeros(array.shape)).sum() / max(finite.sum(), 1))


# ---- features and rows -------------------------------------------------------------------------------------------------


def constant_features(look: Look) -> Iterator[Finding]:
    """Columns of tables that are all the same; inputs that are all the same."""
    count = look.data.count
    arrays = [array for array in look.data.inputs if len(array) == count and count > 1]
    if arrays and all((array == array[:1]).all() for array in arrays):
        message, advice = f"all {count} samples are the same{look.data.only_first}", "see how the data were read"
        yield Finding("problem", "constant features", message, 1.0, 1.0, advice=advice)
        return
    columns: list[int] = []
    for array in arrays:
        if array.ndim == 2 and array.dtype.kind == "f":
            columns += np.flatnonzero((array == array[:1]).all(axis=0)).tolist()
    if columns:
        message = f"{len(columns)} columns are constant: {listed(columns, LISTED)}{look.data.only_first}"
        yield Finding("note", "constant features", message, float(len(columns)), 0.0, advice="they say nothing")
    else:
        yield Finding("ok", "constant features", f"none{look.data.only_first}", 0.0, 0.0)


def duplicates(look: Look) -> Iterator[Finding]:
    """Rows that are there before, and those of the validation part that the training part has."""
    known = Counter(digest for part in look.data.parts for digest in _digests(part))
    total = sum(known.values())
    twice = total - len(known)
    if twice:
        yield Finding("note", "duplicates", f"{twice} of {total} samples are there before", twice / total, 0.0)
    else:
        yield Finding("ok", "duplicates", f"none among {total} samples", 0.0, 0.0)
    if look.validation is None:
        return
    others = [digest for part in look.validation.parts for digest in _digests(part)]
    shared = sum(digest in known for digest in others)
    share = shared / max(len(others), 1)
    grade = graded(share, SHARED)
    if share <= NATURAL * twice / total:
        grade = grade.at_most("note")
    if grade:
        message = f"{shared} of {len(others)} samples of the validation part are in the training part too"
        advice = "what is validated was learnt: split before copies are made, and by groups (data.split(groups=))"
        yield grade.finding("shared rows", message, advice=advice)
    else:
        yield Finding("ok", "shared rows", f"none of {len(others)} in the validation part", 0.0, 0.0)


def _digests(taken: Taken) -> Iterator[bytes]:
    count = min(taken.count, _MOST_ROWS)
    arrays = [along(array, taken.count, slice(count)) for array in taken.inputs]
    arrays = [
        np.ascontiguousarray(a if len(a) == count else np.moveaxis(a, 1, 0)) for a in arrays if count in a.shape[:2]
    ]
    for row in range(count):
        digest = hashlib.blake2b(digest_size=16)
        for array in arrays:
            digest.update(array[row].data if array[row].ndim else array[row].tobytes())
        yield digest.digest()
