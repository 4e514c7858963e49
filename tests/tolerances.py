"""How far a result may be off, as formulas: ``|actual - truth| <= eps * bound``.

A bound is a magnitude times a count of roundings. The magnitude is the sum of the absolute values of the terms that
a result is made of, from the float64 reference; a sum of n terms rounds as a random walk, ``2 + sqrt(n)`` times.
What is not in a bound's dictionary must be exact. An ``eps`` is two half-unit roundings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from harness import Op, Results, Sample, gradient_for, reference


def walk(n: Any) -> Any:
    """Roundings that a sum of n terms of one sign may gather."""
    return 2 + np.sqrt(n)


def exact(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    return {}


def products(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """Sums of products of the arguments: run on absolute values for the magnitude, on ones for the count of terms."""
    dy = np.abs(gradient_for(truth["y"].shape, np.float64))
    magnitude = reference(op, sample.map(np.abs), dy)
    terms = reference(op, sample.map(np.ones_like), np.ones_like(dy))
    return {name: walk(terms[name]) * magnitude[name] for name in truth}


def convolutions(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """Sums of products; with 3 x 3 taps side by side, Winograd's roundings are those of the largest sums of a 4 x 4 tile.

    Sums of fewer terms, at edges, lie beside larger ones there. The nine taps of a weight gradient come from the same tiles.
    """
    bound = products(op, sample, truth, eps)
    weight = sample.arrays[1]
    assert weight is not None
    if weight.shape[-2:] == (3, 3) and all(
        np.all(np.atleast_1d(sample.options.get(o, 1))[-2:] == 1) for o in ("stride", "dilation")
    ):
        for name in {"y", "dx", "dweight"} & set(bound):
            bound[name] = _largest_near(bound[name], 3)
    return bound


def _largest_near(values: np.ndarray, reach: int) -> np.ndarray:
    """The largest of the values at most `reach` away along the last two axes."""
    for axis in (-2, -1):
        padding = [(0, 0)] * values.ndim
        padding[axis] = (reach, reach)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, padding), 2 * reach + 1, axis=axis)
        values = windows.max(axis=-1)
    return values


def averages(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """Weighted sums over windows of x, of at most x's size; each dx gathers at most y's size."""
    magnitude = reference(op, sample.map(np.abs), np.abs(gradient_for(truth["y"].shape, np.float64)))
    x, y = sample.arrays[0], truth["y"]
    assert x is not None
    positions = max(1, x[:1, :1].size)
    windows = max(1, y[:1, :1].size)
    return {"y": walk(positions) * magnitude["y"], "dx": walk(windows) * magnitude["dx"]}


def maxima(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """y is one of x; dx is a sum of dy."""
    y = truth["y"]
    magnitude = reference(op, sample, np.abs(gradient_for(y.shape, np.float64)))
    return {"dx": walk(max(1, y[:1, :1].size)) * magnitude["dx"]}


def powers(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """y = (sum |x|^p)^(1/p): a power's relative error is eps times p log|x|."""
    x, p = sample.arrays[0], float(sample.options["norm_type"])
    assert x is not None
    magnitude = reference(op, sample.map(np.abs), np.abs(gradient_for(truth["y"].shape, np.float64)))
    finite = np.abs(x[np.isfinite(x) & (x != 0)])
    logarithm = float(np.abs(np.log(finite)).max(initial=1.0))
    power = 4 + 2 * p * logarithm
    positions, windows = max(1, x[:1, :1].size), max(1, truth["y"][:1, :1].size)
    y_roundings = (walk(positions) + power) / p + power
    dx_roundings = power + abs(p - 1) * y_roundings + walk(windows)
    return {"y": y_roundings * magnitude["y"], "dx": dx_roundings * magnitude["dx"]}


def copies(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """y is made of x; dx is a sum of dy over the copies."""
    dy = np.abs(gradient_for(truth["y"].shape, np.float64))
    magnitude, terms = reference(op, sample, dy), reference(op, sample, np.ones_like(dy))
    return {"dx": walk(terms["dx"]) * magnitude["dx"]}


# ---- elementwise; `tolerances_activation` has those with exponentials and bends --------------------------------------


def x_dy(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    x = sample.arrays[0]
    assert x is not None
    return x, np.abs(gradient_for(x.shape, np.float64))


def scaled(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    return {name: 2 * np.abs(value) for name, value in truth.items()}


# ---- softmax and cross-entropy ------------------------------------------------------------------------------------


def _axis(sample: Sample) -> int:
    return int(sample.options.get("axis", -1))


def softmax(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """y = exp(x - m) / sum: the difference rounds relative to itself, which exp makes relative to y."""
    x, dy = x_dy(sample)
    axis, y = _axis(sample), truth["y"]
    distance = np.abs(x - x.max(axis, keepdims=True, initial=-np.inf))
    roundings = 4 + distance + walk(x.shape[axis]) + (y * distance).sum(axis, keepdims=True)
    inner = (dy * y * (1 + roundings)).sum(axis, keepdims=True) * walk(x.shape[axis])
    return {"y": roundings * y, "dx": y * ((2 + roundings) * (dy + (dy * y).sum(axis, keepdims=True)) + inner)}


def log_softmax(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """y = (x - m) - log(sum); dx = dy - exp(y) * sum(dy)."""
    x, dy = x_dy(sample)
    axis, y = _axis(sample), truth["y"]
    n = x.shape[axis]
    distance = np.abs(x - x.max(axis, keepdims=True, initial=-np.inf))
    total = 4 + walk(n) + (np.exp(y) * distance).sum(axis, keepdims=True) + np.log(max(n, 1))
    error = distance + total + np.abs(y)
    summed = walk(n) * dy.sum(axis, keepdims=True)
    return {
        "y": error,
        "dx": dy + np.exp(y) * (summed + (4 + error) * dy.sum(axis, keepdims=True)) + np.abs(truth["dx"]),
    }


def cross_entropy(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """loss = sum of q_c w_c (lse - x_c) over classes, q the smoothed target; each difference rounds as |lse| + |x_c|."""
    logits, options = sample.arrays[0], sample.options
    assert logits is not None
    if logits.size == 0:
        return {}
    n, classes = logits.shape[0], logits.shape[1]
    x = np.moveaxis(logits.reshape(n, classes, -1), 1, 2).reshape(-1, classes)
    weight = options.get("weight")
    weight = np.ones(classes) if weight is None else weight
    smoothing = options.get("label_smoothing", 0.0)
    q = (smoothing / classes) * np.ones_like(x)
    soft = options["target"].dtype.kind == "f"
    if soft:
        q += (1 - smoothing) * np.moveaxis(options["target"].reshape(n, classes, -1), 1, 2).reshape(-1, classes)
        q *= weight
    else:
        target = options["target"].reshape(-1)
        kept = target != options.get("ignore_index", -100)
        q[np.arange(x.shape[0]), np.where(kept, target, 0)] += 1 - smoothing
        q *= weight * kept[:, None]

    top = x.max(1, keepdims=True, initial=-np.inf)
    y = np.exp(x - top)
    lse = top + np.log(y.sum(1, keepdims=True))
    y /= y.sum(1, keepdims=True)
    magnitude = np.abs(x) + np.abs(lse) + 4 + walk(classes)
    loss, error = (q * np.abs(lse - x)).sum(1), (q * magnitude).sum(1) * walk(classes)

    reduction = options.get("reduction", "mean")
    count = 1.0
    if reduction == "mean":
        count = float(x.shape[0]) if soft else weight[np.where(kept, target, 0)] @ kept
    shape = truth["y"].shape
    dy = np.abs(gradient_for(shape, np.float64)).reshape(-1, 1) / count
    terms = y * q.sum(1, keepdims=True) * (magnitude + 2 * walk(classes)) + 4 * q
    dx = np.moveaxis((dy * terms).reshape(n, -1, classes), 2, 1).reshape(logits.shape)
    if reduction == "none":
        return {"y": (error + 2 * loss).reshape(shape), "dlogits": dx}
    return {"y": (error.sum() + 2 * walk(x.shape[0]) * loss.sum()) / count, "dlogits": dx * walk(x.shape[0])}


# ---- norms --------------------------------------------------------------------------------------------------------


def _norm(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, dy: np.ndarray, axes: tuple[int, ...], params: tuple[int, ...],
    norm_eps: float, eps: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """y = (x - mean) * rstd * weight + bias, statistics over ``axes``, parameter gradients summed over ``params``.

    The mean is off by e = walk(n) mean|x|; so is x - mean; the variance is off by its walk and e². rstd and the
    normalised value follow; the backward's two means gather both their own roundings and the normalised value's error.
    """

    def mean(a: np.ndarray) -> np.ndarray:
        return a.mean(axes, keepdims=True)

    n = np.prod([x.shape[a] for a in axes])
    steps = walk(n)
    centred = x - mean(x)
    variance = mean(centred**2)
    rstd = 1 / np.sqrt(variance + norm_eps)
    e = steps * mean(np.abs(x))
    r = 4 + steps + eps * (e * rstd) ** 2  # relative error of rstd
    z = centred * rstd
    z_error = rstd * (np.abs(centred) + e) + np.abs(z) * r
    d = weight * dy
    along_one, along_z = mean(d), mean(d * z)
    along_z_error = steps * mean(np.abs(d * z)) + mean(np.abs(d) * z_error)
    dx = rstd * (d - along_one - z * along_z)
    dx_error = rstd * (
        2 * np.abs(d) + (steps + 2) * mean(np.abs(d)) + z_error * np.abs(along_z) + np.abs(z) * along_z_error
        + 2 * np.abs(z * along_z)
    ) + np.abs(dx) * r  # fmt: skip
    count = walk(np.prod([x.shape[a] for a in params]))
    y = z * weight + bias
    return {
        "y": np.abs(weight) * (z_error + 2 * np.abs(z)) + np.abs(bias) + np.abs(y),
        "dx": dx_error,
        "dweight": count * np.abs(dy * z).sum(params) + (np.abs(dy) * z_error).sum(params),
        "dbias": count * np.abs(dy).sum(params),
        "mean": e + np.abs(mean(x)),
        "variance": variance * (2 * steps + 4) + eps * e**2,
    }


def _norm_of(
    sample: Sample, view: tuple[int, ...], parameter: tuple[int, ...], axes: tuple[int, ...], params: tuple[int, ...],
    truth: Results, eps: float,
) -> Results:  # fmt: skip
    x, weight, bias = sample.arrays
    assert x is not None
    w = np.ones(1) if weight is None else weight.reshape(parameter)
    b = np.zeros(1) if bias is None else bias.reshape(parameter)
    dy = gradient_for(x.shape, np.float64).reshape(view)
    if x.size == 0:
        return {}
    bound = _norm(x.reshape(view), w, b, dy, axes, params, sample.options.get("eps", 1e-5), eps)
    return {k: v.reshape(truth[k].shape) if k in truth else v for k, v in bound.items()}


def batch_norm(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    x = sample.arrays[0]
    assert x is not None
    view, parameter = (x.shape[0], x.shape[1], int(np.prod(x.shape[2:]))), (1, x.shape[1], 1)
    if not sample.options["training"]:
        return _fixed_norm(sample, view, parameter, truth)
    bound = _norm_of(sample, view, parameter, (0, 2), (0, 2), truth, eps)
    m = view[0] * view[2]
    if sample.options["running_mean"] is not None and bound:  # there is none of no channels
        momentum = sample.options.get("momentum", 0.99)
        bound["running_mean"] = (1 - momentum) * bound["mean"].ravel() + 2 * np.abs(truth["running_mean"])
        bound["running_mean"] += 2 * np.abs(sample.options["running_mean"])
        share = _variance_share(m, sample)
        bound["running_var"] = (1 - momentum) * bound["variance"].ravel() * share + 4 * truth["running_var"]
    return bound


def _variance_share(m: int, sample: Sample) -> float:
    """What the variance of m values is multiplied by before it goes into the running one."""
    return m / (m - 1) if sample.options.get("unbiased", True) else 1.0


def batch_norm_relu(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """As batch norm; dresidual is dy or 0. No element of the samples is so near 0 that rounding would cut it off."""
    bound = batch_norm(op, replace(sample, arrays=sample.arrays[:3]), truth, eps)
    residual = sample.arrays[3]
    if residual is not None and "y" in bound:
        bound["y"] = bound["y"] + 2 * (np.abs(truth["y"]) + np.abs(residual))
    return bound


def _fixed_norm(sample: Sample, view: tuple[int, ...], parameter: tuple[int, ...], truth: Results) -> Results:
    """y = (x - mean) * rstd * weight + bias with given statistics: plain products."""
    x, weight, bias = sample.arrays
    assert x is not None
    mean = sample.options["running_mean"].reshape(parameter)
    rstd = 1 / np.sqrt(sample.options["running_var"].reshape(parameter) + sample.options.get("eps", 1e-5))
    w = np.ones(parameter) if weight is None else weight.reshape(parameter)
    b = np.zeros(parameter) if bias is None else bias.reshape(parameter)
    dy = np.abs(gradient_for(x.shape, np.float64).reshape(view))
    spread = (np.abs(x.reshape(view)) + np.abs(mean)) * rstd  # also of y = x * scale + (bias - mean * scale)
    count = walk(view[0] * view[2])
    bound = {
        "y": 6 * np.abs(w) * spread + 2 * np.abs(b),
        "dx": 6 * np.abs(w * rstd) * dy,
        "dweight": (count + 6) * (dy * spread).sum((0, 2)),
        "dbias": count * dy.sum((0, 2)),
    }
    return {k: v.reshape(truth[k].shape) for k, v in bound.items() if k in truth}


def layer_norm(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    x = sample.arrays[0]
    assert x is not None
    normalized = sample.options["normalized_shape"]
    columns = int(np.prod(normalized))
    return _norm_of(sample, (-1 if x.size else 0, columns), (1, columns), (1,), (0,), truth, eps)


def instance_norm(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    x = sample.arrays[0]
    assert x is not None
    n, c = x.shape[:2]
    view, parameter, o = (n, c, int(np.prod(x.shape[2:]))), (1, c, 1), sample.options
    if not o.get("use_input_stats", True):
        return _fixed_norm(sample, view, parameter, truth)
    bound = _norm_of(sample, view, parameter, (2,), (0, 2), truth, eps)
    if o["running_mean"] is not None and x.size:
        new, m = 1 - o["momentum"], view[2]
        bound["running_mean"] = new * bound["mean"].mean(0).ravel() + 2 * np.abs(truth["running_mean"])
        bound["running_mean"] += 2 * np.abs(o["running_mean"])
        share = _variance_share(m, sample)
        bound["running_var"] = new * bound["variance"].mean(0).ravel() * share + 4 * truth["running_var"]
    return bound


def group_norm(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    x = sample.arrays[0]
    assert x is not None
    n, c, groups = x.shape[0], x.shape[1], sample.options["num_groups"]
    view = (n, groups, c // groups, int(np.prod(x.shape[2:])))
    return _norm_of(sample, view, (1, groups, c // groups, 1), (2, 3), (0, 3), truth, eps)


def rms_norm(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """y = x * rstd * weight: every term of the mean square is positive, so rstd is relatively as exact as it is."""
    x, weight = sample.arrays
    assert x is not None
    if x.size == 0:
        return {}
    n = int(np.prod(sample.options["normalized_shape"]))
    rows = x.reshape(-1, n)
    dy, w = gradient_for(x.shape, np.float64).reshape(-1, n), np.ones(n) if weight is None else weight.reshape(-1)
    rstd = 1 / np.sqrt(np.square(rows).mean(1, keepdims=True) + sample.options["eps"])
    z, d = rows * rstd, dy * w
    r = 4 + walk(n)
    along = (d * z).mean(1, keepdims=True)
    along_error = (walk(n) + r) * np.abs(d * z).mean(1, keepdims=True)
    dx = rstd * (2 * np.abs(d) + np.abs(z) * (along_error + (r + 4) * np.abs(along)) + r * np.abs(d - z * along))
    dweight = (walk(rows.shape[0]) + r + 2) * np.abs(dy * z).sum(0)
    bound = {"y": (r + 2) * np.abs(z * w).reshape(x.shape), "dx": dx.reshape(x.shape)}
    return bound if weight is None else bound | {"dweight": dweight.reshape(weight.shape)}


def local_response_norm(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    """y = x * s^-beta, s a sum of positive terms: a power's relative error is eps times beta (that of s + |log s|)."""
    x, o = sample.arrays[0], sample.options
    assert x is not None
    size, alpha, beta, k = o["size"], o.get("alpha", 1e-4), o.get("beta", 0.75), o.get("k", 1.0)
    outer, channels = x.shape[:2]
    x3, dy = (
        np.abs(v).reshape(outer, channels, int(np.prod(x.shape[2:]))) for v in (x, gradient_for(x.shape, np.float64))
    )
    near = np.subtract.outer(np.arange(channels), np.arange(channels))  # c - j
    window = ((near <= size // 2) & (near >= -((size - 1) // 2))).astype(float)
    s = k + alpha / size * np.einsum("cj,njp->ncp", window, x3 * x3)
    power = s**-beta
    terms = walk(min(size, channels))
    relative = 6 + abs(beta) * (terms + 4 + 2 * np.abs(np.log(s)))
    t = dy * x3 * power / s
    gathered = np.einsum("cj,ncp->njp", window, t * (relative + 2 * terms + 8))
    dx = dy * power * (relative + 2) + 2 * abs(beta) * alpha / size * x3 * gathered
    return {"y": ((relative + 2) * x3 * power).reshape(x.shape), "dx": dx.reshape(x.shape)}
