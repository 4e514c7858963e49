"""Pictures of several networks that vote."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn, optim
from ..plots._style import BLUE, GREY, ORANGE
from ..plots.decision_regions import draw_regions, regions
from .entry import Entry, Numbers
from .studio import Studio, dense, moons, train

_MEMBERS = 8
_FEW = 200  # digits to learn from


def _members(studio: Studio) -> Numbers:
    """Of moons the borders; of digits, learned from few, how many are right."""
    data = moons(studio.rng("ensemble"), 100, 0.35)
    planes, members = [], []
    few = [part[:_FEW] for part in studio.digits.train]
    for i in range(_MEMBERS):
        rng = studio.rng(f"member {i}")
        model = dense(rng, (2, 64, 64, 2), nn.ReLU)
        train(model, data, optim.Adam(model.parameters(), lr=0.02), epochs=40, rng=rng)
        planes.append(model.eval())
        other = nn.Sequential(nn.Flatten(), *dense(rng, (64, 48, 10), nn.ReLU))
        train(other, (few[0], few[1]), optim.Adam(other.parameters(), lr=0.005), epochs=25, rng=rng)
        members.append(other.eval())
    test = studio.digits.test
    return {
        "alone": np.array([_accuracy(member, test) for member in members]),
        "together": np.array([_accuracy(nn.Ensemble(members[: i + 1]).eval(), test) for i in range(_MEMBERS)]),
        "samples": data[0],
        "one": regions(planes[0], *data),
        "all": regions(nn.Ensemble(planes).eval(), *data),
    }


def _accuracy(model: nn.Module, data: Any) -> float:
    return float((np.asarray(model(data[0])).argmax(1) == data[1]).mean())


def _draw_members(figure: Any, numbers: Numbers) -> None:
    first, second, third = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    for ax, name, title in ((first, "one", "one network"), (second, "all", f"{_MEMBERS} networks together")):
        draw_regions(ax, numbers[name], numbers["samples"], legend="x-small" if ax is first else "")
        ax.set(title=title, xlabel="feature 0")
    first.set_ylabel("feature 1")
    count = np.arange(1, _MEMBERS + 1)
    third.plot(count, 100 * numbers["alone"], color=BLUE, marker="o", linestyle="", label="each alone")
    third.plot(count, 100 * numbers["together"], color=ORANGE, marker="s", label="the first so many together")
    third.axhline(100 * numbers["alone"].mean(), color=GREY, linestyle="--", label="mean of those alone")
    third.set(xlabel="network", ylabel="test digits named right (%)", xticks=count)
    third.set_ylim(third.get_ylim()[0] - 1.5, None)
    third.legend(fontsize="x-small", loc="lower right")


ENTRIES = (
    Entry(
        "ensembles",
        "Ensembles",
        "Eight networks were trained on the same samples from different starts. Each has a border of its own; where they disagree, the mean "
        "of their probabilities is undecided, which is paler. Right: the same with digits, learned from 200 images. Together networks are "
        "nearly always better than their mean alone, and about as good as the best of them, which nobody knows beforehand; they cost as many times as much.",
        "Decision regions of one network, ragged, and of eight together, smoother; and a plot of the share that is right, for each "
        "alone and for the first so many together.",
        _members,
        _draw_members,
        (8.0, 3.0),
    ),
)
