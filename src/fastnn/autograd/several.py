"""Operations with several outputs, put on the tape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._types import Array, Value
from .core import TensorBase, no_forward_mode, record
from .graph import Jvp, Underway
from .modes import mode

if TYPE_CHECKING:
    from .tensors import Tensor


def record_many(
    name: str, outputs: Sequence[Array], inputs: Sequence[Value | None], vjp: Any, jvp: Jvp | None = None
) -> tuple[Tensor | Array, ...]:
    """`record` for an operation with several outputs.

    Parameters
    ----------
    name, inputs
        As in `record`.
    outputs : sequence of ndarray
        What it computed.
    vjp : callable
        ``vjp(dys, needs)``, as in `record` but with a sequence of gradients, None for outputs that nothing was computed
        from.
    jvp : callable, optional
        ``jvp(tangents)`` returns one tangent per output.

    Returns
    -------
    tuple of Tensor or ndarray
        One per output, each as from `record`.

    Raises
    ------
    TypeError, NotImplementedError, ValueError
        As `record`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn as fnn
    >>> from fastnn.autograd import raw, record_many
    >>> def halves(x):
    ...     def vjp(dys, needs):
    ...         return (np.concatenate([np.zeros(2) if dy is None else dy for dy in dys]),)
    ...     return record_many("halves", np.split(raw(x), 2), (x,), vjp, lambda tangents: np.split(tangents[0], 2))
    >>> x = fnn.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    >>> first, second = halves(x)
    >>> (first * 2.0).sum().backward()
    >>> x.grad
    array([2., 2., 0., 0.])
    """
    if mode.tracer is not None and any(isinstance(x, TensorBase) for x in inputs):
        return mode.tracer.recorded_many(name, outputs, inputs)
    dys = Underway([None] * len(outputs))
    token = np.zeros(())

    def all_at_once(_: np.ndarray, needs: tuple[bool, ...]) -> Any:
        gradients = vjp(tuple(dys), needs)
        dys[:] = [None] * len(outputs)
        return gradients

    tangents: list[Any] = []

    def push(given: Sequence[np.ndarray | None]) -> Any:
        if jvp is None:
            raise no_forward_mode(name)
        tangents.extend(jvp(given))
        return token

    # The operation gets a node, and above it each output gets one, which leaves the gradient of that output in dys.
    operation = record(name, token, inputs, all_at_once, push)

    def output(i: int) -> Any:
        def leave(dy: np.ndarray, needs: tuple[bool, ...]) -> tuple[np.ndarray]:
            dys[i] = dy
            return (token,)

        return record(f"{name} output {i}", outputs[i], (operation,), leave, lambda _: tangents[i])

    return tuple(output(i) for i in range(len(outputs)))
