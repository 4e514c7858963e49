"""What torch.save writes is read as torch.load reads it; what is more than tensors is refused with a hint."""

import re
import zipfile

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn

torch = pytest.importorskip("torch")

KINDS = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.uint16, torch.uint32, torch.uint64, torch.bool, torch.complex64, torch.complex128,
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"


def values(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).numpy()


def check(found, state):
    assert list(found) == list(state)
    for name, tensor in state.items():
        expected = values(tensor)
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
        assert (found[name].dtype, found[name].shape) == (expected.dtype, expected.shape)
        assert found[name].flags.c_contiguous
        assert found[name].flags.writeable


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_type(kind, path):
    state = {
        "a": torch.tensor([[0, 1, 2], [3, 4, 5]]).to(kind),
        "one": torch.tensor(1).to(kind),
        "none": torch.zeros(0, 3, dtype=kind),
    }
    torch.save(state, path)
    check(fnn.load_weights(path), state)


def views():
    base = torch.arange(60.0).reshape(3, 4, 5)
    large = torch.arange(1_200_000.0).reshape(3, 4, 100_000)
    return {
        "whole": base,
        "transposed": base.permute(2, 0, 1),
        "slice": base[1:, ::2, 3],
        "row": base[2],
        "expanded": torch.ones(1).expand(4, 3),
        "overlapping": base.as_strided((4, 3), (1, 1), 2),
        "large": large.permute(2, 0, 1),
        "rows of large": large[:, 1:3, 50_000:],
        "transposed half": large.flatten().as_strided((1000, 500), (1, 2000)),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }


def test_views_are_read_as_arrays_of_their_own(path):
    state = views()
    torch.save(state, path)
    found = fnn.load_weights(path)
    check(found, state)
    arrays = list(found.values())
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_models_come_over(path):
    theirs = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    theirs(torch.randn(2, 3, 8, 8))
    torch.save(theirs.state_dict(), path)
    mine = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    assert mine.load_state_dict(fnn.load_weights(path)) == ([], [])
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)
    expected = theirs.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(mine.eval()(x).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_checkpoints_of_trainings(path):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])  # its state has a Counter
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "epoch": 3,
        "loss": 0.5,
        "large": 2**70,
        "names": ["a", None, True, (1, -2.5)],
        "odd": [torch.Size([2, 3]), torch.device("cpu"), torch.float16],
    }
    torch.save(checkpoint, path)
    check(fnn.load_weights(path), model.state_dict())
    check(fnn.load_weights(path, key="model"), model.state_dict())
    with pytest.raises(fnn.WeightsError, match=r"no weights alone under 'optimizer': 'state' is a dict"):
        fnn.load_weights(path, key="optimizer")
    torch.save({"a": torch.ones(2), "b": 3}, path)
    with pytest.raises(fnn.WeightsError, match="'b' is an int"):
        fnn.load_weights(path)
    torch.save([torch.ones(2)], path)
    with pytest.raises(fnn.WeightsError, match="holds a list; expected weights by name"):
        fnn.load_weights(path)


def test_big_endian_files(path):
    torch.save({"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([1, 258], dtype=torch.int16)}, path)
    make_big_endian(path, {"weights/data/0": ">f4", "weights/data/1": ">i2"})
    found = fnn.load_weights(path)
    theirs = torch.load(path)
    check(found, theirs)
    assert found["b"].tolist() == [1, 258]
    torch.save({"a": torch.tensor([1, 2], dtype=torch.uint16)}, path)
    make_big_endian(path, {"weights/data/0": ">u2"})
    with pytest.raises(fnn.WeightsError, match="'a' of uint16, whose byte order is not sure"):
        fnn.load_weights(path)


def make_big_endian(path, storages):
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for name, dtype in storages.items():
        entries[name] = np.frombuffer(entries[name], dtype.replace(">", "<")).astype(dtype).tobytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, b"big" if name.endswith("byteorder") else content)


def test_a_sharded_set_of_torch_files(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({"b": torch.zeros(3)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    names = '{"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}'
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(f'{{"metadata": {{}}, "weight_map": {names}}}')
    check(fnn.load_weights(index), {"a": torch.ones(2), "b": torch.zeros(3)})


def test_there_and_back(path):
    """Arrays of fastnn reach PyTorch through a file, and those of PyTorch come the same way."""
    needs = pytest.importorskip("safetensors.torch")
    model = nn.LSTM(3, 4, bidirectional=True, rng=0)
    fnn.save_weights(model.state_dict(), path)
    theirs = torch.nn.LSTM(3, 4, bidirectional=True)
    theirs.load_state_dict(needs.load_file(path))
    check(model.state_dict(), theirs.state_dict())


SAVED = "torch.save(model.state_dict(), path)"
MORE_THAN_TENSORS = {
    "module": (torch.nn.Linear(2, 3), f"names 'torch.nn.modules.linear.Linear', .*{re.escape(SAVED)}"),
    "numpy": ({"a": torch.ones(2), "b": np.float64(3)}, "names 'numpy"),
    "bytes": ({"a": b"12"}, "names '_codecs.encode'"),
    "sparse": ({"a": torch.eye(3).to_sparse()}, "names 'torch._utils._rebuild_sparse_tensor'"),
    "float8": ({"a": torch.ones(2).to(torch.float8_e4m3fn)}, r"float8_e4m3fn, which NumPy has no type for; .*\.float\(\)"),
    "conjugated": ({"a": torch.ones(2, dtype=torch.complex64).conj()}, "resolve_conj"),
    "bomb": ({"a": torch.ones(1).expand(1 << 20, 1 << 20)}, "repeat what it has"),
    "scattered": ({"a": torch.zeros(1 << 22)[:: (1 << 22) - 1]}, r"scattered over 4194304; .*clone"),
}  # fmt: skip


@pytest.mark.parametrize("case", MORE_THAN_TENSORS)
def test_more_than_tensors_is_refused(case, path):
    saved, words = MORE_THAN_TENSORS[case]
    torch.save(saved, path)
    with pytest.raises(fnn.WeightsError, match=f"^load_weights: '.*weights' .*{words}"):
        fnn.load_weights(path)


def test_other_formats_of_torch_are_refused(path):
    state = torch.nn.Linear(2, 3).state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=False)
    with pytest.raises(fnn.WeightsError, match=r"before PyTorch 1\.6; .*torch\.save\(torch\.load\(path\), path\)"):
        fnn.load_weights(path)
    torch.save(state, path, pickle_protocol=4)
    with pytest.raises(fnn.WeightsError, match="protocol 2"):
        fnn.load_weights(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("net/data.pkl", "net/constants.pkl", "net/version"):
            archive.writestr(name, b"")
    with pytest.raises(fnn.WeightsError, match=f"TorchScript.*{re.escape(SAVED)}"):
        fnn.load_weights(path)


def test_tensors_that_numpy_does_not_take_are_loaded():
    """Parameters that record gradients, and bfloat16."""
    theirs, mine = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    mine.load_state_dict(dict(theirs.named_parameters()))
    check(mine.state_dict(), theirs.state_dict())
    halves = {name: tensor.bfloat16() for name, tensor in theirs.state_dict().items()}
    mine.load_state_dict(halves)
    check(mine.state_dict(), halves)
