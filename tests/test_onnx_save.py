"""What `fastnn.onnx.save` refuses, what it leaves alone, and what stands in the file."""

import copy
import functools
import subprocess
import sys

import numpy as np
import onnx
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn
from fastnn.autograd.modes import mode
from onnx_out import kinds, run, saved

X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
IMAGE = np.ones((2, 3, 7, 7), np.float32)


def refused(model, *example, match, **options):
    with pytest.raises(fnn.onnx.OnnxError, match=match) as caught:
        saved(model, *example, **options)
    assert str(caught.value).startswith("onnx.save: ")
    assert not mode.forward
    assert mode.tracer is None


def test_all_that_has_no_form_is_named_at_once(tmp_path):
    cube = fnn.differentiable(lambda x: (x**3, x), lambda x, dy: 3 * x**2 * dy, name="cube")

    def model(x):
        y, _ = F.adaptive_max_pool2d(F.dropout(x, 0.5, rng=0), 2, return_indices=True)
        return cube(y), F.relu_backward(y, y)

    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(fnn.onnx.OnnxError) as caught:
        fnn.onnx.save(model, path, IMAGE)
    text = str(caught.value)
    for words in (
        "dropout draws random numbers", "adaptive_max_pool2d gives indices", "cube is an operation of your own",
        "relu_backward is a gradient",
    ):  # fmt: skip
        assert words in text
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_an_operation_of_ones_own_is_refused_also_under_a_known_name():
    relu = fnn.differentiable(lambda x: (x * 5, None), lambda _, dy: 5 * dy, name="relu")
    refused(lambda x: relu(x), X, match="relu is an operation of your own")
    halves = fnn.differentiable(lambda x: ((x[:2], x[2:]), None), lambda _, *dys: np.concatenate(dys), name="halves")
    refused(lambda x: halves(x)[0], X, match="halves is an operation of your own", batch_axis=None)


def test_what_no_output_needs_is_not_written():
    def model(x):
        F.dropout(x, rng=0)
        return x + 1.0

    assert kinds(saved(model, X)) == ["Add"]


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (lambda x: x + np.sin(x.numpy()), "outside of tensors"),
        (lambda x: x * float(x.numpy().max()), "outside of tensors"),
        (lambda x: F.relu(x.numpy()) + x, "outside of tensors"),
        (lambda x: x.reshape(-1)[: 1 + int(x.data.argmax())], "outside of tensors"),
        (lambda x: np.tanh(x.data), "outside of tensors"),
        (lambda x: x + x.data[0], "view of values"),
        (lambda x: x + np.asarray(x).T.copy().T, "outside of tensors"),
        (lambda x: x * np.mean(x), "np.mean"),
        (lambda x: x if x.sum() > 0 else -x, "decides by a value"),
        (lambda x: x if (x.sum() > 0) & True else -x, "decides by a value"),
        (lambda x: x * float(x.sum()), "Python number"),
        (lambda x: x * x.max().item(), "Python number"),
        (lambda x: [x * 1.0 for _ in range(1 + int(x.data.argmax()))][-1], "outside of tensors|operations"),
        (lambda x: F.relu(x) if x.data.sum() > X.sum() - 1e-3 else F.tanh(x), "operation 0 is tanh and not relu"),
    ],
)
def test_what_is_computed_outside_of_tensors_is_refused(model, match):
    refused(model, X, match=match)


@pytest.mark.parametrize("fill", [0, 1])
@pytest.mark.parametrize(
    ("model", "dtype"),
    [
        (lambda x: x * (1 + np.abs(x.numpy()).max()), np.float32),
        (lambda x: x - x.numpy().mean(), np.float64),
        (lambda x: x * float((x.numpy() > 0.5).sum()), np.float32),
        (lambda i: F.embedding(i, np.eye(2)) * float(np.asarray(i.data).sum()), np.int64),
        (lambda m: fnn.where(m, 1.0, fnn.tensor(0.0)) * float(np.asarray(m.data).sum()), np.bool_),
    ],
)
def test_examples_of_equal_values_hide_nothing(model, dtype, fill):
    refused(model, np.full((4, 6), fill, dtype), match="outside of tensors")


@pytest.mark.parametrize("what", [np.max, np.sum])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_another_order_of_the_example_is_not_enough(what, dtype):
    example = np.array([[1, 0], [3, 2], [0, 0]]).astype(dtype)
    refused(
        lambda i: fnn.where(i == 1, fnn.tensor(1.0), float(what(np.asarray(i.data), axis=None))),
        example,
        match="outside",
    )


def test_values_that_the_model_refuses_are_not_needed():
    """The lengths of the example are the longest already, and its numbers the only ones that are taken."""

    class Steps(nn.Module):
        def __init__(self):
            self.rnn = nn.RNN(2, 3, rng=0)

        def forward(self, x, lengths):
            if x.data.min() < 0 or x.data.max() > 1:
                raise ValueError("x must be shares")
            return self.rnn(x, lengths=lengths)[0]

    inputs = np.ones((3, 4, 2), np.float32), np.full(4, 3)
    content = saved(Steps(), *inputs, batch_axis=(1, 0))
    assert run(content, *inputs)[0].shape == (3, 4, 3)


@pytest.mark.parametrize(
    "model",
    [
        lambda x: x * np.cumsum(x > 0, 1),
        lambda x: x * (x > 0).any(1)[:, None],
        lambda x: x * np.square(x.argmax(1, True)),
    ],
)
def test_other_functions_of_masks_and_places_are_refused(model):
    refused(model, X, match="takes an array that NumPy computed of a comparison or of places")


def test_assignments_in_place():
    def assigned(x):
        x[0] = 1.0
        return x

    refused(assigned, X, match="leaves only")

    def seen_before(x):
        y = x * 2.0
        row = y[0]
        y += 1.0
        return row + y

    refused(seen_before, X, match="was changed in place")


def test_gradients_inside_a_model_are_refused():
    refused(lambda x: fnn.jvp(lambda z: z * z, [x], [x])[0], X, match="jvp")
    refused(lambda x: x * fnn.grad(lambda z: (z * z).sum())(x), X, match="outside of tensors|followed")


def test_what_depends_on_the_batch():
    refused(lambda x: x * np.arange(4.0, dtype=np.float32)[:, None], X, match="4 samples|cannot be followed")
    refused(lambda x: x.reshape(2, 12), X, match="cannot be followed|batch")
    refused(lambda x: x + 1.0 / len(x), X, match="9 in the place of 4 samples; pass batch_axis=None")
    refused(lambda x: fnn.stack(list(x)).sum(0), X, match="in the place of 4 samples")
    refused(lambda x: x[: len(x) // 2] * 1.0, X, match="in the place of 4 samples")
    content = saved(lambda x: (x + 1.0 / len(x)).reshape(2, 12), X, batch_axis=None)
    assert np.array_equal(run(content, X)[0], (X + np.float32(0.25)).reshape(2, 12))


def test_indices_that_decide_how_much_there_is():
    refused(lambda x: x[x > 0], X, match="number of results", batch_axis=None)
    refused(lambda x: x[[0, 1], [2, 3]], X, match="several arrays")


def test_nothing_of_the_model_changes():
    model = nn.Sequential(nn.Linear(6, 6, rng=0), nn.BatchNorm1d(6), nn.Dropout(0.5, rng=1), nn.RReLU(rng=2))
    model[2].eval()
    with fnn.no_grad():
        model(X)
    before, generator = model.state_dict(), model[3].rng.bit_generator.state
    arrays = [p.data for p in model.parameters()]
    calls = []
    with model[0].register_forward_hook(lambda module, args, output: calls.append(output.shape)):
        example = X.copy()
        saved(model, example)
    assert [m.training for m in model] == [True, True, False, True]
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.data is array for p, array in zip(model.parameters(), arrays, strict=True))
    assert model[3].rng.bit_generator.state == generator
    assert np.array_equal(example, X)
    assert calls
    assert kinds(saved(model, X)) == ["Gemm", "BatchNormalization", "LeakyRelu"]


def test_modules_that_a_function_knows():
    net = nn.Sequential(nn.Linear(6, 4, rng=0), nn.BatchNorm1d(4), nn.Dropout(rng=1))
    content = saved(lambda x: F.softmax(net(x)), X)
    assert [m.training for m in net] == [True] * 3
    assert kinds(content) == ["Gemm", "BatchNormalization", "Softmax"]
    names = [t.name for t in onnx.load_from_string(content).graph.initializer]
    assert names == [f"net.{name}" for name in net.state_dict() if not name.endswith("num_batches_tracked")]
    assert kinds(saved(net.forward, X)) == ["Gemm", "BatchNormalization"]


class Holder:
    def __init__(self, net):
        self.net = net

    def __call__(self, x):
        return self.net(x)

    def run(self, x):
        return self.net(x)


@pytest.mark.parametrize("kind", ["partial", "list", "dictionary", "callable", "method", "function"])
def test_modules_that_a_callable_reaches_train_on_as_before(kind):
    net = nn.Sequential(nn.Linear(6, 4, rng=0), nn.BatchNorm1d(4), nn.Dropout(rng=1))
    inner = functools.partial(net)
    listed, named = [net], {"net": net}
    model, prefix = {
        "partial": (inner, ""), "list": (lambda x: listed[0](x), "listed.0."), "dictionary": (lambda x: named["net"](x), "named.net."),
        "callable": (Holder(net), "net."), "method": (Holder(net).run, "net."), "function": (lambda x: F.relu(inner(x)), "inner."),
    }[kind]  # fmt: skip
    before, generator = copy.deepcopy(net.state_dict()), copy.deepcopy(net[2].rng.bit_generator.state)
    names = [t.name for t in onnx.load_from_string(saved(model, X)).graph.initializer]
    assert names == [prefix + name for name in before if not name.endswith("num_batches_tracked")]
    assert [m.training for m in net] == [True] * 3
    assert net[2].rng.bit_generator.state == generator
    assert all(np.array_equal(before[name], array) for name, array in net.state_dict().items())


def test_state_of_one_name_in_two_modules():
    first, second = nn.Linear(6, 6, rng=0), nn.Linear(6, 6, rng=1)

    def inside(net):
        return lambda x: net(x)

    layers = inside(first), inside(second)
    content = saved(lambda x: layers[1](layers[0](x)), X)
    assert len({t.name for t in onnx.load_from_string(content).graph.initializer}) == 4
    np.testing.assert_allclose(run(content, X)[0], second(first(X)).numpy(), rtol=1e-5, atol=1e-6)


def test_generators_go_on_as_before():
    rng = np.random.default_rng(0)
    before = copy.deepcopy(rng.bit_generator.state)
    refused(lambda x: F.dropout(x, 0.5, rng=rng), X, match="draws random numbers")
    assert rng.bit_generator.state == before


def test_saving_inside_a_transformation_is_refused():
    def model(x):
        saved(nn.ReLU(), X)
        return x * 2.0

    with pytest.raises(fnn.onnx.OnnxError, match="inside jvp"):
        fnn.jvp(model, (X,), (X,))
    refused(model, X, match="a model that is exported")
    with fnn.no_grad():
        assert kinds(saved(nn.ReLU(), X)) == ["Relu"]
        assert not fnn.autograd.is_grad_enabled()


@pytest.mark.parametrize("choice", [[True, False, True], [True, True, True], [], [2, 0]])
def test_lists_as_indices(choice):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(run(saved(lambda x: x[:, choice], x), x)[0], x[:, choice])


@pytest.mark.parametrize(("size", "padding"), [(1, 3), (3, 2), (2, 8)])
def test_one_window_in_wide_padding(size, padding):
    x, weight = np.ones((2, 3, size, size), np.float32), np.ones((4, 3, 1, 1), np.float32)
    y = F.conv2d(x, weight, None, 2 * padding + size, padding)
    content = saved(lambda x: F.conv2d(x, weight, None, 2 * padding + size, padding), x)
    np.testing.assert_array_equal(run(content, x)[0], y)


def test_hooks_change_what_is_written():
    model = nn.Sequential(nn.Linear(6, 3, rng=0), nn.ReLU())
    with model[0].register_forward_hook(lambda module, args, output: output * 2.0):
        assert kinds(saved(model, X)) == ["Gemm", "Mul", "Relu"]


def test_a_tensor_that_a_model_keeps_is_an_ordinary_one_afterwards():
    kept = []

    def model(x):
        kept.append(F.relu(x))
        return kept[-1] * 2.0

    saved(model, X)
    assert all(type(x > 0) is np.ndarray or np.asarray(x > 0).dtype == bool for x in kept)
    assert float(kept[0].sum()) >= 0
    assert bool((kept[0] >= 0).all())


def test_both_backends_give_the_same_file():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, rng=0), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(100, 2, rng=1)
    ).eval()
    content = saved(model, IMAGE)
    with fnn.use_backend("numpy"):
        assert saved(model, IMAGE) == content
    model(IMAGE)  # plans that are kept are followed again, and are not of the traced calls
    assert saved(model, IMAGE) == content


def test_parameters_keep_their_names():
    net = nn.LSTM(3, 4, bidirectional=True, rng=0)
    graph = onnx.load_from_string(saved(net, np.ones((5, 2, 3), np.float32), batch_axis=1)).graph
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    for name, array in net.state_dict().items():
        assert np.array_equal(arrays[name], array)
    shared = nn.Linear(6, 6, rng=0)
    graph = onnx.load_from_string(saved(nn.Sequential(shared, nn.ReLU(), shared), X)).graph
    assert [t.name for t in graph.initializer] == ["0.weight", "0.bias"]


class Named(nn.Module):
    def __init__(self):
        self.x = nn.Parameter(np.ones(6, np.float32))

    def forward(self, x, other=None):
        return {"sum": x + self.x, "both": (x * 2.0, x if other is None else other + x)}


def test_names_of_inputs_and_outputs():
    graph = onnx.load_from_string(saved(Named(), X, X)).graph
    assert [i.name for i in graph.input] == ["x_0", "other"]  # "x" is the parameter
    assert [o.name for o in graph.output] == ["sum", "both_0", "both_1"]
    names = {"input_names": ["a", "b"], "output_names": ["u", "v", "w"]}
    graph = onnx.load_from_string(saved(Named(), X, X, **names)).graph
    assert [i.name for i in (*graph.input, *graph.output)] == ["a", "b", "u", "v", "w"]
    with pytest.raises(ValueError, match="input_names must be 1 different name, got"):
        saved(Named(), X, input_names=["a", "b"])


def test_shapes_in_the_file():
    content = saved(lambda x: (x, x.sum(), fnn.concatenate([x, x])), X)
    shapes = [
        [d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim]
        for o in onnx.load_from_string(content).graph.output
    ]
    assert shapes == [["batch", 6], [], [0, 6]]
    content = saved(lambda x, y: x + y, X, X[0], batch_axis=(0, None))
    shapes = [
        [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim]
        for i in onnx.load_from_string(content).graph.input
    ]
    assert shapes == [["batch", 6], [6]]


def test_versions():
    for opset, version in ((17, 8), (19, 9), (21, 10)):
        model = onnx.load_from_string(saved(nn.Linear(6, 2), X, opset=opset))
        assert (model.opset_import[0].version, model.ir_version) == (opset, version)
        assert model.producer_name == "fastnn"


def test_newer_operators_on_request():
    model = nn.Sequential(nn.GELU(), nn.RMSNorm(6), nn.SiLU(), nn.GroupNorm(2, 6))
    assert kinds(saved(model, X[:, :, None] * np.ones(6, np.float32), opset=24)) == [
        "Gelu", "RMSNormalization", "Swish", "GroupNormalization",
    ]  # fmt: skip
    old = kinds(saved(model, X[:, :, None] * np.ones(6, np.float32)))
    assert {"Erf", "ReduceMean", "Sigmoid", "Reshape"} <= set(old)
    assert not {"Gelu", "RMSNormalization", "Swish", "GroupNormalization"} & set(old)


@pytest.mark.parametrize(
    ("example", "options", "error", "match"),
    [
        ((), {}, ValueError, "got an empty tuple"),
        (X, {"opset": 16}, ValueError, "opset"),
        (X, {"opset": 99}, ValueError, "opset must be in 17"),
        (X, {"opset": "17"}, TypeError, "opset"),
        (X, {"batch_axis": 2}, ValueError, "batch_axis=2 is not an axis of an example of shape"),
        (X, {"batch_axis": (0, 0)}, ValueError, "batch_axis has 2 entries for 1 input"),
        ((X, X[:3]), {}, ValueError, "batches of different sizes"),
        (X.astype(np.complex64), {}, TypeError, "example 0 must be float32"),
        (np.array(["a"]), {}, TypeError, "example 0"),
    ],
)
def test_arguments_that_do_not_fit(example, options, error, match, tmp_path):
    with pytest.raises(error, match=f"^onnx.save: .*{match}"):
        fnn.onnx.save(lambda *x: x[0] * 1.0, tmp_path / "m.onnx", example, **options)
    assert not list(tmp_path.iterdir())


def test_files(tmp_path):
    with pytest.raises(TypeError, match="model must be a Module or a function, got int"):
        fnn.onnx.save(3, tmp_path / "m.onnx", X)
    with pytest.raises(FileNotFoundError):
        fnn.onnx.save(nn.ReLU(), tmp_path / "none" / "m.onnx", X)
    with pytest.raises(ValueError, match="is a folder"):
        fnn.onnx.save(nn.ReLU(), tmp_path, X)
    refused(lambda x: None, X, match="returns no tensor")
    refused(lambda x: "text", X, match="returns str")


def test_errors_of_the_model_come_through():
    with pytest.raises(ValueError, match="linear: x of shape"):
        saved(nn.Linear(5, 2), X)


def test_odd_examples():
    for x in (X[:0], X[::-2], X[:, ::2].astype(">f4"), np.float32(2.0)):
        batch = 0 if np.ndim(x) else None
        assert np.array_equal(
            run(saved(lambda x: x * 2.0, x, batch_axis=batch), np.asarray(x, np.float32))[0], np.asarray(x) * 2
        )


def test_onnx_is_imported_where_it_is_used():
    program = "import sys, fastnn.onnx; fastnn.onnx.save; sys.exit('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"onnx.save needs onnx: pip install 'fastnn\[onnx\]'"):
        fnn.onnx.save(nn.ReLU(), tmp_path / "m.onnx", X)
