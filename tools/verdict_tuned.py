"""The trainings on which the thresholds of verdicts were chosen: healthy ones, and what is made of each."""

from __future__ import annotations

from functools import partial

from fastnn import functional as F
from fastnn import nn, optim
from verdict_problems import (
    Reader,
    cancer,
    clouds,
    cnn,
    digit_rows,
    digits,
    friedman1,
    letters,
    mlp,
    moons,
    noisy_plane,
    sines,
    swinging,
)
from verdict_trainings import DIVERGED, FAST, GOOD, NOT, OVER, SHUFFLED, SLOW, STILL, UNDER, Case, Changes, Momentum

TUNED: list[tuple[Case, dict[str, Changes]]] = [
    (
        Case("digits, MLP", data=digits, network=partial(mlp, 64, 10, [64])),
        {
            "as it should be": {},
            "early stopping": {"stopping": 5, "epochs": 100},
            "three epochs": {"epochs": 3, "intended": (GOOD, STILL)},
            "one epoch": {"epochs": 1, "intended": (GOOD, STILL)},
            "good, cut short": {"epochs": 10},
            "rate 1e-8": SLOW,
            "rate 1e-7": SLOW | {"lr": 1e-7},
            "rate 10": FAST,
            "SGD, rate 10": FAST | {"optimizer": optim.SGD, "intended": (DIVERGED, NOT)},
            "rate 1e-4, 10 epochs": {"lr": 1e-4, "epochs": 10, "intended": (STILL,)},
            "one hidden unit": {
                "network": partial(mlp, 64, 10, [1], act=nn.Tanh),
                "intended": (UNDER,),
                "epochs": 60,
            },
            "dropout 0.9": {"network": partial(mlp, 64, 10, [16], dropout=0.9), "intended": (UNDER, NOT)},
            "dropout 0.3": {"network": partial(mlp, 64, 10, [64], dropout=0.3)},
            "30 % wrong labels, large": {
                "network": partial(mlp, 64, 10, [256, 256]),
                "wrong": 0.33,
                "intended": (OVER,),
                "epochs": 40,
            },
            "60 samples": {"samples": 60, "epochs": 60, "intended": (OVER,)},
            "shuffled labels": {
                "network": partial(mlp, 64, 10, [128]),
                "shuffled": True,
                "intended": (NOT,),
            },
            "shuffled labels, 5 epochs": {"shuffled": True, "intended": (NOT,), "epochs": 5},
            "weights": {"weighted": True},
        },
    ),
    (
        Case("digits, CNN", data=digits, network=partial(cnn, 1, 8, 10, [8, 16]), epochs=20),
        {
            "as it should be": {},
            "two epochs": {"epochs": 2, "intended": (GOOD, STILL)},
            "rate 1e-8": SLOW | {"epochs": 6},
            "rate 10": FAST | {"epochs": 6},
            "rate 1e-4, 5 epochs": {"lr": 1e-4, "epochs": 5, "intended": (STILL,)},
            "one filter": {"network": partial(cnn, 1, 8, 10, [1, 1, 1]), "intended": (UNDER,), "epochs": 40},
            "30 % wrong labels, large": {
                "network": partial(cnn, 1, 8, 10, [32, 64]),
                "wrong": 0.33,
                "intended": (OVER,),
                "epochs": 30,
            },
            "shuffled labels": SHUFFLED,
            "80 samples": {"samples": 80, "intended": (OVER,), "epochs": 60},
        },
    ),
    (
        Case("rows of digits, LSTM", data=digit_rows, network=partial(Reader, nn.LSTM, 8, 32, 10), lr=5e-3, epochs=20),
        {
            "as it should be": {},
            "early stopping": {"stopping": 4, "epochs": 60},
            "rate 1e-8": SLOW | {"epochs": 6},
            "rate 10": FAST | {"epochs": 6, "intended": (DIVERGED, NOT)},
            "rate 2e-4, 5 epochs": {"lr": 2e-4, "epochs": 5, "intended": (STILL,)},
            "one unit": {"network": partial(Reader, nn.LSTM, 8, 1, 10), "intended": (UNDER,), "epochs": 30},
            "30 % wrong labels, large": {
                "network": partial(Reader, nn.LSTM, 8, 96, 10),
                "wrong": 0.33,
                "intended": (OVER,),
                "epochs": 40,
            },
            "shuffled labels": SHUFFLED,
        },
    ),
    (
        Case("breast cancer, MLP", data=cancer, network=partial(mlp, 30, 2, [32])),
        {
            "as it should be": {"epochs": 12},
            "long, early stopping": {"epochs": 100, "stopping": 5},
            "rate 1e-8": SLOW,
            "rate 10": FAST,
            "30 % wrong labels, large": {
                "network": partial(mlp, 30, 2, [256, 256]),
                "wrong": 0.6,
                "intended": (OVER,),
                "epochs": 40,
            },
            "shuffled labels": {
                "network": partial(mlp, 30, 2, [256, 256]),
                "shuffled": True,
                "intended": (NOT,),
                "epochs": 40,
            },
            "rate 1e-4, 3 epochs": {"lr": 1e-4, "epochs": 3, "intended": (STILL,)},
        },
    ),
    (
        Case("26 classes, MLP", data=letters, network=partial(mlp, 16, 26, [128])),
        {
            "as it should be": {"epochs": 30},
            "cut short": {"epochs": 12},
            "4 hidden units": {"network": partial(mlp, 16, 26, [4]), "intended": (UNDER,), "epochs": 40},
            "dropout 0.9": {"network": partial(mlp, 16, 26, [64], dropout=0.9), "intended": (UNDER, NOT)},
            "200 samples": {"samples": 200, "intended": (OVER,), "epochs": 60},
            "rate 1e-8": SLOW,
            "rate 1e-4, 5 epochs": {"lr": 1e-4, "epochs": 5, "intended": (STILL,)},
        },
    ),
    (
        Case(
            "two moons, MLP",
            data=moons,
            network=partial(mlp, 2, 1, [32, 32], act=nn.Tanh),
            loss=F.binary_cross_entropy_with_logits,
            lr=5e-3,
        ),
        {
            "as it should be": {},
            "linear": {"network": partial(mlp, 2, 1, []), "epochs": 60, "intended": (UNDER,)},
            "rate 1e-8": SLOW,
            "SGD, rate 1e-2, 3 epochs": {"optimizer": optim.SGD, "lr": 1e-2, "epochs": 3, "intended": (STILL,)},
            "30 % wrong labels, large": {
                "network": partial(mlp, 2, 1, [256, 256, 256]),
                "wrong": 0.6,
                "samples": 150,
                "epochs": 250,
                "intended": (OVER,),
            },
            "shuffled labels": {
                "network": partial(mlp, 2, 1, [128, 128]),
                "shuffled": True,
                "intended": (NOT,),
                "epochs": 60,
            },
        },
    ),
    (
        Case("Friedman 1, MLP", data=friedman1, network=partial(mlp, 10, 1, [32]), loss=F.mse_loss, lr=5e-3),
        {
            "as it should be": {},
            "absolute error": {"loss": F.l1_loss},
            "rate 1e-8": SLOW,
            "rate 10": FAST,
            "SGD, rate 10": FAST | {"optimizer": optim.SGD},
            "constant but for one weight": {
                "network": lambda rng: nn.Sequential(mlp(10, 1, [], rng)),
                "intended": (UNDER, GOOD),
                "epochs": 60,
            },
            "rate 2e-4, 5 epochs": {"lr": 2e-4, "epochs": 5, "intended": (STILL,)},
            "60 samples, large": {
                "network": partial(mlp, 10, 1, [256, 256]),
                "samples": 60,
                "intended": (OVER,),
                "epochs": 80,
            },
            "shuffled": {"network": partial(mlp, 10, 1, [128, 128]), "shuffled": True, "intended": (NOT,)},
        },
    ),
    (
        Case("waves, LSTM", data=sines, network=partial(Reader, nn.LSTM, 1, 24, 4), lr=5e-3, epochs=25),
        {
            "as it should be": {},
            "one unit": {"network": partial(Reader, nn.LSTM, 1, 1, 4), "intended": (UNDER, NOT)},
            "rate 1e-8": SLOW | {"epochs": 6},
            "40 samples": {"samples": 40, "intended": (OVER,), "epochs": 150},
            "shuffled labels": {"shuffled": True, "intended": (NOT,), "epochs": 40},
            "rate 3e-4, 4 epochs": {"lr": 3e-4, "epochs": 4, "intended": (STILL, NOT)},
        },
    ),
    (
        Case(
            "oscillation, LSTM",
            data=swinging,
            network=partial(Reader, nn.LSTM, 1, 16, 1),
            loss=F.mse_loss,
            lr=5e-3,
            epochs=20,
        ),
        {
            "as it should be": {},
            "rate 1e-8": SLOW | {"epochs": 6},
            "rate 10": FAST | {"epochs": 6},
            "30 samples": {
                "network": partial(Reader, nn.LSTM, 1, 64, 1),
                "samples": 30,
                "intended": (OVER,),
                "epochs": 200,
            },
            "shuffled": SHUFFLED,
        },
    ),
    (
        Case("clouds, MLP", data=clouds, network=partial(mlp, 20, 2, [64]), batch=50),
        {
            "early stopping": {"stopping": 5, "epochs": 80},
            "SGD with momentum": {"optimizer": Momentum, "lr": 0.02, "epochs": 20},
            "dropout 0.5": {"network": partial(mlp, 20, 2, [128], dropout=0.5)},
            "30 % wrong labels, large": {
                "network": partial(mlp, 20, 2, [256, 256]),
                "wrong": 0.6,
                "epochs": 40,
                "intended": (OVER,),
            },
            "shuffled labels": {
                "network": partial(mlp, 20, 2, [256, 256]),
                "shuffled": True,
                "intended": (NOT,),
            },
            "rate 10": FAST,
            "100 samples": {
                "network": partial(mlp, 20, 2, [256, 256]),
                "samples": 100,
                "epochs": 60,
                "intended": (OVER,),
            },
        },
    ),
    (
        Case(
            "plane with noise, MLP",
            data=noisy_plane,
            network=partial(mlp, 10, 1, [16]),
            loss=F.mse_loss,
            lr=5e-3,
            epochs=60,
        ),
        {
            # Half of the variance is noise, which no history tells from a network that is too small.
            "early stopping": {"stopping": 5, "intended": (GOOD, UNDER)},
            "linear": {"network": partial(mlp, 10, 1, []), "intended": (GOOD, UNDER)},
            "large": {"network": partial(mlp, 10, 1, [256, 256]), "intended": (OVER,), "epochs": 100},
            "shuffled": {"network": partial(mlp, 10, 1, [64]), "shuffled": True, "intended": (NOT,)},
            "rate 1e-8": SLOW,
        },
    ),
]
