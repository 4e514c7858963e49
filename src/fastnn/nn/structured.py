"""Recurrent networks with more structure: the pyramid over time, and the stack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Self

import numpy as np

from .. import functional as F
from .. import init
from .._generators import generator
from .._types import ArrayLike, DTypeLike, Rng, Value
from ..autograd import Tensor, concatenate, raw, stack, where
from ..checks import scalars, sequence_lengths
from ..checks.arrays import shown
from .containers import ModuleList
from .module import Module
from .parameter import Parameter
from .recurrent import GRU, LSTM, RNN, movable

__all__ = ["PyramidalRNN", "StackRNN"]

_KINDS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def _joined(x: Any) -> Any:
    """x (steps, batch, features) -> (ceil(steps / 2), batch, 2 * features), neighbours in time beside each other."""
    if len(x) % 2:
        x = concatenate([x, np.zeros((1, *x.shape[1:]), x.dtype)])
    return concatenate([x[0::2], x[1::2]], axis=2)


class PyramidalRNN(Module):
    """Recurrent layers that each halve the number of steps.

    A level joins every two neighbouring steps to one with twice the features and runs a recurrent layer over them. After
    ``num_levels`` levels, sequences are ``2 ** num_levels`` times shorter, and so is the way that gradients go.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input, and units of each level.
    num_levels : int
        How often time is halved.
    kind : {"lstm", "gru", "rnn"}
        The layer of each level.
    bias, batch_first, bidirectional, dtype, rng
        As of `RNN`.

    Attributes
    ----------
    levels : ModuleList of LSTM, GRU or RNN

    Notes
    -----
    A call is ``output, state = net(x, lengths=None)`` with x (steps, batch, in), or (batch, steps, in) where
    ``batch_first``; ``state`` is the final state of the last level. A sequence of odd length is filled up with one step of
    zeros, so that nothing is lost: n steps become ``ceil(n / 2)``. `output_lengths` gives the lengths of the output.

    Chan et al., "Listen, Attend and Spell" (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.PyramidalRNN(3, 8, num_levels=2, bidirectional=True, rng=0)
    >>> output, (h_n, c_n) = net(np.ones((10, 4, 3), np.float32), lengths=[10, 7, 4, 1])
    >>> output.shape, net.output_lengths([10, 7, 4, 1])
    ((3, 4, 16), [3, 2, 1, 1])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_levels: int,
        kind: Literal["rnn", "lstm", "gru"] = "lstm",
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        op = "PyramidalRNN"
        inputs = scalars.integer(op, "input_size", input_size, 1)
        units = scalars.integer(op, "hidden_size", hidden_size, 1)
        if not isinstance(kind, str) or kind not in _KINDS:
            raise ValueError(f"{op}: kind must be one of {sorted(_KINDS)}, got {shown(kind)}")
        self.batch_first = scalars.flag(op, "batch_first", batch_first)
        both = scalars.flag(op, "bidirectional", bidirectional)
        rng = generator(rng)
        self.levels = ModuleList()
        for _ in range(scalars.integer(op, "num_levels", num_levels, 1)):
            self.levels.append(_KINDS[kind](2 * inputs, units, bias=bias, bidirectional=both, dtype=dtype, rng=rng))
            inputs = units * (1 + both)

    @classmethod
    def _of_parts(cls, levels: Module, batch_first: bool) -> Self:
        if not isinstance(levels, ModuleList):
            raise TypeError(f"PyramidalRNN: levels must be a ModuleList, got {type(levels).__name__}")
        made = cls.__new__(cls)
        made.batch_first = scalars.flag("PyramidalRNN", "batch_first", batch_first)
        made.levels = levels
        return made

    def output_lengths(self, lengths: Iterable[int]) -> list[int]:
        """The lengths of the outputs of sequences of these lengths."""
        return [-(-int(n) // 2 ** len(self.levels)) for n in lengths]

    def forward(self, x: Value, lengths: ArrayLike | None = None) -> tuple[Tensor, Any]:
        """x (steps, batch, in) -> output (fewer steps, batch, directions * hidden), final state; see the class."""
        if np.ndim(raw(x)) != 3:
            raise ValueError(f"PyramidalRNN: x must have three axes, got shape {np.shape(raw(x))}")
        y = movable("PyramidalRNN", "x", x)
        y = y.swapaxes(0, 1) if self.batch_first else y
        ends = sequence_lengths("PyramidalRNN", lengths, *y.shape[:2])
        if ends is not None:  # the last step of an odd length is joined with one behind the end, which must be 0
            y = where((np.arange(len(y))[:, None] < ends)[:, :, None], y, np.zeros((), y.dtype))
        state = None
        for level in self.levels:
            ends = None if ends is None else -(-ends // 2)
            y, state = level(_joined(y), lengths=ends)
        return y.swapaxes(0, 1) if self.batch_first else y, state


class StackRNN(Module):
    """A recurrent network with a stack that it learns to use.

    Each step chooses between pushing a value, popping the top, and leaving the stack alone; since the choice is a mixture
    with the weights of a softmax, the whole is differentiable. It can count, which no bounded state can do beyond its
    bound, and so read languages such as a^n b^n.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input, and units of the state.
    stack_depth : int
        Places of the stack; what is pushed below the last is lost.
    stack_width : int
        Values in a place.
    dtype : dtype
        float32 or float64.
    rng : optional
        Anything `numpy.random.default_rng` takes: Xavier weights, orthogonal ones for the state; biases start at 0.

    Attributes
    ----------
    weight_ih, weight_hh, weight_sh : Parameter, (hidden_size, in), (hidden_size, hidden_size), (hidden_size, stack_width)
        From the input, the state and the top of the stack to the state.
    bias_h : Parameter, (hidden_size,)
    weight_action, bias_action : Parameter, (3, hidden_size), (3,)
        Of push, pop and no-op, in this order.
    weight_push, bias_push : Parameter, (stack_width, hidden_size), (stack_width,)

    Notes
    -----
    A call is ``output, (h_n, s_n) = net(x, state=None)``, with x (steps, batch, in), h (batch, hidden_size) and the stack
    s (batch, stack_depth, stack_width), top first. With the stack before a step in ``s``::

        h' = tanh(W x + R h + P s[0] + b)
        push, pop, noop = softmax(A h' + a)
        s'[0] = push * sigmoid(D h' + d) + pop * s[1] + noop * s[0]
        s'[i] = push * s[i-1] + pop * s[i+1] + noop * s[i]

    An empty place holds -1, which is also what a pop brings up from below the last. Joulin and Mikolov, "Inferring
    Algorithmic Patterns with Stack-Augmented Recurrent Nets" (2015), with tanh for their sigmoid in h'.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> output, (h_n, s_n) = nn.StackRNN(3, 8, stack_depth=5, rng=0)(np.ones((10, 4, 3), np.float32))
    >>> output.shape, s_n.shape
    ((10, 4, 8), (4, 5, 1))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        stack_depth: int,
        stack_width: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        op = "StackRNN"
        self.input_size = scalars.integer(op, "input_size", input_size, 1)
        self.hidden_size = scalars.integer(op, "hidden_size", hidden_size, 1)
        self.stack_depth = scalars.integer(op, "stack_depth", stack_depth, 1)
        self.stack_width = scalars.integer(op, "stack_width", stack_width, 1)
        rng = np.random.default_rng(rng)

        def weight(rows: int, columns: int) -> Parameter:
            return Parameter(init.xavier_uniform((rows, columns), rng=rng, dtype=dtype))

        def bias(size: int) -> Parameter:
            return Parameter(init.zeros(size, dtype=dtype), decay=False)

        units, width = self.hidden_size, self.stack_width
        self.weight_ih = weight(units, self.input_size)
        self.weight_hh = Parameter(init.orthogonal((units, units), rng=rng, dtype=dtype))
        self.weight_sh, self.bias_h = weight(units, width), bias(units)
        self.weight_action, self.bias_action = weight(3, units), bias(3)
        self.weight_push, self.bias_push = weight(width, units), bias(width)

    def forward(self, x: Value, state: Sequence[Value] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x (steps, batch, in) -> output (steps, batch, hidden), final state and stack."""
        shape = np.shape(raw(x))
        if len(shape) != 3:
            raise ValueError(f"StackRNN: x must have shape (steps, batch, in), got {shape}")
        h, s = self._initial(state, shape[1])
        inputs = F.linear(x, self.weight_ih, self.bias_h)
        outputs = []
        for t in range(shape[0]):
            h = F.tanh(inputs[t] + F.linear(h, self.weight_hh) + F.linear(s[:, 0], self.weight_sh))
            s = self._moved(h, s)
            outputs.append(h)
        return stack(outputs) if outputs else inputs, (h, s)  # without steps, `inputs` is as empty

    def _initial(self, state: Any, batch: int) -> tuple[Any, Any]:
        shapes = (batch, self.hidden_size), (batch, self.stack_depth, self.stack_width)
        if state is None:
            dtype = self.weight_hh.dtype
            return np.zeros(shapes[0], dtype), np.full(shapes[1], -1, dtype)
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise TypeError(f"StackRNN: the state must be a tuple (h, s), got {shown(type(state).__name__)}")
        for name, value, shape in zip("hs", state, shapes, strict=True):
            if np.shape(raw(value)) != shape:
                raise ValueError(f"StackRNN: {name} must have shape {shape}, got {np.shape(raw(value))}")
        return state[0], state[1]

    def _moved(self, h: Any, s: Any) -> Any:
        """The stack after a step."""
        actions = F.softmax(F.linear(h, self.weight_action, self.bias_action))
        push, pop, noop = (actions[:, i, None, None] for i in range(3))
        pushed = F.sigmoid(F.linear(h, self.weight_push, self.bias_push))[:, None]
        empty = np.full((len(h), 1, self.stack_width), -1, self.weight_hh.dtype)
        down = concatenate([pushed, s[:, :-1]], axis=1)
        up = concatenate([s[:, 1:], empty], axis=1)
        return push * down + pop * up + noop * s

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, stack_depth={self.stack_depth}, stack_width={self.stack_width}"
