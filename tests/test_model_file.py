"""Models in files: they come back without code, and a file that is damaged or hostile is refused by name."""

import copy
import io
import json
import random
import resource
import tracemalloc
import zipfile

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn
from fastnn.checkpoint import HEADER, CheckpointError, load_checkpoint, save_checkpoint

X = np.random.default_rng(0).standard_normal((3, 2, 6, 6)).astype(np.float32)


class Gate(nn.Module):
    def forward(self, x):
        return x


def bits(tensor):
    return tensor.data.tobytes()


def network():
    rng = np.random.default_rng(0)
    shared = nn.Dropout(0.5, rng=rng)
    return nn.Sequential(
        nn.ResidualBlock(2, 4, stride=2, rng=rng),
        nn.BatchNorm2d(4, momentum=None),
        shared,
        nn.Conv2d(4, 3, 3, padding=((1, 0), (0, 1)), bias=False, rng=rng),
        shared,
        nn.Flatten(),
        nn.Linear(12, 5, rng=rng),
        nn.Softmax(),
    )


@pytest.fixture(scope="module")
def trained():
    net = network()
    for _ in range(3):
        net(X)
    return net.eval()


def test_the_path_comes_after_the_model(tmp_path):
    with pytest.raises(
        TypeError, match=r"^save_model: model must be a Module, and path comes after it, got '.*net.npz'"
    ):
        fnn.save_model(str(tmp_path / "net.npz"), network())


def test_a_model_comes_back_in_evaluation_mode(tmp_path, trained):
    path, net = tmp_path / "net.npz", copy.deepcopy(trained).train()
    fnn.save_model(net, path, classes=["a", "b"], scale=np.arange(3.0))
    assert net.training
    loaded = fnn.load_model(path)
    assert repr(loaded) == repr(net)
    assert not any(module.training for module in loaded.modules())
    assert bits(loaded(X)) == bits(trained(X))
    more = load_checkpoint(path)
    assert more["classes"] == ["a", "b"]
    assert (more["scale"] == np.arange(3.0)).all()
    assert set(more) == {"architecture", "model", "classes", "scale"}


def test_equal_models_give_equal_files(tmp_path, trained):
    fnn.save_model(trained, tmp_path / "a")
    fnn.save_model(fnn.load_model(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_model_of_a_training_s_checkpoint_is_found(tmp_path, trained):
    state = {
        "epoch": 3,
        "architecture": nn.architecture(trained),
        "model": trained.state_dict(),
        "optimizer": {"lr": 0.1},
    }
    save_checkpoint(tmp_path / "run.npz", state)
    assert bits(fnn.load_model(str(tmp_path / "run.npz"))(X)) == bits(trained(X))


def test_a_loaded_model_can_be_trained_and_draws_masks_of_its_own(tmp_path):
    fnn.save_model(nn.Sequential(nn.Linear(4, 64, rng=0), nn.Dropout(0.5)), tmp_path / "a")
    one, other = (fnn.load_model(tmp_path / "a").train() for _ in range(2))
    x = np.ones((2, 4), np.float32)
    assert bits(one(x)) != bits(other(x))
    one(x).sum().backward()
    assert one[0].weight.grad.shape == (64, 4)


def test_types_and_frozen_parameters_come_back(tmp_path):
    net = nn.Sequential(nn.Linear(3, 2, dtype=np.float64, rng=0), nn.Linear(2, 2, rng=0))
    net[0].requires_grad_(False)
    net[1].register_buffer("big", np.arange(3, dtype=">f8"))
    fnn.save_model(net, tmp_path / "a")
    loaded = fnn.load_model(tmp_path / "a")
    assert [p.dtype.name for p in loaded.parameters()] == ["float64", "float64", "float32", "float32"]
    assert [p.requires_grad for p in loaded.parameters()] == [False, False, True, True]
    assert (loaded[1].big == np.arange(3)).all()


def test_what_cannot_be_saved_is_refused_before_writing(tmp_path):
    with pytest.raises(ValueError, match=r"^architecture: '0' is a Gate"):
        fnn.save_model(nn.Sequential(Gate()), tmp_path / "a")
    with pytest.raises(ValueError, match=r"^save_model: 'architecture' cannot be an extra"):
        fnn.save_model(nn.ReLU(), tmp_path / "a", architecture={})
    with pytest.raises(TypeError, match=r"^save_checkpoint: state\['classes'\] is a set"):
        fnn.save_model(nn.ReLU(), tmp_path / "a", classes={1})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        fnn.load_model(tmp_path / "none.npz")


def _state(net):
    return {"architecture": nn.architecture(net), "model": net.state_dict()}


LINEAR = nn.Linear(3, 2, rng=0)


def _with(**changes):
    return _state(LINEAR) | changes


def _without_bias():
    return {"weight": LINEAR.weight.data}


def _of_size(n):
    described = nn.architecture(LINEAR)
    described["arrays"][0]["shape"] = [n, n]
    described["modules"][0]["arguments"] |= {"in_features": n, "out_features": n}
    return described


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            LINEAR.state_dict(),
            r"is a checkpoint without 'architecture', with the keys \['bias', 'weight'\]; build the model in",
        ),
        ({"architecture": {}}, "is a checkpoint without 'model'"),
        (_with(model=[1]), "'model' must be a dictionary of arrays"),
        (_with(model={"weight": 1.0}), "'model' must be a dictionary of arrays"),
        (_with(model=_without_bias()), "the architecture lists arrays of 32 bytes, but those in the file have 24"),
        (_with(model=_without_bias() | {"b": np.ones(9)}), r"missing 'bias'; unexpected 'b'"),
        (
            _with(model=_without_bias() | {"bias": np.ones(2)}),
            "bias has dtype float64, but the architecture says float32",
        ),
        (_with(model=_without_bias() | {"bias": np.ones(3, "f")}), r"bias has shape \(3,\) in the state but \(2,\)"),
        (_with(architecture=None), r"is a checkpoint without 'architecture', with the keys \['model'\]"),
        (_with(architecture={"arrays": [1]}), r"arrays\[0\] must be a dictionary"),
        (_with(architecture=_of_size(10**6)), "lists arrays of 4000000000008 bytes, but those in the file have 32"),
        (_with(architecture=nn.architecture(LINEAR) | {"version": 2}), "version 2, this fastnn reads up to 1"),
    ],
)
def test_checkpoints_that_hold_no_model(tmp_path, state, words):
    save_checkpoint(tmp_path / "odd.npz", state)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=f"^load_model: '.*odd.npz' .*{words}"):
            fnn.load_model(tmp_path / "odd.npz")
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def _places(node, path=()):
    """The way to every value of nested state."""
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _places(value, (*path, key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _places(value, (*path, i))


VALUES = [
    None, True, False, 0, 1, -1, 2, 3, 7, 10**6, 10**12, 10**30, 0.5, -2.5, 1e308, {"$float": "nan"}, {"$float": "-inf"}, "", "x",
    "weight", "Linear", "Sequential", "Conv2d", "Module", "float64", "object", "__class__", "forward", [], [1], [10**9] * 4, {},
    {"0": 0}, {"a": {"b": []}}, {"$array": "model/0.branch.0.weight"}, {"$tuple": [1, 2]},
]  # fmt: skip


def _mutated(tree, rng):
    """One to three values replaced, removed, doubled or exchanged."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randint(1, 3)):
        places = [p for p in _places(tree["state"]["architecture"]) if p]
        *path, last = rng.choice(places)
        holder = tree["state"]["architecture"]
        for key in path:
            holder = holder[key]
        kind = rng.randrange(4)
        if kind == 0 and isinstance(holder, dict):
            holder[rng.choice(["a", "rng", "0", "p", "bias", "in_features"])] = holder.pop(last)
        elif kind == 1:
            del holder[last]
        elif kind == 2 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        else:
            holder[last] = copy.deepcopy(rng.choice(VALUES))
    return tree


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write_archive(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            archive.writestr(name, content)


def refusal(path):
    try:
        fnn.load_model(path)
    except CheckpointError as error:
        return str(error)
    return None


def test_mutated_files_are_refused_by_name_or_hold_a_model(tmp_path):
    path = tmp_path / "net.npz"
    drop = nn.Dropout(0.5, rng=0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, (3, 2), rng=0), nn.BatchNorm2d(3), drop, nn.Residual(drop), nn.LSTM(4, 3, rng=1)
    )
    fnn.save_model(net, path)
    whole = path.read_bytes()
    with np.load(path, allow_pickle=False) as file:
        entries = {name: file[name] for name in file.files}
    tree = json.loads(bytes(entries.pop(HEADER)))
    arrays = [(f"{name}.npy", npy(values)) for name, values in entries.items()]
    rng = random.Random(0)
    refused = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(400):
        if i % 4:
            write_archive(path, [(HEADER, json.dumps(_mutated(tree, rng))), *arrays])
        else:
            damaged = bytearray(whole[: rng.randrange(len(whole))] if i % 8 else whole)
            for _ in range(rng.randrange(4)):
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged)
        message = refusal(path)
        assert message is None or str(path) in message
        refused += message is not None
    assert 250 < refused < 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
