"""The binary version of CIFAR-10: records of one byte, the class, and 3×32×32 bytes of colour.

Source: A. Krizhevsky, "The CIFAR-10 dataset", section "Binary version".
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .._files import MAX_UNPACKED, PathLike, Source, grouped, is_idx, listed, natural_order, opened
from .labelled import ImageSets, LabelledImages

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_PIXELS = 3 * 32 * 32
_RECORD = 1 + _PIXELS
_RECORD_100 = 2 + _PIXELS
_EXPECTED = f"the binary version of CIFAR-10, records of {_RECORD} bytes"


def read_cifar10(paths: PathLike | Iterable[PathLike]) -> LabelledImages:
    """Read images and classes from files of the binary version of CIFAR-10, gzipped or not.

    Parameters
    ----------
    paths : path or iterable of paths
        The files, in the order in which their images are to come; a string may be a pattern such as
        ``"cifar-10-batches-bin/data_batch_*.bin"``.

    Returns
    -------
    LabelledImages
        Images of float32 in 0…1, of shape (N, 3, 32, 32), red, green and blue, and their labels, 0 to 9.
        The names of the classes are those of CIFAR-10.

    Raises
    ------
    ValueError
        If there is no such file; if one is something else, which the message names: the version for Python, which is
        pickled and never opened, CIFAR-100, whose records have two labels, or a file that was cut short; if a label is more
        than 9.
    OSError
        If a file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn.data import read_cifar10
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "data_batch_1.bin")
    ...     np.full(2 * 3073, 3, np.uint8).tofile(path)
    ...     data = read_cifar10(path)
    >>> data.images.shape, [data.classes[label] for label in data.labels]
    ((2, 3, 32, 32), ['cat', 'cat'])
    """
    parts = [_records(path) for path in _files(paths)]
    count = sum(len(part) for part in parts)
    images = np.empty((count, 3, 32, 32), np.float32)
    labels = np.empty(count, np.int64)
    start = 0
    for part in parts:
        rows = slice(start, start := start + len(part))
        np.divide(part[:, 1:].reshape(-1, 3, 32, 32), np.float32(255), out=images[rows])
        labels[rows] = part[:, 0]
    return LabelledImages(images, labels, CLASSES)


def read_cifar10_folder(folder: PathLike) -> ImageSets:
    """The whole of CIFAR-10, or files named in the same way, as a training and a test part.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn.data.cifar import read_cifar10_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("data_batch_2.bin", "data_batch_1.bin", "test_batch.bin"):
    ...         np.zeros(3073, np.uint8).tofile(os.path.join(folder, name))
    ...     sets = read_cifar10_folder(folder)
    >>> len(sets.train.labels), len(sets.test.labels)
    (2, 1)
    """
    train, test = cifar_files(folder)
    if not train:
        names = listed(sorted(os.listdir(folder))) or "nothing"
        raise ValueError(f"read_cifar10: {os.fspath(folder)!r} holds {names}; expected data_batch_1.bin and more")
    return ImageSets(read_cifar10(train), None, read_cifar10(test) if test else None)


def cifar_files(folder: PathLike) -> tuple[list[str], list[str]]:
    """The files of a folder with the names of CIFAR-10's, of the training and of the test part.

    >>> import tempfile
    >>> from fastnn.data.cifar import cifar_files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cifar_files(folder)
    ([], [])
    """
    names = sorted(os.listdir(folder), key=natural_order)
    ours = [name for name in names if name.endswith((".bin", ".bin.gz"))]
    parts = ([name for name in ours if name.startswith(start)] for start in ("data_batch", "test_batch"))
    train, test = ([os.path.join(folder, name) for name in part] for part in parts)
    return train, test


def _files(paths: PathLike | Iterable[PathLike]) -> list[str]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files: list[str] = []
    for path in given:
        name = os.fspath(path)
        if os.path.isdir(name):
            names = listed(sorted(os.listdir(name))) or "nothing"
            raise ValueError(
                f"read_cifar10: {name!r} is a folder, which holds {names}; name the files, data_batch_*.bin"
            )
        found = [name] if os.path.lexists(name) else sorted(glob.glob(name), key=natural_order)
        if not found and glob.has_magic(name):
            raise ValueError(f"read_cifar10: there is no file {name!r}")
        files += found or [name]
    if not files:
        raise ValueError("read_cifar10: no files were named")
    return files


def _records(path: str) -> NDArray[np.uint8]:
    """(N, 3073), not yet looked at as images."""
    with opened("read_cifar10", path, limit=MAX_UNPACKED) as source:
        _refuse_others(source)
        data = np.frombuffer(source.file.read(), np.uint8)
    if data.size % _RECORD:
        raise source.not_a(_EXPECTED) if is_idx(source.start) else source.error(_wrong_size(data.size))
    records = data.reshape(-1, _RECORD)
    wrong = np.flatnonzero(records[:, 0] >= len(CLASSES))
    if wrong.size:
        raise source.error(
            f"has the label {records[wrong[0], 0]} in record {wrong[0]} ({wrong.size} of {len(records)} records have none of "
            f"0…9); it is damaged, or not {_EXPECTED}"
        )
    return records


def _refuse_others(source: Source) -> None:
    """What its first bytes show to be something else. Those of a record are a label and dark or light red, nothing else."""
    if source.start[:1] > b"\x09" or not source.start:
        raise source.not_a(_EXPECTED)


def _wrong_size(size: int) -> str:
    if size % _RECORD_100 == 0:
        return (
            f"has {grouped(size)} bytes, {size // _RECORD_100} records of {_RECORD_100}: it seems to be CIFAR-100, which has "
            f"two labels a record; expected {_EXPECTED}"
        )
    return (
        f"has {grouped(size)} bytes, {size // _RECORD} records and {size % _RECORD} bytes more; it was cut short, or is not "
        f"{_EXPECTED}"
    )
