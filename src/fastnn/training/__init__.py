"""Training: the loop, its history, callbacks and checkpoints, its progress bar, and the recipes for data of one's own."""

from .callbacks import EarlyStopping
from .checkpoints import Checkpoint
from .display import epoch_line
from .history import History
from .metrics import accuracy, binary_accuracy, confusion, f1, mae, r2, rmse, top_k
from .monitor import LayerMonitor
from .prediction import predict
from .preserved import preserved
from .progress import ProgressBar
from .trainer import Trainer
from .weight_path import WeightPath

__all__ = [
    "Checkpoint",
    "EarlyStopping",
    "History",
    "LayerMonitor",
    "ProgressBar",
    "Trainer",
    "WeightPath",
    "accuracy",
    "binary_accuracy",
    "confusion",
    "epoch_line",
    "f1",
    "mae",
    "predict",
    "preserved",
    "r2",
    "rmse",
    "top_k",
]
