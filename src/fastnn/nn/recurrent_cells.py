"""One step of a recurrent layer, as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .. import functional as F
from .._types import DTypeLike, Rng, Value
from ..autograd import Tensor, raw
from ..checks import scalars
from ..checks.arrays import shown
from .recurrent import _Named, _Peepholed, checked_nonlinearity, movable

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _Cell(_Named):
    """One step of a recurrent layer."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: DTypeLike = np.float32, rng: Rng = None
    ) -> None:
        op = type(self).__name__
        self.input_size = scalars.integer(op, "input_size", input_size, 1)
        self.hidden_size = scalars.integer(op, "hidden_size", hidden_size, 1)
        self.bias = scalars.flag(op, "bias", bias)
        self._add("", self.input_size, self.hidden_size, dtype, np.random.default_rng(rng))

    def _step(self, x: Value, states: list[Any]) -> list[Tensor]:
        """The states after an input (batch, in), or (in,) for a single row."""
        op, ndim = type(self).__name__, np.ndim(raw(x))
        if ndim not in (1, 2):
            raise ValueError(f"{op}: x must have shape (batch, in) or (in,), got {np.shape(raw(x))}")
        arrays: list[Any] = [None if a is None else movable(op, "an argument", a) for a in (x, *states)]
        if ndim == 1:
            arrays = [None if a is None else a[None] for a in arrays]
        after = self._function(arrays[0][None], *arrays[1:], *self._weights(""), **self._options(""))[1:]
        return [h[0] for h in after] if ndim == 1 else list(after)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (("bias", True), ("peepholes", False), ("reset_after", True)):
            if getattr(self, name, default) != default:
                parts.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(parts)


class RNNCell(_Cell):
    """One step of `RNN`.

    Parameters
    ----------
    input_size, hidden_size, bias, nonlinearity, dtype, rng
        As of `RNN`.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Parameter

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.RNNCell(3, 8, rng=0)(np.ones((4, 3), np.float32)).shape
    (4, 8)
    """

    _function = staticmethod(F.rnn)
    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)
        self.nonlinearity = checked_nonlinearity("RNNCell", nonlinearity)

    def _options(self, suffix: str) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}

    def forward(self, x: Value, state: Value | None = None) -> Tensor:
        """x (batch, in), h (batch, hidden) -> h'."""
        return self._step(x, [state])[0]


class LSTMCell(_Peepholed, _Cell):
    """One step of `LSTM`.

    Parameters
    ----------
    input_size, hidden_size, bias, peepholes, dtype, rng
        As of `LSTM`.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Parameter
    weight_peephole : Parameter
        Only with ``peepholes``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> h, c = nn.LSTMCell(3, 8, rng=0)(np.ones((4, 3), np.float32))
    >>> h.shape, c.shape
    ((4, 8), (4, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        peepholes: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self.peepholes = scalars.flag("LSTMCell", "peepholes", peepholes)
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)

    def forward(self, x: Value, state: Sequence[Value] | None = None) -> tuple[Tensor, Tensor]:
        """x (batch, in), (h, c) each (batch, hidden) -> (h', c')."""
        if state is not None and (not isinstance(state, (tuple, list)) or len(state) != 2):
            raise TypeError(f"LSTMCell: the state must be a tuple (h, c), got {shown(type(state).__name__)}")
        h, c = self._step(x, [None, None] if state is None else list(state))
        return h, c


class GRUCell(_Cell):
    """One step of `GRU`.

    Parameters
    ----------
    input_size, hidden_size, bias, reset_after, dtype, rng
        As of `GRU`.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : Parameter

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> nn.GRUCell(3, 8, rng=0)(np.ones((4, 3), np.float32)).shape
    (4, 8)
    """

    _function = staticmethod(F.gru)
    _gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        reset_after: bool = True,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)
        self.reset_after = scalars.flag("GRUCell", "reset_after", reset_after)

    def _options(self, suffix: str) -> dict[str, Any]:
        return {"reset_after": self.reset_after}

    def forward(self, x: Value, state: Value | None = None) -> Tensor:
        """x (batch, in), h (batch, hidden) -> h'."""
        return self._step(x, [state])[0]
