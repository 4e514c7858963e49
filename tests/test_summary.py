"""The table of a model's layers: against hand counts, in free-form models, and without a trace in the model."""

from fractions import Fraction

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
import nets
from fastnn import nn


def rows(model, shape, **options):
    return {row.name: row for row in fnn.summary(model, shape, **options).rows}


def test_receptive_fields_by_the_formula():
    # r = r + (k - 1) * product of the strides before, k the dilated extent
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.MaxPool2d(2),
        nn.Conv2d(2, 2, (3, 5), stride=(2, 1), padding="same", dilation=(1, 2)),
        nn.BatchNorm2d(2),
        nn.AvgPool2d(3, 1),
        nn.AdaptiveAvgPool2d(1),
    )
    found = fnn.summary(net, (1, 30, 30)).rows
    assert [row.receptive_field for row in found] == [
        (3, 3),
        (4, 4),
        (8, 20),
        (8, 20),
        (16, 24),
        (16 + 4 * 4, 24 + 11 * 2),
    ]
    assert [row.stride for row in found][:5] == [(1, 1), (2, 2), (4, 2), (4, 2), (4, 2)]
    assert [row.output_shape for row in found][2] == ("N", 2, 7, 14)


def test_receptive_field_against_the_gradient():
    """The inputs that the middle output depends on, found by differentiating."""
    net = nn.Sequential(
        nn.Conv1d(1, 2, 3, stride=2, dtype=float, rng=0),
        nn.ConvTranspose1d(2, 2, 4, stride=2, padding=1, dtype=float, rng=1),
        nn.Conv1d(2, 1, 3, dilation=2, dtype=float, rng=2),
    )
    x = fnn.tensor(np.ones((1, 1, 41)), requires_grad=True)
    y = net(x)
    seen = 0
    for at in range(y.shape[2] // 2 - 2, y.shape[2] // 2 + 2):
        x.grad = None
        net(x)[0, 0, at].backward()
        touched = np.flatnonzero(x.grad[0, 0])
        seen = max(seen, touched[-1] - touched[0] + 1)
    row = fnn.summary(net, (1, 41)).rows[-1]
    assert row.stride == (Fraction(1),)
    # With fractional steps the formula gives what an output sees at most, to within the step of the layers between.
    assert seen <= row.receptive_field[0] <= seen + 2


def test_counts():
    net = nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.LayerNorm((6, 8, 8)),
        nn.ConvTranspose2d(6, 3, 2, stride=2, bias=False),
        nn.Flatten(),
        nn.Linear(3 * 256, 5),
    )
    table = fnn.summary(net, (4, 8, 8))
    assert [row.parameters for row in table.rows] == [6 * 2 * 9 + 6, 2 * 384, 6 * 3 * 4, 0, 768 * 5 + 5]
    assert [row.multiply_adds for row in table.rows] == [6 * 64 * 2 * 9, 384, 6 * 64 * 3 * 4, 0, 768 * 5]
    assert table.parameters == sum(p.size for p in net.parameters()) == sum(row.parameters for row in table.rows)
    assert table.multiply_adds == sum(row.multiply_adds for row in table.rows)
    net[4].weight.requires_grad = False
    assert fnn.summary(net, (4, 8, 8)).trainable == table.parameters - 768 * 5


def test_recurrent_layers():
    net = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    (row,) = fnn.summary(net, (7, "N", 3)).rows
    assert row.output_shape == (7, "N", 8)
    assert row.multiply_adds == 7 * 2 * 16 * ((3 + 4) + (8 + 4))
    assert row.receptive_field is None
    (cell,) = fnn.summary(nn.GRUCell(3, 4), (3,)).rows
    assert (cell.output_shape, cell.multiply_adds) == (("N", 4), 12 * 7)


def test_resnet20():
    """He et al. 2016, table 6: 0.27 M parameters; their 41 M multiply–adds are without the projections' 0.4 M."""
    table = fnn.summary(nets.resnet20(nn), (3, 32, 32))
    assert table.parameters == pytest.approx(0.27e6, rel=0.02)
    convolutions = sum(r.multiply_adds for r in table.rows if r.type == "Conv2d")
    assert convolutions == pytest.approx(41e6, rel=0.01)
    last = [r for r in table.rows if r.type == "Conv2d" and r.output_shape == ("N", 64, 8, 8)][-1]
    # 3×3 seven times at step 1, six times at 2 and six at 4, but for the strided ones that look with the step before
    assert last.receptive_field == (1 + 2 * 8 + 2 * 2 * 6 + 2 * 4 * 5,) * 2


class FreeForm(nn.Module):
    """Two inputs, a shared layer, parameters of its own, functions between layers."""

    def __init__(self):
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.shared = nn.Conv1d(3, 4, 3, padding=1)
        self.narrow = nn.Conv1d(3, 4, 1)
        self.unused = nn.Linear(7, 7)
        self.dropout = nn.Dropout(0.5, rng=0)

    def forward(self, x, y):
        a = F.relu(self.shared(x)) * self.scale.reshape(4, 1) + self.narrow(x)
        b = self.shared(self.dropout(y))
        return (fnn.concatenate([a, b], axis=1), b.mean(axis=2))


def test_free_form():
    table = fnn.summary(FreeForm(), [(3, 10), (3, 10)])
    assert [row.name for row in table.rows] == ["shared", "narrow", "dropout", "shared", ""]
    assert [row.parameters for row in table.rows] == [40, 16, 0, 0, 4]
    assert [row.multiply_adds for row in table.rows] == [360, 120, 0, 360, 0]
    assert table.rows[-1].output_shape == ("N", 8, 10)
    assert table.rows[-1].receptive_field == (3,)
    assert table.parameters == 40 + 16 + 4 + 56
    assert "(model)" in str(table)


class Odd(nn.Module):
    """Convolves without a layer, moves the batch, and joins it with another axis."""

    def __init__(self):
        self.conv = nn.Conv1d(2, 2, 3)
        self.flat = nn.Identity()
        self.moved = nn.Identity()
        self.after = nn.Identity()

    def forward(self, x):
        y = self.conv(x)
        self.after(F.conv1d(y, np.ones((2, 2, 3), np.float32), padding=1))
        return self.moved(self.flat(y.reshape(-1, y.shape[2])).transpose(1, 0))


def test_shapes_and_fields_that_are_not_known():
    found = rows(Odd(), (2, 9))
    assert found["after"].receptive_field is None
    assert found["flat"].output_shape == ("2N", 7)
    assert found["moved"].output_shape == (7, "2N")
    assert rows(nn.Identity(), (5, "N", 3))[""].output_shape == (5, "N", 3)
    assert rows(nn.Linear(3, 2), (3,))[""].receptive_field is None


def test_the_model_stays_as_it_is():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.BatchNorm2d(2), nn.Dropout(0.5, rng=0), nn.Sequential(nn.ReLU()))
    net[3].eval()
    state, random = net.state_dict(), net[2].rng.bit_generator.state
    attributes = [set(vars(m)) for m in net.modules()]
    with fnn.no_grad():
        fnn.summary(net, (1, 5, 5))
    assert [m.training for m in net.modules()] == [True, True, True, True, False, False]
    assert attributes == [set(vars(m)) for m in net.modules()]
    assert net[2].rng.bit_generator.state == random
    assert all(p.grad is None for p in net.parameters())
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, state[name])


def test_an_error_leaves_no_trace_either():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with pytest.raises(ValueError, match="conv2d"):
        fnn.summary(net, (3, 5, 5))
    assert net.training
    assert all("forward" not in vars(m) for m in net.modules())


def test_dtypes():
    assert rows(nn.Linear(3, 2, dtype=float), (3,))[""].output_shape == ("N", 2)

    class Index(nn.Module):
        def __init__(self):
            self.table = nn.Parameter(np.ones((5, 4), np.float32))

        def forward(self, i):
            return self.table[i.data]

    assert rows(Index(), (7,), dtype=np.int64)[""].output_shape == ("N", 7, 4)


@pytest.mark.parametrize(
    ("shape", "dtype", "error", "text"),
    [
        (5, None, TypeError, "input_shape must be a tuple"),
        ((3, -1), None, ValueError, "positive ints"),
        ((3, 2.0), None, ValueError, "positive ints"),
        (("N", "N"), None, ValueError, "at most once"),
        (((3,), 4), None, ValueError, "positive ints"),
        ((3,), (np.float32, np.float32), ValueError, "2 dtypes for 1 inputs"),
    ],
)
def test_refusals(shape, dtype, error, text):
    with pytest.raises(error, match=f"summary: .*{text}|summary: {text}"):
        fnn.summary(nn.Identity(), shape, dtype=dtype)
