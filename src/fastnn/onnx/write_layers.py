"""Layers that are operations of their own: those that scale by fixed statistics, in float64 as they do, and ensembles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .graph_writer import Graph, Name, extents, result
from .trace import Step
from .write_arithmetic import reduced
from .write_table import writes

_WIDE = np.dtype(np.float64)


def _rounded(g: Graph, step: Step, y: Name) -> Name:
    """What was computed in float64, in the dtype of the layer."""
    return y if result(step).dtype == _WIDE else g.cast(y, result(step).dtype)


@writes("fill_missing")
def _fill_missing(g: Graph, step: Step, x: Any, values: Any) -> Name:
    y = g.operand(x, _WIDE)
    return _rounded(g, step, g.node("Where", g.node("IsNaN", y), g.operand(values, _WIDE), y))


@writes("standardize")
def _standardize(g: Graph, step: Step, x: Any, mean: Any, scale: Any, inverse: bool) -> Name:
    y = g.operand(x, _WIDE)
    mean, scale = g.operand(mean, _WIDE), g.operand(scale, _WIDE)
    if inverse:
        return _rounded(g, step, g.node("Add", g.node("Mul", y, scale), mean))
    return _rounded(g, step, g.node("Div", g.node("Sub", y, mean), scale))


@writes("rescale")
def _rescale(
    g: Graph, step: Step, x: Any, minimum: Any, extent: Any, low: float, high: float, clip: bool, inverse: bool
) -> Name:
    y = g.operand(x, _WIDE)
    minimum, extent = g.operand(minimum, _WIDE), g.operand(extent, _WIDE)
    first, reach = g.array(low, _WIDE), g.array(high - low, _WIDE)
    if inverse:
        share = g.node("Div", g.node("Sub", y, first), reach)
        return _rounded(g, step, g.node("Add", g.node("Mul", share, extent), minimum))
    share = g.node("Div", g.node("Sub", y, minimum), extent)
    y = g.node("Add", g.node("Mul", share, reach), first)
    return _rounded(g, step, g.node("Clip", y, first, g.array(high, _WIDE)) if clip else y)


@writes("whiten")
def _whiten(g: Graph, step: Step, x: Any, mean: Any, components: Any, gains: Any, rest: Any, rotate_back: bool) -> Name:
    apart = g.node("Sub", g.operand(x, _WIDE), g.operand(mean, _WIDE))
    flat = g.reshape(apart, [extents(x)[0], math.prod(x.shape[1:])])
    matrix, gains = g.operand(components, _WIDE), g.operand(gains, _WIDE)
    along = g.node("MatMul", flat, g.node("Transpose", matrix, perm=[1, 0]))
    if not rotate_back:
        return _rounded(g, step, g.node("Mul", along, gains))
    rest = g.operand(rest, _WIDE)
    turned = g.node("MatMul", g.node("Mul", along, g.node("Sub", gains, rest)), matrix)
    return _rounded(g, step, g.reshape(g.node("Add", turned, g.node("Mul", rest, flat)), extents(x)))


@writes("standardize_sample")
def _standardize_sample(g: Graph, step: Step, x: Any, center: bool, scale: bool) -> Name:
    """As the layer: NaN is left out, and a variance within its rounding error counts as 1."""
    shape = extents(x)
    size = math.prod(x.shape[1:])
    y = g.reshape(g.operand(x, _WIDE), [shape[0], size])
    missing = g.node("IsNaN", y)
    there = reduced(g, "ReduceSum", g.cast(g.node("Not", missing), _WIDE), (1,))
    count = g.node("Max", there, g.array(1, _WIDE))

    def mean_of(values: Name) -> Name:
        kept = g.node("Where", missing, g.array(0, _WIDE), values)
        return g.node("Div", reduced(g, "ReduceSum", kept, (1,)), count)

    mean = mean_of(y)
    apart = g.node("Sub", y, mean)
    apart = g.node("Sub", apart, mean_of(apart))
    if center:
        y = apart
    if scale:
        y = g.node("Div", y, _deviation(g, mean_of(g.node("Mul", apart, apart)), mean, count))
    return _rounded(g, step, g.reshape(y, shape))


def _deviation(g: Graph, variance: Name, mean: Name, count: Name) -> Name:
    """The root of a variance, 1 where that is but rounding (`fastnn.nn.moments.without_variance`)."""
    eps = g.array(np.finfo(np.float64).eps, _WIDE)
    error = g.node("Mul", g.node("Mul", count, mean), eps)
    bound = g.node("Add", g.node("Mul", g.node("Mul", count, eps), variance), g.node("Mul", error, error))
    constant = g.node("LessOrEqual", variance, bound)
    return g.node("Sqrt", g.node("Where", constant, g.array(1, _WIDE), variance))


@writes("Ensemble")
def _ensemble(g: Graph, step: Step, *arguments: Any) -> Name:
    *outputs, shares = arguments
    return _rounded(g, step, _mean(g, [g.operand(y, _WIDE) for y in outputs], shares))


@writes("Ensemble votes")
def _votes(g: Graph, step: Step, *arguments: Any) -> Name:
    """Each member's vote is 1 at the first of its largest outputs along axis 1."""
    *outputs, shares = arguments
    classes, ndim = outputs[0].shape[1], len(outputs[0].shape)
    places = g.array(np.arange(classes).reshape([1, classes, *[1] * (ndim - 2)]), np.int64)
    votes = [g.cast(g.node("Equal", g.node("ArgMax", y, axis=1, keepdims=1), places), _WIDE) for y in outputs]
    return _rounded(g, step, _mean(g, votes, shares))


def _mean(g: Graph, terms: Sequence[Name], shares: Sequence[float]) -> Name:
    weighted = [g.node("Mul", y, g.array(w, _WIDE)) for y, w in zip(terms, shares, strict=True)]
    return g.node("Div", g.node("Sum", *weighted), g.array(math.fsum(shares), _WIDE))
