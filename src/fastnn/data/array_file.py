"""Arrays by name from ``.npz`` and ``.npy`` files that nobody vouches for."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from .._files import PathLike, kind_of
from .._npy import read_array

_START = 512


Arrays = dict[str, NDArray[Any]]


def read_arrays(path: PathLike, names: Iterable[str] | None = None, most: int | None = None) -> Arrays:
    """Arrays of a ``.npz`` file by their names; of a ``.npy`` file the only one, under the name "".

    Parameters
    ----------
    path : path
        The file, known by its first bytes.
    names : iterable of str, optional
        Which arrays to read; all by default.
    most : int, optional
        Bytes of the largest array that is read from a ``.npz`` file, where it may be packed in few.

    Returns
    -------
    dict of str to ndarray
        Arrays of numbers. Nothing in the file is ever run.

    Raises
    ------
    ValueError
        If the file is something else or damaged, or an array is not of numbers.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn.data.array_file import read_arrays
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "data.npz")
    ...     np.savez(path, x=np.ones((2, 3)), y=np.zeros(2))
    ...     read_arrays(path, ["y"])
    {'y': array([0., 0.])}
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        start = file.read(_START)
        file.seek(0)
        try:
            if start.startswith(b"\x93NUMPY"):
                return {"": read_array(file, os.fstat(file.fileno()).st_size)}
            if start.startswith(b"PK"):
                with zipfile.ZipFile(file) as archive:
                    return _entries(archive, names, most)
        except MemoryError:
            raise ValueError(f"{name!r} holds arrays that need more memory than there is") from None
        except Exception as error:  # NumPy's header parser, zipfile and zlib raise many kinds on bad bytes
            raise ValueError(f"{name!r} is no file of arrays of plain numbers, or is damaged: {error}") from error
    raise ValueError(f"{name!r} is {kind_of(start)}; expected a .npz or .npy file")


def array_names(path: PathLike) -> list[str]:
    """The names of the arrays in a file; "" for that of a ``.npy`` file.

    Raises
    ------
    ValueError
        If the file is no zip archive, or damaged.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        if file.read(6) == b"\x93NUMPY":
            return [""]
        try:
            with zipfile.ZipFile(file) as archive:
                return [entry.removesuffix(".npy") for entry in archive.namelist()]
        except Exception as error:
            raise ValueError(f"{name!r} is no .npz file, or is damaged: {error}") from error


def _entries(archive: zipfile.ZipFile, names: Iterable[str] | None, most: int | None) -> Arrays:
    entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    arrays = {}
    for wanted in entries if names is None else names:
        info = entries[wanted]
        if most is not None and info.file_size > most:
            raise ValueError(f"an array of {info.file_size} bytes is too large")
        with archive.open(info) as entry:
            try:
                arrays[wanted] = read_array(entry, info.file_size)
            except ValueError as error:
                raise ValueError(f"array {wanted!r}: {error}") from error
    return arrays
