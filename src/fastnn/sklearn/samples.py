"""What a network is trained on: inputs, targets, and how much each sample counts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from ..data import Batches, split

Array = np.ndarray[Any, Any]


class Samples(NamedTuple):
    """Arrays of one length.

    Parameters
    ----------
    inputs : ndarray, (N, ...)
        What the network is called with.
    targets : ndarray, (N, ...)
        What the loss is called with.
    weight : ndarray, (N,), or None
        How much each sample counts.
    """

    inputs: Array
    targets: Array
    weight: Array | None

    def arrays(self) -> tuple[Array, ...]:
        """The arrays that are there."""
        return (self.inputs, self.targets) if self.weight is None else (self.inputs, self.targets, self.weight)

    def batches(self, batch_size: int, *, shuffle: bool = False, rng: Any = None) -> Batches:
        """Mini-batches of them."""
        return Batches(*self.arrays(), batch_size=batch_size, shuffle=shuffle, rng=rng)

    def counting(self) -> Samples:
        """Those that count for something: without what has weight 0."""
        if self.weight is None or self.weight.all():
            return self
        counts = self.weight > 0
        return Samples(self.inputs[counts], self.targets[counts], self.weight[counts])

    def parted(self, op: str, share: float, rng: int) -> tuple[Samples, Samples]:
        """A part to train on and one that is held out, of one sample at least.

        Where targets are classes, each part gets its share of each of them, if there are enough samples for that.
        """
        n = len(self.inputs)
        if n < 2:
            raise ValueError(f"{op}: to hold samples out there must be two at least, got n_samples = {n}")
        held_out = min(max(1, round(share * n)), n - 1)
        parts = split(*self.arrays(), fractions=[1 - held_out / n], stratify=self._strata(held_out), rng=rng)
        first, second = (Samples(*part, *[None] * (3 - len(part))) for part in parts)
        return first, second

    def _strata(self, held_out: int) -> Array | None:
        if self.targets.dtype.kind != "i":
            return None
        _, counts = np.unique(self.targets, return_counts=True)
        return self.targets if counts.min() > 1 and len(counts) <= min(held_out, len(self.targets) - held_out) else None


def checked_weight(op: str, weight: Any, X: Array) -> Array | None:
    """Weights of samples, of the dtype of X, or None.

    Raises
    ------
    ValueError
        If they are not one finite number of at least 0 per sample, or all are 0.
    """
    if weight is None:
        return None
    checked: Array = _check_sample_weight(weight, X, dtype=X.dtype)
    if (checked < 0).any() or not checked.any():
        raise ValueError(
            f"{op}: sample_weight must be at least 0, and above 0 for some sample, got a least one of {checked.min()}"
        )
    return checked
