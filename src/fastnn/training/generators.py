"""The generators of random numbers that models, batches, transforms and callbacks hold."""

from __future__ import annotations

import functools
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
from numpy.random import Generator

from ..autograd import Tensor

_NOT_ENTERED = (type, ModuleType, np.ndarray, Tensor, *weakref.ProxyTypes)


def find_generators(*objects: Any) -> list[Generator]:
    """Every generator that objects hold, each once, in an order that depends on the objects alone.

    Parameters
    ----------
    *objects : any
        Models, optimisers, `fastnn.data.Batches`, functions, callbacks, or lists, tuples and dictionaries of such.

    Returns
    -------
    list of numpy.random.Generator
        Of several that draw from one bit generator, the first.

    Notes
    -----
    An object is looked through before the next one: its attributes in the order in which they were assigned, the entries of
    lists, tuples and deques, and the values of dictionaries. A bound method leads to its object; a `functools.partial` to its
    function and arguments; a function to what it has from the functions around it, to its defaults, and to those generators
    and functions of its own module that its code names. Classes, modules, arrays, tensors and sets, which have no order, are
    not looked into.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.training.generators import find_generators
    >>> rng = np.random.default_rng(0)
    >>> net = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Dropout(0.1, rng=rng), nn.Dropout(0.2, rng=1))
    >>> found = find_generators(net, lambda batch: batch + rng.normal(size=batch.shape))
    >>> len(found), found[0] is rng
    (2, True)
    """
    found: dict[int, Generator] = {}
    seen: dict[int, Any] = {}  # holds the objects, so that no other one gets the id of one
    pending = list(reversed(objects))
    while pending:
        x = pending.pop()
        if id(x) in seen or issubclass(type(x), _NOT_ENTERED):
            continue
        seen[id(x)] = x
        if isinstance(x, Generator):
            found.setdefault(id(x.bit_generator), x)
        else:
            pending.extend(reversed(list(_held(x))))
    return list(found.values())


def _held(x: Any) -> Iterator[Any]:
    """What an object holds."""
    kind = type(x)  # not isinstance, which takes a proxy for the object that it stands for
    if issubclass(kind, (list, tuple, deque)):
        yield from x
    elif issubclass(kind, dict):
        yield from x.values()
    elif issubclass(kind, functools.partial):
        yield from (x.func, *x.args, *x.keywords.values())
    elif issubclass(kind, (MethodType, BuiltinFunctionType)):
        yield x.__self__
    elif issubclass(kind, FunctionType):
        yield from _held_by_function(x)
    yield from slots(x).values()
    yield from list(dictionary(x).values())


def slots(x: Any) -> dict[str, Any]:
    """The attributes that an object has in slots, without calling anything of its class."""
    held: dict[str, Any] = {}
    for kind in reversed(type(x).__mro__):
        if "__slots__" in vars(kind):
            for name, slot in vars(kind).items():
                if isinstance(slot, MemberDescriptorType):
                    try:
                        held[name] = slot.__get__(x)
                    except AttributeError:  # nothing was assigned
                        continue
    return held


def dictionary(x: Any) -> dict[str, Any]:
    """The dictionary of an object's attributes itself, without calling anything of its class; an empty one if it has none."""
    try:
        own: dict[str, Any] = object.__getattribute__(x, "__dict__")
    except AttributeError:
        return {}
    return own


def _held_by_function(function: FunctionType) -> Iterator[Any]:
    yield from (value for _, value in enclosed(function))
    for _, value in named_globals(function):
        if isinstance(value, Generator) or is_of_module(value, function):
            yield value


def enclosed(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function has from the functions around it, and its defaults, with names."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # nothing was assigned
            continue
    count = function.__code__.co_argcount
    defaults = function.__defaults__ or ()
    yield from zip(function.__code__.co_varnames[count - len(defaults) : count], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def named_globals(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The global variables that a function's code names, and their values."""
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def is_of_module(x: Any, function: FunctionType) -> bool:
    """Whether x is a function of the module that another function is of."""
    return isinstance(x, FunctionType) and x.__globals__ is function.__globals__


def _names(code: CodeType) -> Iterable[str]:
    """The global names, among others, that a function's code uses, also inside functions that it defines."""
    inner = (name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part))
    return (*code.co_names, *inner)
