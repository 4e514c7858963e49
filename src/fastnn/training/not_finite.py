"""Where the first number came from that is not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..autograd import detect_anomaly, enable_grad, raw
from ..nn import Module
from ..nn.intercept import intercepted
from .figures import Objective, Sample


class _Found(Exception):
    """Ends a replay where the first such number is."""


def first_not_finite(model: Module, objective: Objective, sample: Sample, rows: np.ndarray | None = None) -> str:
    """Run a step again, without its update, and say in words where the first number is that is not finite.

    Parameters
    ----------
    model : Module
        As it was before the step; its running statistics are changed by the replay.
    objective : Objective
        The loss.
    sample : Sample
        The batch.
    rows : ndarray of int, optional
        Which rows of the data it is made of.

    Returns
    -------
    str
        Such as "layer '3.conv' (Conv2d) gives inf from finite inputs".
    """
    for name, part in (("input", sample.inputs), ("target", sample.target)):
        for array in _arrays(part):
            if not np.isfinite(array).all():
                value, number = _first(array), int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
                where = f"row {rows[number]} of the data" if rows is not None else f"sample {number} of the batch"
                return f"the {name} holds {value} in {where}"
    for name, parameter in model.named_parameters():
        if not np.isfinite(parameter.data).all():
            return f"parameter {name!r} holds {_first(parameter.data)} since the step before"
    try:
        with enable_grad(), detect_anomaly(), intercepted(model, _watch):
            loss = objective(model(*sample.inputs), sample)
            loss.backward()
    except _Found as found:
        return str(found)
    except RuntimeError as error:  # of detect_anomaly; its first sentence names the operation
        return str(error).partition(" was called here")[0].removeprefix("backward: ")
    finally:
        for parameter in model.parameters():
            parameter.grad = None
    return f"the loss is {float(raw(loss))} for outputs that are finite"


def _watch(
    name: str, module: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    output = forward(*args, **kwargs)
    inputs_are_finite = all(np.isfinite(array).all() for array in _arrays((args, tuple(kwargs.values()))))
    for array in _arrays(output):
        if inputs_are_finite and not np.isfinite(array).all():
            where = f"layer {name!r} ({type(module).__name__})" if name else f"the model ({type(module).__name__})"
            raise _Found(f"{where} gives {_first(array)} from inputs that are finite")
    return output


def _arrays(value: Any) -> Iterator[np.ndarray]:
    """The float arrays in nested tuples and lists."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from _arrays(part)
        return
    array = raw(value)
    if isinstance(array, np.ndarray) and array.dtype.kind in "fc":
        yield array


def _first(array: np.ndarray) -> str:
    """The first value that is not finite."""
    return str(array.flat[int(np.argmin(np.isfinite(array)))])
