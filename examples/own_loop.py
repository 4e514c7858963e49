"""A training loop written by hand, in ten lines, that can be interrupted and started again.

python examples/own_loop.py [--checkpoint own_loop.npz] [--epochs 30] [--every 10] [--seed 0]

Model, optimiser and batches have `state_dict` and `load_state_dict`; together they are all that this training depends on. A
layer that draws random numbers, such as dropout, would add the state of its generator, `layer.rng.bit_generator.state`.

It takes two seconds, and prints "test accuracy after 30 epochs: 97.5 %" (96.9 to 97.8 with the seeds 0 to 4). Started again
after it was killed, it begins with a line such as "going on after 11 epochs and 30 batches".
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np

import fastnn as fnn
from fastnn import nn, optim
from fastnn.data import Batches, load_digits

EPOCHS = 30
EVERY = 10


def main(
    short: bool = False, checkpoint: str = "own_loop.npz", epochs: int = EPOCHS, every: int = EVERY, seed: int = 0
) -> float:
    """Train, print the accuracy on the test set and return it; ``short`` is for tests."""
    epochs = 10 if short else epochs
    digits = load_digits()
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64, rng=rng), nn.ReLU(), nn.Linear(64, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    batches = Batches(*digits.train, batch_size=32, shuffle=True, rng=rng)
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "batches": batches}

    if os.path.exists(checkpoint):
        state = fnn.load_checkpoint(checkpoint)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        print(f"going on after {batches.epoch} epochs and {batches.position} batches")

    while batches.epoch < epochs:
        for images, labels in batches:
            loss = fnn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if batches.position % every == 0 or batches.position == len(batches):
                fnn.save_checkpoint(checkpoint, {name: part.state_dict() for name, part in parts.items()})

    with fnn.no_grad():
        right = model(digits.test.images).numpy().argmax(axis=1) == digits.test.labels
    print(f"test accuracy after {epochs} epochs: {100 * right.mean():.1f} %")
    return float(right.mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="own_loop.npz", help="what the training goes on from")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--every", type=int, default=EVERY, help="save after each so many batches")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(False, options.checkpoint, options.epochs, options.every, options.seed)
