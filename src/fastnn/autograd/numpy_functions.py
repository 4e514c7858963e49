"""NumPy's functions of tensors: computed from their values where that loses no gradient, refused elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import ops, shaping
from .core import TensorBase, is_followed

# Functions of which no gradient can be lost, since they give shapes, comparisons, places or text.
_WITHOUT_GRADIENT = {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.may_share_memory, np.shares_memory, np.iscomplexobj,
    np.isrealobj, np.array_equal, np.array_equiv, np.allclose, np.isclose, np.argmax, np.argmin, np.argsort, np.argwhere,
    np.nonzero, np.flatnonzero, np.count_nonzero, np.all, np.any, np.searchsorted, np.digitize, np.histogram,
    np.zeros_like, np.ones_like, np.empty_like, np.array2string, np.array_repr, np.array_str, np.save, np.savetxt,
    np.savez, np.savez_compressed,
}  # fmt: skip

# Functions that write to their first argument, which is called by one of these names.
_WRITING = {np.copyto, np.put, np.put_along_axis, np.place, np.putmask, np.fill_diagonal}
_WRITTEN = ("dst", "a", "arr")

_ELSEWHERE = {
    "dot": "@", "inner": "@", "vdot": "@", "tensordot": "@", "amax": "the method max", "amin": "the method min",
    "expand_dims": "the method unsqueeze", "ravel": "the method flatten", "moveaxis": "the method transpose",
    "vstack": "fastnn.concatenate", "hstack": "fastnn.concatenate", "append": "fastnn.concatenate",
    "copy": "the method clone",
}  # fmt: skip
_METHODS = (
    "sum", "mean", "max", "min", "var", "std", "clip", "reshape", "transpose", "swapaxes", "squeeze", "astype",
)  # fmt: skip


def call_numpy(
    function: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """``function`` of the values of the tensors among the arguments: NumPy's ``__array_function__`` protocol."""
    if not all(issubclass(kind, (TensorBase, np.ndarray)) for kind in types):
        return NotImplemented
    tensors: list[TensorBase] = []
    values = _values((args, kwargs), tensors)
    name = f"np.{function.__name__}"
    if _writes_to_tensor(function, args, kwargs):
        raise TypeError(f"{name}: does not write to tensors; assign to elements, x[...] = y, or write to x.numpy()")
    if function not in _WITHOUT_GRADIENT and any(is_followed(x) for x in tensors):
        raise TypeError(
            f"{name}: would lose the gradient of a tensor that requires one; use {_instead(function.__name__)}, or "
            "x.detach() or x.numpy() where no gradient is wanted"
        )
    return function(*values[0], **values[1])


def _writes_to_tensor(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    written = [kwargs.get("out")]
    if function in _WRITING:
        written += args[:1] or [kwargs.get(name) for name in _WRITTEN]
    return any(isinstance(x, TensorBase) for x in written)


def _values(x: Any, found: list[TensorBase]) -> Any:
    """The same with arrays for tensors; these are added to ``found``."""
    if isinstance(x, TensorBase):
        found.append(x)
        return x.data
    if type(x) in (tuple, list):
        return type(x)(_values(item, found) for item in x)
    if type(x) is dict:
        return {key: _values(item, found) for key, item in x.items()}
    return x


def _instead(name: str) -> str:
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    if name in _METHODS:
        return f"the tensor's method {name}"
    if hasattr(shaping, name) or hasattr(ops, name):
        return f"fastnn.{name}"
    return "fastnn's functions and methods of tensors"
