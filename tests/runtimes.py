"""The runtimes of threads, and what a process computes with one of them."""

import importlib.util

import pytest

RUNTIMES = ["pool"] + ["openmp"] * (importlib.util.find_spec("fastnn._openmp") is not None)
by_runtime = pytest.mark.parametrize("runtime", RUNTIMES)

SET_UP = """
    import os, sys, threading
    import numpy as np
    import fastnn as fnn, fastnn.functional as F
    from fastnn import _core

    fnn.set_num_threads(2)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((4, 8, 40, 40)), rng.standard_normal((16, 8, 3, 3))

    def work():
        y = F.conv2d(x, w, padding=1)
        return F.max_pool2d(F.relu(F.layer_norm(y, y.shape[1:])), 2).tobytes()

    expected = work()
    out = np.empty(64, np.float32)
    _core.probe_ranges(out, 1e9)
    assert len(np.unique(out)) == 2, "no parallel call was made"
"""
