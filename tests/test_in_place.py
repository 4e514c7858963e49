"""Values changed in place: what backward does after it, and augmented assignments."""

import dataclasses
import gc
import threading

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn.autograd import changes, raw
from fastnn.autograd.changes import note_change
from harness import gradient_for, outputs_of, own
from op_table import OPS
from test_forward_mode import UNARY

BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: (a * a + 1.0) ** b,
    "maximum": fnn.maximum,
    "minimum": fnn.minimum,
    "where": lambda a, b: fnn.where(a > b, a, b),
    "concatenate": lambda a, b: fnn.concatenate([a, b], axis=1),
    "stack": lambda a, b: fnn.stack([a, b]),
    "matmul": lambda a, b: a @ b.swapaxes(1, 2),
    "several outputs": lambda a, b: _both(a, b)[1],
    "own operation": lambda a, b: _product(a, b),
}
_product = fnn.differentiable(
    lambda a, b: (a * b, {"kept": [a, b]}), lambda s, dy: (dy * s["kept"][1], dy * s["kept"][0])
)
_both = fnn.differentiable(lambda a, b: ((a + b, a * b), (a, b)), lambda s, da, db: (da + db * s[1], da + db * s[0]))
# Those whose derivative needs no value of this argument.
NEEDS_NO_VALUES = {"add", "subtract", "concatenate", "stack"} | (
    {"negative", "sum", "mean", "getitem", "reshape", "transpose", "swapaxes", "squeeze", "expand_dims", "astype"}
)


def change(x):
    """Other values in the memory of a tensor, through a view of a detached one."""
    view = x.detach()[...]
    assert np.shares_memory(view.data, x.data) or not x.size
    view[...] = 0 if x.dtype.kind in "iu" else ~x.data if x.dtype.kind == "b" else x.data * 0.5 + 0.25


def run(call, arrays, changed=None):
    """The gradients, with one of the tensors changed before backward: by its number, the outputs after the inputs."""
    tensors = [None if a is None else fnn.Tensor(a.copy(), requires_grad=a.dtype.kind == "f") for a in arrays]
    outputs = outputs_of(call(*tensors))
    involved = [t for t in (*tensors, *outputs) if isinstance(t, fnn.Tensor)]
    if changed is not None:
        change(involved[changed])
    outputs[0].backward(gradient_for(outputs[0].shape, outputs[0].dtype))
    return len(involved), [None if t is None else t.grad for t in tensors]


def check(call, arrays, what):
    """Whatever is changed: the gradient without the change, or the error. How many changes went through."""
    count, expected = run(call, arrays)
    went_through = []
    for i in range(count):
        try:
            _, gradients = run(call, arrays, i)
        except RuntimeError as error:
            assert "changed in place since" in str(error), what  # noqa: PT017
            continue
        went_through.append(i)
        for a, b in zip(expected, gradients, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{what}, tensor {i} changed")
    return went_through


@pytest.mark.parametrize("op", [op for op in OPS if op.args], ids=str)
def test_every_operation_gives_its_gradient_or_refuses(op):
    samples = [s.cast(np.float64) for s in op.samples() if not s.special]
    for sample in samples[:: max(1, len(samples) // 5)]:
        sample = own(sample, op.in_place)
        plain = {
            k: v for k, v in sample.options.items() if isinstance(v, np.ndarray) and k not in op.in_place and v.size
        }

        def call(*given, sample=sample, plain=plain, op=op):
            arrays, others = given[: len(sample.arrays)], given[len(sample.arrays) :]
            options = sample.options | {k: v.detach() for k, v in zip(plain, others, strict=True)}
            return op(own(dataclasses.replace(sample, options=options), op.in_place), arrays)

        check(call, [*sample.arrays, *plain.values()], f"{op}: {sample}")


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_tensors_own_operations_give_their_gradients_or_refuse(name):
    rng = np.random.default_rng(0)
    count = 1 if name in UNARY else 2
    f = UNARY.get(name) or BINARY[name]
    went_through = check(f, [rng.normal(size=(3, 3, 4)) for _ in range(count)], name)
    if name in NEEDS_NO_VALUES:
        assert went_through == list(range(count + 1))


@pytest.mark.parametrize("name", ["std", "clip", "clone", "unsqueeze"])
def test_further_methods(name):
    f = {
        "std": lambda x: x.std(axis=1),
        "clip": lambda x: x.clip(-0.5, 0.5),
        "clone": lambda x: x.clone(),
        "unsqueeze": lambda x: x.unsqueeze(1),
    }[name]
    check(f, [np.random.default_rng(0).normal(size=(3, 4))], name)


@pytest.mark.parametrize(
    "alias",
    [lambda x: x, lambda x: x.detach(), lambda x: x.detach()[1:], lambda x: fnn.Tensor(x.numpy()[::-1])],
    ids=["itself", "detached", "view", "numpy"],
)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_change_is_seen_through_every_alias(alias, frozen):
    x = fnn.tensor([1.0, 2.0, 3.0], requires_grad=not frozen)
    w = fnn.tensor([1.0, 1.0, 1.0], requires_grad=True)
    loss = (w * x).sum()
    with fnn.no_grad():
        alias(x)[-1] = 100.0
    with pytest.raises(RuntimeError, match=r"multiply was computed from a tensor of shape \(3,\) that was changed"):
        loss.backward()


def test_a_result_that_is_saved():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    y.detach()[0] = 5.0
    with pytest.raises(RuntimeError, match="changed in place since, or gave one"):
        y.sum().backward()


def test_only_what_was_changed_is_refused():
    buffer = fnn.tensor(np.ones((4, 3)))
    w = fnn.tensor(np.ones(3), requires_grad=True)
    losses = [(w * buffer[i]).sum() for i in range(4)]
    buffer[2] = 7.0
    for i, loss in enumerate(losses):
        if i == 2:
            with pytest.raises(RuntimeError, match="changed in place"):
                loss.backward()
        else:
            loss.backward()
    np.testing.assert_array_equal(w.grad, [3.0, 3.0, 3.0])


def test_a_step_does_not_concern_frozen_parameters_in_the_same_buffer():
    a, b, x = (fnn.nn.Parameter(np.full(3, v)) for v in (1.0, 2.0, 3.0))
    optimiser = fnn.optim.SGD([a, b], lr=0.1)
    b.requires_grad = False
    early = (b * x).sum()
    (a * a).sum().backward()
    optimiser.step()
    early.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0, 2.0])
    (a * a).sum().backward()
    late = (a * x).sum()
    optimiser.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        late.backward()


def test_steps_as_functions():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    F.sgd_step(x, np.ones(2), lr=0.5)
    np.testing.assert_array_equal(x.data, [0.5, 1.5])
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_memory_that_is_used_again_is_not_taken_for_what_was_there_before():
    x = fnn.tensor(np.ones(1000), requires_grad=True)
    y = x * 2.0
    z = y * y
    for _ in range(20):  # each dies, and the next arrays lie where it was
        fnn.Tensor(np.ones(1000))[...] = 3.0
    z.sum().backward()
    np.testing.assert_array_equal(x.grad, np.full(1000, 8.0))


def test_changes_of_dead_arrays_are_forgotten():
    kept = [np.zeros(1) for _ in range(10)]
    note_change(*kept)
    for _ in range(5000):
        note_change(np.zeros(1))
    table = changes.changes._memories
    gc.collect()
    assert len(table) <= 2048
    addresses = {a.__array_interface__["data"][0] for a in kept}
    assert addresses <= {low for low, *_ in table}


def test_a_change_by_another_thread():
    x = fnn.tensor([1.0, 2.0])
    w = fnn.tensor([1.0, 1.0], requires_grad=True)
    loss = (w * x).sum()
    thread = threading.Thread(target=lambda: x.__setitem__(0, 5.0))
    thread.start()
    thread.join(10)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


# Augmented assignments


def test_the_step_written_by_hand():
    model = fnn.nn.Linear(3, 2, rng=0)
    arrays = [p.data for p in model.parameters()]
    F.mse_loss(model(np.ones((4, 3), np.float32)), np.ones((4, 2), np.float32)).backward()
    before = [a.copy() for a in arrays]
    with fnn.no_grad():
        for p in model.parameters():
            same = p
            p -= 0.1 * p.grad
            assert p is same
    for p, a, b in zip(model.parameters(), arrays, before, strict=True):
        assert p.data is a
        np.testing.assert_array_equal(a, b - 0.1 * p.grad)


def test_each_assignment():
    other = np.array([[2.0, 0.5], [1.0, 3.0]])
    for name, compute in {
        "iadd": lambda x, y: x + y,
        "isub": lambda x, y: x - y,
        "imul": lambda x, y: x * y,
        "itruediv": lambda x, y: x / y,
        "ipow": lambda x, y: x**y,
        "imatmul": lambda x, y: x @ y,
    }.items():
        for y in (other, fnn.tensor(other)):
            x = fnn.tensor([[1.0, 2.0], [3.0, 4.0]])
            data, expected = x.data, compute(x.data.copy(), other)
            assert getattr(x, f"__{name}__")(y) is x
            assert x.data is data
            np.testing.assert_allclose(data, expected, rtol=1e-15)


def test_assignments_to_slices():
    x = fnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with fnn.no_grad():
        x[1:] += 1.0
        x[[0, 2]] *= 10.0
    np.testing.assert_array_equal(x.data, [10.0, 3.0, 40.0])
    with pytest.raises(RuntimeError, match="elements can be assigned in leaves only"):
        x[1:] += 1.0
    np.testing.assert_array_equal(x.data, [10.0, 3.0, 40.0])


def test_leaves_are_not_changed_while_they_are_recorded():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"add: a leaf that requires a gradient .* inside no_grad\(\)"):
        x += 1.0
    with pytest.raises(RuntimeError, match="multiply: a leaf"):
        x *= x
    np.testing.assert_array_equal(x.data, [1.0, 2.0])


def test_sums_of_computed_tensors():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    total = fnn.tensor(0.0)  # becomes part of the graph with the first summand
    first = total
    for _ in range(3):
        total += (x * x).sum()
    square = x * x
    doubled = square
    doubled *= 2.0
    assert first.item() == 0.0
    assert doubled is not square
    total.backward()
    np.testing.assert_array_equal(x.grad, [6.0, 12.0])
    value, tangent = fnn.jvp(_added_to_itself, [x.data], [np.ones(2)])
    np.testing.assert_array_equal(value, [2.0, 4.0])
    np.testing.assert_array_equal(tangent, [2.0, 2.0])
    np.testing.assert_array_equal(x.data, [1.0, 2.0])


def _added_to_itself(x):
    x += x
    return x


@pytest.mark.parametrize(
    ("array", "other", "error", "message"),
    [
        (np.zeros(3), np.zeros((2, 3)), ValueError, "add: .*broadcast"),
        (np.zeros(3), np.zeros(2), ValueError, "add: .*broadcast"),
        (np.zeros(3, np.int64), 0.5, TypeError, "add: .*cast"),
        (np.zeros(3, np.float32), 1j, TypeError, "add: .*complex"),
        (np.zeros(3)[::1], np.zeros(3), ValueError, "add: .*read-only"),
    ],
)
def test_what_does_not_fit_in_place(array, other, error, message):
    x = fnn.Tensor(array)
    array.flags.writeable = "read-only" not in message
    with pytest.raises(error, match=message):
        x += other
    np.testing.assert_array_equal(x.data, 0)


def test_types_of_assignments():
    x = fnn.tensor([1.0, 2.0], dtype=np.float32)
    x += np.ones(2)
    assert x.dtype == np.float32
    n = fnn.tensor(3)
    n += 1
    assert n.item() == 4
    assert n.dtype == np.int64


def test_a_recorded_tensor_is_not_assigned_to_elements():
    x, buffer = fnn.tensor([1.0, 2.0], requires_grad=True), fnn.tensor([0.0, 0.0])
    with pytest.raises(RuntimeError, match=r"which is not recorded; use fastnn\.stack"):
        buffer[0] = x.sum()
    buffer[0] = x.sum().detach()
    buffer[1] = x.numpy()[1]
    np.testing.assert_array_equal(raw(buffer), [3.0, 2.0])
