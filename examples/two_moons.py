"""Two moons, and how the layers of a small network bend the plane until a straight line parts them.

python examples/two_moons.py [--folder .] [--epochs 150] [--seed 0]

Writes two_moons.png, with a panel for each layer, and two_moons.gif, in which the network learns. A hidden layer of two units can be
drawn as it is, but gets stuck from many starts; with three units all seeds from 0 to 9 named every sample right.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import Trainer, WeightPath

EPOCHS = 150
FRAMES = 20


def moons(count: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Two half circles that reach into each other, with a little noise."""
    angle, labels = rng.uniform(0, np.pi, count), np.arange(count) % 2
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    lower = np.column_stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    points = np.where(labels[:, None] == 0, upper, lower) + rng.normal(0, 0.1, (count, 2))
    return points.astype(np.float32), labels.astype(np.int64)


def network(rng: np.random.Generator) -> nn.Sequential:
    """Points (N, 2) to scores (N, 2), by two hidden layers of three units."""
    return nn.Sequential(
        nn.Linear(2, 3, rng=rng),
        nn.Tanh(),
        nn.Linear(3, 3, rng=rng),
        nn.Tanh(),
        nn.Linear(3, 2, rng=rng),
    )


def main(
    short: bool = False, folder: str | os.PathLike[str] = ".", epochs: int = EPOCHS, seed: int = 0
) -> tuple[float, list[str]]:
    """Train, draw, and return the share of samples that are named right and the files; ``short`` is for tests."""
    frames = 2 if short else FRAMES
    files = [os.path.join(folder, name) for name in ("two_moons.png", "two_moons.gif")]
    data_rng, model_rng, batch_rng = np.random.default_rng(seed).spawn(3)
    x, y = moons(200, data_rng)
    model = network(model_rng)
    path = WeightPath()
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.03))
    trainer.fit(
        Batches(x, y, batch_size=25, shuffle=True, rng=batch_rng), epochs=epochs, callbacks=[path], progress=False
    )
    accuracy: float = trainer.evaluate(Batches(x, y, batch_size=200))["accuracy"]

    axes: Any = fnn.plots.plane_map(model, x, y)
    axes[0].figure.savefig(files[0], dpi=150)
    shown = np.linspace(0, 1, frames) ** 2 * (len(path) - 1)  # more of the first epochs, in which most happens
    animation = fnn.plots.plane_map(model, x, y, frames=[path[round(i)] for i in shown])
    animation.save(files[1], writer="pillow", dpi=90)
    pyplot.close("all")
    print(f"{100 * accuracy:.1f} % right; see {files[0]} and {files[1]}")
    return accuracy, files


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=".")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    matplotlib.use("Agg")  # without a window
    main(folder=options.folder, epochs=options.epochs, seed=options.seed)
