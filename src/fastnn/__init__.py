"""Neural networks on plain NumPy arrays, as fast as the CPU allows."""

import importlib
from typing import TYPE_CHECKING, Any

from . import autograd, backend
from ._version import __version__
from .autograd import (
    Tensor,
    absolute,
    concatenate,
    detect_anomaly,
    differentiable,
    enable_grad,
    exp,
    grad,
    is_grad_enabled,
    jvp,
    log,
    maximum,
    minimum,
    no_grad,
    sqrt,
    stack,
    tensor,
    value_and_grad,
    vjp,
    where,
)
from .backend import use_backend
from .config import (
    empty_cache,
    get_num_threads,
    get_winograd,
    set_cache_limit,
    set_num_threads,
    set_winograd,
    show_config,
)

if TYPE_CHECKING:
    from . import (
        checkpoint,
        data,
        diagnosis,
        functional,
        init,
        nn,
        onnx,
        optim,
        plots,
        robustness,
        testing,
        training,
        weights,
    )
    from .autograd.drawing import draw_graph
    from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
    from .nn.model_file import load_model, save_model
    from .nn.summary import summary
    from .weights import WeightsError, load_weights, save_weights

if backend.extension() is None:  # then the choice of the backend, made now, may warn or fail
    backend.current()

__all__ = [
    "CheckpointError",
    "Tensor",
    "WeightsError",
    "__version__",
    "absolute",
    "autograd",
    "backend",
    "checkpoint",
    "concatenate",
    "data",
    "detect_anomaly",
    "diagnosis",
    "differentiable",
    "draw_graph",
    "empty_cache",
    "enable_grad",
    "exp",
    "functional",
    "get_num_threads",
    "get_winograd",
    "grad",
    "init",
    "is_grad_enabled",
    "jvp",
    "load_checkpoint",
    "load_model",
    "load_weights",
    "log",
    "maximum",
    "minimum",
    "nn",
    "no_grad",
    "onnx",
    "optim",
    "plots",
    "robustness",
    "save_checkpoint",
    "save_model",
    "save_weights",
    "set_cache_limit",
    "set_num_threads",
    "set_winograd",
    "show_config",
    "sqrt",
    "stack",
    "summary",
    "tensor",
    "testing",
    "training",
    "use_backend",
    "value_and_grad",
    "vjp",
    "weights",
    "where",
]

# Imported when first used, because each costs time to import. What needs another package is not in `__all__`.
_LAZY = {
    **dict.fromkeys(("checkpoint", "data", "diagnosis", "functional", "init", "nn", "optim", "plots"), ""),
    **dict.fromkeys(("onnx", "robustness", "sklearn", "testing", "training", "weights"), ""),
    **dict.fromkeys(("CheckpointError", "load_checkpoint", "save_checkpoint"), "checkpoint"),
    **dict.fromkeys(("load_model", "save_model"), "nn.model_file"),
    **dict.fromkeys(("WeightsError", "load_weights", "save_weights"), "weights"),
    "draw_graph": "autograd.drawing",
    "summary": "nn.summary",
}


def _matmul(a: Tensor, b: Tensor) -> Any:
    """``a @ b`` for the first time; the functions then put their own in the place of this."""
    return importlib.import_module(f"{__name__}.functional").matmul(a, b)


autograd.tensors.use_product(_matmul)

if not TYPE_CHECKING:  # a type checker would take every unknown name for one of these

    def __getattr__(name):
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_LAZY[name] or name}")
        value = getattr(module, name) if _LAZY[name] else module
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
