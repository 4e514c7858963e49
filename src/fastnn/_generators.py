"""The generators that layers and batches keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator


def generator(rng: Any) -> Generator:
    """What `numpy.random.default_rng` makes of ``rng``; from None one that draws other numbers in a forked child.

    A seeded generator goes on in the child as in its parent, to the same bits. Where no seed was given, two children that drew
    the same masks or the same order of batches would only do the same work twice.
    """
    if rng is not None:
        return np.random.default_rng(rng)
    from ._unseeded import UnseededGenerator  # which imports numpy.random, and that takes longer than importing fastnn

    return UnseededGenerator()
