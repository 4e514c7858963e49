"""Recurrent layers against ONNX's operators: its reference implementation, and onnxruntime for what that leaves out."""

import numpy as np
import pytest

from fastnn import nn

onnx = pytest.importorskip("onnx")
INPUTS, UNITS, STEPS, BATCH = 5, 7, 6, 4
# Where the blocks of ONNX's order stand in fastnn's: gates i, o, f, c of i, f, g, o, peepholes i, o, f of i, f, o; z, r, h of
# r, z, n.
ORDERS = {"LSTM": [0, 3, 1, 2], "peepholes": [0, 2, 1], "GRU": [1, 0, 2]}
OPTIONS = {
    "LSTM": ("LSTM", {}),
    "LSTM with peepholes": ("LSTM", {"peepholes": True}),
    "GRU": ("GRU", {"reset_after": True}),
    "GRU, reset first": ("GRU", {"reset_after": False}),
}
by_layer = pytest.mark.parametrize(("kind", "options"), OPTIONS.values(), ids=OPTIONS)


def normal(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape)


def layer(kind, dtype, **options):
    net = getattr(nn, kind)(INPUTS, UNITS, dtype=dtype, **options)
    net.load_state_dict(
        {k: normal(*v.shape, seed=i).astype(dtype) for i, (k, v) in enumerate(net.state_dict().items())}
    )
    return net


def reordered(a, order):
    blocks = np.split(a, len(order))
    return np.concatenate([blocks[i] for i in order])


def onnx_weights(net, kind, turns):
    """W, R, B and, of peepholes, P: a direction after the other."""
    state = net.state_dict()

    def of(name, order):
        return [reordered(state[f"{name}_l0{turn}"], ORDERS[order]) for turn in turns]

    biases = zip(of("bias_ih", kind), of("bias_hh", kind), strict=True)
    weights = [of("weight_ih", kind), of("weight_hh", kind), [np.concatenate(pair) for pair in biases]]
    if "weight_peephole_l0" in state:
        weights.append(of("weight_peephole", "peepholes"))
    return [np.stack(each) for each in weights]


def model(kind, options, direction, given):
    """A node of ONNX with these arrays; None is an input that is left out."""
    names = [f"i{i}" if a is not None else "" for i, a in enumerate(given)]
    attributes = {"linear_before_reset": int(options["reset_after"])} if kind == "GRU" else {}
    outputs = ["Y", "Y_h", "Y_c"][: 3 if kind == "LSTM" else 2]
    node = onnx.helper.make_node(kind, names, outputs, hidden_size=UNITS, direction=direction, **attributes)

    def info(name, shape, dtype=given[0].dtype):
        return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(dtype), shape)

    inputs = {name: a for name, a in zip(names, given, strict=True) if a is not None}
    heads = [info(name, a.shape, a.dtype) for name, a in inputs.items()]
    graph = onnx.helper.make_graph(
        [node], "layer", heads, [info(name, [None] * (4 if name == "Y" else 3)) for name in outputs]
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(made)
    return made, inputs


def arguments(kind, options, dtype, turns, lengths):
    """The network, its arguments, and ONNX's inputs."""
    net = layer(kind, dtype, bidirectional=len(turns) == 2, **options)
    x = normal(STEPS, BATCH, INPUTS).astype(dtype)
    states = [normal(len(turns), BATCH, UNITS, seed=i).astype(dtype) for i in range(1 + (kind == "LSTM"))]
    w, r, b, *peepholes = onnx_weights(net, kind, turns)
    lengths = None if lengths is None else np.array(lengths, np.int32)
    return net, (x, tuple(states) if kind == "LSTM" else states[0], lengths), [x, w, r, b, lengths, *states, *peepholes]


def compare(net, called, outputs, tolerance):
    """ONNX gives Y as (steps, directions, batch, units)."""
    y, final = net(*called)
    ours = [y, *final] if isinstance(final, tuple) else [y, final]
    outputs[0] = outputs[0].transpose(0, 2, 1, 3).reshape(STEPS, BATCH, -1)
    for a, b in zip(ours, outputs, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max()))


def roundings(dtype):
    """Each step adds ``inputs + units`` products, of which its preactivations are made; a state goes through all steps."""
    return np.finfo(dtype).eps * STEPS * (INPUTS + UNITS)


@by_layer
def test_the_reference_of_onnx(kind, options):
    from onnx.reference import ReferenceEvaluator

    net, called, given = arguments(kind, options, np.float64, [""], None)
    made, inputs = model(kind, options, "forward", given)
    compare(net, called, ReferenceEvaluator(made).run(None, inputs), roundings(np.float64))


@by_layer
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [3, 6, 1, 5]])
def test_onnxruntime(kind, options, bidirectional, lengths):
    runtime = pytest.importorskip("onnxruntime")
    turns = ["", "_reverse"][: 1 + bidirectional]
    net, called, given = arguments(kind, options, np.float32, turns, lengths)
    made, inputs = model(kind, options, "bidirectional" if bidirectional else "forward", given)
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    compare(net, called, session.run(None, inputs), roundings(np.float32))
