"""Models in files: architecture and values in one checkpoint, which is all that is needed to predict."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .._atomic import PathLike
from ..checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from ..checks import shown
from .architecture import architecture
from .construction import blank_model, declared_bytes
from .module import Module


def save_model(model: Module, path: PathLike, **extra: Any) -> None:
    """Save a model with its architecture, so that `load_model` needs no code to build it.

    Parameters
    ----------
    model : Module
        Made of layers that `fastnn.nn` exports; see `fastnn.nn.architecture`.
    path : path
        Where to write; see `fastnn.save_checkpoint`.
    **extra
        More to keep in the file, such as ``classes=["cat", "dog"]``: what `fastnn.save_checkpoint` takes.
        ``fastnn.load_checkpoint(path)["classes"]`` reads it.

    Raises
    ------
    TypeError, ValueError, OSError
        As `fastnn.nn.architecture` and `fastnn.save_checkpoint`; nothing is written then. ValueError also if an extra is called
        "architecture".

    Notes
    -----
    The file is a checkpoint with the keys "architecture", "model" (the ``state_dict``) and those of the extras.
    States of generators are not in it.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn as fnn
    >>> net = fnn.nn.Sequential(fnn.nn.Linear(4, 2, rng=0), fnn.nn.Softmax())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     fnn.save_model(net, path, classes=["cat", "dog"])
    ...     fnn.load_model(path), fnn.load_checkpoint(path)["classes"]
    (Sequential(
      (0): Linear(4, 2)
      (1): Softmax(axis=-1)
    ), ['cat', 'dog'])
    """
    if not isinstance(model, Module):
        raise TypeError(f"save_model: model must be a Module, and path comes after it, got {shown(model)}")
    if "architecture" in extra:
        raise ValueError(
            "save_model: 'architecture' cannot be an extra, since the file keeps the model's under this name"
        )
    save_checkpoint(path, {"architecture": architecture(model), "model": model.state_dict(), **extra})


def load_model(path: PathLike) -> Module:
    """Load a model from a file of `save_model`, or from any checkpoint with the keys "architecture" and "model".

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    Module
        A new model with the saved values, in evaluation mode. ``fastnn.load_checkpoint(path)`` gives what else is in the file.

    Raises
    ------
    CheckpointError
        If the file is damaged or no checkpoint, holds no architecture, one that is malformed, or values that don't fit it.
        No code from the file is run, and memory is taken for what is in it only.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> net = fnn.nn.Linear(4, 2, rng=0)
    >>> x = np.ones((1, 4), np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     fnn.save_model(net, path)
    ...     bool((fnn.load_model(path)(x).data == net(x).data).all())
    True
    """
    state = load_checkpoint(path)
    name = os.fspath(path)
    missing = [key for key in ("architecture", "model") if state.get(key) is None]
    if missing:
        keys = sorted(key for key in state if state[key] is not None)
        raise CheckpointError(
            f"load_model: {name!r} is a checkpoint without {missing[0]!r}, with the keys {keys!r:.200}; "
            "build the model in code and give it the state of load_checkpoint"
        )
    try:
        return _model(state["architecture"], state["model"]).eval()
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"load_model: {name!r} does not hold a model that fits together: {error}") from error


def load_values(model: Module, path: PathLike) -> Module:
    """Give a model the values in a checkpoint: those under "model", or all that is there.

    Raises
    ------
    CheckpointError, OSError
        As `load_model`.
    """
    state = load_checkpoint(path)
    try:
        model.load_state_dict(state["model"] if isinstance(state.get("model"), dict) else state)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{os.fspath(path)!r} does not hold the state of this model: {error}") from error
    return model


def _model(described: Any, values: Any) -> Module:
    if not isinstance(values, dict) or not all(isinstance(array, np.ndarray) for array in values.values()):
        raise ValueError("'model' must be a dictionary of arrays")
    listed, there = declared_bytes(described), sum(array.nbytes for array in values.values())
    if listed > there:  # before anything of this size is allocated
        raise ValueError(f"the architecture lists arrays of {listed} bytes, but those in the file have {there}")
    model = blank_model(described)
    for key, array in model._state():
        if key in values and values[key].dtype.newbyteorder("=") != array.dtype:
            raise TypeError(f"{key} has dtype {values[key].dtype}, but the architecture says {array.dtype}")
    model.load_state_dict(values)
    return model
