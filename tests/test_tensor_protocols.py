"""Tensors where Python and NumPy expect an array or a number: formats, lists, NumPy's functions, DLPack; and further methods."""

import importlib.util

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn.testing import gradcheck


def test_formats():
    assert f"{fnn.tensor(1.5):.3f}" == "1.500"
    assert f"{fnn.tensor([[2.0]], dtype=np.float32):8.1e}" == " 2.0e+00"
    assert f"{fnn.tensor(7):03d}" == "007"
    loss = fnn.tensor(2.0, requires_grad=True) * 2
    assert f"{loss:.1f} {loss}" == "4.0 tensor(4., from=multiply)"
    assert f"{fnn.tensor([1.0, 2.0])}" == "tensor([1., 2.])"
    with pytest.raises(TypeError, match=r"'\.3f' is for one element, this tensor has shape \(2,\)"):
        f"{fnn.tensor([1.0, 2.0]):.3f}"


def test_lists_and_flags():
    x = fnn.tensor([[1.0, 2.0]])
    assert x.tolist() == [[1.0, 2.0]]
    assert fnn.tensor(3).tolist() == 3
    assert x.requires_grad_() is x
    assert x.requires_grad
    assert not x.requires_grad_(False).requires_grad


def test_positions_of_extrema():
    x = fnn.tensor([[1.0, 5.0], [7.0, 2.0]], requires_grad=True)
    assert (x.argmax(), x.argmin()) == (2, 0)
    np.testing.assert_array_equal(x.argmax(axis=1), [1, 0])
    assert x.argmin(axis=0, keepdims=True).tolist() == [[0, 1]]


def test_clone_is_recorded_and_has_memory_of_its_own():
    x = fnn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.T.clone()
    assert y.data.flags.c_contiguous
    assert not np.shares_memory(x.data, y.data)
    (y * [[1.0, 2.0], [3.0, 4.0]]).sum().backward()
    np.testing.assert_array_equal(x.grad, [[1.0, 3.0], [2.0, 4.0]])
    assert fnn.tensor([1.0]).clone().is_leaf


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
@pytest.mark.parametrize("ddof", [0, 1])
def test_standard_deviation(axis, ddof):
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(fnn.tensor(x).std(axis, ddof=ddof).data, x.std(axis, ddof=ddof))
    assert gradcheck(lambda t: t.std(axis, keepdims=True, ddof=ddof) * t, x)


def test_standard_deviation_of_equal_values_has_no_slope():
    x = fnn.tensor([[2.0, 2.0], [1.0, 3.0]], requires_grad=True)
    x.std(axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad, [[0.0, 0.0], [-0.5, 0.5]])


def test_clip():
    x = np.array([-2.0, -1.0, 0.5, 1.0, 3.0, np.nan])
    for low, high in ((-1.0, 1.0), (None, 1.0), (-1.0, None), (np.full(6, -1.0), np.ones(6))):
        t = fnn.tensor(x, requires_grad=True)
        y = t.clip(low, high)
        np.testing.assert_array_equal(y.data, np.clip(x, low, high))
        y.backward(np.arange(1.0, 7.0))
        inside = ~((x < (-np.inf if low is None else low)) | (x > (np.inf if high is None else high)))
        np.testing.assert_array_equal(t.grad, np.where(inside, np.arange(1.0, 7.0), 0.0))
    assert gradcheck(lambda t: t.clip(-0.5, [[0.25], [0.75]]), [0.0, 0.5, 0.9, -0.7])
    assert fnn.tensor([1.0, 9.0], dtype=np.float32).clip(0, 2).dtype == np.float32
    with pytest.raises(TypeError, match="clip: max gets no gradient"):
        fnn.tensor([1.0]).clip(0.0, fnn.tensor(1.0, requires_grad=True))


def test_unsqueeze():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    assert (x.unsqueeze(0).shape, x.unsqueeze(-1).shape, x.unsqueeze((0, 2)).shape) == ((1, 2), (2, 1), (1, 2, 1))
    x.unsqueeze(1).sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


# NumPy's functions


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda x: np.concatenate([x, np.ones(3)]), r"use fastnn\.concatenate"),
        (lambda x: np.stack([np.ones(3), x]), r"use fastnn\.stack"),
        (lambda x: np.where(np.ones(3, bool), x, 0.0), r"use fastnn\.where"),
        (lambda x: np.mean(x), "use the tensor's method mean"),
        (lambda x: np.sum(x, axis=0), "use the tensor's method sum"),
        (lambda x: np.dot(x, x), "use @"),
        (lambda x: np.einsum("i,i->", x, x), "fastnn's functions and methods"),
        (lambda x: np.linalg.norm(x), "fastnn's functions and methods"),
        (lambda x: np.reshape(x, (3, 1)), "use the tensor's method reshape"),
        (lambda x: np.expand_dims(x, 0), "use the method unsqueeze"),
        (lambda x: np.vstack([x, x]), r"use fastnn\.concatenate"),
        (lambda x: np.clip(x, 0, 1), "use the tensor's method clip"),
    ],
)
def test_functions_that_would_lose_a_gradient(call, instead):
    x = fnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for t in (x, x * 2.0):
        with pytest.raises(TypeError, match=instead):
            call(t)
    expected = call(x.numpy())
    np.testing.assert_array_equal(call(x.detach()), expected)
    np.testing.assert_array_equal(call(np.asarray(x)), expected)
    with fnn.no_grad():
        result = call(x)
    assert not isinstance(result, fnn.Tensor)
    np.testing.assert_array_equal(result, expected)
    with pytest.raises(TypeError, match="would lose the gradient"):
        fnn.jvp(lambda t: t * call(t), [[1.0, 2.0, 3.0]], [[1.0, 0.0, 0.0]])


def test_functions_without_a_gradient():
    x = fnn.tensor([[1.0, 5.0]], requires_grad=True)
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((1, 2), 2, 2)
    assert np.array_equal(x, [[1.0, 5.0]])
    assert np.allclose(x, x.data)
    assert np.argmax(x) == 1
    assert np.zeros_like(x).tolist() == [[0.0, 0.0]]
    np.testing.assert_array_equal(x, [[1.0, 5.0]])
    np.testing.assert_allclose(x, [[1.0, 5.0]])


def test_functions_that_write():
    x = fnn.tensor([1.0, 2.0])
    for write in (lambda: np.copyto(x, 3.0), lambda: np.sum(np.ones((2, 2)), axis=0, out=x), lambda: np.put(x, 0, 3.0)):
        with pytest.raises(TypeError, match="does not write to tensors"):
            write()
    assert x.tolist() == [1.0, 2.0]


def test_functions_that_write_a_tensor_s_values():
    x, array = fnn.tensor([1.0, 2.0]), np.zeros(2)
    np.copyto(array, x)
    assert array.tolist() == [1.0, 2.0]
    np.copyto(dst=array, src=x * 2.0)
    assert array.tolist() == [2.0, 4.0]
    assert np.full_like(array, x).tolist() == [1.0, 2.0]
    with pytest.raises(TypeError, match="does not write to tensors"):
        np.copyto(dst=x, src=array)
    x.requires_grad = True
    for write in (lambda: np.copyto(array, x), lambda: np.full_like(array, x), lambda: np.put(array, [0, 1], x)):
        with pytest.raises(TypeError, match="would lose the gradient"):
            write()
    assert array.tolist() == [2.0, 4.0]


def test_other_array_types_have_their_turn():
    class Foreign:
        def __array_function__(self, function, types, args, kwargs):
            return "theirs"

    assert np.concatenate([fnn.tensor([1.0]), Foreign()]) == "theirs"


# DLPack


def test_dlpack_shares_memory():
    x = fnn.tensor([1.0, 2.0])
    array = np.from_dlpack(x)
    assert np.shares_memory(array, x.data)
    assert x.__dlpack_device__() == x.data.__dlpack_device__()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_dlpack_with_torch():
    import torch

    x = fnn.tensor([1.0, 2.0], dtype=np.float32)
    theirs = torch.from_dlpack(x)
    theirs[0] = 5.0
    assert x.tolist() == [5.0, 2.0]
    assert fnn.Tensor(np.from_dlpack(theirs)).tolist() == [5.0, 2.0]


def test_dlpack_refuses_gradients():
    x = fnn.tensor([1.0, 2.0], requires_grad=True)
    for t in (x, x * 2.0):
        with pytest.raises(BufferError, match=r"requires a gradient is not exported by DLPack; use detach\(\)"):
            np.from_dlpack(t)
    assert np.shares_memory(np.from_dlpack(x.detach()), x.data)


def test_dlpack_of_read_only_arrays():
    array = np.ones(2)
    array.flags.writeable = False
    try:
        taken = np.from_dlpack(array)
    except BufferError:  # of NumPy before 2.1
        with pytest.raises(BufferError):
            np.from_dlpack(fnn.Tensor(array))
    else:
        assert taken.flags.writeable is np.from_dlpack(fnn.Tensor(array)).flags.writeable is False


def test_everything_public_is_listed():
    assert set(fnn.__all__) <= set(dir(fnn))


def test_matrix_products_of_tensors():
    x = fnn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    np.testing.assert_array_equal((x @ x).data, F.matmul(x.data, x.data))
