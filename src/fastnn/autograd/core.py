"""`TensorBase`: an array that remembers how it was computed; `record` is how operations put themselves on the tape.

`Tensor`, in ``tensors.py``, adds the methods for the operations, which are above this module.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, overload

import numpy as np

from .._types import Array, ArrayLike, Value
from ..checks.arrays import shown, unmasked
from .graph import Jvp, Node, Target, run_backward, self_adjoint
from .modes import Vjp, mode

if TYPE_CHECKING:
    from .tensors import Tensor

Axis = int | tuple[int, ...] | None
Given = tuple[Any, ...] | None

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_NOT_COPIED = {"_node", "_tangent", "_target"}
_new = object.__new__


def _as_data(array: Any, name: str) -> np.ndarray:
    """An ndarray of float32, float64, integers or booleans in native byte order, without a copy if possible."""
    data = np.asarray(array.data if isinstance(array, TensorBase) else unmasked(name, "array", array))
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    if data.dtype not in _FLOATS and data.dtype.kind not in "iub":
        raise TypeError(f"{name}: dtype {data.dtype} is not supported, expected float32 or float64")
    return data


class _Size(int):
    """A number of elements that explains itself where it is called, as PyTorch's ``size`` is."""

    def __call__(self, *axes: Any, **named: Any) -> NoReturn:
        extents = ", ".join(f"x.shape[{axis}]" for axis in (*axes, *named.values()) or (0,))
        raise TypeError(
            f"Tensor: size is the number of elements, as of an array, and no method; x.shape is the shape, of extents {extents}"
        )


class TensorBase:
    """An array with a history: the part of a `Tensor` that recording and the reverse pass know."""

    __slots__ = ("__weakref__", "_node", "_requires_grad", "_tangent", "_target", "data", "grad")
    __array_priority__ = 1000
    __array_ufunc__ = None  # makes ndarray * Tensor call Tensor.__rmul__

    data: Array
    grad: Array | None
    _requires_grad: bool
    _node: Node | None
    _tangent: np.ndarray | None  # set in forward mode only
    _target: Target | None  # where an optimiser wants the gradient to be written

    def __init__(self, array: Value, requires_grad: bool = False) -> None:
        if requires_grad is not False and not isinstance(requires_grad, (bool, np.bool_)):
            raise TypeError(
                f"{type(self).__name__}: requires_grad must be True or False, got {shown(requires_grad)}; values are one "
                "argument, and a tensor of a shape is made of an array: fastnn.tensor(np.zeros((2, 3), np.float32))"
            )
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
        return _Size(self.data.size)

    def numpy(self) -> Array:
        """The values as an ndarray, not copied."""
        return self.data

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        return self.data.item()

    def retain_grad(self) -> None:
        """Have `backward` leave a gradient in ``.grad`` though this tensor is not a leaf."""
        if self._node is not None:
            self._node.retained = weakref.ref(self)

    def backward(self, grad: Value | None = None, retain_graph: bool = False) -> None:
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
            If nothing here requires a gradient, if the graph was freed by an earlier call, if values that an operation
            needs again were changed in place since it was recorded, or if ``grad`` is missing for a tensor of several
            elements.
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
            seed = np.array(unmasked("backward", "grad", raw(grad)), dtype=self.data.dtype, order="C")
            if seed.shape != self.shape:
                raise ValueError(f"backward: grad has shape {seed.shape} but the tensor has shape {self.shape}")
        run_backward(self, seed, retain_graph)

    def __repr__(self) -> str:
        inner = np.array2string(self.data, separator=", ", prefix="tensor(")
        dtype = "" if self.data.dtype == np.float64 else f", dtype={self.data.dtype}"
        history = f", from={self._node.name}" if self._node else ", requires_grad=True" if self._requires_grad else ""
        return f"tensor({inner}{dtype}{history})"

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a tensor has in slots and, if it is of a subclass, in a dictionary."""
        if self._node is not None:
            raise TypeError("Tensor: only leaves can be copied or pickled; use detach()")
        state: Any = object.__getstate__(self)
        attributes, slots = state
        return attributes or {}, {name: value for name, value in slots.items() if name not in _NOT_COPIED}

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        attributes, slots = state
        self._node = None
        self._target = None
        for name, value in slots.items():
            setattr(self, name, value)
        if attributes:
            self.__dict__.update(attributes)

    def _wanted(self) -> str:
        """Which derivative by this tensor would be lost if its values were taken alone; empty for none."""
        if mode.forward and getattr(self, "_tangent", None) is not None:
            return "has a tangent"
        return "requires a gradient" if mode.enabled and self._requires_grad else ""

    def _as_constant(self, op: str, name: str) -> np.ndarray:
        """The values, for an argument that ``op`` does not differentiate by; refused where they should be."""
        if wanted := self._wanted():
            raise TypeError(
                f"{op}: {name} is a tensor of shape {self.shape} that {wanted}, but {op} is not differentiable by it; "
                f"pass {name}.detach() to take it as a constant"
            )
        return self.data


@overload
def raw(x: TensorBase) -> Array: ...
@overload
def raw(x: Any) -> Any: ...
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
    return x.data if isinstance(x, TensorBase) else x


def unboxed(result: Any) -> Any:
    """A NumPy scalar for an array without axes, as NumPy's own functions give; anything else, a tensor too, as it is.

    ``total += loss`` changes an array wherever else it is held, and nobody expects that of a number.
    """
    return result[()] if type(result) is np.ndarray and not result.ndim else result


def has_tangent(x: Any) -> bool:
    """Whether forward mode follows x."""
    return mode.forward and getattr(x, "_tangent", None) is not None


def is_followed(x: Any) -> bool:
    """Whether what is computed from x would be recorded, or have a tangent."""
    return isinstance(x, TensorBase) and ((x._requires_grad and mode.enabled) or has_tangent(x))


_kind: type[TensorBase] = TensorBase


def use_kind(kind: type[TensorBase]) -> None:
    """What results of operations are, from ``tensors.py``, which is above this module."""
    global _kind
    _kind = kind


@overload
def record(
    name: str, output: Any, inputs: Sequence[Tensor], vjp: Vjp, jvp: Jvp | None = None, given: Given = None
) -> Tensor: ...
@overload
def record(
    name: str, output: Any, inputs: Sequence[ArrayLike | None], vjp: Vjp, jvp: Jvp | None = None, given: Given = None
) -> Array: ...
@overload
def record(
    name: str, output: Any, inputs: Sequence[Value | None], vjp: Vjp, jvp: Jvp | None = None, given: Given = None
) -> Tensor | Array: ...
def record(name: str, output: Any, inputs: Sequence[Any], vjp: Vjp, jvp: Jvp | None = None, given: Given = None) -> Any:
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
    given : tuple, optional
        What decides the output beside the inputs, from fastnn's own operations: `fastnn.onnx.save` refuses others.

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
    `differentiable` wraps this for functions with a derivative of their own.

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
    kind = _kind
    needs: list[bool] = []
    parents: list[Node | TensorBase | None] = []
    for x in inputs:
        need = False
        parent: Node | TensorBase | None = None
        if isinstance(x, kind):
            tensors = True
            if x._requires_grad:
                need = wanted = True
                parent = x._node
                if parent is None:
                    parent, targeted = x, targeted or x._target is not None
        needs.append(need)
        parents.append(parent)
    if not tensors:
        tracer = mode.tracer
        return output if tracer is None or given is None else tracer.of_arrays(name, output, (*inputs, *given))
    if type(output) is not np.ndarray:
        output = np.asarray(unmasked(name, "the result", output))
    result = _new(kind)
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
        if mode.tracer is not None:
            mode.tracer.recorded(name, result, inputs, given)
        else:
            result._tangent = _push_forward(name, output, inputs, vjp, jvp)
    return result


def no_forward_mode(name: str) -> NotImplementedError:
    """The error for an operation without a jvp."""
    return NotImplementedError(f"{name}: has no derivative in forward mode; give record a jvp")


def _push_forward(name: str, output: np.ndarray, inputs: Sequence[Any], vjp: Vjp, jvp: Jvp | None) -> np.ndarray | None:
    """The tangent of the output, or None where no input has one."""
    if mode.variables and any(
        isinstance(x, TensorBase) and (x._node or any(x is v for v in mode.variables)) for x in inputs
    ):
        raise NotImplementedError(
            f"{name}: jvp uses a tensor that another derivative follows: second derivatives are not supported"
        )
    tangents = [getattr(x, "_tangent", None) for x in inputs]
    if all(t is None for t in tangents):
        return None
    if jvp is None:
        raise no_forward_mode(name)
    if jvp is self_adjoint:
        assert tangents[0] is not None  # this is the only input, and some input has a tangent
        tangent = np.asarray(vjp(tangents[0], (True,))[0])
    else:
        tangent = np.asarray(jvp(tangents))
    if tangent.shape != output.shape:
        raise ValueError(
            f"{name}: the jvp gave a tangent of shape {tangent.shape} for an output of shape {output.shape}"
        )
    return np.array(tangent, dtype=output.dtype, order="C", copy=None)
