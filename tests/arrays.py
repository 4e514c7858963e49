"""Arrays that tests are given, and the message of an error that they expect."""

import numpy as np
import pytest

CLASSES = np.array([0, 1, 2, 1])


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def message(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


class Shuffled:
    """Batches of arrays in a new order each time, which is drawn from a generator of its own."""

    def __init__(self, x, y, batch_size, seed=7):
        self.x, self.y, self.batch_size = x, y, batch_size
        self.rng = np.random.default_rng(seed)

    def __iter__(self):
        order = self.rng.permutation(len(self.x))
        for i in range(0, len(order), self.batch_size):
            rows = order[i : i + self.batch_size]
            yield self.x[rows], self.y[rows]
