"""Images and what they show, as the readers of files give them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._files import listed


class LabelledImages(NamedTuple):
    """Images, the number of the class of each, and the names of the classes.

    Parameters
    ----------
    images : ndarray, (N, C, H, W)
        float32 in 0…1, unless the reader was told to map the file.
    labels : ndarray of int64, (N,)
        Numbers from 0 on, positions in ``classes``.
    classes : tuple of str
        The name of each class.
    files : tuple of str, optional
        The file of each image, where each has its own.
    skipped : tuple of str, optional
        What was not read, and why.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import LabelledImages
    >>> data = LabelledImages(np.zeros((2, 3, 8, 8), np.float32), np.array([1, 0]), ("cat", "dog"))
    >>> images, labels = data[:2]
    >>> data.classes[labels[0]]
    'dog'
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    files: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __repr__(self) -> str:
        kind = f"{self.images.dtype} of shape {self.images.shape}"
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"LabelledImages({kind}, classes {listed(self.classes)}{skipped})"


class ImageSets(NamedTuple):
    """The parts into which somebody divided images beforehand.

    Parameters
    ----------
    train : LabelledImages
        To train on.
    validation, test : LabelledImages, optional
        To choose by and to be judged on, where there are such parts. Their labels count the classes of ``train``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import ImageSets, LabelledImages
    >>> train = LabelledImages(np.zeros((2, 3, 8, 8), np.float32), np.array([1, 0]), ("cat", "dog"))
    >>> ImageSets(train).test is None
    True
    """

    train: LabelledImages
    validation: LabelledImages | None = None
    test: LabelledImages | None = None
