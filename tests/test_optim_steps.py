"""Optimiser steps where squares of gradients are beyond the range of the arrays, and numbers that float32 cannot hold.

The definitions are computed in NumPy's longest type, in which nothing overflows or vanishes.
"""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from harness import ISAS, by_dtype

WIDE = np.longdouble

by_place = pytest.mark.parametrize("where", ["numpy", *ISAS])

pytestmark = pytest.mark.skipif(np.finfo(WIDE).maxexp <= 1024, reason="needs a long double with a wider range")


@pytest.fixture(autouse=True)
def _place(request):
    where = request.node.callspec.params.get("where", "numpy") if hasattr(request.node, "callspec") else "numpy"
    if where != "numpy":
        request.getfixturevalue("native").set_isa(where)
    with fnn.use_backend("numpy" if where == "numpy" else "native"):
        yield


def _adam(p, g, s, t, *, lr, betas, eps, weight_decay=0.0, decoupled=False, largest=False):
    b1, b2 = map(WIDE, betas)
    if decoupled:
        p = p * (1 - WIDE(lr) * weight_decay)
    else:
        g = g + WIDE(weight_decay) * p
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    s["top"] = np.maximum(s.get("top", 0), s["v"])
    v = s["top"] if largest else s["v"]
    c1, c2 = (-np.expm1(t * np.log(b)) for b in (b1, b2))  # 1 - b^t
    return p - lr * (s["m"] / c1) / (np.sqrt(v / c2) + WIDE(eps))


def _rooted(s, eps, inside):
    return np.sqrt(s + WIDE(eps)) if inside else np.sqrt(s) + WIDE(eps)


def _rmsprop(p, g, s, t, *, lr, alpha, eps, eps_inside):
    s["v"] = WIDE(alpha) * s.get("v", 0) + (1 - WIDE(alpha)) * g * g
    return p - lr * g / _rooted(s["v"], eps, eps_inside)


def _adagrad(p, g, s, t, *, lr, eps, eps_inside):
    s["v"] = s.get("v", 0) + g * g
    return p - lr * g / _rooted(s["v"], eps, eps_inside)


def _adadelta(p, g, s, t, *, lr, rho, eps):
    rho, before = WIDE(rho), s.get("d", 0)
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    d = np.sqrt((before + WIDE(eps)) / (s["v"] + WIDE(eps))) * g
    s["d"] = rho * before + (1 - rho) * d * d
    return p - lr * d


def _step(name, state, t, p, g, options):
    """One call of the function under test; its state is made by the first."""
    options = dict(options)
    if name in ("adam_step", "adamw_step"):
        options["step"] = t
        names = ["exp_avg", "exp_avg_sq"]
        if options.pop("largest", False):
            options["max_exp_avg_sq"] = state.setdefault("max_exp_avg_sq", np.zeros_like(p))
    else:
        names = {"rmsprop_step": ["square_avg"], "adagrad_step": ["square_sum"]}.get(name, ["square_avg", "acc_delta"])
    getattr(F, name)(p, g, *(state.setdefault(n, np.zeros_like(p)) for n in names), **options)


ADAM = {"lr": 0.125, "betas": (0.9, 0.999)}
# name: (function, definition, options, further options of the definition)
STEPS = {
    "adam": ("adam_step", _adam, ADAM, {}),
    "adam that keeps much": ("adam_step", _adam, {"lr": 0.125, "betas": (0.9, 0.99999999)}, {}),
    "amsgrad": ("adam_step", _adam, {**ADAM, "largest": True}, {}),
    "adamw": ("adamw_step", _adam, {**ADAM, "weight_decay": 0.25}, {"decoupled": True}),
    "rmsprop": ("rmsprop_step", _rmsprop, {"lr": 0.125, "alpha": 0.9, "eps_inside": True}, {}),
    "rmsprop, eps outside": ("rmsprop_step", _rmsprop, {"lr": 0.125, "alpha": 0.9, "eps_inside": False}, {}),
    "adagrad": ("adagrad_step", _adagrad, {"lr": 0.125, "eps_inside": True}, {}),
    "adagrad, eps outside": ("adagrad_step", _adagrad, {"lr": 0.125, "eps_inside": False}, {}),
    "adadelta": ("adadelta_step", _adadelta, {"lr": 1.0, "rho": 0.9}, {}),
}


def _gradients(dtype):
    """(steps, n): each column of one magnitude, and columns that change theirs by much."""
    rng = np.random.default_rng(0)
    top = float(np.log10(np.finfo(dtype).max))
    bottom = -top + (7 if dtype == np.float32 else 25)  # an eps below the normal numbers counts as 0 beside a root
    scales = 10.0 ** np.linspace(bottom, top - 1, 41)
    g = rng.normal(1, 1, (12, 41)) * scales
    jumps = rng.normal(1, 1, (12, 19)) * 10.0 ** rng.uniform(bottom, top - 1, (12, 19))
    quiet = np.where(np.arange(12)[:, None] % 3, 0.0, scales[None, ::4])
    return np.concatenate([g, jumps, quiet, np.zeros((12, 3))], axis=1).astype(dtype)


@by_dtype
@by_place
@pytest.mark.parametrize("eps", ["1e-8", "1e-3", "small", "tiny", "beyond"])
@pytest.mark.parametrize("name", STEPS)
def test_steps_follow_the_definition_for_gradients_of_any_size(name, eps, where, dtype):
    info = np.finfo(dtype)
    special = {
        "small": float(info.tiny) ** 0.5,
        "tiny": float(info.tiny) * 8,
        "beyond": 1e-50 if dtype == np.float32 else 1e-310,
    }
    options = {"eps": special[eps] if eps in special else float(eps)}
    function, definition, more, own = STEPS[name]
    options |= more
    gradients = _gradients(dtype)
    p = np.full(gradients.shape[1], 0.5, dtype)
    exact, state, wide = p.astype(WIDE), {}, {}
    travelled = np.abs(exact)
    for t, g in enumerate(gradients, 1):
        _step(function, state, t, p, g, options)
        before = exact
        exact = definition(exact, g.astype(WIDE), wide, t, **options, **own)
        travelled = travelled + np.abs(exact - before)
        off = np.abs(p - exact)
        assert (off <= 24 * info.eps * t * travelled).all(), f"step {t}: {p} instead of {exact}, gradients {g}"


@by_dtype
@by_place
def test_state_holds_the_second_moment_or_minus_its_root(where, dtype):
    info = np.finfo(dtype)
    big, small = float(info.max) ** 0.75, float(info.tiny) ** 0.75
    g = np.array([3.0, big, -small, 0.0], dtype)
    p, m, v = np.zeros(4, dtype), np.zeros(4, dtype), np.zeros(4, dtype)
    F.adam_step(p, g, m, v, step=1, lr=0.5, betas=(0.5, 0.75), eps=1e-300)
    np.testing.assert_allclose(v, np.array([0.25 * 9, -0.5 * big, -0.5 * small, 0]), rtol=8 * info.eps)
    np.testing.assert_allclose(p, [-0.5, -0.5, 0.5, 0], rtol=8 * info.eps)
    # Where eps hides them, small ones may vanish and are not encoded.
    s = np.zeros(4, dtype)
    F.rmsprop_step(p, g, s, lr=0.5, alpha=0.75, eps=1e-8)
    assert s[2] >= 0
    # The root comes back as a square when it can.
    for _ in range(400):
        F.adam_step(p, np.zeros(4, dtype), m, v, step=1, lr=0.5, betas=(0.5, 0.25), eps=1e-300)
    assert (v[1] >= 0) or dtype == np.float64


@by_dtype
@by_place
def test_infinite_and_missing_gradients_go_on(where, dtype):
    g = np.array([np.inf, np.nan, -np.inf, 1.0], dtype)
    for name, (function, _, options, _) in STEPS.items():
        p, state = np.ones(4, dtype), {}
        for t in (1, 2):
            _step(function, state, t, p, g, {**options, "eps": 1e-8})
        assert np.isnan(p[:3]).all(), name
        assert np.isfinite(p[3]), name


@by_dtype
@by_place
def test_no_gradient_no_step(where, dtype):
    """However small eps is: 0 / (0 + eps) is 0."""
    for eps in (1e-8, 1e-40, 1e-50, 1e-310):
        for name, (function, _, options, _) in STEPS.items():
            if name == "adamw":
                continue
            p = np.ones(3, dtype)
            _step(function, {}, 1, p, np.zeros(3, dtype), {**options, "eps": eps})
            np.testing.assert_array_equal(p, np.ones(3, dtype), err_msg=f"{name}, eps={eps}")


@by_place
def test_rates_that_float32_cannot_hold(where):
    """A product with one is right where the result is a normal number."""
    p, g = np.zeros(3, np.float32), np.array([1e30, -2e30, 0], np.float32)
    F.sgd_step(p, g, lr=1e-50)
    np.testing.assert_allclose(p, [-1e-20, 2e-20, 0], rtol=1e-6)
    p = np.array([1e30, -2e30, 0], np.float32)
    F.sgd_step(p, np.zeros(3, np.float32), lr=1.0, weight_decay=1e-40)
    d = np.zeros(3, np.float32)
    F.sgd_step(
        np.array([1e30, -2e30, 0], np.float32), np.zeros(3, np.float32), d, lr=1.0, momentum=0.5, weight_decay=1e-50
    )
    np.testing.assert_allclose(d, [-1e-20, 2e-20, 0], rtol=1e-6)
    d = np.full(3, 4.0, np.float32)
    for _ in range(2000):
        F.sgd_step(p, np.zeros(3, np.float32), d, lr=1.0, momentum=1 - 1e-6)
    np.testing.assert_allclose(d, 4.0 * (1 - 1e-6) ** 2000, rtol=2e-4)


@pytest.mark.parametrize("name", ["lr", "weight_decay", "l1", "eps"])
def test_numbers_beyond_float32_are_refused(name):
    p = np.ones(3)
    with pytest.raises(ValueError, match=rf"adam_step: {name} must be in \[0, 3.4028\d*e\+38\], got 1e\+39"):
        F.adam_step(p, p.copy(), np.zeros(3), np.zeros(3), step=1, **{"lr": 0.1, name: 1e39})
    F.adam_step(p, p.copy(), np.zeros(3), np.zeros(3), step=1, **{"lr": 0.1, name: float(np.finfo(np.float32).max)})


@by_place
@by_dtype
def test_what_is_not_a_number_or_infinite_stays_so_in_the_state(where, dtype):
    nan = np.array([np.nan, 1, 1], dtype)
    ones = np.ones(3, dtype)
    steps = {
        "rmsprop": lambda p, s: F.rmsprop_step(p, ones, s, lr=0.01),
        "rmsprop inside": lambda p, s: F.rmsprop_step(p, ones, s, lr=0.01, eps_inside=True),
        "adagrad": lambda p, s: F.adagrad_step(p, ones, s, lr=0.01),
        "adagrad inside": lambda p, s: F.adagrad_step(p, ones, s, lr=0.01, eps_inside=True),
        "adam": lambda p, s: F.adam_step(p, ones, np.zeros(3, dtype), s, step=1, lr=0.01),
        "amsgrad": lambda p, s: F.adam_step(
            p, ones, np.zeros(3, dtype), np.zeros(3, dtype), step=1, lr=0.01, max_exp_avg_sq=s
        ),
        "adadelta": lambda p, s: F.adadelta_step(p, ones, s, np.zeros(3, dtype), lr=1.0),
        "adadelta deltas": lambda p, s: F.adadelta_step(p, ones, np.zeros(3, dtype), s, lr=1.0),
    }
    for name, step in steps.items():
        p, s = ones.copy(), nan.copy()
        step(p, s)
        assert np.isnan(p).tolist() == np.isnan(s).tolist() == [True, False, False], name
    p, mean = ones.copy(), np.array([np.inf, -np.inf, 0], dtype)
    F.adam_step(p, ones, mean, np.ones(3, dtype), step=1, lr=0.01)
    np.testing.assert_array_equal(mean[:2], [np.inf, -np.inf])
    np.testing.assert_array_equal(p[:2], [-np.inf, np.inf])
    assert np.isfinite(p[2])
    p, mean = nan.copy(), np.zeros(3, dtype)
    F.adam_step(p, ones, mean, np.zeros(3, dtype), step=1, lr=0.01, l1=0.1)
    assert np.isnan(mean).tolist() == [True, False, False]


@by_place
def test_tiny_gradients_without_eps(where):
    for g in (1e-37, 3e-37):
        p, s = np.zeros(2, np.float32), np.zeros(2, np.float32)
        F.rmsprop_step(p, np.array([g, 1], np.float32), s, lr=0.1, eps=0.0)
        np.testing.assert_allclose(p, -0.1 / np.sqrt(0.1) * np.ones(2), rtol=0.2)  # its root is hardly a normal number
        p, m, v = (np.zeros(2, np.float32) for _ in range(3))
        F.adam_step(p, np.array([g, 1], np.float32), m, v, step=1, lr=0.1, eps=0.0)
        assert abs(p).max() <= 0.11
