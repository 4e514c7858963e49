"""What the networks of this folder are given: arguments of ``step``, of a size to test and of a size to time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Arguments = tuple[Any, ...]


def weights(rng: np.random.Generator, *shape: int, fan_in: int) -> np.ndarray:
    return rng.standard_normal(shape) / np.sqrt(fan_in)


def lenet(rng: np.random.Generator, n: int) -> Arguments:
    shapes = [((6, 1, 5, 5), 25), ((16, 6, 5, 5), 150), ((400, 120), 400), ((120, 10), 120)]
    params = []
    for shape, fan_in in shapes:
        outputs = shape[0] if len(shape) == 4 else shape[1]
        params += [weights(rng, *shape, fan_in=fan_in), 0.1 * rng.standard_normal(outputs)]
    return rng.standard_normal((n, 1, 28, 28)), rng.integers(0, 10, n), params


def conv_loops(rng: np.random.Generator, n: int) -> Arguments:
    x, target = rng.standard_normal((n, 12, 12, 3)), rng.standard_normal((n, 6, 6, 8))
    return x, target, weights(rng, 3, 3, 3, 8, fan_in=27), rng.standard_normal((1, 1, 1, 8))


def spatial_norm(rng: np.random.Generator, n: int) -> Arguments:
    shape, c = (n, 16, 16, 16), 16
    running = {"mean": np.zeros(c), "var": np.ones(c)}
    return (
        3 + 2 * rng.standard_normal(shape),
        rng.standard_normal(shape),
        rng.uniform(0.5, 1.5, c),
        rng.standard_normal(c),
        running,
    )


def rnn(rng: np.random.Generator, n: int) -> Arguments:
    steps, inputs, units, symbols = 20, 64, 128, 50
    return (
        rng.standard_normal((n, steps, inputs)),
        rng.integers(0, symbols, (n, steps)),
        rng.standard_normal((n, units)),
        weights(rng, inputs, units, fan_in=inputs),
        weights(rng, units, units, fan_in=units),
        0.1 * rng.standard_normal(units),
        weights(rng, units, symbols, fan_in=units),
        0.1 * rng.standard_normal(symbols),
    )


def lstm(rng: np.random.Generator, n: int) -> Arguments:
    steps, inputs, units = 20, 64, 128
    x, target = rng.standard_normal((steps, n, inputs)), rng.standard_normal((steps, n, units))
    h, c = rng.standard_normal((2, n, units))
    return x, target, h, c, weights(rng, inputs + units + 1, 4 * units, fan_in=inputs + units)


def captions(rng: np.random.Generator, n: int) -> Arguments:
    vocabulary, width, features = 1000, 256, 512
    words = rng.integers(1, vocabulary, (n, 17))
    words[np.arange(17) >= rng.integers(5, 18, n)[:, None]] = 0
    return (
        rng.standard_normal((n, features)),
        words,
        weights(rng, vocabulary, width, fan_in=4),
        weights(rng, features, width, fan_in=features),
        0.1 * rng.standard_normal(width),
        weights(rng, width, vocabulary, fan_in=width),
        0.1 * rng.standard_normal(vocabulary),
    )


def one_by_one(rng: np.random.Generator, n: int) -> Arguments:
    widths = [784, 30, 10]
    layers = list(itertools.pairwise(widths))
    pairs = [(rng.random((784, 1)), np.eye(10)[:, [i % 10]]) for i in range(n)]
    return pairs, [weights(rng, o, i, fan_in=i) for i, o in layers], [rng.standard_normal((o, 1)) for _, o in layers]


def sklearn_mlp(rng: np.random.Generator, n: int) -> Arguments:
    from sklearn.neural_network import MLPClassifier

    classifier = MLPClassifier((200, 100), activation="logistic", solver="sgd", random_state=0)
    return rng.standard_normal((n, 64)), rng.integers(0, 10, n), classifier


def thinc_layer(rng: np.random.Generator, n: int) -> Arguments:
    shapes = [(300, 96), (300, 300), (64, 300)]
    x, target = rng.standard_normal((n, 96), np.float32), rng.standard_normal((n, 64), np.float32)
    return x, target, [weights(rng, *shape, fan_in=shape[1]).astype(np.float32) for shape in shapes]


def autograd_conv(rng: np.random.Generator, n: int) -> Arguments:
    x, one_hot = rng.standard_normal((n, 1, 28, 28)), np.eye(10)[rng.integers(0, 10, n)]
    params = [
        weights(rng, 1, 6, 5, 5, fan_in=25),
        rng.standard_normal((1, 6, 1, 1)),
        weights(rng, 6, 16, 5, 5, fan_in=150),
        rng.standard_normal((1, 16, 1, 1)),
        weights(rng, 256, 10, fan_in=256),
        rng.standard_normal(10),
    ]
    return x, one_hot, params


def jax_conv(rng: np.random.Generator, n: int) -> Arguments:
    x, one_hot = rng.standard_normal((n, 16, 32, 32), np.float32), np.eye(10, dtype=np.float32)[rng.integers(0, 10, n)]
    params = [weights(rng, 32, 16, 3, 3, fan_in=144), weights(rng, 64, 32, 3, 3, fan_in=288)]
    params.append(weights(rng, 64, 10, fan_in=64))
    return x, one_hot, [p.astype(np.float32) for p in params]


# Batch sizes of a test and of a measurement, and by what share of the largest value of an array results may differ.
SIZES = {
    lenet: (3, 64, 1e-12),
    conv_loops: (2, 4, 1e-12),
    spatial_norm: (3, 32, 1e-12),
    rnn: (3, 64, 1e-12),
    lstm: (3, 64, 1e-12),
    captions: (3, 64, 1e-12),
    one_by_one: (3, 10, 1e-12),
    sklearn_mlp: (50, 2000, 1e-12),
    thinc_layer: (5, 256, 1e-5),
    autograd_conv: (2, 16, 1e-12),
    jax_conv: (2, 16, 1e-4),
}
