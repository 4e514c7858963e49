"""Forward mode: every op of the table against its own reverse mode, and `jvp` and `vjp` as functions."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn.autograd import record, self_adjoint
from harness import gradient_for, outputs_of, own
from op_table import OPS

DIFFERENTIABLE = [op for op in OPS if op.args]
EPS = np.finfo(np.float64).eps


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
def test_jvp_is_the_adjoint_of_vjp(op):
    """``<dy, J t> = <J^T dy, t>``, exactly but for rounding, for every argument at once and each alone."""
    for sample in op.samples():
        if sample.special:
            continue
        sample = sample.cast(np.float64)
        given = [i for i, a in enumerate(sample.arrays) if a is not None]
        primals = [sample.arrays[i] for i in given]

        def f(*tensors, sample=sample, given=given):
            arrays = list(sample.arrays)
            for i, t in zip(given, tensors, strict=True):
                arrays[i] = t
            return outputs_of(op(own(sample, op.in_place), tuple(arrays)))[0]

        y, pullback = fnn.vjp(f, *primals)
        dy = gradient_for(y.shape, y.dtype)
        gradients = pullback(dy)
        directions = [np.random.default_rng(i).standard_normal(p.shape) for i, p in enumerate(primals)]
        for chosen in [range(len(given)), *([i] for i in range(len(given)) if len(given) > 1)]:
            tangents = [t if i in chosen else None for i, t in enumerate(directions)]
            value, pushed = fnn.jvp(f, primals, tangents)
            np.testing.assert_array_equal(value, y)
            assert pushed.shape == y.shape
            forward = float((dy * pushed).sum())
            terms = [gradients[i] * directions[i] for i in chosen]
            scale = sum(float(np.abs(t).sum()) for t in terms) + float(np.abs(dy * pushed).sum())
            # Both may be what is left where numbers of the size of dy and t cancel (normalisation, softmax).
            scale += float(np.linalg.norm(dy)) * sum(float(np.linalg.norm(directions[i])) for i in chosen)
            # A gradient is itself a sum of up to `length` products, each rounded.
            length = 64 + sum(p.size for p in primals)
            assert abs(forward - sum(float(t.sum()) for t in terms)) <= 4 * length * EPS * scale, str(sample)


def test_chain_rule_through_tensors():
    def f(x):
        return ((x * x).exp() * x).sum()  # y = x e^(x^2), y' = (1 + 2 x^2) e^(x^2)

    value, tangent = fnn.jvp(f, [np.array([0.5])], [np.array([1.0])])
    assert value == pytest.approx(0.5 * np.exp(0.25))
    assert tangent == pytest.approx(1.5 * np.exp(0.25))


UNARY = {
    "exp": lambda x: x.exp(),
    "log": lambda x: (x * x + 1.0).log(),
    "sqrt": lambda x: (x * x + 1.0).sqrt(),
    "abs": abs,
    "negative": lambda x: -x,
    "power": lambda x: x**3,
    "sum": lambda x: x.sum(axis=1),
    "mean": lambda x: x.mean(axis=(0, 2), keepdims=True),
    "var": lambda x: x.var(axis=1, ddof=1),
    "max": lambda x: x.max(axis=(0, 1)),
    "min": lambda x: x.min(),
    "getitem": lambda x: x[1:, [0, 0, 2]],
    "reshape": lambda x: x.reshape(-1),
    "transpose": lambda x: x.transpose(2, 0, 1),
    "swapaxes": lambda x: x.swapaxes(0, 2),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "expand_dims": lambda x: x[:, None],
    "astype": lambda x: x.astype(np.float32).astype(np.float64),
    "concatenate": lambda x: fnn.concatenate([x, np.ones((3, 3, 4)), x * 2.0]),
    "stack": lambda x: fnn.stack([x, x * 3.0], axis=1),
    "spread": lambda x: x + x[0] * x[:, :1] - x[0, 0, 0],
    "divide": lambda x: x / (x[0] * x[0] + 1.0),
    "exponent": lambda x: (x * x + 0.5) ** x[0],
    "maximum": lambda x: fnn.maximum(x, x[0]),
    "minimum": lambda x: fnn.minimum(0.1, x),
    "where": lambda x: fnn.where(x.data > 0, x, x[0, 0]),
    "matmul": lambda x: x @ x.swapaxes(1, 2),
    "rsub": lambda x: 1.0 - x,
}


@pytest.mark.parametrize("name", UNARY)
def test_tensor_operations(name):
    f, rng = UNARY[name], np.random.default_rng(1)
    x, t = rng.standard_normal((2, 3, 3, 4))
    y, pullback = fnn.vjp(f, x)
    value, tangent = fnn.jvp(f, [x], [t])
    np.testing.assert_array_equal(value, y)
    dy = rng.standard_normal(y.shape)
    precision = 1e-6 if name == "astype" else 1e-12
    assert (dy * tangent).sum() == pytest.approx((pullback(dy)[0] * t).sum(), rel=precision, abs=precision)


def test_a_module():
    model = fnn.nn.Sequential(fnn.nn.Linear(3, 4, rng=0), fnn.nn.Tanh(), fnn.nn.Linear(4, 2, rng=1))
    x, t, dy = (np.random.default_rng(i).standard_normal((5, n)).astype(np.float32) for i, n in enumerate((3, 3, 2)))
    _, pushed = fnn.jvp(model, [x], [t])
    _, pullback = fnn.vjp(model, x)
    assert (dy * pushed).sum() == pytest.approx((pullback(dy)[0] * t).sum(), rel=1e-5)


def test_what_does_not_move_has_tangent_zero():
    value, tangent = fnn.jvp(lambda x, y: x * 1.0, [[1.0], [2.0]], [None, [1.0]])
    assert value == 1
    assert tangent == 0


def test_grad_mode_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError):
        fnn.jvp(lambda x: 1 / 0, [[1.0]], [[1.0]])
    assert fnn.is_grad_enabled()
    fnn.jvp(lambda x: x, [[1.0]], [[1.0]])


def test_bad_input():
    with pytest.raises(ValueError, match=r"jvp: a tangent has shape \(2,\) but its argument \(1,\)"):
        fnn.jvp(lambda x: x, [[1.0]], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="jvp: 1 primals but 2 tangents"):
        fnn.jvp(lambda x: x, [[1.0]], [None, None])
    with pytest.raises(TypeError, match="jvp: the function must return a tensor"):
        fnn.jvp(lambda x: 1.0, [[1.0]], [[1.0]])
    with pytest.raises(TypeError, match="has no gradient"):
        fnn.jvp(lambda x: x, [[1]], [[1]])
    with pytest.raises(RuntimeError, match="inside another jvp"):
        fnn.jvp(lambda x: fnn.jvp(lambda y: y, [x], [x])[0], [[1.0]], [[1.0]])
    with pytest.raises(TypeError, match="vjp: the function must return a tensor"):
        fnn.vjp(lambda x: 1.0, [1.0])
    with pytest.raises(ValueError, match=r"vjp: dy has shape \(2,\) but the value has shape \(1,\)"):
        fnn.vjp(lambda x: x * 2.0, [1.0])[1]([1.0, 2.0])


def test_an_operation_without_a_jvp_says_so():
    with pytest.raises(NotImplementedError, match="mine: has no derivative in forward mode"):
        fnn.jvp(lambda x: record("mine", x.data * 2, (x,), lambda dy, needs: (dy * 2,)), [[1.0]], [[1.0]])


def test_self_adjoint_uses_the_vjp():
    f = lambda x: record("mine", x.data * 2, (x,), lambda dy, needs: (dy * 2,), self_adjoint)
    assert fnn.jvp(f, [[1.0]], [[4.0]])[1] == 8


def test_relu_of_arrays_inside_jvp_is_plain():
    assert isinstance(fnn.jvp(lambda x: x * F.relu(np.ones(1)), [[1.0]], [[1.0]])[0], np.ndarray)
