"""The runs of a model that a file is made of: the example, other values, and a batch of another size."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad, raw
from ..checks import scalars
from ..checks.arrays import counted, unmasked
from ..nn import Module
from ..training.preserved import preserved
from .compare import find_batches, require_same_values
from .trace import Refused, Trace, traced


def arrays_of(example: Any) -> list[np.ndarray]:
    """The example as fresh arrays."""
    given = example if isinstance(example, tuple) else (example,)
    if not given:
        raise ValueError("onnx.save: example must be an array, or a tuple of arrays, got an empty tuple")
    arrays = []
    for i, x in enumerate(given):
        array = np.array(unmasked("onnx.save", f"example {i}", raw(x)), order="C")
        array = array.astype(array.dtype.newbyteorder("="))
        if array.dtype.kind not in "iub" and array.dtype not in (np.float32, np.float64):
            raise TypeError(
                f"onnx.save: example {i} must be float32, float64, integers or booleans, got dtype {array.dtype}"
            )
        arrays.append(array)
    return arrays


def batch_axes(arrays: list[np.ndarray], batch_axis: Any) -> list[int | None]:
    """The axis of the samples in each input."""
    given = list(batch_axis) if isinstance(batch_axis, (tuple, list)) else [batch_axis] * len(arrays)
    if len(given) != len(arrays):
        raise ValueError(f"onnx.save: batch_axis has {len(given)} entries for {counted(len(arrays), 'input')}")
    axes: list[int | None] = []
    sizes = set()
    for array, axis in zip(arrays, given, strict=True):
        if axis is not None:
            axis = scalars.integer("onnx.save", "batch_axis", axis)
            if not -array.ndim <= axis < array.ndim:
                raise ValueError(f"onnx.save: batch_axis={axis} is not an axis of an example of shape {array.shape}")
            axis %= array.ndim
            sizes.add(array.shape[axis])
        axes.append(axis)
    if len(sizes) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(
            f"onnx.save: the inputs have batches of different sizes, {sorted(sizes)}, along batch_axis={batch_axis} of shapes "
            f"{shapes}; give one batch_axis per input"
        )
    return axes


def trace_of(
    model: Callable[..., Any], arrays: list[np.ndarray], axes: list[int | None]
) -> tuple[Trace, Mapping[int, str]]:
    """What the model computes, with what depends on the batch noted; the names of its state by the ids of the arrays."""
    modules = _modules(model)
    names: dict[int, str] = {}
    for prefix, module in modules.items():
        for name, array in module._state():
            names.setdefault(id(array), f"{prefix}.{name}" if prefix else name)
    with _preserved(*modules.values()):
        for module in modules.values():
            module.eval()
        with no_grad():
            model(*(Tensor(array.copy()) for array in arrays))  # what fails here has nothing to do with ONNX
        first = _run(model, arrays, names)
        with np.errstate(all="ignore"):
            require_same_values(first, _other_values(model, arrays, names))
            if any(axis is not None for axis in axes):
                sizes, batch = _other_batch(arrays, axes)
                find_batches(first, _run(model, batch, names), sizes)
    return first, names


def _modules(model: Callable[..., Any]) -> dict[str, Module]:
    """The model, or the modules that a function knows by name."""
    owner = model if isinstance(model, Module) else getattr(model, "__self__", None)
    if isinstance(owner, Module):
        return {"": owner}
    if not inspect.isfunction(model):
        return {}
    variables = inspect.getclosurevars(model)
    known = {**variables.globals, **variables.nonlocals}
    return {name: value for name, value in known.items() if isinstance(value, Module)}


def _preserved(*modules: Module) -> AbstractContextManager[None]:
    return preserved(modules[0], None, *modules[1:]) if modules else nullcontext()


def _run(model: Callable[..., Any], arrays: Sequence[np.ndarray], names: Mapping[int, str]) -> Trace:
    try:
        return traced(model, [array.copy() for array in arrays], names)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"the model cannot be followed: {type(error).__name__}: {error}") from error


def _other_values(model: Callable[..., Any], arrays: list[np.ndarray], names: Mapping[int, str]) -> Trace:
    """A run on other values: the first that the model takes, of those that are the farthest from the example's on."""
    refused = None
    for floats in (_waves, lambda turned: turned * turned.dtype.type(0.75), lambda turned: turned):
        for step in (1, -1, 0):
            try:
                return _run(model, [_other(array, floats, step) for array in arrays], names)
            except Refused as error:
                refused = error
    raise refused or AssertionError


def _other(array: np.ndarray, floats: Callable[[np.ndarray], np.ndarray], step: int) -> np.ndarray:
    """The values in another order and with other sums, integers between the same bounds unless all are alike."""
    turned = np.flip(array)
    if array.dtype.kind == "f":
        turned = floats(turned)
    elif array.dtype.kind == "b":
        turned = np.full_like(array, not array.any()) if step > 0 else ~turned if step else turned
    elif step and array.size:
        least, one = array.min(), array.dtype.type(1)
        if least < array.max():
            turned = np.where(turned > least, turned - one, turned)
        else:
            turned = turned + one if step > 0 else turned - one
    return np.asarray(turned, array.dtype)


def _waves(array: np.ndarray) -> np.ndarray:
    """Numbers of both signs and about the same size."""
    finite = np.abs(array[np.isfinite(array)])
    size = finite.max(initial=0) or 1
    return np.asarray(array * 0.75 + size * np.sin(1.0 + np.arange(array.size)).reshape(array.shape), array.dtype)


def _other_batch(arrays: list[np.ndarray], axes: list[int | None]) -> tuple[tuple[int, int], list[np.ndarray]]:
    """Two batch sizes, the example's and another one, and an example of that."""
    size = next(array.shape[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None)
    other = 2 * size + 1  # also a half of it, rounded down, is another one
    batch = []
    for array, axis in zip(arrays, axes, strict=True):
        if axis is None:
            batch.append(array)
        elif size:
            batch.append(array.take(np.arange(other) % size, axis))
        else:
            batch.append(np.zeros([other if i == axis else n for i, n in enumerate(array.shape)], array.dtype))
    return (size, other), batch


def parameter_names(model: Callable[..., Any], count: int) -> list[str]:
    """The names of the inputs: those of what ``forward`` takes."""
    function = model.forward if isinstance(model, Module) else model
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions of other packages have no signature
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(named) >= count:
        return named[:count]
    return ["input"] if count == 1 else [f"input_{i}" for i in range(count)]
