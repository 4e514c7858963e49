"""Rows of a table by number."""

from ..._core import embedding_backward, embedding_forward

__all__ = ["embedding_backward", "embedding_forward"]
