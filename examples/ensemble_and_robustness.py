"""How networks bear noise, missing pixels and changes made on purpose; what an ensemble and adversarial training do about it.

python examples/ensemble_and_robustness.py [FOLDER] [--epochs 15] [--seed 0]

Three networks that differ in their seeds alone name the handwritten digits of scikit-learn, and then all three together. After
that one network is trained on images that are changed against it at each step (`against_itself`, ten lines), which needs
nothing but `fastnn.robustness.fgsm` in the training loop.

What is printed for each is a table of accuracies with two standard errors: of images as they are, with noise, with pixels
missing, with each pixel changed a little at random, and as little on purpose. With FOLDER, the figures are drawn there. It takes
five seconds.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from fastnn import functional as F
from fastnn import nn, optim
from fastnn.data import Batches, StandardScaler, load_digits
from fastnn.robustness import fgsm, robustness
from fastnn.robustness.curves import Robustness
from fastnn.training import Trainer, accuracy, predict

EPOCHS = 15
EPS = 0.1  # of 1, which is ink


def network(seed: int) -> nn.Sequential:
    """Images (N, 1, 8, 8) to logits (N, 10). It scales by itself, so that changes are in the units of the images."""
    train = load_digits().train.images
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Flatten(),
        StandardScaler(with_std=False).fit(train.reshape(len(train), -1)).as_module(),
        nn.Linear(64, 64, rng=rng),
        nn.ReLU(),
        nn.Linear(64, 10, rng=rng),
    )


def train(seed: int, epochs: int) -> nn.Sequential:
    """A network trained as usual."""
    model = network(seed)
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=3e-3), F.cross_entropy)
    trainer.fit(Batches(*load_digits().train, batch_size=32, shuffle=True, rng=seed), epochs=epochs)
    return model


def against_itself(seed: int, epochs: int) -> nn.Sequential:
    """A network trained on images as they are and on images that are changed against it."""
    model = network(seed)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    batches = Batches(*load_digits().train, batch_size=32, shuffle=True, rng=seed)
    for x, y in itertools.chain.from_iterable(itertools.repeat(batches, epochs)):
        changed = fgsm(model, x, y, EPS, bounds=(0, 1))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(np.concatenate([x, changed])), np.concatenate([y, y]))
        loss.backward()
        optimizer.step()
    return model


def look(name: str, model: nn.Module, folder: str | None) -> Robustness:
    """Print the table of a model, and draw it."""
    x, y = load_digits().test
    table = robustness(
        model, x, y, noise=(0.1, 0.3), missing=(0.1, 0.3, 0.5), fgsm=(EPS / 2, EPS, 2 * EPS), bounds=(0, 1)
    )
    print(f"\n{name}\n{table}")
    if folder is not None:
        from matplotlib import pyplot

        figure = table.plot()[0].figure
        figure.savefig(Path(folder) / f"{name.replace(' ', '_')}.png")
        pyplot.close(figure)
    return table


def main(folder: str | None = None, short: bool = False, epochs: int = EPOCHS, seed: int = 0) -> dict[str, Robustness]:
    """Print the tables, and return them by name; ``short`` is for tests."""
    epochs = 8 if short else epochs
    members = [train(seed + i, epochs) for i in range(3)]
    models = {
        "one network": members[0],
        "three networks together": nn.Ensemble(members),
        "trained against itself": against_itself(seed, epochs),
    }
    x, y = load_digits().test
    apart = models["three networks together"].disagreement(x).mean()
    print("accuracy on the test part: " + ", ".join(f"{100 * accuracy(predict(m, x), y):.1f} %" for m in members))
    print(f"any two of them name different digits for {100 * apart:.1f} % of the images, in the mean")
    return {name: look(name, model, folder) for name, model in models.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="where to write pictures")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.folder, epochs=options.epochs, seed=options.seed)
