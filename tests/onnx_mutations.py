"""Damaged ONNX files, and what reading them must give: `OnnxError`, or what the package onnx and onnxruntime give."""

import contextlib
import functools
import random
import re
import resource
import warnings

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import fastnn as fnn
from onnx_models import MODELS

EXTREMES = (
    0,
    1,
    -1,
    2,
    3,
    7,
    255,
    1 << 15,
    1 << 20,
    1 << 24,
    1 << 28,
    (1 << 31) - 1,
    1 << 33,
    1 << 40,
    -(1 << 40),
    (1 << 62),
)
SLACK = 64 << 20
LARGE = 1e18  # whose squares overflow in the norms of the references, and not in fastnn's


@functools.cache
def originals():
    return {name: (made.SerializeToString(), inputs) for name, (made, inputs) in ((n, m()) for n, m in MODELS.items())}


def mutated(seed):
    """Bytes of a damaged file, and the inputs of the file it was."""
    rng = random.Random(seed)
    name = rng.choice(sorted(MODELS))
    content, inputs = originals()[name]
    change = rng.choice((flip, flip, cut, splice, overwrite, *[edit] * 5))
    return change(rng, content), inputs, f"seed {seed}: {name}, {change.__name__}"


def flip(rng, content):
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(rng, content):
    begin = rng.randrange(len(content))
    return content[:begin] if rng.random() < 0.5 else content[:begin] + content[begin + rng.randrange(1, 40) :]


def splice(rng, content):
    other = originals()[rng.choice(sorted(MODELS))][0]
    begin, at = rng.randrange(len(other)), rng.randrange(len(content))
    return content[:at] + other[begin : begin + rng.randrange(1, 200)] + content[at:]


def overwrite(rng, content):
    at, count = rng.randrange(len(content)), rng.randrange(1, 12)
    return content[:at] + rng.choice((rng.randbytes(count), bytes(count), b"\xff" * count)) + content[at + count :]


def edit(rng, content):
    proto = onnx.ModelProto.FromString(content)
    for _ in range(rng.choice((1, 1, 2))):
        rng.choice(EDITS)(rng, proto.graph, proto)
    return proto.SerializeToString()


def edit_dims(rng, graph, proto):
    tensor = rng.choice(graph.initializer)
    if len(tensor.dims) and rng.random() < 0.7:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(EXTREMES)
    else:
        tensor.dims.append(rng.choice(EXTREMES))


def edit_type(rng, graph, proto):
    rng.choice(graph.initializer).data_type = rng.randrange(30)


def edit_numbers(rng, graph, proto):
    """A shape, index or axis."""
    whole = [t for t in graph.initializer if t.data_type == onnx.TensorProto.INT64]
    if whole:
        tensor = rng.choice(whole)
        values = np.frombuffer(tensor.raw_data[: len(tensor.raw_data) // 8 * 8], np.int64).copy()
        if values.size:
            values[rng.randrange(values.size)] = rng.choice(EXTREMES) + rng.choice((0, 0, 1, -1))
        tensor.raw_data = values.tobytes()


def edit_data(rng, graph, proto):
    tensor = rng.choice(graph.initializer)
    kind = rng.randrange(4)
    if kind == 0:
        tensor.raw_data = tensor.raw_data[: -rng.randrange(1, 9)]
    elif kind == 1:
        tensor.raw_data = tensor.raw_data + bytes(rng.randrange(1, 9))
    elif kind == 2:
        tensor.ClearField("raw_data")
    else:
        tensor.float_data.append(1.0)


def edit_external(rng, graph, proto):
    tensor = rng.choice([t for t in graph.initializer if t.HasField("raw_data")])
    places = ("../secret", "/etc/passwd", "data.bin", "", ".", "a/../../b", "/dev/zero", "\\\\host\\x", "x\0y")
    onnx.external_data_helper.set_external_data(
        tensor, rng.choice(places), rng.choice((None, 0, 1 << 40)), rng.choice((None, 4, 1 << 40))
    )
    tensor.ClearField("raw_data")


def edit_attribute(rng, graph, proto):
    node = rng.choice([node for node in graph.node if len(node.attribute)])
    attribute = rng.choice(node.attribute)
    kind = rng.randrange(5)
    if kind == 0:
        attribute.type = rng.randrange(15)
    elif kind == 1:
        attribute.name = rng.choice(("axis", "pads", "nonsense", "", "to", attribute.name + "s"))
    elif len(attribute.ints):
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(EXTREMES)
        if rng.random() < 0.3:
            attribute.ints.append(rng.choice(EXTREMES))
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice((float("nan"), float("inf"), -1.0, 0.0, 1e30))
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = rng.choice((b"", b"\xff\xfe", b"edge", b"reverse", b"ij,jk->ik", b"i" * 300))
    else:
        attribute.i = rng.choice(EXTREMES)


def edit_names(rng, graph, proto):
    """Other connections, among them circles and values that are given twice."""
    node, other = rng.choice(graph.node), rng.choice(graph.node)
    names = [*(t.name for t in graph.initializer), *(n for x in graph.node for n in x.output), "", "nothing"]
    kind = rng.randrange(4)
    if kind == 0:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif kind == 1:
        node.output[0] = rng.choice(names)
    elif kind == 2:
        rng.choice(graph.initializer).name = rng.choice(names)
    else:
        node.input[0] = other.output[0]


def edit_nodes(rng, graph, proto):
    kind = rng.randrange(5)
    node = rng.choice(graph.node)
    if kind == 0:
        graph.node.remove(node)
    elif kind == 1:
        graph.node.append(node)
    elif kind == 2:
        node.op_type = rng.choice(
            (*(other.op_type for other in graph.node), "If", "Nothing", "Identity", "Neg", "Scan")
        )
    elif kind == 3:
        node.domain = rng.choice(("com.microsoft", "ai.onnx", "ai.onnx.ml"))
    else:
        node.input.append(rng.choice(graph.initializer).name)


def edit_header(rng, graph, proto):
    kind = rng.randrange(5)
    if kind == 0:
        proto.opset_import[0].version = rng.choice((0, 1, 6, 9, 12, 13, 17, 21, 28, 29, 1 << 40))
    elif kind == 1:
        proto.ir_version = rng.choice((0, 1, 3, 99))
    elif kind == 2:
        rng.choice(graph.input).type.tensor_type.elem_type = rng.randrange(30)
    elif kind == 3:
        dims = graph.input[0].type.tensor_type.shape.dim
        dims[rng.randrange(len(dims))].dim_value = rng.choice(EXTREMES)
    else:
        graph.output.append(rng.choice((*graph.output, *graph.input)))


EDITS = (
    edit_dims, edit_type, edit_numbers, edit_numbers, edit_numbers, edit_data, edit_external, edit_attribute, edit_attribute,
    edit_names, edit_nodes, edit_header,
)  # fmt: skip


def peak():
    """The most memory that the process has had since `forget_peak`, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])


def forget_peak():
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def check(seed):
    """What is wrong with how a damaged file is read, or "" ; and what happened."""
    content, inputs, name = mutated(seed)
    forget_peak()
    before = peak()
    outcome, outputs, given, state = read_and_run(content, inputs)
    used = peak() - before
    returned = sum(np.asarray(y).nbytes for y in outputs) + state
    if used > 2 * returned + SLACK:
        return f"{name}: {used} bytes of memory for {returned}", outcome
    if outcome != "result":
        return "", outcome
    found = ["the same" if equal else "another" for equal in same(content, given, outputs)]
    if "the same" in found:
        return "", "result"
    return (
        f"{name}: {'another result than the reference' if found else 'a result where the references refuse'}",
        "fault",
    )


def read_and_run(content, inputs):
    try:
        model = fnn.onnx.load(content)
    except fnn.onnx.OnnxError:
        return "refused", [], {}, 0
    first = next(iter(inputs.values()))
    given = {name: inputs.get(name, first) for name in model.input_names}
    state = sum(array.nbytes for array in model.state_dict().values())
    model.eval()
    if any(np.abs(a).max(initial=0) > LARGE for a in model.state_dict().values()):
        return "large weights", [], given, state
    try:
        outputs = model(*given.values())
    except fnn.onnx.OnnxError:
        return "refused in a call", [], given, state
    except (TypeError, ValueError) as error:
        if not str(error).startswith(
            "OnnxModel: the input"
        ):  # which have other dtypes or shapes than the damaged file wants
            raise
        return "other inputs", [], given, state
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return "result", [np.asarray(y) for y in outputs], given, state


def same(content, inputs, outputs):
    """For each reference that gives a result: whether it is this one."""
    for reference in (by_onnx, by_onnxruntime):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = reference(content, inputs)
        except Exception:  # noqa: BLE001, S112 - whatever a reference raises is a refusal
            continue
        yield len(expected) == len(outputs) and all(map(close, outputs, expected))


def close(a, b):
    b = np.asarray(b)
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return False
    return np.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True)


def by_onnx(content, inputs):
    proto = onnx.ModelProto.FromString(content)
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(proto).run(None, inputs)


def by_onnxruntime(content, inputs):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, inputs)


def limit_memory(size=8 << 30):
    """Let an allocation that no test should make fail, where it would bring the machine down otherwise."""
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))
