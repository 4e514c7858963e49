"""Pictures, drawn with Matplotlib, which the extra "plot" brings and which is imported when something is drawn."""

from .history import history
from .inits import inits
from .layer_stats import layer_stats
from .lr_range import lr_range

__all__ = ["history", "inits", "layer_stats", "lr_range"]
