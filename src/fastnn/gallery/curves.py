"""Losses against epochs, of several trainings."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..plots._style import LINES, MARKERS, colours_of
from .entry import Numbers


def draw_losses(figure: Any, numbers: Numbers, label: str) -> None:
    """A line for each training, on a logarithmic scale; up to four of them, by name."""
    ax = figure.subplots()
    for i, (name, losses) in enumerate(numbers.items()):
        epochs = np.arange(1, len(losses) + 1)
        ax.plot(epochs, losses, color=colours_of(4)[i], linestyle=LINES[i], marker=MARKERS[i], markersize=4, label=name)
    ax.set(yscale="log", xlabel="epoch", ylabel=label)
    ax.legend()
