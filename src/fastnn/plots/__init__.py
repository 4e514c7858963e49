"""Pictures, drawn with Matplotlib, which the extra "plot" brings and which is imported when something is drawn."""

from .history import history
from .robustness import robustness

__all__ = ["history", "robustness"]
