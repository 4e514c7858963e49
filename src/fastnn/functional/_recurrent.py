"""What recurrent layers have in common."""

from __future__ import annotations

from typing import Any

from .. import checks
from ..checks import Recurrent
from ._op import Plan, Tape

ALL = (True,) * 5


def layer_plan(
    op: str,
    call: Recurrent,
    keep: Any,
    arguments: tuple[Any, ...],
    outputs: tuple[str, ...],
    saved: tuple[str, ...],
    tape: Tape,
) -> Plan:
    """Of a layer that gives the ``outputs``, and with ``keep`` a tuple of what the backward takes."""
    return Plan(
        op + "_forward",
        arguments,
        (*outputs, *saved[1:]),  # y is among the outputs
        gives=(*outputs, saved) if checks.flag(op, "return_saved", keep) else outputs,
        outputs=len(outputs),
        tape=tape,
        constants={"call": call},
    )
