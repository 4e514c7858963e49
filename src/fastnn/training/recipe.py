"""How to train on data of one's own: which network, augmentation, loss, rate and stopping suit which kind of data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import nn
from .._generators import generator
from ..data import ImageScaler, Imputer, StandardScaler, compose, random_crop, random_flip, random_noise, random_shift
from ..data.augment import Transform
from ..data.source import FEW_ROWS, Dataset
from .networks import image_network, table_network

_PIXELS = 25_000_000  # a training goes through so many in all, unless that is too few or too many epochs
_EPOCHS_OF_IMAGES = (5, 30)
_STEPS_OF_TABLES = 10_000
_EPOCHS_OF_TABLES = (10, 60)
_JUDGES = 200  # with fewer validation samples, the epoch with the best loss may be best by accident
_PHOTOS = ("cifar folder", "image folder", "parts folder")


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Parameters
    ----------
    epochs, batch_size, lr
        Passes over the training part, samples per step, and Adam's highest learning rate, which then falls along a cosine.
    weight_decay : float
        Of AdamW.
    patience : int or None
        Epochs without improvement of the validation loss after which the training ends, with the best weights; None trains
        to the end.
    augment : callable or None
        ``f(batch, rng) -> batch``.
    hidden : tuple of int, optional
        Units of the hidden layers of a network for tables, by default as many as suit the number of samples.
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.0
    patience: int | None = None
    augment: Transform | None = None
    hidden: tuple[int, ...] | None = None


def recipes_for(data: Dataset) -> list[Recipe]:
    """The recipes that come into question for data of a kind, the most cautious first.

    Parameters
    ----------
    data : Dataset
        With its parts.

    Returns
    -------
    list of Recipe
        Of images one: 8 to 64 samples a step, and as many epochs as go through 25 million pixels, but 5 to 30. They are
        shifted by up to a twelfth of their size; colour pictures in folders and those of CIFAR-10 are also mirrored, which
        digits, letters and drawings don't bear.

        Of tables of less than 1000 rows two, 60 epochs each: a low rate with a strong weight decay, which leaves little but
        the linear part, as noisy tables want it; and a higher rate, for those that follow other laws. `selected` chooses. Larger
        tables are trained at a rate between the two; where the validation part has 200 samples or more, its loss ends the training.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data.source import Dataset, Part
    >>> from fastnn.training.recipe import recipes_for
    >>> [recipe.lr for recipe in recipes_for(Dataset("a", "csv", {"train": Part(np.zeros((100, 2)), np.zeros(100))}, None))]
    [0.003, 0.01]
    """
    train = data.parts["train"].x
    samples = len(train)
    if data.images:
        epochs = min(max(_PIXELS // train.size, _EPOCHS_OF_IMAGES[0]), _EPOCHS_OF_IMAGES[1])
        batch_size = min(max(8, samples // 16), 64, samples)  # few samples need small batches for enough steps
        return [Recipe(epochs, batch_size, 3e-3, augment=_augmentation(data))]
    batch_size = min(32 if samples < 10_000 else 256, samples)
    epochs = min(max(_STEPS_OF_TABLES * batch_size // samples, _EPOCHS_OF_TABLES[0]), _EPOCHS_OF_TABLES[1])
    judged = "validation" in data.parts and len(data.parts["validation"].x) >= _JUDGES
    if samples >= FEW_ROWS:
        return [Recipe(epochs, batch_size, 5e-3, weight_decay=0.2, patience=15 if judged else None)]
    cautious = Recipe(epochs, batch_size, 3e-3, weight_decay=1.0)
    return [cautious, replace(cautious, lr=1e-2, weight_decay=0.2)]


def _augmentation(data: Dataset) -> Transform:
    if data.form == "digits":
        return augment_digits
    x = data.parts["train"].x
    shift = partial(random_crop, padding=_margin(x.shape[2:]), mode="reflect")
    if data.form in _PHOTOS and x.shape[1] == 3:
        return compose(random_flip, shift)
    return shift


def _margin(size: tuple[int, ...]) -> tuple[int, int]:
    """How far images are shifted: a twelfth of a side, but what can be mirrored at their edges."""
    height, width = (min(max(1, side // 12), side - 1) for side in size)
    return height, width


def augment_digits(images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Half of the images shifted by up to a pixel, all with a little noise: for digits whose ink reaches the edges.

    >>> import numpy as np
    >>> from fastnn.training.recipe import augment_digits
    >>> augment_digits(np.zeros((2, 1, 8, 8), np.float32), np.random.default_rng(0)).shape
    (2, 1, 8, 8)
    """
    return random_noise(random_shift(images, rng, pixels=1, share=0.5), rng, std=0.05)


def model_for(data: Dataset, rng: Any = None, hidden: tuple[int, ...] | None = None) -> nn.Sequential:
    """A model for data as they are in the file: scaling, for tables what fills gaps, and a network.

    Parameters
    ----------
    data : Dataset
        Statistics are those of its training part.
    rng : optional
        Anything `numpy.random.default_rng` takes: initial weights and dropout masks are drawn from it.
    hidden : tuple of int, optional
        As of `Recipe`.

    Returns
    -------
    Sequential
        From samples to logits (N, classes), or to a number (N, 1) in the target's own units.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.data.source import Dataset, Part
    >>> from fastnn.training.recipe import model_for
    >>> data = Dataset("a.csv", "csv", {"train": Part(np.array([[1.0], [np.nan]]), np.array([0, 1]))}, ("no", "yes"))
    >>> model_for(data, rng=0)
    Sequential(
      (0): FillMissing(1)
      (1): Standardize(1, out_dtype='float64')
      (2): Residual(
        (branch): Sequential(
          (0): Linear(1, 64)
          (1): ReLU()
          (2): Dropout(0.2)
          (3): Linear(64, 2)
        )
        (shortcut): Linear(1, 2)
        (activation): Identity()
      )
    )
    """
    rng = generator(rng)
    x, y, _ = data.parts["train"]
    outputs = 1 if data.classes is None else len(data.classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about constant features, which do no harm here
        if data.images:
            layers = [ImageScaler().fit(x).as_module(), image_network(x.shape[1], x.shape[2:], outputs, rng)]
        else:
            fill = Imputer().fit(x)
            scale = StandardScaler().fit(fill.transform(x))
            network = table_network(x.shape[1], outputs, hidden or _hidden(len(x)), rng)
            layers = [fill.as_module(), scale.as_module(dtype=x.dtype), network]
    if data.classes is None:
        assert y is not None
        layers.append(_in_units(y, x.dtype))
    return nn.Sequential(*layers)


def _hidden(samples: int) -> tuple[int, ...]:
    """Units of the hidden layers for a table: a second layer is more than small ones can bear."""
    return (64,) if samples < FEW_ROWS else (128, 64)


def _in_units(y: NDArray[np.float64], dtype: np.dtype[Any]) -> nn.Module:
    """A layer from numbers around 0 to those of a target with these values."""
    mean, spread = scale_of(y)
    layer = nn.Standardize(1, inverse=True, out_dtype=dtype)
    layer.mean, layer.scale = np.array([mean]), np.array([spread])
    return layer


def scale_of(y: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation, which is 1 for a constant.

    >>> import numpy as np
    >>> from fastnn.training.recipe import scale_of
    >>> scale_of(np.array([4.0, 4.0])), scale_of(np.array([1.0, 3.0]))
    ((4.0, 1.0), (2.0, 1.0))
    """
    mean, spread = float(y.mean()), float(y.std())
    return mean, spread if spread > 1e-12 * abs(mean) else 1.0
