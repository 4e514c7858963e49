"""Interpolation: coordinates against loops, and what the op table does not reach."""

import itertools
import math

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
import harness
import samples_interpolate
import test_pool_kernels
from fastnn import checks
from fastnn.backend import reference
from harness import THREADS, by_dtype, by_isa, evaluate
from op_table import OPS

OP = next(op for op in OPS if op.name == "interpolate")
guarded = test_pool_kernels.guarded
ONNX = samples_interpolate.interpolate_onnx()


# ---- ONNX's formulas, one output after the other ------------------------------------------------------------------------


def place(rule, o, size, out, scale, start, end):
    """Where output o lies between the inputs, as the standard writes it."""
    width = size * scale
    if rule == "half_pixel":
        return (o + 0.5) / scale - 0.5
    if rule == "half_pixel_symmetric":
        return size / 2 * (1 - out / width) + (o + 0.5) / scale - 0.5
    if rule == "pytorch_half_pixel":
        return (o + 0.5) / scale - 0.5 if width > 1 else 0.0
    if rule == "align_corners":
        return o * (size - 1) / (width - 1) if out > 1 else 0.0
    if rule == "asymmetric":
        return o / scale
    if width > 1:
        return start * (size - 1) + o * (end - start) * (size - 1) / (width - 1)
    return 0.5 * (start + end) * (size - 1)


def rounded(mode, at):
    low, part = math.floor(at), at - math.floor(at)
    if part == 0:
        return low
    return low + {
        "floor": 0, "ceil": 1, "round_prefer_floor": int(part > 0.5), "round_prefer_ceil": int(part >= 0.5),
    }[mode]  # fmt: skip


def cubic(t, a):
    t = abs(t)
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def line(x, out, scale, options, start=0.0, end=1.0):
    """A line of numbers, resampled."""
    y, mode, size = [], options["mode"], len(x)
    for o in range(out):
        at = place(options["coordinates"], o, size, out, scale, start, end)
        if options["coordinates"] == "tf_crop_and_resize" and not 0 <= at <= size - 1:
            y.append(options.get("extrapolation_value", 0.0))
            continue
        if mode == "nearest":
            y.append(x[min(max(rounded(options["nearest_mode"], at), 0), size - 1)])
            continue
        shrink = min(scale, 1.0) if options.get("antialias") else 1.0
        reach = math.ceil((1 if mode == "linear" else 2) / shrink) + 1
        taps = range(math.floor(at) - reach, math.floor(at) + reach + 1)
        a = options.get("cubic_coeff_a", -0.75)
        weights = [max(1 - abs(i - at) * shrink, 0) if mode == "linear" else cubic((i - at) * shrink, a) for i in taps]
        if options.get("exclude_outside"):
            weights = [w if 0 <= i < size else 0.0 for i, w in zip(taps, weights, strict=True)]
        total = sum(w * x[min(max(i, 0), size - 1)] for i, w in zip(taps, weights, strict=True))
        normal = options.get("antialias") or options.get("exclude_outside")
        y.append(total / sum(weights) if normal else total)
    return np.array(y)


RULES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
OPTIONS = [
    *({"mode": "nearest", "nearest_mode": m} for m in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")),
    *({"mode": "linear", "antialias": a, "exclude_outside": e} for a in (False, True) for e in (False, True)),
    *({"mode": "cubic", "antialias": a, "exclude_outside": e} for a in (False, True) for e in (False, True)),
    {"mode": "cubic", "cubic_coeff_a": -0.5},
]


@pytest.mark.parametrize("rule", RULES)
def test_places_and_weights_of_every_rule(rule, backend):
    x = np.random.default_rng(0).standard_normal(11)
    crop = rule == "tf_crop_and_resize"
    cases = itertools.product(
        OPTIONS, (0.3, 0.5, 0.77, 1.0, 1.6, 2.0, 3.1), ((0.2, 0.9), (-0.3, 1.2), (0.8, 0.1))[: 2 * crop + 1]
    )
    for options, scale, (start, end) in cases:
        options = {**options, "coordinates": rule, **({"extrapolation_value": 7.0} if crop else {})}
        given = {**options, **({"roi": (start, end)} if crop else {})}
        y = F.interpolate(x[None, None], scale_factor=scale, **given)
        out = math.floor(11 * scale)
        expected = line(x, out, scale, options, start, end)
        assert y.shape == (1, 1, out)
        np.testing.assert_allclose(y[0, 0], expected, rtol=0, atol=1e-13, err_msg=f"{options} {scale} {start} {end}")


def test_a_size_beside_the_scale(backend):
    """As of ONNX's keep_aspect_ratio_policy: places follow the scale, and the size is that scale's, rounded otherwise."""
    x = np.random.default_rng(0).standard_normal(5)
    options = {"mode": "linear", "coordinates": "half_pixel"}
    y = F.interpolate(x[None, None], 8, 1.5, **options)
    np.testing.assert_allclose(y[0, 0], line(x, 8, 1.5, options), rtol=0, atol=1e-15)


# ---- ONNX's rules on the compiled backend ---------------------------------------------------------------------------------


@by_dtype
@by_isa
def test_onnx_samples_match_the_reference(isa, dtype, native):
    native.set_isa(isa)
    eps, failures = float(np.finfo(dtype).eps), []
    for sample in ONNX:
        exact = sample.cast(dtype).cast(np.float64)
        truth = harness.reference(OP, exact)
        results = {}
        for threads in THREADS:
            native.set_num_threads(threads)
            results[threads] = evaluate(OP, sample.cast(dtype))
        bounds = harness.bounds(OP, exact, truth, eps)
        failures += [f"{sample}: {s}" for s in harness.mismatches(results[1], truth, bounds, 2 * eps)]
        failures += [f"{sample}: {t} threads" for t in THREADS[1:] if harness.same_bits(results[1], results[t])]
    assert not failures


def test_gradients_are_transposed(backend):
    for sample in ONNX:
        if sample.arrays[0].ndim != 3:
            continue
        options = {**sample.options, "extrapolation_value": 0.0}
        y = F.interpolate(np.zeros((1, 1, 9)), **options).shape[2]
        forward = [F.interpolate(e[None, None], **options)[0, 0] for e in np.eye(9)]
        backward = [F.interpolate_backward(e[None, None], (1, 1, 9), **options)[0, 0] for e in np.eye(y)]
        np.testing.assert_allclose(forward, np.array(backward).T, rtol=0, atol=1e-15, err_msg=str(options))


def test_what_is_extrapolated_has_no_derivative(backend):
    x = np.arange(4.0).reshape(1, 1, 4)
    options = {"mode": "linear", "coordinates": "tf_crop_and_resize", "roi": (-1.0, 2.0), "extrapolation_value": 9.0}
    _, tangent = fnn.jvp(lambda v: F.interpolate(v, 10, **options), (x,), (x,))
    y = F.interpolate(x, 10, **options)
    assert list(y[0, 0, :3]) == [9] * 3
    np.testing.assert_array_equal(
        tangent.numpy() if isinstance(tangent, fnn.Tensor) else tangent, np.where(y == 9, 0, y)
    )
    dy = np.where(y == 9, np.nan, 1)
    assert np.isfinite(F.interpolate_backward(dy, x.shape, 10, **options)).all()


# ---- edges ----------------------------------------------------------------------------------------------------------------


def test_the_scale_that_places_are_computed_with(backend):
    x = np.arange(5.0).reshape(1, 1, 5)
    given, recomputed = (F.interpolate(x, None, 1.5, "linear", None, r)[0, 0] for r in (False, True))
    assert len(given) == len(recomputed) == 7
    centres = (np.arange(7) + 0.5) / np.array([[1.5], [7 / 5]]) - 0.5
    np.testing.assert_allclose([given, recomputed], np.clip(centres, 0, 4), rtol=0, atol=1e-15)


def test_an_axis_that_stays_is_copied(backend):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    x[0, 0, 0, 0], x[1, 1, 1, 1], x[0, 2, 3, 4] = np.nan, np.inf, 1e-40
    for mode in ("nearest", "nearest-exact", "linear", "cubic"):
        np.testing.assert_array_equal(F.interpolate(x, (4, 5), mode=mode), x)
    np.testing.assert_array_equal(F.interpolate(x, None, (1.1, 1.0), "linear"), x)


def test_infinities_reach_no_output_that_does_not_take_them(backend):
    x = np.ones((1, 1, 9))
    x[0, 0, 4] = np.inf
    for mode in ("linear", "cubic"):
        for options in ({}, {"align_corners": True}, {"antialias": True}):
            for out in (9, 17, 18, 5, 4):
                y = F.interpolate(x, out, mode=mode, **options)[0, 0]
                taken = F.interpolate((x == np.inf).astype(float), out, mode=mode, **options)[0, 0]
                assert (np.isfinite(y) == (taken == 0)).all(), (mode, options, out, y)
                assert not np.isnan(y).any()


def test_long_axes_have_no_plan(native):
    x = np.random.default_rng(0).standard_normal((1, 2, 9000)).astype(np.float32)
    for _ in range(2):
        y = F.interpolate(x, 12000, mode="linear")
    with fnn.use_backend("numpy"):
        np.testing.assert_allclose(y, F.interpolate(x, 12000, mode="linear"), rtol=0, atol=1e-6)
    for out in range(9001, 9012):  # tables of a few are kept
        y = F.interpolate(x, out)
        places = np.arange(out, dtype=np.float32) * (np.float32(9000) / np.float32(out))
        np.testing.assert_array_equal(y, x[:, :, places.astype(int)])
    given, x = checks.interpolate("test", x, 12000, None, "linear", None, None)
    assert not given.lasting(x.shape[2:])
    assert given.lasting((4096,)) is False
    assert checks.interpolate("test", x, 2, None, "linear", None, None)[0].lasting((4096,))


# Wide and narrow rows, few and many planes, one axis, rows that shrink to less than half.
BESIDE_GUARDS = [
    ((1, 2, 17, 33), (9, 40)), ((1, 2, 12, 70), (13, 140)), ((1, 40, 5, 6), (7, 9)), ((3, 9, 35), (21,)),
    ((1, 1, 20, 70), (19, 30)), ((1, 2, 2, 9, 7), (3, 9, 11)),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@by_dtype
@by_isa
def test_kernels_read_nothing_beyond_the_images(isa, dtype, mode, native, guarded):
    for shape, out in BESIDE_GUARDS:
        rng = np.random.default_rng(0)
        x, dy = (rng.standard_normal(s).astype(dtype) for s in (shape, (*shape[:2], *out)))
        given, _ = checks.interpolate("test", x, out, None, mode, None, None)
        for a, transposed in ((x, False), (dy, True)):
            g = checks.resampling("test", given, shape, x.dtype, transposed)
            y = test_pool_kernels.every_way(native, isa, guarded, lambda ops, a, g=g: ops.resample(g, a), a)
            roundings = sum(len(axis.inputs) + 2 for axis in g.axes)
            magnitude = reference.resample(
                g._replace(axes=[axis._replace(weights=np.abs(axis.weights)) for axis in g.axes]), np.abs(a)
            )
            error = np.abs(y - reference.resample(g, a.astype(np.float64)))
            assert (error <= roundings * np.finfo(dtype).eps * magnitude).all(), (shape, out)


# ---- bindings refuse tables that name other memory ------------------------------------------------------------------------


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


@pytest.mark.parametrize(
    "wrong",
    [
        lambda t: {"inputs": changed(t.inputs, (0, 0), 5)},
        lambda t: {"inputs": changed(t.inputs, (0, 0), -1)},
        lambda t: {"inputs": t.inputs[:, :-1]},
        lambda t: {"inputs": t.inputs.astype(np.int64)},
        lambda t: {"inputs": t.inputs[0]},
        lambda t: {"weights": t.weights[:1]},
        lambda t: {"weights": t.weights.astype(np.float64)},
        lambda t: {"weights": None},
        lambda t: {"empty": np.array([3, 9], np.int32)},
        lambda t: {"empty": np.array([3, 3], np.int32)},
        lambda t: {"empty": np.array([-1], np.int32)},
        lambda t: {"out": 8},
        lambda t: {"size": 4},
        lambda t: {"inputs": t.inputs[:0], "weights": t.weights[:0]},
    ],
)
def test_tables_are_looked_at(wrong, native):
    x = np.ones((1, 2, 5), np.float32)
    given, _ = checks.interpolate("test", x, 9, None, "linear", None, None)
    g = checks.resampling("test", given, x.shape, x.dtype)
    *rest, taps = g.axes
    assert native.resample(g, x).shape == (1, 2, 9)
    with pytest.raises((ValueError, TypeError)):
        native.resample(g._replace(axes=(*rest, taps._replace(**wrong(taps)))), x)
    for other in ({"n": 2}, {"axes": (taps,)}, {"axes": None}, {"size": (1, 5, 1)}, {"out": (1, 1, 2**40)}):
        with pytest.raises((ValueError, TypeError)):
            native.resample(g._replace(**other), x)
    with pytest.raises((ValueError, TypeError)):
        native.resample(None, x)
