"""Data: mini-batches, files, scalers, splits, windows, augmentation, resampling, and the handwritten digits of scikit-learn."""

from .._extras import MissingExtraError
from .augment import compose, random_crop, random_flip, random_noise, random_shift
from .batches import Batches
from .digits import DigitsSplit, Labelled, load_digits
from .distribution import Distribution, fit_distribution
from .resample import Resampled, resample
from .scalers import ImageScaler, MinMaxScaler, StandardScaler
from .split import split
from .whitening import Whitening
from .windows import windows

__all__ = [
    "Batches",
    "DigitsSplit",
    "Distribution",
    "ImageScaler",
    "Labelled",
    "MinMaxScaler",
    "MissingExtraError",
    "Resampled",
    "StandardScaler",
    "Whitening",
    "compose",
    "fit_distribution",
    "load_digits",
    "random_crop",
    "random_flip",
    "random_noise",
    "random_shift",
    "resample",
    "split",
    "windows",
]
