"""An LSTM that reads handwritten digits row by row: eight steps of eight pixels, then one guess.

python examples/digits_lstm.py [--epochs 40] [--seed 0]

Trained on the 1438 other images for 40 epochs it named 98.1 to 99.2 % of the 359 test images right: 98.1, 98.1, 99.2, 98.1
and 98.3 % with the seeds 0 to 4. One image is 0.3 %.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import nn, optim
from fastnn.data import Batches, load_digits, random_noise, random_shift
from fastnn.training import ProgressBar, Trainer

EPOCHS = 40
BATCH_SIZE = 64
LEARNING_RATE = 5e-3


class RowReader(nn.Module):
    """A bidirectional LSTM over the rows of an image; its two final states decide."""

    def __init__(self, units: int, rng: Any = None) -> None:
        rng = np.random.default_rng(rng)
        self.lstm = nn.LSTM(8, units, batch_first=True, bidirectional=True, rng=rng)
        self.dropout = nn.Dropout(0.3, rng=rng)
        self.linear = nn.Linear(2 * units, 10, rng=rng)

    def forward(self, images: Any) -> Any:
        """images (N, 1, 8, 8) -> logits (N, 10)."""
        _, (h_n, _) = self.lstm(images[:, 0])
        return self.linear(self.dropout(fnn.concatenate([h_n[0], h_n[1]], axis=1)))


def augment(images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Half of the images shifted by up to a pixel, all with a little noise."""
    return random_noise(random_shift(images, rng, pixels=1, share=0.5), rng, std=0.05)


def train(seed: int = 0, epochs: int = EPOCHS, units: int = 64, quiet: bool = True) -> tuple[RowReader, float]:
    """A model trained on all but the test set, and its accuracy there."""
    data = load_digits()
    images = np.concatenate([data.train.images, data.validation.images])
    labels = np.concatenate([data.train.labels, data.validation.labels])
    batch_rng, model_rng = np.random.default_rng(seed).spawn(2)
    batches = Batches(
        images, labels, batch_size=BATCH_SIZE, shuffle=True, drop_last=True, transform=augment, rng=batch_rng
    )
    model = RowReader(units, model_rng)
    trainer = Trainer(
        model,
        optim.Adam(model.parameters(), lr=LEARNING_RATE),
        lambda logits, target: fnn.functional.cross_entropy(logits, target, label_smoothing=0.1),
        schedule=optim.Cosine(epochs * len(batches)),
    )
    with ProgressBar(epochs * len(batches), enabled=not quiet) as progress:
        trainer.fit(batches, epochs=epochs, progress=progress)
    return model, trainer.evaluate(Batches(*data.test, batch_size=512))["accuracy"]


def main(short: bool = False, epochs: int = EPOCHS, seed: int = 0) -> float:
    """Train, print the accuracy, and return it; ``short`` is for tests."""
    epochs = 25 if short else epochs
    _, accuracy = train(seed, epochs, quiet=short)
    print(f"test accuracy after {epochs} epochs: {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(epochs=options.epochs, seed=options.seed)
