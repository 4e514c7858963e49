"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graph_writer import Graph, Name, extents, result
from .trace import Step
from .write_arithmetic import reduced
from .write_shapes import numbers
from .write_table import writes


def _total(g: Graph, losses: Name, x: Any, ndim: int, reduction: str, dtype: Any) -> Name:
    """Losses of each element, of ``ndim`` axes, reduced."""
    axes = tuple(range(ndim))
    if reduction == "none":
        return losses
    if reduction == "mean":
        return reduced(g, "ReduceMean", losses, axes, keepdims=False)
    total = reduced(g, "ReduceSum", losses, axes, keepdims=False)
    return g.node("Div", total, g.operand(extents(x)[0], dtype)) if reduction == "batchmean" else total


def _softplus(g: Graph, x: Any, dtype: Any) -> Name:
    """``max(x, 0) + log(1 + exp(-|x|))``, without overflow for any x."""
    small = g.node("Exp", g.node("Neg", g.node("Abs", x)))
    logarithm = g.node("Log", g.node("Add", g.array(1, dtype), small))
    return g.node("Add", g.node("Max", x, g.array(0, dtype)), logarithm)


def _zero_where(g: Graph, mask: Name, y: Name, dtype: Any) -> Name:
    return g.node("Where", mask, g.array(0, dtype), y)


@writes("mse_loss", "l1_loss", "huber_loss")
def _difference(g: Graph, step: Step, x: Any, target: Any, *arguments: Any) -> Name:
    *delta, reduction = arguments
    dtype = result(step).dtype
    apart = g.node("Sub", x, target)
    if step.name == "mse_loss":
        losses = g.node("Mul", apart, apart)
    else:
        losses = g.node("Abs", apart)
        if delta:
            limit, half = g.array(delta[0], dtype), g.array(0.5, dtype)
            squared = g.node("Mul", half, g.node("Mul", apart, apart))
            straight = g.node("Mul", limit, g.node("Sub", losses, g.array(delta[0] / 2, dtype)))
            losses = g.node("Where", g.node("LessOrEqual", losses, limit), squared, straight)
    return _total(g, losses, x, len(x.shape), reduction, dtype)


@writes("hinge_loss")
def _hinge(g: Graph, step: Step, x: Any, target: Any, margin: float, reduction: str) -> Name:
    dtype = result(step).dtype
    short = g.node("Sub", g.array(margin, dtype), g.node("Mul", target, x))
    return _total(g, g.node("Max", g.array(0, dtype), short), x, len(x.shape), reduction, dtype)


@writes("kl_div")
def _kl_div(g: Graph, step: Step, x: Any, target: Any, reduction: str, log_target: bool) -> Name:
    dtype = result(step).dtype
    share = g.node("Exp", target) if log_target else g.name(target)
    logarithm = g.name(target) if log_target else g.node("Log", target)
    losses = g.node("Mul", share, g.node("Sub", logarithm, x))
    losses = _zero_where(g, g.node("Equal", share, g.array(0, dtype)), losses, dtype)
    return _total(g, losses, x, len(x.shape), reduction, dtype)


@writes("binary_cross_entropy_with_logits")
def _binary(g: Graph, step: Step, x: Any, target: Any, weight: Any, reduction: str, positive: Any) -> Name:
    dtype = result(step).dtype
    of_one = g.node("Mul", target, _softplus(g, g.node("Neg", x), dtype))
    if positive is not None:
        of_one = g.node("Mul", g.operand(positive, dtype), of_one)
    of_zero = g.node("Mul", g.node("Sub", g.array(1, dtype), target), _softplus(g, x, dtype))
    losses = g.node("Add", of_zero, of_one)
    if weight is not None:
        losses = g.node("Mul", g.operand(weight, dtype), losses)
    return _total(g, losses, x, len(x.shape), reduction, dtype)


@writes("nll_loss")
def _nll(g: Graph, step: Step, x: Any, target: Any, weight: Any, ignore: int, reduction: str) -> Name:
    return g.node("NegativeLogLikelihoodLoss", x, numbers(g, target), weight, ignore_index=ignore, reduction=reduction)


@writes("cross_entropy")
def _cross_entropy(
    g: Graph, step: Step, logits: Any, target: Any, weight: Any, ignore: int, reduction: str, smoothing: float
) -> Name:
    if target.dtype.kind == "f":
        return _soft(g, step, logits, g.name(target), weight, reduction, smoothing)
    if not smoothing:
        return g.node(
            "SoftmaxCrossEntropyLoss", logits, numbers(g, target), weight, ignore_index=ignore, reduction=reduction
        )
    return _smoothed(g, step, logits, numbers(g, target), weight, ignore, reduction, smoothing)


def _by_class(g: Graph, weight: Any, ndim: int) -> Name:
    """The weights of the classes along axis 1."""
    return g.reshape(weight, [1, weight.shape[0], *[1] * (ndim - 2)])


def _soft(g: Graph, step: Step, logits: Any, target: Name, weight: Any, reduction: str, smoothing: float) -> Name:
    """Targets are probabilities; a class that has no share costs nothing, also where its logit is -inf."""
    dtype, ndim, classes = result(step).dtype, len(logits.shape), logits.shape[1]
    share = target
    if smoothing:
        rest = g.array(smoothing / classes, dtype)
        share = g.node("Add", g.node("Mul", share, g.array(1 - smoothing, dtype)), rest)
    if weight is not None:
        share = g.node("Mul", share, _by_class(g, weight, ndim))
    terms = g.node("Mul", g.node("Neg", share), g.node("LogSoftmax", logits, axis=1))
    terms = _zero_where(g, g.node("Equal", share, g.array(0, dtype)), terms, dtype)
    return _total(g, reduced(g, "ReduceSum", terms, (1,), keepdims=False), logits, ndim - 1, reduction, dtype)


def _smoothed(
    g: Graph, step: Step, logits: Any, target: Name, weight: Any, ignore: int, reduction: str, smoothing: float
) -> Name:
    dtype, ndim, classes = result(step).dtype, len(logits.shape), logits.shape[1]
    logp = g.node("LogSoftmax", logits, axis=1)
    of_class = g.node("NegativeLogLikelihoodLoss", logp, target, weight, ignore_index=ignore, reduction="none")
    weighted = logp if weight is None else g.node("Mul", logp, _by_class(g, weight, ndim))
    of_all = reduced(g, "ReduceSum", weighted, (1,), keepdims=False)
    ignored = g.node("Equal", target, g.array(ignore, np.int64))
    of_all = _zero_where(g, ignored, of_all, dtype)
    losses = g.node(
        "Sub", g.node("Mul", of_class, g.array(1 - smoothing, dtype)),
        g.node("Mul", of_all, g.array(smoothing / classes, dtype)),
    )  # fmt: skip
    if reduction != "mean":
        return _total(g, losses, logits, ndim - 1, reduction, dtype)
    axes = tuple(range(ndim - 1))
    if weight is None:
        counted = g.cast(g.node("Not", ignored), dtype)
    else:
        known = g.node("Where", ignored, g.array(0, np.int64), target)
        counted = _zero_where(g, ignored, g.node("Gather", weight, known, axis=0), dtype)
    sums = [reduced(g, "ReduceSum", y, axes, keepdims=False) for y in (losses, counted)]
    return g.node("Div", *sums)


@writes("multi_margin_loss")
def _multi_margin(
    g: Graph, step: Step, x: Any, target: Any, p: int, margin: float, weight: Any, reduction: str
) -> Name:
    dtype, classes = result(step).dtype, x.shape[1]
    place = g.node("Unsqueeze", numbers(g, target), g.ints(1))
    own = g.node("GatherElements", x, place, axis=1)
    short = g.node("Max", g.array(0, dtype), g.node("Sub", g.array(margin, dtype), g.node("Sub", own, x)))
    of_target = g.node("Equal", place, g.array(np.arange(classes)[None], np.int64))
    short = _zero_where(g, of_target, short, dtype)
    sums = reduced(g, "ReduceSum", g.node("Mul", short, short) if p == 2 else short, (1,), keepdims=False)
    losses = g.node("Div", sums, g.array(classes, dtype))
    if weight is not None:
        losses = g.node("Mul", losses, g.node("Gather", weight, numbers(g, target), axis=0))
    return _total(g, losses, x, 1, reduction, dtype)
