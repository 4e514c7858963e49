"""How far losses may be off: per element or row a loss, its error and the error of its derivative, then the reduction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness import Op, Results, Sample, gradient_for
from tolerances import walk

# l, its error, and that of dl/dx, in roundings
Terms = tuple[np.ndarray, np.ndarray, np.ndarray]


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _mse(x: np.ndarray, t: np.ndarray, o: dict[str, float]) -> Terms:
    d = np.abs(x - t)
    return d * d, 3 * d * d, 4 * d


def _l1(x: np.ndarray, t: np.ndarray, o: dict[str, float]) -> Terms:
    return np.abs(x - t), np.abs(x - t), np.ones_like(x)


def _huber(x: np.ndarray, t: np.ndarray, o: dict[str, float]) -> Terms:
    d, delta = np.abs(x - t), o.get("delta", 1.0)
    loss = np.where(d > delta, delta * (d - delta / 2), d * d / 2)
    return loss, np.where(d > delta, 3 * delta * (d + delta), 3 * loss), 2 * np.minimum(d, delta)


def _hinge(x: np.ndarray, t: np.ndarray, o: dict[str, float]) -> Terms:
    margin = o.get("margin", 1.0)
    return np.maximum(0, margin - t * x), 2 * (np.abs(margin) + np.abs(x)), np.ones_like(x)


def _kl(x: np.ndarray, t: np.ndarray, o: dict[str, float]) -> Terms:
    if o.get("log_target"):
        size = np.exp(t) * (np.abs(t) + np.abs(x))
        return size, 5 * size, 4 * np.exp(t)
    size = t * (np.abs(np.log(np.where(t == 0, 1, t))) + np.abs(x))
    return size, 5 * size, t


def _bce(x: np.ndarray, t: np.ndarray, o: dict[str, np.ndarray]) -> Terms:
    weight, positive = (o[k] if o.get(k) is not None else 1.0 for k in ("weight", "pos_weight"))
    off, on = weight * (1 - t), weight * positive * t
    loss = off * _softplus(x) + on * _softplus(-x)
    return loss, 7 * loss, 7 * (off / (1 + np.exp(-x)) + on / (1 + np.exp(x)))


_TERMS: dict[str, Callable[..., Terms]] = {
    "mse_loss": _mse,
    "l1_loss": _l1,
    "huber_loss": _huber,
    "hinge_loss": _hinge,
    "kl_div": _kl,
    "binary_cross_entropy_with_logits": _bce,
}


def pair_loss(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    x = sample.arrays[0]
    assert x is not None
    target = sample.arrays[1] if len(sample.arrays) > 1 else sample.options["target"]
    loss, error, slope = _TERMS[op.name](x, target, sample.options)
    reduction = sample.options.get("reduction", "mean")
    count = {"mean": x.size, "batchmean": x.shape[0] if x.ndim else 1}.get(reduction, 1)
    dy = np.abs(gradient_for(truth["y"].shape, np.float64)) / count
    dx = dy * (slope + 3 * np.abs(truth["dx"]) / np.where(dy == 0, np.inf, dy))
    if reduction == "none":
        y = error
    else:
        y = (error.sum() + 2 * walk(x.size) * np.abs(loss).sum()) / count + 2 * np.abs(truth["y"])
    return {"y": y, "dx": dx, "dtarget": dx}


def _classes(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x (positions, classes), targets with 0 for those ignored, weights of the targets, and where they count."""
    x, o = sample.arrays[0], sample.options
    assert x is not None
    rows = np.moveaxis(x.reshape(x.shape[0], x.shape[1], int(np.prod(x.shape[2:]))), 1, 2).reshape(-1, x.shape[1])
    target = o["target"].reshape(-1)
    kept = target != o.get("ignore_index", -100)
    target = np.where(kept, target, 0)
    weight = np.ones(x.shape[1]) if o.get("weight") is None else o["weight"]
    return rows, target, weight[target] * kept, kept


def nll_loss(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    x, target, w, _ = _classes(sample)
    loss = w * np.abs(np.take_along_axis(x, target[:, None], 1)[:, 0])
    reduction = sample.options["reduction"]
    y = 2 * loss.reshape(truth["y"].shape) if reduction == "none" else 2 * walk(len(x)) * loss.sum()
    return {"y": y / (w.sum() if reduction == "mean" else 1), "dx": (3 + walk(len(x))) * np.abs(truth["dx"])}


def multi_margin_loss(op: Op, sample: Sample, truth: Results, eps: float) -> Results:
    x, target, w, _ = _classes(sample)
    o = sample.options
    squared, margin, reduction = o.get("p", 1) == 2, o.get("margin", 1.0), o["reduction"]
    own = np.take_along_axis(x, target[:, None], 1)
    other = np.arange(x.shape[1]) != target[:, None]
    h = other * np.maximum(0, margin - (own - x))
    h_error = other * 2 * (margin + np.abs(own - x))
    terms, errors = (h * h, 2 * h * h_error + h * h) if squared else (h, h_error)
    n = x.shape[1]
    loss = w * (errors.sum(1) + walk(n) * terms.sum(1)) / n
    count = len(x) if reduction == "mean" else 1
    dy = np.abs(gradient_for(truth["y"].shape, np.float64)).reshape(-1, 1) / count
    slope = 2 * (h + h_error) if squared else np.ones_like(h)
    dx = w[:, None] * dy * slope * 4 / n
    np.put_along_axis(dx, target[:, None], walk(n) * dx.sum(1, keepdims=True), 1)
    y = loss.reshape(truth["y"].shape) if reduction == "none" else 2 * walk(len(x)) * loss.sum() / count
    return {"y": y, "dx": dx.reshape(truth["dx"].shape)}
