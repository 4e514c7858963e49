"""Arithmetic, indexing, reductions and moves of tensors as ONNX, alone and in random models."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from onnx_out import NEWEST, kinds, off, run, saved, share

WEIGHT = np.random.default_rng(7).standard_normal((4, 4)).astype(np.float32)


def example(batch=3, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal((batch, 4, 5)).astype(dtype)


# Functions of x (batch, 4, 5).
FUNCTIONS = {
    "arithmetic": lambda x: (2.0 * x - 1) / (x * x + 0.5) + 3 - np.float64(2) * x**2,
    "powers": lambda x: (abs(x) + 0.5) ** 1.5 + x**3 + 2.0**x,
    "functions": lambda x: fnn.exp(x) + fnn.log(x.abs() + 1) - fnn.sqrt(abs(x)) + (-x),
    "extremes": lambda x: fnn.maximum(x, 0.25) + fnn.minimum(x, -x),
    "clip": lambda x: x.clip(-0.5, 0.75) + x.clip(max=0.1) + x.clip(min=np.full((4, 1), 0.2, np.float32)),
    "clip nothing": lambda x: x.clip() * 1.0,
    "where": lambda x: fnn.where(x > 0, x, 0.1 * x) + fnn.where(x <= -0.5, 1.0, x) + fnn.where(x == 1.0 * x, x, 0.0),
    "logic": lambda x: fnn.where((x > 0) & ~(x >= 1) | (x != 1.0 * x), x, -x) + fnn.where((x < 0) ^ (x > 1), x, 1.0),
    "mask": lambda x: x * (x > 0) + (x < 0.5).astype(np.float32) * x,
    "masked mean": lambda x: (x * (x > 0)).sum(1) / np.maximum((x > 0).sum(1), 1).astype(np.float32),
    "parts of masks": lambda x: x * (x > 0)[:, :1].reshape(len(x), 1, 5) + (x[:, 0] > 0)[:, None] * (x > 0)[..., 0][..., None],
    "numbers of masks": lambda x: ((x > 0).sum((1, 2)), (x > 0).mean(-1), np.sum(x > 0, axis=1, keepdims=True) + 1),
    "arithmetic of masks": lambda x: x * (1 - (x > 0).astype(np.float32)) / ((x > 0).astype(np.float32) + 0.5),
    "arithmetic of booleans": lambda x: (
        (x > 0) * (x < 1), (x > 0) + (x < -1), np.maximum(x > 1, x < 0), np.minimum(x > 0, x < 1), (x > 0) == (x < 1),
        (x > 0) != (x > 1),
    ),
    "where of constants": lambda x: fnn.where(x > 0, np.float32(2), np.float32(-1)).mean(1) + fnn.where(x[:, 0] > 0, 1.0, 0.0),
    "functions of masks": lambda x: fnn.exp((x > 0).astype(x.dtype)) + fnn.maximum((x > 1).astype(x.dtype), 0.5),
    "places compared": lambda x: x * (x.argmax(2) >= 2)[..., None] + (x.argmax(1) - 1 == 0)[:, None] * x,
    "mask from constants": lambda x: fnn.where(np.arange(5) > 2, x, 0.0) + fnn.where([True, False, True, True, False], x, 1.0),
    "sums": lambda x: x.sum() + x.sum(0) + x.sum((1, 2), keepdims=True) + x.mean(-1, keepdims=True) + x.sum(()),
    "extents": lambda x: x.max(2, keepdims=True) + x.min((0, 1)) + x.max(),
    "spreads": lambda x: x.var() + x.std((1, 2), keepdims=True) + x.var(1, True, 1) + x.std((0, 1), ddof=1) + x.var(0),
    "places": lambda x: (x.argmax(), x.argmax(2), x.argmin(1, True), x.argmin(None, True)),
    "look-up": lambda x: F.embedding(x.argmax(1), fnn.tensor(WEIGHT)),
    "reshape": lambda x: x.reshape(-1, 20).reshape((x.shape[0], 2, -1)) + 1,
    "flatten": lambda x: x.flatten(),
    "reshape by extents": lambda x: x.reshape(x.shape[0] * x.shape[1], x.shape[2]) * 2,
    "moves": lambda x: x.T.transpose(0, 2).permute(2, 0, 1).swapaxes(0, -1) * 1.0,
    "transposed": lambda x: x.transpose(),
    "axes": lambda x: x.unsqueeze(1).unsqueeze((0, -1)).squeeze((0, 2)).squeeze(-1) + 1,
    "join": lambda x: fnn.concatenate([x, x[:, :2], np.ones((1, 2, 5), np.float32) + 0 * x[:, :2]], axis=-2),
    "stack": lambda x: fnn.stack([x, x * 2, fnn.exp(x)], axis=-1),
    "clone": lambda x: x.clone() + x.detach(),
    "types": lambda x: (x.astype(np.float64), (x * 10).astype(np.int32), x.astype(np.float64) + x),
    "numbers": lambda x: x[0] + x[-1, 1] + x[:, 0, 2].sum(),
    "slices": lambda x: (x[:, 1:3, ::2], x[..., ::-1], x[:, -2:, 4:0:-2], x[:, 3:1]),
    "new axes": lambda x: x[:, None, :, None] + x[None, ..., 1, :][0][:, None, :, None],
    "taken": lambda x: (x[:, [0, 2, 2]], x[:, :, np.array([[4, -1], [0, 1]])], x[:, np.array([True, False, True, True])]),
    "product": lambda x: x @ np.ones((5, 2), np.float32) + WEIGHT[:, :2],
    "product on the left": lambda x: WEIGHT @ x,
    "vectors": lambda x: x @ np.arange(5, dtype=np.float32),
    "halves": lambda x: (x[: x.shape[0]] + 0.0, x[::2]),
    "share of the batch": lambda x: x.sum(0) / len(x) + x.shape[0],
    "zeros of the batch": lambda x: fnn.concatenate([np.zeros((len(x), 1, 5), np.float32), x], axis=1),
    "in place": lambda x: in_place(x),
    "dictionary": lambda x: {"first": x + 1, "second": (x * 2, x)},
    "constant output": lambda x: (x * 1.0, np.arange(3.0)),
    "same output twice": lambda x: twice(x * 2.0),
    "normed": lambda x: F.softmax(x, 1) + F.log_softmax(x, -1),
}  # fmt: skip


def in_place(x):
    y = x * 2.0
    y += x
    y -= 1.0
    return y


def twice(y):
    return y, y, y + 1.0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    function = FUNCTIONS[name]
    for opset in (17, NEWEST):
        content = saved(function, example(), opset=opset)
        for batch in (3, 1, 4):
            assert off(function, example(batch, seed=batch), content=content) <= 64 * np.finfo(np.float32).eps


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"join", "mask", "clip", "product", "product on the left", "vectors", "zeros of the batch"}))  # fmt: skip
def test_function_in_float64(name):
    function = FUNCTIONS[name]
    if name == "look-up":
        return
    assert off(function, example(dtype=np.float64)) <= 64 * np.finfo(np.float64).eps


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_integers_come_in(dtype):
    weight = fnn.nn.Parameter(np.arange(30.0, dtype=np.float32).reshape(10, 3))

    def model(numbers):
        return F.embedding(numbers, weight), numbers + 1, numbers.astype(np.float32) / 3

    content = saved(model, np.arange(4, dtype=dtype))
    assert off(model, np.arange(9, dtype=dtype)[::-1].copy(), content=content) <= 4 * np.finfo(np.float32).eps


def test_booleans_come_in():
    def model(x, mask):
        return fnn.where(mask, x, -x)

    content = saved(model, example(), np.ones((3, 4, 1), bool))
    assert off(model, example(2), np.arange(8).reshape(2, 4, 1) % 3 == 0, content=content) == 0


class Random:
    """A model of random operations on values (batch, 4, 5), drawn from a seed; each call does the same."""

    def __init__(self, seed):
        self.seed = seed
        rng = np.random.default_rng(seed)
        self.norm = fnn.nn.BatchNorm1d(4)
        self.conv = fnn.nn.Conv1d(4, 4, 3, padding=1, rng=rng)
        self.linear = fnn.nn.Linear(5, 5, rng=rng)
        self.gru = fnn.nn.GRU(5, 5, batch_first=True, rng=rng)
        for module in (self.norm, self.conv, self.linear, self.gru):
            module.eval()

    def __call__(self, x):
        rng = np.random.default_rng(self.seed)
        values = [x]
        for _ in range(12):
            a, b = (values[rng.integers(len(values))] for _ in range(2))
            values.append(_STEPS[rng.integers(len(_STEPS))](self, a, b, rng))
        return sum(values[1:], values[0] * 0.0), F.softmax(values[-1].mean(1))


_STEPS = (
    lambda m, a, b, rng: m.norm(a),
    lambda m, a, b, rng: m.conv(F.tanh(a)),
    lambda m, a, b, rng: m.linear(a) + b,
    lambda m, a, b, rng: m.gru(F.sigmoid(a))[0],
    lambda m, a, b, rng: F.tanh(a) * F.sigmoid(b),
    lambda m, a, b, rng: fnn.maximum(a, b) - fnn.where(a > b, 0.5 * a, b),
    lambda m, a, b, rng: F.max_pool1d(a, 3, 1, 1),
    lambda m, a, b, rng: F.avg_pool1d(a, 3, 1, 1, count_include_pad=bool(rng.integers(2))),
    lambda m, a, b, rng: fnn.concatenate([a[:, :2], b[:, 2:]], axis=1),
    lambda m, a, b, rng: a.reshape(len(a), 20)[:, ::-1].reshape(-1, 4, 5),
    lambda m, a, b, rng: F.softmax(a @ b.swapaxes(1, 2), -1) @ b,
    lambda m, a, b, rng: (a - a.mean((1, 2), keepdims=True)) / (a.std((1, 2), keepdims=True) + 0.1),
    lambda m, a, b, rng: fnn.stack([a, b], 1).max(1),
    lambda m, a, b, rng: a[:, rng.permutation(4)],
)


@pytest.mark.parametrize("seed", range(40))
def test_random_models(seed):
    model = Random(seed)
    content = saved(model, example(), opset=(17, NEWEST)[seed % 2])
    for batch in (3, 2):
        x = example(batch, seed=seed)
        for actual, expected in zip(run(content, x), model(fnn.tensor(x)), strict=True):
            assert share(actual, np.asarray(expected)) <= 1e-4


def test_random_models_have_all_steps():
    used = {int(k) for seed in range(40) for k in _drawn(seed)}
    assert used == set(range(len(_STEPS)))


def _drawn(seed):
    rng = np.random.default_rng(seed)
    for _ in range(12):
        rng.integers(1), rng.integers(1)
        yield rng.integers(len(_STEPS))


def test_one_initialiser_for_equal_numbers():
    content = saved(lambda x: x * 2.0 + x * 2.0, example())
    assert kinds(content) == ["Mul", "Mul", "Add"]
