"""Splitting data into parts: at random, by classes, by groups, or in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import flag, generator, integer, real, shown
from .samples import classes_of, samples, taken
from .shares import whole

Index = NDArray[np.intp]
Random = np.random.RandomState | np.random.Generator

_SEEDS = 2**32  # RandomState takes seeds below this


def split(
    *arrays: Any,
    fractions: Sequence[float],
    rng: Any = None,
    stratify: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    in_order: bool = False,
    gap: int = 0,
) -> tuple[tuple[Any, ...], ...]:
    """Disjoint parts of arrays: training, validation and test.

    Parameters
    ----------
    *arrays : array_like or tuple of arrays
        Arrays with one length N along their first axis, such as images (N, C, H, W) and labels (N,). A tuple of arrays
        stands for several inputs and comes out as a tuple.
    fractions : sequence of float
        The share of each part but the last, which takes the rest: [0.8] makes two parts, [0.7, 0.15] three.
    rng : optional
        An int below 2**32, which means the same parts under every version of NumPy; or anything else that
        `numpy.random.default_rng` takes. None makes other parts each time. Not used with `in_order`.
    stratify : array_like, (N,), optional
        The class of each sample. Each part then holds each class at least once, and as near to its proportion as whole
        samples allow.
    groups : array_like, (N,), optional
        What samples must not be separated by: the patient, the speaker, the day. A group is in one part as a whole.
        Parts, and with `stratify` the classes in them, come as near to their shares as the groups allow.
    in_order : bool
        Cut the arrays as they are: the first samples are the first part. For series, and data that are shuffled
        already.
    gap : int
        With `in_order`, the number of samples left out at the end of each part but the last. See `windows`.

    Returns
    -------
    tuple of tuple
        For each part, a tuple with its share of each array, also of a single one: ``(train,), (test,) = split(x, …)``.
        Samples keep their order. With `in_order` the shares are views of the arrays, else copies.

    Raises
    ------
    ValueError, TypeError
        If the arrays differ in length, the fractions are not above 0 or leave nothing for the last part, a part would
        be empty, a class has fewer samples than there are parts or a part is smaller than the number of classes, there
        are fewer groups than parts, options contradict each other, or an array is masked.

    Notes
    -----
    An int seeds `numpy.random.RandomState`, whose stream never changes (NEP 19).

    Sizes are rounded to the nearest sample. With `stratify`, those of the classes are rounded by the largest remainder.
    Groups are dealt in random order, each to the part that lacks most of what is in it.

    Split positions instead of data that are larger than memory, and let a transform read them:
    ``(train,), (test,) = split(np.arange(len(images)), fractions=[0.8], rng=0)``, then
    ``Batches(train, labels[train], batch_size=32, transform=lambda index, rng: images[index])``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import split
    >>> x, y = np.arange(20.0), np.repeat([0, 1], 10)
    >>> train, test = split(x, y, fractions=[0.8], stratify=y, rng=0)
    >>> [len(part) for part in train], np.bincount(test[1])
    ([16, 16], array([2, 2]))
    >>> (past,), (future,) = split(x, fractions=[0.8], in_order=True)
    >>> future
    array([16., 17., 18., 19.])
    """
    parts, n = samples("split", arrays)
    ends = _ends(fractions, n)
    if flag("split", "in_order", in_order):
        if stratify is not None or groups is not None:
            raise ValueError("split: in_order takes the samples as they come; it does not go with stratify or groups")
        return tuple(taken(parts, part) for part in _slices(ends, integer("split", "gap", gap, 0)))
    if gap != 0:
        raise ValueError(f"split: gap is for in_order=True, got gap={shown(gap)} without it")
    random = _random(rng)
    classes, codes = classes_of("split", "stratify", np.zeros(n, int) if stratify is None else stratify, n)
    if groups is not None:
        owner = _by_group(codes, classes_of("split", "groups", groups, n)[1], ends, random)
    else:
        if stratify is not None:
            _refuse_small_classes(classes, np.bincount(codes), np.diff(ends))
        owner = _by_class(codes, ends, random)
    return tuple(taken(parts, np.flatnonzero(owner == part)) for part in range(len(ends) - 1))


def _ends(fractions: Any, n: int) -> Index:
    """Where the parts would end if they followed one another; from 0 to n."""
    if not isinstance(fractions, (list, tuple, np.ndarray)) or len(fractions) == 0:
        raise TypeError(f"split: fractions must be a sequence of numbers such as [0.8], got {shown(fractions)}")
    shares = [real("split", "fractions", share, 0, 1, open_low=True, open_high=True) for share in fractions]
    if (total := math.fsum(shares)) > 1 - 1e-9:
        hint = f"; for {len(shares)} parts give {shares[:-1]}" if total < 1 + 1e-9 else ""
        raise ValueError(f"split: fractions {shares} leave nothing for the last part, which takes the rest{hint}")
    ends = np.array([0, *np.round(np.cumsum(shares) * n), n], np.intp)
    _refuse_empty(np.diff(ends), n)
    return ends


def _refuse_empty(sizes: Index, n: int) -> None:
    if (sizes <= 0).any():
        part = int(np.argmin(sizes))
        raise ValueError(f"split: part {part} of {len(sizes)} would be empty, with {n} samples in all")


def _slices(ends: Index, gap: int) -> list[slice]:
    stops = [*(ends[1:-1] - gap), ends[-1]]
    if (stops <= ends[:-1]).any():
        raise ValueError(f"split: gap={gap} leaves a part empty; their sizes without it are {np.diff(ends).tolist()}")
    return [slice(int(start), int(stop)) for start, stop in zip(ends[:-1], stops, strict=True)]


def _random(rng: Any) -> Random:
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        if not 0 <= rng < _SEEDS:
            raise ValueError(f"split: rng must be at least 0 and below 2**32 where it is an int, got {shown(rng)}")
        return np.random.RandomState(int(rng))
    return generator("split", rng)


def _refuse_small_classes(classes: NDArray[Any], counts: Index, sizes: Index) -> None:
    parts = len(sizes)
    small = np.flatnonzero(counts < parts)
    if small.size:
        smallest = classes[small[:1]].tolist()[0]
        more = f", and {small.size - 1} more classes are as small" if small.size > 1 else ""
        raise ValueError(
            f"split: class {smallest!r} has {counts[small[0]]} of the samples, too few for {parts} parts{more}; "
            "put small classes together or leave them out, and numbers into classes with np.digitize"
        )
    if sizes.min() < len(classes):
        raise ValueError(
            f"split: part {int(np.argmin(sizes))} would have {sizes.min()} samples, too few for {len(classes)} "
            "classes; give it a larger fraction"
        )


def _by_class(codes: Index, ends: Index, random: Random) -> Index:
    """The part of each sample, where each class is cut into parts."""
    counts = np.bincount(codes)
    members = [random.permutation(np.flatnonzero(codes == code)) for code in range(len(counts))]
    owner = np.empty(len(codes), np.intp)
    parts = len(ends) - 1
    start = np.zeros_like(counts)
    for part in range(parts):
        # This part gets at least one sample of each class, and one is left for each of the later parts.
        shares = counts * (ends[part + 1] / len(codes))
        stop = whole(shares, int(ends[part + 1]), random, start + 1, counts - (parts - 1 - part))
        for chosen, first, last in zip(members, start, stop, strict=True):
            owner[chosen[first:last]] = part
        start = stop
    return owner


def _by_group(codes: Index, groups: Index, ends: Index, random: Random) -> Index:
    """The part of each sample, where groups stay together."""
    sizes = np.bincount(groups)
    parts = len(ends) - 1
    if len(sizes) < parts:
        raise ValueError(f"split: there are {len(sizes)} groups, too few for {parts} parts")
    counts = np.bincount(codes)
    lacking = np.diff(ends)[:, None] / len(codes) * counts  # how many samples of each class each part lacks
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    empty = np.ones(parts, bool)
    owner = np.empty(len(codes), np.intp)
    for dealt, group in enumerate(random.permutation(len(sizes))):
        found, many = np.unique(codes[members[group]], return_counts=True)
        need = lacking[:, found] @ (many / counts[found])
        if len(sizes) - dealt == np.count_nonzero(empty):  # one group is left for each part that has none
            need[~empty] = -np.inf
        part = int(np.argmax(need))
        lacking[part, found] -= many
        empty[part] = False
        owner[members[group]] = part
    return owner
