"""Samples of the losses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from harness import Sample
from samples import EDGES, Values

_SHAPES: list[tuple[int, ...]] = [(), *((n,) for n in EDGES[::2]), (2, 3, 5, 7), (10007,), (3, 40, 41), (2, 8193)]
_REDUCTIONS = ("mean", "sum", "none")


def _pairs(
    seed: str, target: Any, variants: list[dict[str, Any]], constant: bool = True, x: Any = None
) -> list[Sample]:
    """Samples of x and ``target(v, shape)``, which is an option where it is a constant."""
    v = Values(seed)
    draw = x or (lambda *shape: v.normal(*shape, scale=2))
    options = itertools.cycle([o | {"reduction": r} for r, o in itertools.product(_REDUCTIONS, variants)])
    samples = []

    def add(a: np.ndarray, o: dict[str, Any], **columns: Any) -> None:
        t = target(v, a.shape)
        arrays, more = ((a,), {"target": t}) if constant else ((a, t), {})
        samples.append(Sample(arrays, more | o, **columns))

    for shape in _SHAPES * 2:
        add(draw(*shape), next(options))
    for reduction in ("sum", "none"):
        add(draw(0, 3), variants[0] | {"reduction": reduction})
    add(v.with_specials(97), variants[-1] | {"reduction": "none"}, special=True)
    return samples


def _normal(v: Values, shape: tuple[int, ...]) -> np.ndarray:
    return v.normal(*shape)


def _probabilities(v: Values, shape: tuple[int, ...]) -> np.ndarray:
    t = np.asarray(v.rng.uniform(0, 1, shape)).astype(np.float32).astype(np.float64)
    return np.where(v.rng.uniform(0, 1, shape) < 0.1, 0.0, np.where(v.rng.uniform(0, 1, shape) < 0.1, 1.0, t))


def mse_loss() -> list[Sample]:
    return _pairs("mse_loss", _normal, [{}], constant=False)


def l1_loss() -> list[Sample]:
    return _pairs("l1_loss", _normal, [{}], constant=False)


def huber_loss() -> list[Sample]:
    return _pairs("huber_loss", _normal, [{}, {"delta": 0.5}, {"delta": 3.0}], constant=False)


def hinge_loss() -> list[Sample]:
    def signs(v: Values, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(v.rng.choice([-1.0, 1.0], shape))

    return _pairs("hinge_loss", signs, [{}, {"margin": 0.25}])


def kl_div() -> list[Sample]:
    v = Values("kl_div logarithms")

    def logarithms(*shape: int) -> np.ndarray:
        return np.asarray(-np.abs(v.normal(*shape, scale=2)))

    plain = _pairs("kl_div", _probabilities, [{}, {"log_target": False}], x=logarithms)
    logs = _pairs("kl_div log", lambda _, shape: logarithms(*shape), [{"log_target": True}], x=logarithms)
    batch = {"target": _probabilities(v, (4, 5)), "reduction": "batchmean"}
    return [*plain, *logs, Sample((logarithms(4, 5),), batch)]


def binary_cross_entropy_with_logits() -> list[Sample]:
    v = Values("bce weights")
    samples = _pairs("bce", _probabilities, [{}])
    for i, shape in enumerate([(5,), (3, 4), (2, 3, 33), (40, 7)] * 3):
        options: dict[str, Any] = {"target": _probabilities(v, shape), "reduction": _REDUCTIONS[i % 3]}
        if i % 3 != 1:
            options["weight"] = v.positive(*shape) if i % 2 else v.positive(shape[-1])
        if i % 3 != 0:
            options["pos_weight"] = v.positive(shape[-1])
        samples.append(Sample((v.normal(*shape, scale=2),), options))
    return samples


def nll_loss() -> list[Sample]:
    v = Values("nll_loss")
    samples = []
    shapes = [(4, 3), (1, 1), (33, 10), (2, 5, 6), (3, 4, 2, 3), (70, 65), (2, 19, 33)]
    for i, shape in enumerate(shapes * 3):
        target = v.rng.integers(0, shape[1], (shape[0], *shape[2:]))
        options: dict[str, Any] = {"target": target, "reduction": _REDUCTIONS[i % 3]}
        if i % 2:
            options["weight"] = v.positive(shape[1])
        if i % 4 > 1 and target.size > 1:
            target.ravel()[::3] = -100
        samples.append(Sample((v.normal(*shape, scale=3),), options))
    samples.append(Sample((v.normal(0, 5),), {"target": np.zeros(0, np.int64), "reduction": "sum"}))
    special = {"target": v.rng.integers(0, 5, 7), "reduction": "none"}
    return [*samples, Sample((v.with_specials(7, 5),), special, special=True)]


def multi_margin_loss() -> list[Sample]:
    v = Values("multi_margin_loss")
    samples = []
    shapes = [(4, 3), (1, 1), (33, 10), (7, 17), (70, 65), (3, 1000)]
    for i, shape in enumerate(shapes * 3):
        options: dict[str, Any] = {
            "target": v.rng.integers(0, shape[1], shape[0]),
            "reduction": _REDUCTIONS[i % 3],
            "p": 1 + i % 2,
            "margin": (1.0, 0.5)[i // 2 % 2],
        }
        if i % 4 > 1:
            options["weight"] = v.positive(shape[1])
        samples.append(Sample((v.normal(*shape),), options))
    samples.append(Sample((v.normal(0, 5),), {"target": np.zeros(0, np.int64), "reduction": "sum"}))
    nan = v.normal(6, 5)
    nan[1, 2], nan[3, 0] = np.nan, np.inf
    return [*samples, Sample((nan,), {"target": v.rng.integers(1, 5, 6), "reduction": "none"}, special=True)]


def soft_cross_entropy() -> list[Sample]:
    """Cross-entropy of probabilities."""
    v = Values("soft cross_entropy")
    samples = []
    shapes = [(4, 3), (1, 1), (33, 10), (7, 17), (2, 5, 6), (3, 4, 2, 3), (64, 65), (5, 1000), (2, 19, 33)]
    variants = itertools.cycle(itertools.product(_REDUCTIONS, (0.0, 0.1), (False, True)))
    for shape in shapes * 2:
        reduction, smoothing, weighted = next(variants)
        p = _probabilities(v, shape)
        p = (p / np.maximum(p.sum(1, keepdims=True), 1)).astype(np.float32).astype(np.float64)
        options: dict[str, Any] = {"target": p, "reduction": reduction, "label_smoothing": smoothing}
        if weighted:
            options["weight"] = v.positive(shape[1])
        samples.append(Sample((v.normal(*shape, scale=3),), options))
    samples.append(Sample((v.normal(0, 5),), {"target": np.zeros((0, 5)), "reduction": "sum"}))
    return samples
