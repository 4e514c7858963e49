"""A trained model with all that is known of its samples: from files to classes and numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import functional as F
from .._files import PathLike, listed
from ..autograd import raw
from ..checkpoint import CheckpointError, load_checkpoint
from ..data import LabelledImages, TableSchema, read_idx, read_image, read_image_folder, read_mnist
from ..data.cifar import cifar_files, read_cifar10_folder
from ..data.image_folder import image_parts
from ..data.mnist import has_mnist
from ..data.named_arrays import read_pairs
from ..data.pictures import Mode
from ..data.source import recognise, samples_of
from ..nn import Module
from ..nn.model_file import load_model
from .checkpoints import KIND as OF_A_TRAINING
from .ground import ground_of
from .prediction import predict

_LAST_FIRST = ("test", "validation", "train")


@dataclass(frozen=True)
class Samples:
    """What a file holds for a model.

    Parameters
    ----------
    names : sequence of str
        Of each sample: its file, or file and row.
    x : ndarray
        What the model is called with.
    y : ndarray or None
        Positions in the model's classes, −1 for a class that it does not know; or numbers.
    notes : tuple of str
        What was assumed or left out.
    """

    names: Sequence[str]
    x: NDArray[Any]
    y: NDArray[Any] | None
    notes: tuple[str, ...] = ()


class Predictor:
    """A model from a file of `OwnTraining.save`, in evaluation mode.

    Parameters
    ----------
    path : path
        The file.

    Attributes
    ----------
    model : Module
    classes : tuple of str or None
        None where the model predicts numbers.
    form : str
        The form of the data that it was trained on, "digits" for the demo's.
    shape : tuple of int
        Of a sample.
    schema : TableSchema or None
        Of tables.

    Raises
    ------
    CheckpointError
        If the file is no such model, is damaged, or has weights that are not finite.
    OSError
        If it cannot be opened.

    Examples
    --------
    >>> from fastnn.training.predictor import Predictor
    >>> predictor = Predictor("wine.npz")  # doctest: +SKIP
    >>> samples = predictor.read("new.csv")  # doctest: +SKIP
    >>> predictor.classes[predictor.predict(samples.x)[0].argmax()]  # doctest: +SKIP
    'class_1'
    """

    def __init__(self, path: PathLike) -> None:
        state = load_checkpoint(path)
        name = os.fspath(path)
        if state.get("kind") == OF_A_TRAINING:
            raise CheckpointError(f"{name!r} is the checkpoint of a training; give the finished model, its --output")
        if not isinstance(state.get("data"), dict):
            raise CheckpointError(f"{name!r} is a fastnn checkpoint, but no model of `fastnn train`")
        self.model: Module = load_model(path)
        if not all(np.isfinite(array).all() for array in self.model.state_dict().values()):
            raise CheckpointError(f"{name!r} holds weights that are not finite: the training went wrong")
        try:
            self._describe(**state["data"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{name!r} is a damaged model: {error}") from error

    def _describe(
        self,
        form: str,
        target: str,
        classes: list[str] | None,
        sample: list[int],
        schema: dict[str, Any] | None,
        ground: str | None,
    ) -> None:
        if not all(isinstance(text, str) for text in (form, target, *(classes or ()))):
            raise ValueError("names must be strings")
        if ground not in ("dark", "light", None):
            raise ValueError(f"the ground is {ground!r}")
        if not all(isinstance(side, int) and side > 0 for side in sample) or len(sample) not in (1, 3):
            raise ValueError(f"the shape of a sample is {sample!r}")
        self.form, self.target, self.shape = form, target, tuple(sample)
        self.classes = None if classes is None else tuple(classes)
        self._ground = ground
        self.schema: TableSchema | None = None
        if schema is not None:
            self.schema = TableSchema()
            self.schema.load_state_dict(schema)
        if len(sample) == 1 and (self.schema is None or len(self.schema.names) != sample[0]):
            raise ValueError(f"the columns are not those of {sample[0]} features")
        outputs = predict(self.model, np.zeros((1, *self.shape), np.float64 if len(sample) == 1 else np.float32))
        if outputs.shape != (1, 1 if classes is None else len(classes)):
            raise ValueError(f"the model gives shape {outputs.shape}")

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Probabilities (N, classes) of samples, or numbers (N,)."""
        if not len(x):
            return np.empty(0 if self.classes is None else (0, len(self.classes)))
        found: NDArray[Any] = predict(self.model, x)
        return found[:, 0] if self.classes is None else raw(F.softmax(found))

    # ---- files -------------------------------------------------------------------------------------------------------------

    def read(self, path: PathLike) -> Samples:
        """Read a file or folder of samples.

        Raises
        ------
        ValueError
            If it holds something else than the model was trained on.
        OSError
            If it cannot be opened.
        """
        name = os.fspath(path)
        form = recognise_unlabelled(name)
        if form == "arrays":
            return self._from_arrays(name)
        if self.schema is not None:
            return self._from_table(name, form)
        if form == "csv":
            raise ValueError(f"{name!r} is a table, but the model was trained on images")
        return self._from_images(name, form)

    def _from_table(self, path: str, form: str) -> Samples:
        if form != "csv":
            raise ValueError(f"{path!r} is no table: the model was trained on one")
        assert self.schema is not None
        table = self.schema.read(path)
        lacking = [f"{name} ({count})" for name, count in table.missing.items()]
        notes = (*table.notes, *([f"missing values filled: {', '.join(lacking)}"] if lacking else []))
        return Samples(_numbered(path, len(table.x)), table.x, table.y, notes)

    def _from_arrays(self, path: str) -> Samples:
        pairs = read_pairs(path)
        part = next(part for part in _LAST_FIRST if part in pairs)
        x, y = pairs[part]
        samples = samples_of(path, x)
        if samples.shape[1:] != self.shape:
            raise ValueError(
                f"{path!r} has samples of shape {samples.shape[1:]}; the model was trained on {self.shape}"
            )
        return Samples(_numbered(path, len(x)), samples, self._targets(y), (f"part {part}",) if len(pairs) > 1 else ())

    def _targets(self, y: NDArray[Any] | None) -> NDArray[Any] | None:
        if y is None or self.classes is None:
            return y
        return self._positions([str(int(value)) if value == int(value) else str(value) for value in y.tolist()])

    def _positions(self, names: Sequence[str]) -> NDArray[np.int64]:
        assert self.classes is not None
        known = {name: i for i, name in enumerate(self.classes)}
        strange = sorted({name for name in names if name not in known})
        if strange:
            raise ValueError(f"the classes {listed(strange)} are none of the model's, {listed(self.classes, 20)}")
        return np.array([known[name] for name in names], np.int64)

    def _from_images(self, path: str, form: str) -> Samples:
        match form:
            case "picture":
                return self._pictures([path], self._picture(path), None)
            case "pictures":
                entries = sorted(entry for entry in os.listdir(path) if not entry.startswith("."))
                files = [os.path.join(path, entry) for entry in entries]
                return self._pictures(files, np.concatenate([self._picture(file) for file in files]), None)
            case "idx":
                images = read_idx(path)
                if images.ndim not in (3, 4):
                    raise ValueError(f"{path!r} is an IDX file of shape {images.shape}; expected images, (N, H, W)")
                return self._fitting(path, samples_of(path, images), None)
            case "idx folder" | "cifar folder":
                sets = read_mnist(path) if form == "idx folder" else read_cifar10_folder(path)
                part = sets.test or sets.train
                return self._fitting(path, part.images, self._labels(part))
        parts = image_parts(path)
        folder = next((parts[name] for name in _LAST_FIRST if name in parts), path)
        part = read_image_folder(folder, self.shape[1:], self._mode)  # type: ignore[arg-type]
        return self._pictures(part.files, part.images, self._labels(part))

    @property
    def _mode(self) -> Mode:
        return "L" if self.shape[0] == 1 else "RGB"

    def _labels(self, part: LabelledImages) -> NDArray[np.int64]:
        return self._positions([part.classes[label] for label in part.labels])

    def _fitting(self, path: str, images: NDArray[Any], labels: NDArray[np.int64] | None) -> Samples:
        if images.shape[1:] != self.shape:
            raise ValueError(f"{path!r} has images of shape {images.shape[1:]}; the model was trained on {self.shape}")
        return Samples(_numbered(path, len(images)), images, labels)

    def _picture(self, path: str) -> NDArray[np.float32]:
        """(1, C, H, W), of the size that the model takes."""
        _, height, width = self.shape
        return read_image(path, (height, width), self._mode)[None]

    def _pictures(self, files: Sequence[str], images: NDArray[np.float32], labels: NDArray[np.int64] | None) -> Samples:
        """Samples of pictures, where those whose ground is light when the model knows dark ones, or the reverse, are inverted."""
        others = {"dark": "light", "light": "dark"}.get(self._ground or "")
        turned = [i for i in range(len(images)) if others is not None and ground_of(images[i : i + 1]) == others]
        images[turned] = 1 - images[turned]
        note = f"{len(turned)} of {len(images)} with {others} ground, other than the model knows it: inverted"
        return Samples(files, images, labels, (note,) if turned else ())


def recognise_unlabelled(path: str) -> str:
    """What is at a path, as `recognise` says; "pictures" for a folder that holds files alone.

    >>> import tempfile
    >>> from fastnn.training.predictor import recognise_unlabelled
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         recognise_unlabelled(folder)
    ...     except ValueError as error:
    ...         print("empty" in str(error))
    True
    """
    if os.path.isdir(path) and not has_mnist(path) and not any(cifar_files(path)):
        entries = [entry for entry in os.scandir(path) if not entry.name.startswith(".")]
        if not entries:
            raise ValueError(f"{path!r} is an empty folder")
        if not any(entry.is_dir() for entry in entries):
            return "pictures"
    return recognise(path)


def _numbered(path: str, count: int) -> list[str]:
    return [f"{path}:{row}" for row in range(1, count + 1)]
