"""Recurrent layers and cells: agreement with PyTorch through copied state, lengths, errors, forward mode, dropout."""

from functools import partial

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn
from fastnn.testing import gradcheck

KINDS = ["RNN", "LSTM", "GRU"]
by_kind = pytest.mark.parametrize("kind", KINDS)


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


def flat(result):
    """output, h_n (, c_n)"""
    output, final = result
    return (output, *final) if isinstance(final, tuple) else (output, final)


def initial(kind, *shape):
    h = normal(*shape, seed=1)
    return (h, normal(*shape, seed=2)) if kind == "LSTM" else h


# ---- against PyTorch ----------------------------------------------------------------------------------------------


def twins(kind, *args, **options):
    torch = pytest.importorskip("torch")
    ours = getattr(nn, kind)(*args, **options, dtype=np.float64, rng=0)
    theirs = getattr(torch.nn, kind)(*args, **options, dtype=torch.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return torch, ours, theirs


def compare(torch, ours, theirs, arrays, call, their_call):
    """Outputs, and the gradients of inputs and parameters for random gradients of all outputs."""
    tensors = [fnn.tensor(a, requires_grad=True) for a in arrays]
    their_tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    outputs, their_outputs = call(*tensors), their_call(*their_tensors)
    dys = [normal(*y.shape, seed=i) for i, y in enumerate(outputs)]
    for y, t in zip(outputs, their_outputs, strict=True):
        np.testing.assert_allclose(y.numpy(), t.detach().numpy(), rtol=1e-11, atol=1e-12)
    sum((y * dy).sum() for y, dy in zip(outputs, dys, strict=True)).backward()
    sum((t * torch.tensor(dy)).sum() for t, dy in zip(their_outputs, dys, strict=True)).backward()
    for a, t in zip(tensors, their_tensors, strict=True):
        np.testing.assert_allclose(a.grad, t.grad.numpy(), rtol=1e-10, atol=1e-11)
    for (name, p), t in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, t.grad.numpy(), rtol=1e-10, atol=1e-11, err_msg=name)


SETTINGS = [
    {},
    {"bias": False, "bidirectional": True},
    {"num_layers": 3, "batch_first": True},
    {"num_layers": 2, "bidirectional": True},
]


@by_kind
@pytest.mark.parametrize("options", SETTINGS, ids=str)
@pytest.mark.parametrize("with_state", [False, True])
def test_state_of_pytorch_gives_its_outputs(kind, options, with_state):
    torch, ours, theirs = twins(kind, 5, 7, **options)
    batch_first = options.get("batch_first", False)
    x = normal(4, 6, 5) if batch_first else normal(6, 4, 5)
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    states = initial(kind, rows, 4, 7) if with_state else ()
    arrays = [x, *(states if isinstance(states, tuple) else (states,))]

    def call(net):
        def run(x, *states):
            return flat(net(x, (states if kind == "LSTM" else states[0]) if states else None))

        return run

    compare(torch, ours, theirs, arrays, call(ours), call(theirs))


@by_kind
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_are_pytorch_s_packed_sequences(kind, batch_first):
    torch, ours, theirs = twins(kind, 5, 7, num_layers=2, bidirectional=True, batch_first=batch_first)
    lengths = [3, 6, 1, 5]
    x = normal(4, 6, 5) if batch_first else normal(6, 4, 5)
    states = initial(kind, 4, 4, 7)

    def call(x, *states):
        return flat(ours(x, states if kind == "LSTM" else states[0], lengths))

    def their_call(x, *states):
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted=False)
        y, *final = flat(theirs(packed, states if kind == "LSTM" else states[0]))
        return torch.nn.utils.rnn.pad_packed_sequence(y, batch_first, total_length=6)[0], *final

    compare(torch, ours, theirs, [x, *(states if kind == "LSTM" else [states])], call, their_call)


@by_kind
def test_a_single_sequence(kind):
    torch, ours, theirs = twins(kind, 5, 7, num_layers=2, bidirectional=True, batch_first=True)
    states = initial(kind, 4, 7)

    def call(net):
        return lambda x, *states: flat(net(x, states if kind == "LSTM" else states[0]))

    compare(
        torch, ours, theirs, [normal(6, 5), *(states if kind == "LSTM" else [states])], call(ours), call(theirs)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "options"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu", "bias": False}), ("LSTMCell", {}), ("GRUCell", {})],
)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_cells(kind, options, batch):
    torch, ours, theirs = twins(kind, 5, 7, **options)
    states = [normal(*batch, 7, seed=i) for i in range(1 + (kind == "LSTMCell"))]

    def call(net):
        def run(x, *states):
            result = net(x, states if kind == "LSTMCell" else states[0])
            return result if isinstance(result, tuple) else (result,)

        return run

    compare(torch, ours, theirs, [normal(*batch, 5), *states], call(ours), call(theirs))
    without = ours(normal(*batch, 5))
    np.testing.assert_allclose(
        (without[0] if kind == "LSTMCell" else without).numpy(),
        call(theirs)(torch.tensor(normal(*batch, 5)), *(torch.zeros(*batch, 7).double() for _ in states))[0].detach(),
        rtol=1e-11,
    )


def test_relu_network():
    torch, ours, theirs = twins("RNN", 5, 7, nonlinearity="relu", num_layers=2)
    compare(torch, ours, theirs, [normal(6, 4, 5)], lambda x: flat(ours(x)), lambda x: flat(theirs(x)))


# Of 7 units: the function, gates, states, further arguments.
LAYERS = {
    "rnn": ("rnn", 1, 1, {}),
    "lstm": ("lstm", 4, 2, {}),
    "lstm with peepholes": ("lstm", 4, 2, {"peepholes": normal(21, seed=9)}),
    "gru": ("gru", 3, 1, {}),
    "gru, reset first": ("gru", 3, 1, {"reset_after": False}),
}
by_layer = pytest.mark.parametrize(("name", "gates", "states", "further"), LAYERS.values(), ids=LAYERS)


# ---- lengths ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize("reverse", [False, True])
@by_layer
def test_each_row_is_as_if_alone(backend, reverse, name, gates, states, further):
    """And what stands behind its end is not looked at."""
    fnn.use_backend(backend)
    x, lengths = normal(6, 5, 5), [3, 6, 1, 0, 5]
    weights = [normal(gates * 7, n) for n in (5, 7)] + [normal(gates * 7, seed=i) for i in range(2)]
    h = [normal(5, 7, seed=3 + i) for i in range(states)]
    padded = x.copy()
    for row, length in enumerate(lengths):
        padded[length:, row] = np.nan
    function = partial(getattr(F, name), **further)
    output, *finals = function(padded, *h, *weights, lengths=lengths, reverse=reverse)
    for row, length in enumerate(lengths):
        alone = function(x[:length, [row]], *(a[[row]] for a in h), *weights, reverse=reverse)
        np.testing.assert_allclose(output[:length, row], alone[0][:, 0], rtol=1e-12)
        assert not output[length:, row].any()
        for final, expected in zip(finals, alone[1:], strict=True):
            np.testing.assert_allclose(final[row], expected[0], rtol=1e-12)
    dy = np.full(output.shape, np.nan)
    for row, length in enumerate(lengths):
        dy[:length, row] = 1
    gradients = getattr(F, name + "_backward")(dy, padded, *h, *weights, lengths=lengths, reverse=reverse, **further)
    assert all(np.isfinite(g).all() for g in gradients)
    for row, length in enumerate(lengths):
        assert not gradients[0][length:, row].any()


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize("reverse", [False, True])
@by_layer
@pytest.mark.parametrize(("steps", "lengths"), [(0, None), (0, [0, 0, 0]), (4, [0, 4, 0])])
def test_a_sequence_of_no_steps_keeps_its_initial_state(backend, reverse, name, gates, states, further, steps, lengths):
    fnn.use_backend(backend)
    x, weights = normal(steps, 3, 5), [normal(gates * 7, n) for n in (5, 7)]
    empty = np.array([True, steps == 0, True])
    h = [normal(3, 7, seed=3 + i) for i in range(states)]
    options = {"lengths": lengths, "reverse": reverse, **further}
    output, *finals = getattr(F, name)(x, *h, *weights, **options)
    assert output.shape == (steps, 3, 7)
    assert not output[:, empty].any()
    d = {f"d{n}_n": normal(3, 7, seed=5) for n in "hc"[:states]}
    dx, *rest = getattr(F, name + "_backward")(np.ones_like(output), x, *h, *weights, **options, **d)
    assert dx.shape == x.shape
    for final, given, dh, expected in zip(finals, h, rest, d.values(), strict=False):
        np.testing.assert_array_equal(final[empty], given[empty])
        np.testing.assert_array_equal(dh[empty], expected[empty])
    assert all(np.isfinite(g).all() for g in rest)
    assert any(g.any() for g in rest[states:]) == (steps > 0)
    for i, expected in enumerate(d.values()):
        tangent = fnn.jvp(lambda *s, i=i: getattr(F, name)(x, *s, *weights, **options)[1 + i], h, list(d.values()))[1]
        np.testing.assert_array_equal(tangent[empty], expected[empty])


@by_kind
def test_layers_without_steps(kind):
    net = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True, batch_first=True, dtype=np.float64, rng=0)
    state = initial(kind, 4, 2, 4)
    for x, lengths in ((np.ones((2, 0, 3)), None), (np.ones((2, 5, 3)), [0, 0])):
        output, *finals = flat(net(x, state, lengths))
        assert output.shape == (*x.shape[:2], 8)
        assert not output.numpy().any()
        for h, h0 in zip(finals, state if kind == "LSTM" else [state], strict=True):
            np.testing.assert_array_equal(h.numpy(), h0)


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize("reverse", [False, True])
@by_layer
def test_what_is_not_finite_is_not_multiplied_by_steps_that_do_not_exist(
    backend, reverse, name, gates, states, further
):
    fnn.use_backend(backend)
    lengths, dh = [2, 0, 5, 3], {f"d{n}_n": normal(4, 7, seed=8) for n in "hc"[:states]}
    x, h = normal(5, 4, 3), [normal(4, 7, seed=3 + i) for i in range(states)]
    weights = [normal(gates * 7, n) for n in (3, 7)]
    for bad in (np.inf, np.nan):
        for where in range(2 + states):
            arrays = [x.copy(), *(a.copy() for a in h), *(w.copy() for w in weights)]
            if where == 0:
                arrays[0][2, 2, 1] = bad
            elif where <= states:
                arrays[where][2, 1] = bad
            else:
                arrays[where][3, 1] = bad
            backward = partial(getattr(F, name + "_backward"), reverse=reverse, **further)
            together = backward(np.ones((5, 4, 7)), *arrays, lengths=lengths, **dh)
            alone = []
            for row, n in enumerate(lengths):
                own = [arrays[0][:n, [row]], *(a[[row]] for a in arrays[1 : 1 + states]), *arrays[1 + states :]]
                ends = {key: d[[row]] for key, d in dh.items()}
                alone.append(backward(np.ones((n, 1, 7)), *own, **ends))
                np.testing.assert_allclose(together[0][:n, row], alone[-1][0][:, 0], rtol=1e-9)
                assert not together[0][n:, row].any()
                for i in range(states):
                    np.testing.assert_allclose(together[1 + i][row], alone[-1][1 + i][0], rtol=1e-9)
            for i in range(1 + states, 3 + states):
                np.testing.assert_allclose(together[i], sum(a[i] for a in alone), rtol=1e-9, atol=1e-12)


@by_layer
def test_saved_arrays_spare_the_forward(name, gates, states, further):
    forward, backward = (partial(getattr(F, name + end), **further) for end in ("", "_backward"))
    arguments = [normal(6, 4, 5), *[None] * states, normal(gates * 7, 5), normal(gates * 7, 7)]
    *outputs, saved = forward(*arguments, return_saved=True)
    for a, b in zip(outputs, forward(*arguments), strict=True):
        np.testing.assert_array_equal(a, b)
    dy = normal(6, 4, 7)
    for a, b in zip(backward(dy, *arguments, saved=saved), backward(dy, *arguments), strict=True):
        np.testing.assert_array_equal(a, b)


VARIANTS = [("RNN", {}), ("LSTM", {}), ("LSTM", {"peepholes": True}), ("GRU", {}), ("GRU", {"reset_after": False})]
by_variant = pytest.mark.parametrize(("kind", "options"), VARIANTS, ids=str)


def drawn(kind, inputs, units, **options):
    """A network of two layers and both directions, whose peepholes are not 0."""
    net = getattr(nn, kind)(inputs, units, num_layers=2, bidirectional=True, dtype=np.float64, rng=0, **options)
    state = {name: normal(*a.shape, seed=3) if "peephole" in name else a for name, a in net.state_dict().items()}
    net.load_state_dict(state)
    return net


# ---- forward mode -------------------------------------------------------------------------------------------------


@by_variant
@pytest.mark.parametrize("output", [0, 1])
def test_forward_mode_is_the_adjoint_of_reverse_mode(kind, options, output):
    net = drawn(kind, 3, 4, **options)
    x, dx = normal(5, 3, 3), normal(5, 3, 3, seed=1)

    def f(x):
        return flat(net(x, lengths=[5, 2, 3]))[output]

    y, tangent = fnn.jvp(f, [x], [dx])
    dy = normal(*y.shape, seed=2)
    _, pullback = fnn.vjp(f, x)
    np.testing.assert_allclose((dy * tangent).sum(), (pullback(dy)[0] * dx).sum(), rtol=1e-11)


class Outputs(nn.Module):
    """All outputs of a network beside each other."""

    def __init__(self, net):
        self.net = net

    def forward(self, x):
        return flat(self.net(x, lengths=[4, 2]))


@by_variant
def test_gradcheck_of_modules(kind, options):
    net = drawn(kind, 2, 3, **options)
    assert gradcheck(Outputs(net), normal(4, 2, 2), max_elements=10)


# ---- modules ------------------------------------------------------------------------------------------------------


def test_initial_weights():
    net = nn.LSTM(6, 8, bidirectional=True, dtype=np.float64, rng=0)
    for suffix in ("_l0", "_l0_reverse"):
        bias = net.state_dict()["bias_ih" + suffix] + net.state_dict()["bias_hh" + suffix]
        np.testing.assert_array_equal(bias.reshape(4, 8), np.array([0.0, 1, 0, 0])[:, None] * np.ones(8))
        for square in np.split(net.state_dict()["weight_hh" + suffix], 4):
            np.testing.assert_allclose(square @ square.T, np.eye(8), atol=1e-12)
        assert np.abs(net.state_dict()["weight_ih" + suffix]).max() <= np.sqrt(6 / 14)
    assert not nn.GRU(3, 4).state_dict()["bias_ih_l0"].any()
    assert all(p.decay == name.startswith("weight") for name, p in net.named_parameters())
    same, other = (nn.GRU(3, 4, rng=seed).state_dict()["weight_ih_l0"] for seed in (1, 2))
    np.testing.assert_array_equal(same, nn.GRU(3, 4, rng=1).state_dict()["weight_ih_l0"])
    assert (same != other).any()


def test_peepholes_start_at_zero_and_change_nothing_before_they_are_trained():
    plain, peeping = (nn.LSTM(3, 4, num_layers=2, peepholes=p, dtype=np.float64, rng=0) for p in (False, True))
    assert not hasattr(plain, "weight_peephole_l0")
    assert list(peeping.state_dict())[4:6] == ["weight_peephole_l0", "weight_ih_l1"]
    assert not peeping.state_dict()["weight_peephole_l1"].any()
    x = normal(5, 2, 3)
    for a, b in zip(flat(plain(x)), flat(peeping(x)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    peeping(x)[0].sum().backward()
    for suffix in ("_l0", "_l1"):
        assert (getattr(peeping, "weight_peephole" + suffix).grad != 0).all()


@pytest.mark.parametrize(("kind", "options"), [("LSTM", {"peepholes": True}), ("GRU", {"reset_after": False})])
@pytest.mark.parametrize("bias", [False, True])
def test_cells_are_the_layers_step_by_step(kind, options, bias):
    cell = getattr(nn, kind + "Cell")(3, 4, bias, dtype=np.float64, rng=0, **options)
    net = getattr(nn, kind)(3, 4, bias=bias, dtype=np.float64, rng=0, **options)
    state = {name: normal(*a.shape, seed=1) for name, a in cell.state_dict().items()}
    cell.load_state_dict(state)
    net.load_state_dict({name + "_l0": a for name, a in state.items()})
    x, h = normal(5, 2, 3), None
    output, *finals = flat(net(x))
    for t in range(5):
        h = cell(x[t], h)
        np.testing.assert_allclose((h[0] if kind == "LSTM" else h).numpy(), output.numpy()[t], rtol=1e-12)
    for a, b in zip(h if kind == "LSTM" else [h], finals, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy()[0], rtol=1e-12)


def test_dropout_is_between_layers_and_in_training_only():
    x = normal(5, 3, 4, dtype=np.float32)
    plain, dropped = (nn.LSTM(4, 6, num_layers=2, dropout=p, rng=0) for p in (0.0, 0.5))
    expected = plain(x)[0].numpy()
    assert (dropped(x)[0].numpy() != expected).any()
    assert (dropped(x)[0].numpy() != dropped(x)[0].numpy()).any()
    np.testing.assert_array_equal(dropped.eval()(x)[0].numpy(), expected)
    single = nn.LSTM(4, 6, dropout=0.9, rng=0)
    np.testing.assert_array_equal(single(x)[0].numpy(), single.eval()(x)[0].numpy())


def test_no_steps_leave_the_state():
    h0 = normal(1, 2, 4)
    output, h_n = nn.GRU(3, 4, dtype=np.float64)(np.empty((0, 2, 3)), h0)
    assert output.shape == (0, 2, 4)
    np.testing.assert_array_equal(h_n.numpy(), h0)
    assert nn.LSTM(3, 4)(np.empty((5, 0, 3), np.float32))[0].shape == (5, 0, 4)


def test_the_repr_shows_what_is_not_the_default():
    assert repr(nn.LSTM(3, 4, num_layers=2, batch_first=True)) == "LSTM(3, 4, num_layers=2, batch_first=True)"
    assert repr(nn.LSTM(3, 4, peepholes=True)) == "LSTM(3, 4, peepholes=True)"
    assert repr(nn.GRUCell(3, 4, bias=False)) == "GRUCell(3, 4, bias=False)"
    assert repr(nn.GRUCell(3, 4, reset_after=False)) == "GRUCell(3, 4, reset_after=False)"


X = np.ones((5, 2, 3), np.float32)
REFUSED = [
    (lambda: nn.LSTM(3, 4)(X, lengths=[6, 1]), ValueError, "lstm: lengths holds 6, expected 0 to 5"),
    (lambda: nn.LSTM(3, 4)(X, lengths=[5, -1]), ValueError, "lstm: lengths holds -1"),
    (
        lambda: nn.LSTM(3, 4)(X, lengths=[5]),
        ValueError,
        r"lstm: lengths must have shape \(2,\), one per .* \(5, 2, …\), got \(1,\)",
    ),
    (lambda: nn.LSTM(3, 4)(X, lengths=[5.0, 1.0]), TypeError, "lstm: lengths must hold integers"),
    (lambda: nn.LSTM(3, 4)(X, np.ones((1, 2, 4))), TypeError, r"LSTM: the state must be a tuple \(h0, c0\)"),
    (lambda: nn.GRU(3, 4)(X, np.ones((2, 2, 4))), ValueError, r"GRU: h0 must have shape \(1, 2, 4\), got \(2, 2, 4\)"),
    (lambda: nn.GRU(3, 4)(X, np.ones((1, 2, 4))), TypeError, "gru: h0 is float64 but x is float32"),
    (lambda: nn.GRU(3, 4)(X[..., :2]), ValueError, "gru: weight_ih must have shape"),
    (lambda: nn.GRU(3, 4)(X[0, 0]), ValueError, "GRU: x must have shape"),
    (lambda: nn.GRU(3, 4, reset_after=1), TypeError, "GRU: reset_after must be True or False, got 1"),
    (lambda: nn.LSTMCell(3, 4, peepholes="yes"), TypeError, "LSTMCell: peepholes must be True or False, got 'yes'"),
    (
        lambda: F.lstm(X, None, None, np.ones((16, 3), "f"), np.ones((16, 4), "f"), peepholes=np.ones(16, "f")),
        ValueError,
        r"lstm: peepholes must have shape \(12,\), got \(16,\)",
    ),
    (lambda: nn.GRU(3, 0), ValueError, "GRU: hidden_size must be at least 1"),
    (lambda: nn.RNN(3, 4, nonlinearity="sin"), ValueError, "RNN: nonlinearity must be 'tanh' or 'relu'"),
    (lambda: nn.LSTMCell(3, 4)(X[0], X), TypeError, r"LSTMCell: the state must be a tuple \(h, c\)"),
    (lambda: nn.GRUCell(3, 4)(X), ValueError, "GRUCell: x must have shape"),
    (lambda: nn.GRUCell(3, 4)(X[0], X[0]), ValueError, r"gru: h0 must have shape \(2, 4\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[m for *_, m in REFUSED])
def test_refused(call, error, message):
    with pytest.raises(error, match="^" + message):
        call()
