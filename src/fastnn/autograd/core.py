"""`Tensor`: an array that remembers how it was computed; `record` is how operations put themselves on the tape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..backend.plans import use_tape
from .graph import Jvp, Node, Target, Vjp, mode, note_change, run_backward, self_adjoint

Axis = int | tuple[int, ...] | None

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_new = object.__new__


def _as_data(array: Any, name: str) -> np.ndarray:
    """An ndarray of float32, float64, integers or booleans in native byte order, without a copy if possible."""
    data = np.asarray(array.data if isinstance(array, Tensor) else array)
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    if data.dtype not in _FLOATS and data.dtype.kind not in "iub":
        raise TypeError(f"{name}: dtype {data.dtype} is not supported, expected float32 or float64")
    return data


class Tensor:
    """An array on which operations are recorded, so that `backward` can differentiate through them.

    Parameters
    ----------
    array : array_like
        The values: float32 or float64 (integers and booleans where no gradient is required). An ndarray
        is not copied; `fastnn.tensor` copies.
    requires_grad : bool
        Whether `backward` shall leave a gradient in ``.grad``.

    Attributes
    ----------
    data : ndarray
        The values.
    grad : ndarray or None
        The gradient, summed over calls of `backward`; only leaves get one (see `retain_grad`).

    Notes
    -----
    Arithmetic follows NumPy's broadcasting and type promotion, comparisons give plain boolean arrays,
    and an ndarray on the left (``array * tensor``) works too. Tensors hash by identity.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """

    __slots__ = ("__weakref__", "_changed", "_node", "_requires_grad", "_tangent", "_target", "data", "grad")
    __array_priority__ = 1000
    __array_ufunc__ = None  # makes ndarray * Tensor call Tensor.__rmul__

    data: np.ndarray
    grad: np.ndarray | None
    _requires_grad: bool
    _node: Node | None
    _tangent: np.ndarray | None  # in forward mode; unset otherwise
    _target: Target | None  # where an optimiser wants the gradient
    _changed: int  # when the values were last changed in place, in numbers of nodes; unset if never

    def __init__(self, array: Any, requires_grad: bool = False) -> None:
        self.data = _as_data(array, type(self).__name__)
        self.grad = None
        self._node = None
        self._target = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is computed for this tensor; may be set on leaves (to freeze a parameter)."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._node is not None and not value:
            raise RuntimeError("requires_grad: can be changed for leaves only; use detach()")
        if value and self.data.dtype not in _FLOATS:
            raise TypeError(f"requires_grad: dtype {self.data.dtype} has no gradient, expected float32 or float64")
        self._requires_grad = bool(value)

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made by hand and not by a recorded operation."""
        return self._node is None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    def numpy(self) -> np.ndarray:
        """The values as an ndarray, not copied."""
        return self.data

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        return self.data.item()

    def detach(self) -> Tensor:
        """A tensor with the same memory and no history."""
        return Tensor(self.data)

    def retain_grad(self) -> None:
        """Have `backward` leave a gradient in ``.grad`` though this tensor is not a leaf."""
        if self._node is not None:
            self._node.retained = self

    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor to ``.grad`` of the leaves it was computed from.

        Parameters
        ----------
        grad : array_like, optional
            The gradient with respect to this tensor, of its shape; 1 for a one-element tensor.
        retain_graph : bool
            Keep what the pass needs, so that it can be repeated; otherwise memory is freed on the way.

        Raises
        ------
        RuntimeError
            If nothing here requires a gradient, if the graph was freed by an earlier call, if a leaf was changed in
            place since the graph was recorded, or if ``grad`` is missing for a tensor of several elements.
        ValueError
            If ``grad`` has another shape.
        """
        if not self._requires_grad:
            raise RuntimeError(
                "backward: this tensor was computed from nothing that requires a gradient: no input had "
                "requires_grad=True, or it went through no_grad(), detach() or .numpy()"
            )
        if grad is None:
            if self.data.size != 1:
                raise RuntimeError(
                    f"backward: a tensor of shape {self.shape} needs the argument grad; "
                    "only for one element is it taken to be 1"
                )
            seed = np.ones_like(self.data, order="C", subok=False)
        else:
            seed = np.array(raw(grad), dtype=self.data.dtype, order="C")
            if seed.shape != self.shape:
                raise ValueError(f"backward: grad has shape {seed.shape} but the tensor has shape {self.shape}")
        run_backward(self, seed, retain_graph)

    def __repr__(self) -> str:
        inner = np.array2string(self.data, separator=", ", prefix="tensor(")
        dtype = "" if self.data.dtype == np.float64 else f", dtype={self.data.dtype}"
        history = f", from={self._node.name}" if self._node else ", requires_grad=True" if self._requires_grad else ""
        return f"tensor({inner}{dtype}{history})"

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self.data)))

    def __float__(self) -> float:
        return float(self.data.item())

    def __int__(self) -> int:
        return int(self.data.item())

    def __bool__(self) -> bool:
        return bool(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype=dtype, copy=copy)

    def __getstate__(self) -> tuple[np.ndarray, np.ndarray | None, bool]:
        if self._node is not None:
            raise TypeError("Tensor: only leaves can be copied or pickled; use detach()")
        return self.data, self.grad, self._requires_grad

    def __setstate__(self, state: tuple[np.ndarray, np.ndarray | None, bool]) -> None:
        self.data, self.grad, self._requires_grad = state
        self._node = None
        self._target = None

    def _as_constant(self, op: str, name: str) -> np.ndarray:
        """The values, for an argument that ``op`` does not differentiate by; refused where they should be."""
        wanted = "requires a gradient" if mode.enabled and self._requires_grad else ""
        if mode.forward and getattr(self, "_tangent", None) is not None:
            wanted = "has a tangent"
        if wanted:
            raise TypeError(
                f"{op}: {name} is a tensor of shape {self.shape} that {wanted}, but {op} is not differentiable by it; "
                f"pass {name}.detach() to take it as a constant"
            )
        return self.data

    __hash__ = object.__hash__

    def __add__(self, other: Any) -> Any:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return ops.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return ops.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return ops.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return ops.divide(other, self)

    def __pow__(self, other: Any) -> Any:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _matmul(other, self)

    def __neg__(self) -> Any:
        return ops.negative(self)

    def __abs__(self) -> Any:
        return ops.absolute(self)

    def __getitem__(self, index: Any) -> Any:
        return shaping.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        if self._node is not None or (self._requires_grad and mode.enabled):
            raise RuntimeError(
                "Tensor: elements can be assigned in leaves only, and where a gradient is required inside no_grad(); "
                "use fastnn.where or concatenate to compute with a gradient"
            )
        self.data[tuple(raw(i) for i in index) if type(index) is tuple else raw(index)] = raw(value)
        note_change((self,))

    def __eq__(self, other: object) -> Any:
        return self.data == raw(other)

    def __ne__(self, other: object) -> Any:
        return self.data != raw(other)

    def __lt__(self, other: Any) -> Any:
        return self.data < raw(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= raw(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > raw(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= raw(other)

    def exp(self) -> Any:
        """e to the power of each element."""
        return ops.exp(self)

    def log(self) -> Any:
        """The natural logarithm of each element."""
        return ops.log(self)

    def sqrt(self) -> Any:
        """The square root of each element."""
        return ops.sqrt(self)

    def abs(self) -> Any:
        """The absolute value of each element."""
        return ops.absolute(self)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """The sum over an axis, several axes, or everything."""
        return ops.sum(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """The mean over an axis, several axes, or everything."""
        return ops.mean(self, axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """The largest element over an axis, several axes, or everything; of equal ones the first gets the gradient."""
        return ops.max(self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """The smallest element over an axis, several axes, or everything; of equal ones the first gets the gradient."""
        return ops.min(self, axis, keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Any:
        """The variance over an axis, several axes, or everything; the divisor is the count less ``ddof``."""
        return ops.var(self, axis, keepdims, ddof)

    def reshape(self, *shape: Any) -> Any:
        """The same elements in another shape, given as a tuple or as several integers; one may be -1."""
        return shaping.reshape(self, shape[0] if len(shape) == 1 else shape)

    def flatten(self) -> Any:
        """The same elements along one axis."""
        return shaping.reshape(self, -1)

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order, given as a tuple or as several integers; reversed by default."""
        return shaping.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    permute = transpose

    @property
    def T(self) -> Any:
        """The axes reversed."""
        return shaping.transpose(self)

    def swapaxes(self, first: int, second: int) -> Any:
        """Two axes exchanged."""
        return shaping.swapaxes(self, first, second)

    def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Any:
        """Without axes of extent 1: all of them, or those named."""
        return shaping.squeeze(self, axis)

    def astype(self, dtype: Any) -> Any:
        """In another dtype; the gradient comes back in this one."""
        return shaping.astype(self, dtype)


def _matmul(a: Any, b: Any) -> Any:
    from ..functional import matmul  # which is above this module

    return matmul(a, b)


def raw(x: Any) -> Any:
    """The ndarray of a `Tensor`; anything else unchanged.

    Parameters
    ----------
    x : Tensor or anything
        Nothing is copied, and nothing refused.

    Returns
    -------
    ndarray or anything
        ``x.data`` of a tensor, else ``x`` itself.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.autograd.raw(fnn.tensor([1.0])), fnn.autograd.raw(2)
    (array([1.]), 2)
    """
    return x.data if isinstance(x, Tensor) else x


def tensor(array: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """A `Tensor` with a copy of the values.

    Parameters
    ----------
    array : array_like
        The values.
    requires_grad : bool
        Whether `Tensor.backward` shall leave a gradient in ``.grad``.
    dtype : dtype, optional
        float32 or float64, or integers or booleans where no gradient is required; by default what NumPy makes of
        ``array``.

    Returns
    -------
    Tensor
        A leaf, of C-contiguous values.

    Raises
    ------
    TypeError
        For another dtype, or integers or booleans with ``requires_grad=True``.
    ValueError
        For nested lists that are not of one shape.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.tensor([[1, 2]], dtype="float32", requires_grad=True)
    tensor([[1., 2.]], dtype=float32, requires_grad=True)
    """
    return Tensor(np.array(_as_data(array, "tensor"), dtype=dtype, order="C"), requires_grad)


def record(name: str, output: Any, inputs: Sequence[Any], vjp: Vjp, jvp: Jvp | None = None) -> Any:
    """Put an operation on the tape.

    Parameters
    ----------
    name : str
        The operation, as error messages and pictures shall call it.
    output : ndarray
        What it computed.
    inputs : sequence of Tensor, array or None
        What it was computed from.
    vjp : callable
        ``vjp(dy, needs)``: ``dy`` is the gradient of the output (C-contiguous, shape and dtype of the output),
        ``needs`` says for each input whether its gradient is wanted; returns one gradient or None per input.
    jvp : callable, optional
        ``jvp(tangents)``: one array or None (zero) per input, each of its input's shape and dtype; returns the tangent
        of the output. ``self_adjoint`` where there is one input and the Jacobian is symmetric, as for every
        elementwise function.

    Returns
    -------
    Tensor or ndarray
        ``output`` itself if no input is a `Tensor`; else a tensor, with a history if grad mode is on and an
        input requires a gradient.

    Raises
    ------
    TypeError
        If a history is due and ``output`` is neither float32 nor float64.
    NotImplementedError
        Inside `jvp`, if an input has a tangent and there is no ``jvp``.
    ValueError
        Inside `jvp`, if the tangent has not the shape of ``output``; in a later backward, if ``vjp`` gives not one
        gradient per input or one of another shape than its input's.

    Notes
    -----
    Source: SPEC H1 and H2. `differentiable` wraps this for functions with a derivative of their own.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.autograd import raw, record, self_adjoint
    >>> def cube(x):
    ...     x_ = raw(x)
    ...     return record("cube", x_**3, (x,), lambda dy, needs: (dy * 3 * x_**2,), self_adjoint)
    >>> x = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> cube(x).sum().backward()
    >>> x.grad
    array([ 3., 12.])
    """
    tensors = wanted = targeted = False
    needs: list[bool] = []
    parents: list[Node | Tensor | None] = []
    for x in inputs:
        need = False
        parent: Node | Tensor | None = None
        if isinstance(x, Tensor):
            tensors = True
            if x._requires_grad:
                need = wanted = True
                parent = x._node
                if parent is None:
                    parent, targeted = x, targeted or x._target is not None
        needs.append(need)
        parents.append(parent)
    if not tensors:
        return output
    if type(output) is not np.ndarray:
        output = np.asarray(output)
    result = _new(Tensor)
    result.data = output
    result.grad = result._target = result._node = None
    result._requires_grad = False
    if wanted and mode.enabled:
        if output.dtype not in _FLOATS:
            raise TypeError(f"{name}: the result has dtype {output.dtype}, expected float32 or float64")
        for observe in mode.observers:
            vjp = observe(name, output, inputs, vjp, result)
        result._node = Node(name, tuple(parents), tuple(needs), vjp, output, targeted)
        result._requires_grad = True
    if mode.forward:
        result._tangent = _push_forward(name, output, inputs, vjp, jvp)
    return result


def record_many(
    name: str, outputs: Sequence[np.ndarray], inputs: Sequence[Any], vjp: Any, jvp: Jvp | None = None
) -> tuple[Any, ...]:
    """`record` for an operation with several outputs.

    Parameters
    ----------
    name, inputs
        As in `record`.
    outputs : sequence of ndarray
        What it computed.
    vjp : callable
        ``vjp(dys, needs)``, as in `record` but with a sequence of gradients, None for outputs that nothing was computed
        from.
    jvp : callable, optional
        ``jvp(tangents)`` returns one tangent per output.

    Returns
    -------
    tuple of Tensor or ndarray
        One per output, each as from `record`.

    Raises
    ------
    TypeError, NotImplementedError, ValueError
        As `record`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.autograd import raw, record_many
    >>> def halves(x):
    ...     def vjp(dys, needs):
    ...         return (np.concatenate([np.zeros(2) if dy is None else dy for dy in dys]),)
    ...     return record_many("halves", np.split(raw(x), 2), (x,), vjp, lambda tangents: np.split(tangents[0], 2))
    >>> x = fnn.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    >>> first, second = halves(x)
    >>> (first * 2.0).sum().backward()
    >>> x.grad
    array([2., 2., 0., 0.])
    """
    dys: list[np.ndarray | None] = [None] * len(outputs)
    token = np.zeros(())

    def all_at_once(_: np.ndarray, needs: tuple[bool, ...]) -> Any:
        gradients = vjp(tuple(dys), needs)
        dys[:] = [None] * len(outputs)
        return gradients

    tangents: list[Any] = []

    def push(given: Sequence[np.ndarray | None]) -> Any:
        if jvp is None:
            raise _no_forward_mode(name)
        tangents.extend(jvp(given))
        return token

    # A node for the operation, and above it one for each output, which leaves its gradient in dys.
    operation = record(name, token, inputs, all_at_once, push)

    def output(i: int) -> Any:
        def leave(dy: np.ndarray, needs: tuple[bool, ...]) -> tuple[np.ndarray]:
            dys[i] = dy
            return (token,)

        return record(f"{name} output {i}", outputs[i], (operation,), leave, lambda _: tangents[i])

    return tuple(output(i) for i in range(len(outputs)))


def _no_forward_mode(name: str) -> NotImplementedError:
    return NotImplementedError(f"{name}: has no derivative in forward mode; give record a jvp")


def _push_forward(name: str, output: np.ndarray, inputs: Sequence[Any], vjp: Vjp, jvp: Jvp | None) -> np.ndarray | None:
    """The tangent of the output, or None where no input has one."""
    tangents = [getattr(x, "_tangent", None) for x in inputs]
    if all(t is None for t in tangents):
        return None
    if jvp is None:
        raise _no_forward_mode(name)
    if jvp is self_adjoint:
        assert tangents[0] is not None  # the only input's
        tangent = np.asarray(vjp(tangents[0], (True,))[0])
    else:
        tangent = np.asarray(jvp(tangents))
    if tangent.shape != output.shape:
        raise ValueError(
            f"{name}: the jvp gave a tangent of shape {tangent.shape} for an output of shape {output.shape}"
        )
    return np.array(tangent, dtype=output.dtype, order="C", copy=None)


use_tape(Tensor, mode, record)

# At the end, since they import from here.
from . import ops, shaping
