"""Optimisers: fused steps over flat buffers; clipping and schedules."""

from .adagrad import Adadelta, Adagrad
from .adam import Adam, AdamW, AMSGrad
from .clip import clip_grad_norm, clip_grad_value
from .optimizer import Optimizer
from .plateau import ReduceOnPlateau
from .rmsprop import RMSprop
from .rules import Cosine, Exponential, Linear, OneCycle, Sequence, StepDecay, Warmup
from .schedule import Schedule, momentum_schedule
from .sgd import SGD

__all__ = [
    "SGD",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Cosine",
    "Exponential",
    "Linear",
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "ReduceOnPlateau",
    "Schedule",
    "Sequence",
    "StepDecay",
    "Warmup",
    "clip_grad_norm",
    "clip_grad_value",
    "momentum_schedule",
]
