"""Trainings that were written down before any of them was run: healthy ones, and what is made of each."""

from __future__ import annotations

from functools import partial

from fastnn import functional as F
from fastnn import nn, optim
from verdict_problems import (
    Reader,
    blobs,
    chaos,
    cnn,
    diabetes,
    friedman2,
    hastie,
    mlp,
    mnist,
    patch_rows,
    patches,
    pulses,
    roll,
    shells,
    wine,
)
from verdict_trainings import DIVERGED, FAST, GOOD, NOT, OVER, SHUFFLED, SLOW, STILL, UNDER, Case, Changes

UNTOUCHED: list[tuple[Case, dict[str, Changes]]] = [
    (
        Case("wine, MLP", data=wine, network=partial(mlp, 13, 3, [24]), lr=5e-3, batch=16),
        {
            "as it should be": {},
            "rate 1e-8": SLOW,
            "rate 10": FAST,
            "rate 3e-4, 3 epochs": {"lr": 3e-4, "epochs": 3, "intended": (STILL,)},
            "shuffled labels": SHUFFLED | {"network": partial(mlp, 13, 3, [64, 64]), "epochs": 40},
            "30 % wrong labels, large": {
                "network": partial(mlp, 13, 3, [256, 256]),
                "wrong": 0.45,
                "epochs": 120,
                "intended": (OVER,),
            },
        },
    ),
    (
        Case("shells, MLP", data=shells, network=partial(mlp, 5, 3, [64, 64]), lr=3e-3, epochs=80, stopping=6),
        {
            "early stopping": {},
            # Shells look the same from everywhere: what is linear may be worth nothing.
            "linear": {"network": partial(mlp, 5, 3, []), "stopping": None, "intended": (UNDER, NOT)},
            "150 samples, to the end": {"samples": 150, "stopping": None, "epochs": 150, "intended": (OVER,)},
            "rate 1e-8": SLOW | {"stopping": None, "epochs": 10},
        },
    ),
    (
        Case(
            "hastie, MLP",
            data=hastie,
            network=partial(mlp, 10, 1, [256], act=nn.GELU),
            loss=F.binary_cross_entropy_with_logits,
            lr=5e-3,
            epochs=80,
            stopping=8,
        ),
        {
            "early stopping": {},
            "shuffled labels": SHUFFLED | {"stopping": None, "epochs": 50},
            "30 % wrong labels, large": {
                "network": partial(mlp, 10, 1, [256, 256]),
                "wrong": 0.6,
                "stopping": None,
                "epochs": 60,
                "intended": (OVER,),
            },
        },
    ),
    (
        Case(
            "Friedman 2, MLP",
            data=friedman2,
            network=partial(mlp, 4, 1, [32, 32], act=nn.Tanh),
            loss=F.mse_loss,
            lr=5e-3,
            epochs=60,
        ),
        {
            "as it should be": {},
            "Huber": {"loss": F.huber_loss},
            "rate 1e-8": SLOW | {"epochs": 10},
            "rate 10": FAST,
            "30 samples, large": {
                "network": partial(mlp, 4, 1, [128, 128, 128]),
                "samples": 30,
                "epochs": 200,
                "intended": (OVER,),
            },
            "shuffled": SHUFFLED | {"network": partial(mlp, 4, 1, [128, 128])},
        },
    ),
    (
        Case("Swiss roll, MLP", data=roll, network=partial(mlp, 3, 1, [64, 64]), loss=F.mse_loss, lr=3e-3, epochs=60),
        {
            "as it should be": {},
            # A straight line through a spiral may be worth nothing.
            "linear": {"network": partial(mlp, 3, 1, []), "intended": (UNDER, NOT)},
            "rate 3e-4, 4 epochs": {"lr": 3e-4, "epochs": 4, "intended": (STILL,)},
        },
    ),
    (
        Case("diabetes, MLP", data=diabetes, network=partial(mlp, 10, 1, [16]), loss=F.mse_loss, lr=5e-3, epochs=80),
        {
            # Half of the variance is noise, which no history tells from a network that is too small.
            "early stopping": {"stopping": 8, "intended": (GOOD, UNDER)},
            "large": {"network": partial(mlp, 10, 1, [256, 256]), "epochs": 150, "intended": (OVER,)},
            "shuffled": SHUFFLED,
        },
    ),
    (
        Case("blobs, MLP with batch norm", data=blobs, network=partial(mlp, 6, 8, [32], norm=True), lr=5e-3, epochs=20),
        {
            "as it should be": {},
            "SGD": {"optimizer": optim.SGD, "lr": 0.1},
            "dropout 0.9": {"network": partial(mlp, 6, 8, [12], dropout=0.9), "intended": (UNDER, NOT)},
            "one hidden unit": {
                "network": partial(mlp, 6, 8, [1], act=nn.Tanh),
                "epochs": 60,
                "intended": (UNDER,),
            },
            # Units that died leave the frequencies of the classes.
            "SGD, rate 10": FAST
            | {"optimizer": optim.SGD, "network": partial(mlp, 6, 8, [32]), "intended": (DIVERGED, NOT)},
        },
    ),
    (
        Case("photos, CNN", data=patches, network=partial(cnn, 3, 12, 2, [8, 16]), epochs=15),
        {
            "as it should be": {},
            "rate 1e-8": SLOW | {"epochs": 5},
            "rate 10": FAST,
            "shuffled labels": SHUFFLED | {"network": partial(cnn, 3, 12, 2, [16, 32]), "epochs": 25},
            "30 % wrong labels, large": {
                "network": partial(cnn, 3, 12, 2, [32, 64]),
                "wrong": 0.6,
                "epochs": 40,
                "intended": (OVER,),
            },
            # Colours may be enough, and those are learned at once.
            "rate 1e-4, 2 epochs": {"lr": 1e-4, "epochs": 2, "intended": (STILL, GOOD)},
        },
    ),
    (
        Case("MNIST, CNN", data=mnist, network=partial(cnn, 1, 28, 10, [8, 16]), epochs=10),
        {
            "as it should be": {},
            "rate 5e-5, 2 epochs": {"lr": 5e-5, "epochs": 2, "intended": (STILL,)},
            "two hidden units, MLP": {
                "network": partial(mlp, 784, 10, [2], act=nn.Tanh),
                "intended": (UNDER,),
                "epochs": 25,
            },
            "30 % wrong labels, large": {
                "network": partial(cnn, 1, 28, 10, [16, 32]),
                "wrong": 0.33,
                "epochs": 25,
                "intended": (OVER,),
            },
        },
    ),
    (
        Case("rows of photos, LSTM", data=patch_rows, network=partial(Reader, nn.LSTM, 36, 24, 2), lr=5e-3, epochs=15),
        {
            "early stopping": {"stopping": 5, "epochs": 40},
            "shuffled labels": SHUFFLED | {"epochs": 25},
            "30 % wrong labels, large": {
                "network": partial(Reader, nn.LSTM, 36, 96, 2),
                "wrong": 0.6,
                "epochs": 40,
                "intended": (OVER,),
            },
            "rate 10": FAST | {"epochs": 6, "intended": (DIVERGED, NOT)},  # units that are saturated say nothing
        },
    ),
    (
        Case(
            "logistic map, GRU",
            data=chaos,
            network=partial(Reader, nn.GRU, 1, 24, 1),
            loss=F.mse_loss,
            lr=1e-2,
            epochs=40,
        ),
        {
            "as it should be": {},
            "rate 1e-8": SLOW | {"epochs": 6},
            "shuffled": SHUFFLED,
        },
    ),
    (
        Case("pulses, LSTM", data=pulses, network=partial(Reader, nn.LSTM, 3, 24, 3), lr=1e-2, epochs=30),
        {
            "as it should be": {},
            "40 samples": {"samples": 40, "epochs": 150, "intended": (OVER,)},
            "rate 1e-8": SLOW | {"epochs": 6},
            "shuffled labels": SHUFFLED,
            # So few small steps may not have found anything yet.
            "rate 3e-4, 3 epochs": {"lr": 3e-4, "epochs": 3, "intended": (STILL, NOT)},
        },
    ),
]
