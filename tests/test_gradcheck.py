"""Every gradient against central differences, in float64, on both backends."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn.testing import gradcheck
from harness import own
from op_table import OPS

LIMIT = 1000  # elements of a sample's arrays
CHECKED = 60  # elements of each array that are moved; each costs two evaluations


def _small(op):
    samples = [s for s in op.samples() if not s.special and 0 < sum(a.size for a in s.arrays if a is not None) <= LIMIT]
    # Ties and constant rows are kinks, and far from zero the difference drowns in rounding.
    return [s for s in samples if not s.note and all(a is None or np.abs(a).max(initial=0) < 100 for a in s.arrays)]


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize("op", [op for op in OPS if op.gradcheck], ids=str)
def test_gradcheck(op, backend):
    fnn.use_backend(backend)
    samples = _small(op)
    assert len(samples) >= 3
    for sample in samples:
        given = [a for a in sample.arrays if a is not None]

        def function(*tensors, sample=sample):
            left = iter(tensors)
            arrays = tuple(None if a is None else next(left) for a in sample.arrays)
            y = op(own(sample, op.in_place), arrays)
            return y[0] if isinstance(y, tuple) else y

        assert gradcheck(function, *given, max_elements=CHECKED), f"{op} {sample}"
