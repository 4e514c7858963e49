"""What ONNX files may reach and use: data beside them, and memory."""

import os

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
import fastnn as fnn
import subproc
from onnx_models import FLOAT, INT64, model, node, weight

ANY = (FLOAT, None)


def external(folder, location, **entries):
    """A model with its weights in another file."""
    made = model([node("MatMul", "x w", "y")], {"w": weight(0, 4, 4)}, {"x": (FLOAT, ["n", 4])}, {"y": ANY})
    tensor = made.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location, **entries)
    tensor.ClearField("raw_data")
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_external_data(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "w.bin").write_bytes(b"beside" + weight(0, 4, 4).tobytes())
    net = fnn.onnx.load(external(tmp_path, "parts/w.bin", offset=6, length=64))
    np.testing.assert_array_equal(net.state_dict()["w"], weight(0, 4, 4))


@pytest.mark.parametrize(
    "location", ["../secret.bin", "/etc/passwd", "link.bin", "pipe", "nothing.bin", "", "inner/../../secret.bin"]
)
def test_external_data_stay_in_the_folder(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(1000))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    os.mkfifo(folder / "pipe")
    with pytest.raises(fnn.onnx.OnnxError, match="'w': its data are at"):
        fnn.onnx.load(external(folder, location))


@pytest.mark.parametrize("entries", [{"offset": 1}, {"length": 63}, {"offset": 1 << 62}, {"length": 1 << 40}])
def test_external_data_of_another_size(tmp_path, entries):
    (tmp_path / "w.bin").write_bytes(bytes(64))
    with pytest.raises(fnn.onnx.OnnxError, match="'w' needs 64 bytes"):
        fnn.onnx.load(external(tmp_path, "w.bin", **entries))


def test_external_data_need_a_path(tmp_path):
    with pytest.raises(fnn.onnx.OnnxError, match="beside a path only"):
        fnn.onnx.load(external(tmp_path, "w.bin").read_bytes())


@pytest.mark.parametrize(
    ("op", "arrays"),
    [
        ("ConstantOfShape", {"a": np.int64([1 << 20, 1 << 20])}),
        ("Expand", {"b": np.float32([1]), "a": np.int64([1 << 40])}),
        ("Tile", {"b": np.float32([1]), "a": np.int64([1 << 40])}),
        ("Pad", {"b": np.float32([1]), "a": np.int64([0, 1 << 40])}),
        ("Range", {"b": np.int64(0), "a": np.int64(1 << 40), "c": np.int64(1)}),
        ("OneHot", {"b": np.int64([1]), "a": np.int64(1 << 40), "c": np.float32([0, 1])}),
    ],
)
def test_a_few_bytes_cannot_ask_for_much_memory(op, arrays):
    inputs = "a" if op == "ConstantOfShape" else " ".join(sorted(arrays, key="bac".index))
    made = model([node(op, inputs, "z"), node("Size", "z", "y")], arrays, {}, {"y": (INT64, None)})
    with pytest.raises(fnn.onnx.OnnxError, match="more than 1024 times those of all inputs and weights"):
        fnn.onnx.load(made)()


def test_values_that_grow_from_node_to_node_are_refused():
    nodes = [node("Concat", f"v{i} v{i}", f"v{i + 1}", axis=0) for i in range(40)]
    made = model(nodes, {}, {"v0": (FLOAT, ["n"])}, {"v40": ANY})
    with pytest.raises(fnn.onnx.OnnxError, match=r"node \d+ 'v\d+' \(Concat\): values would take \d+ bytes"):
        fnn.onnx.load(made)(np.ones(1, np.float32))


def test_large_batches_of_small_networks_are_computed():
    nodes = [node("Gather", "table k", "e"), node("MatMul", "e w", "y")]
    arrays = {"table": weight(0, 10, 64), "w": weight(1, 64, 256)}
    net = fnn.onnx.load(model(nodes, arrays, {"k": (INT64, ["n"])}, {"y": ANY}))
    assert net(np.zeros(50_000, np.int64)).shape == (50_000, 256)


def test_loading_takes_at_most_twice_the_memory(tmp_path):
    code = f"""
    import sys
    sys.path.insert(0, {str(os.path.dirname(__file__))!r})
    import numpy as np, onnx, fastnn as fnn
    from onnx_models import FLOAT, convolutional, model, node
    from onnx_mutations import SLACK, forget_peak, peak
    fnn.onnx.load(convolutional()[0])
    w = np.ones((4000, 5000), np.float32)
    made = model([node("MatMul", "x w", "y")], {{"w": w}}, {{"x": (FLOAT, ["n", 4000])}}, {{"y": (FLOAT, None)}})
    onnx.save(made, {str(tmp_path / "large.onnx")!r})
    del made, w
    forget_peak()
    before = peak()
    net = fnn.onnx.load({str(tmp_path / "large.onnx")!r})
    print(peak() - before <= 2 * 4 * 4000 * 5000 + SLACK)
    """
    assert subproc.run(code) == "True"
