"""IDX files and MNIST's folder: against the definition of the format, and what people have instead."""

import gzip
import io
import os
import pickle
import struct
import sys

import numpy as np
import pytest

from fastnn.data import read_idx, read_mnist, write_idx

DTYPES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def by_definition(array):
    """The bytes of a file, number by number."""
    code = DTYPES[array.dtype.name]
    letter = {8: "B", 9: "b", 11: "h", 12: "i", 13: "f", 14: "d"}[code]
    head = struct.pack(">BBBB", 0, 0, code, array.ndim) + b"".join(struct.pack(">I", n) for n in array.shape)
    return head + b"".join(struct.pack(">" + letter, value) for value in array.ravel().tolist())


def numbers(dtype, shape=(3, 4, 5)):
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return (rng.standard_normal(shape) * 10.0 ** rng.integers(-30, 30, shape)).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.fixture
def idx(tmp_path):
    """Writes bytes to a file and gives its name."""

    def write(data, name="a-idx3-ubyte"):
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return write


def fault(call, path):
    """The message of the error, which names function and file first."""
    with pytest.raises(ValueError) as info:
        call()
    text = str(info.value)
    assert repr(str(path)) in text
    return text


def refusal(path, **options):
    return fault(lambda: read_idx(path, **options), path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (0,), (0, 28, 28), (2, 0), (1, 1, 1, 1, 1)])
def test_both_ways_by_definition(tmp_path, idx, dtype, shape):
    array = numbers(dtype, shape)
    data = by_definition(array)
    for name, content in {"plain": data, "named.gz": data, "packed": gzip.compress(data)}.items():
        read = read_idx(idx(content, name))
        assert read.dtype == np.dtype(dtype)
        assert read.flags.writeable
        np.testing.assert_array_equal(read, array, strict=True)
    write_idx(tmp_path / "b", array)
    assert (tmp_path / "b").read_bytes() == data
    mapped = read_idx(tmp_path / "b", mmap=True)
    assert mapped.shape == shape
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, array)


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_is_written_is_the_values(tmp_path, order):
    array = numbers("int32", (6, 8)).astype(order + "i4")[::2, ::-1]
    array.flags.writeable = False
    write_idx(tmp_path / "a", array)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)
    write_idx(tmp_path / "a", [1.5, 2.0])  # array_like; an older file is replaced
    assert read_idx(tmp_path / "a").tolist() == [1.5, 2]


def test_large_arrays_are_written_in_pieces(tmp_path):
    array = np.arange(20 << 20, dtype=np.uint8).reshape(5, -1)
    write_idx(tmp_path / "a", array)
    assert (read_idx(tmp_path / "a", mmap=True) == array).all()


def test_gzip_by_name_and_the_same_bytes_each_time(tmp_path):
    array = numbers("uint8")
    for name in ("a.gz", "b.gz"):
        write_idx(tmp_path / name, array)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == by_definition(array)
    assert sorted(os.listdir(tmp_path)) == ["a.gz", "b.gz"]


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (np.arange(10), TypeError, "dtype int64; these values fit uint8: write array.astype(np.uint8)"),
        (np.arange(-10, 300), TypeError, "fit int16"),
        (np.array([1 << 40]), TypeError, "fit none"),
        (np.array([True]), TypeError, "dtype bool; these values fit uint8"),
        (np.array([1j]), TypeError, "expected uint8"),
        (np.array(["a"]), TypeError, "expected uint8"),
        (np.float16([1]), TypeError, "float16"),
        (np.float32(3), ValueError, r"shape ()"),
        (np.zeros((1,) * 33, np.uint8), ValueError, "1 to 32 axes"),
        (np.ma.array([1.0], mask=[1]), TypeError, "masked"),
    ],
)
def test_what_cannot_be_written(tmp_path, array, error, text):
    with pytest.raises(error, match=r"^write_idx: ") as info:
        write_idx(tmp_path / "a", array)
    assert text in str(info.value)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_idx(tmp_path / "a", np.zeros(3, np.uint8))
    before = (tmp_path / "a").read_bytes()

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_idx(tmp_path / "a", np.ones(5, np.uint8))
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == before


def test_folders_and_special_files_are_no_targets(tmp_path):
    for target in (tmp_path, "/dev/null", ""):
        with pytest.raises(ValueError, match=r"^write_idx: "):
            write_idx(target, np.zeros(3, np.uint8))


IMAGES = by_definition(numbers("uint8", (10, 28, 28)))


def test_the_size_is_compared_with_the_header_before_anything_is_read(idx):
    path = idx(struct.pack(">BBBBIII", 0, 0, 8, 3, 60000, 28, 28) + bytes(9912406))
    for mmap in (False, True):
        text = refusal(path, mmap=mmap)
        assert "says 60 000×28×28 of uint8, 47 040 016 bytes with the header; the file has 9 912 422" in text


@pytest.mark.parametrize("count", [0, 4, 15, 16, 100, len(IMAGES) - 1, len(IMAGES) + 1])
def test_other_sizes(idx, count):
    data = (IMAGES + b"x")[:count]
    refusal(idx(data))
    text = refusal(idx(gzip.compress(data)))
    assert "gzip" in text or "header" in text


def test_headers_that_claim_what_cannot_be(idx):
    head = struct.pack(">BBBBIII", 0, 0, 14, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    assert "4 294 967 295×4 294 967 295" in refusal(idx(head))
    text = refusal(idx(gzip.compress(head + bytes(10000))))
    assert "cannot unpack to that" in text
    assert "200 axes" in refusal(idx(bytes([0, 0, 8, 200]) + bytes(900)))
    little = b"\x00\x00\x08\x01" + struct.pack("<I", 3) + b"abc"
    assert "big end first" in refusal(idx(little))


def test_gzip_files_that_are_no_longer_whole(idx):
    packed = gzip.compress(IMAGES)
    assert "ends too early" in refusal(idx(packed[:-20]))
    damaged = bytearray(packed)
    damaged[-6] ^= 1  # of the check sum
    assert "damaged gzip file" in refusal(idx(damaged))
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 255
    assert "damaged gzip file" in refusal(idx(damaged))
    assert "damaged gzip file" in refusal(idx(packed + b"more"))
    assert "gzipped twice" in refusal(idx(gzip.compress(packed)))
    assert "unpack it first" in refusal(idx(packed), mmap=True)


def npz():
    file = io.BytesIO()
    np.savez(file, x=np.zeros(3))
    return file.getvalue()


def npy():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "a PNG picture"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "a JPEG picture"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a WebP picture"),
        (npy(), "a .npy file"),
        (npz(), "an .npz file of NumPy arrays"),
        (b"PK\x03\x04" + bytes(22) + b"\x13\x00\x00\x00[Content_Types].xml", "an Excel or Word document"),
        (b"PK\x03\x04" + bytes(22) + b"\x05\x00\x00\x00a.txt", "a zip archive"),
        (b"BZh9", "bzip2"),
        (pickle.dumps({"data": 1}, 2), "a Python pickle, which fastnn never opens"),
        (b"<!DOCTYPE HTML><html>", "an HTML page, perhaps of a download that failed"),
        (b'\n<?xml version="1.0"?><Error><Code>AccessDenied', "XML text, perhaps of a download that failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a Git LFS pointer"),
        (b"404: Not Found", "text that begins with '404: Not Found'"),
        (bytes(4000), "is at its start nothing but zero bytes"),
        (bytes(range(0xA0, 0x100)), "text that begins"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", "of an unknown kind, with the first bytes 01 02 03 04 05 06 07 08"),
        (b"abc.bin" + bytes(250) + b"ustar\x0000" + bytes(300), "a tar archive"),
    ],
)
def test_files_of_other_kinds_are_named(idx, data, what):
    path = idx(data)
    text = refusal(path)
    assert text.startswith("read_idx: ")
    assert what in text
    assert "expected an IDX file" in text
    path = idx(gzip.compress(data))
    text = refusal(path)
    assert "is a gzip file, and what is in it is " in text
    assert what.removeprefix("is ") in text


def test_paths_that_are_no_files(tmp_path):
    assert "is a folder" in fault(lambda: read_idx(tmp_path), tmp_path)
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "no")
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")
        assert "no regular file" in fault(lambda: read_idx(tmp_path / "pipe"), tmp_path / "pipe")


# ---- MNIST's folder -----------------------------------------------------------------------------------------------------


def mnist_arrays(count=5, side=6):
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, side, side), np.uint8), rng.integers(0, 10, count).astype(np.uint8)


def write_mnist(folder, names, part="train", count=5):
    images, labels = mnist_arrays(count)
    for what, axes, array in (("images", 3, images), ("labels", 1, labels)):
        write_idx(os.path.join(folder, names.format(part=part, what=what, axes=axes)), array)
    return images, labels


@pytest.mark.parametrize(
    "names",
    [
        "{part}-{what}-idx{axes}-ubyte",
        "{part}-{what}-idx{axes}-ubyte.gz",
        "{part}-{what}.idx{axes}-ubyte",
        "{part}-{what}.idx{axes}-ubyte.gz",
        "{part}-{what}.idx",
        "{part}_{what}",
        "emnist-letters-{part}-{what}-idx{axes}-ubyte.gz",
    ],
)
@pytest.mark.parametrize("test", ["t10k", "test", None])
def test_the_names_of_mnist(tmp_path, names, test):
    images, labels = write_mnist(tmp_path, names)
    (tmp_path / "README.txt").write_text("beside them")
    (tmp_path / "train-images-idx3-ubyte").exists() or (tmp_path / "train-images-idx3-ubyte").mkdir()
    expected = write_mnist(tmp_path, names, test, 3) if test else None
    sets = read_mnist(tmp_path)
    assert sets.train.images.dtype == np.float32
    np.testing.assert_array_equal(sets.train.images, images[:, None].astype(np.float32) / 255)
    np.testing.assert_array_equal(sets.train.labels, labels.astype(np.int64), strict=True)
    assert sets.train.classes == tuple(str(i) for i in range(10))[: len(sets.train.classes)]
    assert sets.validation is None
    if expected is None:
        assert sets.test is None
    else:
        np.testing.assert_array_equal(sets.test.images, expected[0][:, None].astype(np.float32) / 255)
        assert sets.test.classes == sets.train.classes


def test_mapped_images_are_those_of_the_file(tmp_path):
    images, _ = write_mnist(tmp_path, "{part}-{what}-idx{axes}-ubyte")
    mapped = read_mnist(tmp_path, mmap=True).train.images
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, images[:, None])
    np.testing.assert_array_equal(np.float32(mapped) / 255, read_mnist(tmp_path).train.images)


def test_a_plain_file_goes_before_a_packed_one(tmp_path):
    images, _ = write_mnist(tmp_path, "{part}-{what}-idx{axes}-ubyte")
    write_mnist(tmp_path, "{part}-{what}-idx{axes}-ubyte.gz")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"not looked at")
    assert (read_mnist(tmp_path).train.images[:, 0] * 255 == images).all()


def test_several_sets_in_one_folder(tmp_path):
    for prefix in ("emnist-letters-", "emnist-digits-", ""):
        write_mnist(tmp_path, prefix + "{part}-{what}-idx{axes}-ubyte", count=4 + len(prefix))
    assert "prefix=: '', 'emnist-digits', 'emnist-letters'" in fault(lambda: read_mnist(tmp_path), tmp_path)
    assert len(read_mnist(tmp_path, prefix="emnist-letters").train.labels) == 4 + len("emnist-letters-")
    assert len(read_mnist(tmp_path, prefix="").train.labels) == 4
    assert "no train images of the prefix 'x'" in fault(lambda: read_mnist(tmp_path, prefix="x"), tmp_path)


def test_two_test_parts(tmp_path):
    for part in ("train", "t10k", "test"):
        write_mnist(tmp_path, "{part}-{what}-idx{axes}-ubyte", part)
    assert "has a test part twice, as t10k and as test" in fault(lambda: read_mnist(tmp_path), tmp_path)


def test_floats_and_channels(tmp_path):
    images = np.random.default_rng(0).random((4, 3, 5, 6), np.float32)
    write_idx(tmp_path / "train-images-idx4-float", images)  # not a name of MNIST's
    assert "no train images; it holds 'train-images-idx4-float'" in fault(lambda: read_mnist(tmp_path), tmp_path)
    write_idx(tmp_path / "train-images.idx", images)
    write_idx(tmp_path / "train-labels.idx", np.arange(4, dtype=np.int32))
    np.testing.assert_array_equal(read_mnist(tmp_path).train.images, images, strict=True)


@pytest.mark.parametrize(
    ("images", "labels", "text"),
    [
        (mnist_arrays()[0], mnist_arrays(4)[1], "5 images and .* 4 labels; they don't belong together"),
        (mnist_arrays()[1], mnist_arrays()[0], "seem to be exchanged"),
        (mnist_arrays()[0][0], mnist_arrays()[1], r"expected \(N, H, W\)"),
        (mnist_arrays()[0], np.arange(5, dtype=np.float32), "dtype float32; expected labels"),
        (mnist_arrays()[0], np.arange(-1, 4, dtype=np.int8), "holds -1; expected labels"),
        (mnist_arrays()[0].astype(np.int16), mnist_arrays()[1], "pixels of dtype int16"),
    ],
)
def test_files_that_do_not_fit_together(tmp_path, images, labels, text):
    write_idx(tmp_path / "train-images-idx3-ubyte", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte", labels)
    with pytest.raises(ValueError, match=rf"^read_mnist: .*{text}"):
        read_mnist(tmp_path)


def test_missing_files_are_named(tmp_path):
    assert "no train images; it holds nothing" in fault(lambda: read_mnist(tmp_path), tmp_path)
    write_mnist(tmp_path, "{part}-{what}-idx{axes}-ubyte")
    write_mnist(tmp_path, "{part}-{what}-idx{axes}-ubyte", "t10k")
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert "no test labels" in fault(lambda: read_mnist(tmp_path), tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"<html>")
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(ValueError, match=r"^read_mnist: .*train-images-idx3-ubyte' is an HTML page"):
        read_mnist(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_mnist(tmp_path / "no")


def test_no_samples(tmp_path):
    write_idx(tmp_path / "train-images.idx", np.zeros((0, 5, 5), np.uint8))
    write_idx(tmp_path / "train-labels.idx", np.zeros(0, np.uint8))
    train = read_mnist(tmp_path).train
    assert train.images.shape == (0, 1, 5, 5)
    assert train.classes == ()


@pytest.mark.skipif(sys.platform != "linux", reason="the resource limit")
def test_memory_that_is_not_there(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(by_definition(np.zeros(3, np.uint8)))

    def refuse(*args, **options):
        raise MemoryError("Unable to allocate 3 bytes")

    monkeypatch.setattr(np, "empty", refuse)
    assert "needs more memory than there is" in fault(lambda: read_idx(path), path)
