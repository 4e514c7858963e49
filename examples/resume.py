"""A training that may be interrupted at any time, and goes on where it was when the same command runs again.

python examples/resume.py [--checkpoint resume.npz] [--output digits-cnn.npz] [--epochs 12] [--every 10] [--seed 0]

Press Ctrl-C while it runs: it finishes the step, saves, and says where it is. Or kill it: then it goes on from the last save,
at most `--every` steps ago. Run it again, and it ends with the same two files, byte for byte, as one that was never
interrupted, although it has dropout, batch norm, augmentation, batches prepared ahead, a schedule and early stopping.

It takes two seconds, and prints a line for each epoch and "test accuracy 96.7 %; the model is in digits-cnn.npz". With Ctrl-C
on the way the last line is "interrupted in epoch 2 after batch 8 of 20; saved to resume.npz; the same command goes on from
there", and then the first one "going on in epoch 2 after 8 batches".
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

import numpy as np

import fastnn as fnn
from fastnn import nn, optim
from fastnn.data import Batches, load_digits, random_shift
from fastnn.training import Checkpoint, EarlyStopping, Trainer, epoch_line

EPOCHS = 12
EVERY = 10


class Report:
    """Prints where the training goes on, and how each epoch went."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first step, or when there is none left."""
        if trainer.resumed_at is not None and trainer.epoch < self.epochs and not trainer.stop:
            epoch, batches = trainer.resumed_at
            print(f"going on in epoch {epoch} after {batches} batches", flush=True)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After each epoch."""
        print(epoch_line(trainer.history[-1], self.epochs), flush=True)


def network(rng: np.random.Generator) -> nn.Sequential:
    """A small convolutional network for images (N, 1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, rng=rng),
        nn.BatchNorm2d(16, momentum=0.9),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(16 * 4 * 4, 10, rng=rng),
    )


def main(
    short: bool = False,
    checkpoint: str = "resume.npz",
    output: str = "digits-cnn.npz",
    epochs: int = EPOCHS,
    every: int = EVERY,
    seed: int = 0,
) -> float | None:
    """Train, save the model and return its accuracy on the test set, or None after Ctrl-C; ``short`` is for tests."""
    epochs = 3 if short else epochs
    digits = load_digits()
    batch_rng, model_rng = np.random.default_rng(seed).spawn(2)
    augment = partial(random_shift, pixels=1, share=0.5)
    train = Batches(*digits.train, batch_size=64, shuffle=True, transform=augment, rng=batch_rng, prefetch=2)
    model = network(model_rng)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    trainer = Trainer(model, optimizer, schedule=optim.Cosine(epochs * len(train)))
    history = trainer.fit(
        train,
        Batches(*digits.validation, batch_size=512),
        epochs=epochs,
        callbacks=[EarlyStopping(patience=5), Report(epochs)],
        checkpoint=Checkpoint(checkpoint, every=every, settings={"seed": seed}),
        progress=None,
    )
    if history.interrupted:
        print(f"{history.stopped}; the same command goes on from there")
        return None
    fnn.save_model(model, output)
    accuracy = trainer.evaluate(Batches(*digits.test, batch_size=512))["accuracy"]
    print(f"test accuracy {100 * accuracy:.1f} %; the model is in {output}")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="resume.npz", help="what the training goes on from")
    parser.add_argument("--output", default="digits-cnn.npz", help="where the finished model goes")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--every", type=int, default=EVERY, help="save after each so many steps")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if main(False, options.checkpoint, options.output, options.epochs, options.every, options.seed) is None:
        sys.exit(130)  # what a shell expects of a program that Ctrl-C ended
