"""How good are the rates that `lr_range_test` suggests? Tables of regret, in Markdown.

    python tools/rate_table.py tuned
    python tools/rate_table.py untouched
    python tools/rate_table.py spread

Regret is the validation loss after training at the suggestion, over the smallest one on a grid of half decades, all by the same
budget and from the same weights. The rule and its constants were chosen on the problems called tuned; those called untouched were
written down before they were run, and run once. The spread is that of suggestions for the tuned ones where the batches come in
eight other orders.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets

from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches, StandardScaler, split
from fastnn.diagnosis import lr_range_test
from fastnn.diagnosis.lr_range import LRRange
from fastnn.training import Trainer

GRID = 10.0 ** np.arange(-5, 1.25, 0.5)
"""Rates from 1e-5 to 10."""

Arrays = tuple[np.ndarray, np.ndarray]


# ---- data ------------------------------------------------------------------------------------------------------------


def scaled(x: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and standard deviation 1."""
    return np.asarray(StandardScaler().fit_transform(x), np.float32)


def classes(x: Any, y: Any) -> Arrays:
    return scaled(x), np.asarray(y, np.int64)


def numbers(x: Any, y: Any) -> Arrays:
    return scaled(x), scaled(np.asarray(y, np.float64).reshape(len(y), -1))


def images(x: Any, y: Any) -> Arrays:
    x = np.asarray(x, np.float32)
    return (x - x.mean()) / x.std(), np.asarray(y, np.int64)


def digits() -> Arrays:
    """Pixels divided by their standard deviation all together: some columns are constant."""
    return images(*datasets.load_digits(return_X_y=True))


def digit_images() -> Arrays:
    x, y = digits()
    return x.reshape(-1, 1, 8, 8), y


def digit_rows() -> Arrays:
    """Sequences of eight rows of eight pixels."""
    x, y = digits()
    return x.reshape(-1, 8, 8), y


def photo_patches() -> Arrays:
    """Colour patches of 16 pixels from two photographs, of which one is to be told."""
    rng = np.random.default_rng(5)
    x, y = [], []
    for label, photo in enumerate(datasets.load_sample_images().images):
        for row, column in zip(rng.integers(0, 411, 500), rng.integers(0, 624, 500), strict=True):
            x.append(photo[row : row + 16, column : column + 16].transpose(2, 0, 1) / 255)
            y.append(label)
    return images(x, y)


def stripes(samples: int, side: int, noise: float, seed: int) -> Arrays:
    """Noisy waves in four directions."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, samples)
    rows, columns = np.mgrid[:side, :side]
    angle = y * np.pi / 4
    phase = np.cos(angle)[:, None, None] * rows + np.sin(angle)[:, None, None] * columns
    x = np.sin(phase * 1.5 + rng.uniform(0, 6.28, samples)[:, None, None])
    x += noise * rng.normal(size=x.shape)
    return images(x[:, None], y)


def signs_of_sums(samples: int, length: int, noise: float, seed: int) -> Arrays:
    """Sequences of numbers with marks: is the sum of the two that are marked above 0?"""
    rng = np.random.default_rng(seed)
    values, marks = rng.normal(size=(samples, length)), np.zeros((samples, length))
    for row in marks:
        row[rng.choice(length, 2, replace=False)] = 1
    y = ((values * marks).sum(axis=1) + noise * rng.normal(size=samples) > 0).astype(np.int64)
    return np.stack([values, marks], axis=2).astype(np.float32), y


def waves(samples: int, length: int, noise: float, seed: int) -> Arrays:
    """Two noisy sine waves added up, and the number that follows."""
    rng = np.random.default_rng(seed)
    t = np.arange(length + 1)
    slow, fast = rng.uniform(0.1, 0.3, (2, samples, 1)) * [[[1]], [[3]]]
    series = np.sin(slow * t + rng.uniform(0, 6, (samples, 1))) + np.sin(fast * t + rng.uniform(0, 6, (samples, 1)))
    series += noise * rng.normal(size=series.shape)
    return series[:, :-1, None].astype(np.float32), series[:, -1:].astype(np.float32)


# ---- networks --------------------------------------------------------------------------------------------------------


class LastStep(nn.Module):
    """The output of a recurrent layer at the last step, and a linear layer on it; sequences are (N, T, features)."""

    def __init__(self, recurrent: nn.Module, linear: nn.Module) -> None:
        self.recurrent, self.linear = recurrent, linear

    def forward(self, x: Any) -> Any:
        return self.linear(self.recurrent(x)[0][:, -1])


def mlp(*sizes: int, norm: bool = False, activation: type[nn.Module] = nn.ReLU) -> Callable[[Any], nn.Module]:
    def make(rng: Any) -> nn.Module:
        layers: list[nn.Module] = []
        for wide, out in pairwise(sizes[:-1]):
            layers += [
                nn.Linear(wide, out, rng=rng),
                *([nn.BatchNorm1d(out, momentum=0.9)] if norm else []),
                activation(),
            ]
        return nn.Sequential(*layers, nn.Linear(*sizes[-2:], rng=rng))

    return make


def cnn(side: int, channels: tuple[int, ...], outputs: int, norm: bool = False) -> Callable[[Any], nn.Module]:
    def make(rng: Any) -> nn.Module:
        layers: list[nn.Module] = []
        for wide, out in pairwise(channels):
            layers += [nn.Conv2d(wide, out, 3, padding=1, rng=rng)]
            layers += [*([nn.BatchNorm2d(out, momentum=0.9)] if norm else []), nn.ReLU(), nn.MaxPool2d(2)]
        last = channels[-1] * (side >> (len(channels) - 1)) ** 2
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(last, outputs, rng=rng))

    return make


def recurrent(kind: type[nn.Module], features: int, units: int, outputs: int) -> Callable[[Any], nn.Module]:
    def make(rng: Any) -> nn.Module:
        return LastStep(kind(features, units, batch_first=True, rng=rng), nn.Linear(units, outputs, rng=rng))

    return make


def sgd(parameters: Any, lr: float) -> optim.Optimizer:
    return optim.SGD(parameters, lr=lr, momentum=0.9)


USUAL = {sgd: 1e-2, optim.Adam: 1e-3, optim.AdamW: 1e-3, optim.RMSprop: 1e-3}
"""The rates that people begin with."""


# ---- problems --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """Data, a network and an optimiser, and how long to train."""

    name: str
    data: Callable[[], Arrays]
    network: Callable[[Any], nn.Module]
    optimizer: Callable[..., optim.Optimizer]
    epochs: int
    batch_size: int = 32
    loss: Callable[..., Any] = F.cross_entropy
    seed: int = 0

    def parts(self) -> tuple[Arrays, Arrays]:
        return split(*self.data(), fractions=[0.7], rng=self.seed)

    def trainer(self, lr: float) -> Trainer:
        model = self.network(np.random.default_rng([self.seed, 1]))
        return Trainer(model, self.optimizer(model.parameters(), lr=lr), self.loss, metrics={})

    def batches(self, part: Arrays, order: int = 2) -> Batches:
        return Batches(*part, batch_size=self.batch_size, shuffle=True, rng=[self.seed, order])

    def loss_after(self, lr: float, parts: tuple[Arrays, Arrays]) -> float:
        """The validation loss after training at a rate; infinite where the training broke."""
        trainer = self.trainer(lr)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            history = trainer.fit(self.batches(parts[0]), epochs=self.epochs, progress=None)
        if history.stopped:
            return np.inf
        loss = trainer.evaluate(Batches(*parts[1], batch_size=512))["loss"]
        return loss if np.isfinite(loss) else np.inf

    def range_test(self, parts: tuple[Arrays, Arrays], order: int = 2) -> LRRange:
        return lr_range_test(self.trainer(USUAL[self.optimizer]), self.batches(parts[0], order))


def breast_cancer() -> Arrays:
    return classes(*datasets.load_breast_cancer(return_X_y=True))


def wine() -> Arrays:
    return classes(*datasets.load_wine(return_X_y=True))


def made(samples: int, seed: int, **options: Any) -> Callable[[], Arrays]:
    """Classes whose labels are in part wrong."""
    return lambda: classes(*datasets.make_classification(samples, random_state=seed, **options))


def several_labels(samples: int, seed: int) -> Arrays:
    x, y = datasets.make_multilabel_classification(samples, n_features=20, n_classes=5, random_state=seed)
    return scaled(x), y.astype(np.float32)


MSE, YES_OR_NO = F.mse_loss, F.binary_cross_entropy_with_logits

# fmt: off
TUNED = [
    Problem("digits, 64-100-10", digits, mlp(64, 100, 10), sgd, 8),
    Problem("digits, 64-100-10", digits, mlp(64, 100, 10), optim.Adam, 8, seed=1),
    Problem("digits, 64-64-64-10, batch norm", digits, mlp(64, 64, 64, 10, norm=True), sgd, 6, seed=2),
    Problem("digits, 64-64-64-10, batch norm", digits, mlp(64, 64, 64, 10, norm=True), optim.Adam, 6, seed=3),
    Problem("breast cancer, 30-32-2", breast_cancer, mlp(30, 32, 2), sgd, 10, 16, seed=4),
    Problem("breast cancer, 30-32-2", breast_cancer, mlp(30, 32, 2), optim.Adam, 10, 16, seed=5),
    Problem("breast cancer, 30-32-2, batch norm", breast_cancer, mlp(30, 32, 2, norm=True), optim.Adam, 10, 16, seed=6),
    Problem("diabetes, 10-32-1", lambda: numbers(*datasets.load_diabetes(return_X_y=True)),
            mlp(10, 32, 1), optim.Adam, 10, 16, MSE, seed=7),
    Problem("diabetes, 10-32-1", lambda: numbers(*datasets.load_diabetes(return_X_y=True)),
            mlp(10, 32, 1), sgd, 10, 16, MSE, seed=8),
    Problem("two moons, 2-32-32-2, tanh", lambda: classes(*datasets.make_moons(800, noise=0.25, random_state=7)),
            mlp(2, 32, 32, 2, activation=nn.Tanh), sgd, 10, seed=9),
    Problem("two moons, 2-32-32-2, tanh", lambda: classes(*datasets.make_moons(800, noise=0.25, random_state=8)),
            mlp(2, 32, 32, 2, activation=nn.Tanh), optim.Adam, 10, seed=10),
    Problem("20 columns, 20-64-64-3", made(1000, 13, n_informative=6, n_classes=3, flip_y=0.1),
            mlp(20, 64, 64, 3), optim.RMSprop, 8, seed=11),
    Problem("20 columns, 20-64-64-3", made(1000, 14, n_informative=6, n_classes=3, flip_y=0.1),
            mlp(20, 64, 64, 3), sgd, 8, seed=12),
    Problem("digits, CNN 8-16", digit_images, cnn(8, (1, 8, 16), 10), sgd, 4, seed=13),
    Problem("digits, CNN 8-16", digit_images, cnn(8, (1, 8, 16), 10), optim.Adam, 4, seed=14),
    Problem("digits, CNN 8-16, batch norm", digit_images, cnn(8, (1, 8, 16), 10, norm=True), sgd, 4, seed=15),
    Problem("digits, CNN 8-16, batch norm", digit_images, cnn(8, (1, 8, 16), 10, norm=True), optim.Adam, 4, seed=16),
    Problem("digits by rows, LSTM 32", digit_rows, recurrent(nn.LSTM, 8, 32, 10), optim.Adam, 5, seed=17),
    Problem("digits by rows, LSTM 32", digit_rows, recurrent(nn.LSTM, 8, 32, 10), sgd, 5, seed=18),
    Problem("waves, LSTM 16", lambda: waves(800, 24, 0.1, 12), recurrent(nn.LSTM, 1, 16, 1), optim.Adam, 6, 32, MSE, 19),
    Problem("waves, LSTM 16", lambda: waves(800, 24, 0.1, 13), recurrent(nn.LSTM, 1, 16, 1), sgd, 6, 32, MSE, 20),
]
UNTOUCHED = [
    Problem("wine, 13-24-3", wine, mlp(13, 24, 3), sgd, 12, 16, seed=101),
    Problem("wine, 13-24-3, batch norm", wine, mlp(13, 24, 3, norm=True), optim.Adam, 12, 16, seed=102),
    Problem("iris, 4-16-3", lambda: classes(*datasets.load_iris(return_X_y=True)), mlp(4, 16, 3), optim.Adam, 15, 8, seed=103),
    Problem("circles, 2-48-48-2", lambda: classes(*datasets.make_circles(800, noise=0.15, factor=0.5, random_state=104)),
            mlp(2, 48, 48, 2), optim.Adam, 10, seed=104),
    Problem("gaussian quantiles, 6-64-4",
            lambda: classes(*datasets.make_gaussian_quantiles(n_samples=1200, n_features=6, n_classes=4, random_state=105)),
            mlp(6, 64, 4), sgd, 8, seed=105),
    Problem("40 columns, 40-128-64-5, batch norm", made(1500, 106, n_features=40, n_informative=10, n_classes=5, flip_y=0.15),
            mlp(40, 128, 64, 5, norm=True), sgd, 6, seed=106),
    Problem("10 blobs, 8-32-10",
            lambda: classes(*datasets.make_blobs(1000, 8, centers=10, cluster_std=6.0, random_state=107)),
            mlp(8, 32, 10), optim.Adam, 8, seed=107),
    Problem("several labels, 20-48-5", lambda: several_labels(1000, 108), mlp(20, 48, 5), sgd, 8, 32, YES_OR_NO, 108),
    Problem("Friedman 1, 10-64-1", lambda: numbers(*datasets.make_friedman1(800, noise=1.0, random_state=109)),
            mlp(10, 64, 1), optim.Adam, 10, 32, MSE, 109),
    Problem("Friedman 1, 10-64-64-1", lambda: numbers(*datasets.make_friedman1(800, noise=2.0, random_state=110)),
            mlp(10, 64, 64, 1), sgd, 10, 32, MSE, 110),
    Problem("Friedman 3, 4-32-32-1, batch norm", lambda: numbers(*datasets.make_friedman3(800, noise=0.2, random_state=111)),
            mlp(4, 32, 32, 1, norm=True), optim.RMSprop, 10, 32, MSE, 111),
    Problem("Swiss roll, 3-64-64-1, tanh", lambda: numbers(*datasets.make_swiss_roll(1000, noise=0.5, random_state=112)),
            mlp(3, 64, 64, 1, activation=nn.Tanh), optim.AdamW, 10, 32, MSE, 112),
    Problem("digits, 64-48×5-10, ELU, batch norm", digits,
            mlp(64, 48, 48, 48, 48, 48, 10, norm=True, activation=nn.ELU), sgd, 5, 64, seed=113),
    Problem("digits, CNN 16-32, batch norm", digit_images, cnn(8, (1, 16, 32), 10, norm=True), sgd, 3, seed=114),
    Problem("digits, CNN 12-24-48", digit_images, cnn(8, (1, 12, 24, 48), 10), optim.Adam, 4, seed=115),
    Problem("stripes, CNN 6-12", lambda: stripes(1000, 12, 1.5, 116), cnn(12, (1, 6, 12), 4), sgd, 4, seed=116),
    Problem("patches of photos, CNN 8-16", photo_patches, cnn(16, (3, 8, 16), 2), optim.Adam, 4, seed=117),
    Problem("patches of photos, CNN 8-16, batch norm", photo_patches, cnn(16, (3, 8, 16), 2, norm=True), sgd, 4, seed=118),
    Problem("digits by rows, GRU 40", digit_rows, recurrent(nn.GRU, 8, 40, 10), optim.Adam, 4, 64, seed=119),
    Problem("signs of sums, LSTM 24", lambda: signs_of_sums(1200, 8, 0.3, 120), recurrent(nn.LSTM, 2, 24, 2),
            optim.Adam, 8, seed=120),
    Problem("signs of sums, LSTM 24", lambda: signs_of_sums(1200, 8, 0.3, 121), recurrent(nn.LSTM, 2, 24, 2), sgd, 8, seed=121),
    Problem("waves, LSTM 32", lambda: waves(800, 30, 0.3, 122), recurrent(nn.LSTM, 1, 32, 1), sgd, 6, 16, MSE, 122),
    Problem("waves, LSTM 32", lambda: waves(800, 30, 0.3, 123), recurrent(nn.LSTM, 1, 32, 1), optim.Adam, 6, 16, MSE, 123),
]
# fmt: on
PROBLEMS = {"tuned": TUNED, "untouched": UNTOUCHED}


# ---- tables ----------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """What came out for a problem."""

    problem: Problem
    suggested: float
    loss: float
    best_rate: float
    best_loss: float
    usual_loss: float

    @property
    def regret(self) -> float:
        return self.loss / self.best_loss

    @property
    def usual_regret(self) -> float:
        return self.usual_loss / self.best_loss


def row_of(problem: Problem) -> Row:
    """Runs the range test and all trainings of a problem."""
    parts = problem.parts()
    losses = np.array([problem.loss_after(float(lr), parts) for lr in GRID])
    found = problem.range_test(parts)
    suggested = np.nan if found.rate is None else found.suggested
    loss = np.inf if found.rate is None else problem.loss_after(suggested, parts)
    best = int(np.argmin(losses))
    usual = losses[np.argmin(np.abs(np.log(GRID / USUAL[problem.optimizer])))]
    return Row(problem, suggested, loss, float(GRID[best]), float(losses[best]), float(usual))


def markdown(rows: list[Row]) -> str:
    """A table of rows, and what they come to."""
    lines = [
        "| problem | optimiser | suggested | best on the grid | loss | best loss | regret | regret of the usual rate |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        name = "SGD, momentum 0.9" if row.problem.optimizer is sgd else row.problem.optimizer.__name__
        figures = f"{row.suggested:.2g} | {row.best_rate:.2g} | {row.loss:.4g} | {row.best_loss:.4g}"
        lines.append(f"| {row.problem.name} | {name} | {figures} | {row.regret:.2f} | {row.usual_regret:.2f} |")
    for name, regrets in (
        ("the suggestion", [row.regret for row in rows]),
        ("the usual rate", [row.usual_regret for row in rows]),
    ):
        near = sum(regret <= 1.25 for regret in regrets)
        lines.append(
            f"\nRegret of {name}: median {np.median(regrets):.2f}, worst {max(regrets):.2f}, "
            f"at most 1.25 in {near} of {len(regrets)}."
        )
    return "\n".join(lines)


def spread(problem: Problem) -> float:
    """The highest suggestion over the lowest."""
    parts = problem.parts()
    rates = [problem.range_test(parts, order).suggested for order in range(3, 11)]
    return max(rates) / min(rates)


def main(names: list[str]) -> None:
    for name in names:
        if name == "spread":
            spreads = [spread(problem) for problem in TUNED]
            print(f"## spread\n\nmedian {np.median(spreads):.2g}, worst {max(spreads):.2g}\n", flush=True)
            continue
        rows = [row_of(problem) for problem in PROBLEMS[name]]
        print(f"## {name}\n\n{markdown(rows)}\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
