"""Pictures, drawn with Matplotlib, which the extra "plot" brings and which is imported when something is drawn."""

from .activation import activation
from .decision_regions import decision_regions
from .feature_maps import feature_maps
from .filters import filters
from .history import history
from .images import images
from .inits import inits
from .layer_stats import layer_stats
from .loss_surface import loss_surface
from .lr_range import lr_range
from .plane_map import plane_map
from .robustness import robustness

__all__ = [
    "activation",
    "decision_regions",
    "feature_maps",
    "filters",
    "history",
    "images",
    "inits",
    "layer_stats",
    "loss_surface",
    "lr_range",
    "plane_map",
    "robustness",
]
