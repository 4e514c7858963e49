"""Optimisers: their formulas step by step, PyTorch, state."""

import copy

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn, optim
from optimizer_runs import GRADS, SHAPES, STARTS, parameters, run


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
    params = parameters(dtype)
    optimizer = make(params, lr=0.1, **settings)
    expected = [start.astype(dtype).astype(np.float64) for start in STARTS]
    states = [{} for _ in STARTS]
    for t, grads in enumerate(GRADS, 1):
        run(optimizer, params, [grads])
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
    params = parameters()
    theirs = [torch.tensor(start, requires_grad=True) for start in STARTS]
    amsgrad = {"amsgrad": True} if make is optim.AMSGrad else {}
    optimizer, other = make(params, **settings, **own), getattr(torch.optim, name)(theirs, **settings, **amsgrad)
    # In the third and fourth step some gradients are missing.
    grads = [[None if t in (2, 3) and i in (0, 2) else g for i, g in enumerate(step)] for t, step in enumerate(GRADS)]
    for step in grads:
        run(optimizer, params, [step])
        for p, g in zip(theirs, step, strict=True):
            p.grad = None if g is None else torch.tensor(g)
        other.step()
        for p, q in zip(params, theirs, strict=True):
            np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-13, atol=1e-15)


def test_a_change_of_optimiser_in_mid_training():
    params = parameters()
    adam = optim.Adam(params, lr=0.1)
    run(adam, params, GRADS[:2])
    values = [p.data.copy() for p in params]
    sgd = optim.SGD(params, lr=0.1)
    for p, value in zip(params, values, strict=True):
        np.testing.assert_array_equal(p.data, value)
    run(sgd, params, GRADS[2:3])
    for p, value, g in zip(params, values, GRADS[2], strict=True):
        np.testing.assert_allclose(p.data, value - 0.1 * g, rtol=1e-14)
    run(adam, params, GRADS[3:4])  # and back


def test_loading_a_model_after_making_the_optimiser():
    net = nn.Sequential(nn.Linear(2, 2, rng=0))
    optimizer = optim.SGD(net.parameters(), lr=1.0)
    net.load_state_dict({"0.weight": np.zeros((2, 2)), "0.bias": np.zeros(2)})
    net(np.ones((1, 2), np.float32)).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(net[0].weight.data, -np.ones((2, 2)))


# state
@pytest.mark.parametrize(("make", "formula", "settings"), CASES)
def test_state_round_trip(make, formula, settings):
    params = parameters()
    optimizer = make(params, lr=0.1, **settings)
    grads = [[None if t == 1 and i == 1 else g for i, g in enumerate(step)] for t, step in enumerate(GRADS)]
    run(optimizer, params, grads[:3])
    state = copy.deepcopy(optimizer.state_dict())
    resumed = [fnn.tensor(p.data, requires_grad=True) for p in params]
    other = make(resumed, lr=0.7)
    other.load_state_dict(state)
    assert other.lr == 0.1
    run(optimizer, params, grads[3:])
    run(other, resumed, grads[3:])
    for p, q in zip(params, resumed, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_state_goes_through_a_checkpoint(tmp_path):
    params = parameters(np.float32)
    optimizer = optim.Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}], lr=0.1)
    run(optimizer, params, GRADS[:2])
    fnn.save_checkpoint(tmp_path / "state.npz", optimizer.state_dict())
    resumed = [fnn.tensor(p.data, requires_grad=True) for p in params]
    other = optim.Adam([{"params": resumed[:1]}, {"params": resumed[1:]}])
    other.load_state_dict(fnn.load_checkpoint(tmp_path / "state.npz"))
    run(optimizer, params, GRADS[2:])
    run(other, resumed, GRADS[2:])
    for p, q in zip(params, resumed, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_state_is_a_copy():
    params = parameters()
    optimizer = optim.Adam(params)
    run(optimizer, params, GRADS[:1])
    state = optimizer.state_dict()
    state["state"]["0"]["exp_avg"][...] = np.nan
    run(optimizer, params, GRADS[1:2])
    assert np.isfinite(params[0].data).all()


def test_a_state_that_does_not_fit_changes_nothing():
    params = parameters()
    optimizer = optim.Adam(params)
    run(optimizer, params, GRADS[:1])
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
