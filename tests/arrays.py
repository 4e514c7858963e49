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
