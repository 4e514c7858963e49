"""Every array argument of every public function: a tensor that wants a derivative gets it, or is refused by name."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from bad_input import LEGAL
from harness import is_float

BACKENDS = fnn.backend.available_backends()
ARGUMENTS = [(op, name) for op, legal in LEGAL.items() for name, value in legal.items() if is_float(value)]
# What is changed in place, and the soft targets that the legal arguments don't have.
CHANGED = {(op, "param") for op in LEGAL if op.endswith("_step")}
PROBABILITIES = np.full((3, 4), 0.25, np.float32)


def call(op, name, value):
    """The first result, with fresh arrays for the other arguments."""
    arguments = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in LEGAL[op].items()}
    y = getattr(F, op)(**arguments | {name: value})
    return y[0] if isinstance(y, tuple) else y


def refused(error, op, name):
    return str(error.value).startswith(f"{op}: {name} is a tensor") and f"{name}.detach()" in str(error.value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("op", "name"), ARGUMENTS + [("cross_entropy", "probabilities")])
def test_derivative_or_refusal(op, name, backend):
    value, name = (PROBABILITIES, "target") if name == "probabilities" else (LEGAL[op][name], name)
    t = fnn.tensor(value, requires_grad=True)
    with fnn.use_backend(backend):
        with fnn.no_grad():
            call(op, name, t)
        call(op, name, t.detach())
        if (op, name) in CHANGED:
            return
        if not isinstance(differentiated(op, name, t), fnn.Tensor):
            return
        seen = []

        def f(moving):
            seen.append(call(op, name, moving))
            return seen[0]

        fnn.jvp(f, (value,), (np.ones_like(value),))
        assert seen[0]._tangent is not None


def differentiated(op, name, t):
    """The result, from which the gradient came; None where the argument is refused, also in forward mode."""
    try:
        y = call(op, name, t)
    except TypeError:
        with pytest.raises(TypeError) as error:
            call(op, name, t)
        assert refused(error, op, name)
        with pytest.raises(TypeError) as error:
            fnn.jvp(lambda moving: call(op, name, moving), (t.data,), (np.ones_like(t.data),))
        assert refused(error, op, name)
        return None
    y.backward(np.ones(y.shape, y.dtype))
    assert t.grad is not None
    assert t.grad.shape == t.shape
    return y
