"""Histories that the tests of verdicts are about: made-up curves, and small real trainings."""

import numpy as np

import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import History, Trainer
from fastnn.training.constant import Baseline

B = 2.0
BASELINE = Baseline(B, "always the class frequencies")


def made(training, validation=None, se=0.01, baseline=BASELINE, **more):
    """A history of these losses."""
    records = []
    for i, t in enumerate(training):
        record = {"epoch": i + 1, "train_loss": t}
        if validation is not None:
            record |= {"validation_loss": validation[i], "validation_loss_se": se}
        records.append(record | {name: values[i] for name, values in more.items()})
    history = History(records)
    history.baseline = baseline
    return history


def word(*arguments, **settings):
    return made(*arguments, **settings).verdict().word


def curve(*points, epochs=30):
    """Losses that go through points, evenly."""
    return np.interp(np.linspace(0, 1, epochs), np.linspace(0, 1, len(points)), points).tolist()


FLAT_GOOD = curve(1.0, 0.1, 0.05, 0.05, 0.05)


def data(n=900, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(np.int64) + (x[:, 2] > 0.5)


def fitted(
    units=32, lr=5e-3, epochs=15, samples=600, y=None, dropout=0.0, optimizer=optim.Adam, loss=F.cross_entropy, **more
):
    x, labels = data()
    y = labels if y is None else y
    rng = np.random.default_rng(1)
    outputs = 3 if y.ndim == 1 else 1
    model = nn.Sequential(
        nn.Linear(4, units, rng=rng), nn.Tanh(), nn.Dropout(dropout, rng=rng), nn.Linear(units, outputs, rng=rng)
    )
    trainer = Trainer(model, optimizer(model.parameters(), lr=lr), loss)
    return trainer.fit(
        Batches(x[:samples], y[:samples], batch_size=min(20, samples), shuffle=True, rng=2),
        Batches(x[600:], y[600:], batch_size=150),
        epochs=epochs,
        progress=False,
        **more,
    )
