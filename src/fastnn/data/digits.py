"""The 1797 handwritten digits of 8×8 pixels that come with scikit-learn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._extras import require
from .split import split

# The split is the same for every seed of a training, so that the test accuracies of trainings can be compared.
_SPLIT_SEED = 0
_TEST_SHARE = 0.2
_VALIDATION_SHARE = 0.1


class Labelled(NamedTuple):
    """Images of digits, and what they show.

    Parameters
    ----------
    images : ndarray of float32, (N, 1, 8, 8)
        In 0…1, light ink on dark ground.
    labels : ndarray of int64, (N,)
        The digits, 0 to 9.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import Labelled
    >>> images, labels = Labelled(np.zeros((3, 1, 8, 8), np.float32), np.arange(3))
    >>> images.shape
    (3, 1, 8, 8)
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


class DigitsSplit(NamedTuple):
    """The three parts of the digits, as `load_digits` gives them.

    Parameters
    ----------
    train, validation, test : Labelled
        To train on, to choose by, and to be judged on.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import DigitsSplit, Labelled
    >>> part = Labelled(np.zeros((3, 1, 8, 8), np.float32), np.arange(3))
    >>> DigitsSplit(train=part, validation=part, test=part).test.labels
    array([0, 1, 2])
    """

    train: Labelled
    validation: Labelled
    test: Labelled


def load_digits() -> DigitsSplit:
    """The digits, always split in the same way: 70 % training, 10 % validation, 20 % test, classes in proportion.

    Returns
    -------
    DigitsSplit
        ``train``, ``validation`` and ``test``, each with ``images`` and ``labels``.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.

    Examples
    --------
    >>> from fastnn.data import load_digits
    >>> load_digits().test.images.shape  # doctest: +SKIP
    (359, 1, 8, 8)
    """
    datasets = require("sklearn.datasets", "scikit-learn", "demo", "the digits data set")
    images, labels = datasets.load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    test, validation, train = split(
        images, labels, fractions=[_TEST_SHARE, _VALIDATION_SHARE], stratify=labels, rng=_SPLIT_SEED
    )
    return DigitsSplit(*(Labelled(*part) for part in (train, validation, test)))
