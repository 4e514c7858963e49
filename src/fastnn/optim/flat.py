"""Flat buffers: parameters, gradients and state of one dtype side by side in memory.

One fused call then updates all of them. A parameter's array becomes a view into the flat buffer, and so does
its gradient: the reverse pass writes there (`Target`).

Who looks from outside sees separate arrays: what somebody kept of a parameter's earlier values or gradients is not
written to. Where references say that it was kept, the block goes on in new memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor
from ..autograd.changes import Memory, memory_of, note, note_change
from ..autograd.graph import Target
from ..checks import FlatArray

_ALIGNMENT = 64  # bytes: a cache line, and a vector of the widest instruction set
_NOTHING = np.empty(0)


def _aligned_zeros(count: int, dtype: np.dtype[Any]) -> FlatArray:
    extra = _ALIGNMENT // dtype.itemsize
    raw = np.zeros(count + extra, dtype)
    start = -raw.ctypes.data % _ALIGNMENT // dtype.itemsize
    # First the type, then the slice, so that what `_view` says of references is true.
    flat: FlatArray = raw.view(FlatArray)[start : start + count]  # type: ignore[assignment]
    return flat


def _view(flat: FlatArray, start: int, shape: tuple[int, ...]) -> np.ndarray:
    """A part of a flat buffer as an ordinary array.

    NumPy has a view of a view refer to the memory's first owner, but only through arrays of the view's own type. Here the
    one before is a `FlatArray`, so views of the result refer to the result: its references tell whether there are any.
    """
    return flat[start : start + math.prod(shape)].reshape(shape).view(np.ndarray)


class Part(NamedTuple):
    """A run of neighbouring parameters in the flat buffers."""

    data: FlatArray
    grad: FlatArray
    state: dict[str, FlatArray]
    written: Memory


class FlatBlock:
    """Parameters of one dtype that are stepped together; those that weight decay applies to lie in front.

    Parameters
    ----------
    name : str
        Of the optimiser, for error messages.
    params : sequence of Tensor
        Leaves; the first `gather` copies their arrays into the block and replaces them by views.
    state_names : tuple of str
        Names of the optimiser's state arrays, one buffer each, filled with zeros.

    Attributes
    ----------
    data, grad : ndarray, (n,)
        The flat buffers. Each parameter starts at a multiple of 64 bytes. The elements between stay 0 in
        ``grad``; in ``data`` they may be anything, as 0 / 0 is with an ``eps`` of 0, and nothing reads them.
    state : dict of str to ndarray, (n,)
        The flat state.
    steps : list of int
        How many steps each parameter has made.

    Raises
    ------
    TypeError, ValueError
        If values or a gradient do not fit, as `gather` does. The parameters are left alone until that is called.

    Notes
    -----
    A block that is copied or unpickled gathers the parameters that were copied with it. A shallow copy gathers the same
    ones: it and the block copied take turns, each with a state of its own.
    """

    def __init__(self, name: str, params: Sequence[Tensor], state_names: tuple[str, ...]) -> None:
        self.name = name
        self.params = sorted(params, key=lambda p: not _decays(p))
        self.steps = [0] * len(params)
        self._decays = [_decays(p) for p in self.params]
        self._shapes = [p.shape for p in self.params]
        self._dtype = params[0].dtype
        for i, p in enumerate(self.params):
            self._check_data(i)
            if p.grad is not None:
                self._check_grad(i)
        self._lay_out(state_names)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("name", "params", "_decays", "_shapes", "_dtype")
        state = {key: flat.view(np.ndarray) for key, flat in self.state.items()}
        return {key: getattr(self, key) for key in kept} | {"steps": list(self.steps), "state": state}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        state = kept.pop("state")
        self.__dict__.update(kept)
        self._lay_out(tuple(state))
        for key, flat in state.items():
            np.copyto(self.state[key], flat)
        self.gather()

    def _lay_out(self, state_names: tuple[str, ...]) -> None:
        step = _ALIGNMENT // self._dtype.itemsize
        starts = np.cumsum([0] + [-(-math.prod(shape) // step) * step for shape in self._shapes]).tolist()
        self.bounds = list(itertools.pairwise(starts))
        self.state = {key: _aligned_zeros(starts[-1], self._dtype) for key in state_names}
        self._parts: dict[tuple[int, int], Part] = {}
        self._targets = [Target(_NOTHING, _NOTHING) for _ in self.params]
        self._numbered = [(i, *pair) for i, pair in enumerate(zip(self.params, self._targets, strict=True))]
        self._new_data()
        self._new_grad()

    def view(self, flat: FlatArray, i: int) -> np.ndarray:
        """Parameter i's part of a flat buffer, in the parameter's shape."""
        return _view(flat, self.bounds[i][0], self._shapes[i])

    def _new_data(self) -> None:
        self.data = _aligned_zeros(self.bounds[-1][1], self._dtype)
        self._parts.clear()
        for i, target in enumerate(self._targets):
            target.values = self.view(self.data, i)

    def _new_grad(self) -> None:
        self.grad = _aligned_zeros(self.bounds[-1][1], self._dtype)
        self._parts.clear()
        for i, target in enumerate(self._targets):
            target.array = self.view(self.grad, i)

    def gather(self) -> None:
        """Have values and gradients of all parameters in the flat buffers, and note which of them `advance` is to step.

        Arrays that were put in from outside (``p.data = …``, ``p.grad = …``) are copied there and replaced by views.

        Raises
        ------
        TypeError, ValueError
            If one of them is not an array of a fitting type and shape; nothing is changed.
        """
        stepped: list[int] = []
        data_moved = grad_moved = False
        for i, p, target in self._numbered:
            if p.data is not target.values:
                self._check_data(i)
                data_moved = True
            if p.grad is not None:
                if p.grad is not target.array:
                    self._check_grad(i)
                    grad_moved = True
                if p._requires_grad:
                    stepped.append(i)
        if data_moved:
            self._take_data()
        if grad_moved:
            self._take_grad()
        self._stepped = stepped

    def _check_data(self, i: int) -> None:
        data, shape = self.params[i].data, self._shapes[i]
        check_array(f"{self.name}: the values of a parameter of shape {shape}", data)
        if data.shape != shape or data.dtype != self._dtype:
            raise ValueError(
                f"{self.name}: a parameter of shape {shape} and dtype {self._dtype} was replaced by an array of "
                f"shape {data.shape} and dtype {data.dtype}; make a new optimiser"
            )

    def _check_grad(self, i: int) -> None:
        grad: Any = self.params[i].grad
        shape = self._shapes[i]
        if np.isscalar(grad):
            grad = np.asarray(grad)
        check_array(f"{self.name}: the gradient of a parameter of shape {shape}", grad)
        if grad.shape != shape:
            raise ValueError(f"{self.name}: a parameter of shape {shape} has a gradient of shape {grad.shape}")
        if not np.can_cast(grad.dtype, self._dtype, "same_kind"):
            raise TypeError(
                f"{self.name}: a parameter of dtype {self._dtype} has a gradient of dtype {grad.dtype} (shape {shape})"
            )

    def _take_data(self) -> None:
        given = [p.data for p in self.params]
        if any(
            data is not target.values and not target.values_are_free()
            for data, target in zip(given, self._targets, strict=True)
        ):
            self._new_data()
        for p, data, target in zip(self.params, given, self._targets, strict=True):
            if data is not target.values:
                np.copyto(target.values, data)
                note_change(target.values)
                p.data = target.values
                p._target = target  # else it might stay that of a block that another optimiser made, or tried to make

    def _take_grad(self) -> None:
        given = [p.grad for p in self.params]
        if any(
            grad is not None and grad is not target.array and not target.array_is_free()
            for grad, target in zip(given, self._targets, strict=True)
        ):
            self._new_grad()
        for p, grad, target in zip(self.params, given, self._targets, strict=True):
            if grad is not None and grad is not target.array:
                np.copyto(target.array, grad, casting="same_kind")
                p.grad = target.array

    def take_state(self, i: int, other: FlatBlock, j: int) -> None:
        """Go on with parameter i as another block of the same optimiser did with its parameter j."""
        self.steps[i] = other.steps[j]
        for key, flat in self.state.items():
            np.copyto(self.view(flat, i), other.view(other.state[key], j))

    def fill_grad(self) -> None:
        """Have every parameter's gradient be zero."""
        if all(p.grad is t.array or t.array_is_free() for p, t in zip(self.params, self._targets, strict=True)):
            self.grad.fill(0)
        else:
            self._new_grad()
        for p, target in zip(self.params, self._targets, strict=True):
            p.grad = target.array

    def advance(self, apart: bool) -> Iterator[tuple[Part, int, bool]]:
        """Count a step for each parameter that `gather` noted; the runs to update, each with its step number.

        Neighbours that made the same number of steps form one run: commonly there is one.
        Where decaying and other parameters are to be kept ``apart`` there are two, and the third value tells which.
        """
        start = end = step = 0
        decays = True
        steps, bounds = self.steps, self.bounds
        for i in self._stepped:
            steps[i] = count = steps[i] + 1
            low, high = bounds[i]
            if low != end or count != step or (apart and self._decays[i] is not decays):
                if end > start:
                    yield self._part(start, end), step, decays
                start, step, decays = low, count, self._decays[i]
            end = high
        if end > start:
            yield self._part(start, end), step, decays

    def _part(self, start: int, end: int) -> Part:
        part = self._parts.get((start, end))
        if part is None:
            run: Any = slice(start, end)
            state = {key: flat[run] for key, flat in self.state.items()}
            data = self.data[run]
            part = self._parts[start, end] = Part(data, self.grad[run], state, memory_of(data))
        note(part.written)
        return part


def check_array(what: str, array: Any) -> None:
    """Refuse what is not an array, or has a mask that would be lost; NumPy makes scalars of results without axes."""
    if not isinstance(array, (np.ndarray, np.generic)):
        raise TypeError(f"{what} must be an array, got {type(array).__name__}")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{what} must not be a masked array, whose mask would be lost; .filled(value) makes one")


def _decays(p: Tensor) -> bool:
    return bool(getattr(p, "decay", True))


def runs_of(params: Sequence[Tensor]) -> Iterator[np.ndarray]:
    """The gradients of parameters; those side by side in one flat buffer come as one array, with the zeros between.

    A parameter given twice counts once.
    """
    run: list[int] | None = None  # start and end of a run in its memory
    memory: np.ndarray | None = None
    seen: set[int] = set()
    for p in params:
        g = p.grad
        if g is None or id(p) in seen:
            continue
        seen.add(id(p))
        if p._target is None or g is not p._target.array or not isinstance(g.base, FlatArray):
            yield g
            continue
        base: Any = g.base.base  # `g.base` is the part of the flat buffer that `_view` took; its base is the whole
        step = _ALIGNMENT // g.itemsize
        start = (g.ctypes.data - base.ctypes.data) // g.itemsize
        end = start + -(-g.size // step) * step
        if memory is base and run is not None and run[1] == start:
            run[1] = end
            continue
        if memory is not None and run is not None:
            yield memory[run[0] : run[1]].view(np.ndarray)
        memory, run = base, [start, end]
    if memory is not None and run is not None:
        yield memory[run[0] : run[1]].view(np.ndarray)
