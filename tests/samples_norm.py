"""Sample generators of the op table, continued: norms, softmax, losses, dropout and optimiser steps."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

import samples_loss
from harness import Sample
from samples import EDGES, Values

# (n, c, …): one value per channel, vector edges along space, channels around a vector, long reductions
IMAGES = [
    (2, 1), (5, 3), (33, 17), (2, 3, 1), (4, 3, 5), (2, 2, 16), (3, 16, 33), (2, 3, 7, 7), (1, 5, 8, 8), (4, 17, 5, 3),
    (2, 33, 9, 31), (3, 2, 64, 65), (0, 3, 4, 4), (2, 3, 2, 3, 4),
]  # fmt: skip


# For batch norm alone: more rows than a block, several blocks of columns, blocks of several planes, and planes of more
# than a block.
BATCHES = [(70, 5, 16), (6, 50, 5, 5), (37, 2, 300), (2, 3, 67, 129)]


def _affine(v: Values, i: int, *shape: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Weight and bias: both, neither, one of the two in turn."""
    return (
        v.normal(*shape, shift=1) if i % 4 in (0, 2) else None,
        v.normal(*shape) if i % 4 in (0, 3) else None,
    )


def _normed(v: Values, i: int, *shape: int) -> np.ndarray:
    """Every third far from zero: E[x²] − E[x]² would lose the variance."""
    return v.normal(*shape, scale=2, shift=500 if i % 3 == 2 else 0.5)


def _with_nan(v: Values, *shape: int) -> np.ndarray:
    x = v.normal(*shape)
    x.ravel()[[0, x.size // 2]] = np.nan, np.inf
    return x


def batch_norm() -> list[Sample]:
    v = Values("batch_norm")
    samples = []
    for i, shape in enumerate(IMAGES):
        c = shape[1]
        running = {"running_mean": v.normal(c), "running_var": v.positive(c)}
        for training in (True, False):
            if training and shape[0] == 0:
                continue  # no statistics of nothing: an error
            arrays = (_normed(v, i, *shape), *_affine(v, i, c))
            options = running if not training or i % 2 else {"running_mean": None, "running_var": None}
            samples.append(Sample(arrays, {**options, "training": training}))
    for shape in BATCHES:
        running = {"running_mean": v.normal(shape[1]), "running_var": v.positive(shape[1])}
        arrays = (v.normal(*shape, scale=2, shift=0.5), v.normal(shape[1], shift=1), v.normal(shape[1]))
        samples += [Sample(arrays, {**running, "training": training}) for training in (True, False)]
    x = v.normal(3, 4, 9)
    running = {"running_mean": v.normal(4), "running_var": v.positive(4)}
    arrays = (x, v.normal(4), v.normal(4))
    samples += [
        Sample(arrays, {**running, "training": True, "momentum": 0.9, "eps": 1e-3}),
        Sample(arrays, {**running, "training": True, "momentum": 0.0}),
        *(Sample(arrays, {**running, "training": t, "momentum": 0.5, "unbiased": False}) for t in (True, False)),
        Sample((np.full((2, 4, 5), 3.0), *arrays[1:]), {**running, "training": True}, note="constant"),
        Sample((_with_nan(v, 3, 4, 9), *arrays[1:]), {**running, "training": True}, special=True),
        Sample((_with_nan(v, 3, 4, 9), *arrays[1:]), {**running, "training": False}, special=True),
    ]
    return samples


def batch_norm_relu() -> list[Sample]:
    """As `batch_norm`, and every other one with a residual; near 0, so that rounding cuts off the same elements."""
    v = Values("batch_norm_relu")
    samples = []
    for i, sample in enumerate(batch_norm()):
        x, weight, bias = sample.arrays
        assert x is not None
        if not sample.special and sample.note != "constant":
            x = v.normal(*x.shape, scale=2)
        samples.append(replace(sample, arrays=(x, weight, bias, v.normal(*x.shape) if i % 2 else None)))
    return samples


def layer_norm() -> list[Sample]:
    v = Values("layer_norm")
    rows: list[Any] = [((3, n), (n,)) for n in EDGES]
    rows += [((2, 3, 5), (5,)), ((2, 3, 5), (3, 5)), ((4, 3, 7, 7), (3, 7, 7)), ((4, 3, 7, 7), (7,)), ((7,), (7,))]
    rows += [((0, 5), (5,)), ((2, 5000), (5000,)), ((3, 5), 5), ((300, 10), (10,)), ((2, 6, 9, 33), (6, 9, 33))]
    rows += [((530, 35), (35,))]  # whole rows in four blocks
    samples = []
    for i, (shape, normalized) in enumerate(rows):
        parameter = (normalized,) if isinstance(normalized, int) else normalized
        options = {"normalized_shape": normalized} | ({"eps": 1e-3} if i % 5 == 4 else {})
        samples.append(Sample((_normed(v, i, *shape), *_affine(v, i, *parameter)), options))
    constant = Sample((np.full((2, 20), -7.0), *_affine(v, 0, 20)), {"normalized_shape": 20}, note="constant")
    nan = Sample((_with_nan(v, 4, 10), *_affine(v, 0, 10)), {"normalized_shape": (10,)}, special=True)
    return [*samples, constant, nan]


def instance_norm() -> list[Sample]:
    v = Values("instance_norm")
    shapes = [s for s in IMAGES if len(s) > 2 and np.prod(s[2:]) > 1]
    without: dict[str, Any] = {"running_mean": None, "running_var": None}
    samples = [
        Sample((_normed(v, i, *s), *_affine(v, i, s[1])), without | ({"eps": 1e-3} if i % 4 == 3 else {}))
        for i, s in enumerate(shapes)
    ]
    for i, s in enumerate([(4, 3, 5), (3, 16, 33), (0, 3, 4, 4), (2, 2, 3, 4, 5)]):
        for of_input in (True, False):
            running = {"running_mean": v.normal(s[1]), "running_var": v.positive(s[1])}
            arrays = (v.normal(*s, scale=2, shift=0.5), *_affine(v, i, s[1]))
            options = {"use_input_stats": of_input, "momentum": 0.9} | ({"unbiased": False} if i % 2 else {})
            samples.append(Sample(arrays, {**running, **options}))
    return [*samples, Sample((_with_nan(v, 2, 3, 4, 5), *_affine(v, 0, 3)), without, special=True)]


def group_norm() -> list[Sample]:
    v = Values("group_norm")
    rows: list[Any] = [
        ((2, 4), 2), ((2, 6, 5), 1), ((2, 6, 5), 3), ((1, 6, 4, 5), 6), ((3, 32, 7, 7), 8), ((2, 34, 9, 31), 2),
        ((0, 4, 3), 2), ((2, 3, 64, 65), 3), ((1, 48, 1, 1), 4), ((2, 4, 2, 3, 4), 2),
    ]  # fmt: skip
    samples = [Sample((_normed(v, i, *s), *_affine(v, i, s[1])), {"num_groups": g}) for i, (s, g) in enumerate(rows)]
    samples.append(Sample((v.normal(2, 4, 9), *_affine(v, 0, 4)), {"num_groups": 2, "eps": 1e-3}))
    return [*samples, Sample((_with_nan(v, 2, 4, 3, 5), *_affine(v, 0, 4)), {"num_groups": 2}, special=True)]


def rms_norm() -> list[Sample]:
    """Always with eps, whose default depends on the dtype."""
    v = Values("rms_norm")
    rows: list[Any] = [((3, n), (n,)) for n in EDGES]
    rows += [((2, 3, 5), (5,)), ((2, 3, 5), (3, 5)), ((4, 3, 7, 7), (3, 7, 7)), ((7,), (7,)), ((0, 5), (5,))]
    rows += [((2, 5000), (5000,)), ((3, 5), 5), ((700, 10), (10,)), ((2, 6, 9, 33), (6, 9, 33))]
    samples = []
    for i, (shape, normalized) in enumerate(rows):
        parameter = (normalized,) if isinstance(normalized, int) else normalized
        options = {"normalized_shape": normalized, "eps": (1e-5, 1e-3, 0.0)[i % 3]}
        samples.append(Sample((_normed(v, i, *shape), _affine(v, i, *parameter)[0]), options))
    zero = Sample((np.zeros((2, 20)), v.normal(20)), {"normalized_shape": 20, "eps": 1e-5}, note="zeros")
    nan = Sample((_with_nan(v, 4, 10), v.normal(10)), {"normalized_shape": (10,), "eps": 1e-5}, special=True)
    return [*samples, zero, nan]


def local_response_norm() -> list[Sample]:
    v = Values("local_response_norm")
    rows: list[Any] = [
        ((2, 1), {"size": 3}), ((0, 3, 4), {"size": 2}), ((5, 3), {"size": 1}), ((2, 7, 5), {"size": 5, "alpha": 1.0}),
        ((2, 16, 3, 5), {"size": 5, "alpha": 0.1, "k": 2.0}), ((1, 33, 4, 4), {"size": 4, "alpha": 2.0, "beta": 0.5}),
        ((3, 4, 16), {"size": 9, "alpha": 1.0, "beta": 1.0}), ((1, 5, 2, 3, 7), {"size": 3, "alpha": 3.0, "beta": 0.6}),
        ((2, 20, 17, 17), {"size": 5, "alpha": 1e-2}), ((1, 300, 40), {"size": 5, "alpha": 1.0, "k": 0.5}),
        ((2, 6, 9), {"size": 2, "alpha": 1.0, "beta": -0.5}), ((1, 3, 700), {"size": 2**31 - 1, "alpha": 1e9}),
    ]  # fmt: skip
    samples = [Sample((v.normal(*s, scale=2),), options) for s, options in rows]
    zero = Sample((np.zeros((2, 6, 9)),), {"size": 3, "alpha": 1.0}, note="zeros")
    nan = v.with_specials(2, 6, 20, specials=[np.nan, np.inf, -np.inf, 1e-40])
    return [*samples, zero, Sample((nan,), {"size": 3, "alpha": 1.0}, special=True)]


def softmax() -> list[Sample]:
    v = Values("softmax")
    samples = [Sample((v.normal(3, n, scale=3),)) for n in EDGES]
    rows: list[Any] = [((5,), 0), ((2, 3, 4), 1), ((2, 3, 4), 0), ((4, 7, 33), 1), ((4, 7, 33), -2), ((2, 10, 3, 3), 1)]
    rows += [((0, 5), -1), ((3, 0), 0), ((1, 3000), -1), ((300, 10), 1), ((65, 19), 0), ((37, 2), 1)]
    samples += [Sample((v.normal(*s, scale=3),), {"axis": axis}) for s, axis in rows]
    big = Sample((v.normal(6, 20, scale=1e4),), note="1e4")
    shifted = Sample((v.normal(6, 20, shift=-1e4),), note="at -1e4")
    rows_of = np.zeros((5, 6))
    rows_of[0, 1], rows_of[1, 2], rows_of[2, 3], rows_of[3] = np.nan, np.inf, -np.inf, -np.inf
    return [*samples, big, shifted, Sample((rows_of,), special=True)]


def cross_entropy() -> list[Sample]:
    v = Values("cross_entropy")
    samples = []
    shapes = [(4, 3), (1, 1), (33, 10), (7, 17), (2, 5, 6), (3, 4, 2, 3), (64, 65), (5, 1000), (2, 19, 33)]
    variants = itertools.cycle(itertools.product(("mean", "sum", "none"), (0.0, 0.1), (False, True), (False, True)))
    for shape in shapes * 4:
        reduction, smoothing, weighted, ignoring = next(variants)
        target = v.rng.integers(0, shape[1], (shape[0], *shape[2:]))
        options: dict[str, Any] = {"target": target, "reduction": reduction, "label_smoothing": smoothing}
        if weighted:
            options["weight"] = v.positive(shape[1])
        if ignoring:
            target.ravel()[::3] = -100
            if target.size < 2:
                continue  # the mean over nothing is NaN
        samples.append(Sample((v.normal(*shape, scale=3),), options))
    target = v.rng.integers(0, 5, 6)
    samples += [
        Sample((v.normal(6, 5, scale=1e4),), {"target": target}, note="1e4"),
        Sample((v.normal(6, 5),), {"target": target, "ignore_index": 2}),
        Sample((v.normal(0, 5),), {"target": target[:0], "reduction": "sum"}),
        Sample((v.normal(0, 5),), {"target": target[:0], "reduction": "none"}),
    ]
    samples += samples_loss.soft_cross_entropy()
    nan = v.normal(6, 5)
    nan[1, 2], nan[3, 0] = np.nan, np.inf
    return [*samples, Sample((nan,), {"target": target, "reduction": "none"}, special=True)]


def dropout() -> list[Sample]:
    v = Values("dropout")
    samples = [Sample((v.normal(n),), {"p": 0.5, "rng": n}) for n in EDGES]
    rows: list[Any] = [((), 0.5, True), ((0, 3), 0.5, True), ((3, 5, 7), 0.1, True), ((10007,), 0.3, True)]
    rows += [((40,), 0.0, True), ((40,), 1.0, True), ((40,), 0.5, False), ((20, 33), 0.999, True)]
    samples += [Sample((v.normal(*s),), {"p": p, "training": t, "rng": 7}) for s, p, t in rows]
    return [*samples, Sample((v.with_specials(64),), {"p": 0.25, "rng": 3}, special=True)]


def _spatial_dropout(*space: int) -> list[Sample]:
    v = Values(f"dropout{len(space)}d")
    rows: list[Any] = [((2, 3), 0.5), ((1, 1), 0.5), ((5, 33), 0.1), ((0, 3), 0.5), ((3, 5), 0.0), ((3, 5), 1.0)]
    samples = [Sample((v.normal(*s, *space),), {"p": p, "rng": i}) for i, (s, p) in enumerate(rows)]
    samples.append(Sample((v.normal(2, 3, *space),), {"p": 0.5, "training": False}))
    samples.append(Sample((v.normal(2, 3, *space[:-1], 0),), {"p": 0.5, "rng": 1}))
    return [*samples, Sample((v.with_specials(4, 3, *space),), {"p": 0.5, "rng": 3}, special=True)]


def dropout1d() -> list[Sample]:
    return _spatial_dropout(19)


def dropout2d() -> list[Sample]:
    return _spatial_dropout(5, 7)


def dropout3d() -> list[Sample]:
    return _spatial_dropout(2, 3, 4)


# ---- optimiser steps: every array is an option, those of `in_place` are changed -------------------------------------

STEP_SHAPES = [(), (0,), *((n,) for n in EDGES[::3]), (3, 5, 7), (10007,)]


def _steps(seed: str, state: dict[str, bool], variants: list[dict[str, Any]]) -> list[Sample]:
    """``state``: name -> whether it must be positive."""
    v = Values(seed)
    samples = []
    for shape, variant in itertools.product(STEP_SHAPES, variants):
        arrays = {name: v.positive(*shape) if positive else v.normal(*shape) for name, positive in state.items()}
        samples.append(Sample((), {"param": v.normal(*shape), "grad": v.normal(*shape), **arrays, **variant}))
    return samples


def sgd_step() -> list[Sample]:
    penalties = {"weight_decay": 0.01, "l1": 0.02}
    plain = _steps("sgd", {}, [{"lr": 0.1}, {"lr": 0.03, "weight_decay": 0.01}, {"lr": 0.03, **penalties}])
    variants = [
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.01, "momentum": 0.5, "nesterov": True, "weight_decay": 1e-3},
    ]
    return plain + _steps("momentum", {"momentum_buffer": False}, variants)


def _adam(seed: str, decay: float) -> list[Sample]:
    variants = [
        {"step": 1, "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0},
        {"step": 1000, "lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": decay},
    ]
    variants.append(variants[1] | {"l1": 0.01})
    amsgrad = _steps(seed + " amsgrad", {"exp_avg": False, "exp_avg_sq": True, "max_exp_avg_sq": True}, variants[:2])
    return _steps(seed, {"exp_avg": False, "exp_avg_sq": True}, variants) + amsgrad


def adam_step() -> list[Sample]:
    return _adam("adam", 0.01)


def adamw_step() -> list[Sample]:
    return _adam("adamw", 0.1)


def rmsprop_step() -> list[Sample]:
    variants: list[dict[str, Any]] = [
        {"lr": 1e-2, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.0, "eps_inside": True},
        {"lr": 1e-2, "alpha": 0.99, "eps": 1e-3, "weight_decay": 0.01, "eps_inside": True},
        {"lr": 1e-2, "alpha": 0.99, "eps": 1e-3, "weight_decay": 0.01, "eps_inside": False},
    ]
    variants.append(variants[1] | {"l1": 0.01})
    return _steps("rmsprop", {"square_avg": True}, variants)


def adagrad_step() -> list[Sample]:
    variants: list[dict[str, Any]] = [
        {"lr": 1e-2, "eps": 1e-8, "eps_inside": True},
        {"lr": 1e-2, "eps": 1e-3, "weight_decay": 0.01, "l1": 0.01, "eps_inside": True},
        {"lr": 1e-2, "eps": 1e-3, "weight_decay": 0.01, "eps_inside": False},
    ]
    return _steps("adagrad", {"square_sum": True}, variants)


def adadelta_step() -> list[Sample]:
    variants: list[dict[str, Any]] = [
        {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
        {"lr": 0.5, "rho": 0.5, "eps": 1e-2, "weight_decay": 0.01},
        {"lr": 0.5, "rho": 0.95, "eps": 1e-2, "weight_decay": 0.01, "l1": 0.01},
    ]
    return _steps("adadelta", {"square_avg": True, "acc_delta": True}, variants)
