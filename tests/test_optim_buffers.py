"""The flat buffers of optimisers: parameters and gradients are views of them, whatever is done to either."""

import copy

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from optimizer_runs import GRADS, STARTS, parameters, run


# flat buffers
def test_parameters_and_gradients_are_views_of_one_buffer():
    params = parameters()
    optim.Adam(params)
    bases = {id(p.data.base.base) for p in params}
    assert len(bases) == 1
    assert all(p.data.ctypes.data % 64 == 0 for p in params)
    sum((p * p).sum() for p in params).backward()
    for p, start in zip(params, STARTS, strict=True):
        np.testing.assert_array_equal(p.data, start)
        np.testing.assert_array_equal(p.grad, 2 * start)
        assert p.grad is p._target.array
    assert len({id(p.grad.base.base) for p in params}) == 1


def _layer_sum(x, *weights):
    for w in weights:
        x = F.linear(x, w)
    return x.sum()


def test_backward_writes_into_the_buffers_and_a_shared_parameter_counts_twice():
    start, x = np.arange(4.0).reshape(2, 2), np.ones((3, 2))
    p = fnn.Tensor(start, requires_grad=True)
    expected = np.zeros((2, 2))
    for position in range(2):
        leaves = [fnn.Tensor(start, requires_grad=position == i) for i in range(2)]
        _layer_sum(x, *leaves).backward()
        expected += leaves[position].grad
    optim.SGD([p], lr=0.1)
    for count in (1, 2):
        _layer_sum(x, p, p).backward()
        assert p.grad is p._target.array
        np.testing.assert_allclose(p.grad, count * expected, rtol=1e-14)


def test_both_gradients_of_one_operation_with_one_parameter():
    p = fnn.Tensor(np.eye(2) * 3, requires_grad=True)
    optim.SGD([p], lr=0.1)
    F.linear(p, p).sum().backward()
    np.testing.assert_array_equal(p.grad, [[6.0, 6.0], [6.0, 6.0]])


def test_a_gradient_that_is_the_buffer_itself_is_added():
    p = fnn.Tensor(np.ones(2), requires_grad=True)
    optim.SGD([p], lr=0.1)
    (p * 3.0).sum().backward()
    fnn.autograd.record("odd", p.data * 2, (p,), lambda dy, needs: (p._target.array,)).sum().backward()
    np.testing.assert_array_equal(p.grad, [6.0, 6.0])


def test_gradients_of_functions_leave_the_buffers_alone():
    p, x = fnn.Tensor(np.eye(2), requires_grad=True), np.ones((1, 2))
    optim.SGD([p], lr=0.1)
    _layer_sum(x, p).backward()
    before = p.grad.copy()
    p.grad = None
    fnn.grad(lambda v: _layer_sum(v, p))(np.full((1, 2), 7.0))
    assert p.grad is None
    np.testing.assert_array_equal(p._target.array, before)


def test_one_call_steps_everything(monkeypatch):
    calls = []
    monkeypatch.setattr(optim.SGD, "_step", lambda self, *args, **kwargs: calls.append(args[0].size))
    params = parameters()
    run(optim.SGD(params, lr=0.1), params, GRADS[:1])
    assert calls == [16 + 8 + 8 + 24]


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, [24]), ({"weight_decay": 0.1}, [16, 8]), ({"l1": 0.1}, [16, 8])]
)
def test_decaying_parameters_go_apart_only_where_something_decays(monkeypatch, settings, expected):
    calls = []
    monkeypatch.setattr(optim.SGD, "_step", lambda self, *args, **kwargs: calls.append(args[0].size))
    bias, weight = nn.Parameter(np.ones(3), decay=False), nn.Parameter(np.ones(12))
    bias.grad, weight.grad = np.ones(3), np.ones(12)
    optimizer = optim.SGD([bias, weight], lr=0.1, **settings)
    for _ in range(2):
        optimizer.step()
    assert calls == expected * 2


def test_values_are_kept_when_gathered_and_old_arrays_are_left_alone():
    array = np.arange(3.0)
    p = fnn.Tensor(array, requires_grad=True)
    p.grad = np.ones(3)
    optimizer = optim.SGD([p], lr=1.0)
    optimizer.step()
    np.testing.assert_array_equal(array, [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(p.data, [-1.0, 0.0, 1.0])


def test_accumulation_over_several_backwards():
    p = fnn.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    for _ in range(2):
        (p * 3.0).sum().backward()
    np.testing.assert_array_equal(p.grad, [6.0, 6.0])
    optimizer.zero_grad()
    assert p.grad is None
    (p * 3.0).sum().backward()
    np.testing.assert_array_equal(p.grad, [3.0, 3.0])
    optimizer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(p.grad, [0.0, 0.0])


@pytest.mark.parametrize("missing", [(0,), (1,), (3,), (0, 2), (1, 2), (0, 1, 2, 3)])
def test_parameters_without_gradient_are_not_touched(missing):
    params = parameters()
    optimizer = optim.Adam(params, lr=0.1, weight_decay=0.1)
    run(optimizer, params, GRADS[:1])
    before = [p.data.copy() for p in params]
    state = optimizer.state_dict()["state"]
    run(optimizer, params, [[None if i in missing else g for i, g in enumerate(GRADS[1])]])
    after = optimizer.state_dict()["state"]
    for i, p in enumerate(params):
        assert (p.data == before[i]).all() == (i in missing)
        assert after[str(i)]["step"] == (1 if i in missing else 2)
        assert (after[str(i)]["exp_avg"] == state[str(i)]["exp_avg"]).all() == (i in missing)


def test_frozen_parameters_are_not_touched():
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1, weight_decay=0.1)
    params[1].requires_grad = False
    run(optimizer, params, GRADS[:1])
    np.testing.assert_array_equal(params[1].data, STARTS[1])
    params[1].requires_grad = True
    run(optimizer, params, GRADS[1:2])
    assert (params[1].data != STARTS[1]).all()


def test_arrays_put_in_from_outside_are_gathered_again():
    params = parameters()
    optimizer = optim.SGD(params, lr=1.0, momentum=0.5)
    address = params[0].data.ctypes.data
    run(optimizer, params, GRADS[:1])
    params[0].data = np.zeros((4, 3))
    run(optimizer, params, GRADS[1:2])
    assert params[0].data.ctypes.data == address
    np.testing.assert_allclose(params[0].data, 0.5 * -GRADS[0][0] - GRADS[1][0], rtol=1e-14)
    flat = params[0].data
    params[0].data = np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"SGD: a parameter of shape \(4, 3\).*replaced by an array of shape \(3, 4\)"):
        optimizer.step()
    params[0].data = flat
    params[0].grad = np.zeros(3)
    with pytest.raises(ValueError, match=r"SGD: a parameter of shape \(4, 3\) has a gradient of shape \(3,\)"):
        optimizer.step()


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("what", ["data", "grad"])
def test_arrays_exchanged_between_parameters(what, apart):
    """As if each had an array of its own; ``apart``: in two groups, hence in two buffers."""
    a, b = (fnn.tensor(start, requires_grad=True) for start in ([1.0, 2.0], [3.0, 5.0]))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b]}] if apart else [a, b], lr=1.0)
    for p, grad in ((a, [0.5, 0.5]), (b, [0.25, 0.125])):
        (p * np.array(grad)).sum().backward()
    if what == "data":
        a.data, b.data = b.data, a.data
        expected = [2.5, 4.5], [0.75, 1.875]
    else:
        a.grad, b.grad = b.grad, a.grad
        expected = [0.75, 1.875], [2.5, 4.5]
    optimizer.step()
    assert (a.data.tolist(), b.data.tolist()) == expected
    optimizer.zero_grad()
    (a + b).sum().backward()
    optimizer.step()
    assert ((a.data + 1).tolist(), (b.data + 1).tolist()) == expected


def test_a_teacher_and_a_student_exchange_their_values():
    student, teacher = (fnn.tensor([value], requires_grad=True) for value in (1.0, 7.0))
    optimizer = optim.SGD([student], lr=0.5)
    student.data, teacher.data = teacher.data, student.data
    student.grad = np.ones(1)
    optimizer.step()
    assert (float(student), float(teacher)) == (6.5, 1.0)


def test_one_gradient_for_two_parameters():
    a, b = (fnn.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([a, b], lr=0.5)
    (a * 3.0).sum().backward()
    b.grad = a.grad
    optimizer.step()
    assert (float(a), float(b)) == (-0.5, -0.5)
    b.grad, a.grad = a.grad, np.zeros(1)
    optimizer.step()
    assert (float(a), float(b)) == (-0.5, -2.0)


def test_values_turned_round_in_their_own_memory():
    p = fnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    before = p.data
    p.data = p.data[::-1]
    p.grad = np.zeros(3)
    optimizer.step()
    assert p.data.tolist() == [3.0, 2.0, 1.0]
    assert before.tolist() == [1.0, 2.0, 3.0]


KEPT = {
    "the array": lambda array: array,
    "a row": lambda array: array[1],
    "another shape": lambda array: array.reshape(-1),
    "a view of a view": lambda array: array.T[1:].T,
    "a buffer": memoryview,
}


def _affine(p, scale):
    return F.linear(np.ones((1, 3)) * scale, p).sum()


def _to_zeros(optimizer, p):
    p.grad = None  # else the zeros are written where the kept array is, as by `p.grad[...] = 0`
    optimizer.zero_grad(set_to_none=False)


FORGET = {
    "zero_grad": lambda optimizer, p: optimizer.zero_grad(),
    "None": lambda optimizer, p: setattr(p, "grad", None),
    "zeros": _to_zeros,
}


@pytest.mark.parametrize("forget", FORGET)
@pytest.mark.parametrize("kept", KEPT)
def test_gradients_that_were_kept_stay_as_they_are(kept, forget):
    """By the reverse pass that writes into the flat buffer, by the one that does not, and by a step."""
    p, q = fnn.Tensor(np.ones((2, 3)), requires_grad=True), fnn.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p, q], lr=0.1)
    for loss in (lambda scale: _affine(p, scale), lambda scale: (p * scale).sum()):
        optimizer.zero_grad()
        loss(2.0).backward()
        mine = KEPT[kept](p.grad)
        before = np.array(mine)
        FORGET[forget](optimizer, p)
        loss(3.0).backward()
        np.testing.assert_array_equal(p.grad, np.full((2, 3), 3.0))
        optimizer.step()
        np.testing.assert_array_equal(mine, before)
        np.testing.assert_array_equal(p.grad, np.full((2, 3), 3.0))


def test_gradients_of_two_losses_are_combined():
    p = fnn.Tensor(np.ones((2, 3)), requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    kept = []
    for scale in (1.0, 2.0, 4.0):
        optimizer.zero_grad()
        _affine(p, scale).backward()
        kept.append(p.grad)
    p.grad = sum(kept)
    optimizer.step()
    np.testing.assert_array_equal(p.data, np.full((2, 3), 1 - 7.0))


def test_memory_of_gradients_is_used_again_where_nobody_kept_them():
    p = fnn.Tensor(np.ones((2, 3)), requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    addresses = set()
    for _ in range(3):
        optimizer.zero_grad()
        _affine(p, 2.0).backward()
        assert p.grad is p._target.array
        addresses.add(p.grad.ctypes.data)
        optimizer.step()
    assert len(addresses) == 1


def test_copies_of_a_model_are_free_of_the_buffers():
    net = nn.Sequential(nn.Linear(2, 2, rng=0))
    optim.SGD(net.parameters(), lr=1.0)
    other = copy.deepcopy(net)
    other[0].weight.data += 1
    assert (net[0].weight.data != other[0].weight.data).all()
    assert other[0].weight.data.base is None


def test_mixed_dtypes_and_empty_parameters():
    params = [
        fnn.tensor([1.0], requires_grad=True),
        fnn.tensor(np.ones(2, np.float32), requires_grad=True),
        fnn.tensor(np.ones((0, 3)), requires_grad=True),
        fnn.tensor([3.0], requires_grad=True),
    ]
    optimizer = optim.Adam(params, lr=0.5)
    sum(p.sum() for p in params).backward()
    optimizer.step()
    assert [p.dtype for p in params] == [np.float64, np.float32, np.float64, np.float64]
    np.testing.assert_allclose(params[1].data, [0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(params[3].data, [2.5])
    optimizer.load_state_dict(optimizer.state_dict())


def test_optimisers_that_take_turns_have_gradients_written_to_their_own_memory():
    p = fnn.Tensor(np.ones((2, 3)), requires_grad=True)
    optimizers = [optim.SGD([p], lr=0.5), optim.SGD([p], lr=0.25)]
    for optimizer in optimizers * 2:
        p.grad = None
        _affine(p, 1.0).backward()
        optimizer.step()
        assert p._target.values is p.data
        assert p._target.array is p.grad
    np.testing.assert_array_equal(p.data, np.full((2, 3), 1 - 1.5))
