"""Why doesn't it learn? Checks before, in and after a training, each with a verdict, its numbers, and advice."""

from ..training.findings import Finding
from .baseline import baseline
from .initial_loss import initial_loss
from .inits import compare_inits
from .layer_stats import layer_stats
from .learning_curve import learning_curve
from .lr_range import lr_range_test
from .overfit_batch import overfit_batch
from .preflight import Report, preflight
from .search import random_search
from .spaces import Choice, IntUniform, LogUniform, Uniform

__all__ = [
    "Choice",
    "Finding",
    "IntUniform",
    "LogUniform",
    "Report",
    "Uniform",
    "baseline",
    "compare_inits",
    "initial_loss",
    "layer_stats",
    "learning_curve",
    "lr_range_test",
    "overfit_batch",
    "preflight",
    "random_search",
]
