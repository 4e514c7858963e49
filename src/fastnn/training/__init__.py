"""A small training loop, its progress bar, and the digits it is shown on."""

from .progress import ProgressBar
from .trainer import Trainer, accuracy, cosine_decay

__all__ = ["ProgressBar", "Trainer", "accuracy", "cosine_decay"]
