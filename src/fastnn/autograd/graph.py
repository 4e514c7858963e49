"""The tape: nodes made on the forward pass, the grad mode, and the reverse pass over the nodes.

Every node gets a number when it is made, and its inputs exist before it does; going through the
reachable nodes from the highest number down is therefore a topological order, found with a heap and
without recursion.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ContextDecorator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .core import Tensor


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
    that intermediate arrays die unless ``vjp`` needs them.
    """

    __slots__ = ("dtype", "name", "needs", "number", "parents", "retained", "shape", "vjp")

    def __init__(
        self,
        name: str,
        parents: tuple[Node | Tensor | None, ...],
        needs: tuple[bool, ...],
        vjp: Vjp,
        output: np.ndarray,
    ) -> None:
        self.name = name
        self.number = next_number()
        self.parents = parents
        self.needs = needs
        self.vjp: Vjp | None = vjp
        self.shape = output.shape
        self.dtype = output.dtype
        self.retained: Tensor | None = None

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.shape}>"


def _conform(gradient: np.ndarray, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> np.ndarray:
    """The gradient as a C-contiguous array of the dtype; its shape must be right already."""
    if type(gradient) is not np.ndarray:
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
    """Add to ``leaf.grad`` in place; a first gradient goes into the optimiser's buffer if there is one."""
    if leaf.grad is not None:
        if leaf.grad.shape != gradient.shape:
            raise ValueError(
                f"backward: .grad has shape {leaf.grad.shape} but its tensor {gradient.shape}; set .grad to None"
            )
        np.add(leaf.grad, gradient, out=leaf.grad, casting="same_kind")
        return
    buffer = leaf._grad_buffer
    if buffer is not None and buffer.shape == gradient.shape and buffer.dtype == gradient.dtype:
        np.copyto(buffer, gradient)
        leaf.grad = buffer
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
    if root._node is None:
        deliver(root, gradient)
        return
    pending: dict[Node, np.ndarray] = {root._node: gradient}
    owned: set[Node] = set()  # nodes whose pending gradient is an array of ours, free to be added to
    heap = [(-root._node.number, root._node)]
    while heap:
        node = heapq.heappop(heap)[1]
        dy = pending.pop(node)
        owned.discard(node)
        vjp = node.vjp
        if vjp is None:
            raise RuntimeError(
                f"backward: the graph was freed by an earlier backward (at {node.name}); "
                "pass retain_graph=True to the earlier call to go through it twice"
            )
        if node.number < changes.last:
            _refuse_changed(node)
        if node.retained is not None:
            accumulate(node.retained, dy)
        gradients = vjp(dy, node.needs)
        parents = node.parents
        if len(gradients) != len(parents):
            raise ValueError(f"{node.name}: the backward gave {len(gradients)} gradients for {len(parents)} inputs")
        if not retain_graph:
            node.vjp = None
            node.parents = ()
            node.retained = None
        for parent, g in zip(parents, gradients, strict=True):
            if parent is None or g is None:
                continue
            if not isinstance(parent, Node):
                deliver(parent, _conform(g, parent.data.shape, parent.data.dtype, node.name))
                continue
            g = _conform(g, parent.shape, parent.dtype, node.name)
            before = pending.get(parent)
            if before is None:
                pending[parent] = g
                heapq.heappush(heap, (-parent.number, parent))
            elif parent in owned:
                np.add(before, g, out=before)
            else:
                # Not in place: an operation may hand the same array to several inputs.
                pending[parent] = np.asarray(before + g)
                owned.add(parent)
