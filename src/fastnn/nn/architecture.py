"""A model's architecture as plain state: which layers it is made of, with which settings; and the model made of that.

The state lists every module once, those below before those above, so that the last one is the model. A module has the name of
its class, the arguments that its constructor takes, and what is below it by number; so do its parameters and buffers, whose
shapes and types are listed. What is shared has one number. Values of arrays and states of generators are kept elsewhere.

The arguments are not noted when a layer is made: they are read from the attributes of the same names. So they are those of the
layer as it is now, and making a layer costs nothing more. The flags that say whether there is a parameter (``bias``, ``affine``)
follow from what is there. Where a constructor makes the modules below itself, as `ResidualBlock` does, the class has
``_of_parts``, which takes them.

Nothing in the state is trusted when a model is made of it. Only names that `fastnn.nn` exports are looked up, and only those of
layers; each constructor checks its arguments; and what it may allocate is limited by the shapes that are listed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._types import Rng
from ..checks.arrays import shown
from .construction import ELSEWHERE, GENERATORS, MAX_DEPTH, VERSION, Construction, Fault, blank_model, layers, made_by
from .module import Module
from .parameter import Parameter

__all__ = ["architecture", "from_architecture"]
_HIDING = {"training", "_buffers", "_vacant"}  # attributes of a module that may hide one of its class


def architecture(model: Module) -> dict[str, Any]:
    """Describe a model that is made of fastnn's layers as plain state, of which `from_architecture` makes another.

    Parameters
    ----------
    model : Module
        A layer that `fastnn.nn` exports, and such layers below it. Subclasses of them are others.

    Returns
    -------
    dict
        Dictionaries, lists, strings, numbers, booleans and None: for `fastnn.save_checkpoint`, or for JSON. It holds the
        layers with their settings as they are now; shapes, types, ``requires_grad`` and ``decay`` of the parameters; the
        modes; and what is shared, be it modules, parameters, buffers or generators. The order of the entries counts.

    Raises
    ------
    TypeError
        If ``model`` is no module.
    ValueError
        If a module is of another class, or has a ``forward`` of its own or a hook; if its settings are not those that its
        arrays were made by, or nothing that its constructor takes; if a module is below itself, modules are nested more than
        100 deep, or modules and arrays have more than 250 000 names. The message names the module.

    Notes
    -----
    The values of parameters and buffers are in ``model.state_dict()``, the states of generators are in the layers'
    ``rng.bit_generator.state``. Attributes that a user added and that are neither parameter, buffer nor module are left out.
    Before it returns, the function makes the model of the state once, without values, which takes memory like the model's: what
    was described can be made again.

    Examples
    --------
    >>> import json
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Linear(3, 4, rng=0), nn.ReLU())
    >>> state = nn.architecture(net)
    >>> state["modules"][0]["layer"], state["modules"][0]["arguments"]
    ('Linear', {'in_features': 3, 'out_features': 4, 'bias': True})
    >>> nn.from_architecture(json.loads(json.dumps(state)))
    Sequential(
      (0): Linear(3, 4)
      (1): ReLU()
    )
    """
    if not isinstance(model, Module):
        raise TypeError(f"architecture: model must be a module, got {type(model).__name__}")
    described = _Description()
    try:
        described.add(model, "", ())
        blank_model(described.state, described.names)  # what this refuses shall not be saved
    except Fault as fault:
        raise ValueError(f"architecture: {fault}") from None
    return described.state


def from_architecture(state: Mapping[str, Any], *, rng: Rng = None) -> Module:
    """Make a model from what `architecture` returned.

    Parameters
    ----------
    state : mapping
        The state, which may have been through JSON or a checkpoint.
    rng : optional
        Anything `numpy.random.default_rng` takes: weights are drawn from it as the layers' constructors do, and the states of
        the layers' generators.

    Returns
    -------
    Module
        A new model, untrained. `Module.load_state_dict` gives it the values of the one that was described.

    Raises
    ------
    ValueError
        If the state is malformed, of a newer version, or describes what no constructor makes. The message says where. No code
        of the state is ever run, and no more memory taken than a few times what the listed arrays need.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.Linear(3, 2, rng=0)
    >>> other = nn.from_architecture(nn.architecture(net), rng=1)
    >>> _ = other.load_state_dict(net.state_dict())
    >>> x = np.ones((4, 3), np.float32)
    >>> bool((other(x).data == net(x).data).all())
    True
    """
    try:
        return Construction(state, rng).model()
    except Fault as fault:
        raise ValueError(f"from_architecture: {fault}") from None


class _Description:
    """The state of a model that is gone through."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"version": VERSION, "modules": [], "arrays": [], "generators": []}
        self.names: list[str] = []
        # The numbers of modules, arrays and generators by their id(), which is theirs as long as the model exists.
        self._known: dict[int, int] = {}

    def add(self, module: Module, name: str, above: tuple[Module, ...]) -> int:
        """The number of a module, which is described unless it was."""
        at = repr(name) if name else "the model"
        if any(module is other for other in above):
            raise Fault(f"{at} is a module that stands above it, too")
        if len(above) >= MAX_DEPTH:
            raise Fault(f"{at} is nested more than {MAX_DEPTH} deep")
        if id(module) not in self._known:
            entry = self._entry(module, name, at, above)
            self._known[id(module)] = len(self.names)
            self.state["modules"].append(entry)
            self.names.append(at)
        return self._known[id(module)]

    def _entry(self, module: Module, name: str, at: str, above: tuple[Module, ...]) -> dict[str, Any]:
        kind = type(module)
        if layers().get(kind.__name__) is not kind:
            raise Fault(
                f"{at} is a {kind.__name__}, which is not a layer of fastnn; save state_dict() and build the model in code"
            )
        hiding = [n for n in vars(module) if n not in _HIDING and hasattr(kind, n)]
        if hiding:
            raise Fault(
                f"{at} has a {hiding[0]} of its own, or a hook; remove it, or save state_dict() and build the model in code"
            )
        entry: dict[str, Any] = {
            "layer": kind.__name__,
            "arguments": self._arguments(module, at),
            "parameters": {n: self._array(value, value.data) for n, value in module._own(Parameter)},
            "buffers": {n: self._array(value, value) for n, value in module._own(None)},
            "modules": {
                n: self.add(child, f"{name}.{n}" if name else n, (*above, module))
                for n, child in module.named_children()
            },
            "training": bool(module.training),
        }
        if "rng" in vars(module):
            entry["rng"] = self._generator(vars(module)["rng"], at)
        return entry

    def _arguments(self, module: Module, at: str) -> dict[str, Any]:
        _, names = made_by(type(module).__name__)
        found = {}
        for name in names:
            if name in ELSEWHERE or name in module._buffers:
                continue
            if not hasattr(module, name):
                raise Fault(f"{at} has lost its {name}")
            value = getattr(module, name)
            if name in module._vacant or isinstance(value, Parameter):
                value = value is not None
            if not isinstance(value, Module):
                found[name] = _plain(value, f"{at} has {name}={shown(value)}")
        return found

    def _array(self, held: Any, values: np.ndarray) -> int:
        def entry() -> dict[str, Any]:
            listed: dict[str, Any] = {"shape": list(values.shape), "dtype": values.dtype.name}
            if isinstance(held, Parameter):
                listed |= {"requires_grad": held.requires_grad, "decay": bool(held.decay)}
            return listed

        return self._number("arrays", held, entry)

    def _generator(self, rng: Any, at: str) -> int:
        kind = type(getattr(rng, "bit_generator", None))
        if getattr(np.random, kind.__name__, None) is not kind or kind.__name__ not in GENERATORS:
            raise Fault(
                f"{at} draws from {shown(rng)}, which is not a numpy.random.Generator with a bit generator of NumPy's"
            )
        return self._number("generators", rng, lambda: kind.__name__)

    def _number(self, kind: str, thing: Any, entry: Callable[[], Any]) -> int:
        listed = self.state[kind]
        if id(thing) not in self._known:
            self._known[id(thing)] = len(listed)
            listed.append(entry())
        return self._known[id(thing)]


def _plain(value: Any, at: str) -> Any:
    """A setting as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (tuple, list)):
        return [_plain(item, at) for item in value]
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise Fault(f"{at}, which is no plain setting")
