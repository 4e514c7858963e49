"""Optimisers: their formulas step by step, PyTorch, flat buffers, state."""

import copy

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim

RNG = np.random.default_rng(0)
SHAPES = [(4, 3), (5,), (), (2, 3, 3)]
STARTS = [RNG.standard_normal(shape) for shape in SHAPES]
GRADS = [[RNG.standard_normal(shape) for shape in SHAPES] for _ in range(6)]


def _params(dtype=np.float64):
    return [fnn.tensor(start, requires_grad=True, dtype=dtype) for start in STARTS]


def _run(optimizer, params, grads=GRADS):
    for step in grads:
        for p, g in zip(params, step, strict=True):
            p.grad = None if g is None else g.astype(p.dtype)
        optimizer.step()


def _sgd(x, g, s, t, *, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0, l1=0.0):
    g = g + weight_decay * x + l1 * np.sign(x)
    d = s["d"] = momentum * s.get("d", 0.0) - lr * g
    return x + momentum * d - lr * g if nesterov else x + d


def _adam(x, g, s, t, *, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    if decoupled:
        x = x - lr * weight_decay * x
    else:
        g = g + weight_decay * x
    v = s["v"] = betas[0] * s.get("v", 0.0) + (1 - betas[0]) * g
    q = s["q"] = betas[1] * s.get("q", 0.0) + (1 - betas[1]) * g * g
    return x - lr * (v / (1 - betas[0] ** t)) / (np.sqrt(q / (1 - betas[1] ** t)) + eps)


def _adamw(x, g, s, t, *, weight_decay=1e-2, **settings):
    return _adam(x, g, s, t, weight_decay=weight_decay, decoupled=True, **settings)


def _rmsprop(x, g, s, t, *, lr=0.1, alpha=0.9, eps=1e-8, weight_decay=0.0, eps_inside=True):
    g = g + weight_decay * x
    q = s["q"] = alpha * s.get("q", 0.0) + (1 - alpha) * g * g
    return x - lr * g / (np.sqrt(q + eps) if eps_inside else np.sqrt(q) + eps)


def _amsgrad(x, g, s, t, *, lr=0.1, betas=(0.9, 0.999), eps=1e-8):
    v = s["v"] = betas[0] * s.get("v", 0.0) + (1 - betas[0]) * g
    q = s["q"] = betas[1] * s.get("q", 0.0) + (1 - betas[1]) * g * g
    s["top"] = np.maximum(s.get("top", 0.0), q)
    return x - lr * (v / (1 - betas[0] ** t)) / (np.sqrt(s["top"] / (1 - betas[1] ** t)) + eps)


def _adagrad(x, g, s, t, *, lr=0.1, eps=1e-8, weight_decay=0.0, l1=0.0, eps_inside=True):
    g = g + weight_decay * x + l1 * np.sign(x)
    q = s["q"] = s.get("q", 0.0) + g * g
    return x - lr * g / (np.sqrt(q + eps) if eps_inside else np.sqrt(q) + eps)


def _adadelta(x, g, s, t, *, lr=0.1, rho=0.9, eps=1e-6, weight_decay=0.0):
    g = g + weight_decay * x
    q = s["q"] = rho * s.get("q", 0.0) + (1 - rho) * g * g
    before = s.get("d", 0.0)
    d = np.sqrt((before + eps) / (q + eps)) * g
    s["d"] = rho * before + (1 - rho) * d * d
    return x - lr * d


CASES = [
    (optim.SGD, _sgd, {}),
    (optim.SGD, _sgd, {"weight_decay": 0.1, "l1": 0.2}),
    (optim.AMSGrad, _amsgrad, {}),
    (optim.AMSGrad, _amsgrad, {"betas": (0.5, 0.6), "eps": 1e-3}),
    (optim.Adagrad, _adagrad, {}),
    (optim.Adagrad, _adagrad, {"eps": 0.1, "weight_decay": 0.1, "l1": 0.05}),
    (optim.Adagrad, _adagrad, {"eps_inside": False, "eps": 0.1}),
    (optim.Adadelta, _adadelta, {}),
    (optim.Adadelta, _adadelta, {"rho": 0.6, "eps": 0.1, "weight_decay": 0.1}),
    (optim.SGD, _sgd, {"momentum": 0.9}),
    (optim.SGD, _sgd, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    (optim.SGD, _sgd, {"weight_decay": 0.1}),
    (optim.Adam, _adam, {}),
    (optim.Adam, _adam, {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.AdamW, _adamw, {}),
    (optim.AdamW, _adamw, {"weight_decay": 0.3}),
    (optim.RMSprop, _rmsprop, {}),
    (optim.RMSprop, _rmsprop, {"alpha": 0.7, "eps": 0.1, "weight_decay": 0.1}),
    (optim.RMSprop, _rmsprop, {"eps_inside": False, "eps": 0.1}),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("make", "formula", "settings"), CASES)
def test_formulas(make, formula, settings, dtype):
    params = _params(dtype)
    optimizer = make(params, lr=0.1, **settings)
    expected = [start.astype(dtype).astype(np.float64) for start in STARTS]
    states = [{} for _ in STARTS]
    for t, grads in enumerate(GRADS, 1):
        _run(optimizer, params, [grads])
        expected = [
            formula(x, g.astype(dtype).astype(np.float64), s, t, **settings)
            for x, g, s in zip(expected, grads, states, strict=True)
        ]
        for p, x in zip(params, expected, strict=True):
            # A few roundings per step; a step is of the size of lr or of the gradient.
            np.testing.assert_allclose(p.data, x, rtol=0, atol=64 * t * np.finfo(dtype).eps)


def test_nesterov_follows_its_definition_on_a_quadratic():
    # The definition: gradient at x + ρd. The stored parameter is that look-ahead point y = x + ρd.
    a = np.array([1.0, 10.0])
    p = fnn.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.02, momentum=0.9, nesterov=True)
    x, d = p.data.copy(), np.zeros(2)
    for _ in range(20):
        d = 0.9 * d - 0.02 * a * (x + 0.9 * d)
        x = x + d
        optimizer.zero_grad()
        (0.5 * a * p * p).sum().backward()
        optimizer.step()
        np.testing.assert_allclose(p.data, x + 0.9 * d, rtol=1e-12)


TORCH_CASES = [
    (optim.SGD, "SGD", {"lr": 0.1, "momentum": 0.9}, {}),
    (optim.SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, {}),
    (optim.SGD, "SGD", {"lr": 0.1, "weight_decay": 0.1}, {}),
    (optim.Adam, "Adam", {"lr": 0.1, "weight_decay": 0.1, "betas": (0.8, 0.99)}, {}),
    (optim.AdamW, "AdamW", {"lr": 0.1, "weight_decay": 0.2}, {}),
    (optim.AdamW, "AdamW", {"lr": 0.1}, {}),
    (optim.AMSGrad, "Adam", {"lr": 0.1, "betas": (0.5, 0.6)}, {}),
    (optim.Adagrad, "Adagrad", {"lr": 0.1, "eps": 1e-3, "weight_decay": 0.1}, {"eps_inside": False}),
    (optim.Adadelta, "Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}, {}),
    (optim.RMSprop, "RMSprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}, {"eps_inside": False}),
]


@pytest.mark.parametrize(("make", "name", "settings", "own"), TORCH_CASES)
def test_against_torch(make, name, settings, own):
    torch = pytest.importorskip("torch")
    params = _params()
    theirs = [torch.tensor(start, requires_grad=True) for start in STARTS]
    amsgrad = {"amsgrad": True} if make is optim.AMSGrad else {}
    optimizer, other = make(params, **settings, **own), getattr(torch.optim, name)(theirs, **settings, **amsgrad)
    # In the third and fourth step some gradients are missing.
    grads = [[None if t in (2, 3) and i in (0, 2) else g for i, g in enumerate(step)] for t, step in enumerate(GRADS)]
    for step in grads:
        _run(optimizer, params, [step])
        for p, g in zip(theirs, step, strict=True):
            p.grad = None if g is None else torch.tensor(g)
        other.step()
        for p, q in zip(params, theirs, strict=True):
            np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-13, atol=1e-15)


# flat buffers


def test_parameters_and_gradients_are_views_of_one_buffer():
    params = _params()
    optim.Adam(params)
    bases = {id(p.data.base.base) for p in params}
    assert len(bases) == 1
    assert all(p.data.ctypes.data % 64 == 0 for p in params)
    sum((p * p).sum() for p in params).backward()
    for p, start in zip(params, STARTS, strict=True):
        np.testing.assert_array_equal(p.data, start)
        np.testing.assert_array_equal(p.grad, 2 * start)
        assert p.grad is p._target.array
    assert len({id(p.grad.base.base) for p in params}) == 1


def _layer_sum(x, *weights):
    for w in weights:
        x = F.linear(x, w)
    return x.sum()


def test_backward_writes_into_the_buffers_and_a_shared_parameter_counts_twice():
    start, x = np.arange(4.0).reshape(2, 2), np.ones((3, 2))
    p = fnn.Tensor(start, requires_grad=True)
    expected = np.zeros((2, 2))
    for position in range(2):
        leaves = [fnn.Tensor(start, requires_grad=position == i) for i in range(2)]
        _layer_sum(x, *leaves).backward()
        expected += leaves[position].grad
    optim.SGD([p], lr=0.1)
    for count in (1, 2):
        _layer_sum(x, p, p).backward()
        assert p.grad is p._target.array
        np.testing.assert_allclose(p.grad, count * expected, rtol=1e-14)


def test_both_gradients_of_one_operation_with_one_parameter():
    p = fnn.Tensor(np.eye(2) * 3, requires_grad=True)
    optim.SGD([p], lr=0.1)
    F.linear(p, p).sum().backward()
    np.testing.assert_array_equal(p.grad, [[6.0, 6.0], [6.0, 6.0]])


def test_a_gradient_that_is_the_buffer_itself_is_added():
    p = fnn.Tensor(np.ones(2), requires_grad=True)
    optim.SGD([p], lr=0.1)
    (p * 3.0).sum().backward()
    fnn.autograd.record("odd", p.data * 2, (p,), lambda dy, needs: (p._target.array,)).sum().backward()
    np.testing.assert_array_equal(p.grad, [6.0, 6.0])


def test_gradients_of_functions_leave_the_buffers_alone():
    p, x = fnn.Tensor(np.eye(2), requires_grad=True), np.ones((1, 2))
    optim.SGD([p], lr=0.1)
    _layer_sum(x, p).backward()
    before = p.grad.copy()
    p.grad = None
    fnn.grad(lambda v: _layer_sum(v, p))(np.full((1, 2), 7.0))
    assert p.grad is None
    np.testing.assert_array_equal(p._target.array, before)


def test_one_call_steps_everything(monkeypatch):
    calls = []
    monkeypatch.setattr(optim.SGD, "_step", lambda self, *args, **kwargs: calls.append(args[0].size))
    params = _params()
    _run(optim.SGD(params, lr=0.1), params, GRADS[:1])
    assert calls == [16 + 8 + 8 + 24]


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, [24]), ({"weight_decay": 0.1}, [16, 8]), ({"l1": 0.1}, [16, 8])]
)
def test_decaying_parameters_go_apart_only_where_something_decays(monkeypatch, settings, expected):
    calls = []
    monkeypatch.setattr(optim.SGD, "_step", lambda self, *args, **kwargs: calls.append(args[0].size))
    bias, weight = nn.Parameter(np.ones(3), decay=False), nn.Parameter(np.ones(12))
    bias.grad, weight.grad = np.ones(3), np.ones(12)
    optimizer = optim.SGD([bias, weight], lr=0.1, **settings)
    for _ in range(2):
        optimizer.step()
    assert calls == expected * 2


def test_values_are_kept_when_gathered_and_old_arrays_are_left_alone():
    array = np.arange(3.0)
    p = fnn.Tensor(array, requires_grad=True)
    p.grad = np.ones(3)
    optimizer = optim.SGD([p], lr=1.0)
    optimizer.step()
    np.testing.assert_array_equal(array, [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(p.data, [-1.0, 0.0, 1.0])


def test_accumulation_over_several_backwards():
    p = fnn.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    for _ in range(2):
        (p * 3.0).sum().backward()
    np.testing.assert_array_equal(p.grad, [6.0, 6.0])
    optimizer.zero_grad()
    assert p.grad is None
    (p * 3.0).sum().backward()
    np.testing.assert_array_equal(p.grad, [3.0, 3.0])
    optimizer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(p.grad, [0.0, 0.0])


@pytest.mark.parametrize("missing", [(0,), (1,), (3,), (0, 2), (1, 2), (0, 1, 2, 3)])
def test_parameters_without_gradient_are_not_touched(missing):
    params = _params()
    optimizer = optim.Adam(params, lr=0.1, weight_decay=0.1)
    _run(optimizer, params, GRADS[:1])
    before = [p.data.copy() for p in params]
    state = optimizer.state_dict()["state"]
    _run(optimizer, params, [[None if i in missing else g for i, g in enumerate(GRADS[1])]])
    after = optimizer.state_dict()["state"]
    for i, p in enumerate(params):
        assert (p.data == before[i]).all() == (i in missing)
        assert after[str(i)]["step"] == (1 if i in missing else 2)
        assert (after[str(i)]["exp_avg"] == state[str(i)]["exp_avg"]).all() == (i in missing)


def test_frozen_parameters_are_not_touched():
    params = _params()
    optimizer = optim.SGD(params, lr=0.1, weight_decay=0.1)
    params[1].requires_grad = False
    _run(optimizer, params, GRADS[:1])
    np.testing.assert_array_equal(params[1].data, STARTS[1])
    params[1].requires_grad = True
    _run(optimizer, params, GRADS[1:2])
    assert (params[1].data != STARTS[1]).all()


def test_arrays_put_in_from_outside_are_gathered_again():
    params = _params()
    optimizer = optim.SGD(params, lr=1.0, momentum=0.5)
    address = params[0].data.ctypes.data
    _run(optimizer, params, GRADS[:1])
    params[0].data = np.zeros((4, 3))
    _run(optimizer, params, GRADS[1:2])
    assert params[0].data.ctypes.data == address
    np.testing.assert_allclose(params[0].data, 0.5 * -GRADS[0][0] - GRADS[1][0], rtol=1e-14)
    flat = params[0].data
    params[0].data = np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"SGD: a parameter of shape \(4, 3\).*replaced by an array of shape \(3, 4\)"):
        optimizer.step()
    params[0].data = flat
    params[0].grad = np.zeros(3)
    with pytest.raises(ValueError, match=r"SGD: a parameter of shape \(4, 3\) has a gradient of shape \(3,\)"):
        optimizer.step()


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("what", ["data", "grad"])
def test_arrays_exchanged_between_parameters(what, apart):
    """As if each had an array of its own; ``apart``: in two groups, hence in two buffers."""
    a, b = (fnn.tensor(start, requires_grad=True) for start in ([1.0, 2.0], [3.0, 5.0]))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b]}] if apart else [a, b], lr=1.0)
    for p, grad in ((a, [0.5, 0.5]), (b, [0.25, 0.125])):
        (p * np.array(grad)).sum().backward()
    if what == "data":
        a.data, b.data = b.data, a.data
        expected = [2.5, 4.5], [0.75, 1.875]
    else:
        a.grad, b.grad = b.grad, a.grad
        expected = [0.75, 1.875], [2.5, 4.5]
    optimizer.step()
    assert (a.data.tolist(), b.data.tolist()) == expected
    optimizer.zero_grad()
    (a + b).sum().backward()
    optimizer.step()
    assert ((a.data + 1).tolist(), (b.data + 1).tolist()) == expected


def test_a_teacher_and_a_student_exchange_their_values():
    student, teacher = (fnn.tensor([value], requires_grad=True) for value in (1.0, 7.0))
    optimizer = optim.SGD([student], lr=0.5)
    student.data, teacher.data = teacher.data, student.data
    student.grad = np.ones(1)
    optimizer.step()
    assert (float(student), float(teacher)) == (6.5, 1.0)


def test_one_gradient_for_two_parameters():
    a, b = (fnn.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([a, b], lr=0.5)
    (a * 3.0).sum().backward()
    b.grad = a.grad
    optimizer.step()
    assert (float(a), float(b)) == (-0.5, -0.5)
    b.grad, a.grad = a.grad, np.zeros(1)
    optimizer.step()
    assert (float(a), float(b)) == (-0.5, -2.0)


def test_values_turned_round_in_their_own_memory():
    p = fnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    before = p.data
    p.data = p.data[::-1]
    p.grad = np.zeros(3)
    optimizer.step()
    assert p.data.tolist() == [3.0, 2.0, 1.0]
    assert before.tolist() == [1.0, 2.0, 3.0]


KEPT = {
    "the array": lambda array: array,
    "a row": lambda array: array[1],
    "another shape": lambda array: array.reshape(-1),
    "a view of a view": lambda array: array.T[1:].T,
    "a buffer": memoryview,
}


def _affine(p, scale):
    return F.linear(np.ones((1, 3)) * scale, p).sum()


def _to_zeros(optimizer, p):
    p.grad = None  # else the zeros are written where the kept array is, as by `p.grad[...] = 0`
    optimizer.zero_grad(set_to_none=False)


FORGET = {
    "zero_grad": lambda optimizer, p: optimizer.zero_grad(),
    "None": lambda optimizer, p: setattr(p, "grad", None),
    "zeros": _to_zeros,
}


@pytest.mark.parametrize("forget", FORGET)
@pytest.mark.parametrize("kept", KEPT)
def test_gradients_that_were_kept_stay_as_they_are(kept, forget):
    """By the reverse pass that writes into the flat buffer, by the one that does not, and by a step."""
    p, q = fnn.Tensor(np.ones((2, 3)), requires_grad=True), fnn.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p, q], lr=0.1)
    for loss in (lambda scale: _affine(p, scale), lambda scale: (p * scale).sum()):
        optimizer.zero_grad()
        loss(2.0).backward()
        mine = KEPT[kept](p.grad)
        before = np.array(mine)
        FORGET[forget](optimizer, p)
        loss(3.0).backward()
        np.testing.assert_array_equal(p.grad, np.full((2, 3), 3.0))
        optimizer.step()
        np.testing.assert_array_equal(mine, before)
        np.testing.assert_array_equal(p.grad, np.full((2, 3), 3.0))


def test_gradients_of_two_losses_are_combined():
    p = fnn.Tensor(np.ones((2, 3)), requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    kept = []
    for scale in (1.0, 2.0, 4.0):
        optimizer.zero_grad()
        _affine(p, scale).backward()
        kept.append(p.grad)
    p.grad = sum(kept)
    optimizer.step()
    np.testing.assert_array_equal(p.data, np.full((2, 3), 1 - 7.0))


def test_memory_of_gradients_is_used_again_where_nobody_kept_them():
    p = fnn.Tensor(np.ones((2, 3)), requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    addresses = set()
    for _ in range(3):
        optimizer.zero_grad()
        _affine(p, 2.0).backward()
        assert p.grad is p._target.array
        addresses.add(p.grad.ctypes.data)
        optimizer.step()
    assert len(addresses) == 1


def test_a_change_of_optimiser_in_mid_training():
    params = _params()
    adam = optim.Adam(params, lr=0.1)
    _run(adam, params, GRADS[:2])
    values = [p.data.copy() for p in params]
    sgd = optim.SGD(params, lr=0.1)
    for p, value in zip(params, values, strict=True):
        np.testing.assert_array_equal(p.data, value)
    _run(sgd, params, GRADS[2:3])
    for p, value, g in zip(params, values, GRADS[2], strict=True):
        np.testing.assert_allclose(p.data, value - 0.1 * g, rtol=1e-14)
    _run(adam, params, GRADS[3:4])  # and back


def test_loading_a_model_after_making_the_optimiser():
    net = nn.Sequential(nn.Linear(2, 2, rng=0))
    optimizer = optim.SGD(net.parameters(), lr=1.0)
    net.load_state_dict({"0.weight": np.zeros((2, 2)), "0.bias": np.zeros(2)})
    net(np.ones((1, 2), np.float32)).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(net[0].weight.data, -np.ones((2, 2)))


def test_copies_of_a_model_are_free_of_the_buffers():
    net = nn.Sequential(nn.Linear(2, 2, rng=0))
    optim.SGD(net.parameters(), lr=1.0)
    other = copy.deepcopy(net)
    other[0].weight.data += 1
    assert (net[0].weight.data != other[0].weight.data).all()
    assert other[0].weight.data.base is None


def test_mixed_dtypes_and_empty_parameters():
    params = [
        fnn.tensor([1.0], requires_grad=True),
        fnn.tensor(np.ones(2, np.float32), requires_grad=True),
        fnn.tensor(np.ones((0, 3)), requires_grad=True),
        fnn.tensor([3.0], requires_grad=True),
    ]
    optimizer = optim.Adam(params, lr=0.5)
    sum(p.sum() for p in params).backward()
    optimizer.step()
    assert [p.dtype for p in params] == [np.float64, np.float32, np.float64, np.float64]
    np.testing.assert_allclose(params[1].data, [0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(params[3].data, [2.5])
    optimizer.load_state_dict(optimizer.state_dict())


def test_optimisers_that_take_turns_have_gradients_written_to_their_own_memory():
    p = fnn.Tensor(np.ones((2, 3)), requires_grad=True)
    optimizers = [optim.SGD([p], lr=0.5), optim.SGD([p], lr=0.25)]
    for optimizer in optimizers * 2:
        p.grad = None
        _affine(p, 1.0).backward()
        optimizer.step()
        assert p._target.values is p.data
        assert p._target.array is p.grad
    np.testing.assert_array_equal(p.data, np.full((2, 3), 1 - 1.5))


# state


@pytest.mark.parametrize(("make", "formula", "settings"), CASES)
def test_state_round_trip(make, formula, settings):
    params = _params()
    optimizer = make(params, lr=0.1, **settings)
    grads = [[None if t == 1 and i == 1 else g for i, g in enumerate(step)] for t, step in enumerate(GRADS)]
    _run(optimizer, params, grads[:3])
    state = copy.deepcopy(optimizer.state_dict())
    resumed = [fnn.tensor(p.data, requires_grad=True) for p in params]
    other = make(resumed, lr=0.7)
    other.load_state_dict(state)
    assert other.lr == 0.1
    _run(optimizer, params, grads[3:])
    _run(other, resumed, grads[3:])
    for p, q in zip(params, resumed, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_state_goes_through_a_checkpoint(tmp_path):
    params = _params(np.float32)
    optimizer = optim.Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}], lr=0.1)
    _run(optimizer, params, GRADS[:2])
    fnn.save_checkpoint(tmp_path / "state.npz", optimizer.state_dict())
    resumed = [fnn.tensor(p.data, requires_grad=True) for p in params]
    other = optim.Adam([{"params": resumed[:1]}, {"params": resumed[1:]}])
    other.load_state_dict(fnn.load_checkpoint(tmp_path / "state.npz"))
    _run(optimizer, params, GRADS[2:])
    _run(other, resumed, GRADS[2:])
    for p, q in zip(params, resumed, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_state_is_a_copy():
    params = _params()
    optimizer = optim.Adam(params)
    _run(optimizer, params, GRADS[:1])
    state = optimizer.state_dict()
    state["state"]["0"]["exp_avg"][...] = np.nan
    _run(optimizer, params, GRADS[1:2])
    assert np.isfinite(params[0].data).all()


def test_a_state_that_does_not_fit_changes_nothing():
    params = _params()
    optimizer = optim.Adam(params)
    _run(optimizer, params, GRADS[:1])
    good = optimizer.state_dict()

    def spoilt(change):
        state = copy.deepcopy(good)
        change(state)
        return state

    changes = [
        (lambda s: s["param_groups"].append(s["param_groups"][0]), r"groups of \[4, 4\] parameters"),
        (lambda s: s["param_groups"][0].pop("lr"), "settings"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), "lr"),
        (lambda s: s["state"].pop("2"), "parameter 2 is None"),
        (lambda s: s["state"]["1"].pop("exp_avg"), "parameter 1"),
        (lambda s: s["state"]["3"].update(exp_avg=np.zeros(3)), r"exp_avg of parameter 3 has shape \(3,\)"),
        (lambda s: s["state"]["3"].update(step=-5), "Adam: step of parameter 3 must be at least 0, got -5"),
        (lambda s: s.pop("state"), r"Adam: the state is \['param_groups'\], expected param_groups and state"),
        (lambda s: s["param_groups"].__setitem__(0, 3), "settings int"),
    ]
    of_type = [
        (lambda s: s["state"]["3"].update(step="x"), "Adam: step of parameter 3 must be an int, got 'x'"),
        (lambda s: s["state"]["3"].update(step=2.7), "Adam: step of parameter 3 must be an int"),
        (lambda s: s["param_groups"][0].update(lr="x"), "Adam: lr must be a real number"),
        (
            lambda s: s["state"]["3"].update(exp_avg=np.zeros(SHAPES[3], complex)),
            "Adam: exp_avg of parameter 3 has dtype complex128, expected float64",
        ),
        (
            lambda s: s["state"]["3"].update(exp_avg=np.ma.zeros(SHAPES[3])),
            "Adam: exp_avg of parameter 3 is a masked array",
        ),
        (lambda s: s["state"]["2"].update(exp_avg="x"), "Adam: exp_avg of parameter 2 has dtype <U1"),
    ]
    cases = [(ValueError, *case) for case in changes] + [(TypeError, *case) for case in of_type]
    for error, change, text in cases:
        state = spoilt(change)
        state.get("state", {}).get("0", {}).update(exp_avg=np.full(SHAPES[0], 7.0))
        with pytest.raises(error, match=text):
            optimizer.load_state_dict(state)
    assert optimizer.lr == 1e-3
    for number, entry in optimizer.state_dict()["state"].items():
        assert entry["step"] == 1
        np.testing.assert_array_equal(entry["exp_avg"], good["state"][number]["exp_avg"])
