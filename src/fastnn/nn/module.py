"""`Module`: trees of layers that know their parameters, buffers and state."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from .._calls import explain_init
from .._types import Arguments, Computes, Output_co
from .hooks import Hook, HookHandle, WithHooks
from .parameter import Parameter
from .state_loading import StateKeys, load
from .state_names import Rename
from .values import as_buffer, converter, refuse_as_buffer

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["Module"]


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
    # For each name that holds None in the place of a parameter or a module: which of the two it is for.
    _vacant: Mapping[str, type[Parameter | Module]] = types.MappingProxyType({})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__}: forward is not defined")

    def __call__(self: Computes[Arguments, Output_co], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Output_co:
        return self.forward(*args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        explain_init(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, _KINDS):
            self._check_name(name)
            if name in self._buffers:
                refuse_as_buffer(type(self).__name__, name, value)
            self._keep_kind(name, value)
        elif name in self._buffers:
            if value is not None and type(value) is not np.ndarray:
                value = as_buffer(type(self).__name__, name, value)
        else:
            held = self.__dict__.get(name)
            if isinstance(held, _KINDS) or (held is None and name in self._vacant):
                self._keep_kind(name, value)
        object.__setattr__(self, name, value)

    def _kind(self, name: str) -> type[Parameter | Module] | None:
        """What a name is for, where that is a parameter or a module; it stays so while the name holds None."""
        held = vars(self).get(name)
        return next((kind for kind in _KINDS if isinstance(held, kind)), None) or self._vacant.get(name)

    def _keep_kind(self, name: str, value: Any) -> None:
        """Refuse what is no parameter in the place of one, and the same for modules; remember the kind beside None."""
        kind = self._kind(name)
        if value is None:
            assert kind is not None
            self._vacant = {**self._vacant, name: kind}
            return
        if kind is not None and not isinstance(value, kind):
            self._refuse_other_kind(name, kind, value)
        if name in self._vacant:
            self._vacant = {other: kind for other, kind in self._vacant.items() if other != name}

    def _refuse_other_kind(self, name: str, kind: type[Parameter | Module], value: Any) -> NoReturn:
        what, only, instead = "module", "Module", "wrap a function in a module of its own"
        if kind is Parameter:
            what, only = "parameter", "Parameter"
            instead = f"assign nn.Parameter(...), or change the values of the one that is there inside no_grad(): {name}[...] = ..."
        raise TypeError(
            f"{type(self).__name__}: {name!r} is a {what}, which only a {only} or None can replace, got "
            f"{type(value).__name__}; {instead}; del makes the name free"
        )

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        if name in self._buffers:
            self._buffers = tuple(n for n in self._buffers if n != name)
        if name in self._vacant:
            self._vacant = {other: kind for other, kind in self._vacant.items() if other != name}

    def _check_name(self, name: str) -> None:
        """Refuse what cannot be part of a dotted name, or would hide something of the class."""
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"{type(self).__name__}: {name!r} cannot be the name of a parameter, buffer or module")
        held = next((vars(kind)[name] for kind in type(self).__mro__ if name in vars(kind)), None)
        hides = isinstance(held, (types.FunctionType, classmethod, property))
        if hides:
            raise ValueError(f"{type(self).__name__}: {name!r} is a method, so nothing else can have that name")

    def register_buffer(self, name: str, array: Any) -> None:
        """Make an array part of the state: it is saved and loaded, but not trained.

        Parameters
        ----------
        name : str
            The attribute; what is assigned to it later stays part of the state, as an array, and is refused where it
            would be here. ``del`` makes the name free again.
        array : array_like or None
            The first values; numbers become arrays without axes. None is no part of the state until an array is assigned.

        Raises
        ------
        ValueError
            If the name has a dot, or is that of a method, or of a parameter or module of this module.
        TypeError
            For a parameter, a module, a masked array, or a tensor that requires a gradient.
        """
        self._check_name(name)
        if self._kind(name) is not None:
            raise ValueError(f"{type(self).__name__}: {name!r} is a parameter or module already")
        if isinstance(array, (Parameter, Module)):
            refuse_as_buffer(type(self).__name__, name, array)
        first = None if array is None else as_buffer(type(self).__name__, name, array)
        if name not in self._buffers:
            self._buffers = (*self._buffers, name)
        setattr(self, name, first)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Make a name that of a parameter, also where there is none yet.

        An assignment of a `Parameter` does so by itself; this is for None, as of a layer without bias.

        Parameters
        ----------
        name : str
            The attribute; only a `Parameter` or None can be assigned to it later. ``del`` makes the name free again.
        parameter : Parameter or None
            The first value. None is no part of the state until a parameter is assigned.

        Raises
        ------
        ValueError
            If the name has a dot, or is that of a method, a buffer or a module of this module.
        TypeError
            For anything else than a parameter or None.

        Examples
        --------
        >>> from fastnn import nn
        >>> class Scale(nn.Module):
        ...     def __init__(self):
        ...         self.register_parameter("shift", None)
        >>> layer = Scale()
        >>> layer.shift is None, list(layer.state_dict())
        (True, [])
        >>> layer.shift = nn.Parameter([1.0])
        >>> list(layer.state_dict())
        ['shift']
        """
        self._check_name(name)
        if name in self._buffers or self._kind(name) is Module:
            raise ValueError(f"{type(self).__name__}: {name!r} is a buffer or module already")
        if parameter is None:
            self._vacant = {**self._vacant, name: Parameter}
        elif not isinstance(parameter, Parameter):
            self._refuse_other_kind(name, Parameter, parameter)
        setattr(self, name, parameter)

    def register_forward_hook(self, hook: Hook) -> HookHandle:
        """Have ``hook(module, args, output)`` called after each call of this module.

        Parameters
        ----------
        hook : callable
            Gets the module, its arguments by position and its output. What it returns takes the place of the output,
            unless it is None.

        Returns
        -------
        HookHandle
            Its ``remove()`` takes the hook away.

        Raises
        ------
        TypeError
            If ``hook`` cannot be called.

        Notes
        -----
        Hooks are called in the order in which they were registered. A layer with a hook is never computed together with
        its neighbours. Copies and pickles of a module are without hooks, and keep a ``forward`` of the module's own.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Linear(3, 4, rng=0), nn.ReLU())
        >>> shapes = []
        >>> with net[0].register_forward_hook(lambda module, args, output: shapes.append(output.shape)):
        ...     y = net(np.ones((2, 3), np.float32))
        >>> shapes
        [(2, 4)]
        """
        if not callable(hook):
            raise TypeError(f"register_forward_hook: hook must be callable, got {type(hook).__name__}")
        now = vars(self).get("forward")
        return HookHandle(now if isinstance(now, WithHooks) else WithHooks(self), hook)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        replacement = state.get("forward")
        if isinstance(replacement, WithHooks):
            del state["forward"]
            if replacement.forward is not None:
                state["forward"] = replacement.forward
        return state

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

    def _walk(self, prefix: str, above: tuple[int, ...] = ()) -> list[tuple[str, Module]]:
        """This module and all below it under every name; one that a module holds from further up is not below it."""
        found: list[tuple[str, Module]] = [(prefix, self)]
        above = (*above, id(self))
        for name, child in vars(self).items():
            if isinstance(child, Module) and id(child) not in above:
                found += child._walk(f"{prefix}.{name}" if prefix else name, above)
        return found

    def _own(self, kind: type[Parameter] | None) -> Iterator[tuple[str, Any]]:
        """Parameters, or (None) buffers, of this module without its children."""
        if kind is None:
            return ((name, vars(self)[name]) for name in self._buffers if vars(self).get(name) is not None)
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
            before = f"{path}." if path else ""
            for name, value in module._own(Parameter):
                yield before + name, value.data
            for name, buffer in module._own(None):
                yield before + name, buffer

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by dotted name, in the order in which they were assigned."""
        return {name: array.copy() for name, array in self._state()}

    def load_state_dict(
        self, state: Mapping[str, Any], strict: bool = True, rename: Rename | None = None, prefix: str = ""
    ) -> StateKeys:
        """Copy values into the existing parameters and buffers, once it is sure that all fit.

        Parameters
        ----------
        state : mapping of str to array
            As `state_dict` and `fastnn.load_weights` return; tensors of fastnn and of PyTorch are taken too.
        strict : bool
            Whether names missing in ``state`` or unknown here are an error.
        rename : mapping or callable, optional
            A mapping from beginnings of names, whole parts between dots, to what takes their place: ``{"backbone": "features"}``.
            The longest that fits counts; "" stands before every name, and as the new one removes the old. Or a function that
            gets each name and gives the one in this module, or None for what is to be left out.
        prefix : str
            Only names that begin with it are meant, without it: "module." of a model that was wrapped for several devices,
            "encoder." for a part of a larger one. It is taken away before names are renamed.

        Returns
        -------
        StateKeys
            The names that are missing, as this module calls them, and those that were not expected, as the state does.

        Raises
        ------
        ValueError
            If names don't agree or one in ``rename`` begins none (strict), a shape differs, or an array of this module is
            read-only: the text tells all of it, and what may be meant. If two names become one.
        TypeError
            If an argument, or an array, is of a type that does not fit (float32 and float64 fit each other).
        """
        return load(type(self).__name__, dict(self._state()), state, strict, rename, prefix)

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below it into training mode (or evaluation mode, if ``mode`` is False)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Put this module and all below it into evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set ``requires_grad`` of all parameters here and below: False freezes them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def astype(self, dtype: Any) -> Self:
        """Convert all parameters, their gradients and all floating-point buffers, here and below, in place.

        Parameters
        ----------
        dtype : dtype
            float32 or float64.

        Returns
        -------
        Module
            This module.

        Raises
        ------
        TypeError
            For another dtype.

        Notes
        -----
        Parameters get new arrays, so that an optimiser made before refuses its next step: make a new one. Layers that scale
        (`Standardize` and its like) keep their statistics in float64: it is their output that changes.

        Examples
        --------
        >>> from fastnn import nn
        >>> nn.Linear(3, 2).astype("float64").weight.dtype
        dtype('float64')
        """
        wanted = np.dtype(dtype)
        if wanted not in (np.float32, np.float64):
            raise TypeError(f"astype: expected float32 or float64, got {wanted}")
        converted = converter(wanted)
        for parameter in self.parameters():
            old = parameter.data, parameter.grad
            parameter.data = converted(old[0])
            parameter.grad = None if old[1] is None else converted(old[1])
        for module in self.modules():
            module._convert(wanted, converted)
        return self

    def _convert(self, dtype: np.dtype[Any], converted: Callable[[np.ndarray], np.ndarray]) -> None:
        """What `astype` does to this module alone, beside its parameters."""
        for name, buffer in self._own(None):
            setattr(self, name, converted(buffer))

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

    @recursive_repr("...")
    def __repr__(self) -> str:
        lines = []
        for name, child in self.named_children():
            lines.append(f"({name}): {child!r}".replace("\n", "\n  "))
        head = f"{type(self).__name__}({self.extra_repr()}"
        return head + "".join(f"\n  {line}" for line in lines) + ("\n)" if lines else ")")


_KINDS = (Parameter, Module)  # attributes are known as these by their type, buffers by their name
