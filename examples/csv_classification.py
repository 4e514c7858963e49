"""From a CSV file to a network that names the class of a row.

python examples/csv_classification.py [FILE] [--target class] [--demo] [--epochs 200] [--seed 0]

FILE is wine.csv where none is named; `--demo` first writes scikit-learn's wine data there. All columns but the target are
inputs. They are scaled by a layer of the model, with statistics of the training part. Training ends when the loss on the
validation part has not improved for ten epochs, with the weights that were best there; the test part is looked at once.

It takes a second, and prints with the wine data:

178 rows, 13 inputs, classes class_0, class_1, class_2
stopped after epoch 89: validation_loss has not improved for 10 epochs (best 0.09434 at 79)
test accuracy 97.2 % of 36 rows; the commonest class 38.9 %

The mean over the seeds 0 to 9 is 98.1 %. One row is 2.8 %.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from fastnn import nn, optim
from fastnn.data import Batches, StandardScaler, read_csv, split
from fastnn.training import EarlyStopping, Trainer

EPOCHS = 200


def write_demo(file: str) -> None:
    """Write scikit-learn's wine data: 178 wines from three cultivars, 13 measurements of each."""
    from sklearn.datasets import load_wine

    wine = load_wine()
    with Path(file).open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow([*wine.feature_names, "class"])
        table.writerows([*row, wine.target_names[label]] for row, label in zip(wine.data, wine.target, strict=True))


def main(
    file: str = "wine.csv",
    target: str = "class",
    demo: bool = False,
    short: bool = False,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> tuple[float, float]:
    """Print, and return, the accuracy on the test part and that of always saying the commonest class."""
    if demo:
        write_demo(file)
    table = read_csv(file, target=target, kind="classification")
    classes = table.classes
    x = table.x.astype(np.float32)
    train, validation, test = split(x, table.y, fractions=[0.6, 0.2], stratify=table.y, rng=seed)

    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        StandardScaler().fit(train[0]).as_module(),
        nn.Linear(x.shape[1], 32, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(32, len(classes), rng=rng),
    )
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=3e-3))
    history = trainer.fit(
        Batches(*train, batch_size=16, shuffle=True, rng=rng),
        Batches(*validation, batch_size=512),
        epochs=40 if short else epochs,
        callbacks=[EarlyStopping()],
    )
    accuracy = trainer.evaluate(Batches(*test, batch_size=512))["accuracy"]
    baseline = float((test[1] == np.bincount(train[1]).argmax()).mean())
    print(f"{len(x)} rows, {x.shape[1]} inputs, classes {', '.join(classes)}")
    print(history.stopped or f"trained for {len(history)} epochs")
    print(f"test accuracy {100 * accuracy:.1f} % of {len(test[1])} rows; the commonest class {100 * baseline:.1f} %")
    return accuracy, baseline


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", nargs="?", default="wine.csv")
    parser.add_argument("--target", default="class", help="the column to foretell")
    parser.add_argument("--demo", action="store_true", help="write scikit-learn's wine data to FILE first")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.file, options.target, options.demo, epochs=options.epochs, seed=options.seed)
