"""Resampling with replacement: the bootstrap."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import generator, integer
from .samples import classes_of, samples, taken
from .shares import of_classes


class Resampled(NamedTuple):
    """Samples that were drawn, and which they are.

    Parameters
    ----------
    arrays : tuple
        The samples drawn of each array.
    indices : ndarray of intp, (n,)
        Their positions in the arrays given.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import Resampled
    >>> (x,), indices = Resampled((np.array([7.0, 7.0]),), np.array([3, 3]))
    """

    arrays: tuple[Any, ...]
    indices: NDArray[np.intp]


def resample(*arrays: Any, n: int | None = None, rng: Any, stratify: ArrayLike | None = None) -> Resampled:
    """Draw samples with replacement: a bootstrap sample of the training data.

    Parameters
    ----------
    *arrays : array_like or tuple of arrays
        Arrays with one length N along their first axis, such as images and labels. A tuple of arrays stands for several
        inputs and comes out as a tuple.
    n : int, optional
        How many samples to draw; by default N.
    rng
        Anything `numpy.random.default_rng` takes.
    stratify : array_like, (N,), optional
        The class of each sample. Samples are then drawn within each class, and the classes keep their proportions to a
        sample.

    Returns
    -------
    Resampled
        ``arrays``, a tuple with n samples of each array, and ``indices``, (n,), which samples they are, in random
        order. The arrays are copies.

    Raises
    ------
    ValueError, TypeError
        If the arrays differ in length, are masked or have no samples to draw from, or `n` is no integer or below 0.

    Notes
    -----
    Split first, and resample the training part only: copies of one sample on both sides of a split make the
    test part of the training. About 37 % of the samples (1/e) are not drawn by n = N; these are
    ``np.setdiff1d(np.arange(N), indices)``. An ensemble of networks, each trained on a resample of its own, is bagging (Breiman 1996).

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import resample
    >>> x, y = np.arange(6) * 10, np.array([0, 0, 0, 0, 1, 1])
    >>> (x_drawn, y_drawn), indices = resample(x, y, rng=0, stratify=y)
    >>> bool((x_drawn == x[indices]).all()), np.bincount(y_drawn)
    (True, array([4, 2]))
    """
    parts, count = samples("resample", arrays)
    n = count if n is None else integer("resample", "n", n, 0)
    if n > 0 and count == 0:
        raise ValueError(f"resample: there are no samples to draw {n} from")
    random = generator("resample", rng)
    if stratify is None or count == 0:
        indices = random.integers(0, max(count, 1), n)
    else:
        indices = _within_classes(classes_of("resample", "stratify", stratify, count)[1], n, random)
    return Resampled(taken(parts, indices), indices)


def _within_classes(codes: NDArray[np.intp], n: int, random: np.random.Generator) -> NDArray[np.intp]:
    counts = np.bincount(codes)
    drawn = np.repeat(np.arange(len(counts)), of_classes(counts, n, random))
    starts = np.cumsum(counts) - counts
    members = np.argsort(codes, kind="stable")
    return random.permutation(members[starts[drawn] + random.integers(0, counts[drawn])])
