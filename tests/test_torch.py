"""Forward and gradients against PyTorch: every op's samples, and a grid of argument combinations."""

import numpy as np
import pytest

import harness
from harness import evaluate, gradient_for, outputs_of, own
from op_table import OPS

torch = pytest.importorskip("torch")
import torch_ops

pytestmark = pytest.mark.usefixtures("one_torch_thread")

COUNTERPARTS = [op for op in OPS if op.torch]
GRIDS = [op for op in OPS if op.grid]


def _tensor(a, grad=False):
    return None if a is None else torch.tensor(a, requires_grad=grad)


def torch_results(op, sample):
    """As `harness.evaluate`, by PyTorch."""
    sample = own(sample, op.in_place)
    arrays = [_tensor(a, grad=True) for a in sample.arrays]
    options = {k: _tensor(v) if isinstance(v, np.ndarray) else v for k, v in sample.options.items()}
    outputs = outputs_of(torch_ops.counterpart(op.name)(*arrays, **options))
    results = {"y" if i == 0 else f"y{i}": y.detach().numpy() for i, y in enumerate(outputs)}
    results |= {k: options[k].detach().numpy() for k in op.in_place if options.get(k) is not None}
    if arrays:
        outputs[0].backward(_tensor(gradient_for(tuple(outputs[0].shape), np.float64)))
        results |= {"d" + name: a.grad.numpy() for name, a in zip(op.args, arrays, strict=True) if a is not None}
    return results


def compare(op, samples, dtype):
    """Failures of ours in `dtype` against PyTorch in float64, which is as wrong as ours in float64 at most."""
    eps = float(np.finfo(dtype).eps)
    failures = []
    for sample in samples:
        exact = sample.cast(dtype).cast(np.float64)
        bounds = harness.bounds(op, exact, harness.reference(op, exact), eps)
        lines = harness.mismatches(evaluate(op, sample.cast(dtype)), torch_results(op, exact), bounds, 2 * eps)
        failures += [f"{sample}: {line}" for line in lines]
    assert not failures, f"{op}: {len(failures)} of {len(samples)} samples\n" + "\n".join(failures[:20])


@pytest.mark.parametrize("dtype", harness.DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("op", COUNTERPARTS, ids=str)
def test_samples(op, dtype):
    # PyTorch's rules for NaN and infinity, and for empty batches, differ between its ops.
    plain = [s for s in op.samples() if not s.special and not any(a is not None and a.size == 0 for a in s.arrays)]
    compare(op, plain, dtype)


@pytest.mark.parametrize("op", GRIDS, ids=str)
def test_grid(op):
    samples = op.grid()
    compare(op, samples[::2], np.float64)
    compare(op, samples[1::2], np.float32)


def test_the_grid_is_large():
    assert sum(len(op.grid()) for op in GRIDS) >= 2000
