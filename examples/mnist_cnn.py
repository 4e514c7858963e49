"""A small convolutional network on MNIST, or on images of one's own in files of the same kind.

python examples/mnist_cnn.py FOLDER [--epochs 10] [--seed 0]

FOLDER holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the same with `t10k` for the test; gzipped or not. The
images are scaled by a layer of the model, so that what is saved or asked later takes pixels as they are, and shifted by up to
two pixels while it trains.

Trained on 4000 of MNIST's digits it named 97.7, 96.7, 97.8, 97.6 and 97.4 % of 1000 others right with the seeds 0 to 4, in five
seconds on one core each:

4000 images of 10 classes, 10 epochs
test accuracy 97.7 % of 1000 images
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np

from fastnn import nn, optim
from fastnn.data import Batches, ImageScaler, compose, random_noise, random_shift, read_mnist
from fastnn.training import Trainer

EPOCHS = 10


def network(scaler: ImageScaler, shape: tuple[int, ...], classes: int, rng: np.random.Generator) -> nn.Sequential:
    """Two convolutions, each followed by pooling, and a hidden layer, for images of a shape (C, H, W)."""
    channels, height, width = shape
    return nn.Sequential(
        scaler.as_module(),
        nn.Conv2d(channels, 16, 3, padding=1, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 128, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.3, rng=rng),
        nn.Linear(128, classes, rng=rng),
    )


def main(folder: Any, short: bool = False, epochs: int = EPOCHS, seed: int = 0) -> float:
    """Train, print the accuracy on the test set and return it; ``short`` is for tests."""
    epochs = 5 if short else epochs
    data = read_mnist(folder)
    if data.test is None:
        raise SystemExit(f"{folder} has no test part: t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte are missing")
    images, labels = data.train[:2]
    batch_rng, model_rng = np.random.default_rng(seed).spawn(2)
    augment = compose(partial(random_shift, pixels=2, share=0.8), partial(random_noise, std=0.02))
    train = Batches(images, labels, batch_size=64, shuffle=True, transform=augment, rng=batch_rng)
    model = network(ImageScaler().fit(images), images.shape[1:], len(data.train.classes), model_rng)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    trainer = Trainer(model, optimizer, schedule=optim.Cosine(epochs * len(train)))
    history = trainer.fit(train, epochs=epochs)
    accuracy = trainer.evaluate(Batches(*data.test[:2], batch_size=512))["accuracy"]
    print(f"{len(images)} images of {len(data.train.classes)} classes, {history.stopped or f'{epochs} epochs'}")
    print(f"test accuracy {100 * accuracy:.1f} % of {len(data.test.labels)} images")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.folder, epochs=options.epochs, seed=options.seed)
