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

import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import init
from ..checks.arrays import shown
from .module import Module, Parameter

VERSION = 1

_MAX_DEPTH = 100  # of modules within modules: Python can call them, copy them and print them
_MAX_NAMES = 250_000  # of modules and arrays, where those that are shared count under each of their names
_ELSEWHERE = {"dtype", "rng", "modules"}  # arguments that arrays, generators and modules below say
_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
_TYPES = {np.dtype(code).name: np.dtype(code) for code in "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]}
_HIDING = {"training", "_buffers", "_vacant"}  # attributes of every module that hide one of its class

State = dict[str, Any]


class _Fault(ValueError):
    """What is wrong, and where."""


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
    except _Fault as fault:
        raise ValueError(f"architecture: {fault}") from None
    return described.state


def from_architecture(state: Mapping[str, Any], *, rng: Any = None) -> Module:
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
        return _Construction(state, rng).model()
    except _Fault as fault:
        raise ValueError(f"from_architecture: {fault}") from None


def blank_model(state: Mapping[str, Any], names: list[str] | None = None) -> Module:
    """`from_architecture` without drawing weights, which are 0; faults name modules as ``names`` does.

    Raises
    ------
    ValueError
        As `from_architecture`, without a function's name in front.
    """
    return _Construction(state, None, blank=True, names=names).model()


def declared_bytes(state: Any) -> int:
    """How many bytes the arrays take that an architecture lists.

    Raises
    ------
    ValueError
        If the list is malformed.
    """
    listed = state.get("arrays") if isinstance(state, Mapping) else None
    if type(listed) is not list:
        raise _Fault(f"the state must have a list 'arrays', got {shown(listed)}")
    return sum(
        math.prod(a["shape"]) * _TYPES[a["dtype"]].itemsize for a in map(_checked_array, range(len(listed)), listed)
    )


@functools.cache
def _layers() -> dict[str, type[Module]]:
    """The layers that `fastnn.nn` exports: nothing else is ever built."""
    package = sys.modules[__package__]
    exported = ((name, getattr(package, name)) for name in package.__all__)
    return {
        name: value
        for name, value in exported
        if isinstance(value, type) and issubclass(value, Module) and value is not Module
    }


@functools.cache
def _made_by(name: str) -> tuple[Callable[..., Module], list[str]]:
    """What makes a layer, and the names of its arguments."""
    layer = _layers()[name]
    make: Callable[..., Module] = getattr(layer, "_of_parts", layer)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return make, [name for name, p in inspect.signature(make).parameters.items() if p.kind in by_name]


class _Description:
    """The state of a model that is gone through."""

    def __init__(self) -> None:
        self.state: State = {"version": VERSION, "modules": [], "arrays": [], "generators": []}
        self.names: list[str] = []
        # The numbers of modules, arrays and generators by identity, which they keep as long as the model is there.
        self._known: dict[int, int] = {}

    def add(self, module: Module, name: str, above: tuple[Module, ...]) -> int:
        """The number of a module, which is described unless it was."""
        at = repr(name) if name else "the model"
        if any(module is other for other in above):
            raise _Fault(f"{at} is a module that stands above it, too")
        if len(above) >= _MAX_DEPTH:
            raise _Fault(f"{at} is nested more than {_MAX_DEPTH} deep")
        if id(module) not in self._known:
            entry = self._entry(module, name, at, above)
            self._known[id(module)] = len(self.names)
            self.state["modules"].append(entry)
            self.names.append(at)
        return self._known[id(module)]

    def _entry(self, module: Module, name: str, at: str, above: tuple[Module, ...]) -> State:
        kind = type(module)
        if _layers().get(kind.__name__) is not kind:
            raise _Fault(
                f"{at} is a {kind.__name__}, which is not a layer of fastnn; save state_dict() and build the model in code"
            )
        hiding = [n for n in vars(module) if n not in _HIDING and hasattr(kind, n)]
        if hiding:
            raise _Fault(
                f"{at} has a {hiding[0]} of its own, or a hook; remove it, or save state_dict() and build the model in code"
            )
        entry: State = {
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

    def _arguments(self, module: Module, at: str) -> State:
        _, names = _made_by(type(module).__name__)
        found = {}
        for name in names:
            if name in _ELSEWHERE or name in module._buffers:
                continue
            if not hasattr(module, name):
                raise _Fault(f"{at} has lost its {name}")
            value = getattr(module, name)
            if name in module._vacant or isinstance(value, Parameter):
                value = value is not None
            if not isinstance(value, Module):
                found[name] = _plain(value, f"{at} has {name}={shown(value)}")
        return found

    def _array(self, held: Any, values: np.ndarray) -> int:
        def entry() -> State:
            listed: State = {"shape": list(values.shape), "dtype": values.dtype.name}
            if isinstance(held, Parameter):
                listed |= {"requires_grad": held.requires_grad, "decay": bool(held.decay)}
            return listed

        return self._number("arrays", held, entry)

    def _generator(self, rng: Any, at: str) -> int:
        kind = type(getattr(rng, "bit_generator", None))
        if getattr(np.random, kind.__name__, None) is not kind or kind.__name__ not in _GENERATORS:
            raise _Fault(
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
    raise _Fault(f"{at}, which is no plain setting")


def _as_argument(value: Any) -> Any:
    """A setting as constructors take it."""
    return tuple(map(_as_argument, value)) if isinstance(value, list) else value


def _fields(at: str, value: Any, kinds: Mapping[str, type], optional: Mapping[str, type]) -> State:
    """A dictionary with entries of these types and no others."""
    if not isinstance(value, dict):
        raise _Fault(f"{at} must be a dictionary, got {shown(value)}")
    missing = [name for name in kinds if name not in value]
    unknown = [name for name in value if name not in kinds and name not in optional]
    if missing or unknown:
        raise _Fault(
            f"{at} lacks {shown(missing)}" if missing else f"{at} has entries that are not understood: {shown(unknown)}"
        )
    for name, kind in {**kinds, **optional}.items():
        if name in value and type(value[name]) is not kind:
            raise _Fault(f"{at}[{name!r}] must be of type {kind.__name__}, got {shown(value[name])}")
    return value


def _number_below(limit: int, at: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < limit:
        raise _Fault(f"{at} must be a number from 0 to {limit - 1}, got {shown(value)}")
    return value


def _checked_array(i: int, value: Any) -> State:
    at = f"arrays[{i}]"
    array = _fields(at, value, {"shape": list, "dtype": str}, {"requires_grad": bool, "decay": bool})
    if not all(type(n) is int and n >= 0 for n in array["shape"]):
        raise _Fault(f"{at} has the shape {shown(array['shape'])}")
    if array["dtype"] not in _TYPES:
        raise _Fault(f"{at} has the dtype {shown(array['dtype'])}")
    return array


class _Construction:
    """A model that is made of its architecture. Modules are made in the order of the list, each of those before it."""

    def __init__(self, state: Any, rng: Any, *, blank: bool = False, names: list[str] | None = None) -> None:
        self._blank, self._names = blank, names
        version = state.get("version") if isinstance(state, Mapping) else None
        if type(version) is int and version > VERSION:
            raise _Fault(f"the state has version {version}, this fastnn reads up to {VERSION}")
        kinds = {"version": int, "modules": list, "arrays": list, "generators": list}
        checked = _fields("the state", dict(state) if isinstance(state, Mapping) else state, kinds, {})
        if version != VERSION:
            raise _Fault(f"the state has version {version}")
        self._arrays = [_checked_array(i, value) for i, value in enumerate(checked["arrays"])]
        self._entries = [self._checked_entry(i, value) for i, value in enumerate(checked["modules"])]
        self._check_sizes()
        self._weights = np.random.default_rng(rng)
        self._generators = [self._generator(i, kind, rng) for i, kind in enumerate(checked["generators"])]
        self._made: list[Module] = []
        self._held: dict[int, Any] = {}  # parameters and buffers by their numbers

    def model(self) -> Module:
        """The last of the modules."""
        for i, entry in enumerate(self._entries):
            try:
                self._made.append(self._module(i, entry))
            except _Fault:
                raise
            except Exception as error:  # whatever a constructor raises for arguments that nobody foresaw
                raise _Fault(f"{self._at(i)}: {error}") from error
        return self._made[-1]

    def _at(self, i: int) -> str:
        return f"modules[{i}]" if self._names is None else self._names[i]

    def _checked_entry(self, i: int, value: Any) -> State:
        at = f"modules[{i}]"
        kinds = {
            "layer": str,
            "arguments": dict,
            "parameters": dict,
            "buffers": dict,
            "modules": dict,
            "training": bool,
        }
        entry = _fields(at, value, kinds, {"rng": int})
        if entry["layer"] not in _layers():
            raise _Fault(f"{at} is a {shown(entry['layer'])}, which is not a layer of fastnn")
        for kind, limit in (("parameters", len(self._arrays)), ("buffers", len(self._arrays)), ("modules", i)):
            for name, number in entry[kind].items():
                _number_below(limit, f"{at}[{kind!r}][{shown(name)}]", number)
        return entry

    def _check_sizes(self) -> None:
        """Refuse what would take forever to go through: few modules that share one another may have any number of names."""
        depths: list[int] = []
        names: list[int] = []
        for i, entry in enumerate(self._entries):
            below = list(entry["modules"].values())
            depths.append(1 + max((depths[j] for j in below), default=0))
            names.append(1 + len(entry["parameters"]) + len(entry["buffers"]) + sum(names[j] for j in below))
            if depths[i] > _MAX_DEPTH or names[i] > _MAX_NAMES:
                raise _Fault(
                    f"{self._at(i)} has modules nested more than {_MAX_DEPTH} deep, or with more than {_MAX_NAMES} names"
                )
        if len({j for entry in self._entries for j in entry["modules"].values()}) != len(self._entries) - 1:
            raise _Fault("the state must list at least one module, and each but the last is below a later one")

    def _generator(self, i: int, kind: Any, rng: Any) -> np.random.Generator:
        if kind not in _GENERATORS:
            raise _Fault(f"generators[{i}] is {shown(kind)}, expected one of {', '.join(_GENERATORS)}")
        bits = getattr(np.random, kind)
        if rng is not None:
            return np.random.Generator(bits(int(self._weights.integers(2**63))))
        from .._unseeded import UnseededGenerator  # imports numpy.random

        return UnseededGenerator(bits())

    def _module(self, i: int, entry: State) -> Module:
        make, accepted = _made_by(entry["layer"])
        children = {name: self._made[j] for name, j in entry["modules"].items()}
        keywords = {name: _as_argument(value) for name, value in entry["arguments"].items()}
        unknown = [name for name in keywords if name not in accepted or name in _ELSEWHERE]
        if unknown:
            raise _Fault(f"{self._at(i)}: a {entry['layer']} has no setting {shown(unknown[0])}")
        keywords |= {name: child for name, child in children.items() if name in accepted}
        listed = [self._arrays[j] for j in (*entry["parameters"].values(), *entry["buffers"].values())]
        if "dtype" in accepted:
            keywords["dtype"] = next((a["dtype"] for a in listed if a["dtype"] in ("float32", "float64")), "float32")
        if "rng" in accepted:
            keywords["rng"] = self._rng(i, entry)
        # A layer may have been relieved of some of the arrays that it was made with.
        limit = 1024 + 2 * sum(math.prod(array["shape"]) for array in listed)
        with init.limited(limit, blank=self._blank):
            module = make(**keywords)
        self._settle(i, module, entry, children)
        return module

    def _rng(self, i: int, entry: State) -> np.random.Generator:
        if "rng" not in entry:
            return self._weights
        return self._generators[_number_below(len(self._generators), f"{self._at(i)}['rng']", entry["rng"])]

    def _settle(self, i: int, module: Module, entry: State, children: dict[str, Module]) -> None:
        """Have a module hold what is listed and nothing else, in this order."""
        for name, child in children.items():
            self._put(i, module, name, Module, child)
        for name, number in entry["parameters"].items():
            self._put(i, module, name, Parameter, self._parameter(i, module, name, number))
        for name, number in entry["buffers"].items():
            buffer = self._buffer(i, module, name, number)
            if name in module._buffers:
                setattr(module, name, buffer)
            else:
                self._check_free(i, module, name)
                module.register_buffer(name, buffer)
        for kind, held in (("parameters", module._own(Parameter)), ("buffers", module._own(None))):
            for name in [name for name, _ in held if name not in entry[kind]]:
                setattr(module, name, None)
        if dict(module.named_children()) != children:
            raise _Fault(f"{self._at(i)}: a {entry['layer']} is not made of the modules {shown(list(children))}")
        if "rng" in entry and vars(module).get("rng") is not self._rng(i, entry):
            raise _Fault(f"{self._at(i)}: a {entry['layer']} has no generator")
        if "rng" in vars(module) and "rng" not in entry:
            raise _Fault(f"{self._at(i)} lacks 'rng'")
        for name in (*entry["parameters"], *children):
            vars(module)[name] = vars(module).pop(name)
        module.training = entry["training"]

    def _check_free(self, i: int, module: Module, name: Any) -> None:
        if not isinstance(name, str) or hasattr(module, name):
            raise _Fault(f"{self._at(i)}: {shown(name)} cannot be the name of a parameter, buffer or module")

    def _put(self, i: int, module: Module, name: Any, kind: type[Parameter | Module], value: Any) -> None:
        if name not in vars(module) or module._kind(name) is not kind:
            self._check_free(i, module, name)
        setattr(module, name, value)

    def _listed(self, i: int, name: str, number: int, made: np.ndarray | None, kind: str) -> np.ndarray:
        """The array that is listed: that which the constructor made, where it fits."""
        array = self._arrays[number]
        shape, dtype = tuple(array["shape"]), _TYPES[array["dtype"]]
        if [key in array for key in ("requires_grad", "decay")] != [kind == "parameter"] * 2:
            raise _Fault(f"{self._at(i)} has {shown(name)} as a {kind}, but arrays[{number}] lists another")
        if made is None:
            return np.zeros(shape, dtype)
        if made.shape != shape:
            raise _Fault(f"{self._at(i)} has {name!r} of shape {shape}, but its settings say {made.shape}")
        return made.astype(dtype, copy=False)

    def _parameter(self, i: int, module: Module, name: str, number: int) -> Parameter:
        made = vars(module).get(name) if isinstance(name, str) else None
        values = self._listed(i, name, number, made.data if isinstance(made, Parameter) else None, "parameter")
        if number not in self._held:
            if not isinstance(made, Parameter) or made.dtype != values.dtype:
                made = Parameter(values, False)
            made.requires_grad, made.decay = (self._arrays[number][key] for key in ("requires_grad", "decay"))
            self._held[number] = made
        return self._held[number]  # type: ignore[no-any-return]

    def _buffer(self, i: int, module: Module, name: str, number: int) -> np.ndarray:
        made = vars(module).get(name) if isinstance(name, str) and name in module._buffers else None
        values = self._listed(i, name, number, made, "buffer")
        return self._held.setdefault(number, values)  # type: ignore[no-any-return]
