"""What a model gives for many samples."""

from __future__ import annotations

from typing import Any

from ..autograd import no_grad
from ..checks import shown
from ..data import Batches
from ..nn import Module
from ..nn.intercept import evaluation
from .figures import joined, leaves, values_of


def predict(model: Module, x: Any, batch_size: int = 512) -> Any:
    """A model's outputs for inputs, in evaluation mode and without recording; afterwards each layer is in the mode it had.

    Parameters
    ----------
    model : Module
        Called with the inputs of a batch; such as one from `fastnn.load_model`.
    x : array_like or tuple of arrays
        Inputs with samples along the first axis; a tuple stands for several.
    batch_size : int
        How many samples are computed at a time.

    Returns
    -------
    ndarray or tuple of ndarray
        What the model gives, for all samples.

    Raises
    ------
    ValueError
        If there is no sample, or what the model gives for several batches has not the samples along its first axis.
    TypeError
        If there are batches in the place of the inputs, or no model.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.training import predict
    >>> model = fnn.nn.Linear(4, 3, rng=0)
    >>> predict(model, np.ones((1000, 4), np.float32)).argmax(axis=1).shape
    (1000,)
    """
    if not isinstance(model, Module):
        raise TypeError(f"predict: model must be a Module, got {shown(model)}")
    if isinstance(x, Batches):
        raise TypeError("predict: x must be the inputs, an array or a tuple of arrays, got Batches")
    parts = []
    batches = Batches(x, batch_size=batch_size)
    with evaluation(model), no_grad():
        for (batch,) in batches:
            parts.append(values_of(model(*batch) if isinstance(batch, tuple) else model(batch)))
    if not parts:
        raise ValueError("predict: there was no sample")
    whole = joined(parts)
    wrong = [array.shape for array in leaves(whole) if len(parts) > 1 and array.shape[:1] != (batches.samples,)]
    if wrong:
        raise ValueError(
            f"predict: the outputs of {len(parts)} batches, joined, have shape {wrong[0]}, expected {batches.samples} samples "
            "along the first axis; a batch_size of at least that many samples needs no joining"
        )
    return whole
