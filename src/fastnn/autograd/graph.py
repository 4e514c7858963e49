"""The tape: nodes made on the forward pass, and the reverse pass over the nodes.

Every node gets a number when it is made, and its inputs exist before it does; going through the
reachable nodes from the highest number down is therefore a topological order, found with a heap and
without recursion.
"""

from __future__ import annotations

import gc
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend
from .changes import changes, next_number
from .modes import Vjp

if TYPE_CHECKING:
    from .core import TensorBase

_ndarray = np.ndarray

# jvp(tangents) -> the tangent of the output; a tangent of None is zero
Jvp = Callable[[Sequence[Any]], Any]
Deliver = Callable[["TensorBase", np.ndarray], None]


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
        parents: tuple[Node | TensorBase | None, ...],
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
        self.retained: weakref.ref[TensorBase] | None = None  # a weak reference, since the tensor refers to the node
        self.targeted = targeted

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.shape}>"


class Underway(list[Any]):
    """Gradients that nodes of one operation hand on in a reverse pass: not saved, and younger than the nodes."""


# Kinds of objects that hold no values of the operation itself: code, modules, and the history of tensors.
_NOT_SAVED = (type, types.ModuleType, types.CodeType, weakref.ref, Node, Underway, str, int, float)


def _saved(vjp: Vjp) -> Iterator[np.ndarray]:
    """The arrays that a vjp keeps: in its closure, in tuples, tensors or other objects there."""
    seen: set[int] = set()
    pending: list[Any] = [vjp]
    while pending:
        x = pending.pop()
        if id(x) in seen or isinstance(x, _NOT_SAVED):
            continue
        seen.add(id(x))
        if isinstance(x, np.ndarray):
            yield x
        elif isinstance(x, types.FunctionType):
            pending.extend((*(x.__closure__ or ()), x.__defaults__, x.__kwdefaults__))
        else:
            pending.extend(gc.get_referents(x))


def _refuse_changed(node: Node, vjp: Vjp) -> None:
    array = changes.first_after(node.number, _saved(vjp))
    if array is not None:
        raise RuntimeError(
            f"backward: {node.name} was computed from a tensor of shape {array.shape} that was changed in place since, or "
            "gave one (by an optimiser's step, load_state_dict or an assignment, perhaps to a view of it): its gradient "
            "would mix old values and new ones; call backward before the change, or compute again after it"
        )


class Target:
    """Where an optimiser wants a parameter's gradient: ``array``, as long as the parameter's values are ``values``.

    The reverse pass hands it to a vjp in the place of a True in ``needs``, so that a backward of the compiled backend
    writes there and not into an array of its own. Vjps that know nothing of targets take it for True.

    Nothing is written where somebody else still holds the array of an earlier gradient, or a view of it: the number of
    references tells. Both arrays are therefore held by this object alone, besides the parameter, and are made such that
    their views refer to them and not to the memory they are views of themselves (`fastnn.optim.flat`).

    A thread that wants to write to ``array`` takes a reference first and then counts them (`_references`): of two threads
    that do so at once, at most one finds the array free.
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


# What getrefcount says of an array that only one attribute refers to: versions of Python differ in what they count.
_sample = Target(np.empty(0), np.empty(0))
_ALONE = getrefcount(_sample.array)


def _references(target: Target) -> int:
    array = target.array
    return getrefcount(array)


_ALONE_BUT_HERE = _references(_sample)  # what it says where a local variable refers to the array, too


def _targeted(
    needs: tuple[Any, ...], parents: Sequence[Node | TensorBase | None], held: list[np.ndarray]
) -> tuple[Any, ...]:
    """``needs`` with the targets of leaves that have no gradient yet; one for a leaf that comes twice.

    As long as their arrays are in ``held``, no other thread gets them.
    """
    wanted = list(needs)
    for i, parent in enumerate(parents):
        if parent is None or type(parent) is Node:
            continue
        target = parent._target  # type: ignore[union-attr]
        if target is None or parent.grad is not None or target.values is not parent.data:  # type: ignore[union-attr]
            continue
        array = target.array
        if target not in wanted and getrefcount(array) <= _ALONE_BUT_HERE:
            wanted[i] = target
            held.append(array)
    return tuple(wanted)


def add(a: Any, b: Any, out: np.ndarray | None = None) -> Any:
    """``a + b`` with NumPy's rules: by the active backend for plain arrays of one shape and dtype, else by NumPy."""
    if type(a) is type(b) is _ndarray and a.shape == b.shape and a.dtype is b.dtype:
        try:
            return backend.current().add(a, b, out)
        except (TypeError, ValueError):
            pass  # the backend refuses arrays that hold no floats or are not contiguous
    return np.add(a, b, out=out)


def conform(gradient: np.ndarray, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> np.ndarray:
    """The gradient as a C-contiguous array of the dtype; its shape must be right already."""
    if type(gradient) is not _ndarray:
        gradient = np.asarray(gradient)  # NumPy gives scalars in the place of results without axes
    if gradient.shape != shape:
        raise ValueError(
            f"{name}: the backward gave a gradient of shape {gradient.shape} for an input of shape {shape}"
        )
    if gradient.dtype is not dtype and gradient.dtype != dtype:
        return gradient.astype(dtype, order="C")
    return gradient if gradient.flags.c_contiguous else backend.current().contiguous(gradient)


def accumulate(leaf: TensorBase, gradient: np.ndarray) -> None:
    """Add to ``leaf.grad`` in place; a first gradient goes into the optimiser's array if there is one.

    Without a lock, which would cost more than all else here: a gradient is taken away while something is added to it, so
    that another thread finds none and delivers a first one. Threads take turns between calls, but not between a look at
    ``leaf.grad`` and the assignment that follows.
    """
    total = leaf.grad
    if total is None:
        _give(leaf, _copy_for(leaf._target, gradient))
        return
    leaf.grad = None
    try:
        _add_to(total, gradient)
    finally:
        if leaf.grad is None:
            leaf.grad = total
        else:
            _give(leaf, total)


def _give(leaf: TensorBase, total: np.ndarray) -> None:
    """Make ``total`` the gradient of a leaf, after adding to it what other threads delivered meanwhile."""
    while (other := leaf.grad) is not None:
        leaf.grad = None
        _add_to(total, other)
    leaf.grad = total


def _copy_for(target: Target | None, gradient: np.ndarray) -> np.ndarray:
    """A copy of a gradient, in the target's array if there is one that it fits and that nobody else holds.

    A copy, because the gradient may be shared with another one or with what an operation saved.
    """
    if target is not None:
        array = target.array
        free = getrefcount(array) <= _ALONE_BUT_HERE
        if free and array.shape == gradient.shape and array.dtype == gradient.dtype:
            np.copyto(array, gradient)
            return array
    return gradient.copy()


def _add_to(before: np.ndarray, gradient: np.ndarray) -> None:
    if before.shape != gradient.shape:
        raise ValueError(f"backward: .grad has shape {before.shape} but its tensor {gradient.shape}; set .grad to None")
    if before.dtype is gradient.dtype:
        add(before, gradient, before)
    else:
        np.add(before, gradient, out=before, casting="same_kind")


def _freed(node: Node) -> RuntimeError:
    return RuntimeError(
        f"backward: the graph was freed by an earlier backward (at {node.name}); "
        "pass retain_graph=True to the earlier call to go through it twice"
    )


def run_backward(root: TensorBase, gradient: np.ndarray, retain_graph: bool, deliver: Deliver = accumulate) -> None:
    """Send ``gradient`` (shape and dtype of ``root``) down the graph, ``deliver`` it at the leaves."""
    node = root._node
    if node is None:
        deliver(root, gradient)
        return
    pending: dict[Node, np.ndarray] = {node: gradient}
    owned: set[Node] = set()  # nodes whose pending gradient was made here, so that it may be added to in place
    heap = [(-node.number, node)]
    in_place = deliver is accumulate
    held: list[np.ndarray] = []
    while heap:
        node = heappop(heap)[1]
        dy = pending.pop(node)
        vjp, parents = node.vjp, node.parents
        needs: tuple[Any, ...] = node.needs
        if vjp is None:
            raise _freed(node)
        if node.number < changes.last:
            _refuse_changed(node, vjp)
        if node.retained is not None and (retained := node.retained()) is not None:
            accumulate(retained, dy)
        if in_place and node.targeted:
            needs = _targeted(needs, parents, held)
        gradients = vjp(dy, needs)
        if held:
            held.clear()
        if len(gradients) != len(parents):
            raise ValueError(f"{node.name}: the backward gave {len(gradients)} gradients for {len(parents)} inputs")
        if not retain_graph:
            node.vjp, node.parents, node.retained = None, (), None
        for parent, g, need in zip(parents, gradients, needs, strict=True):
            if parent is None or g is None:
                continue
            if type(parent) is not Node:
                leaf: TensorBase = parent  # type: ignore[assignment]
                if type(need) is Target and g is need.array and leaf.grad is None:
                    leaf.grad = g  # the vjp wrote it where the optimiser wants it
                else:
                    deliver(leaf, conform(g, leaf.data.shape, leaf.data.dtype, node.name))
                continue
            if (
                type(g) is not _ndarray
                or g.shape != parent.shape
                or g.dtype is not parent.dtype
                or not g.flags.c_contiguous
            ):
                g = conform(g, parent.shape, parent.dtype, node.name)
            before = pending.get(parent)
            if before is None:
                pending[parent] = g
                heappush(heap, (-parent.number, parent))
            else:
                # Adds in place only into an array made here: an operation may have given one array to several inputs.
                pending[parent] = add(before, g, before if parent in owned else None)
                owned.add(parent)
        # Frees what this operation saved and gave, before the next one allocates.
        vjp = gradients = g = before = None  # type: ignore[assignment]
