"""Why doesn't it learn? Checks before, in and after a training, each with a verdict, its numbers, and advice."""

from ..training.findings import Finding
from .inits import compare_inits
from .layer_stats import layer_stats
from .lr_range import lr_range_test
from .search import random_search
from .spaces import Choice, IntUniform, LogUniform, Uniform

__all__ = [
    "Choice",
    "Finding",
    "IntUniform",
    "LogUniform",
    "Uniform",
    "compare_inits",
    "layer_stats",
    "lr_range_test",
    "random_search",
]
