"""Pictures of what diagnosis and robustness see: initialisations, a range of rates, dying units, and inputs that are changed."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from .. import init, nn, optim
from ..data import Batches
from ..diagnosis import compare_inits, lr_range_test
from ..plots._style import BLUE, GREEN, GREY, LINES, MARKERS, ORANGE, PURPLE, SKY, YELLOW
from ..plots.images import images
from ..plots.inits import inits as draw_inits
from ..plots.layer_stats import layer_stats as draw_layers
from ..plots.lr_range import lr_range as draw_range
from ..plots.robustness import robustness as draw_robustness
from ..robustness import fgsm, robustness
from ..training import LayerMonitor, Trainer, predict
from .entry import Entry, Numbers
from .studio import Studio, dense, train

_DEEP = 6  # hidden layers
_FEWER = 4  # hidden layers where each has a panel
_WIDE = 100
_WORDS = {"fine": GREEN, "vanishing": BLUE, "exploding": PURPLE, "saturated": YELLOW, "dead": GREY, "symmetric": SKY}
_EPS = 0.15  # by which FGSM changes a pixel


def _deep(activation: type[nn.Module], normed: bool = False, depth: int = _DEEP) -> nn.Sequential:
    rng = np.random.default_rng(0)
    layers: list[nn.Module] = [nn.Flatten()]
    for i in range(depth):
        layers.append(nn.Linear(_WIDE if i else 64, _WIDE, rng=rng))
        layers += [nn.BatchNorm1d(_WIDE), activation()] if normed else [activation()]
    return nn.Sequential(*layers, nn.Linear(_WIDE, 10, rng=rng))


def _nine(studio: Studio) -> Numbers:
    normal = {f"normal of {std:g}": std for std in (0.01, 0.1, 1.0)}
    found: dict[str, Any] = {}
    models = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "ReLU": nn.ReLU, "batch norm, tanh": nn.Tanh}
    for name, inits in (
        ("sigmoid", normal),
        ("tanh", normal),
        ("tanh", {"Xavier": init.xavier_normal}),
        ("ReLU", {"He": init.he_normal}),
        ("batch norm, tanh", {"normal of 0.01": 0.01}),
    ):
        make, rng = partial(_deep, models[name], "norm" in name), studio.rng(f"nine {name}")
        compared = compare_inits(inits, make, *studio.digits.train, rng=rng)
        for init_name, stats in compared.stats.items():
            rows = [row for row in stats.rows if row.role == "hidden" and row.is_activation]
            spreads = [(np.array(row.activations.bins), row.activations.edges) for row in rows]
            found[f"{name}, {init_name}"] = {"word": compared.words[init_name], "spreads": spreads}
    return found


def _draw_nine(figure: Any, numbers: Numbers) -> None:
    axes = figure.subplots(3, 3)
    for ax, (name, found) in zip(axes.flat, numbers.items(), strict=True):
        colour = _WORDS[found["word"]]
        for i, (bins, (low, high)) in enumerate(found["spreads"]):
            edges = np.linspace(low, high, len(bins) + 1)
            ax.stairs(i + 0.9 * _heights(bins), edges, baseline=i, fill=True, color=colour, alpha=0.8)
        ax.set_title(f"{name}: {found['word']}", fontsize="small")
        ax.set_yticks(range(_DEEP), [str(i + 1) for i in range(_DEEP)])
        ax.set(ylabel="layer" if ax in axes[:, 0] else "", xlabel="output" if ax in axes[-1] else "")
        low, high = {"sigmoid": (-0.02, 1.02), "ReLU": (-0.05, 1.6)}.get(name.partition(",")[0], (-1.05, 1.05))
        ax.set_xlim(low, high)


def _heights(bins: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Of bars, 1 for the highest; that of the zeros of ReLU is cut off at the next one."""
    first, second = np.sort(bins)[::-1][:2]
    return np.asarray(np.minimum(bins / (second if first > 5 * second > 0 else first), 1.0))


def _closer(studio: Studio) -> Numbers:
    inits: dict[str, Any] = {"normal of 0.01": 0.01, "Xavier": init.xavier_normal, "normal of 1": 1.0}
    make = partial(_deep, nn.Tanh, depth=_FEWER)
    compared = compare_inits(inits, make, *studio.digits.train, rng=studio.rng("closer"))
    return {"rows": {name: stats.rows for name, stats in compared.stats.items()}, "words": compared.words}


def _draw_closer(figure: Any, numbers: Numbers) -> None:
    draw_inits(numbers["rows"], numbers["words"], axes=figure.subplots(3, _FEWER))


# ---- rates ---------------------------------------------------------------------------------------------------------------


def _range(studio: Studio) -> Numbers:
    rng = studio.rng("range of rates")
    model = nn.Sequential(nn.Flatten(), *dense(rng, (64, 64, 10), nn.ReLU))
    trainer = Trainer(model, optim.Adam(model.parameters()))
    found = lr_range_test(trainer, Batches(*studio.digits.train, batch_size=32, shuffle=True, rng=rng))
    return {name: getattr(found, name) for name in ("lrs", "losses", "smoothed", "rate", "usable")}


def _draw_range(figure: Any, numbers: Numbers) -> None:
    curves = (numbers[name] for name in ("lrs", "losses", "smoothed"))
    draw_range(*curves, suggested=numbers["rate"], usable=numbers["usable"], ax=figure.subplots())


# ---- dying units ---------------------------------------------------------------------------------------------------------


def _dying(studio: Studio) -> Numbers:
    found = {}
    for rate in (0.001, 0.1):
        rng = studio.rng("dying")
        model = nn.Sequential(nn.Flatten(), *dense(rng, (64, 100, 100, 10), nn.ReLU))
        monitor = LayerMonitor(every=8)
        optimizer = optim.Adam(model.parameters(), lr=rate)
        train(model, studio.digits.train, optimizer, epochs=10, rng=rng, callbacks=[monitor])
        found[f"rate {rate:g}"] = {name: seen for name, seen in monitor.history.items() if seen[0]["kind"] == "ReLU"}
    return found


def _draw_dying(figure: Any, numbers: Numbers) -> None:
    axes = figure.subplots(2, 3, width_ratios=(1, 1, 1))
    colours = (BLUE, ORANGE)
    for row, (name, history) in zip(axes, numbers.items(), strict=True):
        draw_layers(history, "activations", axes=row[:2])
        for ax, layer in zip(row, history, strict=False):
            ax.set_title(f"{name}: outputs of layer {layer}", fontsize="small")
        for i, (layer, seen) in enumerate(history.items()):
            steps = [each["step"] for each in seen]
            shares = [np.nan if each["dead"] is None else 100 * each["dead"] for each in seen]
            look = {"color": colours[i], "linestyle": LINES[i], "marker": MARKERS[i], "markersize": 3}
            row[2].plot(steps, shares, **look, label=f"layer {layer}")
        row[2].set_title(f"{name}: dead units", fontsize="small")
        row[2].set(ylim=(-3, 103), xlabel="step", ylabel="dead units / %")
        row[2].legend(fontsize="small")


# ---- changed inputs ------------------------------------------------------------------------------------------------------


def _robust(studio: Studio) -> Numbers:
    found = robustness(
        studio.cnn,
        *studio.digits.test,
        noise=(0.1, 0.2, 0.3, 0.4, 0.5),
        missing=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
        fgsm=(0.025, 0.05, 0.1, 0.15, 0.2, 0.3),
        rng=studio.rng("robustness"),
    )
    return {"curves": [asdict(curve) for curve in found.curves], "metric": found.metric, "constant": found.constant}


def _draw_robust(figure: Any, numbers: Numbers) -> None:
    axes = figure.subplots(1, 3, sharey=True)
    draw_robustness(numbers["curves"], axes=axes, metric=numbers["metric"], constant=numbers["constant"])
    axes[0].set_xlabel("standard deviation")
    axes[2].set_xlabel("change of each pixel")
    for ax in axes[1:]:
        ax.set_ylabel("")
    places = (("lower left", (0.0, 0.12)), ("lower left", (0.0, 0.12)), ("upper right", (1.0, 0.76)))
    for ax, (corner, place) in zip(axes, places, strict=True):
        ax.legend(fontsize="x-small", loc=corner, bbox_to_anchor=place)


def _attacked(studio: Studio) -> Numbers:
    """Test images that are named right, and what FGSM makes of them."""
    x, y = (part[:60] for part in studio.digits.test)
    changed = fgsm(studio.cnn, x, y, _EPS, bounds=(0.0, 1.0))
    before, after = (predict(studio.cnn, part).argmax(1) for part in (x, changed))
    chosen = np.flatnonzero((before == y) & (after != y))[:8]
    pictures = np.concatenate([x[chosen], changed[chosen]])
    return {"images": pictures, "said": np.concatenate([before[chosen], after[chosen]])}


def _draw_attacked(figure: Any, numbers: Numbers) -> None:
    count = len(numbers["said"]) // 2
    words = [f"it says {digit}" for digit in numbers["said"]]
    images(numbers["images"], words, columns=count, ax=figure.subplots())


ENTRIES = (
    Entry(
        "initialisations",
        "Nine initialisations",
        "What leaves six hidden layers before any training, as histograms from the first layer at the bottom to the last at the top, and what "
        "a check of the layers says about it. Normal weights of 0.01 let the signal vanish, those of 1 drive sigmoid and tanh into "
        "saturation, where nothing learns. 0.1 is a matter of luck, and of the width. Xavier's rule finds the right size for tanh from "
        "the numbers of inputs and outputs, He's for ReLU. Batch norm makes up for weights that are far too small.",
        "Nine panels of histograms, a row for each of six layers: sigmoid and tanh with normal weights of 0.01, 0.1 and 1, tanh with "
        "Xavier, ReLU with He, and tanh with batch norm.",
        _nine,
        _draw_nine,
        (8.0, 6.4),
    ),
    Entry(
        "initialisations-of-tanh",
        "Three initialisations of tanh, layer by layer",
        "The same network three times, with the numbers that a verdict rests on. The deviation over samples says how much of the input is still "
        "in the signal; saturated units pass on next to no gradient; and the gradient in proportion to the weights (grad/w) says "
        "whether a step will change anything. With Xavier's rule all three are nearly the same in every layer.",
        "Three rows of four histograms: with small weights outputs shrink from layer to layer, with Xavier they stay alike, with large ones they "
        "lie at −1 and 1.",
        _closer,
        _draw_closer,
        (8.0, 5.6),
    ),
    Entry(
        "range-of-rates",
        "Finding the learning rate",
        "A hundred steps whose rate grows from one millionth to ten, and the loss of each. At first nothing happens; then the loss falls; then it rises, "
        "and everything breaks. A good rate lies well to the left of the lowest point, where the loss falls steeply. The test takes seconds "
        "and leaves the network as it was; the command fastnn find-lr does it for your own data.",
        "Line plot of the loss against the learning rate on a logarithmic axis: flat, falling, then rising steeply, with the suggested rate marked.",
        _range,
        _draw_range,
    ),
    Entry(
        "dying-relus",
        "ReLUs that die",
        "The outputs of two layers over a training, as a histogram for each step: the stronger the colour, the more units have such an output. With a "
        "rate of 0.001 (above) they spread slowly. With one of 0.1 (below) the first steps throw most units so far that they are below 0 for every "
        "sample; their gradient is 0 from then on, and they never come back. The share of such dead units is on the right. The remedy is "
        "a smaller rate, or an activation with a slope below 0.",
        "Two rows of three panels, for a small and a large rate: histograms of outputs over steps of two layers, and the share of dead units, which "
        "is low above and high below.",
        _dying,
        _draw_dying,
        (8.0, 5.0),
    ),
    Entry(
        "robustness",
        "How much a network bears",
        "The accuracy of the convolutional network on test images that are changed more and more: by noise, by pixels that are missing, and by the "
        "worst small change of each pixel, which follows from the gradient (the fast gradient sign method, FGSM). Random signs of "
        "the same size do far less harm. Pixels go from 0, black, to 1, white; bars are two standard errors. More data, noise in training, ensembles and training on such "
        "changes make networks more robust.",
        "Three plots of accuracy against strength: falling slowly with noise and missing values, steeply with FGSM, hardly with random signs.",
        _robust,
        _draw_robust,
        (8.0, 3.8),
    ),
    Entry(
        "attacked-digits",
        "Changes made on purpose",
        f"Above, test images that the network names right; below, the same with every pixel made lighter or darker by at most {_EPS}, in the "
        "direction that raises the loss. People still see the same digit; the network is wrong, and often sure of it. That is "
        "not a peculiarity of this network: nearly all that are not trained against it can be led astray like this.",
        "Two rows of eight digits: as they are, with the right names, and slightly changed, with wrong ones.",
        _attacked,
        _draw_attacked,
        (8.0, 3.0),
    ),
)
