"""Flat buffers: parameters, gradients and state of one dtype side by side in memory.

One fused call then updates all of them. A parameter's array becomes a view into the flat buffer, and so does
its gradient: the reverse pass writes there (`Target`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor
from ..autograd.changes import Memory, note_change
from ..autograd.graph import Target
from ..checks import FlatArray

_ALIGNMENT = 64  # bytes: a cache line, and a vector of the widest instruction set


def _aligned_zeros(count: int, dtype: np.dtype[Any]) -> FlatArray:
    extra = _ALIGNMENT // dtype.itemsize
    raw = np.zeros(count + extra, dtype)
    start = -raw.ctypes.data % _ALIGNMENT // dtype.itemsize
    plain = raw[start : start + count]
    flat = plain.view(FlatArray)
    flat.plain = plain
    return flat


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
        Leaves; their arrays are copied into the block and replaced by views.
    state_names : tuple of str
        Names of the optimiser's state arrays, one buffer each, filled with zeros.

    Attributes
    ----------
    data, grad : ndarray, (n,)
        The flat buffers. Each parameter starts at a multiple of 64 bytes; the elements between stay 0.
    state : dict of str to ndarray, (n,)
        The flat state.
    steps : list of int
        How many steps each parameter has made.
    """

    def __init__(self, name: str, params: Sequence[Tensor], state_names: tuple[str, ...]) -> None:
        self.name = name
        self.params = params = sorted(params, key=lambda p: not _decays(p))
        self._decays = [_decays(p) for p in params]
        dtype = params[0].dtype
        step = _ALIGNMENT // dtype.itemsize
        starts = np.cumsum([0] + [-(-p.size // step) * step for p in params]).tolist()
        self.bounds = list(itertools.pairwise(starts))
        self.data = _aligned_zeros(starts[-1], dtype)
        self.grad = _aligned_zeros(starts[-1], dtype)
        self.state = {key: _aligned_zeros(starts[-1], dtype) for key in state_names}
        self.steps = [0] * len(params)
        self._parts: dict[tuple[int, int], Part] = {}
        self._data_views = [self.view(self.data, i) for i in range(len(params))]
        self._grad_views = [self.view(self.grad, i) for i in range(len(params))]
        for i, p in enumerate(params):
            self._take_data(i)
            p._target = Target(self._grad_views[i], self._data_views[i])
            if p.grad is not None:
                self._take_grad(i)

    def view(self, flat: FlatArray, i: int) -> np.ndarray:
        """Parameter i's part of a flat buffer, in the parameter's shape."""
        start = self.bounds[i][0]
        shape = self.params[i].shape
        return flat.plain[start : start + math.prod(shape)].reshape(shape)

    def _take_data(self, i: int) -> None:
        p, view = self.params[i], self._data_views[i]
        if p.data.shape != view.shape or p.data.dtype != view.dtype:
            raise ValueError(
                f"{self.name}: a parameter of shape {view.shape} and dtype {view.dtype} was replaced by an array of "
                f"shape {p.data.shape} and dtype {p.data.dtype}; make a new optimiser"
            )
        np.copyto(view, p.data)
        note_change(view)
        p.data = view

    def _take_grad(self, i: int) -> None:
        p, view = self.params[i], self._grad_views[i]
        if p.grad is None or p.grad.shape != view.shape:
            shape = None if p.grad is None else p.grad.shape
            raise ValueError(f"{self.name}: a parameter of shape {view.shape} has a gradient of shape {shape}")
        np.copyto(view, p.grad, casting="same_kind")
        p.grad = view

    def zero_grad(self, set_to_none: bool) -> None:
        """Forget the gradients, or fill them with zeros."""
        if not set_to_none:
            self.grad.fill(0)
        for p, view in zip(self.params, self._grad_views, strict=True):
            p.grad = None if set_to_none else view

    def advance(self, apart: bool) -> Iterator[tuple[Part, int, bool]]:
        """Count a step for each parameter with a gradient; the runs to update, each with its step number.

        Neighbours that have a gradient and made the same number of steps form one run: commonly there is one.
        Where decaying and other parameters are to be kept ``apart`` there are two, and the third value tells which.
        Arrays that were replaced since the last step (``p.data = …``, ``p.grad = …``) are copied in first.
        """
        stepped = []
        for i, (p, data, grad) in enumerate(zip(self.params, self._data_views, self._grad_views, strict=True)):
            if p.data is not data:
                self._take_data(i)
            if p.grad is not None:
                if p.grad is not grad:
                    self._take_grad(i)
                if p._requires_grad:
                    stepped.append(i)
        start = end = step = 0
        decays = True
        for i in stepped:
            self.steps[i] += 1
            low, high = self.bounds[i]
            if low != end or self.steps[i] != step or (apart and self._decays[i] is not decays):
                if end > start:
                    yield self._part(start, end), step, decays
                start, step, decays = low, self.steps[i], self._decays[i]
            end = high
        if end > start:
            yield self._part(start, end), step, decays

    def _part(self, start: int, end: int) -> Part:
        part = self._parts.get((start, end))
        if part is None:
            run: Any = slice(start, end)
            state = {key: flat[run] for key, flat in self.state.items()}
            part = self._parts[start, end] = Part(self.data[run], self.grad[run], state, Memory(self.data[run]))
        part.written.note_change()
        return part


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
        base = g.base if p._target is not None and g is p._target.array else None
        if not isinstance(base, np.ndarray):
            yield g
            continue
        step = _ALIGNMENT // g.itemsize
        start = (g.ctypes.data - base.ctypes.data) // g.itemsize
        end = start + -(-g.size // step) * step
        if memory is base and run is not None and run[1] == start:
            run[1] = end
            continue
        if memory is not None and run is not None:
            yield memory[run[0] : run[1]]
        memory, run = base, [start, end]
    if memory is not None and run is not None:
        yield memory[run[0] : run[1]]
