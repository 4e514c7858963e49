"""What recurrent layers have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import backend, checks
from .._types import Array
from ..checks import Recurrent
from ._op import Plan, Tape


class Cell:
    """A kind of recurrent layer: its plan, its tape, and its public backward.

    Parameters
    ----------
    name : str
        That of the public function, and of its kernels.
    gates : int
        How many blocks of rows the weights have.
    states : tuple of str
        The names of the initial states; there is a final state for each.
    saved : tuple of int
        What the forward leaves for the backward: the extents of these arrays, in units.
    tangents : callable
        ``tangents(call, *options, given, *saved)`` gives those of the output and of the final states, from one per input.
        ``options`` are what the kernels take besides the arguments that all layers have.
    """

    def __init__(
        self, name: str, gates: int, states: tuple[str, ...], saved: tuple[int, ...], tangents: Callable[..., Any]
    ) -> None:
        self.name, self.gates, self.states, self.saved, self.tangents = name, gates, states, saved, tangents
        self.tape = Tape(self._vjp, self._jvp)

    def plan(
        self,
        x: Any,
        states: Sequence[Any],
        weights: Sequence[Any],
        lengths: Any,
        reverse: Any,
        keep: Any,
        *options: Any,
    ) -> Plan:
        """The plan of a call, which gives the output, the final states, and with ``keep`` what the backward takes."""
        call = self._checked(self.name, x, states, weights, lengths, reverse)
        outputs = ("y", "h_n", "c_n")[: 1 + len(states)]
        return Plan(
            self.name + "_forward",
            _forward_arguments(call, options),
            (*outputs, "saved"),
            gives=len(outputs) + checks.flag(self.name, "return_saved", keep),
            tape=self.tape,
            constants={"call": call, "options": options},
        )

    def gradients(
        self,
        dy: Any,
        x: Any,
        states: Sequence[Any],
        weights: Sequence[Any],
        lengths: Any,
        reverse: Any,
        finals: dict[str, Any],
        saved: Any,
        *options: Any,
    ) -> tuple[Array, ...]:
        """What the public backward gives: all gradients, but of peepholes only where there are some.

        ``finals`` are the gradients of the final states, by name.
        """
        op = self.name + "_backward"
        call = self._checked(op, x, states, weights, lengths, reverse)
        dys = checks.recurrent_gradients(op, call, dy, **finals)
        ops, arguments = backend.current(), _forward_arguments(call, options)
        if saved is None:
            *_, saved = getattr(ops, self.name + "_forward")(*arguments)
        else:
            saved = checks.recurrent_saved(op, call, saved, *self.saved)
        given = tuple(p is not None for p in call.peepholes)
        gradients = self._backward(ops, dys, arguments, saved, (True,) * 5 + given)
        return tuple(g for g in gradients if g is not None)

    def _checked(self, op: str, x: Any, states: Any, weights: Any, lengths: Any, reverse: Any) -> Recurrent:
        named = dict(zip(self.states, states, strict=True))
        return checks.recurrent(op, self.gates, x, named, weights, lengths, reverse)

    def _backward(self, ops: Any, dys: Any, arguments: Any, saved: Any, needs: tuple[bool, ...]) -> Any:
        """Of the ``arguments`` of the forward the biases are not needed."""
        biases = 3 + len(self.states)
        return getattr(ops, self.name + "_backward")(*dys, *arguments[:biases], *arguments[biases + 2 :], *saved, needs)

    def _vjp(self, ops: Any, dys: Any, needs: tuple[bool, ...], saved: Any, *arguments: Any) -> Any:
        return self._backward(ops, dys, arguments, saved, (needs[0], *needs[1 + len(self.states) :]))

    def _jvp(self, ops: Any, given: Any, call: Recurrent, options: Any, saved: Any) -> Any:
        return self.tangents(call, *options, given, *saved)


def _forward_arguments(call: Recurrent, options: tuple[Any, ...]) -> tuple[Any, ...]:
    weights = call.weight_ih, call.weight_hh, call.bias_ih, call.bias_hh, *call.peepholes
    return call.x, *call.states, *weights, *options, call.lengths, call.reverse
