"""Find the learning rate in a hundred steps, and see what lower and higher ones would have done.

python examples/find_the_rate.py [FOLDER] [--epochs 10] [--seed 0]

`lr_range_test` takes a hundred steps whose rate grows from a millionth to ten, looks at where the loss falls, and leaves the
network as it was. Then the network, which names the handwritten digits of scikit-learn, is trained with the rate that it
suggests, with a hundredth and a tenth of that, and with ten and thirty times as much; what is printed is the loss on the
validation part. With FOLDER, the losses of the hundred steps are drawn there. It takes three seconds.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path

import numpy as np

from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches, load_digits
from fastnn.diagnosis import lr_range_test
from fastnn.training import Trainer

EPOCHS = 10
FACTORS = (0.01, 0.1, 1.0, 10.0, 30.0)


def made(seed: int, rate: float = 1e-3) -> tuple[Trainer, Batches]:
    """A trainer and what it trains on, always the same but for the rate."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64, rng=rng),
        nn.ReLU(),
        nn.Linear(64, 64, rng=rng),
        nn.ReLU(),
        nn.Linear(64, 10, rng=rng),
    )
    optimizer = optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    return Trainer(model, optimizer, F.cross_entropy), Batches(
        *load_digits().train, batch_size=32, shuffle=True, rng=rng
    )


def validation_loss(seed: int, rate: float, epochs: int) -> float:
    """The loss on the validation part after a training; infinite if that ended early."""
    trainer, train = made(seed, rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a loss that is not finite
        history = trainer.fit(train, epochs=epochs)
    if len(history) < epochs:
        return math.inf
    return trainer.evaluate(Batches(*load_digits().validation, batch_size=512))["loss"]


def main(folder: str | None = None, short: bool = False, epochs: int = EPOCHS, seed: int = 0) -> dict[float, float]:
    """Print the losses, and return them by the share of the suggested rate; ``short`` is for tests."""
    epochs = 4 if short else epochs
    found = lr_range_test(*made(seed))
    print(found)
    losses = {}
    for factor in FACTORS:
        losses[factor] = validation_loss(seed, factor * found.suggested, epochs)
        note = "  the suggestion" if factor == 1 else ""
        print(
            f"rate {factor * found.suggested:<10.3g} validation loss after {epochs} epochs {losses[factor]:.3f}{note}"
        )
    if folder is not None:
        from matplotlib import pyplot

        figure = found.plot().figure
        figure.savefig(Path(folder) / "find_the_rate.png")
        pyplot.close(figure)
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="where to write the picture")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.folder, epochs=options.epochs, seed=options.seed)
