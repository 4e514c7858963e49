"""predict: all samples in parts, in evaluation mode, without a trainer."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn
from fastnn.data import Batches
from fastnn.training import predict

X = np.random.default_rng(0).normal(size=(23, 3)).astype(np.float32)


def network():
    return nn.Sequential(nn.Linear(3, 8, rng=0), nn.BatchNorm1d(8), nn.Dropout(0.5, rng=1), nn.Linear(8, 2, rng=2))


@pytest.mark.parametrize("batch_size", [1, 7, 23, 512])
def test_parts_make_the_whole(batch_size):
    model = network()
    model[1].eval()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    generator = repr(model[2].rng.bit_generator.state)
    y = predict(model, X, batch_size=batch_size)
    assert type(y) is np.ndarray
    assert [module.training for module in model.modules()] == [True, True, False, True, True]
    assert all((before[name] == array).all() for name, array in model.state_dict().items())
    assert repr(model[2].rng.bit_generator.state) == generator
    np.testing.assert_allclose(y, model.eval()(X).numpy(), rtol=1e-6, atol=1e-6)


def test_without_a_history():
    seen = []

    class Watching(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(3, 2, rng=0)

        def forward(self, x):
            seen.append(self.linear(x).requires_grad)
            return x

    predict(Watching(), X)
    assert seen == [False]


def test_modes_come_back_after_an_error():
    model = network()
    with pytest.raises(ValueError):
        predict(model, X[:, :2])
    assert model.training


def test_a_model_from_a_file(tmp_path):
    model = network()
    fnn.save_model(model, tmp_path / "model.npz")
    np.testing.assert_array_equal(predict(fnn.load_model(tmp_path / "model.npz"), X), predict(model, X))


def test_several_inputs_and_outputs():
    class Swap(nn.Module):
        def forward(self, a, b):
            return b, a * 2

    first, second = predict(Swap(), (X, np.arange(23)), batch_size=5)
    np.testing.assert_array_equal(first, np.arange(23))
    np.testing.assert_array_equal(second, X * 2)


def test_other_arrays(tmp_path):
    np.save(tmp_path / "x.npy", X)
    expected = predict(network(), X)
    for x in (np.asfortranarray(X), np.load(tmp_path / "x.npy", mmap_mode="r"), fnn.tensor(X)):
        np.testing.assert_array_equal(predict(network(), x), expected)
    assert predict(nn.Identity(), [[1.0], [2.0]]).tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (Batches(X, batch_size=4), TypeError, r"got Batches; their inputs are x.arrays\[0\]"),
        (iter([X]), TypeError, "x must be an array"),
        (np.float32(3), ValueError, r"x must have samples along its first axis, \(N, ...\), got shape \(\)"),
        ((X, np.float64(1)), ValueError, r"got shape \(23, 3\), \(\)"),
        ((X, X[:4]), ValueError, r"equally many samples, got shapes \(23, 3\), \(4, 3\)"),
        (X[:0], ValueError, r"must hold a sample at least, got shape \(0, 3\)"),
        (np.ma.masked_array(X, X > 0), TypeError, "masked"),
    ],
)
def test_refused_inputs(x, error, words):
    with pytest.raises(error, match=words):
        predict(network(), x)


def test_refused_arguments():
    with pytest.raises(TypeError, match=r"^predict: model must be a Module, got <function"):
        predict(predict, X)
    with pytest.raises(ValueError, match=r"^predict: batch_size"):
        predict(network(), X, 0)
