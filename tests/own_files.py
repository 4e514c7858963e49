"""Tables and folders of pictures as a person has them."""

import numpy as np
import pytest

from fastnn.data import write_idx
from fastnn.data.source import Dataset, Part


def table(n=100, classes=None, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * [1, 100, 1e-3] + [0, 1e6, 5]
    score = (x[:, 1] - 1e6) / 100 + x[:, 0]
    y = (score > 0).astype(np.int64) if classes else 40 + 7 * score
    return Dataset("t", "csv", {"train": Part(x, y)}, classes)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def pictures(folder, classes=("cat", "dog"), size=(8, 8), n=6, colour=True, seed=0):
    image_module = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(seed)
    for i, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for j in range(n):
            pixels = rng.integers(0, 100, (*size, 3)) + 120 * i
            if not colour:
                pixels[:] = pixels[..., :1]
            image_module.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{j}.png")
    return str(folder)


def wine_like(n=60, seed=0):
    """Rows of two numbers, a text and a class that follows from them."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        a, b, c = rng.normal(), rng.normal(50, 20), rng.integers(0, 2)
        yield f"{a:.4f}", f"{b:.3f}", "rot" if c else "grün", "gut" if a + (b - 50) / 20 + c > 0.5 else "schlecht"


def csv(path, rows, header="säure,menge,farbe,urteil"):
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return str(path)


def digits_folder(folder, n=60, test=True, size=(9, 9)):
    """IDX files with images whose class is where the light is."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for part, count in (("train", n), ("t10k", 20))[: 1 + test]:
        labels = rng.integers(0, 3, count).astype(np.uint8)
        images = rng.integers(0, 60, (count, *size)).astype(np.uint8)
        for i, label in enumerate(labels):
            images[i, 3 * label : 3 * label + 3] += 150
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return str(folder)
