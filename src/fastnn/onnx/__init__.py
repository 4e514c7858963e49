"""Models as ONNX files."""

from ._package import OnnxError

__all__ = ["OnnxError"]
