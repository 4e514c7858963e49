"""Calls that are nearly right, and would give another result than the caller meant if they were let through."""

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from arrays import message, ones
from fastnn import nn

FLOAT = np.float32
MASKED = np.ma.masked_array([1.0, 2.0, 1e9], [0, 0, 1])


# Defaults of backwards.


@pytest.mark.parametrize("name", ["batch_norm", "batch_norm_relu"])
@pytest.mark.parametrize("which", [("running_mean", "running_var"), ("running_mean",), ("running_var",)])
def test_running_statistics_without_training_are_refused(backend, name, which):
    x = np.random.default_rng(0).standard_normal((5, 3))
    running = {"running_mean": np.full(3, 0.5), "running_var": np.full(3, 2.0)}
    given = (x, x, *[getattr(F, name)(x, *running.values())] * (name == "batch_norm_relu"))
    backward = getattr(F, name + "_backward")
    text = message(ValueError, lambda: backward(*given, **{k: running[k] for k in which}))
    assert text.startswith(f"{name}_backward: with running statistics")
    assert "training=False" in text
    evaluated = backward(*given, **running, training=False)
    trained = backward(*given, **running, training=True)
    assert not np.allclose(evaluated[0], trained[0])
    for a, b in zip(trained, backward(*given), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_backward_of_evaluation_takes_no_random_numbers(backend):
    x = -ones(4)
    assert "training=True" in message(ValueError, lambda: F.rrelu_backward(x, x, rng=1))
    np.testing.assert_allclose(F.rrelu_backward(x, x), x * (1 / 8 + 1 / 3) / 2)


# Numbers beside arrays of float32.

_CLASSES = np.array([0, 2])
_X, _T = np.linspace(0.1, 0.9, 6).reshape(2, 3), np.linspace(0.2, 0.8, 6).reshape(2, 3)
_SIGNS = np.where(_T > 0.5, 1.0, -1.0)
LOSSES = {
    "cross_entropy": (_X, _CLASSES),
    "nll_loss": (_X, _CLASSES),
    "multi_margin_loss": (_X, _CLASSES),
    "mse_loss": (_X, _T),
    "l1_loss": (_X, _T),
    "huber_loss": (_X, _T),
    "hinge_loss": (_X, _SIGNS),
    "kl_div": (_X, _T),
    "binary_cross_entropy_with_logits": (_X, _T),
}


def test_every_loss_is_here():
    assert {name + "_backward" for name in LOSSES} == {
        name for name in F.__all__ if "loss" in name or "entropy" in name or "kl_div" in name
    } & {name for name in F.__all__ if name.endswith("_backward")}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [0.5, 2, np.float64(0.5), np.float32(0.5), np.int64(2), -1.0])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_of_a_loss_may_be_a_number(backend, name, number, dtype):
    x, target = (a.astype(dtype) if a.dtype.kind == "f" else a for a in LOSSES[name])
    backward = getattr(F, name + "_backward")
    for reduction in ("mean", "sum"):
        dx = backward(x, target, reduction=reduction, dloss=number)
        assert dx.dtype == dtype
        np.testing.assert_array_equal(dx, backward(x, target, reduction=reduction, dloss=np.array(number, dtype)))
    assert "dloss must have shape" in message(ValueError, lambda: backward(x, target, reduction="none", dloss=number))


def test_numbers_that_float32_does_not_hold(backend):
    for number in (1e300, -1e300, 10**400):
        text = message(ValueError, lambda n=number: F.mse_loss_backward(ones(2), ones(2), dloss=n))
        assert text.startswith("mse_loss_backward: dloss must be a number that float32 holds")
    assert np.isnan(F.mse_loss_backward(ones(2), np.zeros(2, FLOAT), dloss=np.nan)).all()
    with pytest.raises(TypeError, match="dloss must be float32 or float64, got dtype bool"):
        F.mse_loss_backward(ones(2), ones(2), dloss=True)
    with pytest.raises(TypeError, match="dloss is float64 but x is float32"):
        F.mse_loss_backward(ones(2), ones(2), dloss=np.array(0.5))


def test_numbers_as_slopes_and_weights(backend):
    x = -ones(2, 3)
    slope = np.array(0.25, FLOAT)
    for number in (0.25, np.float64(0.25)):
        np.testing.assert_array_equal(F.prelu(x, number), F.prelu(x, slope))
        for a, b in zip(F.prelu_backward(x, x, number), F.prelu_backward(x, x, slope), strict=True):
            np.testing.assert_array_equal(a, b)
        t = fnn.tensor(x, requires_grad=True)
        F.prelu(t, number).sum().backward()
        np.testing.assert_array_equal(t.grad, np.full((2, 3), 0.25, FLOAT))
    of_number = F.binary_cross_entropy_with_logits(x, -x, weight=2, pos_weight=3.0)
    assert of_number == F.binary_cross_entropy_with_logits(
        x, -x, weight=np.full(1, 2, FLOAT), pos_weight=np.full(1, 3, FLOAT)
    )
    assert of_number.dtype == np.float32


# Names of parameters and modules.


class Block(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(3, 3, rng=0)
        self.act = nn.ReLU()
        self.skip = None

    def forward(self, x):
        return self.act(self.fc(x))


def _vacated():
    layer = nn.Linear(3, 2, rng=0)
    layer.weight = None
    return layer


def _bias_set_to_none():
    layer = nn.Linear(3, 2, rng=0)
    layer.bias = None
    return layer


VACANT = {
    "Linear": (lambda: nn.Linear(3, 2, bias=False, rng=0), "bias"),
    "Linear, weight": (_vacated, "weight"),
    "Linear, bias": (_bias_set_to_none, "bias"),
    "Conv2d": (lambda: nn.Conv2d(1, 1, 1, bias=False, rng=0), "bias"),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(1, 1, 1, bias=False, rng=0), "bias"),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2, affine=False), "weight"),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(2), "bias"),
    "LayerNorm": (lambda: nn.LayerNorm(2, bias=False), "bias"),
    "GroupNorm": (lambda: nn.GroupNorm(1, 2, affine=False), "weight"),
    "RMSNorm": (lambda: nn.RMSNorm(2, elementwise_affine=False), "weight"),
    "LSTM": (lambda: nn.LSTM(2, 2, bias=False, rng=0), "bias_hh_l0"),
    "GRUCell": (lambda: nn.GRUCell(2, 2, bias=False, rng=0), "bias_ih"),
}
COPIES = {
    "itself": lambda m: m,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda m: pickle.loads(pickle.dumps(m)),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("case", VACANT)
def test_a_parameter_s_name_stays_one_beside_none(case, how):
    make, name = VACANT[case]
    layer = COPIES[how](make())
    assert getattr(layer, name) is None
    for value in (fnn.tensor([1.0]), ones(2), 1.0, nn.ReLU()):
        with pytest.raises(TypeError, match=f"{name!r} is a parameter, which only a Parameter or None can replace"):
            setattr(layer, name, value)
    with pytest.raises(ValueError, match="is a parameter or module already"):
        layer.register_buffer(name, ones(2))
    assert name not in layer.state_dict()
    parameter = nn.Parameter(ones(2))
    setattr(layer, name, parameter)
    assert layer.state_dict().keys() >= {name}
    setattr(layer, name, None)
    assert name not in layer.state_dict()
    delattr(layer, name)
    setattr(layer, name, 1.0)  # as in PyTorch, del makes a name free
    assert getattr(layer, name) == 1.0


def test_a_module_s_name_takes_modules_only():
    block = Block()
    for value in (F.relu, fnn.tensor([1.0]), nn.Parameter([1.0]), 1):
        with pytest.raises(TypeError, match=r"^Block: 'act' is a module, which only a Module or None can replace"):
            block.act = value
    with pytest.raises(TypeError, match="'fc' is a module"):
        block.fc = nn.Parameter(ones(3))
    with pytest.raises(TypeError, match="'weight' is a parameter"):
        block.fc.weight = nn.ReLU()
    block.act = nn.Tanh()
    block.act = None
    with pytest.raises(TypeError, match="'act' is a module"):
        copy.deepcopy(block).act = F.relu
    block.act = nn.ReLU()
    block.skip = 1
    block.skip = nn.Identity()
    assert [name for name, _ in block.named_children()] == ["fc", "act", "skip"]
    del block.skip
    block.skip = F.relu
    assert block.skip is F.relu


def test_states_of_modules_pickled_before_names_were_kept():
    layer = nn.Linear(3, 2, rng=0)
    old = nn.Linear.__new__(nn.Linear)
    old.__dict__.update({k: v for k, v in vars(layer).items() if k != "_vacant"})
    with pytest.raises(TypeError, match="'weight' is a parameter"):
        old.weight = 1.0
    old.bias = None
    with pytest.raises(TypeError, match="'bias' is a parameter"):
        old.bias = 1.0
    assert old(ones(1, 3)).shape == (1, 2)


def test_register_parameter():
    module = nn.Module()
    module.register_parameter("scale", None)
    assert module.state_dict() == {}
    module.register_parameter("scale", nn.Parameter(ones(1)))
    assert list(module.state_dict()) == ["scale"]
    module.register_buffer("mean", ones(1))
    module.child = nn.ReLU()
    for name in ("mean", "child", "forward", "a.b", ""):
        with pytest.raises(ValueError, match="Module: "):
            module.register_parameter(name, None)
    with pytest.raises(TypeError, match="'shift' is a parameter"):
        module.register_parameter("shift", ones(1))
    assert not hasattr(module, "shift")


# Masks.

_INDEX = np.ma.masked_array([0, 1], [0, 1])
_BOOLEANS = np.ma.masked_array([True, False, True], [0, 1, 0])


def _set(index, value):
    x = fnn.tensor(np.zeros(3))
    try:
        x[index] = value
    finally:
        np.testing.assert_array_equal(x.numpy(), 0)


def _clipped(clip):
    x = fnn.tensor(ones(3), requires_grad=True)
    x.grad = MASKED.copy()
    clip([x], 1.0)


def _computed_with():
    x = fnn.tensor(np.zeros(3), requires_grad=True)
    x.data = MASKED
    return x * 2.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: fnn.tensor(np.zeros(3), requires_grad=True).backward(MASKED),
        lambda: fnn.vjp(lambda x: x * 2.0, np.zeros(3))[1](MASKED),
        lambda: fnn.vjp(lambda x: x * 2.0, MASKED),
        lambda: fnn.jvp(lambda x: x * 2.0, (np.zeros(3),), (MASKED,)),
        lambda: fnn.grad(lambda x: x.sum())(MASKED),
        lambda: _set(slice(None), MASKED),
        lambda: _set(0, MASKED[2]),
        lambda: _set(0, MASKED[2:].reshape(())),
        lambda: _set(_INDEX, 1.0),
        lambda: _set(_BOOLEANS, 1.0),
        lambda: fnn.tensor(np.zeros(3))[_INDEX],
        lambda: fnn.tensor(np.zeros(3))[_BOOLEANS],
        lambda: fnn.tensor(np.zeros((3, 3)))[_INDEX, 0],
        lambda: _clipped(fnn.optim.clip_grad_norm),
        lambda: _clipped(fnn.optim.clip_grad_value),
        _computed_with,
    ],
)
def test_masks_are_not_dropped(call):
    with pytest.raises(TypeError, match=r"mask.*\.filled\("):
        call()


# Transformations.


def test_what_is_no_function_is_not_differentiated():
    w = fnn.tensor([1.0], requires_grad=True)
    loss = (w * w).sum()
    for name, call in {
        "grad": lambda f: fnn.grad(f, [w]),
        "value_and_grad": fnn.value_and_grad,
        "vjp": lambda f: fnn.vjp(f, w),
        "jvp": lambda f: fnn.jvp(f, (w,), (w,)),
    }.items():
        assert message(TypeError, lambda: call(3)).startswith(f"{name}: expected a function, got int; fnn.{name}(f")  # noqa: B023
        text = message(TypeError, lambda: call(loss))  # noqa: B023
        assert text.startswith(f"{name}: expected a function, got Tensor; loss.backward()")


@pytest.mark.parametrize("argnums", [[0, 1], "0", 1.0, None, True, (0, "1")])
def test_argnums_are_an_int_or_a_tuple(argnums):
    for name in ("grad", "value_and_grad"):
        text = message(TypeError, lambda: getattr(fnn, name)(lambda a, b: (a * b).sum(), argnums))  # noqa: B023
        assert text.startswith(f"{name}: argnums must be an int or a tuple of ints, got ")
    assert fnn.grad(lambda a, b: (a * b).sum(), np.int64(1))([2.0], [3.0]) == 2


def _in_place(w):
    with fnn.no_grad():
        w -= 1.0
    return w


def _elements(w):
    with fnn.no_grad():
        w[0] = 7.0
    return w


def _through_a_view(w):
    row = w[0:2]
    with fnn.no_grad():
        row *= 0.0
    return w


def _detached(w):
    v = w.detach()
    v += 1.0
    return w


@pytest.mark.parametrize("change", [_in_place, _elements, _through_a_view, _detached])
@pytest.mark.parametrize("kind", [np.asarray, fnn.tensor])
def test_arguments_are_not_changed(change, kind):
    a = kind(np.arange(3.0))
    for call in (
        lambda: fnn.value_and_grad(lambda w: change(w).sum())(a),
        lambda: fnn.grad(lambda w: change(w).sum())(a),
        lambda: fnn.vjp(change, a),
        lambda: fnn.jvp(change, (a,), (None,)),
    ):
        assert "x = x + y" in message(ValueError, call)
        np.testing.assert_array_equal(np.asarray(a), np.arange(3.0))
    assert np.asarray(a).flags.writeable


# Views of leaves.


def test_a_view_is_changed_in_place_inside_no_grad():
    w = fnn.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    row, matrix = w[0], w.T
    with fnn.no_grad():
        same = row
        row *= 0.0
        row += 5.0
        assert row is same
        matrix -= 1.0
    np.testing.assert_array_equal(w.numpy(), [[4.0, 4.0], [1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(row.numpy(), [4.0, 4.0])
    (w * w).sum().backward()
    np.testing.assert_array_equal(w.grad, 2 * w.numpy())


def test_a_change_of_a_view_is_noted():
    w = fnn.tensor(np.arange(1.0, 7.0).reshape(3, 2), requires_grad=True)
    row = w[0]
    loss = (w * w).sum()
    with fnn.no_grad():
        row *= 0.0
    with pytest.raises(RuntimeError, match="changed in place since"):
        loss.backward()
    y = fnn.exp(w)
    part = y[1:]
    with fnn.no_grad():
        part += 1.0
    with pytest.raises(RuntimeError, match="changed in place since"):
        y.sum().backward()


def test_outside_no_grad_a_view_becomes_a_new_tensor():
    w = fnn.tensor(np.ones((2, 2)), requires_grad=True)
    row = w[0]
    row *= 3.0
    row.sum().backward()
    np.testing.assert_array_equal(w.numpy(), 1)
    np.testing.assert_array_equal(w.grad, [[3, 3], [0, 0]])


def test_classes_without_arguments_stay_as_they_were():
    class Mixin:
        def __init__(self):
            self.mixed = True

    class Net(nn.ReLU, Mixin):
        def __init__(self):
            super().__init__()

    class Plain(nn.Module, Mixin):
        pass

    assert Net().mixed
    assert Plain().mixed
    assert isinstance(copy.deepcopy(pickle.loads(pickle.dumps(nn.ReLU()))), nn.ReLU)
