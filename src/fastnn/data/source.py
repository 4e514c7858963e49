"""Data of one's own, whatever file or folder they are in: recognised, read, and parted for training and test."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._files import PathLike, is_idx, is_text, kind_of, listed, opened
from .cifar import cifar_files, read_cifar10_folder
from .csv_reader import read_csv
from .csv_table import Column, Kind, Table, TableSchema
from .digits import load_digits
from .image_folder import default_side, grey_parts, image_parts, one_grey, read_image_folder, read_image_parts
from .labelled import ImageSets
from .mnist import has_mnist, read_mnist
from .named_arrays import read_pairs
from .split import split

Form = Literal[
    "csv", "arrays", "idx folder", "cifar folder", "image folder", "parts folder", "idx", "picture", "digits"
]

# The split is the same for every seed of a training, so that the tests of trainings can be compared.
_SPLIT_SEED = 0
_TEST_SHARE = 0.2
_VALIDATION_SHARE = 0.1  # of what is left for training
FEW_ROWS = 1000
"""Below this a table is too small to part with a validation part, and small enough for cross-validation."""
_MOST_CLASSES = 1000


class Part(NamedTuple):
    """Samples and what they are.

    Parameters
    ----------
    x : ndarray, (N, features) or (N, C, H, W)
        Features, NaN where one is missing; or images.
    y : ndarray, (N,), or None
        Positions in the classes, int64, or numbers, float64.
    files : tuple of str, optional
        The file of each sample, where each has its own.
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """What was read from a path.

    Parameters
    ----------
    path : str
        Where it came from.
    form : str
        What was there: "csv", "arrays", "idx folder", "cifar folder", "image folder", "parts folder" or "digits".
    parts : dict of str to Part
        "train", and "validation" and "test" where they are there.
    classes : tuple of str or None
        The names of the classes; None where targets are numbers.
    schema : TableSchema, optional
        How files are read into the same features; None of images.
    target : str
        The name of the target.
    notes : tuple of str
        What was assumed or left out.
    """

    path: str
    form: Form
    parts: dict[str, Part]
    classes: tuple[str, ...] | None
    schema: TableSchema | None = None
    target: str = "label"
    notes: tuple[str, ...] = field(default=())

    @property
    def images(self) -> bool:
        """Whether the samples are images."""
        return self.parts["train"].x.ndim == 4


def recognise(path: PathLike) -> Form:
    """What is at a path, by what is in it.

    Parameters
    ----------
    path : path
        A file or a folder.

    Returns
    -------
    str
        "csv", "arrays", "idx", "picture" of files; "idx folder", "cifar folder", "image folder" or "parts folder".

    Raises
    ------
    ValueError
        If it is none of these: the message says what it is.
    OSError
        If it is not there, or cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastnn.data.source import recognise
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.txt")
    ...     with open(path, "w") as file:
    ...         _ = file.write("size,price\\n3,4\\n")
    ...     recognise(path)
    'csv'
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        return _recognised_folder(name)
    with opened("recognise", name) as source:
        start = source.start
    kind = kind_of(start)
    if is_text(start):
        return "csv"
    if is_idx(start):
        return "idx"
    if kind.endswith("picture"):
        return "picture"
    if ".npz" in kind or ".npy" in kind or "zip archive" in kind:  # a checkpoint is a zip archive, too
        return "arrays"
    raise ValueError(f"{name!r} is {kind}; expected a CSV file, arrays in a .npz file, or a folder of images")


def _recognised_folder(folder: str) -> Form:
    if has_mnist(folder):
        return "idx folder"
    if any(cifar_files(folder)):
        return "cifar folder"
    if image_parts(folder):
        return "parts folder"
    entries = sorted(os.listdir(folder))
    if any(os.path.isdir(os.path.join(folder, entry)) and not entry.startswith(".") for entry in entries):
        return "image folder"
    raise ValueError(
        f"{folder!r} holds {listed(entries) or 'nothing'}; expected IDX files such as train-images-idx3-ubyte, CIFAR-10 files "
        "such as data_batch_1.bin, or a sub-folder of images for each class"
    )


def read_dataset(
    path: PathLike,
    *,
    target: str | None = None,
    kind: Kind | None = None,
    text: Iterable[str] = (),
    ignore: Iterable[str] = (),
    header: bool | None = None,
    size: int | None = None,
) -> Dataset:
    """Read data to train on.

    Parameters
    ----------
    path : path
        A CSV file; a ``.npz`` file of arrays; a folder of IDX files, of CIFAR-10 files, or of pictures in a sub-folder for each
        class, perhaps below train and test.
    target : str, optional
        The column of a CSV file that is to be predicted.
    kind : {"classification", "regression"}, optional
        What the target is; by default known from its values.
    text, ignore : iterable of str
        Columns of a CSV file to take as text, or to leave out.
    header : bool, optional
        Whether the first row of a CSV file has the names of the columns; by default unless it holds numbers.
    size : int, optional
        Height and width of pictures. By default those that they have, if they all have the same, of 8 to 64 pixels, else 32.

    Returns
    -------
    Dataset
        Its parts are those of the files; `parted` makes those that are lacking.

    Raises
    ------
    ValueError, TypeError, MissingExtraError, OSError
        If something is not there, or not what it should be: as the readers of `fastnn.data`, which name the file and the fault.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastnn.data.source import read_dataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("size,colour,price\\n3,red,4.5\\n1,blue,1.5\\n2,red,3.5\\n")
    ...     data = read_dataset(path, target="price")
    >>> data.schema.names, data.classes
    (('size', 'colour=blue', 'colour=red'), None)
    """
    form = recognise(path)
    if form == "csv":
        return _from_csv(path, target, kind, text=text, ignore=ignore, header=header)
    if target is not None or tuple(text) or tuple(ignore) or header is not None:
        raise ValueError(f"{os.fspath(path)!r} is no CSV file: it has no columns to be named")
    if size is not None and form not in ("image folder", "parts folder"):
        raise ValueError(f"{os.fspath(path)!r} is no folder of pictures: its images have the size that they have")
    if form == "arrays":
        return _from_arrays(path, kind)
    if kind == "regression":
        raise ValueError(f"{os.fspath(path)!r} has classes, no numbers to be predicted")
    readers: dict[str, Callable[[], ImageSets]] = {
        "idx folder": lambda: read_mnist(path),
        "cifar folder": lambda: read_cifar10_folder(path),
        "image folder": lambda: ImageSets(one_grey(read_image_folder(path, size or default_side(path)))),
        "parts folder": lambda: grey_parts(read_image_parts(path, size or default_side(*image_parts(path).values()))),
    }
    if form not in readers:
        raise ValueError(f"{os.fspath(path)!r} is {_ONE_FILE[form]}; expected a CSV file, a .npz file or a folder")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "read_image_folder: .* skipped")  # the notes say so, too
        return of_images(path, form, readers[form]())


_ONE_FILE = {"idx": "one IDX file; name the folder with images and labels", "picture": "one picture"}


def of_images(path: PathLike, form: Form, sets: ImageSets) -> Dataset:
    """A data set of images that were read.

    >>> import numpy as np
    >>> from fastnn.data import ImageSets, LabelledImages
    >>> from fastnn.data.source import of_images
    >>> train = LabelledImages(np.zeros((2, 1, 8, 8), np.float32), np.array([1, 0]), ("cat", "dog"))
    >>> list(of_images("folder", "image folder", ImageSets(train)).parts)
    ['train']
    """
    parts = {
        name: Part(part.images, part.labels, part.files) for name, part in sets._asdict().items() if part is not None
    }
    skipped = [f"left out: {listed(part.skipped)}" for part in sets if part is not None and part.skipped]
    return Dataset(os.fspath(path), form, parts, sets.train.classes, notes=tuple(skipped))


def digits_dataset() -> Dataset:
    """The digits of scikit-learn, in three parts.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.

    Examples
    --------
    >>> from fastnn.data.source import digits_dataset
    >>> list(digits_dataset().parts)  # doctest: +SKIP
    ['train', 'validation', 'test']
    """
    parts = {name: Part(*part) for name, part in load_digits()._asdict().items()}
    return Dataset("digits", "digits", parts, tuple("0123456789"))


def parted(data: Dataset, *, validation: bool | None = None) -> Dataset:
    """The same data with a test and a validation part: where they are lacking, taken from the training part.

    A fifth is held out for the test, classes in proportion, the same for every seed of a training; and of what is left,
    a tenth for the validation.

    Parameters
    ----------
    data : Dataset
        What was read.
    validation : bool, optional
        Whether a validation part is wanted. By default of images and of tables with 1000 rows to train on and more: in smaller
        ones a tenth is too little to judge by, and too much to be without.

    Returns
    -------
    Dataset
        With the parts "train" and "test", and perhaps "validation".

    Raises
    ------
    ValueError
        If there are too few samples, or no targets.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data.source import Dataset, Part, parted
    >>> data = Dataset("a", "arrays", {"train": Part(np.zeros((100, 2)), np.arange(100.0))}, None)
    >>> {name: len(part.y) for name, part in parted(data).parts.items()}
    {'train': 80, 'test': 20}
    """
    parts, notes = dict(data.parts), list(data.notes)
    if "test" not in parts:
        parts["train"], parts["test"] = _held_out(data, parts["train"], _TEST_SHARE, notes)
    wanted = data.images or len(parts["train"].x) >= FEW_ROWS if validation is None else validation
    if wanted and "validation" not in parts:
        parts["train"], parts["validation"] = _held_out(data, parts["train"], _VALIDATION_SHARE, notes)
    order = ("train", "validation", "test")
    return replace(data, parts={n: parts[n] for n in order if n in parts}, notes=tuple(dict.fromkeys(notes)))


def _held_out(data: Dataset, part: Part, share: float, notes: list[str]) -> tuple[Part, Part]:
    if part.y is None:
        raise ValueError(f"{data.path!r} holds no targets to learn")
    strata = _strata(data, part.y, share, notes)
    positions = np.arange(len(part.y))
    try:
        (kept,), (taken,) = split(positions, fractions=[1 - share], stratify=strata, rng=_SPLIT_SEED)
    except ValueError as error:
        raise ValueError(f"{data.path!r} has {len(part.y)} samples, too few to hold some out: {error}") from error
    return _rows(part, kept), _rows(part, taken)


def _strata(data: Dataset, y: NDArray[Any], share: float, notes: list[str]) -> NDArray[np.int64] | None:
    """The classes, of which those that are too small to be divided count as one; None where there is nothing to keep."""
    if data.classes is None:
        return None
    counts = np.bincount(y, minlength=len(data.classes))
    small = (counts > 0) & (counts < 2)
    if small.any():
        notes.append(f"classes with a single sample: {listed(np.array(data.classes)[small].tolist())}")
        y = np.where(small[y], int(np.argmax(counts)), y)
    return y if round(share * len(y)) >= len(np.unique(y)) else None


def _rows(part: Part, rows: NDArray[np.intp]) -> Part:
    return Part(
        part.x[rows],
        None if part.y is None else part.y[rows],
        tuple(part.files[row] for row in rows) if part.files else (),
    )


# ---- tables ---------------------------------------------------------------------------------------------------------------


def _from_csv(path: PathLike, target: str | None, kind: Kind | None, **columns: Any) -> Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "read_csv: .* left out")  # the notes say so, too
        table = read_csv(path, target, kind=kind, **columns)
    if target is None:
        names = listed((column.name for column in table.schema.columns), 50)
        raise ValueError(f"{os.fspath(path)!r} has the columns {names}: which is to be predicted? --target NAME")
    return Dataset(
        os.fspath(path), "csv", {"train": Part(table.x, table.y)}, table.classes, table.schema, target, _notes_of(table)
    )


def _notes_of(table: Table) -> tuple[str, ...]:
    lacking = [f"{name} ({count})" for name, count in table.missing.items()]
    missing = [f"missing values: {', '.join(lacking[:10])}{' …' * (len(lacking) > 10)}"] if lacking else []
    return (*table.notes, *missing)


def _from_arrays(path: PathLike, kind: Kind | None) -> Dataset:
    name = os.fspath(path)
    pairs = read_pairs(path)
    if "train" not in pairs:
        raise ValueError(f"{name!r} has no training part, only {listed(pairs)}")
    lacking = [part for part, (_, y) in pairs.items() if y is None]
    if lacking:
        raise ValueError(f"{name!r} has no targets for {listed(lacking)}, such as an array y or labels")
    targets = {part: y for part, (_, y) in pairs.items() if y is not None}
    classes = _classes_of(name, targets, kind)
    numbers = None if classes is None else np.array([int(c) for c in classes])
    parts = {
        part: Part(
            samples_of(name, x),
            targets[part].astype(np.float64) if numbers is None else np.searchsorted(numbers, targets[part]),
        )
        for part, (x, _) in pairs.items()
    }
    shapes = {part.x.shape[1:] for part in parts.values()}
    if len(shapes) > 1:
        raise ValueError(f"{name!r}: the samples of its parts have the shapes {sorted(shapes)}; expected one shape")
    shape = shapes.pop()
    columns = [Column(str(i), "number") for i in range(1, 1 + shape[0])]
    return Dataset(name, "arrays", parts, classes, TableSchema(columns, header=False) if len(shape) == 1 else None, "y")


def _classes_of(name: str, targets: dict[str, NDArray[Any]], kind: Kind | None) -> tuple[str, ...] | None:
    """The classes that integers stand for, None for numbers.

    Without being told, integers are classes unless most of them are different.
    """
    every = np.concatenate(list(targets.values()))
    values = np.unique(every)
    many = len(values) > _MOST_CLASSES or 2 * len(values) > len(every)
    if kind == "regression" or (kind is None and (every.dtype.kind == "f" or many)):
        return None
    if many or not (values == np.round(values)).all():
        raise ValueError(
            f"{name!r} has {len(values)} different targets, too many for classes, or some that are no integers"
        )
    return tuple(str(int(value)) for value in values)


def samples_of(name: str, x: NDArray[Any]) -> NDArray[Any]:
    """Features as float64 (N, F), or images as float32 (N, C, H, W), those of 8 bits in 0…1.

    Images of other types count as of 8 bits, too, if their values lie in 0…255 and not in 0…1.

    >>> import numpy as np
    >>> from fastnn.data.source import samples_of
    >>> samples_of("a.npz", np.full((2, 5, 6, 3), 255, np.uint8)).shape
    (2, 3, 5, 6)
    """
    if x.ndim == 2:
        return x.astype(np.float64)
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    elif x.shape[1] not in (1, 3):
        raise ValueError(
            f"{name!r} has images of shape {x.shape}; expected 1 or 3 channels, (N, C, H, W) or (N, H, W, C)"
        )
    images = np.ascontiguousarray(x, np.float32)
    if x.dtype == np.uint8 or (x.size and x.min() >= 0 and 1 < x.max() <= 255):
        images /= 255
    return images
