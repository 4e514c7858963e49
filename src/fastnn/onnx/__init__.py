"""Models as ONNX files."""

from typing import TYPE_CHECKING

from ._package import OnnxError
from .export import save
from .load import load
from .model import OnnxModel

if TYPE_CHECKING:
    from .backend import Backend

__all__ = ["Backend", "OnnxError", "OnnxModel", "load", "save"]

if not TYPE_CHECKING:  # a type checker would take every unknown name for one of these

    def __getattr__(name):
        if name == "Backend":  # its class needs the package onnx
            from ._package import package

            package("fastnn.onnx.Backend")
            from .backend import Backend

            globals()[name] = Backend
            return Backend
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
