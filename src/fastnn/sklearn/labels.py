"""Labels as a loss takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ..checks import shown

Array = np.ndarray[Any, Any]


class Labels(NamedTuple):
    """What there is to tell apart.

    Parameters
    ----------
    classes : ndarray, (classes,)
        The classes, sorted; of several labels per sample their column numbers.
    several : bool
        Whether a sample may have several labels, or none.
    """

    classes: Array
    several: bool


def checked_labels(op: str, y: Any) -> Array:
    """Labels as an array: of one label per sample (N,), of several an indicator matrix (N, labels).

    Raises
    ------
    ValueError
        If they are numbers that are no classes, or several labels of several classes each.
    """
    if _are_plainly_classes(y):
        return np.asarray(y)
    kind = type_of_target(y, input_name="y")
    if kind not in ("binary", "multiclass", "multilabel-indicator"):
        check_classification_targets(y)  # raises, unless it is the following
        raise ValueError(
            f"{op}: y must have one class per sample, or an indicator matrix of 0 and 1 for several labels; got several columns "
            "of classes; sklearn.multioutput.MultiOutputClassifier makes a classifier for each column"
        )
    if kind == "multilabel-indicator":
        return np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    return y if y.ndim == 1 else np.asarray(column_or_1d(y, warn=True))


def _are_plainly_classes(y: Any) -> bool:
    """Integers of a few values are classes without a closer look, which takes as long as some steps of a small network."""
    whole = isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "biu"
    return whole and 2 * len(np.unique(y)) <= len(y)


def labels_in(op: str, y: Array) -> Labels:
    """The labels that occur.

    Raises
    ------
    ValueError
        If there is one class only.
    """
    if y.ndim == 2:
        return Labels(np.arange(y.shape[1]), True)
    return labels_of(op, np.unique(y))


def labels_of(op: str, classes: Any) -> Labels:
    """Labels of given classes.

    Raises
    ------
    ValueError
        If there are fewer than two classes.
    """
    known = np.unique(np.asarray(classes))
    if len(known) < 2:
        raise ValueError(f"{op}: y must have two classes at least, got one class only: {known.tolist()}")
    return Labels(known, False)


def encoded(op: str, y: Array, labels: Labels, dtype: np.dtype[Any]) -> Array:
    """Labels as targets: the number of each sample's class, or a 0 or 1 for each label.

    Raises
    ------
    ValueError
        If there are others than the known ones.
    """
    if labels.several != (y.ndim == 2) or (labels.several and y.shape[1] != len(labels.classes)):
        expected = f"(samples, {len(labels.classes)})" if labels.several else "(samples,)"
        raise ValueError(f"{op}: y must have shape {expected}, as in the first call of fit, got {y.shape}")
    if labels.several:
        return y.astype(dtype)
    codes = np.searchsorted(labels.classes, y).astype(np.int64)
    unknown = labels.classes.take(codes, mode="clip") != y
    if unknown.any():
        found = np.unique(y[unknown]).tolist()
        raise ValueError(f"{op}: y has the classes {found}, which are not in classes_ {labels.classes.tolist()}")
    return codes


def class_weights(op: str, given: Any, y: Array, labels: Labels, weight: Array) -> Array:
    """How much each sample counts by its class.

    Parameters
    ----------
    op : str
        What messages begin with.
    given : mapping or "balanced"
        Weights by class, 1 for the others; or what has all classes count the same.
    y : ndarray, (N,)
        The classes of samples.
    labels : Labels
        Those that there are.
    weight : ndarray, (N,)
        How much each sample counts by itself.

    Raises
    ------
    ValueError, TypeError
        If it is neither of them, names unknown classes, or samples have several labels.
    """
    if labels.several:
        raise ValueError(f"{op}: class_weight is for one class per sample; y has several labels")
    if isinstance(given, str) and given == "balanced":
        codes = encoded(op, y, labels, weight.dtype)
        amounts = np.bincount(codes, weight, len(labels.classes))
        occurs = amounts > 0
        of_class = np.divide(amounts.sum() / np.count_nonzero(occurs), amounts, out=np.zeros(len(occurs)), where=occurs)
        return np.asarray(of_class[codes])
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{op}: class_weight must be a mapping of classes to weights, 'balanced' or None, got {shown(given)}"
        )
    known = labels.classes.tolist()
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"{op}: class_weight names {unknown}, which are not among the classes {known}")
    return np.array([given.get(name, 1.0) for name in known])[encoded(op, y, labels, weight.dtype)]
