"""Files that were damaged at random are read as what their bytes say, or refused by an error that names them.

What the bytes say is found by other means here: `struct`, `csv` row by row, Pillow. Each kind of file is damaged in a hundred
ways, which follow from a seed.
"""

import csv
import gzip
import io
import struct
import tracemalloc
import warnings

import numpy as np
import pytest

import fastnn as fnn
from fastnn.data import read_cifar10, read_csv, read_idx, read_image_folder

COUNT = 100


# ---- damage -------------------------------------------------------------------------------------------------------------


def cut(data, rng):
    return data[: rng.integers(len(data))]


def flip(data, rng, within=None):
    changed = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(min(len(changed), within or len(changed)), size=rng.integers(1, 5))
    changed[places] ^= rng.integers(1, 256, len(places), np.uint8)
    return changed.tobytes()


def flip_in_front(data, rng):
    return flip(data, rng, within=32)


def lengthen(data, rng):
    return data + rng.integers(0, 256, rng.integers(1, 100), np.uint8).tobytes()


def repeat(data, rng):
    first, last = sorted(rng.integers(0, len(data), 2))
    return data[:last] + data[first:]


def blank(data, rng):
    start = rng.integers(len(data))
    length = min(int(rng.integers(1, 60)), len(data) - start)
    return data[:start] + bytes(length) + data[start + length :]


def pack(data, rng):
    return gzip.compress(data, 1)


def pack_and_flip(data, rng):
    return flip(pack(data, rng), rng)


def pack_and_cut(data, rng):
    return cut(pack(data, rng), rng)


def exchange(data, rng):
    return list(WHOLE.values())[rng.integers(len(WHOLE))]()


DAMAGE = (cut, flip, flip_in_front, lengthen, repeat, blank, pack, pack_and_flip, pack_and_cut, exchange)


def damaged(kind):
    """Names and contents of files of a kind."""
    for seed in range(COUNT):
        rng = np.random.default_rng(seed)
        how = DAMAGE[seed % len(DAMAGE)]
        name = f"{kind}-{seed}-{how.__name__}" + rng.choice(["", ".gz", ".png", ".csv"])
        yield name, how(WHOLE[kind](seed), rng)


# ---- files, whole -------------------------------------------------------------------------------------------------------


def idx_file(seed=0):
    rng = np.random.default_rng(seed)
    code, letter = [(8, "B"), (9, "b"), (11, ">h"), (12, ">i"), (13, ">f"), (14, ">d")][seed % 6]
    shape = rng.integers(1, 9, rng.integers(1, 4)).tolist()
    values = rng.integers(0, 100, shape).astype(letter)
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + values.tobytes()


def cifar_file(seed=0):
    rng = np.random.default_rng(seed)
    records = rng.integers(0, 256, (3, 3073), np.uint8)
    records[:, 0] %= 10
    return records.tobytes()


def csv_file(seed=0):
    rng = np.random.default_rng(seed)
    rows = [f"{rng.normal():.3g},{rng.choice(['red', 'green'])},{rng.choice(['yes', 'no'])}" for _ in range(20)]
    return "\n".join(["number,colour,answer", "1,red,yes", "2,green,no", *rows, ""]).encode()


def picture_file(seed=0):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)
    file = io.BytesIO()
    image.fromarray(pixels).save(file, ("png", "jpeg", "bmp")[seed % 3])
    return file.getvalue()


STATE = {"model": {"weight": np.arange(12.0).reshape(3, 4), "bias": np.arange(3)}, "epoch": 3}


def checkpoint_file(seed=0):
    return CHECKPOINT.read_bytes()


WHOLE = {
    "idx": idx_file,
    "cifar": cifar_file,
    "csv": csv_file,
    "picture": picture_file,
    "checkpoint": checkpoint_file,
}


@pytest.fixture(scope="module", autouse=True)
def _checkpoint(tmp_path_factory):
    global CHECKPOINT
    CHECKPOINT = tmp_path_factory.mktemp("whole") / "a.npz"
    fnn.save_checkpoint(CHECKPOINT, STATE)


# ---- what their bytes say -----------------------------------------------------------------------------------------------


def content(data):
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def idx_meaning(data):
    data = content(data)
    if data[:2] != b"\x00\x00" or data[3] == 0:
        return None
    letter = {8: "B", 9: "b", 11: ">h", 12: ">i", 13: ">f", 14: ">d"}[data[2]]
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    return np.frombuffer(data[4 + 4 * len(shape) :], letter).reshape(shape)


def cifar_meaning(data):
    records = np.frombuffer(content(data), np.uint8).reshape(-1, 3073)
    if not len(records) or records[:, 0].max() > 9:
        return None
    return records[:, 1:].reshape(-1, 3, 32, 32) / np.float32(255), records[:, 0]


def csv_meaning(data):
    """The columns of a file with the names of `csv_file`, None if it is none; the answer may be missing."""
    text = content(data).decode("utf-8")
    rows = [row for row in csv.reader(io.StringIO(text, newline="\n"), strict=True, skipinitialspace=True) if any(row)]
    if "\0" in text or len({len(row) for row in rows}) != 1 or len(rows) < 2:
        return None
    names = [name.strip() for name in rows[0]]
    columns = dict(zip(names, zip(*rows[1:], strict=True), strict=True))
    if not {"number", "colour"} <= columns.keys() or len(columns) < len(names):
        return None
    numbers = [np.nan if value.strip() in ("", "?") else float(value) for value in columns["number"]]
    return numbers, [value.strip() for value in columns["colour"]], [v.strip() for v in columns.get("answer", ())]


def picture_meaning(data):
    image = pytest.importorskip("PIL.Image")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with image.open(io.BytesIO(data)) as picture:
            return np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0)


# ---- the readers --------------------------------------------------------------------------------------------------------


def tried(call, name):
    """What a reader gives, or the error, once it is sure that it names the file and is not as long as the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about columns that are left out
            return call(), None
    except ValueError as fault:
        error = fault
    assert name in str(error), str(error)
    assert len(str(error)) < 1000
    return None, error


def meaning_of(function, data):
    try:
        return function(data)
    except Exception:  # noqa: BLE001 - whatever stands in the way of the other means
        return None


@pytest.fixture
def _bounded():
    """Readers take little more memory than there are bytes."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def check_counts(read, refusals):
    """The damage is neither always harmless nor always fatal."""
    assert read + refusals == COUNT
    assert read >= 5
    assert refusals >= 30


@pytest.mark.usefixtures("_bounded")
def test_idx_files(tmp_path):
    refusals = 0
    for name, data in damaged("idx"):
        (tmp_path / name).write_bytes(data)
        expected = meaning_of(idx_meaning, data)
        array, error = tried(lambda name=name: read_idx(tmp_path / name), name)
        assert (error is None) == (expected is not None), (name, error)
        if error is None:
            assert array.dtype == expected.dtype.newbyteorder("=")
            np.testing.assert_array_equal(array, expected, err_msg=name)
        if data[:2] != b"\x1f\x8b":
            mapped, second = tried(lambda name=name: read_idx(tmp_path / name, mmap=True), name)
            assert (second is None) == (error is None)
            assert error is not None or (mapped == expected).all() or np.isnan(expected).any()
        refusals += error is not None
    check_counts(COUNT - refusals, refusals)


@pytest.mark.usefixtures("_bounded")
def test_cifar_files(tmp_path):
    refusals = 0
    for name, data in damaged("cifar"):
        (tmp_path / name).write_bytes(data)
        expected = meaning_of(cifar_meaning, data)
        read, error = tried(lambda name=name: read_cifar10(tmp_path / name), name)
        assert (error is None) == (expected is not None), (name, error)
        if error is None:
            np.testing.assert_array_equal(read.images, expected[0], err_msg=name)
            np.testing.assert_array_equal(read.labels, expected[1], err_msg=name)
        refusals += error is not None
    check_counts(COUNT - refusals, refusals)


@pytest.mark.usefixtures("_bounded")
def test_csv_files(tmp_path):
    (tmp_path / "whole").write_bytes(csv_file())
    schema = read_csv(tmp_path / "whole", "answer").schema
    refusals = 0
    for name, data in damaged("csv"):
        (tmp_path / name).write_bytes(data)
        expected = meaning_of(csv_meaning, data)
        table, error = tried(lambda name=name: schema.read(tmp_path / name), name)
        if error is None and "columns taken in the order" not in "".join(table.notes):
            numbers, colours, answers = expected
            np.testing.assert_array_equal(table.x[:, 0], numbers, err_msg=name)
            assert [{(1, 0): "green", (0, 1): "red", (0, 0): ""}[tuple(row)] for row in table.x[:, 1:]] == [
                "" if colour == "?" else colour for colour in colours
            ]
            if table.y is not None:
                assert [schema.classes[label] for label in table.y] == answers
        elif expected is not None:
            # Strange words are refused, control characters, and numbers that Python's float knows and files don't have.
            numbers, colours, answers = expected
            assert (
                not {"red", "green", ""}.issuperset(colours)
                or not {"yes", "no"}.issuperset(answers)
                or not np.isfinite(numbers).all()
                or not content(data)[:512].decode(errors="replace").replace("\n", "").isprintable()
            ), (name, error)
        whole, _ = tried(lambda name=name: read_csv(tmp_path / name), name)
        assert whole is None or whole.x.shape == (len(whole.lines), len(whole.names))
        refusals += error is not None
    check_counts(COUNT - refusals, refusals)


@pytest.mark.usefixtures("_bounded")
def test_pictures(tmp_path):
    (tmp_path / "a").mkdir()
    refusals = 0
    for name, data in damaged("picture"):
        path = tmp_path / "a" / name
        path.write_bytes(data)
        expected = meaning_of(picture_meaning, data)
        read, error = tried(lambda: read_image_folder(tmp_path, skip_broken=False), name)
        assert (error is None) == (expected is not None), (name, error)
        if error is None:
            np.testing.assert_array_equal(read.images[0], expected / np.float32(255), err_msg=name)
        path.unlink()
        refusals += error is not None
    check_counts(COUNT - refusals, refusals)


@pytest.mark.usefixtures("_bounded")
def test_checkpoints(tmp_path):
    refusals = 0
    for name, data in damaged("checkpoint"):
        (tmp_path / name).write_bytes(data)
        state, error = tried(lambda name=name: fnn.load_checkpoint(tmp_path / name), name)
        if error is None:
            assert state["epoch"] == 3
            for key, array in STATE["model"].items():
                np.testing.assert_array_equal(state["model"][key], array, strict=True)
        else:
            assert isinstance(error, fnn.CheckpointError)
        refusals += error is not None
    check_counts(COUNT - refusals, refusals)
