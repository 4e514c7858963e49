"""The binary version of CIFAR-10: against the definition of the format, and what people have instead."""

import gzip
import pickle

import numpy as np
import pytest

from fastnn.data import read_cifar10
from fastnn.data.cifar import read_cifar10_folder


def records(count, seed=0, labels=1, most=10):
    """The bytes of a file, and what is in it."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, most, (count, labels), np.uint8)
    images = rng.integers(0, 256, (count, 3, 32, 32), np.uint8)
    return b"".join(c.tobytes() + i.tobytes() for c, i in zip(classes, images, strict=True)), images, classes[:, -1]


def assert_read(data, images, labels):
    assert data.images.dtype == np.float32
    np.testing.assert_array_equal(data.images, images.astype(np.float32) / 255)
    np.testing.assert_array_equal(data.labels, labels.astype(np.int64), strict=True)
    assert len(data.classes) == 10
    assert data.classes[3] == "cat"


@pytest.mark.parametrize("name", ["data_batch_1.bin", "data_batch_1.bin.gz", "anything"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("count", [1, 7])
def test_by_definition(tmp_path, name, packed, count):
    data, images, labels = records(count)
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    assert_read(read_cifar10(tmp_path / name), images, labels)
    assert_read(read_cifar10([str(tmp_path / name)]), images, labels)


def test_several_files_in_order(tmp_path):
    parts = {i: records(i % 3 + 1, seed=i) for i in (1, 2, 10)}
    for i, (data, _, _) in parts.items():
        (tmp_path / f"data_batch_{i}.bin").write_bytes(data)
    (tmp_path / "test_batch.bin").write_bytes(records(2, seed=9)[0])
    images, labels = (np.concatenate([parts[i][k] for i in (1, 2, 10)]) for k in (1, 2))
    assert_read(read_cifar10(str(tmp_path / "data_batch_*.bin")), images, labels)
    sets = read_cifar10_folder(tmp_path)
    assert_read(sets.train, images, labels)
    assert_read(sets.test, *records(2, seed=9)[1:])
    backwards = read_cifar10(tmp_path / f"data_batch_{i}.bin" for i in (10, 2, 1))
    assert backwards.labels[: len(parts[10][2])].tolist() == parts[10][2].tolist()


def test_names_with_brackets_are_names_where_such_a_file_is_there(tmp_path):
    data, images, labels = records(1)
    (tmp_path / "a[1].bin").write_bytes(data)
    assert_read(read_cifar10(tmp_path / "a[1].bin"), images, labels)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty"),
        (records(3)[0][:-1], "has 9 218 bytes, 2 records and 3072 bytes more; it was cut short"),
        (records(3)[0] + b"\x01", "1 bytes more"),
        (b"\x01", "has 1 bytes"),
        (records(4, labels=2, most=9)[0], "4 records of 3074: it seems to be CIFAR-100"),
        # So many that the records of the one fill those of the other.
        (records(3073, labels=2, most=9)[0], "seems|label"),
        (pickle.dumps({b"data": bytes(3073)}, 2), "Python pickle, which fastnn never opens"),
        (b"\x89PNG\r\n\x1a\n" + bytes(3065), "a PNG picture"),
        (b"<!doctype html>" + bytes(20), "an HTML page"),
        (b"\x00\x00\x08\x03" + bytes(50), "an IDX file"),
        (b"cifar-10/data_batch_1.bin".ljust(257, b"\x00") + b"ustar\x0000" + bytes(300), "a tar archive"),
        (bytes(5) + records(3)[0][5:3073] + b"\x0a" + records(1)[0][1:], "the label 10 in record 1"),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("packed", [False, True])
def test_other_files_are_named(tmp_path, data, text, packed):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    with pytest.raises(ValueError, match=rf"^read_cifar10: .*data_batch_1\.bin.*({text})"):
        read_cifar10(path)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(ValueError, match="is a folder, which holds nothing; name the files"):
        read_cifar10(tmp_path)
    with pytest.raises(ValueError, match="there is no file"):
        read_cifar10(str(tmp_path / "*.bin"))
    with pytest.raises(ValueError, match="no files were named"):
        read_cifar10([])
    with pytest.raises(FileNotFoundError):
        read_cifar10(tmp_path / "no")
    with pytest.raises(ValueError, match="holds nothing; expected data_batch_1"):
        read_cifar10_folder(tmp_path)


def test_gzip_files_are_not_unpacked_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("fastnn.data.cifar.MAX_UNPACKED", 10_000)
    (tmp_path / "a").write_bytes(gzip.compress(bytes(3073 * 4)))
    with pytest.raises(ValueError, match="is a gzip file of more than 10 000 bytes of content; unpack it first"):
        read_cifar10(tmp_path / "a")
