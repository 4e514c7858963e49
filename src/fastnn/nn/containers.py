"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from .fusion import run
from .module import Module


class _Numbered(Module):
    """Modules under the names "0", "1", …."""

    def __init__(self, modules: Iterable[Module]) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected modules, got {type(module).__name__}")
        setattr(self, str(len(self)), module)

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> _Numbered: ...
    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self.children())
        if isinstance(index, slice):
            part = type(self).__new__(type(self))
            _Numbered.__init__(part, modules[index])
            return part
        return modules[index]


class ModuleList(_Numbered):
    """A list of modules whose parameters are found; it computes nothing itself.

    Parameters
    ----------
    modules : iterable of Module
        The first entries, under the names "0", "1", …; `append` adds more.

    Examples
    --------
    >>> from fastnn import nn
    >>> layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 1)])
    >>> len(layers), len(list(layers.parameters()))
    (2, 4)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(modules)


class Sequential(_Numbered):
    """Modules called one after the other.

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
                if not name.isidentifier() or hasattr(self, name):
                    raise ValueError(f"Sequential: {name!r} is not a usable name for a module")
                if not isinstance(module, Module):
                    raise TypeError(f"Sequential: expected modules, got {type(module).__name__}")
                setattr(self, name, module)
        else:
            super().__init__(modules)  # type: ignore[arg-type]

    def forward(self, x: Any) -> Any:
        """Call each module with what the one before returned; some neighbours are computed together (`fusion`)."""
        return run([module for module in vars(self).values() if isinstance(module, Module)], x)
