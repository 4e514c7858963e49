"""Pictures of what networks do to a plane: layers that bend it, regions of classes, and too little or too much of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn, optim
from ..plots._style import BLUE, GREY, LINES, ORANGE, colours_of
from ..plots.decision_regions import draw_regions, regions
from ..plots.history import history as draw_history
from ..plots.plane_map import draw_map, map_of, maps_of_frames
from ..training import WeightPath
from .entry import Entry, Numbers
from .studio import Studio, curves, dense, moons, spirals, train

_FRAMES = 14
_STARTS = 6  # the best of so many is taken, since narrow networks often get stuck
_EPOCHS = 160
_HEIGHTS = (0.02, 0.08, 0.18, 0.32, 0.5, 0.72)  # losses whose contours are evenly spaced around the best weights


def _best_start(
    studio: Studio, name: str, sizes: tuple[int, ...], data: Any, epochs: int
) -> tuple[nn.Module, WeightPath]:
    """Of some starts the network that ends with the smallest loss, and its path."""
    found = []
    for start in range(_STARTS):
        rng = studio.rng(f"{name} {start}")
        model, path = dense(rng, sizes), WeightPath()
        optimizer = optim.Adam(model.parameters(), lr=0.03)
        records = train(model, data, optimizer, epochs=epochs, rng=rng, batch_size=20, callbacks=[path])
        found.append((records[-1]["train_loss"], model, path))
    _, model, path = min(found, key=lambda each: each[0])
    return model, path


def _bending(studio: Studio) -> Numbers:
    data = curves(120)
    model, path = _best_start(studio, "two curves", (2, 2, 2), data, _EPOCHS)
    epochs = np.round(_EPOCHS * np.linspace(0, 1, _FRAMES) ** 1.5).astype(int)
    return {"epochs": epochs, "maps": maps_of_frames(model, *data, [path[int(epoch)] for epoch in epochs])}


def _draw_bending(figure: Any, numbers: Numbers) -> Callable[[int], None]:
    maps = numbers["maps"]
    axes = figure.subplots(1, len(maps[0].stages))

    def show(frame: int) -> None:
        for ax in axes:
            ax.clear()
        draw_map(axes, maps[frame])
        axes[0].set_title(f"input; epoch {numbers['epochs'][frame]}")

    return show


def _moons_map(studio: Studio) -> Numbers:
    data = moons(studio.rng("map of moons"), 200, 0.1)
    model, _ = _best_start(studio, "map of moons", (2, 2, 2, 2), data, 100)
    return {"map": map_of(model, *data)}


def _spirals_map(studio: Studio) -> Numbers:
    rng = studio.rng("map of spirals")
    data = spirals(rng, 5, 60)
    model = dense(rng, (2, 24, 24, 5), nn.ReLU)
    train(model, data, optim.Adam(model.parameters(), lr=0.01), epochs=80, rng=rng)
    return {"map": map_of(model, *data)}


def _draw_map(figure: Any, numbers: Numbers) -> None:
    found = numbers["map"]
    lines = -(-len(found.stages) // 3)
    axes = figure.subplots(lines, 3).flat
    draw_map([next(axes) for _ in found.stages], found)
    for unused in axes:
        figure.delaxes(unused)


# ---- too little and too much ---------------------------------------------------------------------------------------------


def _fits(studio: Studio) -> Numbers:
    found: dict[str, Any] = {}
    for name, units, count in (
        ("too small: underfitting", 1, 120),
        ("about right", 6, 120),
        ("too large: overfitting", 256, 120),
    ):
        rng = studio.rng("fits")
        data, validation = moons(rng, count, 0.35), moons(rng, 400, 0.35)
        model = dense(rng, (2, units, units, 2), nn.ReLU if units > 6 else nn.Tanh)
        optimizer = optim.Adam(model.parameters(), lr=0.003 if units > 6 else 0.01)
        records = train(model, data, optimizer, epochs=120, rng=rng, validation=validation)
        kept = [{key: float(record[key]) for key in ("train_loss", "validation_loss")} for record in records]
        found[name] = {"regions": regions(model, *data), "samples": data[0], "history": kept}
    return found


def _draw_fits(figure: Any, numbers: Numbers) -> None:
    axes = figure.subplots(2, 3)
    for column, (name, found) in enumerate(numbers.items()):
        above, below = axes[:, column]
        draw_regions(above, found["regions"], found["samples"], legend="x-small" if column == 0 else "")
        above.set(title=name, xlabel="feature 0")
        draw_history(found["history"], ax=below)
        below.set_ylim(0, 1.2)
        below.legend(fontsize="x-small", framealpha=0.7)
        above.set_ylabel("feature 1" if column == 0 else "")
        below.set_ylabel("loss" if column == 0 else "")


def _activations(studio: Studio) -> Numbers:
    found = {}
    for name, activation in (("sigmoid", nn.Sigmoid), ("tanh", nn.Tanh), ("ReLU", nn.ReLU)):
        rng = studio.rng("activations at work")
        data = curves(200)
        model = dense(rng, (2, 8, 8, 2), activation)
        records = train(model, data, optim.SGD(model.parameters(), lr=0.1, momentum=0.9), epochs=60, rng=rng)
        found[name] = {"losses": np.array(records["train_loss"]), "regions": regions(model, *data, resolution=100)}
    return {"samples": data[0], "found": found}


def _draw_activations(figure: Any, numbers: Numbers) -> None:
    axes = figure.subplots(1, 4)
    for i, (name, found) in enumerate(numbers["found"].items()):
        draw_regions(axes[i], found["regions"], numbers["samples"], legend="")
        axes[i].set(title=name, xlabel="feature 0")
        epochs = np.arange(1, 1 + len(found["losses"]))
        axes[3].plot(epochs, found["losses"], color=colours_of(3)[i], linestyle=LINES[i], label=name)
    axes[0].set_ylabel("feature 1")
    axes[3].set(yscale="log", xlabel="epoch", title="training loss")
    axes[3].legend(fontsize="x-small")


# ---- regularisation ------------------------------------------------------------------------------------------------------


def _penalties(studio: Studio) -> Numbers:
    losses, weights = {}, {}
    for name, decay, l1, dropout in (
        ("nothing", 0.0, 0.0, 0.0),
        ("L2 of 0.02", 0.02, 0.0, 0.0),
        ("L1 of 0.002", 0.0, 0.002, 0.0),
        ("dropout of 0.5", 0.0, 0.0, 0.5),
    ):
        rng = studio.rng("penalties")
        data, validation = moons(rng, 80, 0.35), moons(rng, 600, 0.35)
        model = nn.Sequential(
            nn.Linear(2, 64, rng=rng),
            nn.ReLU(),
            nn.Dropout(dropout, rng=studio.rng("dropout")),
            nn.Linear(64, 64, rng=rng),
            nn.ReLU(),
            nn.Dropout(dropout, rng=studio.rng("dropout 2")),
            nn.Linear(64, 2, rng=rng),
        )
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=decay, l1=l1)
        records = train(model, data, optimizer, epochs=150, rng=rng, validation=validation)
        losses[name] = np.array(records["validation_loss"])
        middle = model[3]
        assert isinstance(middle, nn.Linear)
        weights[name] = np.sort(np.abs(middle.weight.data).ravel())[::-1].copy()
    return {"losses": losses, "weights": weights}


def _draw_penalties(figure: Any, numbers: Numbers) -> None:
    left, right = figure.subplots(1, 2)
    for i, name in enumerate(numbers["losses"]):
        look = {"color": colours_of(4)[i], "linestyle": LINES[i], "label": name}
        losses, weights = numbers["losses"][name], numbers["weights"][name]
        left.plot(np.arange(1, len(losses) + 1), losses, **look)
        right.plot(np.arange(1, len(weights) + 1), np.maximum(weights, 1e-5), **look)
    left.set(title="loss on validation data", xlabel="epoch", ylabel="cross-entropy")
    left.legend(fontsize="small")
    right.set(
        yscale="log", xlabel="weight, from the largest to the smallest", ylabel="absolute value (at least 0.00001)"
    )
    right.set_title("weights of the middle layer, by size")


def _norms(studio: Studio) -> Numbers:
    """A quadratic loss of two weights, and where its sum with a penalty is least, for growing penalties."""
    curvature, best = np.array([[1.0, 0.45], [0.45, 0.6]]), np.array([1.6, 0.55])
    strengths = np.geomspace(1e-3, 30, 60)
    first = np.array([_least_with_l1(curvature, best, strength) for strength in strengths])
    second = np.array([np.linalg.solve(curvature + s * np.eye(2), curvature @ best) for s in strengths])
    axis = np.linspace(-1.4, 3.2, 93)
    across, up = np.meshgrid(axis, axis)
    away = np.stack([across - best[0], up - best[1]], axis=-1)
    return {"axis": axis, "loss": np.einsum("...i,ij,...j", away, curvature, away) / 2, "L1": first, "L2": second}


def _least_with_l1(curvature: Any, best: Any, strength: float) -> np.ndarray[Any, Any]:
    """By soft thresholding of one weight after the other (Friedman, Hastie and Tibshirani 2010)."""
    weights = np.array(best)
    for _ in range(200):
        for i in range(2):
            rest = curvature[i] @ best - curvature[i, 1 - i] * weights[1 - i]
            weights[i] = np.sign(rest) * max(abs(rest) - strength, 0.0) / curvature[i, i]
    return weights


def _draw_norms(figure: Any, numbers: Numbers) -> None:
    angle = np.linspace(0, 2 * np.pi, 200)
    shapes = {
        "L1": np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 0]]).T,
        "L2": np.array([np.cos(angle), np.sin(angle)]),
    }
    for ax, name in zip(figure.subplots(1, 2), shapes, strict=True):
        ax.contour(numbers["axis"], numbers["axis"], numbers["loss"], _HEIGHTS, colors=[BLUE], linewidths=0.9)
        for radius in (0.4, 0.8, 1.2):
            ax.plot(*(radius * shapes[name]), color=ORANGE, linestyle="--", linewidth=1.2)
        path = numbers[name]
        ax.plot(*path.T, color=GREY, linewidth=2.5, marker=".", markersize=5)
        ax.plot([], [], color=BLUE, label="equal loss")
        ax.plot([], [], color=ORANGE, linestyle="--", label=f"equal {name} penalty")
        ax.plot([], [], color=GREY, marker=".", label="best weights as the penalty grows")
        ax.set(title=name, xlabel="first weight", ylabel="second weight", aspect="equal")
        ax.set(ylim=(-1.3, 1.9), xlim=(-1.4, 3.2))
        ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)


ENTRIES = (
    Entry(
        "bending",
        "A layer learns to bend the plane",
        "Two curves that no straight line parts, and a network with one hidden layer of two units, so that everything can be drawn. The "
        "linear part turns, stretches and shifts the grid; tanh then bends it. Nothing is cut and nothing is glued. While the network "
        "learns it finds the bend with which a straight line, drawn in the last panel, parts the two classes. This is how Christopher "
        "Olah explained what layers do.",
        "Animation with three panels, input, linear part and tanh: two curved lines of points with a grid, which is turned and bent "
        "until a straight line lies between the curves.",
        _bending,
        _draw_bending,
        (8.0, 3.3),
        _FRAMES,
    ),
    Entry(
        "layer-by-layer",
        "Two moons, layer by layer",
        "A network with two hidden layers of two units after its training, the best of six starts, since networks as narrow as this often "
        "get stuck. Each panel shows what leaves a layer: linear parts and activations take turns. The straight line in the last panel "
        "is, seen from the input, a curve between the moons.",
        "Five panels: two moons with a grid, then after each linear layer and each tanh; in the last one a straight line parts the classes.",
        _moons_map,
        _draw_map,
        (8.0, 5.0),
    ),
    Entry(
        "wide-layers",
        "Wider layers have more room",
        "Five spiral arms, and layers of 24 units. More than two dimensions cannot be drawn, so each panel shows the plane that "
        "holds most of the variance of the points, and says how much. Units that ReLU cuts off fold the plane. In the last "
        "panel straight borders lie between the classes; what looks mixed there is apart in dimensions that the plane does not show.",
        "Five panels: five spiral arms, after two linear layers and two ReLUs; the borders in the last are straight.",
        _spirals_map,
        _draw_map,
        (8.0, 5.0),
    ),
    Entry(
        "activations-at-work",
        "Three activations on one task",
        "The same task, optimiser and start, once with sigmoids, once with tanh, once with ReLU. The network with sigmoids stays on "
        "a plateau for long, since little of the gradient reaches its first layer. Tanh leaves it sooner, ReLU soonest. Regions of "
        "ReLU have corners, those of the others are round.",
        "Three panels with decision regions of networks with sigmoid, tanh and ReLU, and a plot of their training losses: ReLU falls first.",
        _activations,
        _draw_activations,
        (8.0, 2.9),
    ),
    Entry(
        "under-and-overfitting",
        "Underfitting and overfitting",
        "Three networks on the same 120 noisy samples. Above, what they say where: the paler, the less sure. Below, their losses. The "
        "first is too small: both losses stay high and close together, and the remedy is a larger network or less regularisation. The "
        "last is so large that it learns each sample by heart: the training loss falls on while the validation loss turns and rises. "
        "Stop at the turn, find more data, or add weight decay or dropout. The grey line marks the best epoch.",
        "Two rows of three panels. Above: a border that is nearly straight, a smooth one and a ragged one around single points. Below: "
        "losses of training and validation, which part in the last panel.",
        _fits,
        _draw_fits,
        (8.0, 5.2),
    ),
    Entry(
        "regularisation",
        "Weight decay, L1 and dropout",
        "One network that is too large for 80 samples, with four settings. Without any the validation loss rises soon. L2 (weight "
        "decay) pulls every weight towards 0 in proportion to its size; L1 pulls each with the same force, so that most end "
        "up next to 0; dropout leaves out half of the units at random in each step, so that none can rely on another, "
        "and lets weights be as large as they like.",
        "Two panels for nothing, L2, L1 and dropout: validation losses, which rise most without regularisation, and weights by size, "
        "of which L1 leaves only a few.",
        _penalties,
        _draw_penalties,
        (8.0, 3.8),
    ),
    Entry(
        "l1-and-l2",
        "Why L1 makes zeros",
        "The loss of two weights (blue) and a penalty (orange). As the penalty grows, the best weights move along the grey line to 0. "
        "The lines of equal L1 are squares with corners on the axes: the way hits an axis, one weight becomes 0, and it goes on along "
        "that axis. Those of L2 are circles: both weights shrink together and become 0 only in the end.",
        "Two panels with ellipses of equal loss: with squares of equal L1 the best weights run onto an axis and along it, with "
        "circles of equal L2 they go to 0 in a curve.",
        _norms,
        _draw_norms,
        (8.0, 4.4),
    ),
)
