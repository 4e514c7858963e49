"""A training that goes wrong in six ways, and what fastnn says before it starts and after it has ended.

python examples/why_does_it_diverge.py [--full] [--seed 0]

The same small network is to name the handwritten digits of scikit-learn. Each time one thing is wrong: the rate is 10, the pixels
are numbers of 0…255, one pixel is missing, the first weights are normal numbers of standard deviation 1, labels begin with 1, or
the network takes the logarithm of what may be negative. The first lines of `preflight`, which looks before the training, name the
cause, with `--full` all of it; then the network is trained for all that, and the warning of `Trainer.fit` and the verdict
of the history say how it went. Nothing is wrong in the last one.

It takes two seconds. The beginning of what is printed:

raw pixels
  2 problems, 2 warnings: scale, initial loss, exploding, update too large
  PROBLEM  scale: layer '1' (Linear) gets numbers of 0…255, mean 78.8, standard deviation 96.2; …
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches, load_digits
from fastnn.diagnosis import preflight
from fastnn.training import Trainer

Array = NDArray[Any]
EPOCHS, RATE = 3, 0.05
WIDTH = 150  # of what is printed


class Log(nn.Module):
    """The logarithm, which negative numbers don't have."""

    def forward(self, x: Any) -> Any:
        return fnn.log(x)


class Setting(NamedTuple):
    """What a training is made of."""

    x: Array
    y: Array
    model: nn.Sequential
    rate: float = RATE


def network(rng: np.random.Generator) -> nn.Sequential:
    """Images (N, 1, 8, 8) to logits (N, 10)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64, rng=rng),
        nn.ReLU(),
        nn.Linear(64, 64, rng=rng),
        nn.ReLU(),
        nn.Linear(64, 10, rng=rng),
    )


def with_a_gap(x: Array) -> Array:
    x = x.copy()
    x[7, 0, 3, 3] = np.nan
    return x


def with_normal_weights(model: nn.Sequential, rng: np.random.Generator) -> nn.Sequential:
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data[...] = rng.normal(size=parameter.shape)
    return model


# Each makes of images, labels, a network and a generator what is trained.
FAULTS: dict[str, Callable[[Array, Array, nn.Sequential, np.random.Generator], Setting]] = {
    "raw pixels": lambda x, y, model, rng: Setting(255 * x, y, model),
    "one missing pixel": lambda x, y, model, rng: Setting(with_a_gap(x), y, model),
    "labels from 1 to 10": lambda x, y, model, rng: Setting(x, y + 1, model),
    "weights of N(0, 1)": lambda x, y, model, rng: Setting(x, y, with_normal_weights(model, rng)),
    "the logarithm of a negative number": lambda x, y, model, rng: Setting(
        x, y, nn.Sequential(*model[:2], Log(), model[5])
    ),
    "a rate of 10": lambda x, y, model, rng: Setting(x, y, model, 10.0),
    "nothing": lambda x, y, model, rng: Setting(x, y, model),
}


def trained(setting: Setting, epochs: int, seed: int) -> list[str]:
    """How a training goes: the warning, if there is one, and the verdict."""
    model = setting.model
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=setting.rate, momentum=0.9), F.cross_entropy)
    batches = Batches(setting.x, setting.y, batch_size=32, shuffle=True, rng=seed)
    validation = Batches(*load_digits().validation, batch_size=512)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            history = trainer.fit(batches, validation, epochs=epochs)
        except ValueError as error:
            return [f"refused: {error}"]
    said = [str(warning.message) for warning in caught]
    return [*(text for text in said if text.startswith("fastnn:")), str(history.verdict()).splitlines()[0]]


def shown(lines: list[str], full: bool) -> str:
    """Lines as they are, or only so much of each that it fits."""
    return "\n".join(f"  {line if full or len(line) <= WIDTH else line[: WIDTH - 2] + ' …'}" for line in lines)


def main(short: bool = False, full: bool = False, seed: int = 0) -> dict[str, list[str]]:
    """Print what is said of each fault; return the words of what `preflight` found. ``short`` is for tests."""
    data = load_digits().train
    words = {}
    for name, fault in FAULTS.items():
        rng = np.random.default_rng(seed)
        setting = fault(data.images, data.labels, network(rng), rng)
        optimizer = optim.SGD(setting.model.parameters(), lr=setting.rate, momentum=0.9)
        train = Batches(setting.x, setting.y, batch_size=32, shuffle=True, rng=seed)
        report = preflight(setting.model, train, optimizer=optimizer)
        words[name] = [finding.word for finding in report if finding.level in ("warning", "problem")]
        lines = str(report).splitlines()
        print(f"{name}\n{shown(lines if full else lines[:3], full)}")
        print(f"  trained for all that:\n{shown(trained(setting, 1 if short else EPOCHS, seed), full)}\n")
    return words


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="print all that preflight says")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(full=options.full, seed=options.seed)
