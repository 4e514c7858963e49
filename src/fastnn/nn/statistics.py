"""Exact statistics of batch norm over a whole training set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..autograd import no_grad, raw
from .channel_norm import _BatchNorm
from .intercept import evaluation, intercepted
from .module import Module
from .moments import Moments

__all__ = ["recompute_statistics"]


class _Reached(BaseException):
    """Ends a forward pass at the layer whose input was wanted."""


def recompute_statistics(model: Module, batches: Iterable[Any]) -> list[str]:
    """Replace the running statistics of batch norm by exact ones over a training set ("method 1").

    Running statistics are an average over the last steps of training, of layers that were still changing. This gives
    each batch norm the mean and the variance, unbiased or not as the layer has it, of all that it gets from these
    batches together, however they are cut, when the trained model is evaluated.

    The statistics of a layer depend on what the layers before it give, which depends on their statistics. So they are
    computed in the order in which the layers are called, with those before already exact: one pass over the batches
    per batch norm, each as far into the model as that layer. A single pass in training mode, as PyTorch's
    ``update_bn`` makes, would normalise with the statistics of each batch in the layers before, and average variances
    within batches.

    Parameters
    ----------
    model : Module
        The model. It is evaluated: dropout is off. Parameters, modes and ``num_batches_tracked`` stay as they are.
    batches : iterable
        Arrays of inputs, or tuples that begin with one, such as `fastnn.data.Batches` of inputs and targets. It is
        gone through several times, and must give the same samples each time.

    Returns
    -------
    list of str
        The names of the layers that got new statistics, in the order of their calls; a batch norm without running
        statistics, or one that the model doesn't call, is left out.

    Raises
    ------
    TypeError
        For an iterator, which can be gone through once only.
    ValueError
        If a batch norm is called twice in a pass (which call's input should count?), or gets fewer than two values per
        channel from all batches together. The statistics are then what they were.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> x = np.random.default_rng(0).normal(3.0, 2.0, (10, 2))
    >>> net = nn.Sequential(nn.BatchNorm1d(2, dtype=float))
    >>> nn.recompute_statistics(net, [x[:4], x[4:8], x[8:]])
    ['0']
    >>> bool(np.allclose(net[0].running_var, x.var(axis=0, ddof=1)))
    True
    """
    if isinstance(batches, Iterator):
        raise TypeError(
            f"recompute_statistics: batches must be a list or something else that can be gone through several times, "
            f"got {type(batches).__name__}"
        )
    saved = [(m, [m.running_mean, m.running_var]) for m in model.modules() if isinstance(m, _BatchNorm)]
    before = [(array, array.copy()) for _, arrays in saved for array in arrays if array is not None]
    try:
        with evaluation(model), no_grad():
            layers = _called(model, batches)
            for name, layer in layers.items():
                _settle(name, layer, model, batches)
    except BaseException:
        for array, values in before:
            array[...] = values
        raise
    return list(layers)


def _inputs(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        yield batch[0] if isinstance(batch, (tuple, list)) else batch


def _called(model: Module, batches: Iterable[Any]) -> dict[str, _BatchNorm]:
    """The batch norms with running statistics that a pass calls, in order."""
    layers: dict[str, _BatchNorm] = {}

    def around(name: str, module: Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            if name in layers:
                raise ValueError(f"recompute_statistics: {name} is called twice in a pass, so it has no one input")
            layers[name] = module
        return forward(*args, **kwargs)

    with intercepted(model, around):
        for x in _inputs(batches):
            model(x)
            return layers
    raise ValueError("recompute_statistics: there was no batch to take")


def _settle(name: str, layer: _BatchNorm, model: Module, batches: Iterable[Any]) -> None:
    """Give one layer the statistics of its input."""
    pooled = Moments(layer.num_features)

    def around(_: str, module: Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if module is not layer:
            return forward(*args, **kwargs)
        (x,) = args or kwargs.values()
        layer._check(x)
        values = np.moveaxis(np.asarray(raw(x)), 1, 0).reshape(layer.num_features, -1)
        pooled.add(values.astype(np.float64))
        raise _Reached

    with intercepted(model, around):
        for x in _inputs(batches):
            try:
                model(x)
            except _Reached:
                continue
    count = int(pooled.count[0])
    if count < 2:
        raise ValueError(f"recompute_statistics: {name} gets {count} value per channel, but needs two at least")
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean[...] = pooled.mean
    with np.errstate(over="ignore"):  # a variance that the type cannot hold is infinite, as in training
        layer.running_var[...] = pooled.squares / (count - layer.unbiased)
