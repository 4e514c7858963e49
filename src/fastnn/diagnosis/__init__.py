"""Why doesn't it learn? Checks before, in and after a training, each with a verdict, its numbers, and advice."""

from ..training.findings import Finding
from .lr_range import lr_range_test

__all__ = ["Finding", "lr_range_test"]
