"""fastnn's estimators beside scikit-learn's: ``python benchmarks/sklearn_table.py --threads 1 --batch-size 32``.

The same data, layers, optimiser, rate, batches, epochs and threads; no penalty, no early stopping. A row has the mean score on a
test part over seeds, and the least time of a fit over them; the two take turns.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn import datasets, model_selection, neural_network, preprocessing
from threadpoolctl import threadpool_limits

import fastnn as fnn
from fastnn.sklearn import Classifier, Regressor

BUNDLED = ("iris", "wine", "breast_cancer", "digits", "diabetes")


def problems() -> Iterator[tuple[str, Any, Any]]:
    """Name, inputs and targets, scaled."""
    for name in BUNDLED:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        yield name, X, y
    yield "made, 5 000 × 20", *datasets.make_classification(5000, 20, n_informative=10, n_classes=4, random_state=0)
    yield "made, numbers", *datasets.make_friedman1(5000, 10, noise=1.0, random_state=0)


def pair(numbers: bool, seed: int, batch_size: int, epochs: int) -> tuple[Any, Any]:
    """Their estimator and ours with the same settings."""
    theirs = neural_network.MLPRegressor if numbers else neural_network.MLPClassifier
    ours = Regressor if numbers else Classifier
    shared: dict[str, Any] = {"batch_size": batch_size, "random_state": seed}
    without_end: dict[str, Any] = {"tol": 0.0, "n_iter_no_change": epochs, "alpha": 0.0}
    return theirs(max_iter=epochs, **without_end, **shared), ours(epochs=epochs, **shared)


def timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def row(name: str, X: Any, y: Any, options: argparse.Namespace) -> str:
    """A line of the table."""
    numbers = y.dtype.kind == "f"
    X = preprocessing.scale(X).astype(options.dtype)
    y = preprocessing.scale(y).astype(options.dtype) if numbers else y
    seconds, scores = np.empty((2, 2, options.seeds))
    for seed in range(options.seeds):
        parts = model_selection.train_test_split(X, y, random_state=seed, stratify=None if numbers else y)
        batch_size = min(options.batch_size, len(parts[0]))
        for i, estimator in enumerate(pair(numbers, seed, batch_size, options.epochs)):
            seconds[i, seed] = timed(lambda e=estimator, p=parts: e.fit(p[0], p[2]))
            scores[i, seed] = estimator.score(parts[1], parts[3])
    theirs, ours = seconds.min(axis=1) * 1e3
    means = scores.mean(axis=1)
    return f"| {name} | {means[0]:.3f} | {means[1]:.3f} | {theirs:.4g} | {ours:.4g} | {ours / theirs:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that they did not converge
    print("| data | MLP score | fastnn score | MLP ms | fastnn ms | time |\n|---|---|---|---|---|---|")
    with threadpool_limits(options.threads), fnn.set_num_threads(options.threads):
        for problem in problems():
            print(row(*problem, options), flush=True)


if __name__ == "__main__":
    main()
