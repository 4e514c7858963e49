"""Bad input is a ValueError or TypeError with the op's name, on both backends, and changes nothing."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from bad_input import ARRAYS, IN_PLACE, LEGAL, SCALARS
from fastnn import nn
from refused_calls import REFUSED, ones

OPS = sorted(LEGAL)
MAY_BE_ARRAYS = ("mean", "rstd", "indices", "dloss", "x_shape", "weight_shape")


@pytest.fixture(autouse=True)
def _small_machine(monkeypatch):
    """What is too large for memory shall not depend on the machine."""
    monkeypatch.setattr("fastnn.checks.arrays.MAX_ELEMENTS", 2**24)


def legal(op, **changes):
    """The legal arguments, with arrays to write to that are the caller's own."""
    arguments = {**LEGAL[op], **changes}
    return {
        name: value.copy() if name in IN_PLACE.get(op, ()) and name not in changes else value
        for name, value in arguments.items()
    }


def snapshot(arguments):
    return {k: v.tobytes() for k, v in arguments.items() if isinstance(v, np.ndarray) and v.size < 1000}


def problem(op, arguments):
    """What is wrong with how a call ended, or None."""
    before = snapshot(arguments)
    try:
        getattr(F, op)(**arguments)
    except (ValueError, TypeError) as error:
        if not str(error).startswith(op + ": "):
            return f"unnamed {type(error).__name__}: {error}"
        changed = [k for k, v in snapshot(arguments).items() if v != before[k]]
        return f"refused but changed {changed}" if changed else None
    except Exception as error:  # noqa: BLE001 - any other is what the tests look for
        return f"{type(error).__name__}: {error}"
    inputs = {k: v for k, v in before.items() if k not in IN_PLACE.get(op, ())}
    after = snapshot(arguments)
    changed = [k for k in inputs if after[k] != inputs[k]]
    return f"changed {changed}" if changed else None


def test_every_function_and_argument_is_here():
    assert set(LEGAL) == set(F.__all__)
    for op, arguments in LEGAL.items():
        assert set(arguments) == set(inspect.signature(getattr(F, op)).parameters), op


@pytest.mark.parametrize("op", OPS)
def test_legal_arguments_are_accepted(op, backend):
    getattr(F, op)(**legal(op))


@pytest.mark.parametrize("op", OPS)
def test_any_value_in_any_place(op, backend):
    wrong = []
    for name, value in LEGAL[op].items():
        array = isinstance(value, np.ndarray) or name in MAY_BE_ARRAYS
        for i, bad in enumerate(ARRAYS if array else SCALARS):
            if (found := problem(op, legal(op, **{name: bad}))) is not None:
                wrong.append(f"{name} = value {i} of type {type(bad).__name__}: {found}")
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("op", OPS)
def test_an_array_of_another_dtype_is_named(op):
    """By its own name, and what it stands beside by one that the function has."""
    arguments, messages = set(inspect.signature(getattr(F, op)).parameters), []
    for name, value in LEGAL[op].items():
        if not isinstance(value, np.ndarray) or value.dtype != np.float32:
            continue
        try:
            getattr(F, op)(**legal(op, **{name: value.astype(np.float64)}))
        except TypeError as error:
            messages.append(str(error))
    for message in messages:
        named = set(re.findall(r"\b(\w+)(?: is float| is updated|\.astype)", message)) - {"model"}
        assert named, message
        assert named <= arguments, message


@pytest.mark.parametrize("op", OPS)
def test_any_two_values(op, backend):
    rng = np.random.default_rng(1)
    names, wrong = list(LEGAL[op]), []
    for _ in range(150):
        a, b = (ARRAYS[i] for i in rng.integers(0, len(ARRAYS), 2))
        changes = {names[rng.integers(len(names))]: a, names[rng.integers(len(names))]: b}
        if (found := problem(op, legal(op, **changes))) is not None:
            wrong.append(f"{list(changes)}: {found}")
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize(("op", "changes", "error", "message"), REFUSED)
def test_refused(op, changes, error, message, backend):
    with pytest.raises(error, match=f"^{op}: .*{re.escape(message)}"):
        getattr(F, op)(**legal(op, **changes))


@pytest.mark.parametrize("op", sorted(IN_PLACE))
def test_targets_must_be_writeable(op, backend):
    for name in IN_PLACE[op]:
        arguments = legal(op)
        arguments[name].flags.writeable = False
        assert problem(op, arguments) is None
        with pytest.raises(ValueError, match=f"^{op}: {name} .* not writeable"):
            getattr(F, op)(**arguments)


@pytest.mark.parametrize("op", sorted(IN_PLACE))
def test_targets_must_not_overlap(op, backend):
    for name in IN_PLACE[op]:
        for other, value in LEGAL[op].items():
            if other == name or not isinstance(value, np.ndarray):
                continue
            arguments = legal(op)
            memory = np.ones(arguments[name].size + value.size - 1, np.float32)
            arguments[name] = memory[: arguments[name].size].reshape(arguments[name].shape)
            arguments[other] = memory[memory.size - value.size :].reshape(value.shape)
            assert problem(op, arguments) is None
            with pytest.raises(ValueError, match=f"^{op}: .* overlaps .* in memory"):
                getattr(F, op)(**arguments)


def test_targets_next_to_each_other_do_not_overlap(backend):
    memory = np.ones(8, np.float32)
    F.adam_step(*memory.reshape(4, 2), step=1, lr=0.1)
    assert (memory[2:4] == 1).all()


def test_a_memmap_is_updated(tmp_path, backend):
    param = np.memmap(tmp_path / "weights", np.float32, "w+", shape=(3,))
    F.sgd_step(param, np.ones(3, np.float32), lr=0.5)
    assert (np.fromfile(tmp_path / "weights", np.float32) == -0.5).all()


def test_cached_geometry_does_not_mix_up_types(backend):
    x, weight = ones(1, 1, 4, 4), ones(1, 1, 2, 2)
    F.conv2d(x, weight, stride=1, padding=(0, 1), groups=1)
    for wrong in (
        {"stride": True},
        {"stride": 1.0},
        {"padding": (0.0, 1)},
        {"padding": (False, True)},
        {"groups": True},
    ):
        with pytest.raises(TypeError, match=r"^conv2d: "):
            F.conv2d(x, weight, **wrong)


@pytest.mark.parametrize("like", [int, np.int64, np.uint8])
def test_integers_of_any_type(like, backend):
    x, weight = ones(1, 1, 5, 5), ones(1, 1, 2, 2)
    expected = F.conv2d(x, weight, None, 2, 1, 1, 1)
    for stride, pad in ((like(2), like(1)), ([like(2), 2], (like(1), 1)), ((2, like(2)), [[1, like(1)], like(1)])):
        assert (F.conv2d(x, weight, None, stride, pad, like(1), like(1)) == expected).all()


def test_lists_are_arrays(backend):
    assert F.relu([[-1.0, 2.0]]).tolist() == [[0.0, 2.0]]
    with pytest.raises(TypeError, match=r"^relu: x must be float32 or float64, got dtype int64"):
        F.relu([1, 2])


def test_empty_batches_give_empty_results(backend):
    empty = ones(0, 4, 8, 8)
    assert F.conv2d(empty, ones(6, 2, 3, 3), groups=2).shape == (0, 6, 6, 6)
    assert [g.shape for g in F.conv2d_backward(ones(0, 6, 6, 6), empty, ones(6, 2, 3, 3), groups=2)] == [
        (0, 4, 8, 8), (6, 2, 3, 3), (6,),
    ]  # fmt: skip
    assert F.max_pool2d(empty, 2).shape == F.avg_pool2d(empty, 2).shape == (0, 4, 4, 4)
    assert F.batch_norm(empty, ones(4), ones(4)).shape == F.group_norm(empty, 2).shape == empty.shape
    assert F.linear(ones(0, 3), ones(2, 3)).shape == (0, 2)
    assert F.cross_entropy(ones(0, 3), np.zeros(0, int), reduction="sum") == 0
    assert np.isnan(F.cross_entropy(ones(0, 3), np.zeros(0, int)))


@pytest.mark.parametrize("k", [1, 7, 2**40, 2**62, 2**63 - 1])
def test_maxout_of_an_empty_axis(k, backend):
    x = np.ones((5, 0, 3), np.float32)
    y = F.maxout(x, k, axis=1)
    assert y.shape == (5, 0, 3)
    assert F.maxout_backward(y, x, k, axis=1).shape == (5, 0, 3)


def test_maxout_needs_an_axis(backend):
    for call in (lambda: F.maxout(1.5, 1, axis=0), lambda: F.maxout_backward(np.ones((8, 1)), 1.5, 1, axis=-1)):
        with pytest.raises(ValueError, match="x must have an axis"):
            call()


@pytest.mark.parametrize("stride", [2**31, 2**62, 2**63 - 1])
def test_strides_longer_than_any_image(stride, backend):
    x = np.ones((1, 1, 9, 9), np.float32)
    assert F.max_pool2d(x, 3, stride).shape == (1, 1, 1, 1)
    assert F.conv2d(x, np.ones((1, 1, 3, 3), np.float32), None, stride).item() == 9
    dx = F.avg_pool2d_backward(np.full((1, 1, 1, 1), 9, np.float32), x.shape, 3, stride)
    assert np.array_equal(dx[0, 0, :3, :3], np.ones((3, 3)))
    assert dx.sum() == 9


def test_stacks_of_small_matrices(monkeypatch, backend):
    """The extents of stacks are not multiplied where they are equal."""
    monkeypatch.setattr("fastnn.checks.arrays.MAX_ELEMENTS", 10**5)
    a = np.ones((400, 4, 4), np.float32)
    for b in (a, a[:1], a[:1, None]):
        assert F.matmul(a, b).shape == (*(1,) * (b.ndim - 3), 400, 4, 4)
    with pytest.raises(ValueError, match="too large"):
        F.matmul(a[:, None], a)


def test_arrays_of_many_axes(backend):
    shape = (*(1,) * 40, 2, 3)
    x = np.arange(6, dtype=np.float32).reshape(shape)
    assert F.linear(x, np.ones((2, 3), np.float32)).shape == (*shape[:-1], 2)
    assert F.maxout(x, 3, axis=-1).shape == (*shape[:-1], 1)
    assert F.maxout_backward(F.maxout(x, 3, axis=-1), x, 3, axis=-1).shape == shape
    index = np.zeros(shape, np.int64)
    assert F.embedding(index, np.ones((2, 4), np.float32)).shape == (*shape, 4)
    with pytest.raises(ValueError, match=r"^embedding: .*axes"):
        F.embedding(np.zeros((1,) * 64, np.int64), np.ones((2, 4), np.float32))


def _interval_calls():
    x, two = np.ones((2, 4, 6, 6)), np.ones((2, 4))
    p, m = np.ones(3), {"exp_avg": np.zeros(3), "exp_avg_sq": np.zeros(3)}

    def adam(**o):
        return F.adam_step(p.copy(), p, *(a.copy() for a in m.values()), **({"step": 1, "lr": 0.1} | o))

    return {
        "huber_loss delta": lambda v: F.huber_loss(two, two, delta=v),
        "lp_pool2d norm_type": lambda v: F.lp_pool2d(x, v, 2),
        "softplus beta": lambda v: F.softplus(two, beta=v),
        "dropout p": lambda v: F.dropout(two, v, rng=0),
        "dropout2d p": lambda v: F.dropout2d(x, v, rng=0),
        "layer_norm eps": lambda v: F.layer_norm(two, (4,), eps=v),
        "cross_entropy label_smoothing": lambda v: F.cross_entropy(two, np.zeros(2, int), label_smoothing=v),
        "adam_step lr": lambda v: adam(lr=v),
        "adam_step eps": lambda v: adam(eps=v),
        "adam_step l1": lambda v: adam(l1=v),
        "adam_step weight_decay": lambda v: adam(weight_decay=v),
        "adam_step betas": lambda v: adam(betas=(v, 0.5)),
        "sgd_step momentum": lambda v: F.sgd_step(p.copy(), p, p.copy(), lr=0.1, momentum=v),
        "rmsprop_step alpha": lambda v: F.rmsprop_step(p.copy(), p, p.copy(), lr=0.1, alpha=v),
        "adadelta_step rho": lambda v: F.adadelta_step(p.copy(), p, p.copy(), p.copy(), rho=v),
    }


@pytest.mark.parametrize("name", _interval_calls())
def test_messages_name_the_interval_that_is_checked(name):
    """Every number in the named interval is taken, each end as its bracket says, and nothing beyond it."""
    call = _interval_calls()[name]
    with pytest.raises(ValueError, match="must be in") as error:
        call(-1.0)
    text = re.search(r"must be in ([\[(])(\S+), (\S+)([\])]), got", str(error.value))
    left, low, high, right = text[1], float(text[2]), float(text[3]), text[4]
    assert (left, right) == ("(" if low == -np.inf else left, ")" if high == np.inf else right)
    inside = [low] * (left == "[") + [high] * (right == "]") + [np.nextafter(low, 1.0) if np.isfinite(low) else -1e300]
    if np.isfinite(high):
        inside.append(np.nextafter(high, 0.0))
    if name.startswith(("softplus", "lp_pool2d")):
        inside[-1 if not np.isfinite(high) else -2] = 1e-3  # these compute 1 / beta, and x^p
    outside = [low] * (left == "(") + [high] * (right == ")") + [np.nextafter(low, -np.inf), np.nextafter(high, np.inf)]
    with np.errstate(all="ignore"):
        for v in inside:
            call(float(v))
        for v in outside:
            with pytest.raises(ValueError, match=name.split()[1]):
                call(float(v))


def test_masked_arrays_are_refused_wherever_an_array_is_taken(tmp_path):
    """A plain array has no place for the mask: the error says how to make one."""
    m, plain = np.ma.masked_array([1.0, 2.0, 1e9], [0, 0, 1]), np.ones(3)
    index = np.ma.masked_array([0, 1], [0, 1])
    calls = [
        lambda: F.relu(m),
        lambda: F.relu_backward(plain, m),
        lambda: F.mse_loss(m, plain),
        lambda: F.mse_loss(plain, m),
        lambda: F.softmax(m),
        lambda: F.add(plain, m),
        lambda: F.embedding(index, np.ones((2, 1))),
        lambda: F.cross_entropy(np.ones((2, 3)), index),
        lambda: F.relu([m, m]),
        lambda: F.sgd_step(m, plain, lr=0.1),
        lambda: F.sgd_step(plain, m, lr=0.1),
        lambda: fnn.tensor(m),
        lambda: fnn.Tensor(m),
        lambda: fnn.tensor(plain) + m,
        lambda: fnn.data.Batches(m, batch_size=1),
        lambda: fnn.data.split(index, fractions=[0.5]),
        lambda: fnn.data.split([0, 1], fractions=[0.5], stratify=index),
        lambda: fnn.data.split([0, 1], fractions=[0.5], groups=index),
        lambda: fnn.data.windows(m, 1),
        lambda: fnn.data.resample(m, rng=0),
        lambda: fnn.data.fit_distribution(m),
        lambda: fnn.data.random_flip(m.reshape(3, 1), np.random.default_rng(0)),
        lambda: fnn.save_checkpoint(tmp_path / "file", {"m": m}),
        lambda: nn.CrossEntropyLoss(m),
        lambda: nn.Linear(3, 1, bias=False, rng=0).load_state_dict({"weight": m.reshape(1, 3)}),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"mask.*\.filled\("):
            call()
    other = np.array([1.0, -1.0]).view(type("Other", (np.ndarray,), {}))
    np.testing.assert_array_equal(F.relu(other), [1.0, 0.0])
