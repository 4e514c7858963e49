"""Mini-batches, splits, augmentation, and the handwritten digits of scikit-learn."""

from .augment import random_noise, random_shift
from .batches import Batches
from .digits import DigitsSplit, Labelled, load_digits
from .extras import MissingExtraError
from .scalers import ImageScaler, MinMaxScaler, StandardScaler
from .split import stratified_split
from .whitening import Whitening

__all__ = [
    "Batches",
    "DigitsSplit",
    "ImageScaler",
    "Labelled",
    "MinMaxScaler",
    "MissingExtraError",
    "StandardScaler",
    "Whitening",
    "load_digits",
    "random_noise",
    "random_shift",
    "stratified_split",
]
