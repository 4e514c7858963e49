"""A small training loop, its metrics and progress bar, and the digits it is shown on."""

from .metrics import accuracy, confusion, f1, mae, r2, rmse, top_k
from .preserved import preserved
from .progress import ProgressBar
from .trainer import Trainer, cosine_decay

__all__ = [
    "ProgressBar",
    "Trainer",
    "accuracy",
    "confusion",
    "cosine_decay",
    "f1",
    "mae",
    "preserved",
    "r2",
    "rmse",
    "top_k",
]
