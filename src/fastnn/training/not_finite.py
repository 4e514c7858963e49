"""Where the first number came from that is not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor, detect_anomaly, enable_grad, raw
from ..nn import Module
from ..nn.intercept import intercepted
from ..optim import Optimizer
from .figures import Objective, Sample
from .findings import quoted
from .watch import arrays_in


class _Found(Exception):
    """Ends a replay where the first such number is."""


def first_not_finite(
    model: Module,
    objective: Objective,
    sample: Sample,
    before: Mapping[str, np.ndarray],
    rows: np.ndarray | None = None,
) -> str | None:
    """Run a batch again, and say in words where the first number is that is not finite.

    Parameters
    ----------
    model : Module
        As it was before the step; its running statistics are changed by the replay.
    objective : Objective
        The loss.
    sample : Sample
        The batch.
    before : mapping of str to ndarray
        The weights of the epoch's start, by the names of `named_parameters`.
    rows : ndarray of int, optional
        Which rows of the data it is made of.

    Returns
    -------
    str or None
        Such as "layer '3.conv' (Conv2d) gives inf from finite inputs"; None if all is finite.
    """
    for name, part in (("input", sample.inputs), ("target", sample.target)):
        for array in _arrays(part):
            if not np.isfinite(array).all():
                return f"the {name} holds {_first(array)}{_place(array, sample.count, rows)}"
    for name, parameter in named_parameters(model, objective.loss):
        if not np.isfinite(parameter.data).all():
            since = "step before" if np.isfinite(before.get(name, 0)).all() else "epoch began"
            return f"parameter {name!r} holds {_first(parameter.data)} since the {since}"
    try:
        with enable_grad(), detect_anomaly(), intercepted(model, _watch):
            loss = objective(model(*sample.inputs), sample)
            loss.backward()
    except _Found as found:
        return str(found)
    except RuntimeError as error:  # of detect_anomaly; its first sentence names the operation
        return str(error).partition(" was called here")[0].removeprefix("backward: ")
    finally:
        for _, parameter in named_parameters(model, objective.loss):
            parameter.grad = None
    value = float(raw(loss))
    return None if np.isfinite(value) else f"the loss is {value} for outputs that are finite"


def named_parameters(model: Module, loss: Any) -> Iterator[tuple[str, Tensor]]:
    """The parameters of a model, and those of a loss that has some."""
    yield from model.named_parameters()
    if isinstance(loss, Module):
        yield from ((f"loss.{name}", parameter) for name, parameter in loss.named_parameters())


def _place(array: np.ndarray, count: int, rows: np.ndarray | None) -> str:
    """Where in an array of a batch the first such number is, if its first axis is that of the samples."""
    if not array.ndim or len(array) != count:
        return ""
    number = int(np.argmin(np.isfinite(array).reshape(count, -1).all(axis=1)))
    if rows is not None and len(rows) == count:
        return f" in row {rows[number]} of the data"
    return f" in sample {number} of the batch"


def _watch(
    name: str, module: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    output = forward(*args, **kwargs)
    inputs_are_finite = all(np.isfinite(array).all() for array in _arrays((args, tuple(kwargs.values()))))
    for array in _arrays(output):
        if inputs_are_finite and not np.isfinite(array).all():
            where = quoted(name, type(module).__name__)
            raise _Found(f"{where} gives {_first(array)} from inputs that are finite")
    return output


def _arrays(value: Any) -> Iterator[np.ndarray]:
    """The float arrays among inputs or outputs."""
    return (array for array in map(raw, arrays_in(value)) if array.dtype.kind in "fc")


def _first(array: np.ndarray) -> str:
    """The first value that is not finite."""
    return str(array.flat[int(np.argmin(np.isfinite(array)))])


def begin_anew_where_not_finite(optimizer: Optimizer) -> None:
    """Averages of gradients that are not finite would never be again: those of such parameters begin at 0, as at first."""
    state = optimizer.state_dict()
    for kept in state["state"].values():
        arrays = [value for value in kept.values() if isinstance(value, np.ndarray)]
        if not all(np.isfinite(array).all() for array in arrays):
            kept["step"] = 0
            for array in arrays:
                array[...] = 0
    optimizer.load_state_dict(state)
