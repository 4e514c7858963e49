"""Data: mini-batches, files, scalers, splits, windows, augmentation, resampling, and the handwritten digits of scikit-learn."""

from .._extras import MissingExtraError
from .augment import compose, drop_values, random_crop, random_flip, random_noise, random_shift
from .batches import Batches
from .cifar import read_cifar10
from .csv_reader import read_csv
from .csv_table import Table, TableSchema
from .digits import DigitsSplit, Labelled, load_digits
from .distribution import Distribution, fit_distribution
from .idx import read_idx, write_idx
from .image_folder import read_image, read_image_folder, read_image_parts
from .image_scaler import ImageScaler
from .imputer import Imputer
from .labelled import ImageSets, LabelledImages
from .mnist import read_mnist
from .resample import Resampled, resample
from .scalers import MinMaxScaler, StandardScaler
from .split import split
from .whitening import Whitening
from .windows import windows

__all__ = [
    "Batches",
    "DigitsSplit",
    "Distribution",
    "ImageScaler",
    "ImageSets",
    "Imputer",
    "Labelled",
    "LabelledImages",
    "MinMaxScaler",
    "MissingExtraError",
    "Resampled",
    "StandardScaler",
    "Table",
    "TableSchema",
    "Whitening",
    "compose",
    "drop_values",
    "fit_distribution",
    "load_digits",
    "random_crop",
    "random_flip",
    "random_noise",
    "random_shift",
    "read_cifar10",
    "read_csv",
    "read_idx",
    "read_image",
    "read_image_folder",
    "read_image_parts",
    "read_mnist",
    "resample",
    "split",
    "windows",
    "write_idx",
]
