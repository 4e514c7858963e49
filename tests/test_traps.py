"""What looks right and was not: results that change, axes that stay, and parameters that vanish."""

import copy
import json

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from arrays import CLASSES, ones
from fastnn import nn, optim
from fastnn.autograd import shaping
from harness import outputs_of, own
from op_table import OPS

BACKENDS = fnn.backend.available_backends()
DTYPES = [np.float32, np.float64]
LOSSES = {
    "mse_loss": lambda x, r: F.mse_loss(x, ones(4, 3, dtype=x.dtype), r),
    "l1_loss": lambda x, r: F.l1_loss(x, ones(4, 3, dtype=x.dtype), r),
    "huber_loss": lambda x, r: F.huber_loss(x, ones(4, 3, dtype=x.dtype), 1.0, r),
    "hinge_loss": lambda x, r: F.hinge_loss(x, ones(4, 3, dtype=x.dtype), 1.0, r),
    "kl_div": lambda x, r: F.kl_div(x, ones(4, 3, dtype=x.dtype), r),
    "bce": lambda x, r: F.binary_cross_entropy_with_logits(x, ones(4, 3, dtype=x.dtype), None, r),
    "cross_entropy": lambda x, r: F.cross_entropy(x, CLASSES, reduction=r),
    "weighted": lambda x, r: F.cross_entropy(x, CLASSES, ones(3, dtype=x.dtype), reduction=r),
    "probabilities": lambda x, r: F.cross_entropy(x, ones(4, 3, dtype=x.dtype), reduction=r),
    "nll_loss": lambda x, r: F.nll_loss(x, CLASSES, reduction=r),
    "multi_margin_loss": lambda x, r: F.multi_margin_loss(x, CLASSES, reduction=r),
    "module": lambda x, r: nn.MSELoss(r)(x, ones(4, 3, dtype=x.dtype)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_arrays_are_scalars(backend, name, dtype):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(dtype)
    for reduction in ("mean", "sum"):
        for _ in range(2):  # the second call follows a plan
            loss = LOSSES[name](x, reduction)
            assert type(loss) is dtype
        kept, value = [loss], float(loss)
        loss += 1
        assert kept[0] == value
        assert json.loads(json.dumps(float(kept[0]))) == value
        tensor = LOSSES[name](fnn.tensor(x, requires_grad=True), reduction)
        assert type(tensor) is fnn.Tensor
        assert type(tensor.numpy()) is np.ndarray
        assert tensor.numpy() == kept[0]
        tensor.backward()
    each = LOSSES[name](x, "none")
    assert type(each) is np.ndarray
    assert each.shape == (4, 3)[: each.ndim]


def test_no_function_of_arrays_with_axes_gives_an_array_without(backend):
    seen = set()
    for op in (op for op in OPS if op.args):
        for sample in op.samples():
            if not sample.special and all(a is None or a.ndim for a in sample.arrays):
                sample = own(sample, op.in_place)
                for y in outputs_of(op(sample, sample.arrays)):
                    assert y is None or type(y) is not np.ndarray or y.ndim, (op, sample)
                    seen.add(type(y) is np.ndarray)
    assert seen == {True, False}


def test_products_and_operations_of_ones_own(backend):
    assert type(F.matmul(ones(3), ones(3))) is np.float32
    assert type(F.matmul(ones(3, dtype=np.float64), ones(3, dtype=np.float64))) is np.float64
    assert type(F.matmul(fnn.tensor(ones(3)), ones(3)).numpy()) is np.ndarray
    norm = fnn.differentiable(lambda x: ((x * x).sum(), x), lambda x, dy: 2 * x * dy, lambda x, t: (2 * x * t).sum())
    assert type(norm(ones(3))) is np.float32
    both = fnn.differentiable(lambda x: ((x.sum(), x + 1), None), lambda s, a, b: a + b)
    assert type(both(ones(3))[0]) is np.float32


def test_values_of_transformed_functions_are_scalars():
    def f(x):
        return (x * x).sum()

    assert type(fnn.value_and_grad(f)(ones(3))[0]) is np.float32
    assert type(fnn.vjp(f, ones(3))[0]) is np.float32
    assert list(map(type, fnn.jvp(f, [ones(3)], [ones(3)]))) == [np.float32] * 2


EXACT = {np.float32: np.float64, np.float64: np.longdouble}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [3, 4, 3.0, 4.0, np.float64(3), np.int32(4)])
def test_powers_by_multiplication(dtype, exponent):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-3, 3, 5000), 10 ** rng.uniform(-8, 8, 500)]).astype(dtype)
    exact = x.astype(EXACT[dtype]) ** int(exponent)
    y = fnn.tensor(x) ** exponent
    assert y.dtype == dtype
    assert np.all(abs(y.numpy().astype(EXACT[dtype]) - exact) <= 2 * np.spacing(abs(exact.astype(dtype))))
    value, tangent = fnn.jvp(lambda t: t**exponent, [x], [np.ones_like(x)])
    slope = int(exponent) * x.astype(EXACT[dtype]) ** (int(exponent) - 1)
    np.testing.assert_array_equal(value, y.numpy())
    np.testing.assert_allclose(tangent, slope.astype(dtype), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(fnn.grad(lambda t: (t**exponent).sum())(x), tangent)


EDGES = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, -2.5, 1e-30, -1e30, 1e30]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 5, -1, -2, -3, 0.5, 2.5, 3.0, 0.0])
def test_powers_at_the_edges_are_numpys(dtype, exponent):
    x = np.array(EDGES, dtype)
    with np.errstate(all="ignore"):
        expected = x**exponent
        np.testing.assert_allclose((fnn.tensor(x) ** exponent).numpy(), expected, rtol=4 * np.finfo(dtype).eps)
        zeros = expected == 0
        np.testing.assert_array_equal(
            np.signbit((fnn.tensor(x) ** exponent).numpy())[zeros], np.signbit(expected)[zeros]
        )
        slope = np.zeros_like(x) if exponent == 0 else exponent * x ** (exponent - 1)
        got = fnn.grad(lambda t: (t**exponent).sum())(x)
        np.testing.assert_allclose(got, slope, rtol=4 * np.finfo(dtype).eps)
    assert (fnn.tensor([2, -3]) ** 3).tolist() == [8, -27]
    assert (fnn.tensor(np.float32(-2.0)) ** 3).numpy() == -8


RNG = np.random.default_rng(1)
INDICES = {
    "numbers": RNG.integers(-7, 7, 50),
    "list": [3, 3, -1],
    "one": np.array(4),
    "of two axes": RNG.integers(0, 7, (3, 5)),
    "small integers": RNG.integers(-7, 7, 9).astype(np.int8),
    "unsigned": RNG.integers(0, 7, 9).astype(np.uint16),
    "none": np.zeros(0, int),
    "empty list": [],
    "two axes": (RNG.integers(-7, 7, 40), RNG.integers(-5, 5, 40)),
    "all axes": (RNG.integers(0, 7, 40), RNG.integers(-5, 5, 40), RNG.integers(0, 3, 40)),
    "broadcast": (RNG.integers(0, 7, (4, 1)), RNG.integers(0, 5, 6)),
    "number and array": (2, RNG.integers(0, 5, 9)),
    "array and number": (RNG.integers(0, 7, 9), -1),
    "range": (range(5), RNG.integers(0, 5, 5)),
    "all behind": (RNG.integers(0, 7, 9), slice(None), slice(None)),
    "ellipsis behind": (RNG.integers(0, 7, 9), Ellipsis),
    "two and all": (RNG.integers(0, 7, 9), RNG.integers(0, 5, 9), Ellipsis),
    "slice behind": (RNG.integers(0, 7, 9), slice(1, None, 2)),
    "slice in front": (slice(None), RNG.integers(0, 5, 9)),
    "apart": (RNG.integers(0, 7, 9), slice(None), RNG.integers(0, 3, 9)),
    "new axis": (RNG.integers(0, 7, 9), None),
    "mask": RNG.random((7, 5, 3)) > 0.5,
    "mask of rows": RNG.random(7) > 0.5,
    "list of booleans": [True, False, True, True, False, False, True],
    "two masks": (np.arange(7) < 3, np.arange(5) > 1),
    "mask and numbers": (np.arange(7) < 3, np.array([1, 1, 4])),
    "true": True,
    "false": False,
    "slices": (slice(1, 6, 2), 0),
    "repeated many times": RNG.integers(0, 3, 40000),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("few", [0, 1024])
def test_gradients_of_indexing(backend, name, dtype, few, monkeypatch):
    monkeypatch.setattr(shaping, "_FEW", few)
    index = INDICES[name]
    x = RNG.normal(size=(7, 5, 3)).astype(dtype)
    t = fnn.tensor(x, requires_grad=True)
    y = t[index]
    np.testing.assert_array_equal(y.numpy(), x[index])
    dy = RNG.normal(size=y.shape).astype(dtype)
    y.backward(dy)
    expected = np.zeros(x.shape)
    np.add.at(expected, index, dy)
    np.testing.assert_allclose(
        t.grad, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-4 * (dtype == np.float32)
    )
    assert t.grad.dtype == dtype
    assert t.grad.flags.c_contiguous
    _, tangent = fnn.jvp(lambda t: t[index], [x], [2 * x])
    np.testing.assert_array_equal(tangent, 2 * x[index])


def test_gradients_of_indexing_of_no_elements(backend):
    for shape, index in (((0, 3), np.zeros(0, int)), ((3, 0), [1, 1]), ((0,), np.zeros(0, bool))):
        t = fnn.tensor(np.zeros(shape), requires_grad=True)
        t[index].sum().backward()
        np.testing.assert_array_equal(t.grad, np.zeros(shape))


def test_gradients_of_indexing_have_the_same_bits_for_all_threads(native):
    index = RNG.integers(0, 50, 30000)
    x, dy = RNG.normal(size=(50, 9)).astype(np.float32), RNG.normal(size=(30000, 9)).astype(np.float32)

    def gradient(threads):
        with fnn.set_num_threads(threads):
            t = fnn.tensor(x, requires_grad=True)
            t[index].backward(dy)
            return t.grad.tobytes()

    assert len({gradient(threads) for threads in (1, 2, 3, 7)}) == 1


@pytest.mark.parametrize(
    ("axes", "shape"),
    [((0, 1), (3, 2, 4)), ((1, 2), (2, 4, 3)), ((-1, 0), (4, 3, 2)), ((1, 1), (2, 3, 4)), ((), (4, 3, 2))]
    + [((2, 0, 1), (4, 2, 3)), (((2, 0, 1),), (4, 2, 3)), (([0, 2, 1],), (2, 4, 3)), ((None,), (4, 3, 2))],
)
def test_transpose(axes, shape):
    x = RNG.normal(size=(2, 3, 4))
    t = fnn.tensor(x, requires_grad=True)
    y = t.transpose(*axes)
    assert y.shape == shape
    y.backward(np.arange(24.0).reshape(shape))
    expected = np.zeros(x.shape)
    plain = np.swapaxes(expected, *axes) if len(axes) == 2 else expected.transpose(*axes)
    plain[...] = np.arange(24.0).reshape(shape)
    np.testing.assert_array_equal(t.grad, expected)


def test_transpose_of_a_matrix_exchanges_its_axes():
    x = RNG.normal(size=(3, 3))
    for axes in ((0, 1), (1, 0), (-2, -1), (np.int64(0), np.int64(1))):
        np.testing.assert_array_equal(fnn.tensor(x).transpose(*axes).numpy(), x.T)
    for axes in ((0, 1), ((0, 1),)):
        np.testing.assert_array_equal(fnn.tensor(x).permute(*axes).numpy(), x)
    np.testing.assert_array_equal(fnn.tensor(x).transpose((0, 1)).numpy(), x)
    np.testing.assert_array_equal(np.transpose(fnn.tensor(x), (0, 1)), x)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.transpose((0, 1)),
        lambda x: x.permute(0, 1),
        lambda x: x.transpose(0, 3),
        lambda x: x.transpose(0, 1, 3),
        lambda x: x.transpose(0, 0, 1),
        lambda x: x.transpose(1),
        lambda x: x.transpose(0),
    ],
)
def test_impossible_orders_of_axes(call):
    with pytest.raises(ValueError, match=r"^transpose: .* for shape \(2, 3, 4\)"):
        call(fnn.tensor(ones(2, 3, 4)))


def test_updates_by_hand_train():
    model = nn.Linear(3, 1, rng=0)
    x, y = ones(4, 3), np.zeros((4, 1), np.float32)
    losses = []
    for _ in range(3):
        loss = F.mse_loss(model(x), y)
        losses.append(loss.item())
        loss.backward()
        with fnn.no_grad():
            for p in model.parameters():
                p -= 0.05 * p.grad
                p.grad = None
    assert losses[2] < losses[1] < losses[0]


def test_in_place_operators_keep_a_parameter():
    model = nn.Linear(2, 2, rng=0)
    weight, values = model.weight, model.weight.numpy().copy()
    with fnn.no_grad():
        model.weight *= 0.5
        model.weight += 1.0
        model.weight -= 0.5
        model.weight /= 2.0
    assert model.weight is weight
    assert [name for name, _ in model.named_parameters()] == ["weight", "bias"]
    np.testing.assert_allclose(weight.numpy(), (values * 0.5 + 0.5) / 2, rtol=1e-5)
    with pytest.raises(RuntimeError, match="change it inside no_grad"):
        model.weight *= 0.1


@pytest.mark.parametrize("value", [fnn.tensor([1.0]), ones(2, 3), 1.0, [1.0], "weight"], ids=lambda v: type(v).__name__)
def test_only_a_parameter_or_none_replaces_a_parameter(value):
    model = nn.Linear(3, 2, rng=0)
    before = model.weight
    with pytest.raises(TypeError, match=r"^Linear: 'weight' is a parameter, .* assign nn.Parameter"):
        model.weight = value
    assert model.weight is before
    model.weight = nn.Parameter(ones(2, 3))
    assert [name for name, _ in model.named_parameters()] == ["weight", "bias"]
    model.bias = None
    assert [name for name, _ in model.named_parameters()] == ["weight"]
    assert model(ones(1, 3)).shape == (1, 2)


def test_what_is_no_array_of_numbers_is_no_buffer():
    norm = nn.BatchNorm1d(2)
    for value in ("mean", object(), [object()], b"x"):
        with pytest.raises(TypeError, match="BatchNorm1d: buffer 'running_mean' must be an array"):
            norm.running_mean = value
    norm.running_mean = [1.0, 2.0]
    assert type(norm.running_mean) is np.ndarray


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("forget", ["optimiser", "module", "none"])
@pytest.mark.parametrize("part", [lambda g: g, lambda g: g[0], lambda g: g.T], ids=["itself", "row", "transposed"])
def test_gradients_that_somebody_holds_are_not_overwritten(count, forget, part):
    model = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Linear(3, 3, rng=1))
    groups = [list(model.parameters())] if count == 1 else [list(layer.parameters()) for layer in model][:count]
    optimisers = [optim.SGD(group, lr=0.1) for group in groups]

    def zero():
        if forget == "optimiser":
            for optimiser in optimisers:
                optimiser.zero_grad()
        if forget == "module" or len(optimisers) != 1:
            model.zero_grad()
        if forget == "none":
            for p in model.parameters():
                p.grad = None

    held, expected = [], []
    for i in range(4):
        zero()
        (model(ones(2, 3)) * (i + 1.0)).sum().backward()
        held.append([part(p.grad) if p.ndim == 2 else p.grad for p in model.parameters()])
        expected.append(copy.deepcopy(held[-1]))
        for optimiser in optimisers:
            optimiser.step()
        for now, then in zip(held, expected, strict=True):
            for a, b in zip(now, then, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scalar", [np.sqrt(2), np.float32(2), np.int64(3), np.uint8(3), np.sum([1, 2])])
def test_numpy_scalars_count_as_numbers(dtype, scalar):
    x = np.array([1.5, 2.5], dtype)
    t = fnn.tensor(x, requires_grad=True)
    number = scalar.item()
    for f in (
        lambda a, s: a / s,
        lambda a, s: s / a,
        lambda a, s: a * s,
        lambda a, s: s - a,
        lambda a, s: a**s,
        lambda a, s: s**a,
        lambda a, s: fnn.maximum(a, s),
        lambda a, s: fnn.where(x > 2, a, s),
        lambda a, s: fnn.tensor(x).clip(s),
    ):
        y = f(t, scalar)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.numpy(), f(t, number).numpy())
    (t / scalar).sum().backward()
    assert t.grad.dtype == dtype
    assert (t * np.array(2.0)).dtype == np.float64  # arrays promote
    assert (fnn.tensor([1, 2]) * np.float32(2)).dtype == np.float64
    assert (fnn.tensor([1, 2], dtype=np.int32) + np.int64(2**40)).dtype == np.int64


def test_formats_of_losses():
    loss = F.mse_loss(fnn.tensor(ones(3), requires_grad=True), np.zeros(3, np.float32))
    assert f"{loss:.4f} {loss:>6.1f}" == "1.0000    1.0"
