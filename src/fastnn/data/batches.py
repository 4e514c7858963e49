"""Mini-batches over arrays that fit in memory (SPEC I4)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._generators import generator
from ..checks.arrays import unmasked

Array = NDArray[Any]
Transform = Callable[[Array, np.random.Generator], Array]


class Batches:
    """Equal slices of several arrays, in a new random order on each pass.

    Parameters
    ----------
    *arrays : array_like
        Arrays with one length N along their first axis, such as images (N, C, H, W) and labels (N,). A batch is a copy
        of its part of them, which may be changed without changing the data.
    batch_size : int
        Samples per batch.
    shuffle : bool
        Draw a new order from `rng` at the start of each pass; otherwise keep the order given.
    drop_last : bool
        Leave out the last batch where it would be smaller than the others.
    transform : callable, optional
        ``transform(batch, rng)``, applied to the batch of the first array: augmentation.
    rng : optional
        Anything `numpy.random.default_rng` takes. The generator is kept as ``.rng``; its state, taken between
        two passes, is all it needs to go on with the same batches. In a forked child one that was seeded goes on as in its
        parent, and one made from None draws other orders.

    Raises
    ------
    ValueError, TypeError
        If the lengths differ, there is no array, an array is masked, or `batch_size` is not a positive integer.

    Notes
    -----
    SPEC I4. One seed gives one sequence of batches.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import Batches
    >>> batches = Batches(np.arange(7), np.arange(7) ** 2, batch_size=3, shuffle=True, rng=0)
    >>> len(batches)
    3
    >>> for x, y in batches:
    ...     assert (y == x**2).all()
    """

    def __init__(
        self,
        *arrays: ArrayLike,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        transform: Transform | None = None,
        rng: Any = None,
    ) -> None:
        self.arrays = tuple(np.asarray(unmasked("Batches", f"array {i}", array)) for i, array in enumerate(arrays))
        shapes = [array.shape for array in self.arrays]
        if not shapes or any(not shape or shape[0] != shapes[0][0] for shape in shapes):
            raise ValueError(f"Batches: expected arrays of one length, got shapes {shapes}")
        self.batch_size = operator.index(batch_size)
        if self.batch_size < 1:
            raise ValueError(f"Batches: batch_size must be at least 1, got {batch_size}")
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.transform = transform
        self.rng = generator(rng)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.arrays[0]), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        order = self.rng.permutation(len(self.arrays[0])) if self.shuffle else None
        for i in range(len(self)):
            part = slice(i * self.batch_size, (i + 1) * self.batch_size)
            # An index array copies, a slice does not.
            first, *others = (array[part].copy() if order is None else array[order[part]] for array in self.arrays)
            if self.transform is not None:
                first = self.transform(first, self.rng)
            yield (first, *others)
