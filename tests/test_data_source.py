"""What is at a path, how it is read, and what looks wrong in it."""

import numpy as np
import pytest

from fastnn.data import write_idx
from fastnn.data.named_arrays import read_pairs
from fastnn.data.review import review
from fastnn.data.source import default_side, read_dataset, recognise
from own_files import pictures, write

# ---- what is at a path ----------------------------------------------------------------------------------------------------


def test_recognised_by_content(tmp_path):
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "arrays", x=np.ones(3))
    np.save(tmp_path / "array.npy", np.ones(3))
    write_idx(tmp_path / "one", np.ones(3, np.uint8))
    (tmp_path / "pdf").write_bytes(b"%PDF-1.4")
    cifar = tmp_path / "c"
    cifar.mkdir()
    np.zeros(3073, np.uint8).tofile(cifar / "data_batch_1.bin")
    mnist = tmp_path / "m"
    mnist.mkdir()
    write_idx(mnist / "train-images-idx3-ubyte.gz", np.zeros((1, 8, 8), np.uint8))
    found = {name: recognise(tmp_path / name) for name in ("arrays.npz", "array.npy", "one", "c", "m")}
    assert found == {
        "arrays.npz": "arrays",
        "array.npy": "arrays",
        "one": "idx",
        "c": "cifar folder",
        "m": "idx folder",
    }
    assert recognise(write(tmp_path / "t.dat", "a;b\n1;2\n")) == "csv"
    assert recognise(pictures(tmp_path / "p")) == "image folder"
    pictures(tmp_path / "q" / "train")
    assert recognise(tmp_path / "q") == "parts folder"
    for name, text in (("empty", "holds nothing; expected IDX"), ("pdf", "is a PDF document; expected a CSV")):
        with pytest.raises(ValueError, match=text):
            recognise(tmp_path / name)


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("images", "labels"), ["train"]),
        (("X", "y"), ["train"]),
        (("data", "target"), ["train"]),
        (("x_train", "y_train", "x_test", "y_test"), ["train", "test"]),
        (("test_images", "test_labels", "train_images", "train_labels"), ["train", "test"]),
        (("x_train", "y_train", "x_val", "y_val", "mean"), ["train", "validation"]),
    ],
)
def test_names_of_arrays(tmp_path, names, parts):
    arrays = {
        n: np.zeros((4, 3))
        if n.lower().strip("_tesravlin") in ("x", "image", "d") or "data" in n or "images" in n
        else np.zeros((4, 1))
        for n in names
    }
    np.savez(tmp_path / "a.npz", **arrays)
    pairs = read_pairs(tmp_path / "a.npz")
    assert list(pairs) == parts
    assert all(x.shape == (4, 3) and y.shape == (4,) for x, y in pairs.values())


def test_other_arrays_are_named(tmp_path):
    def fault(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(ValueError) as caught:
            read_dataset(tmp_path / "a.npz")
        return str(caught.value)

    assert "holds the arrays 'p', 'q'; expected images and labels" in fault(p=np.ones(1), q=np.ones(1))
    assert "'x' and 'data' could both be meant" in fault(x=np.ones((1, 1)), data=np.ones((1, 1)))
    assert "has no targets for 'train'" in fault(x=np.ones((3, 1)), z=np.ones(3))
    assert "expected one real number for each of its 3 samples" in fault(x=np.ones((3, 1)), y=np.ones(4))
    assert "has no training part, only 'test'" in fault(x_test=np.ones((3, 1)), y_test=np.ones(3))
    assert "hold 1 that are not finite" in fault(x=np.ones((3, 1)), y=np.array([1, 2, np.nan]))
    assert "dtype 'object' is not supported" in fault(x=np.array([[{}]]), y=np.ones(1))
    assert "expected 1 or 3 channels" in fault(x=np.ones((2, 5, 8, 8)), y=np.ones(2, int))
    assert "have the shapes" in fault(x_train=np.ones((2, 3)), y_train=[1.0, 2], x_test=np.ones((1, 2)), y_test=[1.0])


def test_arrays_become_samples(tmp_path):
    grey = np.full((6, 8, 9), 255, np.uint8)
    np.savez(tmp_path / "a.npz", images=grey, labels=np.array([3, 1, 3, 1, 3, 7]))
    data = read_dataset(tmp_path / "a.npz")
    assert data.images
    assert data.classes == ("1", "3", "7")
    assert data.parts["train"].x.shape == (6, 1, 8, 9)
    assert data.parts["train"].x.max() == 1
    assert data.parts["train"].y.tolist() == [1, 0, 1, 0, 1, 2]
    for dtype in (np.float32, np.int64):
        np.savez(tmp_path / "f.npz", images=grey.astype(dtype), labels=np.arange(6) % 2)
        assert (read_dataset(tmp_path / "f.npz").parts["train"].x == data.parts["train"].x).all()
    np.savez(tmp_path / "f.npz", images=np.full((6, 8, 8), 300.0), labels=np.arange(6) % 2)
    assert read_dataset(tmp_path / "f.npz").parts["train"].x.max() == 300
    np.savez(tmp_path / "b.npz", x=np.ones((6, 8, 9, 3), np.float32), y=np.arange(6) / 2)
    data = read_dataset(tmp_path / "b.npz")
    assert data.classes is None
    assert data.parts["train"].x.shape == (6, 3, 8, 9)
    np.savez(tmp_path / "c.npz", x=np.ones((6, 2)), y=np.arange(6))
    assert read_dataset(tmp_path / "c.npz").classes is None
    assert read_dataset(tmp_path / "c.npz", kind="regression").classes is None
    np.savez(tmp_path / "d.npz", x=np.ones((6, 2)), y=np.array([True, False] * 3))
    assert read_dataset(tmp_path / "d.npz").classes == ("0", "1")
    with pytest.raises(ValueError, match="too many for classes"):
        read_dataset(tmp_path / "c.npz", kind="classification")


def test_a_target_must_be_named(tmp_path):
    path = write(tmp_path / "a.csv", "a,b\n1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"has the columns 'a', 'b': which is to be predicted\? --target NAME"):
        read_dataset(path)
    with pytest.raises(ValueError, match="its columns are 'a', 'b'"):
        read_dataset(path, target="c")
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    with pytest.raises(ValueError, match="is no CSV file"):
        read_dataset(tmp_path / "a.npy", target="a")
    with pytest.raises(ValueError, match="is no folder of pictures"):
        read_dataset(tmp_path / "a.npy", size=8)


def test_pictures_keep_a_usual_size_and_lose_colour_that_they_do_not_have(tmp_path):
    assert read_dataset(pictures(tmp_path / "a")).parts["train"].x.shape == (12, 3, 8, 8)
    assert read_dataset(pictures(tmp_path / "b", size=(10, 12), colour=False)).parts["train"].x.shape == (12, 1, 10, 12)
    large = pictures(tmp_path / "c", size=(70, 12))
    assert read_dataset(large).parts["train"].x.shape == (12, 3, 32, 32)
    assert read_dataset(large, size=16).parts["train"].x.shape == (12, 3, 16, 16)
    for part, n in (("train", 4), ("test", 2)):
        pictures(tmp_path / "d" / part, n=n)
    data = read_dataset(tmp_path / "d")
    assert {name: len(part.x) for name, part in data.parts.items()} == {"train": 8, "test": 4}
    (tmp_path / "a" / "cat" / "x.png").write_text("no picture")
    (tmp_path / "a" / ".ipynb_checkpoints").mkdir()
    assert any("x.png" in note and ".ipynb_checkpoints" in note for note in read_dataset(tmp_path / "a").notes)
    assert default_side(tmp_path / "c") == 32


# ---- reviews --------------------------------------------------------------------------------------------------------------


def findings(path, **options):
    return "\n".join(review(path, **options).findings)


def test_nothing_wrong_with_good_data(tmp_path):
    rng = np.random.default_rng(0)
    rows = "".join(
        f"{a:.3f},{'xy'[b]},{'no' if a + b < 0.5 else 'yes'}\n"
        for a, b in zip(rng.normal(size=80), rng.integers(0, 2, 80), strict=True)
    )
    path = write(tmp_path / "a.csv", "size,kind,big\n" + rows)
    found = review(path, target="big")
    assert found.findings == []
    text = "\n".join(found.facts)
    assert "80 rows of 3 columns" in text
    assert "column kind: text, 2 different: " in text
    assert "class no: " in text


def test_what_looks_wrong_in_a_table(tmp_path):
    lines = [f"{i},{i % 7},5,{i % 3},{'' if i < 4 else i * 0.5},{'x' if i == 9 else i},{i % 3}" for i in range(40)]
    lines += [lines[0], lines[0].replace("0,0,5,0", "0,0,5,1", 1)]
    path = write(tmp_path / "a.csv", "id,a,same,copy,gaps,mixed,label\n" + "\n".join(lines) + "\n")
    text = findings(path)
    assert "column 'same' is constant, '5'" in text
    assert "column 'gaps' lacks 6 of 42 values" in text
    assert "column 'mixed' holds numbers and 1 text, the first 'x' in line 11" in text
    assert "1 row is there before" in text
    assert "columns 'copy' and 'label' are equal" not in text
    lines = [f"{i},{i % 7},{i % 3},{i % 3}" for i in range(40)]
    path = write(tmp_path / "b.csv", "id,a,copy,label\n" + "\n".join(lines) + "\n")
    text = findings(path, target="label")
    assert "column 'id' has another value in each row: it seems to name the rows" in text
    assert "columns 'copy' and 'label' are equal: it gives the target away" in text
    assert "columns that give the target away: 'copy'" in text
    path = write(
        tmp_path / "c.csv", "a,label\n" + "".join(f"{i * 0.37 % 1},{1 + i % 2 * 2}\n" for i in range(40)) + "0.5,9\n"
    )
    text = findings(path, target="label")
    assert "labels" not in text
    facts = review(path, target="label").facts
    assert "note: labels begin at 1, not at 0; here the classes are numbered from 0 on" in facts
    assert "note: labels leave gaps: there is no 2, 4, 5, 6, 7, 8; here the classes are numbered from 0 on" in facts
    assert "classes with fewer than 5 samples: '9'" in text
    path = write(tmp_path / "d.csv", "a,label\n1,\n2,3\n")
    assert "`fastnn train` refuses it: read_csv:" in findings(path, target="label")
    path = write(tmp_path / "e.csv", "a,price\n" + "".join(f"{i * 0.5},{i * 1.5 + 2}\n" for i in range(40)))
    assert "columns that give the target away: 'a'" in findings(path, target="price")


def test_what_looks_wrong_in_images(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 8, 8), np.uint8)
    labels = (1 + np.arange(60) % 2 * 2).astype(np.uint8)
    images[3] = 7
    images[4] = images[5]
    folder = tmp_path / "m"
    folder.mkdir()
    for name, rows in (("train", slice(0, 50)), ("t10k", slice(50, 60))):
        part, of = images[rows].copy(), labels[rows].copy()
        if name == "t10k":
            part[0] = images[20]
            of[3] = 6
        write_idx(folder / f"{name}-images-idx3-ubyte", part)
        write_idx(folder / f"{name}-labels-idx1-ubyte", of)
    text = findings(folder)
    assert "train: 1 image of a single value: number 4" in text
    assert "train: 1 sample is there before" in text
    assert "test: 1 sample is also in train, so that a test is of what was learnt" in text
    assert "1 sample is there before with another target" in text
    assert "labels begin at 1, not at 0" in text
    assert "labels leave gaps: there is no 2, 4, 5" in text
    assert "test: classes that the training part lacks: '6'" in text
    rng.shuffle(labels)
    np.savez(tmp_path / "b.npz", x=rng.random((60, 8, 8)), y=labels)
    found = review(tmp_path / "b.npz")
    assert found.findings == []
    assert [fact.partition(";")[0] for fact in found.facts[-2:]] == [
        "note: labels begin at 1, not at 0",
        "note: labels leave gaps: there is no 2",
    ]
    np.savez(tmp_path / "a.npz", x=np.full((9, 8, 8), np.nan), y=np.zeros(9, int))
    text = findings(tmp_path / "a.npz")
    assert "train: 576 values are not finite" in text
    assert "there is only one class" in text
