"""Which arrays of a file are inputs and which are targets, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import PathLike, listed
from .array_file import array_names, read_arrays

_PARTS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_INPUTS = ("x", "images", "image", "data", "inputs", "input", "features")
_TARGETS = ("y", "labels", "label", "targets", "target")
EXPECTED = "expected images and labels, x and y, or x_train, y_train, x_test and y_test"

Pair = tuple[NDArray[Any], NDArray[Any] | None]


def read_pairs(path: PathLike) -> dict[str, Pair]:
    """Inputs and targets of each part of a file of arrays.

    Parameters
    ----------
    path : path
        A ``.npz`` file with arrays named ``images`` and ``labels``, ``x`` and ``y``, ``data`` and ``target``, or these with
        ``train``, ``val`` and ``test`` before or after them, as in ``x_train``; or a file with a single array, which are
        inputs.

    Returns
    -------
    dict of str to tuple
        Inputs, and targets or None, by "train", "validation" and "test"; arrays whose names have no part are "train".

    Raises
    ------
    ValueError
        If no inputs are found, if two arrays could be meant, if there are not as many targets as inputs; and as
        `fastnn.data.array_file.read_arrays`.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn.data.named_arrays import read_pairs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "mnist.npz")
    ...     np.savez(path, x_train=np.ones((3, 2)), y_train=np.ones(3), x_test=np.ones((1, 2)), y_test=np.ones(1))
    ...     {part: x.shape for part, (x, y) in read_pairs(path).items()}
    {'train': (3, 2), 'test': (1, 2)}
    """
    names = array_names(path)
    roles = _roles(path, names)
    arrays = read_arrays(path, roles.values())
    parts = [part for part, role in roles if role == "x"]
    return {
        part: _checked(path, roles[part, "x"], arrays[roles[part, "x"]], arrays.get(roles.get((part, "y"), "\0")))
        for part in parts
    }


def _roles(path: PathLike, names: list[str]) -> dict[tuple[str, str], str]:
    """The array of each part and role."""
    if len(names) == 1:
        return {("train", "x"): names[0]}
    roles: dict[tuple[str, str], str] = {}
    for name in names:
        role = _role(name)
        if role is None:
            continue
        if role in roles:
            raise ValueError(f"{path!r}: the arrays {roles[role]!r} and {name!r} could both be meant; {EXPECTED}")
        roles[role] = name
    if ("train", "x") not in roles and not any(role == "x" for _, role in roles):
        raise ValueError(f"{path!r} holds the arrays {listed(names, 12) or 'none'}; {EXPECTED}")
    return dict(sorted(roles.items(), key=lambda item: ("train", "validation", "test").index(item[0][0])))


def _role(name: str) -> tuple[str, str] | None:
    words = re.split(r"[^a-z0-9]+", name.lower())
    parts = [_PARTS[word] for word in words if word in _PARTS] or ["train"]
    whats = [what for word in words for what, known in (("x", _INPUTS), ("y", _TARGETS)) if word in known]
    return (parts[0], whats[0]) if len(words) <= 2 and len(parts) == len(whats) == 1 else None


def _checked(path: PathLike, name: str, x: NDArray[Any], y: NDArray[Any] | None) -> Pair:
    if x.ndim not in (2, 3, 4) or x.dtype.kind not in "biuf":
        raise ValueError(
            f"{path!r}: the array {name!r} is {x.dtype} of shape {x.shape}; expected real numbers of shape (N, features), "
            "(N, H, W), (N, C, H, W) or (N, H, W, C)"
        )
    if not x.size:
        raise ValueError(f"{path!r}: the array {name!r}, of shape {x.shape}, holds no samples, or empty ones")
    if y is None:
        return x, None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (len(x),) or y.dtype.kind not in "biuf":
        raise ValueError(
            f"{path!r}: the targets of {name!r} are {y.dtype} of shape {y.shape}; expected one real number for each of its "
            f"{len(x)} samples"
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{path!r}: the targets of {name!r} hold {(~np.isfinite(y)).sum()} that are not finite")
    return x, y.astype(np.int64) if y.dtype == bool else y


def first_part(pairs: dict[str, Pair], order: Iterable[str]) -> Pair:
    """The first of some parts that is there."""
    return next(pairs[part] for part in order if part in pairs)
