"""Messages that help: they name the argument that is odd, and what to write instead."""

import json
import pickle

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from arrays import CLASSES, message, ones
from fastnn import nn

LABELS = np.array([0, 2])
WIDE = {
    "linear": lambda: nn.Linear(3, 4)(np.ones((2, 3))),
    "conv2d": lambda: nn.Conv2d(3, 4, 3)(np.ones((2, 3, 8, 8))),
    "conv_transpose2d": lambda: nn.ConvTranspose2d(3, 4, 3)(np.ones((2, 3, 8, 8))),
    "lstm": lambda: nn.LSTM(3, 4)(np.ones((5, 2, 3))),
    "gru": lambda: nn.GRU(3, 4)(np.ones((5, 2, 3))),
    "batch_norm": lambda: nn.BatchNorm2d(3)(np.ones((2, 3, 8, 8))),
    "layer_norm": lambda: nn.LayerNorm(3)(np.ones((2, 3))),
    "prelu": lambda: nn.PReLU()(np.ones((2, 3))),
}


@pytest.mark.parametrize("op", WIDE)
def test_data_of_float64_are_named_and_not_the_weights(op):
    text = message(TypeError, WIDE[op])
    assert text.startswith(f"{op}: x is float64 but weight"), text
    assert "x.astype(np.float32)" in text
    assert "model.astype(np.float64)" in text


@pytest.mark.parametrize(
    ("call", "start"),
    [
        (lambda: F.matmul(ones(2, 3, dtype=float), ones(3, 2)), "matmul: a is float64 but b is float32"),
        (lambda: F.matmul(ones(2, 3), ones(3, 2, dtype=float)), "matmul: b is float64 but a is float32"),
        (lambda: F.mse_loss(ones(3), ones(3, dtype=float)), "mse_loss: target is float64 but x is float32"),
        (
            lambda: F.cross_entropy(ones(4, 3), CLASSES, np.ones(3)),
            "cross_entropy: weight is float64 but logits is float32",
        ),
        (
            lambda: nn.BatchNorm2d(3, affine=False)(np.ones((2, 3, 4, 4))),
            "batch_norm: x is float64 but running_mean is float32",
        ),
        (
            lambda: F.adam_step(ones(3), ones(3), np.zeros(3), np.zeros(3, np.float32), step=1, lr=0.1),
            "adam_step: exp_avg is float64 but param is float32",
        ),
        (lambda: F.relu_backward(np.ones(3), ones(3)), "relu_backward: dy is float64 but x is float32"),
        (lambda: F.tanh_backward(np.ones(3), ones(3)), "tanh_backward: dy is float64 but y is float32"),
        (
            lambda: F.max_pool2d_backward(np.ones((1, 1, 2, 2)), ones(1, 1, 4, 4), 2),
            "max_pool2d_backward: dy is float64 but x is float32",
        ),
        (
            lambda: F.lp_pool2d_backward(np.ones((1, 1, 2, 2)), ones(1, 1, 4, 4), 2.0, 2),
            "lp_pool2d_backward: dy is float64 but x is float32",
        ),
        (
            lambda: F.adaptive_max_pool2d_backward(np.ones((1, 1, 2, 2)), ones(1, 1, 4, 4), 2),
            "adaptive_max_pool2d_backward: dy is float64 but x is float32",
        ),
    ],
)
def test_the_array_of_float64_is_the_odd_one(call, start):
    text = message(TypeError, call)
    assert text.startswith(start)
    assert f"{start.split()[1]}.astype(np.float32)" in text


@pytest.mark.parametrize("arguments", [(1,), (1, 1), ((2, 2),), (True,)])
def test_a_stride_in_the_place_of_the_bias(arguments):
    text = message(TypeError, lambda: F.conv2d(ones(1, 2, 5, 5), ones(3, 2, 3, 3), *arguments))
    assert text.startswith("conv2d: bias must be an array of shape (3,) or None, got ")
    assert "stride=" in text
    assert message(TypeError, lambda: F.conv_transpose1d(ones(1, 2, 5), ones(2, 3, 3), 2)).startswith(
        "conv_transpose1d: bias"
    )


def test_one_hot_integers_are_no_classes():
    text = message(ValueError, lambda: F.cross_entropy(ones(4, 3), np.eye(4, 3, dtype=int)))
    assert text.startswith("cross_entropy: target must have shape (4,)")
    assert "target.astype(np.float32)" in text
    assert F.cross_entropy(ones(4, 3), np.eye(3, dtype=int)[CLASSES].astype(np.float32)) > 0


class _Box:
    """As of a library that differentiates through objects of its own."""

    def __add__(self, other):
        return self


@pytest.mark.parametrize("call", [F.relu, lambda x: F.linear(x, ones(2, 3)), lambda x: F.max_pool2d(x, 2)])
def test_objects_of_other_libraries(call):
    text = message(TypeError, lambda: call(_Box()))
    assert "object of type _Box" in text
    assert "as a primitive" in text
    assert "primitive" not in message(TypeError, lambda: call(np.array([1, None])))


@pytest.mark.parametrize(
    ("call", "start", "names"),
    [
        (lambda: nn.Softmax(dim=1), "Softmax: got an unexpected keyword argument 'dim'", "(axis)"),
        (lambda: nn.Conv2d(1, 1, 1, pad=1), "Conv2d: got an unexpected keyword argument 'pad'", "stride, padding"),
        (
            lambda: nn.MaxPool1d(2, size=1),
            "MaxPool1d: got an unexpected keyword argument 'size'",
            "(kernel_size, stride",
        ),
        (lambda: nn.LSTM(1, 1, layers=2), "LSTM: got an unexpected keyword argument 'layers'", "num_layers"),
        (lambda: nn.GRUCell(1), "GRUCell: missing a required argument: 'hidden_size'", "(input_size, hidden_size"),
        (lambda: nn.AdaptiveAvgPool2d(), "AdaptiveAvgPool2d: missing a required argument", "(output_size)"),
        (lambda: nn.Dropout2d(inplace=True), "Dropout2d: got an unexpected keyword argument 'inplace'", "(p, rng)"),
        (lambda: nn.MSELoss(size_average=True), "MSELoss: got an unexpected keyword argument", "(reduction)"),
    ],
)
def test_layers_name_themselves_and_their_arguments(call, start, names):
    text = message(TypeError, call)
    assert text.startswith(start)
    assert names in text


def test_errors_inside_layers_stay_what_they_are():
    assert message(TypeError, lambda: nn.Conv2d("one", 1, 1)) == "Conv2d: in_channels must be an int, got 'one'"

    class Own(nn.Linear):
        def __init__(self, size):
            super().__init__(size, size, slope=1)

    assert message(TypeError, lambda: Own(1)).startswith("Linear: got an unexpected keyword argument 'slope'")
    assert message(TypeError, Own).startswith("test_errors_inside_layers")  # a class of one's own is Python's business


def test_size_is_a_number():
    x = fnn.tensor(ones(2, 3))
    assert x.size == 6
    assert isinstance(x.size, int)
    assert json.dumps(x.size) == repr(x.size) == "6"
    assert pickle.loads(pickle.dumps(x.size)) == 6
    assert "x.shape[1]" in message(TypeError, lambda: x.size(1))
    assert "x.shape is the shape" in message(TypeError, lambda: x.size())


def test_a_shape_makes_no_tensor():
    assert "np.zeros((2, 3)" in message(TypeError, lambda: fnn.Tensor(2, 3))
    assert "requires_grad must be True or False, got 0" in message(TypeError, lambda: fnn.Tensor(2, 0))
    assert fnn.Tensor(np.ones(2), np.True_).requires_grad


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        (lambda: F.matmul_backward(ones(2, 2, dtype=float), ones(2, 3), ones(3, 2)), TypeError, ["dy is float64 but a is"]),
        (
            lambda: F.nll_loss_backward(ones(2, 3), LABELS, dloss=np.ones(())),
            TypeError,
            ["dloss is float64 but x is float32"],
        ),
        (
            lambda: F.cross_entropy_backward(ones(2, 3), LABELS, dloss=np.ones(())),
            TypeError,
            ["dloss is float64 but logits is float32"],
        ),
        (
            lambda: F.max_pool1d_backward(ones(1, 1, 1), (1, 1, 2), 2, indices=np.full((1, 1, 1), 2**64 - 1, np.uint64)),
            ValueError,
            ["max_pool1d_backward: indices", str(2**64 - 1)],
        ),
        (
            lambda: F.adaptive_max_pool1d_backward(
                ones(1, 1, 1), (1, 1, 2), 1, indices=np.full((1, 1, 1), 2**63, np.uint64)
            ),
            ValueError,
            ["adaptive_max_pool1d_backward: indices", str(2**63)],
        ),
        (lambda: fnn.tensor(ones(2, 3)).size(0, 1), TypeError, ["x.shape[0], x.shape[1]"]),
        (lambda: fnn.tensor(ones(2, 3)).size(dim=1), TypeError, ["x.shape[1]"]),
        (lambda: F.linear(np.ones((1, 2), int), ones(1, 2)), TypeError, ["x.astype(np.float32)"]),
        (lambda: F.linear([[1, 2]], ones(1, 2)), TypeError, ["np.asarray(x, np.float32)"]),
        (lambda: F.conv2d(np.ones((1, 1, 2, 2), np.uint8), ones(1, 1, 1, 1)), TypeError, ["uint8", "x.astype(np.float32)"]),
        (lambda: nn.Conv2d(1, 1, 1, rng=0)(np.ones((1, 1, 2, 2), np.uint8)), TypeError, ["x.astype(np.float32)"]),
        (lambda: F.mse_loss(ones(2), np.ones(2, int)), TypeError, ["target.astype(np.float32)"]),
        (lambda: fnn.tensor(ones(2, 3)).sum(dim=1), TypeError, ["Tensor.sum()", "'dim'"]),
        (lambda: fnn.tensor(ones(2, 3)).argmax(dim=1), TypeError, ["Tensor.argmax()", "'dim'"]),
        (lambda: fnn.tensor(ones(2, 3)).unsqueeze(0, dim=0), TypeError, ["Tensor.unsqueeze()", "'dim'"]),
        (lambda: F.softmax(ones(2, 3), dim=1), TypeError, ["softmax()", "'dim'"]),
        (lambda: F.log_softmax(ones(2, 3), dim=1), TypeError, ["log_softmax()", "'dim'"]),
        (lambda: fnn.stack([ones(2)], dim=1), TypeError, ["stack()", "'dim'"]),
        (lambda: fnn.concatenate([ones(2)], dim=0), TypeError, ["concatenate()", "'dim'"]),
        (lambda: nn.ReLU(inplace=True), TypeError, ["ReLU: ", "'inplace'; it takes no arguments"]),
        (lambda: nn.Identity(54), TypeError, ["Identity: too many positional arguments; it takes no arguments"]),
        (lambda: fnn.optim.SGD([], rate=1), TypeError, ["SGD: ", "it takes (params, lr, momentum"]),
        (lambda: fnn.optim.AMSGrad([], beta=1), TypeError, ["AMSGrad: ", "'beta'; it takes (params, lr"]),
    ],
)  # fmt: skip
def test_messages(call, error, parts, backend):
    text = message(error, call)
    for part in parts:
        assert part in text


@pytest.mark.parametrize("stride", [1, np.int64(1), 1.0, np.float64(1), (1, 1), [1, 1], (np.int64(1), 1)])
def test_a_stride_of_any_kind_in_the_place_of_the_bias(stride, backend):
    for call in (F.conv2d, F.conv_transpose2d):
        assert "stride and padding come behind it" in message(
            TypeError,
            lambda: call(ones(1, 1, 3, 3), ones(1, 1, 2, 2), stride),  # noqa: B023
        )


@pytest.mark.parametrize("target", [np.eye(4, 3, dtype=int), np.eye(4, 3, dtype=int).tolist(), np.eye(4, 3).tolist()])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.multi_margin_loss])
def test_one_hot_rows_are_no_classes(loss, target, backend):
    text = message((TypeError, ValueError), lambda: loss(ones(4, 3), target))
    assert text.startswith(f"{loss.__name__}: target must ")
    assert "shape (4,)" in text
    assert "np.argmax(target, axis=1)" in text
    assert ("probabilities by" in text) == (loss is F.cross_entropy)
