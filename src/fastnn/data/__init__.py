"""Mini-batches, splits, augmentation, and the handwritten digits of scikit-learn."""

from .._extras import MissingExtraError
from .augment import random_noise, random_shift
from .batches import Batches
from .digits import DigitsSplit, Labelled, load_digits
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
