"""What searches in other processes are given: they import it from here, since modules of tests can have any name there."""

import numpy as np

import fastnn as fnn
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.diagnosis import Choice, LogUniform, Uniform, random_search
from fastnn.training import Trainer

X = np.random.default_rng(0).normal(size=(160, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def batches(rng=0):
    return Batches(X[:120], Y[:120], batch_size=20, shuffle=True, rng=rng), Batches(X[120:], Y[120:], batch_size=40)


def make_trainer(settings, rng):
    units = settings["units"]
    dropout = nn.Dropout(settings["dropout"], rng=rng)
    model = nn.Sequential(nn.Linear(4, units, rng=rng), nn.ReLU(), dropout, nn.Linear(units, 2, rng=rng))
    return Trainer(model, optim.Adam(model.parameters(), lr=settings["lr"]))


class Machine:
    """Says what it computes with."""

    def __call__(self, settings, rng):
        trainer = make_trainer({"units": 8, "dropout": 0.0, "lr": 0.1}, rng)
        said = f"{fnn.backend.current_name()}, {fnn.get_num_threads()} threads"
        trainer.fit = lambda *args, **options: self.fit(trainer, said, *args, **options)
        return trainer

    def fit(self, trainer, said, *args, **options):
        history = Trainer.fit(trainer, *args, **options)
        history.stopped = said
        return history


SPACE = {"lr": LogUniform(1e-5, 1), "units": Choice(8, 32), "dropout": Uniform(0, 0.5)}
ROUNDS = (1, 7), (3, 3), (5, 2)


def searched(**options):
    given = {"make_trainer": make_trainer, "space": SPACE, "data": batches(), "rng": 0, "trials": 10, "rounds": ROUNDS}
    return random_search(**(given | options))
