"""`save_weights`: arrays by name as a ``.safetensors`` file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .._atomic import replaceable, write_atomically
from .._files import PathLike
from ..autograd import Tensor
from ..checks import unmasked
from .error import WeightsError
from .numbers import STORED
from .safetensors import KINDS, METADATA, layout

_CODES = {("bool" if kind == "bool" else STORED[kind]): code for code, kind in KINDS.items() if kind != "bfloat16"}
_PORTION = 1 << 20


def save_weights(arrays: Mapping[str, Any], path: PathLike) -> None:
    """Save arrays by name as a ``.safetensors`` file, which other libraries read too.

    Parameters
    ----------
    arrays : mapping of str to array
        As ``model.state_dict()`` gives: arrays, tensors or parameters, of any strides and byte order, of bool, integers, float16,
        float32, float64 or complex64.
    path : path
        Where to write; no extension is added. An older file is replaced once the new one is complete.

    Raises
    ------
    TypeError
        If ``arrays`` is no mapping, a name is no text, or a value is no array of these types; nothing is written.
    ValueError
        If a name is ``__metadata__``, which the format keeps for itself, or cannot be encoded in UTF-8; or if names and
        shapes take more memory than `load_weights` gives them (some 50 000 arrays). Nothing is written.
    WeightsError
        If ``path`` is empty, or is there and no regular file.
    OSError
        If the file cannot be written.

    Notes
    -----
    Equal arrays give equal bytes, in whatever order they come. The file says ``{"format": "pt"}`` of itself, which some programs
    ask for: weights of layers lie as PyTorch's do.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.safetensors")
    ...     fnn.save_weights({"a": np.arange(3.0)}, path)
    ...     fnn.load_weights(path)
    {'a': array([0., 1., 2.])}
    """
    if not isinstance(arrays, Mapping):
        raise TypeError(
            f"save_weights: expected a mapping of arrays, and the path after it, got {type(arrays).__name__}"
        )
    checked = {_checked_name(name): _checked(name, value) for name, value in arrays.items()}
    codes = {name: _CODES[_code(array)] for name, array in checked.items()}
    target = replaceable("save_weights", path, WeightsError)
    try:
        header, order = layout(checked, codes)
    except ValueError as error:
        raise ValueError(f"save_weights: {error}") from None

    def write(file: IO[bytes]) -> None:
        file.write(header)
        for name in order:
            _write(file, checked[name])

    write_atomically(target, write)


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"save_weights: names must be texts, got {name!r:.100}")
    if name == METADATA:
        raise ValueError(f"save_weights: the name {METADATA!r} is the format's own")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"save_weights: the name {name!r:.100} is no text ({error.reason})") from None
    return name


def _checked(name: str, value: Any) -> NDArray[Any]:
    if not isinstance(value, Tensor | np.ndarray | np.generic) and not hasattr(value, "__array__"):
        raise TypeError(f"save_weights: {name!r:.100} is a {type(value).__name__}; expected an array or a tensor")
    array = np.asarray(value.data if isinstance(value, Tensor) else unmasked("save_weights", repr(name), value))
    if _code(array) not in _CODES:
        raise TypeError(
            f"save_weights: {name!r:.100} has dtype {array.dtype}; expected bool, integers, float16, float32, float64 or "
            "complex64"
        )
    return array


def _code(array: NDArray[Any]) -> str:
    return "bool" if array.dtype == bool else f"{array.dtype.kind}{array.dtype.itemsize}"


def _write(file: IO[bytes], array: NDArray[Any]) -> None:
    """The numbers in C order, little endian; in portions, so that no second array is made."""
    stored = array.dtype.newbyteorder("<")
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
    for start in range(0, array.size, _PORTION):
        file.write(np.ascontiguousarray(flat[start : start + _PORTION], stored).data)
