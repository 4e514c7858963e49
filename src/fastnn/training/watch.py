"""The layers of a model at work: what each gives and which gradients come back to it, in forward and backward passes."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self

import numpy as np

from ..autograd import Tensor, raw
from ..autograd.modes import Vjp, mode
from ..nn import (
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    Identity,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    Maxout,
    Module,
    Parameter,
    PixelShuffle,
    PixelUnshuffle,
    RMSNorm,
    Upsample,
)
from ..nn.adaptive_pool import _AdaptivePool
from ..nn.channel_norm import _ChannelNorm
from ..nn.conv import _Kernels
from ..nn.intercept import intercepted
from ..nn.pad import _Pad
from ..nn.pool import _Pool
from ..nn.recurrent import _Named, _Recurrent
from ..nn.recurrent_cells import _Cell
from .findings import quoted
from .spread import Running

Array = np.ndarray[Any, Any]
Edges = tuple[float, float] | None

# The kind of layer that an operation is taken for where a model calls it without a layer, by its name on the tape.
_ACTIVATIONS = {
    "relu": "ReLU",
    "batch_norm_relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "selu": "SELU",
    "sigmoid": "Sigmoid",
    "hardsigmoid": "Hardsigmoid",
    "tanh": "Tanh",
    "silu": "SiLU",
    "gelu": "GELU",
    "softplus": "Softplus",
    "relu6": "ReLU6",
    "thresholded_relu": "ThresholdedReLU",
    "hardswish": "Hardswish",
    "celu": "CELU",
    "mish": "Mish",
    "logsigmoid": "LogSigmoid",
    "softsign": "Softsign",
    "prelu": "PReLU",
    "rrelu": "RReLU",
    "maxout": "Maxout",
}
_WEIGHTED = {"linear": "Linear", "conv1d": "Conv1d", "conv2d": "Conv2d", "conv3d": "Conv3d", "embedding": "Embedding"}
# Operations whose result still counts as the output of the layer before them.
_HANDED_ON = (
    "add", "subtract", "reshape", "squeeze", "transpose", "swapaxes", "getitem", "concatenate", "stack", "pixel_shuffle",
    "pixel_unshuffle", "pad",
)  # fmt: skip
_SAMPLES = 32  # at least so many samples are looked at, where there are as many
# Layers that have nothing of their own to tell.
_UNTOLD = (Identity, Flatten, Dropout, PixelShuffle, PixelUnshuffle, Upsample, _Pad, _Pool, _AdaptivePool)
# Where a function's slope is below 5 % of the largest: at outputs up to the first number, or from the second on. The slope
# of sigmoid is a(1 − a) for an output `a`, that of tanh the same stretched, and that of softsign (1 − |a|)²; the others'
# slopes are constant between the ends. The 0 of ReLU6 is not an end, but half of what it is for.
_FLAT_END = (1 - math.sqrt(1 - 0.05)) / 2
_FLAT_SIGN = 1 - math.sqrt(0.05)
_FLAT = {
    "Sigmoid": (_FLAT_END, 1 - _FLAT_END),
    "Hardsigmoid": (0.0, 1.0),
    "Tanh": (2 * _FLAT_END - 1, 1 - 2 * _FLAT_END),
    "Softsign": (-_FLAT_SIGN, _FLAT_SIGN),
    "ReLU6": (-math.inf, 6.0),
}
_RECTIFIERS = ("ReLU", "ReLU6", "ThresholdedReLU")  # of which a unit that is 0 for all samples gets no gradient


class Gathered:
    """What is gathered of a layer.

    Attributes
    ----------
    name : str
        Of the layer in the model, or of the layer and a function that follows it.
    kind : str
        The class; that of an activation also where a function computed it.
    function : str
        The kind of the activation whose output it is: that of a recurrent layer's nonlinearity, else the same.
    units : int
        Channels or features.
    activations, gradients : Running
        Of outputs, and of the loss of each sample by them.
    active : ndarray of int or None
        For each unit of a ReLU, for how many samples it is above 0 anywhere.
    samples : int
        How many samples that is of.
    saturated : int or None
        How many outputs are where the function is flat.
    parameters : dict of str to Parameter
        Its own.
    gates : int
        How many blocks of rows a weight has: of a recurrent layer its gates.
    is_output, is_gate : bool
        Whether it is what the model gives, and whether it is multiplied by something.
    """

    def __init__(self, name: str, kind: str, units: int, edges: tuple[Edges, Edges], symmetric: bool) -> None:
        self.name, self.kind, self.units = name, kind, units
        self.function = kind
        self.activations = Running(edges[0], symmetric)
        self.gradients = Running(edges[1], symmetric)
        self.samples = 0
        self.active: Array | None = None
        self.saturated: int | None = None
        self.parameters: dict[str, Parameter] = {}
        self.gates = 1
        self.is_output = self.is_gate = False


class Watch:
    """Gathers statistics of the layers of a model while it is entered.

    Parameters
    ----------
    model : Module
        Its layers are seen by their calls; so are functions such as `fastnn.functional.relu` where they are recorded.
    most : int, optional
        About how many numbers of an output are looked at in a pass: at evenly spread positions, and of evenly spread samples,
        32 at least. Of ReLUs all are looked at for units that are never active. By default all.
    of_means : bool
        Whether the backward passes are those of a mean over samples: gradients are multiplied by their number.
    edges : mapping, optional
        The ranges of the histograms of outputs and of gradients, by the name of the layer. Where it is given, those of further
        layers are symmetric, since there will be other numbers.
    locate : bool
        Whether to look for the first operation that gives a number that is not finite.

    Attributes
    ----------
    rows : dict of str to Gathered
        By the names of the layers.
    output : Running
        Gradients of each sample's loss by what the model gives.
    began : (str, str) or None
        In which layer the first number was computed that is not finite, and the words for it.
    """

    def __init__(
        self,
        model: Module,
        most: int | None = None,
        *,
        of_means: bool = False,
        edges: Mapping[str, tuple[Edges, Edges]] | None = None,
        locate: bool = False,
    ) -> None:
        self.rows: dict[str, Gathered] = {}
        self.output = Running()
        self.began: tuple[str, str] | None = None
        self._model, self._most, self._of_means, self._locate = model, most, of_means, locate
        self._edges, self._symmetric = edges or {}, edges is not None
        self._parameters = {id(p): (name, p) for name, p in model.named_parameters()}
        self._open: list[tuple[str, Module]] = []  # the calls that are under way
        self._known: dict[int, _Known] = {}
        self._calls: dict[str, int] = {}  # how often functions were called in this pass, by the name of their row
        self._back = ExitStack()

    def __enter__(self) -> Self:
        self._back.enter_context(intercepted(self._model, self._around))
        self._back.callback(setattr, mode, "observers", mode.observers)
        mode.observers = (*mode.observers, self._observe)
        return self

    def __exit__(self, *exception: object) -> None:
        self._back.close()
        self._known.clear()

    # ---- what is called ----------------------------------------------------------------------------------------------

    def _around(self, name: str, module: Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if not mode.enabled:  # nothing is recorded: an evaluation in between
            return forward(*args, **kwargs)
        if not self._open:  # a pass begins
            self._known.clear()
            self._calls.clear()
        self._open.append((name, module))
        try:
            output = forward(*args, **kwargs)
        finally:
            self._open.pop()
        x = first(output)
        if x is not None and not isinstance(module, _UNTOLD):
            self._layer(name, module, x, first((*args, *kwargs.values())))
        elif x is not None and np.ndim(raw(x)) == np.ndim(raw(first(args))):
            self._note(x).axes = _axes(module, raw(x), self._axes_of(first(args)))
        if not self._open:
            self._end(output)
        return output

    def _layer(self, name: str, module: Module, x: Any, given: Any) -> None:
        own = {n: p for n, p in vars(module).items() if isinstance(p, Parameter)}
        if not own and next(module.children(), None) is not None and not isinstance(module, Maxout):
            return
        known = self._of(x)
        if known is not None and known.row is not None:  # a layer or function inside gave it
            return
        axes = _axes(module, raw(x), self._axes_of(given))
        row = self._row(name, type(module).__name__, axes, raw(x))
        for part, parameter in own.items():
            row.parameters[f"{name}.{part}" if name else part] = parameter
        if isinstance(module, _Named):
            row.gates = module._gates
            row.function = {"tanh": "Tanh", "relu": "ReLU"}.get(getattr(module, "nonlinearity", ""), row.kind)
        self._gather(row, x, axes)

    def _end(self, output: Any) -> None:
        """The outputs of the model: which layers gave them, and their gradients."""
        pending = list(arrays_in(output))
        for x in pending:
            known = self._note(x)
            known.gradients.append(self.output)
            known.axes = known.axes or (0, -1)
        last = next(reversed(self.rows.values()), None)
        if last is not None:
            last.is_output = True
        while pending:
            before = self._of(pending.pop())
            if before is None:
                continue
            if before.row is not None:
                before.row.is_output = True
            elif before.name in _HANDED_ON:
                pending.extend(x for x in before.inputs if isinstance(x, Tensor))
        for each in self._known.values():
            each.inputs = ()

    def _observe(self, name: str, output: Array, inputs: Sequence[Any], vjp: Vjp, result: Any) -> Vjp:
        """An operation is recorded: a function that is a layer, or one between layers."""
        known = self._note(result)
        known.name, known.inputs = name, tuple(inputs)
        if self._locate and self.began is None:
            self._look_for_first(name, output, inputs)
        self._pass_on(result, inputs)
        for x in inputs if name == "multiply" else ():
            before = self._of(x)
            if before is not None and before.row is not None and before.row.kind in ("Sigmoid", "Hardsigmoid"):
                before.row.is_gate = True
        self._function(name, inputs, result)

        def watched(dy: Array, needs: tuple[bool, ...]) -> Sequence[Any]:
            for gradients in known.gradients:
                values = _laid_out(dy, known.axes or (0, -1))
                with np.errstate(all="ignore"):
                    gradients.add(self._some(values) * (dy.dtype.type(len(values)) if self._of_means else 1))
            return vjp(dy, needs)

        return watched

    def _look_for_first(self, name: str, output: Array, inputs: Sequence[Any]) -> None:
        """Note the first operation that gives numbers that are not finite."""
        if np.isfinite(output).all():
            return
        layer, module = self._open[-1] if self._open else ("", self._model)
        place = f"in {quoted(layer, type(module).__name__) if self._open else 'the loss'}"
        for x in inputs:
            x_ = raw(x)
            if isinstance(x_, np.ndarray) and not np.isfinite(x_).all():
                bad = x_[~np.isfinite(x_)][0]
                of = self._parameters.get(id(x))
                what = f"parameter {of[0]!r}" if of else f"what {name} gets {place}"
                self.began = layer, f"{what} holds {bad}"
                return
        bad = output[~np.isfinite(output)].flat[0]
        self.began = layer, f"{name} {place} gives {bad} from inputs that are finite"

    def _function(self, name: str, inputs: Sequence[Any], result: Any) -> None:
        """A row for a function that is called in a module of the caller's own, in the place of a layer."""
        if not self._open or type(self._open[-1][1]).__module__.startswith("fastnn.nn."):
            return
        kind = _ACTIVATIONS.get(name) or _WEIGHTED.get(name)
        if name == "maximum" and any(np.ndim(raw(x)) == 0 and not np.any(raw(x)) for x in inputs):
            kind, name = "ReLU", "relu"
        if kind is None:
            return
        owner = self._open[-1][0]
        before = self._of(inputs[0])
        of = before.row.name if before is not None and before.row is not None else owner
        axes = self._axes_of(result)
        if name in _WEIGHTED:
            axes = _last(axes) if name in ("linear", "embedding") else (0, 1)
        row = self._row(self._free_name(f"{of}.{name}" if of else name), kind, axes, raw(result))
        for x in inputs:
            if id(x) in self._parameters:
                full, parameter = self._parameters[id(x)]
                row.parameters[full] = parameter
        self._gather(row, result, axes)

    def _free_name(self, name: str) -> str:
        """In a pass, a second function of one name is another row; in the next pass they are the same rows again."""
        number = self._calls.get(name, 0) + 1
        self._calls[name] = number
        return name if number == 1 else f"{name}_{number}"

    # ---- what is gathered --------------------------------------------------------------------------------------------

    def _row(self, name: str, kind: str, axes: tuple[int, int], x: Array) -> Gathered:
        if name not in self.rows:
            units = x.shape[axes[1]] if x.ndim > 1 else 1
            self.rows[name] = Gathered(name, kind, units, self._edges.get(name, (None, None)), self._symmetric)
        return self.rows[name]

    def _gather(self, row: Gathered, x: Any, axes: tuple[int, int]) -> None:
        known = self._note(x)
        known.row, known.axes = row, axes
        known.gradients.append(row.gradients)
        values = _laid_out(raw(x), axes)
        with np.errstate(all="ignore"):
            some = self._some(values)
            row.activations.add(some)
            if row.function in _FLAT:
                low, high = _FLAT[row.function]
                flats = np.count_nonzero(some <= low) + np.count_nonzero(some >= high)
                row.saturated = (row.saturated or 0) + int(flats)
            if row.function in _RECTIFIERS and values.size:
                active = _is_active(values).sum(axis=0)
                fits = row.active is not None and row.active.shape == active.shape
                row.active = row.active + active if fits else active
                row.samples = row.samples + len(values) if fits else len(values)

    def _some(self, values: Array) -> Array:
        """Evenly spread positions, and if these are still too many samples, as many as may be looked at."""
        if self._most is None or values.size <= self._most:
            return values
        spread = values[:, :, :: min(values.shape[2], values.size // self._most)]
        thinned = min(-(-len(spread) // _SAMPLES), max(1, spread.size // self._most))
        return spread[::thinned].copy()

    # ---- what is known of tensors ------------------------------------------------------------------------------------

    def _note(self, x: Any) -> _Known:
        known = self._of(x)
        if known is None:
            known = self._known[id(x)] = _Known(x)
        return known

    def _of(self, x: Any) -> _Known | None:
        known = self._known.get(id(x))
        return known if known is not None and known.tensor() is x else None

    def _axes_of(self, x: Any) -> tuple[int, int]:
        known = self._of(x)
        return known.axes if known is not None and known.axes is not None else _usual_axes(np.ndim(raw(x)))

    def _pass_on(self, result: Any, inputs: Sequence[Any]) -> None:
        """What leaves the shape as it is leaves the meaning of the axes as it is."""
        for x in inputs:
            before = self._of(x)
            if before is not None and before.axes is not None and np.shape(raw(x)) == np.shape(raw(result)):
                self._note(result).axes = before.axes
                return


class _Known:
    """What is known of a tensor while a pass is under way."""

    def __init__(self, x: Any) -> None:
        self.tensor = weakref.ref(x)  # so that another one that gets its id is not taken for it
        self.name = ""
        self.inputs: tuple[Any, ...] = ()
        self.axes: tuple[int, int] | None = None  # of samples and of units
        self.row: Gathered | None = None
        self.gradients: list[Running] = []  # those to which its gradient is added


def first(value: Any) -> Any:
    """The first array or tensor among outputs or arguments, None without one."""
    return next(arrays_in(value), None)


def arrays_in(value: Any) -> Iterator[Any]:
    """The arrays and tensors among outputs or arguments."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from arrays_in(part)
    elif isinstance(value, dict):
        yield from arrays_in(list(value.values()))
    elif isinstance(value, Tensor | np.ndarray):
        yield value


def _usual_axes(ndim: int) -> tuple[int, int]:
    """Samples and units: channels of images are the second axis, features of anything else the last."""
    return 0, 1 if ndim > 3 else -1


def _last(axes: tuple[int, int]) -> tuple[int, int]:
    return axes[0], -1


def _axes(module: Module, x: Array, given: tuple[int, int]) -> tuple[int, int]:
    """Which axes of a layer's output are those of samples and units, from those of its input."""
    if isinstance(module, _Recurrent):
        return (0 if module.batch_first or x.ndim < 3 else 1), -1
    if isinstance(module, Linear | Embedding | LayerNorm | RMSNorm | Maxout | _Cell):
        return _last(given)
    if isinstance(module, _Kernels | _ChannelNorm | GroupNorm | LocalResponseNorm | Upsample | _Pool | _AdaptivePool):
        return 0, 1
    return given


def _is_active(values: Array) -> Array:
    """For which samples (N, units) units are above 0 anywhere; NaN counts, since a unit that became NaN is not a dead one."""
    middle = slice(values.shape[2] // 4, values.shape[2] // 4 + -(-values.shape[2] // 4))
    active: Array = ~(values[:, :, middle].max(axis=2) <= 0)
    if values.shape[2] > 1:  # most are active in that quarter of the places; the others are looked at everywhere
        silent = np.nonzero(~active)
        active[silent] = ~(values[silent].max(axis=1, initial=-np.inf) <= 0)
    return active


def _laid_out(x: Array, axes: tuple[int, int]) -> Array:
    """An output as (samples, units, positions)."""
    if x.ndim < 2:
        return x.reshape(-1, 1, 1)
    samples, units = (axis % x.ndim if axis < x.ndim else 0 for axis in axes)
    if samples == units:
        samples, units = 0, x.ndim - 1
    moved = np.moveaxis(x, (samples, units), (0, 1))
    return moved.reshape(*moved.shape[:2], -1)
