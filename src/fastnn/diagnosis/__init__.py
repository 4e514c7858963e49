"""Why doesn't it learn? Checks before, in and after a training, each with a verdict, its numbers, and advice."""

from ..training.findings import Finding
from .initial_loss import initial_loss
from .layer_stats import layer_stats
from .overfit_batch import overfit_batch
from .preflight import Report, preflight

__all__ = ["Finding", "Report", "initial_loss", "layer_stats", "overfit_batch", "preflight"]
