"""`Module` and `Parameter`: trees of layers that know their parameters, buffers and state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ..autograd import Tensor, tensor
from ..autograd.graph import note_change

if TYPE_CHECKING:
    from fractions import Fraction


class Parameter(Tensor):
    """A tensor that a `Module` finds among its attributes and an optimiser updates.

    Parameters
    ----------
    array : array_like
        The first values, float32 or float64; copied.
    requires_grad : bool
        Whether it is trained; may be changed later to freeze it.
    decay : bool
        Whether an optimiser's ``weight_decay`` applies to it. Layers say False for biases and for the
        parameters of norms (SPEC G9).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Parameter([1.0, 2.0])
    Parameter([1., 2.], requires_grad=True)
    """

    __slots__ = ("decay",)

    def __init__(self, array: Any, requires_grad: bool = True, *, decay: bool = True) -> None:
        super().__init__(tensor(array).data, requires_grad)
        self.decay = decay

    def __repr__(self) -> str:
        return super().__repr__().replace("tensor(", "Parameter(", 1)

    def __getstate__(self) -> tuple[Any, ...]:
        return *super().__getstate__(), self.decay

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        super().__setstate__(state[:-1])
        self.decay = state[-1]


class StateKeys(NamedTuple):
    """What `Module.load_state_dict` did not find in the state, and what it found there and had no use for."""

    missing: list[str]
    unexpected: list[str]


class Module:
    """A layer or a network: parameters, buffers and other modules are found among its attributes.

    Subclasses assign them in ``__init__`` and compute in ``forward``. An attribute that is a `Parameter` or a
    `Module` counts from the moment it is assigned; arrays that belong to the state without being trained are
    made known by `register_buffer`. Modules kept in a list go into a `ModuleList`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> class Affine(fnn.nn.Module):
    ...     def __init__(self):
    ...         self.scale = fnn.nn.Parameter(np.ones(3))
    ...         self.shift = fnn.nn.Parameter(np.zeros(3))
    ...     def forward(self, x):
    ...         return x * self.scale + self.shift
    >>> list(Affine().state_dict())
    ['scale', 'shift']
    >>> Affine()(np.arange(3.0))
    tensor([0., 1., 2.], from=add)
    """

    training = True
    _buffers: tuple[str, ...] = ()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__}: forward is not defined")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def register_buffer(self, name: str, array: Any) -> None:
        """Make an array part of the state: it is saved and loaded, but not trained."""
        if name not in self._buffers:
            self._buffers = (*self._buffers, name)
        setattr(self, name, array)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules directly below."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with their dotted names."""
        seen = set()
        for name, module in self._walk(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def _own(self, kind: type[Parameter] | None) -> Iterator[tuple[str, Any]]:
        """Parameters, or (None) buffers, of this module without its children."""
        if kind is None:
            return ((name, vars(self)[name]) for name in self._buffers if vars(self)[name] is not None)
        return ((name, value) for name, value in vars(self).items() if isinstance(value, kind))

    def _named(self, kind: type[Parameter] | None, prefix: str, shared: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        for path, module in self._walk(prefix) if shared else self.named_modules(prefix):
            for name, value in module._own(kind):
                if shared or id(value) not in seen:
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """The parameters here and below, each once even if shared, with their dotted names."""
        return self._named(Parameter, prefix, shared=False)

    def parameters(self) -> Iterator[Parameter]:
        """The parameters here and below, each once even if shared."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
        """The buffers here and below, with their dotted names."""
        return self._named(None, prefix, shared=False)

    def buffers(self) -> Iterator[np.ndarray]:
        """The buffers here and below."""
        return (buffer for _, buffer in self.named_buffers())

    def _state(self) -> Iterator[tuple[str, np.ndarray]]:
        """Every array of the state under every name it has; parameters before buffers in each module."""
        for path, module in self._walk(""):
            for kind in (Parameter, None):
                for name, value in module._own(kind):
                    array = value.data if isinstance(value, Tensor) else value
                    yield f"{path}.{name}" if path else name, array

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by dotted name, in the order in which they were assigned."""
        return {name: array.copy() for name, array in self._state()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> StateKeys:
        """Copy values into the existing parameters and buffers.

        Everything is checked before anything is changed.

        Parameters
        ----------
        state : mapping of str to array
            As `state_dict` returns.
        strict : bool
            Whether names missing in ``state`` or unknown here are an error.

        Returns
        -------
        StateKeys
            The names that are missing and those that were not expected.

        Raises
        ------
        ValueError
            If names don't agree (strict) or a shape differs.
        TypeError
            If an array is not of a type that fits (float32 and float64 fit each other).
        """
        own = dict(self._state())
        keys = StateKeys([k for k in own if k not in state], [k for k in state if k not in own])
        if strict and (keys.missing or keys.unexpected):
            raise ValueError(
                f"load_state_dict: the state does not fit {type(self).__name__}: "
                f"missing {keys.missing}, unexpected {keys.unexpected}"
            )
        checked = [(array, _fitting(name, state[name], array)) for name, array in own.items() if name in state]
        for array, values in checked:
            array[...] = values
        note_change(self.parameters())
        return keys

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below it into training mode (or evaluation mode, if ``mode`` is False)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Put this module and all below it into evaluation mode."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call ``function`` with each module below, then with this one."""
        for module in reversed(list(self.modules())):
            function(module)
        return self

    def multiply_adds(self, inputs: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> int:
        """Multiply–adds of a call, from the shapes of its inputs and its (first) output; for `fastnn.summary`.

        Without those of modules below. Layers that multiply say how often; others do nothing that counts.
        """
        return 0

    def receptive_window(self, size: tuple[int, ...]) -> tuple[tuple[int | Fraction, int | Fraction], ...] | None:
        """Extent and stride of the window along each spatial axis of an input of this size; for `fastnn.summary`.

        None for a layer that looks at no windows.
        """
        return None

    def extra_repr(self) -> str:
        """What stands between the brackets of ``repr``, beside the modules below."""
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, child in self.named_children():
            lines.append(f"({name}): {child!r}".replace("\n", "\n  "))
        head = f"{type(self).__name__}({self.extra_repr()}"
        return head + "".join(f"\n  {line}" for line in lines) + ("\n)" if lines else ")")


def _fitting(name: str, value: Any, array: np.ndarray) -> np.ndarray:
    values = np.asarray(value.data if isinstance(value, Tensor) else value)
    if values.shape != array.shape:
        raise ValueError(
            f"load_state_dict: {name} has shape {values.shape} in the state but {array.shape} in the module"
        )
    if not np.can_cast(values.dtype, array.dtype, "same_kind"):
        raise TypeError(
            f"load_state_dict: {name} has dtype {values.dtype} in the state but {array.dtype} in the module"
        )
    return values
