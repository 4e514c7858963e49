"""A residual network on the handwritten digits of scikit-learn.

python examples/residual_digits.py [--epochs 20] [--seed 0]

Trained on the 1438 other images for 20 epochs it named 98.9 to 99.4 % of the 359 test images right: 99.2, 98.9, 99.2, 99.4
and 99.2 % with the seeds 0 to 4. One image is 0.3 %.
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

EPOCHS = 20
BATCH_SIZE = 64
LEARNING_RATE = 3e-3


def residual_net(rng: Any = None, width: int = 32) -> nn.Sequential:
    """Images (N, 1, 8, 8) to logits (N, 10): three residual blocks, the second and third at half the size each."""
    rng = np.random.default_rng(rng)
    # An epoch has 22 steps, so running statistics must follow faster than with the usual momentum.
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(width, momentum=0.9),
        nn.ReLU(),
        nn.ResidualBlock(width, width, momentum=0.9, rng=rng),  # identity shortcut
        nn.ResidualBlock(width, 2 * width, stride=2, momentum=0.9, rng=rng),  # projection
        nn.ResidualBlock(2 * width, 2 * width, momentum=0.9, rng=rng),
        nn.AdaptiveMaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3, rng=rng),
        nn.Linear(8 * width, 10, rng=rng),
    )


def augment(images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Half of the images shifted by up to a pixel, all with a little noise."""
    return random_noise(random_shift(images, rng, pixels=1, share=0.5), rng, std=0.05)


def train(seed: int = 0, epochs: int = EPOCHS, width: int = 32, quiet: bool = True) -> tuple[nn.Sequential, float]:
    """A model trained on all but the test set, and its accuracy there."""
    data = load_digits()
    images = np.concatenate([data.train.images, data.validation.images])
    labels = np.concatenate([data.train.labels, data.validation.labels])
    batch_rng, model_rng = np.random.default_rng(seed).spawn(2)
    batches = Batches(
        images, labels, batch_size=BATCH_SIZE, shuffle=True, drop_last=True, transform=augment, rng=batch_rng
    )
    model = residual_net(model_rng, width)
    trainer = Trainer(
        model,
        optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=1e-2),
        lambda logits, target: fnn.functional.cross_entropy(logits, target, label_smoothing=0.1),
        schedule=optim.Cosine(epochs * len(batches)),
    )
    with ProgressBar(epochs * len(batches), enabled=not quiet) as progress:
        trainer.fit(batches, epochs=epochs, progress=progress)
    # The running averages are of a network that was still changing, on noisy images; these are of the one that is used.
    nn.recompute_statistics(model, Batches(images, batch_size=256))
    return model, trainer.evaluate(Batches(*data.test, batch_size=512))["accuracy"]


def main(short: bool = False, epochs: int = EPOCHS, seed: int = 0) -> float:
    """Train, print the table of layers and the accuracy, and return it; ``short`` is for tests."""
    width, epochs = (16, 5) if short else (32, epochs)
    print(fnn.summary(residual_net(0, width), (1, 8, 8)))
    _, accuracy = train(seed, epochs, width, quiet=short)
    print(f"test accuracy after {epochs} epochs: {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(epochs=options.epochs, seed=options.seed)
