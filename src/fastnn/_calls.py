"""Errors of calls that do not fit, in the words of what the user called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

_LIBRARY = __name__.partition(".")[0] + "."


def explain_init(cls: type[Any]) -> None:
    """Have a class of the library name itself and its arguments where it is called with others.

    Python would name the class that has ``__init__``, which is a private one where several share it, and no argument.
    """
    if not cls.__module__.startswith(_LIBRARY):
        return
    if "__init__" in vars(cls):
        cls.__init__ = _explained(cls.__init__)
    elif cls.__init__ is object.__init__:
        cls.__init__ = _explained(_without_arguments(cls))


def _without_arguments(cls: type[Any]) -> Callable[..., None]:
    def __init__(self: Any) -> None:
        super(cls, self).__init__()

    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    return __init__


def _explained(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError:
            signature = inspect.signature(init)
            try:
                signature.bind(self, *args, **kwargs)
            except TypeError as error:
                public = next(
                    c for c in type(self).__mro__ if c.__module__.startswith(_LIBRARY) and c.__name__[0] != "_"
                )
                names = ", ".join(str(p).partition(":")[0] for p in list(signature.parameters.values())[1:])
                expected = f"({names})" if names else "no arguments"
                raise TypeError(f"{public.__name__}: {error}; it takes {expected}") from None
            raise

    return __init__
