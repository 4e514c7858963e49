"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, Self, overload

from .._types import Value
from ..autograd import Tensor
from .fusion import run
from .module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Listed(Module, MutableSequence[Module]):
    """A list of modules, under the names "0", "1", … unless they were given others."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def _listed(self) -> list[tuple[str, Module]]:
        return list(self.named_children())

    def _module(self, value: Any) -> Module:
        if not isinstance(value, Module):
            raise TypeError(f"{type(self).__name__}: expected modules, got {type(value).__name__}")
        return value

    def _renew(self, modules: list[Module]) -> None:
        """Hold these modules, numbered anew."""
        named = [name for name, _ in self._listed() if not name.isdecimal()]
        if named:
            raise ValueError(
                f"{type(self).__name__}: modules can be exchanged or added at the end only, since they have names ({named[0]!r})"
            )
        for name, _ in self._listed():
            delattr(self, name)
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self.children())
        return self._of(modules[index]) if isinstance(index, slice) else modules[index]

    @overload
    def __setitem__(self, index: int, value: Module) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Module]) -> None: ...
    def __setitem__(self, index: int | slice, value: Any) -> None:
        listed = self._listed()
        if isinstance(index, slice):
            modules = [module for _, module in listed]
            modules[index] = [self._module(module) for module in value]
            self._renew(modules)
        else:
            setattr(self, listed[index][0], self._module(value))

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self.children())
        del modules[index]
        self._renew(modules)

    def insert(self, index: int, value: Module) -> None:
        """Put a module before the one that has this index."""
        modules = list(self.children())
        if index >= len(modules):
            setattr(self, str(len(modules)), self._module(value))
            return
        modules.insert(index, self._module(value))
        self._renew(modules)

    def extend(self, values: Iterable[Module]) -> None:
        """Add modules at the end."""
        for module in [self._module(value) for value in values]:
            self.append(module)

    def __add__(self, other: Iterable[Module]) -> Self:
        return self._of([*self.children(), *other])

    def _of(self, modules: Iterable[Module]) -> Self:
        made = type(self).__new__(type(self))
        _Listed.__init__(made, modules)
        return made


class ModuleList(_Listed):
    """A list of modules whose parameters are found; it computes nothing itself.

    It has the methods of a list: `append`, `extend`, `insert`, `pop`, slices, ``+``, ``del`` and the others.

    Parameters
    ----------
    modules : iterable of Module
        The entries, under the names "0", "1", … in their order.

    Examples
    --------
    >>> from fastnn import nn
    >>> layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 1)])
    >>> layers.insert(1, nn.ReLU())
    >>> len(layers), len(list(layers.parameters())), list(layers.state_dict())[-1]
    (3, 4, '2.bias')
    """


class ModuleDict(Module, MutableMapping[str, Module]):
    """Modules by name, whose parameters are found; it computes nothing itself.

    It has the methods of a dictionary: `keys`, `items`, `update`, `pop`, ``in``, ``del`` and the others.

    Parameters
    ----------
    modules : mapping of str to Module, or iterable of pairs
        The first entries. A name may not have a dot, or be that of an attribute.

    Examples
    --------
    >>> from fastnn import nn
    >>> heads = nn.ModuleDict({"mean": nn.Linear(3, 1), "scale": nn.Linear(3, 1)})
    >>> list(heads), list(heads.state_dict())[0]
    (['mean', 'scale'], 'mean.weight')
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def __getitem__(self, name: str) -> Module:
        module = vars(self).get(name)
        if not isinstance(module, Module):
            raise KeyError(name)
        return module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"ModuleDict: expected modules, got {type(module).__name__}")
        self._check_name(name)
        if hasattr(self, name) and name not in self:
            raise ValueError(f"ModuleDict: {name!r} is the name of an attribute, so no module can have it")
        setattr(self, name, module)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        delattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.named_children())

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    # Equal only to itself, like every module: the equality of a mapping would compare the entries.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


class Sequential(_Listed):
    """Modules called one after the other.

    It has the methods of a list, as `ModuleList`.

    Parameters
    ----------
    *modules : Module or one mapping of str to Module
        In the order of the calls; a mapping gives them names, else they are called "0", "1", ….

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Linear(4, 8, rng=0), nn.ReLU(), nn.Linear(8, 2, rng=1))
    >>> net(np.ones((5, 4), np.float32)).shape
    (5, 2)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                if not isinstance(name, str) or not name.isidentifier() or hasattr(self, name):
                    raise ValueError(f"Sequential: {name!r} is not a usable name for a module")
                setattr(self, name, self._module(module))
        else:
            super().__init__(modules)  # type: ignore[arg-type]

    def forward(self, x: Value) -> Tensor:
        """Call each module with what the one before returned; some neighbours are computed together (`fusion`)."""
        # The first module with parameters makes a tensor of an array. Nearly every network has one, so the annotation
        # says Tensor; none could say when the result is an array.
        y: Tensor = run([module for module in vars(self).values() if isinstance(module, Module)], x)
        return y
