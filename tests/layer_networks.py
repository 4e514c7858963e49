"""Networks and data that statistics of layers are made of."""

import numpy as np

from fastnn import init, nn
from fastnn.data import Batches
from fastnn.nn.module import Module

SAMPLES, WIDE = 1200, 100


def drawn(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def data(samples=SAMPLES, features=WIDE, classes=10, batch_size=128):
    labels = np.random.default_rng(1).integers(0, classes, samples)
    return Batches(drawn((samples, features)), labels, batch_size=batch_size)


def deep(activation, depth, draw=None, wide=WIDE):
    rng = np.random.default_rng(2)
    layers = []
    for _ in range(depth):
        linear = nn.Linear(wide, wide, rng=rng)
        if draw is not None:
            linear.weight.data[...] = draw(linear.weight.shape, rng=rng)
        layers += [linear, activation()]
    return nn.Sequential(*layers, nn.Linear(wide, 10, rng=rng))


def normal(std):
    return lambda shape, rng: init.normal(shape, 0.0, std, rng=rng)


class Recurrent(Module):
    def __init__(self, kind, batch_first, **options):
        self.rows = nn.Embedding(30, 5, rng=0)
        self.layer = kind(5, 7, batch_first=batch_first, rng=1, **options)
        self.last = nn.Linear(7, 10, rng=2)
        self.batch_first = batch_first

    def forward(self, x):
        x = self.rows(x) if self.batch_first else self.rows(x).swapaxes(0, 1)
        y, _ = self.layer(x)
        return self.last(y[:, -1] if self.batch_first else y[-1])
