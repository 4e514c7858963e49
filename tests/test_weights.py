"""Weights in files: safetensors both ways beside the package of that name, sharded sets, fastnn's own checkpoints."""

import json
import os
import struct

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import Trainer
from subproc import needs_package

ARRAYS = {
    "float32": np.linspace(-1, 1, 35, dtype=np.float32).reshape(5, 7),
    "float64": np.array([np.nan, np.inf, -np.inf, 5e-324, -0.0]),
    "empty": np.zeros((0, 3), np.int16),
    "one": np.array(3, np.int64),
    "bool": np.array([True, False]),
    "bytes": np.arange(9, dtype=np.uint8),
    "complex": np.array([1 + 2j], np.complex64),
    "unsigned": np.array([2**64 - 1], np.uint64),
    "strided": np.arange(24, dtype=np.int32).reshape(2, 3, 4).transpose(2, 0, 1)[::-1],
    "big-endian": np.arange(4, dtype=">f8"),
    'name with "quotes" and ümläute': np.ones(1, np.int8),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"  # the name says nothing


def check(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        assert found[name].flags.c_contiguous
        assert found[name].flags.writeable


# ---- safetensors --------------------------------------------------------------------------------------------------------


def test_there_and_back(path):
    fnn.save_weights(ARRAYS, path)
    check(fnn.load_weights(path), ARRAYS)


def test_the_package_reads_and_writes_the_same(path, tmp_path):
    needs_package("safetensors")
    from safetensors.numpy import load_file, save_file

    fnn.save_weights(ARRAYS, path)
    check({name: array.copy() for name, array in load_file(path).items()}, ARRAYS)
    other = tmp_path / "other"
    plain = {name: array.astype(array.dtype.newbyteorder("=")).copy() for name, array in ARRAYS.items()}
    save_file(plain, other)
    check(fnn.load_weights(other), ARRAYS)


def test_equal_arrays_give_equal_bytes(path, tmp_path):
    fnn.save_weights(ARRAYS, path)
    fnn.save_weights(dict(reversed(ARRAYS.items())), tmp_path / "other")
    data = path.read_bytes()
    assert data == (tmp_path / "other").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert int.from_bytes(data[:8], "little") % 8 == 0
    for name, array in ARRAYS.items():  # so that the file can be mapped
        assert header[name]["data_offsets"][0] % array.dtype.itemsize == 0


def test_tensors_and_parameters_are_saved(path):
    parameter, tensor = nn.Parameter(np.ones(3)), fnn.tensor([1.0, 2.0], requires_grad=True)
    fnn.save_weights({"a": parameter, "b": tensor * 2}, path)
    check(fnn.load_weights(path), {"a": np.ones(3), "b": np.array([2.0, 4.0])})
    fnn.save_weights({}, path)
    assert fnn.load_weights(path) == {}


def test_halves_become_float32(path):
    halves = np.array([1.5, -0.0, 65504, np.inf, 6e-8, np.nan], np.float16)
    brain = np.array([1.5, -0.0, 3e38, np.inf, 1e-40, np.nan], np.float32)
    header = {
        "f": {"dtype": "F16", "shape": [6], "data_offsets": [0, 12]},
        "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [12, 24]},
    }
    upper = (brain.view(np.uint32) >> 16).astype("<u2")
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + halves.tobytes() + upper.tobytes())
    exact = (upper.astype(np.uint32) << 16).view(np.float32).reshape(2, 3)
    check(fnn.load_weights(path), {"f": halves.astype(np.float32), "b": exact})


REFUSED_ARRAYS = {
    "no mapping": ([np.ones(1)], TypeError, "expected a mapping"),
    "a list": ({"a": [1.0]}, TypeError, "'a' is a list"),
    "objects": ({"a": np.array([None])}, TypeError, "dtype object"),
    "long doubles": ({"a": np.ones(1, np.longdouble)}, TypeError, "dtype"),
    "complex128": ({"a": np.ones(1, complex)}, TypeError, "complex128"),
    "masked": ({"a": np.ma.masked_array([1.0], [True])}, TypeError, "masked"),
    "a number for a name": ({1: np.ones(1)}, TypeError, "names must be texts, got 1"),
    "the format's own name": ({"__metadata__": np.ones(1)}, ValueError, "own"),
    "half a character": ({"\ud800": np.ones(1)}, ValueError, "no text"),
    "too many names": ({"x" * 12_000_000: np.ones(1)}, ValueError, "too many"),
}


@pytest.mark.parametrize("case", REFUSED_ARRAYS)
def test_what_cannot_be_saved_leaves_the_old_file(case, path):
    arrays, kind, words = REFUSED_ARRAYS[case]
    path.write_bytes(b"old")
    with pytest.raises(kind, match=f"^save_weights: .*{words}"):
        fnn.save_weights(arrays, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["weights"]


def test_saving_over_a_folder_is_refused(tmp_path):
    with pytest.raises(fnn.WeightsError, match="is a folder"):
        fnn.save_weights({}, tmp_path)
    with pytest.raises(fnn.WeightsError, match="empty"):
        fnn.save_weights({}, "")


# ---- sharded ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sharded(tmp_path):
    """A set of two files with its index."""
    names = {"a": "model-00001-of-00002.safetensors", "c": "model-00001-of-00002.safetensors", "b": "two.safetensors"}
    arrays = {name: np.full((2, i), i, np.float32) for i, name in enumerate(names)}
    for shard in set(names.values()):
        fnn.save_weights({name: arrays[name] for name in names if names[name] == shard}, tmp_path / shard)
    index = {"metadata": {"total_size": 24.0}, "weight_map": names}
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps(index, indent=2))
    return path, index, arrays


def test_sharded_sets(sharded, monkeypatch):
    path, _, arrays = sharded
    found = fnn.load_weights(path)
    check(found, arrays)
    assert list(found) == list(arrays)
    monkeypatch.chdir(path.parent)
    check(fnn.load_weights(path.name), arrays)


@pytest.mark.parametrize(
    "shard",
    ["../two.safetensors", "/two.safetensors", "x/../two.safetensors", "x\\two", "C:two", "", ".", "..", "a\0b"],
)
def test_shards_elsewhere_are_refused(sharded, shard):
    path, index, _ = sharded
    index["weight_map"]["b"] = shard
    path.write_text(json.dumps(index))
    with pytest.raises(fnn.WeightsError, match="not beside it"):
        fnn.load_weights(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(b="three.safetensors"), "missing beside it: 'three.safetensors'"),
        (lambda m: m.update(b="model.safetensors.index.json"), "lists 'model.safetensors.index.json', which is text"),
        (lambda m: m.update(d="two.safetensors"), "what is in 'two.safetensors': they differ in 'd'"),
        (lambda m: m.pop("c"), "they differ in 'c'"),
        (lambda m: m.update(b=3), "no 'weight_map'"),
    ],
)
def test_indexes_that_do_not_fit_their_files(sharded, change, words):
    path, index, _ = sharded
    change(index["weight_map"])
    path.write_text(json.dumps(index))
    with pytest.raises(fnn.WeightsError, match=words):
        fnn.load_weights(path)


def test_a_damaged_shard_is_named_with_its_index(sharded):
    path, _, _ = sharded
    shard = path.parent / "two.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(fnn.WeightsError, match=r"index\.json' lists 'two\.safetensors', which is damaged"):
        fnn.load_weights(path)


# ---- fastnn's own -------------------------------------------------------------------------------------------------------


def test_checkpoints_of_fastnn(path):
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4))
    state = model.state_dict()
    fnn.save_checkpoint(path, state)
    check(fnn.load_weights(path), state)
    fnn.save_model(model, path, classes=["a", "b"])
    check(fnn.load_weights(path), state)
    fnn.save_checkpoint(path, {"best": {"weights": state}, "last": state, "epoch": 3})
    check(fnn.load_weights(path), state)
    check(fnn.load_weights(path, key=("best", "weights")), state)


def test_the_model_of_a_training(path):
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.ReLU(), nn.Linear(4, 2, rng=1))
    x = np.random.default_rng(0).standard_normal((8, 3), np.float32)
    batches = Batches(x, np.arange(8) % 2, batch_size=4, rng=0)
    Trainer(model, optim.Adam(model.parameters(), lr=0.1)).fit(batches, epochs=2, checkpoint=path, progress=False)
    check(fnn.load_weights(path), model.state_dict())


def test_several_states_ask_which(path):
    state = {"weight": np.ones(2)}
    fnn.save_checkpoint(path, {"net": state, "average": state, "epoch": 3})
    with pytest.raises(
        fnn.WeightsError, match="several dictionaries of weights: 'net', 'average'; say which one: key='net'"
    ):
        fnn.load_weights(path)
    check(fnn.load_weights(path, key="average"), state)
    for key, words in [
        ("model", "has no 'model'; there is 'net', 'average', 'epoch'"),
        (("net", "weight"), "holds an array under"),
        ("epoch", "holds an int under 'epoch'"),
        (("net", "weight", "x"), "has no 'x' below 'net', 'weight'; there is an array"),
        ((), "no weights alone"),
    ]:
        with pytest.raises(fnn.WeightsError, match=words):
            fnn.load_weights(path, key=key)
    with pytest.raises(TypeError, match="key must be a text"):
        fnn.load_weights(path, key=3)


def test_other_files_are_named(path, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(2))
    for data, words in [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n", "is a PNG picture"),
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b'{"a": 1}', "no index of weights"),
        (b"[1]", "is text that begins"),
        ((tmp_path / "a.npz").read_bytes(), "an .npz file"),
        (b"\x80\x04N.", "a Python pickle"),
    ]:
        path.write_bytes(data)
        with pytest.raises(fnn.WeightsError, match=rf"^load_weights: '.*weights' .*{words}"):
            fnn.load_weights(path)
    with pytest.raises(fnn.WeightsError, match=r"is a folder; give one of the files in it: 'a\.npz'"):
        fnn.load_weights(tmp_path)
    with pytest.raises(FileNotFoundError):
        fnn.load_weights(tmp_path / "nothing")
    fnn.save_weights({"a": np.ones(2)}, path)
    with pytest.raises(fnn.WeightsError, match="is not nested"):
        fnn.load_weights(path, key="model")
