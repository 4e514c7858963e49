"""Every array argument of every public function: a tensor that wants a derivative gets it, or is refused by name."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from bad_input import LEGAL
from harness import is_float

BACKENDS = fnn.backend.available_backends()
# Optimisers' steps change the parameter itself, which may well want a gradient.
CASES = [
    (op, name, value)
    for op, legal in LEGAL.items()
    for name, value in legal.items()
    if is_float(value) and not (op.endswith("_step") and name == "param")
] + [("cross_entropy", "target", np.full((3, 4), 0.25, np.float32))]


def call(op, name, value):
    """The first result, with fresh arrays for the other arguments."""
    arguments = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in LEGAL[op].items()}
    y = getattr(F, op)(**arguments | {name: value})
    return y[0] if isinstance(y, tuple) else y


def tangent(op, name, value):
    """That of the result as it is, where `fastnn.jvp` would have zeros for None."""
    results = []

    def f(x):
        results.append(call(op, name, x))
        return results[0]

    fnn.jvp(f, (value,), (np.ones_like(value),))
    return results[0]._tangent


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("op", "name", "value"), CASES, ids=[f"{op} {name}" for op, name, _ in CASES])
def test_derivative_or_refusal(op, name, value, backend):
    fnn.use_backend(backend)
    t = fnn.tensor(value, requires_grad=True)
    error = ""
    try:
        y = call(op, name, t)
    except TypeError as refusal:
        error = str(refusal)
    if error:
        assert error.startswith(f"{op}: {name} is a tensor of shape {t.shape} that requires a gradient, but {op}")
        with pytest.raises(TypeError, match=f"^{op}: {name} is a tensor of .* that has a tangent"):
            tangent(op, name, value)
    else:
        y.backward(np.ones(y.shape, y.dtype))
        assert t.grad.shape == value.shape
        assert tangent(op, name, value) is not None
    # A constant is taken wherever it comes from.
    call(op, name, t.detach())
    with fnn.no_grad():
        call(op, name, t)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_changed_by_a_refused_call(backend):
    fnn.use_backend(backend)
    x, mean, var = np.ones((3, 2)), np.zeros(2), fnn.tensor(np.ones(2), requires_grad=True)
    with pytest.raises(TypeError, match="batch_norm: running_var is a tensor"):
        F.batch_norm(x, mean, var, training=True)
    assert not mean.any()
