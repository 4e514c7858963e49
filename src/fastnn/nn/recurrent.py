"""Recurrent layers, with PyTorch's names, shapes and order of parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import functional as F
from .. import init
from .._generators import generator
from .._types import ArrayLike, DTypeLike, Rng, Value
from ..autograd import Tensor, concatenate, raw, stack
from ..checks import scalars
from ..checks.arrays import shown, unmasked
from .module import Module
from .parameter import Parameter

__all__ = ["GRU", "LSTM", "RNN"]

_FORGET = 1  # place of the forget gate among an LSTM's gates i, f, g, o


def _initial(gates: int, inputs: int, units: int, bias: bool, dtype: Any, rng: Any) -> Iterator[tuple[str, Any]]:
    """Xavier weights for the inputs and orthogonal ones for the state, gate by gate; biases 0, but 1 to forget."""
    yield (
        "weight_ih",
        np.concatenate([init.xavier_uniform((units, inputs), rng=rng, dtype=dtype) for _ in range(gates)]),
    )
    yield "weight_hh", np.concatenate([init.orthogonal((units, units), rng=rng, dtype=dtype) for _ in range(gates)])
    if bias:
        first = init.zeros(gates * units, dtype=dtype)
        if gates == 4:
            first[_FORGET * units : (_FORGET + 1) * units] = 1
        yield "bias_ih", first
        yield "bias_hh", init.zeros(gates * units, dtype=dtype)


def movable(op: str, name: str, x: Any) -> Any:
    """An array or a tensor, whose axes can be exchanged."""
    return x if hasattr(x, "swapaxes") else np.asarray(unmasked(op, name, x))


class _Named(Module):
    """What layers and cells share: parameters with a suffix, None where there is no bias."""

    _function: Any
    _gates: int
    bias: bool

    def _options(self, suffix: str) -> dict[str, Any]:
        """Further arguments of the function."""
        return {}

    def _add(self, suffix: str, inputs: int, units: int, dtype: Any, rng: Any) -> None:
        for name, values in _initial(self._gates, inputs, units, self.bias, dtype, rng):
            setattr(self, name + suffix, Parameter(values, decay=not name.startswith("bias")))
        if not self.bias:
            self.register_parameter("bias_ih" + suffix, None)
            self.register_parameter("bias_hh" + suffix, None)

    def multiply_adds(self, inputs: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> int:
        """Every step multiplies by each matrix once."""
        matrices = sum(p.size for p in vars(self).values() if isinstance(p, Parameter) and p.ndim == 2)
        return math.prod(inputs[0][:-1]) * matrices

    def _weights(self, suffix: str) -> list[Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, name + suffix, None) for name in names]


class _Peepholed(_Named):
    """What the LSTM and its cell share: peepholes, which start at 0."""

    _function = staticmethod(F.lstm)
    _gates = 4
    peepholes: bool

    def _add(self, suffix: str, inputs: int, units: int, dtype: Any, rng: Any) -> None:
        super()._add(suffix, inputs, units, dtype, rng)
        if self.peepholes:
            setattr(self, "weight_peephole" + suffix, Parameter(init.zeros(3 * units, dtype=dtype)))

    def _options(self, suffix: str) -> dict[str, Any]:
        return {"peepholes": getattr(self, "weight_peephole" + suffix)} if self.peepholes else {}


class _Recurrent(_Named):
    _states: tuple[str, ...] = ("h",)

    if TYPE_CHECKING:

        def __call__(
            self, x: Value, state: Value | None = None, lengths: ArrayLike | None = None
        ) -> tuple[Tensor, Tensor]: ...

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        op = type(self).__name__
        self.input_size = scalars.integer(op, "input_size", input_size, 1)
        self.hidden_size = scalars.integer(op, "hidden_size", hidden_size, 1)
        self.num_layers = scalars.integer(op, "num_layers", num_layers, 1)
        self.bias = scalars.flag(op, "bias", bias)
        self.batch_first = scalars.flag(op, "batch_first", batch_first)
        self.dropout = scalars.real(op, "dropout", dropout, 0.0, 1.0)
        self.bidirectional = scalars.flag(op, "bidirectional", bidirectional)
        self.rng = generator(rng)
        self._suffixes: list[list[str]] = []
        for layer in range(self.num_layers):
            suffixes = [f"_l{layer}{turn}" for turn in ("", "_reverse")[: 1 + self.bidirectional]]
            self._suffixes.append(suffixes)
            inputs = self.hidden_size * len(suffixes) if layer else self.input_size
            for suffix in suffixes:
                self._add(suffix, inputs, self.hidden_size, dtype, self.rng)

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """x (steps, batch, in) -> output (steps, batch, directions * hidden), final state; see the class."""
        ndim = np.ndim(raw(x))
        if ndim not in (2, 3):
            raise ValueError(
                f"{type(self).__name__}: x must have shape (steps, batch, in) or (steps, in), got {np.shape(raw(x))}"
            )
        single = ndim == 2
        x = movable(type(self).__name__, "x", x)
        if single:
            x = x[:, None]
        elif self.batch_first:
            x = x.swapaxes(0, 1)
        initial = self._given(state, single, x.shape[1])
        y = x
        finals: list[tuple[Any, ...]] = []
        for layer, suffixes in enumerate(self._suffixes):
            if layer:
                y = F.dropout(y, self.dropout, self.training, rng=self.rng)
            results = []
            for turn, suffix in enumerate(suffixes):
                own = [None if h is None else h[len(finals) + turn] for h in initial]
                options = {"lengths": lengths, "reverse": turn == 1, **self._options(suffix)}
                results.append(self._function(y, *own, *self._weights(suffix), **options))
            y = results[0][0] if len(results) == 1 else concatenate([r[0] for r in results], axis=2)
            finals += [r[1:] for r in results]
        final = tuple(stack(each) for each in zip(*finals, strict=True))
        if single:
            y, final = y[:, 0], tuple(h[:, 0] for h in final)
        elif self.batch_first:
            y = y.swapaxes(0, 1)
        return y, final if len(final) > 1 else final[0]

    def _given(self, state: Any, single: bool, batch: int) -> list[Any]:
        """The initial states, each (layers * directions, batch, hidden) or None."""
        if state is None:
            return [None] * len(self._states)
        op, names = type(self).__name__, [f"{name}0" for name in self._states]
        given = [state] if len(names) == 1 else state
        if not isinstance(given, (tuple, list)) or len(given) != len(names):
            raise TypeError(f"{op}: the state must be a tuple ({', '.join(names)}), got {shown(type(state).__name__)}")
        rows = self.num_layers * (1 + self.bidirectional)
        expected = (rows, self.hidden_size) if single else (rows, batch, self.hidden_size)
        for name, h in zip(names, given, strict=True):
            if np.shape(raw(h)) != expected:
                raise ValueError(f"{op}: {name} must have shape {expected}, got {np.shape(raw(h))}")
        arrays = [movable(op, name, h) for name, h in zip(names, given, strict=True)]
        return [h[:, None] for h in arrays] if single else arrays

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (
            ("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0.0), ("bidirectional", False),
            ("peepholes", False), ("reset_after", True),
        ):  # fmt: skip
            if getattr(self, name, default) != default:
                parts.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(parts)


class RNN(_Recurrent):
    """Plain recurrent network: ``h' = tanh(W x + b + R h + b')`` (`fastnn.functional.rnn`).

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input, and units of the state.
    num_layers : int
        Layers on top of each other, each with the output of the one below as its input.
    nonlinearity : {"tanh", "relu"}
        The function of the preactivations.
    bias : bool
        Whether there are biases.
    batch_first : bool
        Input and output are (batch, steps, features) instead of (steps, batch, features). States are not concerned.
    dropout : float
        Probability of dropping an output of every layer but the last, in training.
    bidirectional : bool
        Let each layer run in both directions; their outputs stand beside each other.
    dtype : dtype
        float32 or float64.
    rng : optional
        Anything `numpy.random.default_rng` takes: the initial weights and the masks of dropout are drawn from it.
        For each gate, input weights are drawn by `init.xavier_uniform` and those of the state by `init.orthogonal`;
        biases start at 0. (PyTorch draws everything from ``± sqrt(1/hidden_size)``.)

    Attributes
    ----------
    weight_ih_l0, weight_ih_l0_reverse, weight_ih_l1, … : Parameter, (hidden_size, in)
        ``in`` is ``input_size``, and in further layers ``directions * hidden_size``.
    weight_hh_l0, … : Parameter, (hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0, … : Parameter, (hidden_size,)

    Notes
    -----
    A call is ``output, h_n = net(x, h0=None, lengths=None)``. ``x`` is (steps, batch, in), or (steps, in) for a
    single sequence. ``h0`` and ``h_n`` are (layers * directions, batch, hidden_size): layer by layer, forward before
    reverse. ``lengths`` says where each sequence of the batch ends: behind that, input is not read and output is 0;
    ``h_n`` is the state at the last step of each, and the reverse direction begins there. A sequence of no steps keeps its
    initial state.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> output, h_n = nn.RNN(3, 8, num_layers=2, rng=0)(np.ones((10, 4, 3), np.float32), lengths=[10, 7, 2, 1])
    >>> output.shape, h_n.shape
    ((10, 4, 8), (2, 4, 8))
    """

    _function = staticmethod(F.rnn)
    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype=dtype, rng=rng
        )
        self.nonlinearity = checked_nonlinearity("RNN", nonlinearity)

    def _options(self, suffix: str) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}


class LSTM(_Peepholed, _Recurrent):
    """Long short-term memory network (`fastnn.functional.lstm`).

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As of `RNN`. The bias of the forget gate starts at 1 (``bias_ih`` 1, ``bias_hh`` 0), so that the cell remembers
        from the beginning (Jozefowicz et al., 2015).
    peepholes : bool
        Whether the gates also see the cell state. (PyTorch has none.)

    Attributes
    ----------
    weight_ih_l0, weight_ih_l0_reverse, weight_ih_l1, … : Parameter, (4 * hidden_size, in)
        The rows of the gates i, f, g, o, in this order.
    weight_hh_l0, … : Parameter, (4 * hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0, … : Parameter, (4 * hidden_size,)
    weight_peephole_l0, … : Parameter, (3 * hidden_size,)
        Only with ``peepholes``: those of i, f, o, in this order. They start at 0.

    Notes
    -----
    A call is ``output, (h_n, c_n) = net(x, (h0, c0)=None, lengths=None)``; everything else as of `RNN`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.LSTM(3, 8, bidirectional=True, batch_first=True, rng=0)
    >>> output, (h_n, c_n) = net(np.ones((4, 10, 3), np.float32))
    >>> output.shape, h_n.shape, c_n.shape
    ((4, 10, 16), (2, 4, 8), (2, 4, 8))
    """

    _states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        peepholes: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self.peepholes = scalars.flag("LSTM", "peepholes", peepholes)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype=dtype, rng=rng
        )

    if TYPE_CHECKING:

        def __call__(  # type: ignore[override]
            self, x: Value, state: Sequence[Value] | None = None, lengths: ArrayLike | None = None
        ) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...


class GRU(_Recurrent):
    """Network of gated recurrent units (`fastnn.functional.gru`).

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As of `RNN`.
    reset_after : bool
        Whether the reset gate acts on the product with the state, as in PyTorch, or on the state before the product.

    Attributes
    ----------
    weight_ih_l0, weight_ih_l0_reverse, weight_ih_l1, … : Parameter, (3 * hidden_size, in)
        The rows of the gates r, z, n, in this order.
    weight_hh_l0, … : Parameter, (3 * hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0, … : Parameter, (3 * hidden_size,)

    Notes
    -----
    A call is ``output, h_n = net(x, h0=None, lengths=None)``, as of `RNN`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> output, h_n = nn.GRU(3, 8, rng=0)(np.ones((10, 4, 3), np.float32))
    >>> output.shape, h_n.shape
    ((10, 4, 8), (1, 4, 8))
    """

    _function = staticmethod(F.gru)
    _gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype=dtype, rng=rng
        )
        self.reset_after = scalars.flag("GRU", "reset_after", reset_after)

    def _options(self, suffix: str) -> dict[str, Any]:
        return {"reset_after": self.reset_after}


def checked_nonlinearity(op: str, value: Any) -> str:
    if not isinstance(value, str) or value not in ("tanh", "relu"):
        raise ValueError(f"{op}: nonlinearity must be 'tanh' or 'relu', got {shown(value)}")
    return value
