"""Models made of their architecture, of which nothing is trusted; `architecture` says what it holds."""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..checks.arrays import shown
from ..init.limits import limited
from .module import Module
from .parameter import Parameter

VERSION = 1

MAX_DEPTH = 100  # levels of modules within modules: Python can call, copy and print as many
MAX_NAMES = 250_000  # names of modules and arrays in a model; what is shared counts once for each of its names
ELSEWHERE = {"dtype", "rng", "modules"}  # arguments that follow from the arrays, generators and modules of the state
GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
_TYPES = {np.dtype(code).name: np.dtype(code) for code in "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]}

State = dict[str, Any]


class Fault(ValueError):
    """What is wrong, and where."""


@functools.cache
def layers() -> dict[str, type[Module]]:
    """The layers that `fastnn.nn` exports: nothing else is ever built."""
    package = sys.modules[__package__]
    exported = ((name, getattr(package, name)) for name in package.__all__)
    return {
        name: value
        for name, value in exported
        if isinstance(value, type) and issubclass(value, Module) and value is not Module
    }


@functools.cache
def made_by(name: str) -> tuple[Callable[..., Module], list[str]]:
    """What makes a layer, and the names of its arguments."""
    layer = layers()[name]
    make: Callable[..., Module] = getattr(layer, "_of_parts", layer)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return make, [name for name, p in inspect.signature(make).parameters.items() if p.kind in by_name]


def blank_model(state: Mapping[str, Any], names: list[str] | None = None) -> Module:
    """`from_architecture` without drawing weights, which are 0; faults name modules as ``names`` does.

    Raises
    ------
    ValueError
        As `from_architecture`, without a function's name in front.
    """
    return Construction(state, None, blank=True, names=names).model()


def declared_bytes(state: Any) -> int:
    """How many bytes the arrays take that an architecture lists.

    Raises
    ------
    ValueError
        If the list is malformed.
    """
    listed = state.get("arrays") if isinstance(state, Mapping) else None
    if type(listed) is not list:
        raise Fault(f"the state must have a list 'arrays', got {shown(listed)}")
    return sum(
        math.prod(a["shape"]) * _TYPES[a["dtype"]].itemsize for a in map(_checked_array, range(len(listed)), listed)
    )


def _as_argument(value: Any) -> Any:
    """A setting as constructors take it."""
    return tuple(map(_as_argument, value)) if isinstance(value, list) else value


def _fields(at: str, value: Any, kinds: Mapping[str, type], optional: Mapping[str, type]) -> State:
    """A dictionary with entries of these types and no others."""
    if not isinstance(value, dict):
        raise Fault(f"{at} must be a dictionary, got {shown(value)}")
    missing = [name for name in kinds if name not in value]
    unknown = [name for name in value if name not in kinds and name not in optional]
    if missing or unknown:
        raise Fault(
            f"{at} lacks {shown(missing)}" if missing else f"{at} has entries that are not understood: {shown(unknown)}"
        )
    for name, kind in {**kinds, **optional}.items():
        if name in value and type(value[name]) is not kind:
            raise Fault(f"{at}[{name!r}] must be of type {kind.__name__}, got {shown(value[name])}")
    return value


def _number_below(limit: int, at: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < limit:
        raise Fault(f"{at} must be a number from 0 to {limit - 1}, got {shown(value)}")
    return value


def _checked_array(i: int, value: Any) -> State:
    at = f"arrays[{i}]"
    array = _fields(at, value, {"shape": list, "dtype": str}, {"requires_grad": bool, "decay": bool})
    if not all(type(n) is int and n >= 0 for n in array["shape"]):
        raise Fault(f"{at} has the shape {shown(array['shape'])}")
    if array["dtype"] not in _TYPES:
        raise Fault(f"{at} has the dtype {shown(array['dtype'])}")
    return array


class Construction:
    """A model that is made of its architecture. Modules are made in the order of the list, each of those before it."""

    def __init__(self, state: Any, rng: Any, *, blank: bool = False, names: list[str] | None = None) -> None:
        self._blank, self._names = blank, names
        version = state.get("version") if isinstance(state, Mapping) else None
        if type(version) is int and version > VERSION:
            raise Fault(f"the state has version {version}, this fastnn reads up to {VERSION}")
        kinds = {"version": int, "modules": list, "arrays": list, "generators": list}
        checked = _fields("the state", dict(state) if isinstance(state, Mapping) else state, kinds, {})
        if version != VERSION:
            raise Fault(f"the state has version {version}")
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
            except Fault:
                raise
            except Exception as error:  # whatever a constructor raises for arguments that nobody foresaw
                raise Fault(f"{self._at(i)}: {error}") from error
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
        if entry["layer"] not in layers():
            raise Fault(f"{at} is a {shown(entry['layer'])}, which is not a layer of fastnn")
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
            if depths[i] > MAX_DEPTH or names[i] > MAX_NAMES:
                raise Fault(
                    f"{self._at(i)} has modules nested more than {MAX_DEPTH} deep, or with more than {MAX_NAMES} names"
                )
        if len({j for entry in self._entries for j in entry["modules"].values()}) != len(self._entries) - 1:
            raise Fault("the state must list at least one module, and each but the last is below a later one")

    def _generator(self, i: int, kind: Any, rng: Any) -> np.random.Generator:
        if kind not in GENERATORS:
            raise Fault(f"generators[{i}] is {shown(kind)}, expected one of {', '.join(GENERATORS)}")
        bits = getattr(np.random, kind)
        if rng is not None:
            return np.random.Generator(bits(int(self._weights.integers(2**63))))
        from .._unseeded import UnseededGenerator  # here, since it imports numpy.random

        return UnseededGenerator(bits())

    def _module(self, i: int, entry: State) -> Module:
        make, accepted = made_by(entry["layer"])
        children = {name: self._made[j] for name, j in entry["modules"].items()}
        keywords = {name: _as_argument(value) for name, value in entry["arguments"].items()}
        unknown = [name for name in keywords if name not in accepted or name in ELSEWHERE]
        if unknown:
            raise Fault(f"{self._at(i)}: a {entry['layer']} has no setting {shown(unknown[0])}")
        keywords |= {name: child for name, child in children.items() if name in accepted}
        listed = [self._arrays[j] for j in (*entry["parameters"].values(), *entry["buffers"].values())]
        if "dtype" in accepted:
            keywords["dtype"] = next((a["dtype"] for a in listed if a["dtype"] in ("float32", "float64")), "float32")
        if "rng" in accepted:
            keywords["rng"] = self._rng(i, entry)
        # The constructor may make more than is listed: arrays of the layer may have been removed after it was made.
        limit = 1024 + 2 * sum(math.prod(array["shape"]) for array in listed)
        with limited(limit, blank=self._blank):
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
            raise Fault(f"{self._at(i)}: a {entry['layer']} is not made of the modules {shown(list(children))}")
        if "rng" in entry and vars(module).get("rng") is not self._rng(i, entry):
            raise Fault(f"{self._at(i)}: a {entry['layer']} has no generator")
        if "rng" in vars(module) and "rng" not in entry:
            raise Fault(f"{self._at(i)} lacks 'rng'")
        for name in (*entry["parameters"], *children):
            vars(module)[name] = vars(module).pop(name)
        module.training = entry["training"]

    def _check_free(self, i: int, module: Module, name: Any) -> None:
        if not isinstance(name, str) or hasattr(module, name):
            raise Fault(f"{self._at(i)}: {shown(name)} cannot be the name of a parameter, buffer or module")

    def _put(self, i: int, module: Module, name: Any, kind: type[Parameter | Module], value: Any) -> None:
        if name not in vars(module) or module._kind(name) is not kind:
            self._check_free(i, module, name)
        setattr(module, name, value)

    def _listed(self, i: int, name: str, number: int, made: np.ndarray | None, kind: str) -> np.ndarray:
        """The array that is listed: that which the constructor made, where it fits."""
        array = self._arrays[number]
        shape, dtype = tuple(array["shape"]), _TYPES[array["dtype"]]
        if [key in array for key in ("requires_grad", "decay")] != [kind == "parameter"] * 2:
            raise Fault(f"{self._at(i)} has {shown(name)} as a {kind}, but arrays[{number}] lists another")
        if made is None:
            return np.zeros(shape, dtype)
        if made.shape != shape:
            raise Fault(f"{self._at(i)} has {name!r} of shape {shape}, but its settings say {made.shape}")
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
