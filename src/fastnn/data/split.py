"""Splitting labelled data with the classes kept in proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks.arrays import unmasked


def stratified_split(labels: ArrayLike, fractions: Sequence[float], seed: int) -> list[NDArray[np.intp]]:
    """Indices of disjoint parts in which every class has its share.

    Parameters
    ----------
    labels : array_like of int, (N,)
        The class of each sample.
    fractions : sequence of float
        The share of each part but the last, which takes the rest.
    seed : int
        Seeds the choice.

    Returns
    -------
    list of ndarray
        ``len(fractions) + 1`` sorted index arrays.

    Raises
    ------
    ValueError
        If the labels are not one-dimensional, or the fractions are negative or sum to more than 1.

    Notes
    -----
    Drawn from `numpy.random.RandomState`, whose stream never changes (NEP 19): a seed means the same split under
    every version of NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import stratified_split
    >>> test, train = stratified_split(np.repeat([0, 1], 10), [0.2], seed=0)
    >>> len(test), len(train), int((test < 10).sum())
    (4, 16, 2)
    """
    array: NDArray[Any] = np.asarray(unmasked("stratified_split", "labels", labels))
    if array.ndim != 1:
        raise ValueError(f"stratified_split: labels must have one axis, got shape {array.shape}")
    if not all(fraction >= 0 for fraction in fractions) or math.fsum(fractions) > 1:
        raise ValueError(f"stratified_split: fractions must be ≥ 0 and sum to at most 1, got {list(fractions)}")
    random = np.random.RandomState(seed)
    parts: list[list[NDArray[np.intp]]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(array):
        members = random.permutation(np.flatnonzero(array == label))
        ends = np.round(np.cumsum(fractions) * len(members)).astype(int)
        for part, chosen in zip(parts, np.split(members, ends), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) if part else np.empty(0, np.intp) for part in parts]
