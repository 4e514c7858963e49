"""The compiled backend: bindings of `fastnn._core`, which allocate outputs and call the kernels.

Same names and signatures as `fastnn.backend.reference`, which says what each function computes.
"""

import importlib

from . import reference

__all__ = list(reference.__all__)

_core = importlib.import_module("fastnn._core")
globals().update({name: getattr(_core, name) for name in __all__})
