"""What a model gives for many samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import no_grad, raw
from ..checks import shown
from ..data import Batches
from ..nn import Module
from ..nn.intercept import evaluation


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
        If there is no sample.
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
    with evaluation(model), no_grad():
        for (batch,) in Batches(x, batch_size=batch_size):
            output = model(*batch) if isinstance(batch, tuple) else model(batch)
            parts.append(tuple(map(raw, output)) if isinstance(output, tuple) else raw(output))
    if not parts:
        raise ValueError("predict: there was no sample")
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    return np.concatenate(parts)
