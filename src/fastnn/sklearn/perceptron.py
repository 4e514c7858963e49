"""The network of an estimator that is given no model of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from .. import init, nn
from ..checks import integer, shown

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


def hidden_sizes(op: str, hidden: Any) -> tuple[int, ...]:
    """The sizes of hidden layers; of an integer that of the only one.

    Raises
    ------
    TypeError, ValueError
        If they are not integers of at least 1.
    """
    given = hidden if isinstance(hidden, Iterable) and not isinstance(hidden, str) else (hidden,)
    return tuple(integer(op, "hidden", size, 1) for size in given)


def activation_maker(op: str, activation: Any) -> Callable[[], nn.Module]:
    """What makes a layer of an activation, of its name or of what makes it.

    Raises
    ------
    ValueError
        If it is neither a known name nor a class or function.
    """
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    if callable(activation) and not isinstance(activation, nn.Module):
        return activation  # type: ignore[no-any-return]
    names = ", ".join(map(repr, ACTIVATIONS))
    raise ValueError(f"{op}: activation must be one of {names} or a class of layers, got {shown(activation)}")


def perceptron(
    sizes: Iterable[int], activation: Callable[[], nn.Module], rng: np.random.Generator, *, flatten: bool = False
) -> nn.Sequential:
    """Fully connected layers with an activation between each two, that begin as scikit-learn's `MLPClassifier` does.

    Weights and biases are uniform on ``± sqrt(6 / (inputs + outputs))`` of the layer, or with sigmoids on
    ``± sqrt(2 / (inputs + outputs))`` (Glorot and Bengio 2010, for the weights).

    Parameters
    ----------
    sizes : iterable of int
        Of the input, each hidden layer and the output.
    activation : callable
        Makes a layer.
    rng : numpy.random.Generator
        Draws the weights.
    flatten : bool
        Whether a sample has several axes, which are made one at first.

    Returns
    -------
    Sequential
        The network.
    """
    layers: list[nn.Module] = [nn.Flatten()] if flatten else []
    factor = 2.0 if activation is nn.Sigmoid else 6.0
    for number, (before, after) in enumerate(pairwise(sizes)):
        layers += [activation()] if number else []
        layers.append(_linear(before, after, math.sqrt(factor / (before + after)), rng))
    return nn.Sequential(*layers)


def _linear(before: int, after: int, bound: float, rng: np.random.Generator) -> nn.Linear:
    """A layer whose weights and biases are uniform on ± bound."""
    layer = nn.Linear(before, after, rng=rng)
    for parameter in layer.parameters():
        parameter.data[...] = init.uniform(parameter.shape, -bound, bound, rng=rng)
    return layer
