"""The pyramid and the stack against their definitions in NumPy."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn
from fastnn.testing import gradcheck


def normal(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape)


# ---- pyramid ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("steps", [1, 4, 7, 8, 11])
def test_pyramid_against_its_definition(kind, steps):
    net = nn.PyramidalRNN(3, 5, 3, kind, bidirectional=True, dtype=np.float64, rng=0)
    x = normal(steps, 2, 3)
    y = x
    for level in net.levels:
        if len(y) % 2:
            y = np.concatenate([y, np.zeros_like(y[:1])])
        y = np.array([np.concatenate([y[2 * t], y[2 * t + 1]], axis=1) for t in range(len(y) // 2)])
        y, state = (level(y)[0].numpy(), level(y)[1])
    output, final = net(x)
    assert len(output) == net.output_lengths([steps])[0] == -(-steps // 8)
    np.testing.assert_allclose(output.numpy(), y, rtol=1e-12)
    h, expected = (final[0], state[0]) if kind == "lstm" else (final, state)
    np.testing.assert_allclose(h.numpy(), expected.numpy(), rtol=1e-12)


def test_pyramid_rows_are_as_if_alone():
    net = nn.PyramidalRNN(3, 5, 2, bidirectional=True, batch_first=True, dtype=np.float64, rng=0)
    x, lengths = normal(4, 11, 3), [11, 5, 8, 1]
    padded = x.copy()
    for row, length in enumerate(lengths):
        padded[row, length:] = np.nan
    output, (h_n, _) = net(padded, lengths)
    for row, (length, after) in enumerate(zip(lengths, net.output_lengths(lengths), strict=True)):
        alone, (h, _) = net(x[[row], :length])
        np.testing.assert_allclose(output.numpy()[row, :after], alone.numpy()[0], rtol=1e-12)
        assert not output.numpy()[row, after:].any()
        np.testing.assert_allclose(h_n.numpy()[:, row], h.numpy()[:, 0], rtol=1e-12)


class First(nn.Module):
    """The output without the state."""

    def __init__(self, net, **options):
        self.net, self.options = net, options

    def forward(self, x):
        return self.net(x, **self.options)[0]


def test_gradcheck_of_the_pyramid():
    net = nn.PyramidalRNN(2, 3, 2, "gru", dtype=np.float64, rng=0)
    assert gradcheck(First(net, lengths=[7, 2]), normal(7, 2, 2), max_elements=20)


# ---- stack --------------------------------------------------------------------------------------------------------


def defined(net, x, h, s):
    """The formulas of the class, one row of the batch and one place of the stack at a time."""
    w = net.state_dict()
    output = np.empty((*x.shape[:2], net.hidden_size))
    final = s.copy()
    for n in range(x.shape[1]):
        state, places = h[n], list(s[n])
        for t in range(x.shape[0]):
            a = w["weight_ih"] @ x[t, n] + w["weight_hh"] @ state + w["weight_sh"] @ places[0] + w["bias_h"]
            state = np.tanh(a)
            e = np.exp(w["weight_action"] @ state + w["bias_action"])
            push, pop, noop = e / e.sum()
            pushed = 1 / (1 + np.exp(-(w["weight_push"] @ state + w["bias_push"])))
            around = [pushed, *places, np.full(net.stack_width, -1.0)]
            places = [push * around[i] + pop * around[i + 2] + noop * around[i + 1] for i in range(net.stack_depth)]
            output[t, n] = state
        final[n] = places
    return output, final


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize(("depth", "width"), [(1, 1), (4, 1), (3, 2)])
@pytest.mark.parametrize("with_state", [False, True])
def test_stack_against_its_definition(backend, depth, width, with_state):
    fnn.use_backend(backend)
    net = nn.StackRNN(3, 5, depth, width, dtype=np.float64, rng=0)
    x = normal(6, 2, 3)
    h, s = (
        (normal(2, 5), normal(2, depth, width)) if with_state else (np.zeros((2, 5)), np.full((2, depth, width), -1.0))
    )
    output, (h_n, s_n) = net(x, (h, s)) if with_state else net(x)
    expected, stack = defined(net, x, h, s)
    np.testing.assert_allclose(output.numpy(), expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(h_n.numpy(), expected[-1], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(s_n.numpy(), stack, rtol=1e-11, atol=1e-13)


def test_a_stack_remembers_in_reverse():
    """With actions that are certain, what was pushed comes back in the other order."""
    net = nn.StackRNN(2, 2, 4, dtype=np.float64, rng=0)
    values = {name: np.zeros_like(a) for name, a in net.state_dict().items()}
    values["weight_ih"] = np.array([[1.0, 0.0], [0.0, 1.0]])  # h = tanh of (action, value)
    values["weight_action"] = np.array([[1e3, 0.0], [-1e3, 0.0], [0.0, 0.0]])  # positive pushes, negative pops
    values["weight_push"] = np.array([[0.0, 1.0]])
    net.load_state_dict(values)
    pushes = [0.3, -0.5, 0.1]
    x = np.array([[[1.0, v]] for v in pushes] + [[[-1.0, 0.0]]] * 3)
    tops = [net(x[: t + 1])[1][1].numpy()[0, 0, 0] for t in range(6)]
    pushed = [1 / (1 + np.exp(-np.tanh(v))) for v in pushes]
    np.testing.assert_allclose(tops, [*pushed, pushed[1], pushed[0], -1.0], rtol=1e-12)


def test_gradcheck_of_the_stack():
    net = nn.StackRNN(2, 3, 3, 2, dtype=np.float64, rng=0)
    assert gradcheck(First(net), normal(5, 2, 2), max_elements=20)


def test_forward_mode():
    net = nn.StackRNN(2, 3, 3, dtype=np.float64, rng=0)
    x, dx = normal(5, 2, 2), normal(5, 2, 2, seed=1)
    y, tangent = fnn.jvp(lambda x: net(x)[0], [x], [dx])
    dy = normal(*y.shape)
    np.testing.assert_allclose((fnn.vjp(lambda x: net(x)[0], x)[1](dy)[0] * dx).sum(), (dy * tangent).sum(), rtol=1e-11)


REFUSED = [
    (lambda: nn.PyramidalRNN(3, 4, 0), ValueError, "PyramidalRNN: num_levels must be at least 1"),
    (lambda: nn.PyramidalRNN(3, 4, 1, "cnn"), ValueError, "PyramidalRNN: kind must be one of"),
    (lambda: nn.PyramidalRNN(3, 4, 1)(normal(5, 3)), ValueError, "PyramidalRNN: x must have three axes"),
    (lambda: nn.PyramidalRNN(3, 4, 1)(normal(5, 2, 3), [6, 1]), ValueError, "PyramidalRNN: lengths holds 6"),
    (lambda: nn.StackRNN(3, 4, 0), ValueError, "StackRNN: stack_depth must be at least 1"),
    (lambda: nn.StackRNN(3, 4, 2)(normal(5, 3)), ValueError, "StackRNN: x must have shape"),
    (lambda: nn.StackRNN(3, 4, 2)(normal(5, 2, 3), normal(2, 4)), TypeError, "StackRNN: the state must be a tuple"),
    (
        lambda: nn.StackRNN(3, 4, 2)(normal(5, 2, 3), (normal(2, 4), normal(2, 4))),
        ValueError,
        r"StackRNN: s must have shape \(2, 2, 1\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[m for *_, m in REFUSED])
def test_refused(call, error, message):
    with pytest.raises(error, match="^" + message):
        call()
