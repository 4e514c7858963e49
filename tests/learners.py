"""A small network, its data and its trainer, which the tests of training share."""

import os
import signal

import numpy as np

from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import Trainer

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
LABELS = (X[:, 0] > X[:, 1]).astype(np.int64)
NUMBERS = X[:, :1] - X[:, 1:2]


def network(outputs=2, dropout=0.2):
    rng = np.random.default_rng(1)
    return nn.Sequential(
        nn.Linear(3, 8, rng=rng),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(dropout, rng=rng),
        nn.Linear(8, outputs, rng=rng),
    )


def trainer(model=None, optimizer=optim.Adam, **options):
    model = network() if model is None else model
    return Trainer(model, optimizer(model.parameters(), lr=0.05), **options)


def batches(**options):
    return Batches(X, LABELS, **{"batch_size": 16, "shuffle": True, "rng": 0, **options})


def bits(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


class Given:
    """A validation whose loss is given: the trainer's own is replaced before other callbacks see it."""

    def __init__(self, values):
        self.values = values
        self.weights = []

    def on_epoch_end(self, trainer):
        trainer.history[-1]["validation_loss"] = self.values[trainer.epoch - 1]
        self.weights.append(bits(trainer.model))


class Stop:
    """Ends a training at a step, as if it had been interrupted."""

    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        trainer.stop = trainer.step == self.step


class Interrupt:
    def __init__(self, step, times=1):
        self.step, self.times = step, times

    def on_step(self, trainer):
        if trainer.step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def complicated():
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    plateau = optim.ReduceOnPlateau(optimizer, 0.5, patience=1)
    return Trainer(model, optimizer, schedule=[optim.Cosine(40), plateau], clip_norm=5.0)
