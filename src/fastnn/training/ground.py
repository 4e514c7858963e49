"""Is ink light on dark ground, or dark on light? Models know what they were trained on, and pictures may be the other way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DARK, _LIGHT = 0.25, 0.75
_MOST = 0.9  # the ground of images is called dark or light if it is so in this share of them


def ground_of(images: NDArray[Any]) -> str | None:
    """The ground of grey images: the level of most of their outermost pixels.

    Parameters
    ----------
    images : ndarray, (N, C, H, W)
        In 0…1.

    Returns
    -------
    "dark", "light" or None
        None for colour, and where it is neither for nine of ten images.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.training.ground import ground_of
    >>> ground_of(np.zeros((3, 1, 8, 8))), ground_of(np.ones((3, 1, 8, 8))), ground_of(np.full((3, 1, 8, 8), 0.5))
    ('dark', 'light', None)
    """
    if images.shape[1] != 1 or not len(images):
        return None
    edges = [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]]
    level = np.median(np.concatenate(edges, axis=-1)[:, 0], axis=1)
    if (level < _DARK).mean() >= _MOST:
        return "dark"
    return "light" if (level > _LIGHT).mean() >= _MOST else None
