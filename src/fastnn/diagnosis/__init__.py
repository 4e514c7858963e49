"""Why doesn't it learn? Checks before, in and after a training, each with a verdict, its numbers, and advice."""

from ..training.findings import Finding
from .inits import compare_inits
from .layer_stats import layer_stats

__all__ = ["Finding", "compare_inits", "layer_stats"]
