"""Mini-batches, splits, augmentation, and the handwritten digits of scikit-learn."""

from .augment import random_noise, random_shift
from .batches import Batches
from .digits import DigitsSplit, Labelled, load_digits
from .extras import MissingExtraError
from .split import stratified_split

__all__ = [
    "Batches",
    "DigitsSplit",
    "Labelled",
    "MissingExtraError",
    "load_digits",
    "random_noise",
    "random_shift",
    "stratified_split",
]
