"""Pictures of the way down: optimisers, rates, scales of features, and the surface of a network's loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import nn, optim
from ..plots.descent import descent
from ..plots.loss_surface import Surface, draw_surface, surface
from ..training import WeightPath
from .curves import draw_losses
from .entry import Entry, Numbers
from .studio import Studio, dense, moons, train

_STEPS = 120
_FRAMES = 20
_OPTIMISERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda point: optim.SGD(point, lr=0.01),
    "momentum": lambda point: optim.SGD(point, lr=0.004, momentum=0.9),
    "Nesterov": lambda point: optim.SGD(point, lr=0.004, momentum=0.9, nesterov=True),
    "Adagrad": lambda point: optim.Adagrad(point, lr=0.4),
    "RMSprop": lambda point: optim.RMSprop(point, lr=0.03),
    "Adam": lambda point: optim.Adam(point, lr=0.08),
}


def _on(function: str, start: tuple[float, float], names: Any = tuple(_OPTIMISERS), steps: int = _STEPS) -> Surface:
    paths = {name: descent(function, start, _OPTIMISERS[name], steps) for name in names}
    return surface(function, paths=paths, resolution=81)


def _optimisers(studio: Studio) -> Numbers:
    return {"surface": _on("beale", (1.0, 1.2))}


def _draw_optimisers(figure: Any, numbers: Numbers) -> Callable[[int], None]:
    ax = figure.subplots()
    drawn = draw_surface(ax, numbers["surface"])
    ax.set_title(" ")

    def show(frame: int) -> None:
        steps = 1 + round((_STEPS - 1) * (frame / (_FRAMES - 1)) ** 2)
        for path in drawn:
            path.end_after(steps + 1)
        ax.set_title(f"after {steps} step{'s' * (steps > 1)}")

    return show


def _saddles(studio: Studio) -> Numbers:
    valley = {
        "momentum": descent("rosenbrock", (-1.3, 2.4), lambda point: optim.SGD(point, lr=0.0004, momentum=0.9), 500),
        "SGD": descent("rosenbrock", (-1.3, 2.4), lambda point: optim.SGD(point, lr=0.0004), 500),
    }
    return {
        "saddle point": _on("saddle", (1.0, 0.002), ("momentum", "Adam", "SGD", "RMSprop"), 100),
        "curved valley (Rosenbrock)": surface("rosenbrock", paths=valley, resolution=81),
    }


def _draw_surfaces(figure: Any, numbers: Numbers, log: bool | None = None) -> None:
    for ax, (name, drawn) in zip(figure.subplots(1, len(numbers)), numbers.items(), strict=True):
        draw_surface(ax, drawn, log)
        ax.set_title(name)


# ---- scales of features --------------------------------------------------------------------------------------------------


def _scales(studio: Studio) -> Numbers:
    rng = studio.rng("scales of features")
    x = rng.normal(size=(200, 2)) * [1.0, 6.0]
    target = x @ [2.0, 0.6] + rng.normal(0, 0.5, 200)
    return {
        name: _linear(inputs, target)
        for name, inputs in (("features of scales 1 and 6", x), ("features brought to one scale", x / x.std(0)))
    }


def _linear(x: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> Surface:
    """The mean squared error of a linear model by its two weights, and 15 steps at the rate that comes nearest to the solution."""
    products, with_target, rest = x.T @ x / len(x), x.T @ target / len(x), float(target @ target) / len(x)

    def error(first: Any, second: Any) -> Any:
        squares = first**2 * products[0, 0] + first * second * (2 * products[0, 1]) + second**2 * products[1, 1]
        return squares - (first * with_target[0] + second * with_target[1]) * 2.0 + rest

    solution = np.linalg.solve(products, with_target)
    rate = 1.0 / float(np.linalg.eigvalsh(products).sum())  # at which the slower direction is as fast as it can be
    start = solution + [-3.0, 1.5]
    path = descent(error, (float(start[0]), float(start[1])), lambda point: optim.SGD(point, lr=rate), 15)
    span = tuple((float(middle - 4), float(middle + 4)) for middle in solution)
    found = surface(error, paths={f"SGD, rate {rate:.2g}": path}, span=span, resolution=61)
    return found._replace(labels=("first weight", "second weight"))


# ---- learning rates ------------------------------------------------------------------------------------------------------


def _rates(studio: Studio) -> Numbers:
    found = {}
    for rate in (0.001, 0.01, 0.1, 1.0):
        rng = studio.rng("rates")
        data = moons(rng, 400, 0.15)
        model = dense(rng, (2, 32, 32, 2), nn.ReLU)
        history = train(model, data, optim.SGD(model.parameters(), lr=rate, momentum=0.9), epochs=30, rng=rng)
        found[f"rate {rate:g}"] = np.array(history["train_loss"])
    return found


# ---- the loss of networks ------------------------------------------------------------------------------------------------


def _planes(studio: Studio) -> Numbers:
    paths = {}
    for name, make in (
        ("SGD", lambda p: optim.SGD(p, lr=0.1)),
        ("momentum", lambda p: optim.SGD(p, lr=0.03, momentum=0.9)),
        ("Adam", lambda p: optim.Adam(p, lr=0.01)),
    ):
        rng = studio.rng("loss of a network")
        data = moons(rng, 200, 0.15)
        model = dense(rng, (2, 16, 16, 2))
        paths[name] = WeightPath()
        train(model, data, make(model.parameters()), epochs=25, rng=rng, callbacks=[paths[name]])
    return {"surface": surface(model, *data, paths=paths, resolution=35)}


def _draw_planes(figure: Any, numbers: Numbers) -> None:
    ax = figure.subplots()
    found = numbers["surface"]
    draw_surface(ax, found)
    ax.set_title(f"the plane holds {100 * found.share:.0f} % of the variance of the weights on these paths")


class _Blocks(nn.Module):
    """Ten layers, with a shortcut past each or without."""

    def __init__(self, rng: np.random.Generator, shortcuts: bool) -> None:
        self.first = nn.Linear(2, 12, rng=rng)
        branches = [nn.Sequential(nn.Linear(12, 12, rng=rng), nn.Tanh()) for _ in range(10)]
        self.blocks = nn.Sequential(*((nn.Residual(branch) if shortcuts else branch) for branch in branches))
        self.last = nn.Linear(12, 2, rng=rng)

    def forward(self, x: Any) -> Any:
        return self.last(self.blocks(self.first(x)))


def _landscapes(studio: Studio) -> Numbers:
    found = {}
    for name, shortcuts in (("ten layers", False), ("ten layers with shortcuts", True)):
        rng = studio.rng("landscapes")
        data = moons(rng, 200, 0.15)
        model = _Blocks(rng, shortcuts)
        train(model, data, optim.Adam(model.parameters(), lr=0.005), epochs=30, rng=rng)
        found[name] = surface(model, *data, rng=studio.rng("directions"), span=(-1.5, 1.5), resolution=33)
    return found


ENTRIES = (
    Entry(
        "optimisers",
        "Optimisers on the same slope",
        "Six optimisers start at the same place on Beale's function, whose lowest point is at (3, 0.5). Plain gradient descent (SGD) "
        "follows the slope and slows down where the ground is flat. With momentum it runs like a ball, past the valley and back; "
        "Nesterov's variant looks ahead and brakes earlier. Adagrad gives each direction a rate of its own, which only ever "
        "falls; RMSprop forgets old slopes, and Adam adds momentum to that. Which is best depends on the slope and on the rate.",
        "Animation: the paths of SGD, momentum, Nesterov, Adagrad, RMSprop and Adam over the bands of Beale's function, from "
        "the top left into the valley around (3, 0.5).",
        _optimisers,
        _draw_optimisers,
        (8.0, 5.0),
        _FRAMES,
    ),
    Entry(
        "saddles-and-valleys",
        "Saddle points and valleys",
        "Most places without a slope are not the lowest: along some directions it goes on downwards. Plain gradient descent lingers at "
        "such a saddle, since its steps are as small as the slope; optimisers that divide by the size of recent slopes leave it "
        "quickly. In a curved valley the steep sides decide how large a step may be, while the way along its floor is long: "
        "at the same rate, momentum gets many times as far in 500 steps.",
        "Two panels with paths of SGD, momentum, RMSprop and Adam: on a saddle, where SGD turns only late; and of momentum and SGD in the curved "
        "valley of Rosenbrock's function.",
        _saddles,
        _draw_surfaces,
        (8.0, 3.8),
    ),
    Entry(
        "scales-of-features",
        "Why features are brought to one scale",
        "The loss of a linear model by its two weights. Where one feature is six times as large as the other, the lines of equal loss "
        "are long ellipses: the best rate for both is too large for the steep direction and too small for the flat one, and the path "
        "zigzags. Once both features have the same scale the lines are nearly round, and the path goes straight to the middle.",
        "Two panels: a zigzag path over long, narrow ellipses, and a path straight to the middle of round ones.",
        _scales,
        partial(_draw_surfaces, log=True),
        (8.0, 3.8),
    ),
    Entry(
        "rates",
        "The learning rate",
        "The same network from the same weights at four rates. Too small a rate learns, but slowly, and looks as if more epochs would "
        "help, which is true. A good rate falls fast and goes on falling. Too large a rate jumps over the valleys: the loss stays high, "
        "or rises, or stops being a number. The rate is the first thing to look at, in steps of a factor of three or ten.",
        "Line plot of the training loss against epochs at the rates 0.001, 0.01, 0.1 and 1: the smallest falls slowly, 0.1 falls "
        "fastest, 1 stays high.",
        _rates,
        partial(draw_losses, label="training loss (cross-entropy)"),
    ),
    Entry(
        "loss-of-a-network",
        "Three ways down the loss of a network",
        "A small network has some hundred weights, and a training is a path through as many dimensions. This is the plane that holds most "
        "of three paths from one start, and the loss of the weights that lie on it. Each point has the colour of its "
        "own loss: where that differs from the ground around it, the path is off the plane and the picture only hints at it.",
        "Bands of equal loss over a plane of weights, with the paths of SGD, momentum and Adam from one start to three ends.",
        _planes,
        _draw_planes,
        (8.0, 5.0),
    ),
    Entry(
        "landscapes",
        "What shortcuts do to the loss",
        "Around the weights that a training has found, the loss in two random directions that are scaled, filter by filter, to the length of the "
        "weights. Both networks have ten layers and the same start. Shortcuts, which add the input of a layer to its output, "
        "let gradients pass and change the ground on which the training walks.",
        "Two panels with bands of equal loss around the weights of a network of ten layers, without and with shortcuts.",
        _landscapes,
        _draw_surfaces,
        (8.0, 3.8),
    ),
)
