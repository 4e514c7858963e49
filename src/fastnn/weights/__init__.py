"""Weights in files: safetensors, what PyTorch saves, sharded sets and fastnn's checkpoints."""

from .error import WeightsError
from .loading import load_weights
from .saving import save_weights

__all__ = ["WeightsError", "load_weights", "save_weights"]
