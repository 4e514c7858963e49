"""What `preflight` looks at: data, a sample of it, and what the layers get and give for that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from ..autograd import Tensor, enable_grad, raw
from ..autograd.graph import Node
from ..data import Batches
from ..data.samples import leaves
from ..nn import Module, Parameter
from ..nn.intercept import evaluation, intercepted
from ..training.figures import Objective, Sample, values_of
from ..training.watch import arrays_in, first
from .taken import Array, Taken, _transformed

HEAVY = 4.0
"""A gain beyond that of any usual rule: N(0, 1) weights have 5.7 with 32 inputs, 8 with 64."""
# Operations that leave the values of an array as they are.
_MOVING = ("reshape", "transpose", "permute", "squeeze", "expand", "getitem", "flatten", "contiguous", "swapaxes")


@dataclass
class Look:
    """What the checks share.

    Attributes
    ----------
    model, train, loss, optimizer
        What was given.
    data : Taken
        All of the data, before a transform.
    taken : Taken
        The samples that go through the model, as it gets them.
    validation : Taken or None
        All of the other part.
    rng : Generator
        For what is drawn.
    """

    model: Module
    train: Any
    loss: Any
    optimizer: Any
    data: Taken
    taken: Taken
    validation: Taken | None
    rng: np.random.Generator
    run: Run | None = field(default=None)

    def as_the_model_gets(self, part: Taken) -> Taken:
        """Some samples of the data, transformed."""
        return _transformed("preflight", self.train, part) if isinstance(self.train, Batches) else part

    def outputs_in_evaluation(self, taken: Taken) -> Any:
        """What the model gives for samples in evaluation mode."""
        with evaluation(self.model):
            return values_of(self.model(*taken.inputs))


class First(NamedTuple):
    """A layer with weights that gets the inputs themselves, or what is made of them without weights."""

    name: str
    module: Module
    given: Array


class Failed(NamedTuple):
    """The layer in which the model fails: its name, its class, shapes of what it got, and the error."""

    name: str
    kind: str
    given: str
    error: Exception


@dataclass
class Run:
    """A pass of samples through the model in training mode.

    Attributes
    ----------
    first : list of First
        The layers that see the data.
    outputs : array or tuple, or None
        What came out; None where the model failed.
    last : str
        The operation that the outputs are the result of; empty where they are no tensor.
    failed : Failed or None
        Where the model failed.
    loss_error : Exception or None
        What the loss said of outputs and targets.
    loss : float or None
        The loss.
    learns : bool
        Whether the loss depends on any parameter.
    count : int
        Samples.
    """

    first: list[First] = field(default_factory=list)
    outputs: Any = None
    last: str = ""
    failed: Failed | None = None
    loss_error: Exception | None = None
    loss: float | None = None
    learns: bool = False
    count: int = 0


def run(model: Module, taken: Taken, loss: Any) -> Run:
    """Send samples through model and loss, and note what happens."""
    found = Run(count=taken.count)
    for parameter in model.parameters():
        parameter.requires_grad = True  # so that what was made with weights can be told from what was not
    watch = _Watch(found)
    try:
        with enable_grad(), intercepted(model, watch):
            output = model(*taken.inputs)
    except Exception as error:  # noqa: BLE001 - whatever a model of somebody's own raises is what is wrong with it
        if found.failed is None:
            found.failed = Failed("", type(model).__name__, _shapes(taken.inputs), error)
        return found
    found.outputs = values_of(output)
    found.last = _operation(output)
    try:
        value = Objective(loss)(output, Sample(taken.batch()))
        found.loss, found.learns = float(raw(value)), bool(getattr(value, "requires_grad", False))
    except Exception as error:  # noqa: BLE001 - and so it is with a loss
        found.loss_error = error
    return found


class _Watch:
    """Notes what layers get, and the first that fails."""

    def __init__(self, found: Run) -> None:
        self._found = found

    def __call__(self, name: str, module: Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        given = first(args)
        if given is not None and _has_weights(module) and not _from_weights(given):
            self._found.first.append(First(name, module, np.asarray(raw(given))))
        try:
            return forward(*args, **kwargs)
        except Exception as error:
            if self._found.failed is None:
                got = _shapes((*args, *kwargs.values()))
                self._found.failed = Failed(name, type(module).__name__, got, error)
            raise


def _has_weights(module: Module) -> bool:
    return next(module.children(), None) is None and any(isinstance(p, Parameter) for p in vars(module).values())


def _from_weights(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _shapes(args: Any) -> str:
    return ", ".join(f"{raw(a).dtype} {a.shape}" for a in arrays_in(args)) or "no array"


def _operation(output: Any) -> str:
    """The name of the operation that made the values, past those that only move them."""
    node = output._node if isinstance(output, Tensor) else None
    while isinstance(node, Node) and any(word in node.name for word in _MOVING):
        node = node.parents[0] if isinstance(node.parents[0], Node) else None
    return node.name if isinstance(node, Node) else ""


def named_weights(model: Module) -> Iterator[tuple[str, Module, Parameter]]:
    """Parameters of two axes or more, each once, with their names and the layers that have them."""
    seen: set[int] = set()
    for prefix, module in model.named_modules():
        for name, parameter in vars(module).items():
            if isinstance(parameter, Parameter) and parameter.ndim > 1 and id(parameter) not in seen:
                seen.add(id(parameter))
                yield (f"{prefix}.{name}" if prefix else name), module, parameter


class Heavy(NamedTuple):
    """Weights beside those that He's rule would draw: their name, both standard deviations, and the gain.

    The gain is the root mean square times the root of the number of inputs: how many times as large a layer makes a signal. It is
    1 by Xavier's rule, 1.4 by He's.
    """

    name: str
    deviation: float
    usual: float
    gain: float

    def __str__(self) -> str:
        return f"{self.name} has a standard deviation of {self.deviation:.3g}, by He's rule it has {self.usual:.2g}"


def heaviest(model: Module) -> Heavy | None:
    """The weights with the largest gain."""
    found = [
        _heavy(name, module, p) for name, module, p in named_weights(model) if not isinstance(module, nn.Embedding)
    ]
    return max(found, key=lambda each: each.gain, default=None)


def _heavy(name: str, module: Module, parameter: Parameter) -> Heavy:
    values = np.moveaxis(parameter.data, _axis_of_units(module), 0).astype(np.float64)
    inputs = max(values[0].size, 1)
    gain = float(np.sqrt(np.mean(np.square(values)) * inputs))
    return Heavy(name, float(values.std()), math.sqrt(2 / inputs), gain if math.isfinite(gain) else math.inf)


def _axis_of_units(module: Module) -> int:
    return 1 if type(module).__name__.startswith("ConvTranspose") else 0


def target_of(taken: Taken) -> Array:
    """The target, or the first of several."""
    return np.asarray(raw(leaves(taken.target)[0]))
