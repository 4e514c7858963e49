"""Embedding: a trained row for each number."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .. import init
from .._types import Constant, DTypeLike, Rng
from ..autograd import Tensor
from ..checks import scalars
from .module import Module
from .parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """A table of rows that are looked up by number (`fastnn.functional.embedding`).

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows of the table, and their length.
    padding_idx : int, optional
        A row that starts at 0 and gets no gradient, for numbers that stand for nothing.
    dtype : dtype
        float32 or float64.
    rng : optional
        Anything `numpy.random.default_rng` takes; the rows are drawn from the standard normal distribution.

    Attributes
    ----------
    weight : Parameter, (num_embeddings, embedding_dim)

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Embedding(10, 3, rng=0)([[1, 2], [0, 9]]).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self.num_embeddings = scalars.integer("Embedding", "num_embeddings", num_embeddings, 1)
        self.embedding_dim = scalars.integer("Embedding", "embedding_dim", embedding_dim, 1)
        rows = init.normal((self.num_embeddings, self.embedding_dim), 0.0, 1.0, dtype=dtype, rng=rng)
        self.padding_idx = None if padding_idx is None else scalars.integer("Embedding", "padding_idx", padding_idx)
        if self.padding_idx is not None:
            if not -self.num_embeddings <= self.padding_idx < self.num_embeddings:
                raise ValueError(
                    f"Embedding: padding_idx must be in [{-self.num_embeddings}, {self.num_embeddings}), "
                    f"got {self.padding_idx}"
                )
            rows[self.padding_idx] = 0
        self.weight = Parameter(rows)

    def forward(self, index: Constant) -> Tensor:
        """index (any shape, integers) -> (*index.shape, embedding_dim)."""
        return F.embedding(index, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
