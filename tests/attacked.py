"""Networks and data whose robustness is tested."""

import numpy as np

from fastnn import nn
from harness import NATIVE

BACKENDS = ["numpy", *["native"] * NATIVE]
EPS = 0.05


def mlp(inputs=6, outputs=3, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(inputs, 16, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(16, outputs, rng=rng, dtype=dtype)
    )


def data(n=40, inputs=6, classes=3, dtype=np.float32, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, inputs)).astype(dtype), rng.integers(0, classes, n)
