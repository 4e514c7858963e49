"""What the tests of scalers are given."""

import numpy as np
import pytest

from fastnn import backend
from fastnn.data import MinMaxScaler, StandardScaler

BACKENDS = backend.available_backends()
BOTH = [StandardScaler, MinMaxScaler]
quiet = pytest.mark.filterwarnings("ignore:.* features have no")


class Table:
    """As little of a data frame as scalers look at."""

    def __init__(self, array, columns):
        self._array, self.columns = np.asarray(array), columns

    def __array__(self, dtype=None, copy=None):
        return self._array


def columns(n=200, seed=0):
    """Random, constant, far from zero, tiny, skewed, integers."""
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            rng.standard_normal(n) * 3 + 2,
            np.full(n, 14.62),
            1e8 + rng.choice([-1.0, 1.0], n),
            rng.standard_normal(n) * 1e-300,
            rng.lognormal(0, 3, n),
            rng.integers(-5, 5, n).astype(float),
            np.zeros(n),
        ],
        axis=1,
    )


def in_parts(scaler, x, *sizes):
    for part in np.split(x, np.cumsum(sizes)):
        scaler.partial_fit(part)
    return scaler
