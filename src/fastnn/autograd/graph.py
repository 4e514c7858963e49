"""The tape: nodes made on the forward pass, the grad mode, and the reverse pass over the nodes.

Every node gets a number when it is made, and its inputs exist before it does; going through the
reachable nodes from the highest number down is therefore a topological order, found with a heap and
without recursion.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ContextDecorator
from heapq import heappop, heappush
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend

if TYPE_CHECKING:
    from .core import Tensor

_ndarray = np.ndarray

# vjp(dy, needs) -> one gradient or None per input
Vjp = Callable[[np.ndarray, tuple[bool, ...]], Sequence[Any]]
# jvp(tangents) -> the tangent of the output; a tangent of None is zero
Jvp = Callable[[Sequence[Any]], Any]
# observer(name, output, inputs, vjp, result) -> the vjp to record
Observer = Callable[[str, np.ndarray, Sequence[Any], Vjp, "Tensor"], Vjp]


def self_adjoint(tangents: Sequence[np.ndarray | None]) -> Any:
    """In the place of a jvp: the operation has one input and a symmetric Jacobian, so that its vjp is the jvp.

    Parameters
    ----------
    tangents : sequence
        As of every jvp; never given, since `record` recognises this function and calls the vjp in its place.

    Returns
    -------
    ndarray
        As of every jvp; this one does not return.

    Raises
    ------
    AssertionError
        If it is called.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn.autograd import raw, record, self_adjoint
    >>> def double(x):
    ...     return record("double", raw(x) * 2, (x,), lambda dy, needs: (dy * 2,), self_adjoint)
    >>> fnn.jvp(double, ([1.0, 2.0],), ([1.0, 0.0],))
    (array([2., 4.]), array([2., 0.]))
    """
    raise AssertionError("record calls the vjp instead")


next_number = itertools.count().__next__


class _Changes:
    """The number, among those of nodes, of the last change in place of any leaf."""

    last = -1


changes = _Changes()


def note_change(tensors: Iterable[Tensor]) -> None:
    """Say that the values of leaves were changed in place, so that graphs recorded before are not differentiated."""
    changes.last = number = next_number()
    for tensor in tensors:
        tensor._changed = number


def _refuse_changed(node: Node) -> None:
    for parent in node.parents:
        if parent is not None and not isinstance(parent, Node) and getattr(parent, "_changed", -1) > node.number:
            raise RuntimeError(
                f"backward: {node.name} was computed from a tensor of shape {parent.shape} that was changed in place "
                "since (by an optimiser's step, load_state_dict or an assignment to its elements): its gradient would "
                "mix old values and new ones; call backward before the change, or compute again after it"
            )


class _Mode(threading.local):
    enabled = True
    # What is done with each recorded operation, besides: (name, output, inputs, vjp, result) -> vjp
    observers: tuple[Observer, ...] = ()
    forward = False  # whether tensors carry tangents


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations on tensors are recorded in this thread.

    Returns
    -------
    bool
        True but inside `no_grad`; `enable_grad` makes it True again.

    Examples
    --------
    >>> import fastnn as fnn
    >>> with fnn.no_grad():
    ...     fnn.autograd.is_grad_enabled()
    False
    """
    return mode.enabled


class _SetMode(ContextDecorator):
    _enabled: bool

    def __init__(self) -> None:
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(mode.enabled)
        mode.enabled = self._enabled

    def __exit__(self, *exc: object) -> None:
        mode.enabled = self._previous.pop()


class no_grad(_SetMode):
    """Record nothing: a context manager, and a decorator of functions (one per thread).

    Examples
    --------
    >>> import fastnn as fnn
    >>> w = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> with fnn.no_grad():
    ...     y = w * 2.0
    >>> y.requires_grad
    False
    """

    _enabled = False


class enable_grad(_SetMode):
    """Record again inside a `no_grad` block: a context manager, and a decorator of functions (one per thread).

    Examples
    --------
    >>> import fastnn as fnn
    >>> w = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> with fnn.no_grad(), fnn.enable_grad():
    ...     y = w * 2.0
    >>> y.requires_grad
    True
    """

    _enabled = True


class Node:
    """One recorded operation.

    ``parents`` is aligned with the operation's inputs: the node that made the input, the leaf tensor
    itself, or None where no gradient is wanted. The output is not held, only its shape and dtype, so
    that intermediate arrays die unless ``vjp`` needs them. ``targeted`` says whether a leaf among the
    parents may have a `Target`.
    """

    __slots__ = ("dtype", "name", "needs", "number", "parents", "retained", "shape", "targeted", "vjp")

    def __init__(
        self,
        name: str,
        parents: tuple[Node | Tensor | None, ...],
        needs: tuple[bool, ...],
        vjp: Vjp,
        output: np.ndarray,
        targeted: bool,
    ) -> None:
        self.name = name
        self.number = next_number()
        self.parents = parents
        self.needs = needs
        self.vjp: Vjp | None = vjp
        self.shape = output.shape
        self.dtype = output.dtype
        self.retained: Tensor | None = None
        self.targeted = targeted

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.shape}>"


class Target:
    """Where an optimiser wants a parameter's gradient: ``array``, as long as the parameter's values are ``values``.

    The reverse pass hands it to a vjp in the place of a True in ``needs``, so that a backward of the compiled backend
    writes there and not into an array of its own. Who does not know it takes it for True.

    Nothing is written where somebody else still holds the array of an earlier gradient, or a view of it: the number of
    references tells. Both arrays are therefore held by this object alone, besides the parameter, and are made such that
    their views refer to them and not to the memory they are views of themselves (`fastnn.optim.flat`).
    """

    __slots__ = ("array", "values")

    def __init__(self, array: np.ndarray, values: np.ndarray) -> None:
        self.array = array
        self.values = values

    def array_is_free(self) -> bool:
        """Whether nobody else holds ``array``, which must not be the parameter's gradient now."""
        return getrefcount(self.array) <= _ALONE

    def values_are_free(self) -> bool:
        """Whether nobody else holds ``values``, which must not be the parameter's now."""
        return getrefcount(self.values) <= _ALONE


# What getrefcount says of an array that only one attribute refers to; versions of Python count their own differently.
_sample = Target(np.empty(0), np.empty(0))
_ALONE = getrefcount(_sample.array)


def _targeted(needs: tuple[Any, ...], parents: Sequence[Node | Tensor | None]) -> tuple[Any, ...]:
    """``needs`` with the targets of leaves that have no gradient yet; one for a leaf that comes twice."""
    wanted = list(needs)
    for i, parent in enumerate(parents):
        if parent is None or type(parent) is Node:
            continue
        target = parent._target  # type: ignore[union-attr]
        if target is None or parent.grad is not None or target.values is not parent.data:  # type: ignore[union-attr]
            continue
        if target not in wanted and getrefcount(target.array) <= _ALONE:
            wanted[i] = target
    return tuple(wanted)


def add(a: Any, b: Any, out: np.ndarray | None = None) -> Any:
    """``a + b`` with NumPy's rules: by the active backend for plain arrays of one shape and dtype, else by NumPy."""
    if type(a) is type(b) is _ndarray and a.shape == b.shape and a.dtype is b.dtype:
        try:
            return backend.current().add(a, b, out)
        except (TypeError, ValueError):
            pass  # not of floats, or not contiguous
    return np.add(a, b, out=out)


def _conform(gradient: np.ndarray, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> np.ndarray:
    """The gradient as a C-contiguous array of the dtype; its shape must be right already."""
    if type(gradient) is not _ndarray:
        gradient = np.asarray(gradient)  # NumPy makes scalars of 0-d results
    if gradient.shape != shape:
        raise ValueError(
            f"{name}: the backward gave a gradient of shape {gradient.shape} for an input of shape {shape}"
        )
    if gradient.dtype is not dtype and gradient.dtype != dtype:
        return gradient.astype(dtype, order="C")
    # Not np.ascontiguousarray, which turns 0-d into 1-d.
    return gradient if gradient.flags.c_contiguous else gradient.copy()


def accumulate(leaf: Tensor, gradient: np.ndarray) -> None:
    """Add to ``leaf.grad`` in place; a first gradient goes into the optimiser's array if there is one."""
    before, target = leaf.grad, leaf._target
    if before is not None:
        if before.shape != gradient.shape:
            raise ValueError(
                f"backward: .grad has shape {before.shape} but its tensor {gradient.shape}; set .grad to None"
            )
        if before.dtype is gradient.dtype:
            add(before, gradient, before)
        else:
            np.add(before, gradient, out=before, casting="same_kind")
    elif (
        target is not None
        and target.array.shape == gradient.shape
        and target.array.dtype == gradient.dtype
        and target.array_is_free()
    ):
        np.copyto(target.array, gradient)
        leaf.grad = target.array
    else:
        # A copy: the array may be shared with another gradient or with what an operation saved.
        leaf.grad = gradient.copy()


def run_backward(
    root: Tensor,
    gradient: np.ndarray,
    retain_graph: bool,
    deliver: Callable[[Tensor, np.ndarray], None] = accumulate,
) -> None:
    """Send ``gradient`` (shape and dtype of ``root``) down the graph, ``deliver`` it at the leaves."""
    node = root._node
    if node is None:
        deliver(root, gradient)
        return
    pending: dict[Node, np.ndarray] = {node: gradient}
    owned: set[Node] = set()  # nodes whose pending gradient is an array of ours, free to be added to
    heap = [(-node.number, node)]
    in_place = deliver is accumulate
    while heap:
        node = heappop(heap)[1]
        dy = pending.pop(node)
        vjp, parents = node.vjp, node.parents
        needs: tuple[Any, ...] = node.needs
        if vjp is None:
            raise RuntimeError(
                f"backward: the graph was freed by an earlier backward (at {node.name}); "
                "pass retain_graph=True to the earlier call to go through it twice"
            )
        if node.number < changes.last:
            _refuse_changed(node)
        if node.retained is not None:
            accumulate(node.retained, dy)
        if in_place and node.targeted:
            needs = _targeted(needs, parents)
        gradients = vjp(dy, needs)
        if len(gradients) != len(parents):
            raise ValueError(f"{node.name}: the backward gave {len(gradients)} gradients for {len(parents)} inputs")
        if not retain_graph:
            node.vjp = None
            node.parents = ()
            node.retained = None
        for parent, g, need in zip(parents, gradients, needs, strict=True):
            if parent is None or g is None:
                continue
            if type(parent) is not Node:
                leaf: Tensor = parent  # type: ignore[assignment]
                if type(need) is Target and g is need.array:
                    leaf.grad = g  # written in its place
                else:
                    deliver(leaf, _conform(g, leaf.data.shape, leaf.data.dtype, node.name))
                continue
            if (
                type(g) is not _ndarray
                or g.shape != parent.shape
                or g.dtype is not parent.dtype
                or not g.flags.c_contiguous
            ):
                g = _conform(g, parent.shape, parent.dtype, node.name)
            before = pending.get(parent)
            if before is None:
                pending[parent] = g
                heappush(heap, (-parent.number, parent))
            else:
                # In place only where nobody else has the array: an operation may hand one to several inputs.
                pending[parent] = add(before, g, before if parent in owned else None)
                owned.add(parent)
        # What the operation saved and gave is freed before the next one allocates.
        vjp = gradients = g = before = None  # type: ignore[assignment]
