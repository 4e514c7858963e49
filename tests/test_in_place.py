"""Values changed in place: what backward does after it."""

import ctypes
import dataclasses
import gc
import itertools
import warnings

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn.autograd import changes, record
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


FOREIGN = {
    "memoryview": lambda b: np.asarray(memoryview(b)),
    "as_strided": np.lib.stride_tricks.as_strided,
    "sliding_window_view": lambda b: np.lib.stride_tricks.sliding_window_view(b, 1, writeable=True),
    "from_dlpack": np.from_dlpack,
    "ctypes": lambda b: np.ctypeslib.as_array(b.ctypes.data_as(ctypes.POINTER(ctypes.c_double)), b.shape),
}


@pytest.mark.parametrize("of", [np.array, lambda b: np.frombuffer(bytearray(b))], ids=["array", "bytearray"])
@pytest.mark.parametrize("seen", FOREIGN.values(), ids=FOREIGN)
def test_a_change_through_an_array_that_refers_to_no_other_one(of, seen):
    values = np.arange(1.0, 5.0)
    for saved, changed in ((lambda b: b, seen), (seen, lambda b: b), (seen, seen)):
        b = of(values)
        w = fnn.tensor(np.ones(4), requires_grad=True)
        x = saved(b)
        y = (w.reshape(x.shape) * fnn.Tensor(x)).sum()
        fnn.Tensor(changed(b))[-1] = 100.0  # what it was changed through dies
        for _ in range(3000):  # those that are dead are forgotten
            note_change(np.zeros(1))
        with pytest.raises(RuntimeError, match="changed in place since"):
            y.backward()
        later = fnn.Tensor(w.data * x.reshape(-1), requires_grad=True)
        (later * x.reshape(-1)).sum().backward()
        np.testing.assert_array_equal(later.grad, [1.0, 2.0, 3.0, 100.0])


def test_two_arrays_over_one_buffer():
    buffer = bytearray(np.arange(1.0, 5.0))
    w = fnn.tensor(np.ones(4), requires_grad=True)
    y = (w * fnn.Tensor(np.frombuffer(buffer))).sum()
    fnn.Tensor(np.frombuffer(buffer))[0] = 7.0
    with pytest.raises(RuntimeError, match="changed in place since"):
        y.backward()


def test_changes_of_foreign_memory_are_joined_and_none_is_lost():
    buffer = bytearray(8 * 6000)
    w = fnn.tensor(np.ones(1), requires_grad=True)
    table = changes.changes._memories
    before = len(table)

    def product(i):
        return (w * fnn.Tensor(np.frombuffer(buffer, offset=8 * i, count=1))).sum()

    early = [product(i) for i in range(0, 6000, 500)]
    for i in range(6000):
        fnn.Tensor(np.frombuffer(buffer, offset=8 * i, count=1))[0] = 1.0
    assert len(table) - before < 2500
    for y in early:
        with pytest.raises(RuntimeError, match="changed in place since"):
            y.backward()
    late = [product(i) for i in range(5000, 6000, 100)]
    fnn.Tensor(np.frombuffer(buffer))[5300] = 1.0  # by itself, as it is one of the last
    for y in late:
        if y is late[3]:
            with pytest.raises(RuntimeError, match="changed in place since"):
                y.backward()
        else:
            y.backward()
    assert w.grad == 9.0


def test_memory_that_is_used_again_is_not_taken_for_what_was_there_before():
    kept = []

    def pull(dy, needs):
        kept.append(np.full(1000, 2.0))  # younger than the node
        return (dy * kept[-1],)

    x = fnn.tensor(np.ones(1000), requires_grad=True)
    y = record("doubled", x.data * 2.0, (x,), pull).sum()
    for _ in range(20):  # each dies, and the next arrays lie where it was
        fnn.Tensor(np.ones(1000))[...] = 3.0
    for _ in range(2):
        y.backward(retain_graph=True)
    np.testing.assert_array_equal(x.grad, np.full(1000, 4.0))


def test_gradients_of_several_outputs_are_not_taken_for_what_was_there_before():
    x = fnn.tensor(np.ones(1000), requires_grad=True)
    f = fnn.differentiable(lambda a: ((a * 1.0, a * 2.0), ()), lambda saved, da, db: (da + 2.0 * db,))
    p, q = f(x)
    z = (p + q).sum()
    for _ in range(20):  # each dies, and the next arrays lie where it was
        fnn.Tensor(np.ones(1000))[...] = 3.0
    z.backward()
    np.testing.assert_array_equal(x.grad, np.full(1000, 3.0))
    pool = bytearray(8000)
    p, q = f(x)
    z = record("pooled", p.data, (p,), lambda dy, needs: (np.frombuffer(pool),)).sum()
    fnn.Tensor(np.frombuffer(pool))[...] = 5.0  # of what was there before the gradient
    z.backward()
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


def test_neighbours_between_the_same_bounds_are_not_changed():
    values = np.arange(24.0).reshape(4, 6)
    layouts = [
        lambda x: x[:, 0], lambda x: x[:, 1], lambda x: x[::2, 1:3], lambda x: x[1::2, ::-1], lambda x: x[2],
        lambda x: x[::-1, ::5], lambda x: x[1:2, 3:4], lambda x: x.T[4:, ::3],
    ]  # fmt: skip
    for saved, changed in itertools.product(layouts, repeat=2):
        x = fnn.tensor(values)
        w = fnn.tensor(1.0, requires_grad=True)
        y = (w * saved(x)).sum()
        changed(x)[...] = 5.0
        if np.shares_memory(saved(x).data, changed(x).data):
            with pytest.raises(RuntimeError, match="changed in place since"):
                y.backward()
        else:
            y.backward()
            assert w.grad == saved(values).sum()


@pytest.mark.parametrize(
    "change", [lambda x: x.__setitem__(..., np.array([1e300, 5.0])), lambda x: x.__itruediv__([0.0, 1.0])]
)
def test_a_change_that_raises_after_it_wrote(change):
    x = fnn.tensor([1.0, 2.0], dtype=np.float32)
    w = fnn.tensor([1.0, 1.0], requires_grad=True)
    y = (w * x).sum()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        change(x)
    assert x.tolist() != [1.0, 2.0]
    with pytest.raises(RuntimeError, match="changed in place since"):
        y.backward()
    x.data[...] = 1.0
    y = (w * x).sum()
    with np.errstate(all="warn"), warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            change(x)
    with pytest.raises(RuntimeError, match="changed in place since"):
        y.backward()


def test_a_step_that_is_refused_changes_nothing():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    with pytest.raises(ValueError, match="sgd_step"):
        F.sgd_step(x, np.ones(3), lr=0.5)
    with pytest.raises(ValueError, match="adam_step"):
        F.adam_step(x, np.ones(2), np.zeros(2), np.zeros(3), step=1, lr=0.5)
    loss.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
