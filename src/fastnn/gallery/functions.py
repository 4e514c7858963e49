"""Pictures of activation functions, and of gradients on their way back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import init, nn
from ..autograd import Tensor
from ..plots._style import LINES, MARKERS, colours_of
from ..plots.activation import NAMED, curve, draw_curves
from .entry import Entry, Numbers
from .studio import Studio

_FIRST = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu")
_PIECES = ("prelu", "rrelu", "thresholded_relu", "relu6", "hardsigmoid", "hardswish", "maxout")
_REST = tuple(name for name in NAMED if name not in _FIRST + _PIECES)
_DEPTH, _WIDTH = 20, 100
_TIMES = 60
_GRADIENT = "size of the gradient (root mean square)"


def _curves(studio: Studio, names: tuple[str, ...]) -> Numbers:
    return {name: curve(name, NAMED[name]) for name in names}


def _draw_activations(figure: Any, numbers: Numbers) -> None:
    axes = figure.subplots(-(-len(numbers) // 3), 3, sharex=True)
    for ax in axes.flat[len(numbers) :]:
        ax.remove()
    for i, (ax, (name, drawn)) in enumerate(zip(axes.flat, numbers.items(), strict=False)):
        lowest = i + 3 >= len(numbers)
        draw_curves(ax, [drawn])
        ax.set(title=name, xlabel="x" if lowest else "", ylabel="f(x), f′(x)" if ax in axes[:, 0] else "")
        ax.tick_params(labelbottom=lowest)
        ax.legend(fontsize="x-small", framealpha=0.7)


# ---- gradients through layers --------------------------------------------------------------------------------------------


class _Scaled(nn.Module):
    """A branch whose output is made smaller, so that many may be added."""

    def __init__(self, branch: nn.Module, scale: float) -> None:
        self.branch = branch
        self.scale = scale

    def forward(self, x: Any) -> Any:
        return self.branch(x) * self.scale


def _deep(activation: type[nn.Module], draw: Any, rng: Any, kind: str = "plain") -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for _ in range(_DEPTH):
        linear = nn.Linear(_WIDTH, _WIDTH, rng=rng)
        linear.weight.data[...] = draw(linear.weight.shape, rng=rng)
        if kind == "norm":
            blocks.append(nn.Sequential(linear, nn.BatchNorm1d(_WIDTH), activation()))
        elif kind == "shortcut":
            blocks.append(nn.Residual(_Scaled(nn.Sequential(linear, activation()), _DEPTH**-0.5)))
        else:
            blocks.append(nn.Sequential(linear, activation()))
    return blocks


def _gradients_by_layer(blocks: list[nn.Module], x: np.ndarray[Any, Any], rng: np.random.Generator) -> Any:
    """The root mean square of the gradient of a random sum of outputs, by the output of each block."""
    h: Any = Tensor(x, requires_grad=True)
    kept = []
    for block in blocks:
        h = block(h)
        h.retain_grad()
        kept.append(h)
    direction = rng.normal(size=h.shape).astype(np.float32)
    (h * direction).sum().backward()
    return np.array([float(np.sqrt(np.square(kept_h.grad.astype(np.float64)).mean())) for kept_h in kept])


def _depth(studio: Studio) -> Numbers:
    rng = studio.rng("gradients through layers")
    x = rng.normal(size=(64, _WIDTH)).astype(np.float32)

    small, wide, xavier = partial(init.normal, std=0.01), partial(init.normal, std=0.3), init.xavier_normal
    kinds = {
        "sigmoid, Xavier": _deep(nn.Sigmoid, xavier, rng),
        "tanh, normal of 0.01": _deep(nn.Tanh, small, rng),
        "tanh, Xavier": _deep(nn.Tanh, xavier, rng),
        "ReLU, normal of 0.3": _deep(nn.ReLU, wide, rng),
        "ReLU, He": _deep(nn.ReLU, init.he_normal, rng),
        "sigmoid, batch norm": _deep(nn.Sigmoid, xavier, rng, "norm"),
        "sigmoid, shortcuts": _deep(nn.Sigmoid, xavier, rng, "shortcut"),
    }
    return {name: _gradients_by_layer(blocks, x, rng) for name, blocks in kinds.items()}


def _draw_depth(figure: Any, numbers: Numbers) -> None:
    ax = figure.subplots()
    _draw_lines(ax, numbers, np.arange(1, _DEPTH + 1))
    ax.set(xlabel="layer, from the input to the output", ylabel=_GRADIENT, xticks=range(2, _DEPTH + 1, 2))


def _draw_lines(ax: Any, numbers: Mapping[str, Any], x: np.ndarray[Any, Any]) -> None:
    for i, (name, values) in enumerate(numbers.items()):
        colour = [*colours_of(6), "#808080"][i % 7]
        ax.plot(x, values, color=colour, linestyle=LINES[i % 4], marker=MARKERS[i], markersize=4, label=name)
    ax.set_yscale("log")
    ax.legend(fontsize="small", framealpha=0.8)


# ---- gradients through time ----------------------------------------------------------------------------------------------


def _time(studio: Studio) -> Numbers:
    rng = studio.rng("gradients through time")
    x = rng.normal(size=(_TIMES, 32, 8)).astype(np.float32)
    direction = rng.normal(size=(32, 64)).astype(np.float32)
    found = {}
    for name, cell in (
        ("RNN, weights × 0.7", nn.RNN(8, 64, rng=rng)),
        ("RNN with ReLU, weights × 2", nn.RNN(8, 64, nonlinearity="relu", rng=rng)),
        ("LSTM", nn.LSTM(8, 64, rng=rng)),
        ("LSTM, forget gate's bias 3", nn.LSTM(8, 64, rng=rng)),
        ("GRU", nn.GRU(8, 64, rng=rng)),
    ):
        _prepare(name, cell)
        given = Tensor(x, requires_grad=True)
        outputs = cell(given)[0]
        (outputs[-1] * direction).sum().backward()
        assert given.grad is not None
        found[name] = np.sqrt(np.square(given.grad.astype(np.float64)).mean((1, 2)))
    return found


def _prepare(name: str, cell: Any) -> None:
    """Scale the recurrent weights, or open the forget gate."""
    for parameter_name, parameter in cell.named_parameters():
        if "×" in name and parameter_name.startswith("weight_hh"):
            parameter.data *= float(name.rpartition(" ")[2])
        if "forget" in name and parameter_name.startswith("bias_ih"):
            parameter.data[64:128] = 3.0


def _draw_time(figure: Any, numbers: Numbers) -> None:
    ax = figure.subplots()
    for i, (name, values) in enumerate(numbers.items()):
        ax.plot(np.arange(_TIMES)[::-1], values, color=colours_of(5)[i], linestyle=LINES[i % 4], label=name)
    ax.set(yscale="log", ylim=(1e-9, None), xlabel="steps before the output", ylabel=_GRADIENT)
    ax.invert_xaxis()
    ax.legend(fontsize="small", framealpha=0.8)


ENTRIES = (
    Entry(
        "activations",
        "Activations and their derivatives",
        "Without an activation between them, two linear layers are one linear layer. The solid line is the function, the dashed one "
        "its derivative, with a dot where it is largest; where the ground is grey the derivative is below 5 % of that, so a unit that "
        "sits there hardly learns. The sigmoid passes on a quarter of a gradient at best, and next to nothing beyond ±5. Tanh "
        "is centred on 0 and passes on all of it in the middle, but saturates as well. ReLU passes on everything above 0 and nothing "
        "below, where units can die; leaky ReLU, ELU and GELU leave a slope there.",
        "Six panels with sigmoid, tanh, ReLU, leaky ReLU, ELU and GELU, their derivatives as dashed lines, and the zones where "
        "they are saturated in grey.",
        partial(_curves, names=_FIRST),
        _draw_activations,
        (8.0, 5.2),
    ),
    Entry(
        "more-activations",
        "The other activations",
        "SELU keeps mean 0 and variance 1 through many layers; CELU is an ELU whose slope does not jump, whatever its alpha. "
        "Softplus is a smooth ReLU with the sigmoid as its derivative, and log-sigmoid is the same turned by half a turn. SiLU is x "
        "times the sigmoid, mish x times the tanh of softplus. Softsign is a tanh that saturates slowly. Softmax and its logarithm "
        "work on several numbers; here are those of (x, 0): the first is the sigmoid again.",
        "Nine panels with CELU, log-softmax, log-sigmoid, mish, SELU, SiLU, softmax, softplus and softsign and their derivatives.",
        partial(_curves, names=_REST),
        _draw_activations,
        (8.0, 7.0),
    ),
    Entry(
        "activations-of-pieces",
        "Activations of pieces",
        "These need no exponential, so they are cheap. PReLU is a leaky ReLU whose slope below 0 is learned (drawn with 0.25); RReLU "
        "draws that slope anew for each number in training and takes the middle afterwards. Thresholded ReLU is 0 up to its threshold "
        "and jumps there. ReLU6 is cut off at 6, so that few bits hold its output. Hard sigmoid and hard swish, which is x times it, "
        "stand in for the sigmoid and SiLU in networks for phones. Maxout takes the largest of several linear pieces, here x and −x/2.",
        "Seven panels with PReLU, RReLU, thresholded ReLU, ReLU6, hard sigmoid, hard swish and maxout and their derivatives.",
        partial(_curves, names=_PIECES),
        _draw_activations,
        (8.0, 7.0),
    ),
    Entry(
        "gradients-by-layer",
        "Gradients that vanish and explode",
        "Backward through twenty layers a gradient is multiplied by weights and slopes twenty times. Sigmoids, whose slope is at most "
        "1/4, shrink it to nothing before it reaches the first layer, and so do weights that are too small; weights that are too large "
        "blow it up. The initialisations of Xavier (for tanh) and He (for ReLU) are made to keep it level. Batch norm and shortcuts, "
        "as in residual networks, help even the sigmoid. The scale is logarithmic: each mark on it is a factor of many.",
        "Line plot of the size of gradients in twenty layers for seven kinds of network: sigmoid and small weights fall by many powers "
        "of ten towards the input, large weights rise, Xavier, He, batch norm and shortcuts stay level.",
        _depth,
        _draw_depth,
    ),
    Entry(
        "gradients-through-time",
        "Gradients through time",
        "A recurrent network is as deep as its sequence is long. The gradient of the last output by the inputs of earlier steps "
        "falls, or rises, by about the same factor at each step, so a plain RNN forgets or explodes. An LSTM adds to its cell instead "
        "of multiplying it, and its forget gate decides what stays: with a large bias there, the gradient is still there "
        "sixty steps earlier.",
        "Line plot of the size of gradients against steps before the output: that of a plain RNN with small weights falls "
        "steeply, with large weights it rises, those of LSTM and GRU fall more slowly, with an open forget gate the slowest.",
        _time,
        _draw_time,
    ),
)
