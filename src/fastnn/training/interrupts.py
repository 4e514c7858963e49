"""Ctrl-C in a training: the first asks it to end after the step, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupts:
    """Inside a ``with`` block, the first Ctrl-C only sets `asked`, and a second one raises KeyboardInterrupt.

    Only the main thread can be asked; in others, and where Ctrl-C is ignored or caught by a handler that is not Python's
    usual one, nothing changes.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._leave()
            raise KeyboardInterrupt
        self.asked = True

    def _leave(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
