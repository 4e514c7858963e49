"""First weights compared: what they do to ten layers of sigmoid, tanh and ReLU, before any training and after some.

python examples/initialisations.py [FOLDER] [--epochs 5] [--depth 10] [--seed 0]

`compare_inits` sends the handwritten digits of scikit-learn through networks with normal weights of standard deviation 0.01, 0.1
and 1, and with Xavier's and He's. It says what signals and gradients come to: vanishing, exploding or saturated, or fine. After
the table of each activation stands what the networks learn in a few epochs of Adam, without and with batch norm before each
activation, which makes nearly all of them learn. With FOLDER, the signals of all layers are drawn there. It takes five seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import functional as F
from fastnn import init, nn, optim
from fastnn.data import Batches, ImageScaler, load_digits
from fastnn.diagnosis import compare_inits
from fastnn.training import Trainer

EPOCHS, DEPTH, WIDTH = 5, 10, 64
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "ReLU": nn.ReLU}
# Standard deviations, or functions that draw weights of a shape.
INITS: dict[str, Any] = {
    "N(0, 0.01²)": 0.01,
    "N(0, 0.1²)": 0.1,
    "N(0, 1)": 1.0,
    "Xavier": init.xavier_normal,
    "He": init.he_normal,
}


def network(activation: str, depth: int, seed: int, norm: bool = False) -> nn.Sequential:
    """Images (N, 1, 8, 8) to logits (N, 10)."""
    rng = np.random.default_rng(seed)
    layers: list[nn.Module] = [ImageScaler().fit(load_digits().train.images).as_module(), nn.Flatten()]
    for _ in range(depth):
        layers.append(nn.Linear(WIDTH, WIDTH, rng=rng))
        layers += [nn.BatchNorm1d(WIDTH, momentum=0.9)] if norm else []
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10, rng=rng))


def draw_weights(model: nn.Module, given: Any, seed: int) -> nn.Module:
    """The model with first weights of a kind."""
    rng = np.random.default_rng(seed)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            new = given(parameter.shape, rng=rng) if callable(given) else given * rng.normal(size=parameter.shape)
            parameter.data[...] = new
    return model


def learned(model: nn.Module, epochs: int, seed: int) -> float:
    """The accuracy on the validation part after some epochs."""
    data = load_digits()
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=1e-3), F.cross_entropy)
    trainer.fit(Batches(*data.train, batch_size=32, shuffle=True, rng=seed), epochs=epochs)
    return trainer.evaluate(Batches(*data.validation, batch_size=512))["accuracy"]


def main(
    folder: str | None = None, short: bool = False, epochs: int = EPOCHS, depth: int = DEPTH, seed: int = 0
) -> dict[str, dict[str, str]]:
    """Print the tables, and return what is said of each initialisation by activation; ``short`` is for tests."""
    epochs = 1 if short else epochs
    x, y = load_digits().train
    words = {}
    for activation in ACTIVATIONS:
        make = partial(network, activation, depth, seed)
        found = compare_inits(INITS, make, x, y, rng=seed)
        words[activation] = found.words
        print(f"\n{depth} layers of {activation}\n{str(found).partition(chr(10) * 2)[0]}")
        for norm in (False, True):
            accuracies = (learned(draw_weights(make(norm=norm), given, seed), epochs, seed) for given in INITS.values())
            listed = ", ".join(f"{name} {100 * each:.0f} %" for name, each in zip(INITS, accuracies, strict=True))
            print(f"after {epochs} epochs{' with batch norm' if norm else ''}: {listed}")
        if folder is not None:
            from matplotlib import pyplot

            figure = found.plot().flat[0].figure
            figure.savefig(Path(folder) / f"initialisations_{activation}.png")
            pyplot.close(figure)
    return words


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="where to write pictures")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--depth", type=int, default=DEPTH)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.folder, epochs=options.epochs, depth=options.depth, seed=options.seed)
