"""Every array argument of every public function: a tensor that wants a derivative gets it, or is refused by name."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from bad_input import LEGAL
from fastnn.autograd import raw
from harness import is_float

BACKENDS = fnn.backend.available_backends()
# Optimisers' steps change the parameter itself, which may well want a gradient.
CASES = [
    (op, name, value)
    for op, legal in LEGAL.items()
    for name, value in legal.items()
    if is_float(value) and not (op.endswith("_step") and name == "param")
] + [("cross_entropy", "target", np.full((3, 4), 0.25, np.float32))]


def takes_list(op, name, value):
    if not isinstance(value, np.ndarray) or not value.ndim:
        return False
    try:
        call(op, name, list(value))
    except TypeError:  # what is changed in place must be an array
        return False
    return True


def call(op, name, value):
    """The first result, with fresh arrays for the other arguments."""
    arguments = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in LEGAL[op].items()}
    y = getattr(F, op)(**arguments | {name: value})
    return y[0] if isinstance(y, tuple) else y


def tangent(op, name, value, given=lambda x: x):
    """That of the result as it is, where `fastnn.jvp` would have zeros for None."""
    results = []

    def f(x):
        results.append(call(op, name, given(x)))
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


LISTS = [case for case in CASES if takes_list(*case)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("op", "name", "value"), LISTS, ids=[f"{op} {name}" for op, name, _ in LISTS])
def test_lists_of_tensors_are_refused(op, name, value, backend):
    fnn.use_backend(backend)
    t = fnn.tensor(value, requires_grad=True)
    parts = [t[0], *value[1:]]
    with pytest.raises(TypeError, match=f"^{op}: .* a list with a tensor of shape .* that requires a gradient, which"):
        call(op, name, parts)
    with pytest.raises(TypeError, match="that has a tangent, which would be lost"):
        tangent(op, name, value, lambda x: [x[0], *value[1:]])
    expected = call(op, name, value)
    np.testing.assert_array_equal(raw(call(op, name, [t[0].detach(), *value[1:]])), raw(expected))


def test_lists_of_tensors_elsewhere():
    a, b, x = fnn.tensor(1.0, requires_grad=True), fnn.tensor(2.0, requires_grad=True), fnn.tensor([1.0, 2.0])
    own = fnn.differentiable(lambda v: (v * 2.0, ()), lambda saved, dy: dy * 2.0, name="own")

    def assign():
        x[...] = [a * 3.0, b]

    def add():
        nonlocal x
        x += [a, b]

    calls = [
        lambda: x * [a, b], lambda: (0.0, (b,)) + x, lambda: fnn.where([True, False], [a, 1.0], 0.0), assign, add,
        lambda: own([[a], [b]]), lambda: fnn.tensor([a, 1.0]), lambda: fnn.stack([[a, b]]), lambda: x.clip([a, b], None),
        lambda: F.cross_entropy(np.zeros((1, 2)), [0], weight=[a, b]),
        lambda: fnn.nn.RNN(2, 3, rng=0)([[[a, b]]]), lambda: fnn.nn.GRU(1, 2, rng=0)(np.zeros((1, 1), np.float32), [[a, b]]),
        lambda: fnn.nn.LSTMCell(2, 3, rng=0)([a, b]), lambda: fnn.nn.PyramidalRNN(2, 3, 1, rng=0)([[[a, b]]]),
    ]  # fmt: skip
    for f in calls:
        with pytest.raises(
            TypeError, match=r"with a tensor of shape \(\) that requires a gradient, which would be lost"
        ):
            f()
    assert x.tolist() == [1.0, 2.0]
    with fnn.no_grad():
        assert (x * [a, b]).tolist() == [1.0, 4.0]
        assign()
    assert x.tolist() == [3.0, 2.0]
    assert (x * [a.detach(), 2.0]).tolist() == [3.0, 4.0]
    looped = [1.0]
    looped.append(looped)
    with pytest.raises(ValueError):
        x * looped
