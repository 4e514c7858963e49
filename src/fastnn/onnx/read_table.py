"""The table of ONNX ops that are read: for each a function of values, whose signature says which inputs and attributes it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .. import functional
from ..autograd import raw

F: Any = functional  # what values are, arrays or tensors, is known when a model runs
Function = TypeVar("Function", bound=Callable[..., Any])
Refuse = Callable[..., str | None]


class Op(NamedTuple):
    """A row of the table."""

    compute: Callable[..., Any]
    least: int  # inputs
    most: int | None  # None for any number
    required: frozenset[str]
    attributes: frozenset[str]
    outputs: int | None
    given: frozenset[str]  # which of "run" and "count" the function takes
    refuse: Refuse | None


OPS: dict[str, Op] = {}
_GIVEN = frozenset(("run", "count"))


def op(*names: str, outputs: int | None = 1, refuse: Refuse | None = None) -> Callable[[Function], Function]:
    """Put a function into the table: inputs are its positional parameters, attributes its keywords.

    Two keywords are no attributes: ``run``, what all nodes of a call share, and ``count``, how many outputs the node has.
    ``refuse(**attributes)`` says why a node with these is not computed, or gives None.
    """

    def register(function: Function) -> Function:
        parameters = inspect.signature(function).parameters.values()
        positional = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
        keywords = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
        many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        row = Op(
            compute=function,
            least=sum(p.default is p.empty for p in positional),
            most=None if many else len(positional),
            required=frozenset(n for n, p in keywords.items() if p.default is p.empty) - _GIVEN,
            attributes=frozenset(keywords) - _GIVEN,
            outputs=outputs,
            given=_GIVEN & frozenset(keywords),
            refuse=refuse,
        )
        for name in names:
            assert name not in OPS, name
            OPS[name] = row
        return function

    return register


def integers(x: Any) -> tuple[int, ...]:
    """The values of an array of integers, such as a shape, as Python's."""
    values = np.asarray(raw(x))
    if values.dtype.kind not in "iu" or values.ndim > 1:
        raise TypeError(f"expected a vector of integers, got {values.dtype} of shape {values.shape}")
    return tuple(values.reshape(-1).tolist())


def number(x: Any) -> Any:
    """The one value of an array, as Python's."""
    return np.asarray(raw(x)).item()


def text(value: Any) -> str:
    """An attribute that is a text, as the file has it (bytes) or as its default is written here."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def choice(name: str, value: Any, *allowed: str) -> str:
    """An attribute that is one of a few texts."""
    found = text(value)
    if found not in allowed:
        raise ValueError(f"{name} must be one of {list(allowed)}, got {found!r}")
    return found


def is_float(x: Any) -> bool:
    return bool(raw(x).dtype.kind == "f")


def axis_of(axis: int, ndim: int) -> int:
    if not -ndim <= axis < max(ndim, 1):
        raise ValueError(f"axis {axis} is out of range for {ndim} axes")
    return axis % ndim if ndim else 0


def axes_of(axes: Sequence[int], ndim: int) -> tuple[int, ...]:
    """Axes counted from the front, each once."""
    found = tuple(axis_of(axis, ndim) for axis in axes)
    if len(set(found)) != len(found):
        raise ValueError(f"axes {tuple(axes)} name one axis twice")
    return found


def summed(dy: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A gradient summed over the axes along which an array of a shape was broadcast."""
    extra = dy.ndim - len(shape)
    axes = tuple(i for i in range(dy.ndim) if i < extra or (shape[i - extra] == 1 and dy.shape[i] != 1))
    return np.asarray(dy.sum(axis=axes)).reshape(shape)
