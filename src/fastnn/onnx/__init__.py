"""Models as ONNX files."""

from ._package import OnnxError
from .export import save

__all__ = ["OnnxError", "save"]
