"""A network, data and a trainer whose learning rates are swept."""

import numpy as np

from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64) + (X[:, 2] > 0)
RATES = np.geomspace(1e-6, 10, 100)


def network(seed=0, norm=False, dropout=0.0):
    rng = np.random.default_rng(seed)
    middle = [nn.BatchNorm1d(12, momentum=0.9)] if norm else []
    last = [nn.Dropout(dropout, rng=rng)] if dropout else []
    return nn.Sequential(nn.Linear(6, 12, rng=rng), *middle, nn.ReLU(), *last, nn.Linear(12, 3, rng=rng))


def batches(batch_size=16, **options):
    return Batches(X, Y, **{"batch_size": batch_size, "shuffle": True, "rng": 3} | options)


def trainer_of(model=None, optimizer=optim.Adam, **options):
    model = model or network()
    return Trainer(model, optimizer(model.parameters(), lr=0.01), **options)
