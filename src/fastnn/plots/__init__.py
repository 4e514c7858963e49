"""Pictures, drawn with Matplotlib, which the extra "plot" brings and which is imported when something is drawn."""

from .history import history
from .lr_range import lr_range

__all__ = ["history", "lr_range"]
