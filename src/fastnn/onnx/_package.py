"""What reading and writing models share: the package ``onnx``, and the error."""

from __future__ import annotations

from typing import Any

from .._extras import require


class OnnxError(ValueError):
    """A model cannot be written as ONNX, or a file cannot be read as a model; the text names each reason.

    Examples
    --------
    >>> import fastnn as fnn
    >>> issubclass(fnn.onnx.OnnxError, ValueError)
    True
    """


def package(function: str) -> Any:
    """The package ``onnx``, for the function that the error should name where it is not installed."""
    return require("onnx", "onnx", "onnx", function)
