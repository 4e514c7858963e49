"""Folders of pictures, one for each class."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._extras import require
from .._files import PathLike, class_order, grouped, listed, natural_order, require_folder
from ..checks.scalars import per_axis
from .labelled import ImageSets, LabelledImages
from .pictures import Mode, read_picture

_PARTS = {"train": ("train", "training"), "validation": ("val", "valid", "validation"), "test": ("test", "testing")}
# Names that systems and programs leave beside pictures; they are left out, like those that begin with a dot.
_LEFT_FOLDERS = {"__macosx", "__pycache__", "@eadir", "lost+found", "$recycle.bin", "system volume information"}
_LEFT_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
_DEFAULT_SIDE = 32
_KEPT_SIDES = range(8, 65)


def read_image(path: PathLike, size: int | tuple[int, int] | None = None, mode: Mode = "RGB") -> NDArray[np.float32]:
    """Read one picture as `read_image_folder` reads those of a folder: for a model that was trained on such.

    Parameters
    ----------
    path : path
        The file, of any format that Pillow reads.
    size : int or (int, int), optional
        Height and width that the picture is stretched or reduced to; one number means a square.
    mode : {"RGB", "L"}
        Three channels of colour, or one of grey.

    Returns
    -------
    ndarray of float32, (3, H, W) or (1, H, W)
        In 0…1. ``image[None]`` is a batch of one.

    Raises
    ------
    ValueError, TypeError
        If the file is something else, which the message names, or damaged; for another size or mode.
    MissingExtraError
        If Pillow is not installed: ``pip install 'fastnn[images]'``.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data import read_image
    >>> batch = np.stack([read_image(file, size=32) for file in ["a.jpg", "b.png"]])  # doctest: +SKIP
    >>> batch.shape  # doctest: +SKIP
    (2, 3, 32, 32)
    """
    _check_mode("read_image", mode)
    shape = _shape("read_image", size)
    try:
        pixels = _picture(os.fspath(path), mode, shape)
    except ValueError as error:
        raise ValueError(f"read_image: {error}") from error
    return pixels.astype(np.float32) / np.float32(255)


def read_image_folder(
    path: PathLike,
    size: int | tuple[int, int] | None = None,
    mode: Mode = "RGB",
    *,
    skip_broken: bool = True,
    classes: Sequence[str] | None = None,
) -> LabelledImages:
    """Read pictures from a folder that has a sub-folder for each class.

    Parameters
    ----------
    path : path
        The folder. Each of its sub-folders is a class, with the pictures directly in it.
    size : int or (int, int), optional
        Height and width that the pictures are stretched or reduced to; one number means a square. By default they keep
        their sizes, which must be equal.
    mode : {"RGB", "L"}
        Three channels of colour, or one of grey.
    skip_broken : bool
        Go on without files that are no picture or cannot be read, with a warning that names them; otherwise the first
        is an error.
    classes : sequence of str, optional
        The classes in the order of their labels, such as those of a training part. By default the names of the
        sub-folders, as numbers where all are integers, else in natural order.

    Returns
    -------
    LabelledImages
        Images of float32 in 0…1, of shape (N, 3, H, W) or (N, 1, H, W), class by class and in natural order of the files'
        names; ``files`` has the path of each, ``skipped`` what was left out: hidden files and folders, those that systems
        leave behind (``Thumbs.db``, ``__MACOSX``), files beside the sub-folders, and broken ones.

    Raises
    ------
    ValueError, TypeError
        If ``path`` is a file; if there is no sub-folder, one without a picture that can be read, or one with folders in it; if a sub-folder is
        none of ``classes``; if sizes differ and no ``size`` is given; if the images take more memory than there is.
    MissingExtraError
        If Pillow is not installed: ``pip install 'fastnn[images]'``.
    FileNotFoundError, OSError
        If there is no such folder, or it cannot be listed.

    Notes
    -----
    Pictures are turned as their EXIF data say, transparent parts are white, and of 16 bits the upper 8 are kept.

    Examples
    --------
    >>> from fastnn.data import read_image_folder, split
    >>> data = read_image_folder("photos", size=32)  # doctest: +SKIP
    >>> data.images.shape, data.classes  # doctest: +SKIP
    ((200, 3, 32, 32), ('cat', 'dog'))
    """
    folder = os.fspath(path)
    _check_mode("read_image_folder", mode)
    shape = _shape("read_image_folder", size)
    require_folder("read_image_folder", folder, "a folder with a sub-folder of pictures for each class")
    found = _look(folder, None if classes is None else tuple(classes))
    stack = _Stack(found.total, shape)
    broken = []
    for label, file in found.each():
        try:
            pixels = _picture(file, mode, shape)
        except (ValueError, OSError) as error:
            if not skip_broken:
                raise ValueError(f"read_image_folder: {error}") from error
            broken.append(str(error))
        else:
            stack.add(pixels, label, file)
    _require_all(folder, found, set(stack.labels), broken)
    if broken:
        files = f"{len(broken)} file{'s' * (len(broken) > 1)}"
        warnings.warn(f"read_image_folder: {files} skipped: {'; '.join(broken)}", stacklevel=2)
    labels = np.array(stack.labels, np.int64)
    return LabelledImages(stack.images(), labels, found.classes, tuple(stack.files), (*found.skipped, *broken))


def read_image_parts(
    path: PathLike, size: int | tuple[int, int] | None = None, mode: Mode = "RGB", *, skip_broken: bool = True
) -> ImageSets:
    """Read pictures that are divided into folders named train, test and perhaps val, each with a sub-folder per class.

    Parameters
    ----------
    path : path
        The folder that holds ``train`` or ``training`` and, if you have them, ``val``, ``valid`` or ``validation``, and
        ``test`` or ``testing``.
    size, mode, skip_broken
        As for `read_image_folder`.

    Returns
    -------
    ImageSets
        The parts. The labels of all count the classes of the training part.

    Raises
    ------
    ValueError, TypeError, MissingExtraError, OSError
        As `read_image_folder`; and if there is no training part, if a part is there under two names, or if another part
        has a class that it lacks, or pictures of another size.

    Examples
    --------
    >>> from fastnn.data import read_image_parts
    >>> sets = read_image_parts("photos", size=32)  # doctest: +SKIP
    >>> len(sets.train.labels), len(sets.test.labels)  # doctest: +SKIP
    (160, 40)
    """
    require_folder("read_image_parts", path, "a folder with sub-folders train and test, each with one for each class")
    folders = image_parts(path)
    if "train" not in folders:
        raise ValueError(
            f"read_image_parts: {os.fspath(path)!r} has no folder train beside {listed(folders) or 'no other part'}"
        )
    train = read_image_folder(folders["train"], size, mode, skip_broken=skip_broken)
    size = train.images.shape[2], train.images.shape[3]
    others = {
        part: read_image_folder(folder, size, mode, skip_broken=skip_broken, classes=train.classes)
        for part, folder in folders.items()
        if part != "train"
    }
    return ImageSets(train, **others)


def image_parts(path: PathLike) -> dict[str, str]:
    """The folders of the parts, by "train", "validation" and "test", where all sub-folders are such parts; else none.

    >>> import os, tempfile
    >>> from fastnn.data.image_folder import image_parts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("Test", "train"):
    ...         os.mkdir(os.path.join(folder, name))
    ...     list(image_parts(folder))
    ['train', 'test']
    """
    names = {name: name.lower() for name in _folders(os.fspath(path))[0]}
    parts = {part: [name for name, lower in names.items() if lower in known] for part, known in _PARTS.items()}
    if sum(len(found) for found in parts.values()) != len(names):
        return {}
    twice = next((found for found in parts.values() if len(found) > 1), None)
    if twice:
        raise ValueError(f"read_image_parts: {os.fspath(path)!r} has one part under several names: {listed(twice)}")
    return {part: os.path.join(path, found[0]) for part, found in parts.items() if found}


class _Found(NamedTuple):
    """What a folder holds."""

    classes: tuple[str, ...]
    files: dict[str, list[str]]
    """The paths of what may be pictures, of each class that has a folder."""
    skipped: tuple[str, ...]

    @property
    def total(self) -> int:
        return sum(len(files) for files in self.files.values())

    def each(self) -> Iterator[tuple[int, str]]:
        """The label and the path of each file."""
        for label, name in enumerate(self.classes):
            for path in self.files.get(name, ()):
                yield label, path


def _look(folder: str, classes: tuple[str, ...] | None) -> _Found:
    names, beside = _folders(folder)
    skipped = [os.path.join(folder, name) for name in beside]
    if not names:
        raise ValueError(
            f"read_image_folder: {folder!r} has no sub-folders, one for each class; it holds {listed(beside) or 'nothing'}"
        )
    if image_parts(folder):
        raise ValueError(
            f"read_image_folder: {folder!r} has the parts {listed(names)}; read_image_parts reads them, or name one of them"
        )
    unknown = [name for name in names if classes is not None and name not in classes]
    if unknown:
        raise ValueError(
            f"read_image_folder: {folder!r} has {listed(unknown)}, which are none of the classes {classes}"
        )
    files = {}
    for name in names:
        files[name], hidden = _files(os.path.join(folder, name))
        skipped += hidden
    return _Found(tuple(class_order(set(names))) if classes is None else classes, files, tuple(skipped))


def _folders(folder: str) -> tuple[list[str], list[str]]:
    """The names of the sub-folders that people made, and of all else."""
    names = sorted(os.listdir(folder), key=natural_order)
    made = [
        name
        for name in names
        if not name.startswith(".") and name.lower() not in _LEFT_FOLDERS and os.path.isdir(os.path.join(folder, name))
    ]
    return made, [name for name in names if name not in made]


def _files(folder: str) -> tuple[list[str], list[str]]:
    """The paths of what may be pictures, and of what systems left."""
    folders, names = _folders(folder)
    if folders:
        raise ValueError(
            f"read_image_folder: {folder!r} is the folder of a class and has folders in it, {listed(folders)}; expected "
            "pictures. Name the folder whose sub-folders are the classes"
        )
    left = [name for name in names if name.startswith(".") or name.lower() in _LEFT_FILES | _LEFT_FOLDERS]
    return (
        [os.path.join(folder, name) for name in names if name not in left],
        [os.path.join(folder, name) for name in left],
    )


def _require_all(folder: str, found: _Found, read: set[int], broken: list[str]) -> None:
    for label, name in enumerate(found.classes):
        if name in found.files and label not in read:
            path = os.path.join(folder, name)
            why = [text for text in broken if repr(path + os.sep)[1:-1] in text]
            raise ValueError(
                f"read_image_folder: {path!r}, the folder of a class, has no picture that can be read"
                + (f": {'; '.join(why[:3])}" if why else "")
            )


def _check_mode(op: str, mode: str) -> None:
    if mode not in ("RGB", "L"):
        raise ValueError(f"{op}: mode must be 'RGB' or 'L', got {mode!r}")


def _shape(op: str, size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    plain = per_axis(op, "size", size, 2)
    return (plain, plain) if isinstance(plain, int) else (plain[0], plain[1])


def _picture(path: str, mode: Mode, shape: tuple[int, int] | None) -> NDArray[np.uint8]:
    """(C, H, W)."""
    with open(path, "rb") as file:
        pixels = read_picture(file, path, mode, shape)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


class _Stack:
    """Pictures of one shape, in an array that has room for as many as there may be."""

    def __init__(self, room: int, shape: tuple[int, int] | None) -> None:
        self.labels: list[int] = []
        self.files: list[str] = []
        self._room = room
        self._resized = shape is not None
        self._images: NDArray[np.float32] | None = None

    def add(self, pixels: NDArray[np.uint8], label: int, file: str) -> None:
        if self._images is None:
            self._images = self._reserved(pixels.shape)
        if pixels.shape != self._images.shape[1:]:
            raise ValueError(
                f"read_image_folder: {file!r} has {pixels.shape[1]}×{pixels.shape[2]} pixels (height×width) and "
                f"{self.files[0]!r} {self._images.shape[2]}×{self._images.shape[3]}; pass size= to bring them to one size"
            )
        np.divide(pixels, np.float32(255), out=self._images[len(self.files)])
        self.labels.append(label)
        self.files.append(file)

    def _reserved(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        try:
            return np.empty((self._room, *shape), np.float32)
        except MemoryError:
            advice = "pass a smaller size=" if self._resized else "pass size="
            raise ValueError(
                f"read_image_folder: {self._room} pictures of {shape[1]}×{shape[2]} pixels take more memory than there is, "
                f"{grouped(4 * self._room * math.prod(shape))} bytes; {advice}"
            ) from None

    def images(self) -> NDArray[np.float32]:
        assert self._images is not None
        whole = self._images[: len(self.files)]
        return whole if len(whole) == self._room else whole.copy()


# ---- folders of one's own, of which nobody said how they are to be read ----------------------------------------------------


def default_side(*folders: PathLike) -> int | tuple[int, int]:
    """Height and width of the pictures in folders of classes, where all have the same and it is a usual one."""
    image_module = require("PIL.Image", "Pillow", "images", "reading pictures")
    sizes = set()
    for folder in folders:
        for path in _files_below(os.fspath(folder)):
            with contextlib.suppress(Exception), image_module.open(path) as picture:  # reading it says what is wrong
                sizes.add(picture.size)
            if len(sizes) > 1:
                return _DEFAULT_SIDE
    width, height = sizes.pop() if sizes else (0, 0)
    return (height, width) if height in _KEPT_SIDES and width in _KEPT_SIDES else _DEFAULT_SIDE


def _files_below(folder: str) -> Iterable[str]:
    for entry in os.scandir(folder):
        if entry.is_dir() and not entry.name.startswith("."):
            yield from (
                file.path for file in os.scandir(entry.path) if file.is_file() and not file.name.startswith(".")
            )


def grey_parts(sets: ImageSets) -> ImageSets:
    parts = {name: part for name, part in sets._asdict().items() if part is not None}
    if not all(_is_grey(part.images) for part in parts.values()):
        return sets
    return ImageSets(**{name: _first_channel(part) for name, part in parts.items()})


def one_grey(part: LabelledImages) -> LabelledImages:
    return _first_channel(part) if _is_grey(part.images) else part


def _is_grey(images: NDArray[Any]) -> bool:
    return bool((images[:, :1] == images[:, 1:]).all())


def _first_channel(part: LabelledImages) -> LabelledImages:
    return part._replace(images=np.ascontiguousarray(part.images[:, :1]))
