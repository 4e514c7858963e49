"""Packages that only parts of fastnn use, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType


class MissingExtraError(ImportError):
    """A package that an extra of fastnn brings is not installed.

    Examples
    --------
    >>> from fastnn.data import MissingExtraError, load_digits
    >>> try:
    ...     digits = load_digits()
    ... except MissingExtraError as error:
    ...     print("pip install 'fastnn[demo]'")
    """


def require(module: str, package: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say what to install.

    >>> from fastnn._extras import require
    >>> require("no_such_module", "No Such", "demo", "this example")
    Traceback (most recent call last):
    ...
    fastnn._extras.MissingExtraError: this example needs No Such: pip install 'fastnn[demo]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # the package is there, something it needs is not
        raise MissingExtraError(f"{purpose} needs {package}: pip install 'fastnn[{extra}]'", name=module) from error
