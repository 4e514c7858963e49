"""Mini-batches, splits, augmentation, and the handwritten digits of scikit-learn."""

from .augment import random_noise, random_shift
from .batches import Batches
from .cifar import read_cifar10
from .csv_table import Table, TableSchema, read_csv
from .digits import DigitsSplit, Labelled, load_digits
from .extras import MissingExtraError
from .idx import read_idx, write_idx
from .image_folder import read_image_folder, read_image_parts
from .labelled import ImageSets, LabelledImages
from .mnist import read_mnist
from .split import stratified_split

__all__ = [
    "Batches",
    "DigitsSplit",
    "ImageSets",
    "Labelled",
    "LabelledImages",
    "MissingExtraError",
    "Table",
    "TableSchema",
    "load_digits",
    "random_noise",
    "random_shift",
    "read_cifar10",
    "read_csv",
    "read_idx",
    "read_image_folder",
    "read_image_parts",
    "read_mnist",
    "stratified_split",
    "write_idx",
]
