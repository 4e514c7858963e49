"""A table of a model's layers: shapes, parameters, multiply–adds, receptive fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .._tables import aligned
from ..autograd import Tensor, enable_grad
from ..autograd.modes import mode
from ..checks.arrays import shown
from .intercept import evaluation, intercepted
from .module import Module
from .parameter import Parameter

Shape = tuple[int, ...]
# For each spatial axis: the size of the receptive field, and its step in the input from one position to the next.
Field = tuple[tuple[Fraction, Fraction], ...]

# The model is run with both sizes of the batch: the axis that grows from one to the other is that of the batch, and the
# work that is added is that of a sample.
_BATCHES = (2, 3)
# Operations that join positions, or give axes another meaning, even if they leave the shape as it is: so the receptive
# field of their results does not follow from the shapes.
_MIXING = ("conv", "pool", "linear", "matmul", "softmax", "embedding", "rnn", "lstm", "gru", "reshape", "transpose")


class LayerRow(NamedTuple):
    """One call of a layer."""

    name: str
    """Dotted name in the model; empty for the model itself."""
    type: str
    """Name of the layer's class."""
    output_shape: tuple[int | str, ...]
    """Shape of the (first) output; ``"N"`` is the batch."""
    parameters: int
    """Values in the layer's own parameters; 0 for those that an earlier row has counted."""
    multiply_adds: int
    """For one sample."""
    receptive_field: tuple[int, ...] | None
    """Input positions that an output depends on, along each spatial axis; None where that has no meaning."""
    stride: tuple[Fraction, ...] | None
    """Input positions from one output to the next, along each spatial axis."""


class Summary:
    """What `summary` found; ``str()`` is a table.

    Attributes
    ----------
    rows : list of LayerRow
        The calls of layers, in order.
    parameters, trainable : int
        Values in all parameters of the model, each counted once, and in those that require a gradient.
    multiply_adds : int
        For one sample.
    """

    def __init__(self, rows: list[LayerRow], parameters: int, trainable: int) -> None:
        self.rows = rows
        self.parameters = parameters
        self.trainable = trainable
        self.multiply_adds = sum(row.multiply_adds for row in rows)

    def __str__(self) -> str:
        head = ("layer", "type", "output", "parameters", "multiply–adds", "field", "stride")
        lines = aligned([head, *(_texts(row) for row in self.rows)], right=range(3, len(head)))
        rule = "─" * max(map(len, lines))
        total = f"{self.parameters:,} parameters, {self.trainable:,} of them trained; {self.multiply_adds:,} multiply–adds per sample"
        return "\n".join([lines[0], rule, *lines[1:], rule, total])

    __repr__ = __str__


def _texts(row: LayerRow) -> tuple[str, ...]:
    def by_axis(values: Sequence[Any] | None) -> str:
        if not values:
            return "-"
        return str(values[0]) if len(set(values)) == 1 else "×".join(map(str, values))

    shape = "×".join(map(str, row.output_shape)) or "()"
    counts = f"{row.parameters:,}", f"{row.multiply_adds:,}"
    return row.name or "(model)", row.type, shape, *counts, by_axis(row.receptive_field), by_axis(row.stride)


def summary(model: Module, input_shape: Any, *, dtype: Any = None) -> Summary:
    """Output shapes, parameters, multiply–adds and receptive fields of a model's layers.

    The model is run on zeros, in evaluation mode: running statistics, modes and gradients stay as they are.

    Parameters
    ----------
    model : Module
        Sequential or free-form. A row is a call of a module without modules below it, or with parameters of its own.
    input_shape : tuple of int, or sequence of such tuples
        Shape of one sample, without the batch, which becomes the first axis: ``(3, 32, 32)``. Where the batch is
        another axis, ``"N"`` says which: ``(20, "N", 64)``. Several tuples for a model of several inputs.
    dtype : dtype or sequence of dtypes, optional
        Of the inputs; by default that of the model's first parameter, or float32. Integers for an embedding.

    Returns
    -------
    Summary
        ``rows`` as data, and ``str()`` as a table.

    Raises
    ------
    TypeError, ValueError
        If ``input_shape`` is no shape, or the model does not take it.

    Notes
    -----
    *Multiply–adds* are those of products, of convolutions with the taps that fall into the padding, and one per element
    for the scale and shift of a norm in evaluation; sums, comparisons and elementwise functions are not counted.

    *Receptive fields* follow ``r_n = r_{n-1} + (k_n - 1) · Π_{i<n} s_i`` along each axis, k being the extent of the
    dilated window. Where paths join, the largest counts. What a free-form module does between its layers is taken to
    be elementwise if it leaves the spatial shape as it is; ``-`` stands where the field isn't known or every output
    sees everything, as after a linear layer. Statistics of norms are not counted as a dependence.

    Examples
    --------
    >>> import fastnn as fnn
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10))
    >>> print(fnn.summary(net, (1, 8, 8)))
    layer  type       output   parameters  multiply–adds  field  stride
    ───────────────────────────────────────────────────────────────────
    0      Conv2d     N×8×6×6          80          2,592      3       1
    1      ReLU       N×8×6×6           0              0      3       1
    2      MaxPool2d  N×8×3×3           0              0      4       2
    3      Flatten    N×72              0              0      -       -
    4      Linear     N×10            730            720      -       -
    ───────────────────────────────────────────────────────────────────
    810 parameters, 810 of them trained; 3,312 multiply–adds per sample
    """
    shapes = _input_shapes(input_shape)
    dtypes = _dtypes(model, dtype, len(shapes))
    with evaluation(model), enable_grad():
        small, large = (_run(model, shapes, dtypes, batch) for batch in _BATCHES)
    if len(small) != len(large):
        raise ValueError(f"summary: the model calls {len(small)} or {len(large)} layers, depending on the batch size")
    rows = []
    for a, b in zip(small, large, strict=True):
        field = a.field
        rows.append(
            LayerRow(
                a.name,
                a.type,
                tuple(_extent(m, n) for m, n in zip(a.shape, b.shape, strict=True)),
                a.parameters,
                b.work - a.work,
                None if field is None else tuple(math.ceil(r) for r, _ in field),
                None if field is None else tuple(step for _, step in field),
            )
        )
    parameters = list(model.parameters())
    trainable = sum(p.size for p in parameters if p.requires_grad)
    return Summary(rows, sum(p.size for p in parameters), trainable)


def _extent(small: int, large: int) -> int | str:
    """An axis of a shape, from its extents at the two batch sizes."""
    if small == large:
        return small
    per_sample = large - small
    return "N" if per_sample == 1 else f"{per_sample}N"


def _input_shapes(value: Any) -> list[tuple[int | str, ...]]:
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"summary: input_shape must be a tuple of ints or several of them, got {shown(value)}")
    several = any(isinstance(entry, (tuple, list)) for entry in value)
    shapes = []
    for shape in value if several else [value]:
        legal = isinstance(shape, (tuple, list)) and all(
            entry == "N" if isinstance(entry, str) else isinstance(entry, int) and entry > 0 for entry in shape
        )
        if not legal or list(shape).count("N") > 1:
            raise ValueError(f"summary: input_shape must hold positive ints, and 'N' at most once, got {shown(value)}")
        shapes.append(tuple(shape) if "N" in shape else ("N", *shape))
    return shapes


def _dtypes(model: Module, dtype: Any, count: int) -> list[Any]:
    if isinstance(dtype, (tuple, list)):
        if len(dtype) != count:
            raise ValueError(f"summary: {len(dtype)} dtypes for {count} inputs")
        return list(dtype)
    if dtype is None:
        dtype = next((p.dtype for p in model.parameters()), np.float32)
    return [dtype] * count


class _Call(NamedTuple):
    name: str
    type: str
    shape: Shape
    parameters: int
    work: int
    field: Field | None


def _run(model: Module, shapes: list[tuple[int | str, ...]], dtypes: list[Any], batch: int) -> list[_Call]:
    """The calls of layers in a run with this batch size."""
    inputs = []
    for shape, dtype in zip(shapes, dtypes, strict=True):
        zeros = np.zeros([n if isinstance(n, int) else batch for n in shape], dtype)
        inputs.append(Tensor(zeros, requires_grad=zeros.dtype.kind == "f"))
    fields = _Fields(inputs)
    calls: list[_Call] = []
    counted: set[int] = set()

    def around(name: str, module: Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        given = [v for v in (*args, *kwargs.values()) if isinstance(v, (Tensor, np.ndarray))]
        first = _first(output)
        fields.window(module, given, first)
        own = [p for _, p in module._own(Parameter)]
        if first is not None and (own or next(module.children(), None) is None):
            fresh = [p for p in own if id(p) not in counted]
            counted.update(map(id, fresh))
            work = module.multiply_adds(tuple(v.shape for v in given), first.shape)
            values = sum(p.size for p in fresh)
            calls.append(_Call(name, type(module).__name__, first.shape, values, work, fields.of(first)))
        return output

    with fields.observed(), intercepted(model, around):
        model(*inputs)
    return calls


def _first(output: Any) -> Any:
    """The first array among the outputs of a module, or None."""
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, (Tensor, np.ndarray)) else None


class _Fields:
    """Receptive fields of the tensors of a run; None where not known."""

    def __init__(self, inputs: list[Tensor]) -> None:
        self._known: dict[int, Field | None] = {}
        self._kept: list[Any] = []  # the tensors of `_known`, so that no other one gets the id of one
        for x in inputs:
            self._set(x, ((Fraction(1), Fraction(1)),) * (x.ndim - 2) if x.ndim > 2 else None)

    def _set(self, x: Any, field: Field | None) -> None:
        self._kept.append(x)
        self._known[id(x)] = field

    def of(self, x: Any) -> Field | None:
        return self._known.get(id(x))

    def window(self, module: Module, given: list[Any], output: Any) -> None:
        """A layer that looks at windows of its first input."""
        if not given or output is None:
            return
        field, windows = self.of(given[0]), module.receptive_window(given[0].shape[2:])
        if field is not None and windows is not None:
            self._set(
                output, tuple((r + (k - 1) * jump, jump * s) for (r, jump), (k, s) in zip(field, windows, strict=True))
            )

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Inside, every recorded operation is looked at."""
        before = mode.observers
        mode.observers = (*before, self._note)
        try:
            yield
        finally:
            mode.observers = before

    def _note(self, name: str, output: Any, inputs: Sequence[Any], vjp: Any, result: Any) -> Any:
        sources = [x for x in inputs if id(x) in self._known]  # no parameters: they don't come from an input
        if sources:
            kept = all(x.shape[2:] == output.shape[2:] for x in sources) and not any(word in name for word in _MIXING)
            self._set(result, _joined([self.of(x) for x in sources]) if kept else None)
        return vjp


def _joined(fields: list[Field | None]) -> Field | None:
    """The largest along each axis; not known if one isn't."""
    known = [f for f in fields if f is not None]
    if len(known) < len(fields):
        return None
    return tuple((max(r for r, _ in axis), max(s for _, s in axis)) for axis in zip(*known, strict=True))
