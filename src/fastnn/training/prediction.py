"""Outputs of a model for many samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..checks import integer
from ..data import Batches
from ..data.samples import joined, leaves
from ..nn import Module
from ..nn.intercept import evaluation
from .arguments import checked_model
from .figures import values_of


def predict(model: Module, x: Any, batch_size: int = 512) -> Any:
    """A model's outputs for samples, in evaluation mode and without gradients; afterwards each layer is in the mode it had.

    Parameters
    ----------
    model : Module
        Such as `fastnn.load_model` gives; no `Trainer` is needed.
    x : array_like or tuple of arrays
        Inputs with samples along the first axis, (N, ...); a tuple stands for several. One sample is ``sample[None]``.
    batch_size : int
        How many samples are computed at a time.

    Returns
    -------
    ndarray or tuple of ndarray
        What the model gives, for all samples, along the first axis.

    Raises
    ------
    TypeError
        If ``model`` is no module, or ``x`` is batches instead of arrays.
    ValueError
        If ``x`` has no axis of samples or no sample, arrays of a tuple have different lengths, or ``batch_size`` is below 1;
        if what the model gives for several batches has not the samples along its first axis.


    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.training import predict
    >>> model = nn.Sequential(nn.Linear(4, 3, rng=0), nn.Dropout(0.5))
    >>> predict(model, np.ones((1000, 4), np.float32)).shape
    (1000, 3)
    """
    checked_model("predict", model)
    batch_size = integer("predict", "batch_size", batch_size, 1)
    _check_input(x)
    parts = []
    batches = Batches(x, batch_size=batch_size)
    with evaluation(model), no_grad():
        for (batch,) in batches:
            parts.append(values_of(model(*batch) if isinstance(batch, tuple) else model(batch)))
    whole = joined(parts)
    wrong = [array.shape for array in leaves(whole) if len(parts) > 1 and array.shape[:1] != (batches.samples,)]
    if wrong:
        raise ValueError(
            f"predict: the outputs of {len(parts)} batches, joined, have shape {wrong[0]}, expected {batches.samples} samples "
            "along the first axis; a batch_size of at least that many samples needs no joining"
        )
    return whole


def _check_input(x: Any) -> None:
    if isinstance(x, Batches | Iterator):
        advice = "; their inputs are x.arrays[0]" if isinstance(x, Batches) else ""
        raise TypeError(f"predict: x must be an array (N, ...) or a tuple of such, got {type(x).__name__}{advice}")
    several = isinstance(x, tuple) and any(isinstance(part, np.ndarray) for part in x)
    shapes = [np.shape(part) for part in (x if several else (x,))]
    listed = ", ".join(map(str, shapes))
    if () in shapes:
        raise ValueError(f"predict: x must have samples along its first axis, (N, ...), got shape {listed}")
    if len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"predict: inputs must have equally many samples, got shapes {listed}")
    if not shapes[0][0]:
        raise ValueError(f"predict: x must hold a sample at least, got shape {listed}")
