"""The runs of a model that a file is made of: the example, other values, and a batch of another size."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor, no_grad, raw
from ..checks import scalars
from ..checks.arrays import counted, unmasked
from ..nn import Module
from ..training.generators import dictionary, enclosed, is_of_module, named_globals, slots
from ..training.preserved import preserved
from .compare import find_batches, require_same_values
from .trace import Refused, Trace, traced


def example_arrays(example: Any) -> list[np.ndarray]:
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


def trace_of(model: Callable[..., Any], arrays: list[np.ndarray], axes: list[int | None]) -> tuple[Trace, State]:
    """What the model computes, with what depends on the batch noted, and its state."""
    modules = _modules(model)
    state = _state_of(modules)
    names = state.names
    with preserved(
        Module(), None, *modules.values(), model
    ):  # a module first, as it wants one even where there is none
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
    return first, state


class State(NamedTuple):
    """The arrays of a model: their names by id, and the names of those that are parameters."""

    names: dict[int, str]
    parameters: set[str]


def _state_of(modules: Mapping[str, Module]) -> State:
    names: dict[int, str] = {}
    used: set[str] = set()
    for prefix, module in modules.items():
        for name, array in module._state():
            if id(array) not in names:
                name = f"{prefix}.{name}" if prefix else name
                while name in used:
                    name += "_"
                names[id(array)] = name
                used.add(name)
    parameters = (p for module in modules.values() for p in module.parameters())
    return State(names, {names[id(p.data)] for p in parameters})


def _modules(model: Callable[..., Any]) -> dict[str, Module]:
    """The model, or the modules that a callable reaches by its variables, arguments and attributes, under their names there."""
    found: dict[str, Module] = {}
    seen: dict[int, Any] = {}  # holds the objects, so that no other one gets the id of one
    pending: list[tuple[str, Any]] = [("", model)]
    while pending:
        path, x = pending.pop()
        if id(x) in seen or issubclass(type(x), _NOT_ENTERED):
            continue
        seen[id(x)] = x
        if issubclass(type(x), Module):
            while path in found:
                path += "_"
            found[path] = x
        else:
            pending.extend((f"{path}.{name}" if path and name else name or path, y) for name, y in _held(x))
    return found


_NOT_ENTERED = (type, ModuleType, np.ndarray, Tensor, str, bytes, int, float, *weakref.ProxyTypes)


def _held(x: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, each with its name in there; the name is empty for the function behind a partial or a method."""
    kind = type(x)  # not isinstance, which takes a proxy for the object that it stands for
    if issubclass(kind, functools.partial):
        yield "", x.func
        yield from zip(map(str, range(len(x.args))), x.args, strict=True)
        yield from x.keywords.items()
    elif issubclass(kind, (list, tuple)):
        yield from zip(map(str, range(len(x))), x, strict=True)
    elif issubclass(kind, dict):
        yield from ((str(key), value) for key, value in x.items())
    elif issubclass(kind, MethodType):
        yield from (("", x.__self__), ("", x.__func__))
    elif issubclass(kind, FunctionType):
        yield from enclosed(x)
        for name, value in named_globals(x):
            if not isinstance(value, FunctionType):
                yield name, value
            elif is_of_module(value, x):
                yield "", value
    else:
        call = inspect.getattr_static(kind, "__call__", None)
        if isinstance(call, FunctionType):
            yield "", call
        yield from (slots(x) | dictionary(x)).items()


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
