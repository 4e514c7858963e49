"""Folders of IDX files that are named as those of MNIST."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import PathLike, listed
from .idx import read_array_of
from .labelled import ImageSets, LabelledImages

_NAME = re.compile(
    r"(?i)(?:(?P<prefix>.+?)[-_])?(?P<part>train|t10k|test)[-_](?P<what>images|labels)"
    r"(?:[-.]idx\d?(?:-ubyte)?)?(?P<packed>\.gz)?"
)
_BOTH = ("images", "labels")
_EXPECTED = (
    "expected train-images-idx3-ubyte and train-labels-idx1-ubyte, perhaps with .gz, and the same for t10k or test"
)


def read_mnist(folder: PathLike, *, prefix: str | None = None, mmap: bool = False) -> ImageSets:
    """Read MNIST, or images of one's own in files of the same names, from a folder.

    Parameters
    ----------
    folder : path
        Where the files are: ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, and, if there is a test part, the
        same with ``t10k`` or ``test``. Also ``train-images.idx3-ubyte``, ``train-images.idx`` and ``train-images``, with
        ``.gz`` or without; where a file is there in several forms, one that is not gzipped is read.
    prefix : str, optional
        What stands before ``train`` in the names, such as ``"emnist-letters"``. Needed where the folder has several.
    mmap : bool
        Map the files of the images into memory, for those that are larger than memory. The images are then what the files
        hold, uint8 in 0…255, and read-only.

    Returns
    -------
    ImageSets
        ``train``, and ``test`` or None: images of float32 in 0…1, of shape (N, 1, H, W), or (N, C, H, W) where the file has
        four axes, and their labels. The classes are "0" to the largest label.

    Raises
    ------
    ValueError
        If files are missing, or there are several that could be meant; if one is damaged, or is something else, which the
        message names; if there are not as many labels as images; if labels are negative or no integers; if images are
        integers of more than 8 bits, whose full brightness nothing says.
    OSError
        If a file cannot be opened.

    Notes
    -----
    Images of floats are taken as they are. EMNIST's images are stored with their rows and columns exchanged.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn.data import read_mnist, write_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(os.path.join(folder, "train-images-idx3-ubyte.gz"), np.full((2, 28, 28), 255, np.uint8))
    ...     write_idx(os.path.join(folder, "train-labels-idx1-ubyte.gz"), np.array([3, 0], np.uint8))
    ...     train = read_mnist(folder).train
    >>> train.images.shape, train.images.max(), train.labels
    ((2, 1, 28, 28), np.float32(1.0), array([3, 0]))
    """
    files = _chosen(os.fspath(folder), _found(os.fspath(folder)), prefix)
    raw = {part: _part(files, part, mmap) for part in ("train", "test") if (part, "images") in files}
    most = max((int(labels.max()) for _, labels in raw.values() if labels.size), default=-1)
    classes = tuple(str(i) for i in range(most + 1))
    sets = {part: LabelledImages(images, labels, classes) for part, (images, labels) in raw.items()}
    return ImageSets(**sets)


def has_mnist(folder: PathLike) -> bool:
    """Whether a folder has a file that `read_mnist` reads.

    >>> import os, tempfile
    >>> from fastnn.data.mnist import has_mnist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     has_mnist(folder)
    False
    """
    return bool(_found(os.fspath(folder)))


def _found(folder: str) -> dict[str, re.Match[str]]:
    """The files that may be meant, the best form of each last."""
    names = sorted(os.listdir(folder), reverse=True)
    matches = {name: _NAME.fullmatch(name) for name in names if os.path.isfile(os.path.join(folder, name))}
    found = {name: match for name, match in matches.items() if match is not None}
    return dict(sorted(found.items(), key=lambda item: item[1]["packed"] is None))


def _chosen(folder: str, found: dict[str, re.Match[str]], prefix: str | None) -> dict[tuple[str, str], str]:
    """The file of each part and kind."""
    prefixes = sorted({match["prefix"] or "" for match in found.values()})
    if prefix is None and len(prefixes) > 1:
        raise ValueError(
            f"read_mnist: {folder!r} has files of several sets; choose one of them by prefix=: {listed(prefixes)}"
        )
    meant = {name: match for name, match in found.items() if prefix is None or (match["prefix"] or "") == prefix}
    if {"t10k", "test"} <= {match["part"].lower() for match in meant.values()}:
        raise ValueError(f"read_mnist: {folder!r} has a test part twice, as t10k and as test; move one of them away")
    files = {}
    for name, match in meant.items():
        part = "train" if match["part"].lower() == "train" else "test"
        files[part, match["what"].lower()] = os.path.join(folder, name)
    for part, what in (
        ("train", "images"),
        ("train", "labels"),
        *((part, what) for part, _ in files for what in _BOTH),
    ):
        if (part, what) not in files:
            have = listed(sorted(os.listdir(folder))) or "nothing"
            of = f" of the prefix {prefix!r}" if prefix is not None else ""
            raise ValueError(f"read_mnist: {folder!r} has no {part} {what}{of}; it holds {have}; {_EXPECTED}")
    return files


def _part(files: dict[tuple[str, str], str], part: str, mmap: bool) -> tuple[NDArray[Any], NDArray[np.int64]]:
    of_images, of_labels = files[part, "images"], files[part, "labels"]
    images = read_array_of("read_mnist", of_images, mmap)
    labels = read_array_of("read_mnist", of_labels, False)
    if images.ndim not in (3, 4) or labels.ndim != 1:
        swapped = "; the two files seem to be exchanged" if images.ndim == 1 and labels.ndim == 3 else ""
        raise ValueError(
            f"read_mnist: {of_images!r} holds an array of shape {images.shape} and {of_labels!r} one of {labels.shape}; "
            f"expected (N, H, W) or (N, C, H, W), and (N,){swapped}"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"read_mnist: {of_images!r} has {len(images)} images and {of_labels!r} {len(labels)} labels; "
            "they don't belong together"
        )
    if labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        what = f"{labels.min()}" if labels.dtype.kind in "iu" else f"numbers of dtype {labels.dtype}"
        raise ValueError(f"read_mnist: {of_labels!r} holds {what}; expected labels, integers from 0 on")
    return _pixels(images if images.ndim == 4 else images[:, None], of_images, mmap), labels.astype(np.int64)


def _pixels(images: NDArray[Any], path: str, mmap: bool) -> NDArray[Any]:
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise ValueError(
            f"read_mnist: {path!r} holds pixels of dtype {images.dtype}, whose full brightness is not known; "
            "expected uint8, 0…255, or floats"
        )
    if mmap:
        return images
    floats = images.astype(np.float32)
    if images.dtype == np.uint8:
        floats /= 255
    return floats
