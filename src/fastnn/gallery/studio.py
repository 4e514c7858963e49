"""Data and networks that the pictures of the gallery share, all from one seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import nn, optim
from ..data import Batches, DigitsSplit, load_digits
from ..training import History, Trainer

Samples = tuple[NDArray[np.float32], NDArray[np.int64]]


class Studio:
    """Random numbers, data sets and trained networks.

    Parameters
    ----------
    seed : int
        Everything follows from it.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def rng(self, name: str) -> np.random.Generator:
        """A generator for one purpose, which depends on no other purpose."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    @cached_property
    def digits(self) -> DigitsSplit:
        """The digits that come with scikit-learn; without it a `MissingExtraError` says what to install."""
        return load_digits()

    @cached_property
    def cnn(self) -> nn.Sequential:
        """A small convolutional network, trained on the digits."""
        rng = self.rng("cnn")
        model = nn.Sequential(
            nn.Conv2d(1, 12, 5, padding=2, rng=rng),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1, rng=rng),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(96, 10, rng=rng),
        )
        optimizer = optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
        train(model, self.digits.train, optimizer, epochs=8, rng=rng)
        return model


def train(
    model: nn.Module,
    data: tuple[Any, Any],
    optimizer: optim.Optimizer,
    *,
    epochs: int,
    rng: np.random.Generator,
    validation: tuple[Any, Any] | None = None,
    batch_size: int = 32,
    callbacks: Iterable[Any] = (),
    evaluate_train: bool = False,
) -> History:
    """Train a network without a word; returns its history."""
    trainer = Trainer(model, optimizer)
    batches = Batches(*data, batch_size=batch_size, shuffle=True, rng=rng)
    judged = None if validation is None else Batches(*validation, batch_size=512)
    return trainer.fit(
        batches, judged, epochs=epochs, callbacks=callbacks, progress=False, evaluate_train=evaluate_train
    )


def dense(
    rng: np.random.Generator, sizes: Iterable[int], activation: Callable[[], nn.Module] = nn.Tanh
) -> nn.Sequential:
    """Linear layers of these sizes with an activation between them."""
    listed = list(sizes)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(listed):
        layers += [nn.Linear(inputs, outputs, rng=rng), activation()]
    return nn.Sequential(*layers[:-1])


def moons(rng: np.random.Generator, count: int, noise: float = 0.1) -> Samples:
    """Two half circles that reach into each other, in turn."""
    angle = rng.uniform(0, np.pi, count)
    labels = np.arange(count) % 2
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    lower = np.column_stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    points = np.where(labels[:, None] == 0, upper, lower) + rng.normal(0, noise, (count, 2))
    return points.astype(np.float32), labels.astype(np.int64)


def curves(count: int) -> Samples:
    """Two curves like those in Olah's "Neural networks, manifolds, and topology": one lies in the bend of the other."""
    along = np.linspace(-1, 1, count // 2)
    first = np.column_stack([along, 0.9 * along**2 - 0.25])
    second = np.column_stack([along, 0.9 * along**2 - 0.7])
    points = np.concatenate([first, second]).astype(np.float32)
    return points, np.repeat(np.arange(2), count // 2).astype(np.int64)


def spirals(rng: np.random.Generator, arms: int, count: int) -> Samples:
    """Arms of a spiral, so many samples each."""
    along = np.linspace(0.25, 1, count)
    points = []
    for i in range(arms):
        angle = 4.5 * along + 2 * np.pi * i / arms
        points.append(along[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]))
    noisy = np.concatenate(points) + rng.normal(0, 0.025, (arms * count, 2))
    return noisy.astype(np.float32), np.repeat(np.arange(arms), count).astype(np.int64)
