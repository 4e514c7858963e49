"""What recording does in a thread, and the context managers that change it."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Generator, Sequence
from threading import local
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from .core import TensorBase

# vjp(dy, needs) -> one gradient or None per input
Vjp = Callable[[np.ndarray, tuple[bool, ...]], Sequence[Any]]
# observer(name, output, inputs, vjp, result) -> the vjp to record
Observer = Callable[[str, np.ndarray, Sequence[Any], Vjp, "TensorBase"], Vjp]
Function = TypeVar("Function", bound=Callable[..., Any])


class Tracer(Protocol):
    """What follows values through a computation (`fastnn.onnx.save` has one); where it is set, ``forward`` is True too."""

    def operation(self, op: Any, given: tuple[Any, ...]) -> Any:
        """What an operation of `fastnn.functional` gives for these arguments."""

    def recorded(self, name: str, output: TensorBase, inputs: Sequence[Any], given: tuple[Any, ...] | None) -> None:
        """See an operation that was put on the tape, and its result."""

    def of_arrays(self, name: str, output: Any, arguments: tuple[Any, ...]) -> Any:
        """See an operation without tensors among its arguments, and give its result as an array that is followed."""

    def recorded_many(self, name: str, outputs: Sequence[np.ndarray], inputs: Sequence[Any]) -> tuple[Any, ...]:
        """See an operation of several results, and give them as tensors."""

    def replaced(self, x: Any) -> None:
        """See that the values of a tensor would have been changed in place, and got a tensor of their own."""


class _Mode(local):
    def __init__(self) -> None:  # Python calls it once in each thread
        self.enabled = True
        # They are shown each operation that is recorded, and may replace its vjp.
        self.observers: tuple[Observer, ...] = ()
        self.forward = False  # whether tensors carry tangents, or are traced
        self.tracer: Tracer | None = None  # is shown each operation, with all its arguments, while a model is exported
        self.variables: tuple[TensorBase, ...] = ()  # by which the running transformations differentiate
        # By attribute, the settings whose blocks this thread is in, each with the value that the attribute had before.
        self.entered: dict[str, list[tuple[Setting, Any]]] = {"enabled": [], "observers": []}


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations on tensors are recorded in this thread.

    Returns
    -------
    bool
        True but inside `no_grad`; `enable_grad` makes it True again.

    Examples
    --------
    >>> import fastnn as fnn
    >>> with fnn.no_grad():
    ...     fnn.autograd.is_grad_enabled()
    False
    """
    return mode.enabled


class Setting:
    """An attribute of the mode that is another inside: a context manager, and a decorator of functions.

    One object may be entered several times, by several threads too. A decorated function has a state of its own in each
    call. The body of a generator or coroutine runs inside, and what awaits its values does not.
    """

    _attribute: str

    def _inside(self, outside: Any) -> Any:
        """The value inside."""
        raise NotImplementedError

    def __enter__(self) -> None:
        here = mode.__dict__  # of this thread; looked up once, since each look-up costs
        outside = here[self._attribute]
        here["entered"][self._attribute].append((self, outside))
        here[self._attribute] = self._inside(outside)

    def __exit__(self, *exc: object) -> None:
        here = mode.__dict__
        entered = here["entered"][self._attribute]
        if entered and entered[-1][0] is self:
            here[self._attribute] = entered.pop()[1]
        else:
            self._leave_below(entered)

    def _leave_below(self, entered: list[tuple[Setting, Any]]) -> None:
        """End a block that is not the last one entered, as it happens where tasks or generators take turns.

        The value before this block becomes that before the block entered after it. The attribute keeps its present value.
        """
        places = [i for i, (setting, _) in enumerate(entered) if setting is self]
        if not places:
            raise RuntimeError(
                f"{type(self).__name__}: a block ends that was not entered here: it was in another thread, or inside a "
                "decorated generator or coroutine, and goes on there"
            )
        place = places[-1]
        outside = entered.pop(place)[1]
        entered[place] = entered[place][0], outside

    def __call__(self, function: Function) -> Function:
        """The function with its body inside."""
        name = type(self).__name__
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"{name}: decorates functions, got {function!r}")
        if inspect.isasyncgenfunction(function):
            raise TypeError(f"{name}: cannot decorate the asynchronous generator {function!r}; use with inside it")

        if inspect.isgeneratorfunction(function):
            # What wraps a generator function must be one too, since other decorators may ask.
            @functools.wraps(function)
            def decorated(*args: Any, **kwargs: Any) -> Any:
                return (yield from self._driven(function(*args, **kwargs)))

        elif inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def decorated(*args: Any, **kwargs: Any) -> Any:
                return await types.coroutine(self._driven)(function(*args, **kwargs))

        else:

            @functools.wraps(function)
            def decorated(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        return decorated  # type: ignore[return-value]

    def _driven(self, body: Any) -> Generator[Any, Any, Any]:
        """What a generator or coroutine yields. While it runs, the attribute has the value that it last had in there; while
        the caller runs, the caller's.

        The list of entered blocks changes with it: the order of blocks inside has nothing to do with that of the caller's.
        """
        first = True
        inside: Any = None
        entered: list[tuple[Setting, Any]] = []

        def run(resume: Callable[..., Any], *args: Any) -> Any:
            nonlocal first, inside
            outside, around = getattr(mode, self._attribute), mode.entered[self._attribute]
            setattr(mode, self._attribute, self._inside(outside) if first else inside)
            mode.entered[self._attribute] = entered
            first = False
            try:
                return resume(*args)
            finally:
                inside = getattr(mode, self._attribute)
                setattr(mode, self._attribute, outside)
                mode.entered[self._attribute] = around

        try:
            item = run(body.send, None)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    run(body.close)
                    raise
                except BaseException as error:  # noqa: BLE001 - for the body to handle
                    item = run(body.throw, error)
                else:
                    item = run(body.send, sent)
        except StopIteration as stop:
            return stop.value


class no_grad(Setting):
    """Record nothing: a context manager, and a decorator of functions (one per thread).

    The body of a decorated generator or coroutine records nothing; what goes through its values is not affected.

    Examples
    --------
    >>> import fastnn as fnn
    >>> w = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> with fnn.no_grad():
    ...     y = w * 2.0
    >>> y.requires_grad
    False
    """

    _attribute = "enabled"

    def _inside(self, outside: bool) -> bool:
        return False


class enable_grad(Setting):
    """Record again inside a `no_grad` block: a context manager, and a decorator of functions (one per thread).

    Examples
    --------
    >>> import fastnn as fnn
    >>> w = fnn.tensor([1.0, 2.0], requires_grad=True)
    >>> with fnn.no_grad(), fnn.enable_grad():
    ...     y = w * 2.0
    >>> y.requires_grad
    True
    """

    _attribute = "enabled"

    def _inside(self, outside: bool) -> bool:
        return True
