"""How a model bears noise, missing values, and inputs that are changed on purpose."""

from ..data.augment import drop_values
from .attack import fgsm
from .report import robustness

__all__ = ["drop_values", "fgsm", "robustness"]
