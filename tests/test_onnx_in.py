"""Models from ONNX files: names, modes, dtypes, copies, other files beside them, and what is refused."""

import copy
import pickle

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper

import fastnn as fnn
import onnx_models
import subproc
from fastnn import functional as F
from onnx_models import FLOAT, model, node, weight

ANY = (FLOAT, None)


def convolutional():
    made, inputs = onnx_models.convolutional()
    return fnn.onnx.load(made, rng=0), inputs["x"]


def test_importing_needs_no_onnx():
    code = "import sys, fastnn; fastnn.onnx.load; print('onnx' in sys.modules)"
    assert subproc.run(code) == "False"


@pytest.mark.parametrize("name", onnx_models.MODELS)
def test_results_are_those_of_onnxruntime(name):
    runtime = pytest.importorskip("onnxruntime")
    made, inputs = onnx_models.MODELS[name]()
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    results = fnn.onnx.Backend.prepare(made).run(list(inputs.values()))
    for ours, theirs in zip(results, session.run(None, inputs), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_parameters_are_initialisers_under_their_names():
    net, _ = convolutional()
    assert list(dict(net.named_parameters())) == ["c.w", "c.b", "n.w", "n.b", "g.w", "g.b"]
    assert list(dict(net.named_buffers())) == ["n.m", "n.v"]
    assert list(net.state_dict()) == ["c.w", "c.b", "n.w", "n.b", "g.w", "g.b", "n.m", "n.v"]
    assert [p.decay for p in net.parameters()] == [True, False, False, False, True, False]
    assert repr(net) == "OnnxModel(x -> y; 11 nodes)"


def test_state_dict_goes_back():
    (net, x), (other, _) = convolutional(), convolutional()
    with fnn.no_grad():
        for p in other.parameters():
            p[...] = 0
    assert not np.array_equal(net(x).numpy(), other(x).numpy())
    other.load_state_dict(net.state_dict())
    assert np.array_equal(net(x).numpy(), other(x).numpy())


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["deepcopy", "pickle"]
)
def test_copies_train_apart(copied):
    net, x = convolutional()
    optimizer = fnn.optim.SGD(net.parameters(), lr=0.1)
    F.cross_entropy(net(x), [0, 1]).backward()
    optimizer.step()
    before = net.state_dict()
    other = copied(net)
    assert np.array_equal(net(x).numpy(), other(x).numpy())
    with fnn.no_grad():
        next(other.parameters())[...] = 0
    assert all(np.array_equal(a, before[k]) for k, a in net.state_dict().items())


def test_training_updates_statistics_and_drops():
    net, x = convolutional()
    assert not net.training
    before = net.state_dict()
    first = net(x).numpy()
    assert np.array_equal(first, net(x).numpy())
    net.train()
    assert not np.array_equal(net(x).numpy(), net(x).numpy())
    assert not np.array_equal(net.state_dict()["n.m"], before["n.m"])
    plain = fnn.nn.BatchNorm2d(4, momentum=0.9)
    with fnn.no_grad():
        plain.weight[...], plain.bias[...] = before["n.w"], before["n.b"]
        plain.running_mean, plain.running_var = before["n.m"], before["n.v"]
        y = F.conv2d(x, before["c.w"], before["c.b"], 2, 1)
        plain(y), plain(y)
    np.testing.assert_array_equal(net.state_dict()["n.v"], plain.running_var)


def test_seeds_repeat_dropout():
    made, inputs = onnx_models.convolutional()
    first, second = (fnn.onnx.load(made, rng=3).train()(inputs["x"]).numpy() for _ in range(2))
    assert np.array_equal(first, second)


def test_layers_whose_arrays_were_stored_once_have_their_own_statistics():
    nodes = [
        node("Identity", "one", "two"),
        node("BatchNormalization", "x one zero zero two", "a"),
        node("BatchNormalization", "a w zero m v", "b"),
        node("BatchNormalization", "b one zero m v", "c"),
        node("BatchNormalization", "c one zero m v", "y"),
    ]
    arrays = {"one": np.ones(3, np.float32), "zero": np.zeros(3, np.float32), "w": weight(0, 3), "m": weight(1, 3)}
    arrays["v"] = arrays["one"] + 1
    net = fnn.onnx.load(model(nodes, arrays, {"x": (FLOAT, ["n", 3])}, {"y": ANY})).train()
    own = {f"{layer}.running_{kind}" for layer in "acy" for kind in ("mean", "var")}
    assert set(dict(net.named_buffers())) == {"m", "v"} | own
    net(weight(1, 5, 3))
    state = net.state_dict()
    assert np.array_equal(state["one"], np.ones(3))
    changed = [state["a.running_var"], state["v"], state["c.running_var"], state["y.running_var"]]
    assert len({values.tobytes() for values in changed}) == 4


def test_a_layer_that_is_used_twice_has_one_pair_of_statistics():
    nodes = [node("BatchNormalization", "x w b m v", "a"), node("BatchNormalization", "a w b m v", "y")]
    arrays = {k: np.ones(3, np.float32) for k in "wbmv"}
    net = fnn.onnx.load(model(nodes, arrays, {"x": (FLOAT, ["n", 3])}, {"y": ANY}))
    assert list(net.state_dict()) == ["w", "b", "m", "v"]


@pytest.mark.parametrize("training", [0, 1])
def test_mode_follows_the_file(training):
    batch_norm = node("BatchNormalization", "x w b m v", "y", training_mode=training)
    arrays = {k: np.ones(3, np.float32) for k in "wbmv"}
    assert fnn.onnx.load(model([batch_norm], arrays, {"x": (FLOAT, ["n", 3])}, {"y": ANY})).training is bool(training)
    arrays = {"ratio": np.float32(0.5), "mode": np.bool_(training)}
    dropout = node("Dropout", "x ratio mode", "y")
    assert fnn.onnx.load(model([dropout], arrays, {"x": (FLOAT, ["n"])}, {"y": ANY})).training is bool(training)


def test_float64():
    net, x = convolutional()
    single = net(x).numpy()
    net.astype("float64")
    double = net(x.astype(np.float64)).numpy()
    assert double.dtype == np.float64
    assert {a.dtype for a in net.state_dict().values()} == {np.dtype("float64")}
    np.testing.assert_allclose(double, single, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match=r"the input 'x' is FLOAT, here float64, got float32"):
        net(x)


def test_half_precision_is_computed_in_float32():
    w = weight(0, 3, 2).astype(np.float16)
    made = model(
        [node("MatMul", "x w", "y")],
        {"w": w},
        {"x": (TensorProto.FLOAT16, ["n", 3])},
        {"y": (TensorProto.FLOAT16, None)},
    )
    x = weight(1, 4, 3).astype(np.float16)
    net = fnn.onnx.load(made)
    assert net.state_dict()["w"].dtype == np.float32
    y = net(x)
    np.testing.assert_allclose(y.numpy(), x.astype(np.float32) @ w.astype(np.float32), rtol=1e-6)
    assert y.dtype == np.float32
    assert fnn.onnx.Backend.prepare(made).run([x])[0].dtype == np.float16


def test_bfloat16_initialisers():
    values = np.float32([1.0, -2.5, 3e38])
    tensor = helper.make_tensor("w", TensorProto.BFLOAT16, [3], values)
    nodes = [node("Cast", "w", "v", to=FLOAT), node("Mul", "x v", "y")]
    made = model(nodes, {}, {"x": (FLOAT, [3])}, {"y": ANY})
    made.graph.initializer.append(tensor)
    np.testing.assert_allclose(fnn.onnx.load(made)(np.ones(3, np.float32)).numpy(), values, rtol=2**-8)


def parameters(nodes, arrays, x=(FLOAT, ["n", 4])):
    return set(fnn.onnx.load(model(nodes, arrays, {"x": x}, {"y": ANY})).state_dict())


def test_what_is_a_parameter():
    w, b, one = weight(0, 4, 4), weight(1, 4), np.float32([2])
    assert parameters([node("Mul", "x s", "h"), node("Add", "h b", "y")], {"s": one, "b": b}) == {"b"}
    assert parameters([node("MatMul", "x w", "h"), node("Add", "h b", "y")], {"w": weight(0, 4, 1), "b": one}) == {
        "w",
        "b",
    }
    assert parameters([node("Sub", "x m", "h"), node("Div", "h s", "y")], {"m": b, "s": b + 1}) == set()
    assert parameters([node("Add", "x mask", "y")], {"mask": np.float32([0, 0, -np.inf, 0])}) == set()
    moved = [node("Transpose", "w", "t", perm=[1, 0]), node("Identity", "t", "i"), node("MatMul", "x i", "y")]
    assert parameters(moved, {"w": w}) == {"w"}
    joined = [node("Concat", "u v", "w", axis=1), node("MatMul", "x w", "y")]
    assert parameters(joined, {"u": w, "v": w}) == {"u", "v"}


def test_trainable_decides():
    made, _ = onnx_models.convolutional()
    net = fnn.onnx.load(made, trainable=lambda name: name.startswith("g."))
    assert list(dict(net.named_parameters())) == ["g.w", "g.b"]


def test_values_are_freed_after_their_last_use():
    made = model(
        [node("Exp", "x", "a"), node("Exp", "a", "b"), node("Neg", "b", "y")], {}, {"x": (FLOAT, ["n"])}, {"y": ANY}
    )
    assert [step.done for step in fnn.onnx.load(made)._steps] == [("x",), ("a",), ("b",)]


def refused(nodes, arrays, inputs=None, outputs=None, **options):
    with pytest.raises(fnn.onnx.OnnxError) as caught:
        fnn.onnx.load(model(nodes, arrays, inputs or {"x": (FLOAT, ["n", 4])}, outputs or {"y": ANY}, **options))
    return str(caught.value)


def test_all_missing_ops_are_named_at_once():
    nodes = [node("Det", "x", "a"), node("NonMaxSuppression", "a a", "b"), node("Relu", "b", "y")]
    assert refused(nodes, {}) == "load: the model: not supported: the ops Det, NonMaxSuppression"


def test_all_that_is_not_supported_is_named_at_once():
    arrays = {"w": weight(0, 1, 12, 4), "r": weight(1, 1, 12, 3)}
    nodes = [
        node("LSTM", "x w r", "h", hidden_size=3, clip=1.0),
        node("LSTM", "h w r", "y", hidden_size=3, activations=["Relu", "Tanh", "Tanh"]),
        node("Cast", "h", "c", to=TensorProto.FLOAT8E5M2),
    ]
    found = refused(nodes, arrays, {"x": (FLOAT, [2, "n", 4]), "text": (TensorProto.STRING, [1])}, opset=19)
    for part in (
        "'text' of data type STRING",
        "node 0 'h' (LSTM): clip",
        "node 1 'y' (LSTM): activations",
        "data type 19",
    ):
        assert part in found


def test_wrong_inputs_are_refused():
    net, x = convolutional()
    with pytest.raises(TypeError, match="expected the inputs x, got 2 arrays"):
        net(x, x)
    with pytest.raises(ValueError, match=r"'x' has shape \(None, 2, 8, 8\) in the file, got \(2, 8, 8\)"):
        net(x[0])
    with pytest.raises(TypeError, match=r"'x' is FLOAT, here float32, got int64; pass x\.astype\(np\.float32\)"):
        net(x.astype(np.int64))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no graph, so not an ONNX model; it is empty"),
        (b"PK\x03\x04" + bytes(300), "it is a .* archive|it is a zip"),
        (
            b"PK\x03\x04" + bytes(22) + b"\x0b\x00\x00\x00m1/data.pkl" + bytes(300),
            "it is a file of torch.save; fastnn.load_w",
        ),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "it is a PNG picture"),
    ],
)
def test_other_files(tmp_path, content, message):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(fnn.onnx.OnnxError, match=message) as caught:
        fnn.onnx.load(path)
    assert str(path) in str(caught.value)


def test_no_path():
    with pytest.raises(TypeError, match=r"load: expected a path, bytes or an onnx.ModelProto, got int"):
        fnn.onnx.load(3)
    with pytest.raises(FileNotFoundError):
        fnn.onnx.load("no such file.onnx")


@pytest.mark.parametrize("opset", [0, 29])
def test_opsets(opset):
    assert "opset" in refused([node("Relu", "x", "y")], {}, opset=opset)


@pytest.mark.parametrize("opset", [7, 9, 11, 12])
def test_older_opsets_are_converted(opset):
    nodes = [
        node("Conv", "x c.w c.b", "c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c n.w n.b n.m n.v", "n"),
        node("Relu", "n", "r"),
        node("AveragePool", "r", "p", kernel_shape=[2, 2]),
        node("ReduceMean", "p", "m", axes=[2, 3], keepdims=0),
        node("Softmax", "m", "y", axis=1),
    ]
    arrays = {
        "c.w": weight(0, 3, 2, 3, 3),
        "c.b": weight(1, 3),
        "n.w": weight(2, 3),
        "n.b": weight(3, 3),
        "n.m": weight(4, 3),
    }
    arrays["n.v"] = 1 + weight(5, 3) ** 2
    x = weight(6, 2, 2, 5, 5)
    made = model(nodes, arrays, {"x": (FLOAT, ["n", 2, 5, 5])}, {"y": (FLOAT, ["n", 3])}, opset=opset)
    net, newer = fnn.onnx.load(made), model(nodes[:4], arrays, {"x": (FLOAT, ["n", 2, 5, 5])}, {"p": ANY}, opset=13)
    p = fnn.onnx.load(newer)(x)
    np.testing.assert_array_equal(net(x).numpy(), F.softmax(p.mean((2, 3)), 1).numpy())
    assert set(net.state_dict()) == set(arrays)


@pytest.mark.parametrize(("op", "opset"), [("Upsample", 9), ("Resize", 10)])
@pytest.mark.parametrize(("mode", "factor"), [("linear", 2.0), ("nearest", 1.5)])
def test_old_enlargements_have_no_offset(op, opset, mode, factor):
    nodes, arrays = [node(op, "x scales", "y", mode=mode)], {"scales": np.float32([1, 1, 1, factor])}
    made = model(nodes, arrays, {"x": (FLOAT, [1, 1, 1, 4])}, {"y": ANY}, opset=opset)
    x = np.float32([0, 1, 4, 9])
    places = np.arange(4 * factor) / factor
    expected = np.interp(places, np.arange(4), x) if mode == "linear" else x[places.astype(int)]
    found = fnn.onnx.load(made)(x.reshape(1, 1, 1, 4)).numpy()
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("opset", [9, 13])
def test_old_batch_norm_trains_where_it_has_more_outputs(opset):
    arrays = {"w": 1 + weight(0, 4), "b": weight(1, 4), "m": weight(2, 4), "v": 1 + weight(3, 4) ** 2}
    outputs = {"y": (FLOAT, ["n", 4])}

    def made(names, opset, wanted=outputs, **attributes):
        nodes = [node("BatchNormalization", "x w b m v", names, **attributes)]
        return model(nodes, arrays, {"x": (FLOAT, ["n", 4])}, wanted, opset=opset)

    old = fnn.onnx.load(made("y mean var dead1 dead2", opset))
    new = fnn.onnx.load(made("y mean var", 14, training_mode=1))
    assert old.training
    x = weight(4, 6, 4)
    np.testing.assert_array_equal(old(x).numpy(), new(x).numpy())
    for name, array in new.state_dict().items():
        np.testing.assert_array_equal(old.state_dict()[name], array)
    assert not np.array_equal(old.state_dict()["m"], arrays["m"])
    with pytest.raises(fnn.onnx.OnnxError, match=r"\(BatchNormalization\): 5 outputs"):
        fnn.onnx.load(made("y mean var saved more", opset, outputs | {"saved": ANY}))


def test_the_error_names_a_batch_that_the_file_does_not_hold_for():
    nodes = [node("Reshape", "x shape", "y")]
    net = fnn.onnx.load(model(nodes, {"shape": np.int64([2, 2, 2])}, {"x": (FLOAT, [2, 4])}, {"y": ANY}))
    assert net(np.ones((2, 4), np.float32)).shape == (2, 2, 2)
    with pytest.raises(fnn.onnx.OnnxError, match=r"\(Reshape\): .*'x' has 2 as its first extent in the file, here 3"):
        net(np.ones((3, 4), np.float32))


def test_functions_of_the_model_are_put_in_their_place():
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    call = helper.make_node("Twice", ["x"], ["y"], domain="own")
    graph = helper.make_graph(
        [call], "g", [helper.make_tensor_value_info("x", FLOAT, [2])], [helper.make_tensor_value_info("y", FLOAT, [2])]
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    made = helper.make_model(graph, functions=[twice], opset_imports=opsets)
    np.testing.assert_array_equal(fnn.onnx.load(made)(np.float32([1, 2])).numpy(), [2, 4])


def test_backend_runs_nodes():
    backend = fnn.onnx.Backend
    (y,) = backend.run_node(node("Add", "a b", "y"), [np.float32([1, 2]), np.float32([3])])
    np.testing.assert_array_equal(y, [4, 5])
    made, inputs = onnx_models.convolutional()
    result = backend.run_model(made, list(inputs.values()))
    assert result.y.shape == (2, 3)
    assert backend.supports_device("CPU")
    assert backend.is_compatible(made)
    assert not backend.is_compatible(model([node("Det", "x", "y")], {}, {"x": ANY}, {"y": ANY}))
    assert not backend.supports_device("CUDA:0")
    with pytest.raises(ValueError, match="Backend: device must be 'CPU', got 'CUDA'"):
        backend.prepare(made, "CUDA")


def test_summary_counts_the_parameters():
    net, _ = convolutional()
    (row,) = (line for line in str(fnn.summary(net, (2, 8, 8))).splitlines() if "OnnxModel" in line)
    assert row.split()[-4:-2] == ["135", "0"], row


def test_a_trainer_trains_it():
    net, x = convolutional()
    batches = fnn.data.Batches(np.repeat(x, 8, 0), np.tile([0, 1], 8), batch_size=4, rng=0)
    history = fnn.training.Trainer(net, fnn.optim.Adam(net.parameters(), lr=1e-2)).fit(batches, epochs=20)
    assert history[-1]["train_loss"] < history[0]["train_loss"], history


def test_checks_know_that_batch_norm_mixes_samples():
    net, _ = convolutional()
    x = np.random.default_rng(0).standard_normal((32, 2, 8, 8), dtype=np.float32)
    found = str(fnn.diagnosis.preflight(net, fnn.data.Batches(x, np.arange(32) % 3, batch_size=8, rng=0)))
    assert "each output follows from its own sample in evaluation mode" in found


def test_what_was_saved_comes_back_and_trains(tmp_path):
    nn = fnn.nn
    head = nn.Sequential(nn.Flatten(), nn.Linear(48, 3, rng=2))
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, rng=0), nn.BatchNorm2d(3), nn.Hardswish(), nn.MaxPool2d(2), head)
    x = weight(0, 4, 2, 8, 8)
    with fnn.no_grad():
        net(x)  # moves the running statistics
    fnn.onnx.save(net, tmp_path / "net.onnx", x)
    back = fnn.onnx.load(tmp_path / "net.onnx")
    assert set(back.state_dict()) == set(net.state_dict()) - {"1.num_batches_tracked"}
    np.testing.assert_allclose(back(x).numpy(), net.eval()(x).numpy(), rtol=1e-5, atol=1e-6)
    net.train(), back.train()
    ours, theirs = (F.cross_entropy(model(x), [0, 1, 2, 0]) for model in (back, net))
    ours.backward(), theirs.backward()
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    grads = dict(back.named_parameters())
    for name, parameter in net.named_parameters():
        np.testing.assert_allclose(grads[name].grad, parameter.grad, rtol=1e-4, atol=1e-5)


WHITE = fnn.data.Whitening().fit(weight(1, 9, 128)).as_module()
SCALED = fnn.data.StandardScaler().fit(weight(2, 9, 128)).as_module(inverse=True)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.adaptive_avg_pool2d(x, 3),
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        lambda x: F.avg_pool2d(x, 2, 1, dilation=2),
        lambda x: F.interpolate(x, size=(7, 5), mode="bicubic", antialias=True),
        lambda x: F.layer_norm(x, (8,)),
        lambda x: F.leaky_relu(x.astype(np.float64), 0.01),
        lambda x: x * np.arange(8, dtype=np.float32),
        fnn.nn.BatchNorm2d(2, affine=False).eval(),
        lambda x: SCALED(WHITE(x.reshape(len(x), -1))),
    ],
)
def test_what_was_no_parameter_is_none_when_it_comes_back(tmp_path, function):
    x = weight(0, 4, 2, 8, 8)
    fnn.onnx.save(function, tmp_path / "net.onnx", x)
    back = fnn.onnx.load(tmp_path / "net.onnx")
    assert not list(back.parameters())
    np.testing.assert_allclose(back(x).numpy(), np.asarray(function(fnn.tensor(x)).numpy()), rtol=1e-5, atol=1e-6)
