"""A training with a known fault, or none, and the words that are right for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import EarlyStopping, History, Trainer
from verdict_problems import Array

GOOD, OVER, UNDER, NOT, STILL, DIVERGED = (
    "good",
    "overfitting",
    "underfitting",
    "not learning",
    "still improving",
    "diverged",
)

Changes = dict[str, Any]
SLOW: Changes = {"lr": 1e-8, "intended": (NOT,)}
FAST: Changes = {"lr": 10.0, "intended": (DIVERGED,)}
SHUFFLED: Changes = {"shuffled": True, "intended": (NOT,)}


@dataclass(frozen=True)
class Case:
    """A training and the words that are right for it."""

    name: str
    data: Callable[[np.random.Generator], tuple[Array, Array]]
    network: Callable[[np.random.Generator], nn.Module]
    intended: tuple[str, ...] = (GOOD,)
    loss: Any = F.cross_entropy
    epochs: int = 30
    lr: float = 2e-3
    batch: int = 32
    optimizer: Any = optim.Adam
    samples: int | None = None  # for training
    wrong: float = 0.0  # share of labels that are drawn anew, in both parts
    shuffled: bool = False
    stopping: int | None = None  # patience
    weighted: bool = False
    seeds: tuple[int, ...] = ()


def variants(healthy: Case, changed: dict[str, Changes], seeds: tuple[int, ...]) -> Iterator[Case]:
    """What is made of a healthy training."""
    for what, changes in changed.items():
        yield replace(healthy, name=f"{healthy.name}: {what}", seeds=seeds, **changes)


def parts(case: Case, rng: np.random.Generator) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Training and validation, two thirds and a third."""
    x, y = case.data(rng)
    if case.wrong:
        chosen = rng.random(len(y)) < case.wrong
        y = np.where(chosen.reshape((-1,) + (1,) * (y.ndim - 1)), rng.permutation(y), y)
    if case.shuffled:
        y = rng.permutation(y)
    border = 2 * len(x) // 3
    rows = slice(0, min(border, case.samples or border))
    arrays = (x, y, rng.uniform(0.5, 1.5, len(y)).astype(np.float32)) if case.weighted else (x, y)
    return tuple(a[rows] for a in arrays), tuple(a[border:] for a in arrays)


def trained(case: Case, seed: int) -> History:
    """The history of a case. Trainings with even seeds evaluate the training part too."""
    rng = np.random.default_rng([seed, sum(case.name.encode())])
    train, validation = parts(case, rng)
    model = case.network(rng)
    optimizer = case.optimizer(model.parameters(), lr=case.lr)
    trainer = Trainer(model, optimizer, case.loss)
    callbacks = [] if case.stopping is None else [EarlyStopping(patience=case.stopping)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return trainer.fit(
            Batches(*train, batch_size=min(case.batch, len(train[0])), shuffle=True, rng=rng),
            Batches(*validation, batch_size=256),
            epochs=case.epochs,
            callbacks=callbacks,
            progress=False,
            evaluate_train=seed % 2 == 0,
        )


class Momentum(optim.SGD):
    """Gradient descent with momentum 0.9."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, lr=lr, momentum=0.9)
