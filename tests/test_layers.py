"""Each layer against its function and central differences; initial weights, dropout, losses."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from arrays import normal
from fastnn import nn
from fastnn.testing import gradcheck

VOLUME, IMAGE, SIGNAL, ROWS = (2, 4, 3, 5, 4), (2, 4, 6, 5), (2, 4, 9), (5, 4)
LAYERS = [
    (lambda: nn.Linear(4, 3, dtype=float, rng=0), ROWS, lambda m, x: F.linear(x, m.weight, m.bias)),
    (lambda: nn.Linear(4, 3, bias=False, dtype=float, rng=0), (2, 3, 4), lambda m, x: F.linear(x, m.weight)),
    (
        lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2, dtype=float, rng=0),
        SIGNAL,
        lambda m, x: F.conv1d(x, m.weight, m.bias, 2, 1, 1, 2),
    ),
    (
        lambda: nn.Conv2d(4, 6, (3, 2), padding=((1, 0), (0, 1)), dilation=(1, 2), dtype=float, rng=0),
        IMAGE,
        lambda m, x: F.conv2d(x, m.weight, m.bias, 1, ((1, 0), (0, 1)), (1, 2)),
    ),
    (
        lambda: nn.Conv2d(4, 4, 3, padding="same", groups=4, bias=False, dtype=float, rng=0),
        IMAGE,
        lambda m, x: F.conv2d(x, m.weight, None, 1, "same", 1, 4),
    ),
    (
        lambda: nn.Conv3d(4, 2, (2, 3, 1), (1, 2, 1), "same", groups=2, dtype=float, rng=0),
        VOLUME,
        lambda m, x: F.conv3d(x, m.weight, m.bias, (1, 2, 1), "same", 1, 2),
    ),
    (
        lambda: nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, dilation=2, dtype=float, rng=0),
        SIGNAL,
        lambda m, x: F.conv_transpose1d(x, m.weight, m.bias, 2, 1, 1, 2, 2),
    ),
    (
        lambda: nn.ConvTranspose2d(4, 3, (2, 3), (3, 1), ((0, 1), (1, 0)), bias=False, dtype=float, rng=0),
        IMAGE,
        lambda m, x: F.conv_transpose2d(x, m.weight, None, (3, 1), ((0, 1), (1, 0))),
    ),
    (
        lambda: nn.ConvTranspose3d(4, 2, 2, (1, 2, 1), dtype=float, rng=0),
        VOLUME,
        lambda m, x: F.conv_transpose3d(x, m.weight, m.bias, (1, 2, 1)),
    ),
    (lambda: nn.MaxPool1d(3, 2, 1), SIGNAL, lambda m, x: F.max_pool1d(x, 3, 2, 1)),
    (lambda: nn.MaxPool2d(2, dilation=2, ceil_mode=True), IMAGE, lambda m, x: F.max_pool2d(x, 2, 2, 0, 2, True)),
    (lambda: nn.MaxPool3d((1, 2, 2), 1), VOLUME, lambda m, x: F.max_pool3d(x, (1, 2, 2), 1)),
    (lambda: nn.AvgPool1d(2), SIGNAL, lambda m, x: F.avg_pool1d(x, 2)),
    (lambda: nn.AvgPool2d(3, 2, 1, True, False), IMAGE, lambda m, x: F.avg_pool2d(x, 3, 2, 1, True, False)),
    (lambda: nn.AvgPool3d(2, 1), VOLUME, lambda m, x: F.avg_pool3d(x, 2, 1)),
    (lambda: nn.AvgPool1d(2, divisor_override=3), SIGNAL, lambda m, x: F.avg_pool1d(x, 2, divisor_override=3)),
    (lambda: nn.LPPool1d(2, 3), SIGNAL, lambda m, x: F.lp_pool1d(x, 2, 3)),
    (lambda: nn.LPPool2d(3.0, 2, 1), IMAGE, lambda m, x: F.lp_pool2d(x, 3.0, 2, 1)),
    (lambda: nn.LPPool3d(2, 2), VOLUME, lambda m, x: F.lp_pool3d(x, 2, 2)),
    (lambda: nn.AdaptiveAvgPool1d(4), SIGNAL, lambda m, x: F.adaptive_avg_pool1d(x, 4)),
    (lambda: nn.AdaptiveAvgPool2d(1), IMAGE, lambda m, x: F.adaptive_avg_pool2d(x, 1)),
    (lambda: nn.AdaptiveAvgPool3d((1, 2, 3)), VOLUME, lambda m, x: F.adaptive_avg_pool3d(x, (1, 2, 3))),
    (lambda: nn.AdaptiveMaxPool1d(2), SIGNAL, lambda m, x: F.adaptive_max_pool1d(x, 2)),
    (lambda: nn.AdaptiveMaxPool2d((2, 3)), IMAGE, lambda m, x: F.adaptive_max_pool2d(x, (2, 3))),
    (lambda: nn.AdaptiveMaxPool3d(2), VOLUME, lambda m, x: F.adaptive_max_pool3d(x, 2)),
    (lambda: nn.Upsample(5), SIGNAL, lambda m, x: F.interpolate(x, 5)),
    (
        lambda: nn.Upsample(None, (2.0, 1.5), "bilinear", True, False),
        IMAGE,
        lambda m, x: F.interpolate(x, None, (2.0, 1.5), "bilinear", True, False),
    ),
    (lambda: nn.Upsample([2, 3, 4], mode="area"), VOLUME, lambda m, x: F.interpolate(x, (2, 3, 4), mode="area")),
    (
        lambda: nn.BatchNorm3d(4, dtype=float),
        VOLUME,
        lambda m, x: F.batch_norm(x, None, None, m.weight, m.bias, True),
    ),
    (
        lambda: nn.BatchNorm1d(4, dtype=float),
        ROWS,
        lambda m, x: F.batch_norm(x, None, None, m.weight, m.bias, True),
    ),
    (
        lambda: nn.BatchNorm2d(4, affine=False, eps=0.1, dtype=float),
        IMAGE,
        lambda m, x: F.batch_norm(x, None, None, training=True, eps=0.1),
    ),
    (lambda: nn.LayerNorm(5, dtype=float), IMAGE, lambda m, x: F.layer_norm(x, 5, m.weight, m.bias)),
    (
        lambda: nn.LayerNorm((4, 6, 5), bias=False, dtype=float),
        IMAGE,
        lambda m, x: F.layer_norm(x, (4, 6, 5), m.weight),
    ),
    (lambda: nn.InstanceNorm1d(4), SIGNAL, lambda m, x: F.instance_norm(x)),
    (lambda: nn.InstanceNorm2d(4, affine=True, dtype=float), IMAGE, lambda m, x: F.instance_norm(x, m.weight, m.bias)),
    (lambda: nn.InstanceNorm3d(4), VOLUME, lambda m, x: F.instance_norm(x)),
    (lambda: nn.GroupNorm(2, 4, dtype=float), IMAGE, lambda m, x: F.group_norm(x, 2, m.weight, m.bias)),
    (lambda: nn.RMSNorm(5, dtype=float), IMAGE, lambda m, x: F.rms_norm(x, 5, m.weight)),
    (lambda: nn.RMSNorm((6, 5), 0.1, False), IMAGE, lambda m, x: F.rms_norm(x, (6, 5), eps=0.1)),
    (lambda: nn.LocalResponseNorm(3, 0.5, 0.6, 2.0), IMAGE, lambda m, x: F.local_response_norm(x, 3, 0.5, 0.6, 2.0)),
    (
        lambda: nn.Residual(nn.Linear(4, 4, dtype=float, rng=0), nn.Linear(4, 4, dtype=float, rng=1), nn.Tanh()),
        ROWS,
        lambda m, x: F.tanh(m.branch(x) + m.shortcut(x)),
    ),
    (
        lambda: nn.ResidualBlock(4, 4, dtype=float, rng=0).eval(),
        IMAGE,
        lambda m, x: F.relu(m.branch(x).data + x),
    ),
    (
        lambda: nn.ResidualBlock(4, 6, stride=(2, 1), dtype=float, rng=0),
        IMAGE,
        lambda m, x: F.relu(m.branch(x).data + m.shortcut(x).data),
    ),
    (lambda: nn.ReLU(), IMAGE, lambda m, x: F.relu(x)),
    (lambda: nn.LeakyReLU(0.2), IMAGE, lambda m, x: F.leaky_relu(x, 0.2)),
    (lambda: nn.ELU(0.5), IMAGE, lambda m, x: F.elu(x, 0.5)),
    (lambda: nn.Sigmoid(), IMAGE, lambda m, x: F.sigmoid(x)),
    (lambda: nn.Tanh(), IMAGE, lambda m, x: F.tanh(x)),
    (lambda: nn.SELU(), IMAGE, lambda m, x: F.selu(x)),
    (lambda: nn.SiLU(), IMAGE, lambda m, x: F.silu(x)),
    (lambda: nn.GELU(), IMAGE, lambda m, x: F.gelu(x)),
    (lambda: nn.GELU("tanh"), ROWS, lambda m, x: F.gelu(x, "tanh")),
    (lambda: nn.Softplus(2.0, 1.0), IMAGE, lambda m, x: F.softplus(x, 2.0, 1.0)),
    (lambda: nn.Hardsigmoid(), IMAGE, lambda m, x: F.hardsigmoid(x)),
    (lambda: nn.Hardswish(), IMAGE, lambda m, x: F.hardswish(x)),
    (lambda: nn.ReLU6(), IMAGE, lambda m, x: F.relu6(x)),
    (lambda: nn.ThresholdedReLU(0.5), IMAGE, lambda m, x: F.thresholded_relu(x, 0.5)),
    (lambda: nn.CELU(0.5), IMAGE, lambda m, x: F.celu(x, 0.5)),
    (lambda: nn.Mish(), IMAGE, lambda m, x: F.mish(x)),
    (lambda: nn.LogSigmoid(), IMAGE, lambda m, x: F.logsigmoid(x)),
    (lambda: nn.Softsign(), IMAGE, lambda m, x: F.softsign(x)),
    (lambda: nn.PReLU(dtype=float), ROWS, lambda m, x: F.prelu(x, m.weight)),
    (lambda: nn.PReLU(4, 0.5, dtype=float), IMAGE, lambda m, x: F.prelu(x, np.full(4, 0.5))),
    (lambda: nn.RReLU(0.25, 0.75).eval(), IMAGE, lambda m, x: F.leaky_relu(x, 0.5)),
    (
        lambda: nn.Maxout(4, 3, 2, dtype=float, rng=0),
        (2, 3, 4),
        lambda m, x: F.linear(x, m.linear.weight.data, m.linear.bias.data).reshape(2, 3, 3, 2).max(axis=-1),
    ),
    (lambda: nn.Softmax(1), IMAGE, lambda m, x: F.softmax(x, 1)),
    (lambda: nn.LogSoftmax(), ROWS, lambda m, x: F.log_softmax(x)),
    (lambda: nn.Flatten(), IMAGE, lambda m, x: x.reshape(2, 120)),
    (lambda: nn.Flatten(-3, 2), IMAGE, lambda m, x: x.reshape(2, 24, 5)),
    (lambda: nn.Identity(), IMAGE, lambda m, x: x),
    (lambda: nn.PixelShuffle(2), IMAGE, lambda m, x: F.pixel_shuffle(x, 2)),
    (lambda: nn.PixelUnshuffle(2), (2, 3, 4, 6), lambda m, x: F.pixel_unshuffle(x, 2)),
    (lambda: nn.ZeroPad1d((2, -1)), SIGNAL, lambda m, x: F.pad(x, (2, -1))),
    (lambda: nn.ZeroPad2d([1, 0, 2, 3]), IMAGE, lambda m, x: F.pad(x, (1, 0, 2, 3))),
    (lambda: nn.ZeroPad3d(1), VOLUME, lambda m, x: F.pad(x, (1,) * 6)),
    (lambda: nn.ConstantPad1d(2, 0.5), SIGNAL, lambda m, x: F.pad(x, (2, 2), value=0.5)),
    (lambda: nn.ConstantPad2d((1, 0, 2, 3), -1), IMAGE, lambda m, x: F.pad(x, (1, 0, 2, 3), value=-1)),
    (lambda: nn.ConstantPad3d(1, 1e9), VOLUME, lambda m, x: F.pad(x, (1,) * 6, value=1e9)),
    (lambda: nn.ReflectionPad1d((20, 3)), SIGNAL, lambda m, x: F.pad(x, (20, 3), "reflect")),
    (lambda: nn.ReflectionPad2d(2), IMAGE, lambda m, x: F.pad(x, (2,) * 4, "reflect")),
    (lambda: nn.ReflectionPad3d((1, 0, 0, 2, 1, 1)), VOLUME, lambda m, x: F.pad(x, (1, 0, 0, 2, 1, 1), "reflect")),
    (lambda: nn.ReplicationPad1d(2), SIGNAL, lambda m, x: F.pad(x, (2, 2), "replicate")),
    (lambda: nn.ReplicationPad2d((-1, 1, 2, 0)), IMAGE, lambda m, x: F.pad(x, (-1, 1, 2, 0), "replicate")),
    (lambda: nn.ReplicationPad3d(1), VOLUME, lambda m, x: F.pad(x, (1,) * 6, "replicate")),
    (lambda: nn.CircularPad1d((1, 4)), SIGNAL, lambda m, x: F.pad(x, (1, 4), "circular")),
    (lambda: nn.CircularPad2d(3), IMAGE, lambda m, x: F.pad(x, (3,) * 4, "circular")),
    (lambda: nn.CircularPad3d((0, 1, 2, 0, 1, 1)), VOLUME, lambda m, x: F.pad(x, (0, 1, 2, 0, 1, 1), "circular")),
]


@pytest.mark.parametrize(
    ("make", "shape", "function"),
    LAYERS,
    ids=lambda v: repr(v()) if callable(v) and v.__code__.co_argcount == 0 else "",
)
def test_layer(make, shape, function):
    layer, x = make(), normal(*shape)
    assert repr(layer).startswith(type(layer).__name__ + "(")
    y = layer(fnn.tensor(x))
    assert isinstance(y, fnn.Tensor)
    np.testing.assert_array_equal(y.data, fnn.autograd.raw(function(layer, x)))
    assert gradcheck(layer, x, max_elements=30)


def test_layers_take_arrays_and_give_arrays_without_parameters():
    assert type(nn.ReLU()(normal(3))) is np.ndarray
    assert type(nn.Flatten()(normal(3, 2, 2))) is np.ndarray


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Linear(0, 3), "Linear: in_features"),
        (lambda: nn.Linear(3, 2.5), "Linear: out_features"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "Conv2d: groups=4 must divide"),
        (lambda: nn.Conv2d(4, 6, 0), "Conv2d: kernel_size"),
        (lambda: nn.Conv1d(4, 6, (3, 3)), "Conv1d: kernel_size"),
        (lambda: nn.Conv1d(4, 6, 3, stride=0), "Conv1d: stride"),
        (lambda: nn.Conv1d(4, 6, 3, padding="most"), "Conv1d: padding"),
        (lambda: nn.ConvTranspose2d(4, 6, 3, groups=4), "ConvTranspose2d: groups=4 must divide"),
        (lambda: nn.ConvTranspose2d(4, 6, 3, padding="same"), "ConvTranspose2d: padding"),
        (lambda: nn.ConvTranspose2d(4, 6, 3, output_padding=-1), "ConvTranspose2d: output_padding"),
        (
            lambda: nn.ConvTranspose2d(4, 6, 3, output_padding=1, dtype=float)(normal(*IMAGE)),
            "output_padding 1 must be smaller",
        ),
        (lambda: nn.MaxPool2d((2, 2, 2)), "MaxPool2d: kernel_size"),
        (lambda: nn.LPPool2d(0, 2), "LPPool2d: norm_type"),
        (lambda: nn.Upsample(), "Upsample: size or scale_factor must be given"),
        (lambda: nn.Upsample(2, 2.0), "Upsample: size and scale_factor"),
        (lambda: nn.Upsample(0), "Upsample: size must be at least 1"),
        (lambda: nn.Upsample(scale_factor=-1.0), "Upsample: scale_factor"),
        (lambda: nn.Upsample((2, 2, 2), mode="bilinear"), "Upsample: size"),
        (lambda: nn.Upsample(2, mode="best"), "Upsample: mode must be one of"),
        (lambda: nn.Upsample(2, align_corners=True), "Upsample: align_corners"),
        (lambda: nn.ZeroPad2d((1, 1)), "ZeroPad2d: padding must be an int or 4 ints, got 2"),
        (lambda: nn.ReflectionPad1d(1.0), "ReflectionPad1d: padding must be an int"),
        (lambda: nn.ReflectionPad1d(((1, 1),)), "ReflectionPad1d: padding must be an int or 2 ints"),
        (lambda: nn.CircularPad2d((1, 1, 1, True)), "CircularPad2d: padding must be an int"),
        (lambda: nn.ConstantPad3d(1, "0"), "ConstantPad3d: value must be a number"),
        (lambda: nn.ConstantPad3d(1, 10**400), "ConstantPad3d: value must be a number that float64 holds"),
        (lambda: nn.ReplicationPad2d(1)(normal(3)), "pad: padding must have two ints per axis, for at most 1"),
        (lambda: nn.BatchNorm1d(3, momentum=1.5), "BatchNorm1d: momentum"),
        (lambda: nn.BatchNorm1d(3, unbiased=1), "BatchNorm1d: unbiased"),
        (lambda: nn.GroupNorm(3, 4), "GroupNorm: num_groups=3 must divide"),
        (lambda: nn.LayerNorm(0), "LayerNorm: normalized_shape"),
        (lambda: nn.RMSNorm(4, eps=-1.0), "RMSNorm: eps"),
        (lambda: nn.LocalResponseNorm(0), "LocalResponseNorm: size"),
        (lambda: nn.LocalResponseNorm(3, k=-1.0), "LocalResponseNorm: k"),
        (lambda: nn.Residual(None), "Residual: branch must be a module"),
        (lambda: nn.Residual(nn.Flatten())(normal(2, 4, 3)), r"Residual: the branch gives shape \(2, 12\)"),
        (lambda: nn.ResidualBlock(4, 4, 2, "identity"), "ResidualBlock: the identity does not fit"),
        (lambda: nn.ResidualBlock(4, 4, shortcut="none"), "ResidualBlock: shortcut"),
        (lambda: nn.Dropout(1.5), "Dropout: p"),
        (lambda: nn.Dropout2d(-0.5), "Dropout2d: p"),
        (lambda: nn.Dropout2d()(normal(2, 3, 4)), r"dropout2d: x must have 4 axes \(n, c, h, w\)"),
        (lambda: nn.PReLU(0), "PReLU: num_parameters"),
        (lambda: nn.PReLU(3)(normal(2, 4)), r"prelu: x is float64 but weight is float32"),
        (lambda: nn.PReLU(3, dtype=float)(normal(2, 4)), r"prelu: weight must have shape \(\), \(1,\) or"),
        (lambda: nn.RReLU(0.5, 0.25), "RReLU: lower=0.5 must not be above upper=0.25"),
        (lambda: nn.Maxout(4, 2, 0), "Maxout: pieces"),
        (lambda: nn.GELU("erf"), "GELU: approximate"),
        (lambda: nn.Softplus(0), "Softplus: beta"),
        (lambda: nn.CrossEntropyLoss(reduction="all"), "CrossEntropyLoss: reduction"),
        (lambda: nn.Linear(2, 2, dtype=np.float16), "float16"),
        (
            lambda: nn.BatchNorm2d(4)(normal(2, 4, 5)),
            r"BatchNorm2d: expected \(N, C, H, W\) with C=4, got x of shape \(2, 4, 5\)",
        ),
        (lambda: nn.BatchNorm1d(4)(normal(2, 3)), "BatchNorm1d: expected"),
        (lambda: nn.BatchNorm3d(4)(normal(*IMAGE)), r"BatchNorm3d: expected \(N, C, D, H, W\)"),
        (lambda: nn.Conv3d(4, 6, (3, 3)), "Conv3d: kernel_size"),
        (lambda: nn.InstanceNorm2d(4)(normal(2, 4)), "InstanceNorm2d: expected"),
        (lambda: nn.Flatten(2, 1)(normal(2, 4, 3)), "Flatten: x of shape"),
        (lambda: nn.Flatten()(normal(2)), "Flatten: x of shape"),
    ],
)
def test_refusals(make, text):
    with pytest.raises((ValueError, TypeError), match=text):
        make()


def test_initial_weights():
    layer = nn.Linear(100, 50, rng=3)
    assert 0.95 * np.sqrt(6 / 100) < abs(layer.weight.data).max() <= np.sqrt(6 / 100)
    assert not layer.bias.data.any()
    conv = nn.Conv2d(32, 64, 3, groups=4, rng=3)
    assert 0.95 * np.sqrt(6 / 72) < abs(conv.weight.data).max() <= np.sqrt(6 / 72)
    np.testing.assert_array_equal(conv.weight.data, nn.Conv2d(32, 64, 3, groups=4, rng=3).weight.data)
    transposed = nn.ConvTranspose2d(64, 32, 3, groups=4, rng=3)
    assert transposed.weight.shape == (64, 8, 3, 3)
    assert 0.95 * np.sqrt(6 / 144) < abs(transposed.weight.data).max() <= np.sqrt(6 / 144)
    assert nn.Linear(3, 2, dtype=np.float64).weight.dtype == np.float64


def test_residual_shortcuts():
    same, wider = nn.ResidualBlock(4, 4, rng=0), nn.ResidualBlock(4, 8, rng=0)
    assert type(same.shortcut) is nn.Identity
    assert wider.shortcut[0].weight.shape == (8, 4, 1, 1)
    assert type(nn.ResidualBlock(4, 4, shortcut="projection").shortcut) is nn.Sequential
    assert same.branch[0].bias is None
    assert (same.branch[0].weight.data != same.branch[3].weight.data).any()


def test_which_parameters_decay():
    net = nn.Sequential(
        nn.Conv1d(2, 2, 3), nn.BatchNorm1d(2), nn.LayerNorm((2, 4)), nn.GroupNorm(1, 2), nn.Linear(4, 4)
    )
    assert {name for name, p in net.named_parameters() if p.decay} == {"0.weight", "4.weight"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rms_norm_adds_the_machine_epsilon_by_default(dtype):
    eps = np.finfo(dtype).eps
    x = np.full((1, 4), 1e-4, dtype)
    np.testing.assert_array_equal(F.rms_norm(x, 4), F.rms_norm(x, 4, eps=float(eps)))
    np.testing.assert_allclose(F.rms_norm(x, 4), x / np.sqrt(x * x + eps), rtol=4 * eps)
    assert nn.RMSNorm(4).eps is None


# dropout
def test_dropout():
    x = np.ones((100, 100), np.float32)
    layer = nn.Dropout(0.3, rng=0)
    first, second = layer(x), layer(x)
    assert (first != second).any()
    again = nn.Dropout(0.3, rng=0)
    np.testing.assert_array_equal(again(x), first)
    np.testing.assert_array_equal(again(x), second)
    assert (first == 0).mean() == pytest.approx(0.3, abs=0.02)
    layer.eval()
    np.testing.assert_array_equal(layer(x), x)


@pytest.mark.parametrize(("layer", "space"), [(nn.Dropout1d, (5,)), (nn.Dropout2d, (3, 4)), (nn.Dropout3d, (2, 3, 2))])
def test_spatial_dropout_drops_whole_channels(layer, space):
    x = normal(40, 25, *space) + 10
    net = layer(0.3, rng=0)
    y = net(x).reshape(1000, -1)
    dropped = (y == 0).all(axis=1)
    assert dropped.mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.3 * 0.7 / 1000))
    np.testing.assert_allclose(y[~dropped], x.reshape(1000, -1)[~dropped] / 0.7)
    assert (net(x) != net(x)).any()
    assert net.eval()(x) is x


def test_rrelu():
    x = -np.ones((200, 100))
    layer = nn.RReLU(rng=0)
    slopes = -layer(x)
    assert 1 / 8 <= slopes.min() < 0.126
    assert 0.332 < slopes.max() < 1 / 3
    assert slopes.mean() == pytest.approx((1 / 8 + 1 / 3) / 2, abs=5 * (1 / 3 - 1 / 8) / np.sqrt(12 * x.size))
    assert (-layer(x) != slopes).any()
    np.testing.assert_array_equal(-nn.RReLU(rng=0)(x), slopes)
    np.testing.assert_allclose(layer.eval()(x), (1 / 8 + 1 / 3) / 2 * x)


def test_dropout_resumes_from_the_state_of_its_generator():
    layer, x = nn.Dropout(0.5, rng=0), np.ones(100)
    layer(x)
    state = layer.rng.bit_generator.state
    expected = layer(x)
    layer.rng.bit_generator.state = state
    np.testing.assert_array_equal(layer(x), expected)


def test_layers_share_a_generator():
    rng = np.random.default_rng(0)
    a, b = nn.Dropout(rng=rng), nn.Dropout(rng=rng)
    assert a.rng is b.rng


# losses
def test_cross_entropy_loss():
    logits, target = normal(6, 5), np.array([0, 1, 2, 3, 4, -1])
    weight = np.linspace(1, 2, 5)
    loss = nn.CrossEntropyLoss(weight, ignore_index=-1, reduction="sum", label_smoothing=0.1)
    assert list(loss.state_dict()) == ["weight"]
    expected = F.cross_entropy(logits, target, weight, -1, "sum", 0.1)
    np.testing.assert_array_equal(loss(logits, target), expected)
    assert gradcheck(loss, logits, target)


@pytest.mark.parametrize(("make", "f"), [(nn.MSELoss, np.square), (nn.L1Loss, np.abs)])
def test_element_losses(make, f):
    output, target = normal(4, 3), normal(4, 3, seed=1)
    values = f(output - target)
    np.testing.assert_allclose(make()(output, target), values.mean(), rtol=1e-14)
    np.testing.assert_allclose(make("sum")(fnn.tensor(output), target).data, values.sum(), rtol=1e-14)
    np.testing.assert_array_equal(make("none")(output, target), values)
    assert gradcheck(make(), output, target)
    with pytest.raises(ValueError, match=r"target must have shape \(4, 3\), got \(4,\)"):
        make()(output, target[:, 0])
