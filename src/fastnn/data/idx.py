"""IDX files, the format of MNIST: arrays with their type and shape in front, big end first.

Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._atomic import replaceable, write_atomically
from .._files import GZIP_RATIO, PathLike, Source, grouped, is_idx, opened
from ..checks import unmasked

_DTYPES = {
    code: np.dtype(name)
    for code, name in {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}.items()
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in _DTYPES.items()}
_MAX_AXES = 32  # arrays of NumPy have at most 64
_BLOCK = 1 << 24  # bytes that are written at once


def read_idx(path: PathLike, mmap: bool = False) -> NDArray[Any]:
    """Read an array from an IDX file, gzipped or not.

    Parameters
    ----------
    path : path
        The file. It is known by its first bytes: a gzipped file needs no ``.gz`` at its end, and what is unpacked already
        may have one.
    mmap : bool
        Map the file into memory instead of reading it, for arrays that are larger than memory. Then the result is
        read-only, and numbers of more than one byte keep the file's byte order.

    Returns
    -------
    ndarray
        uint8, int8, int16, int32, float32 or float64, as the file says, of its shape; a `numpy.memmap` where ``mmap``.

    Raises
    ------
    ValueError
        If the file is something else, which the message names; if it has not as many bytes as its header says, which is
        found out before memory is reserved; if it is gzipped and damaged, or to be mapped.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn.data import read_idx, write_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "labels-idx1-ubyte.gz")
    ...     write_idx(path, np.array([5, 0, 4], np.uint8))
    ...     read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    return read_array_of("read_idx", path, mmap)


def write_idx(path: PathLike, array: ArrayLike) -> None:
    """Write an array to an IDX file, gzipped if the name ends in ``.gz``.

    Parameters
    ----------
    path : path
        Where to write. An older file is replaced when the new one is complete.
    array : array_like, (N, ...)
        uint8, int8, int16, int32, float32 or float64, of at least one axis. Equal arrays give equal bytes.

    Raises
    ------
    TypeError
        If the array has another dtype, for which the format has no code, or is masked.
    ValueError
        If it is a single number, or has more axes or longer ones than the format can say; if ``path`` is a folder or no
        regular file. Nothing is written.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn.data import read_idx, write_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "images-idx3-ubyte")
    ...     write_idx(path, np.zeros((10, 28, 28), np.uint8))
    ...     read_idx(path, mmap=True).shape
    (10, 28, 28)
    """
    given: NDArray[Any] = np.asarray(unmasked("write_idx", "array", array))
    code = _CODES.get(given.dtype.newbyteorder("="))
    if code is None:
        raise TypeError(f"write_idx: IDX files have no numbers of dtype {given.dtype}; {_advice(given)}")
    if not 0 < given.ndim <= _MAX_AXES or max(given.shape) >= 1 << 32:
        raise ValueError(
            f"write_idx: shape {given.shape} is not supported, expected 1 to {_MAX_AXES} axes of less than 2**32 each"
        )
    target = replaceable("write_idx", path)
    header = bytes([0, 0, code, given.ndim]) + np.array(given.shape, ">u4").tobytes()

    def write(file: IO[bytes] | gzip.GzipFile) -> None:
        file.write(header)
        for block in _blocks(given, _DTYPES[code]):
            file.write(block)

    def write_packed(file: IO[bytes]) -> None:
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            write(packed)

    write_atomically(target, write_packed if os.fspath(path).endswith(".gz") else write)


def _blocks(array: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[bytes]:
    if not array.size:
        return
    rows = max(1, _BLOCK * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield array[start : start + rows].astype(dtype).tobytes()


def _advice(array: NDArray[Any]) -> str:
    if array.dtype.kind not in "biu" or not array.size:
        return "expected uint8, int8, int16, int32, float32 or float64"
    low, high = int(array.min()), int(array.max())
    for dtype in _CODES:
        if dtype.kind in "iu" and np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return f"these values fit {dtype}: write array.astype(np.{dtype})"
    return f"these values, {low}…{high}, fit none of their integers"


def read_array_of(function: str, path: PathLike, mmap: bool) -> NDArray[Any]:
    """`read_idx`, in the name of the function that the caller knows."""
    with opened(function, path) as source:
        dtype, shape = _header(source)
        offset, size = 4 + 4 * len(shape), math.prod(shape) * dtype.itemsize
        _check_size(source, dtype, shape, offset + size)
        if mmap:
            if source.packed:
                raise source.error("is gzipped, and cannot be mapped; unpack it first, or read it with mmap=False")
            if size:
                return np.memmap(source.file, dtype, "r", offset, shape)
        array = _read_values(source, dtype, shape, offset)
    array.flags.writeable = not mmap
    return array


def _header(source: Source) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = source.start
    if not is_idx(start):
        raise source.not_a("an IDX file")
    axes = start[3]
    if axes > _MAX_AXES:
        raise source.error(
            f"has {axes} axes by its header; expected at most {_MAX_AXES}, so it is damaged or no IDX file"
        )
    if len(start) < 4 + 4 * axes:
        raise source.error(f"ends within its header, after {len(start)} bytes")
    return _DTYPES[start[2]], tuple(np.frombuffer(start, ">u4", axes, offset=4).tolist())


def _check_size(source: Source, dtype: np.dtype[Any], shape: tuple[int, ...], expected: int) -> None:
    """Before memory is reserved for them: are the bytes there, or can they be in a gzip file of this size?"""
    if source.size == expected or (source.packed and expected <= GZIP_RATIO * source.size):
        return
    raise source.error(
        f"has a header that says {'×'.join(grouped(n) for n in shape)} of {dtype.newbyteorder('=')}, "
        f"{grouped(expected)} bytes with the header; the file has {grouped(source.size)}"
        + (", and cannot unpack to that" if source.packed else "")
        + _hint(dtype, shape, source)
    )


def _hint(dtype: np.dtype[Any], shape: tuple[int, ...], source: Source) -> str:
    swapped = math.prod(np.array(shape, ">u4").view("<u4").tolist())
    if not source.packed and 4 + 4 * len(shape) + swapped * dtype.itemsize == source.size:
        return ". Read with the little end first they would agree, but IDX files have the big end first"
    return ""


def _read_values(source: Source, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> NDArray[Any]:
    try:
        values = np.empty(math.prod(shape), dtype)
    except MemoryError as fault:
        raise source.error(f"needs more memory than there is: {fault}") from None
    room = values.view(np.uint8)
    source.file.read(offset)
    done = 0
    while done < len(room):
        count = source.file.readinto(room[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    if done < len(room) or source.file.read(1):
        how = f"only {grouped(done)}" if done < len(room) else "more"
        raise source.error(
            f"has a header that says {'×'.join(grouped(n) for n in shape)} of {dtype.newbyteorder('=')}, "
            f"{grouped(len(room))} bytes; there are {how}"
        )
    native = dtype.newbyteorder("=")
    if values.dtype != native:
        values = values.byteswap(inplace=True).view(native)
    return values.reshape(shape)
