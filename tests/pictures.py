"""What tests of pictures share."""

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure


def state_of(model):
    """All that a model holds, to the byte: parameters, buffers, gradients, modes and what hides a forward."""
    arrays = {name: array.tobytes() for name, array in model.state_dict().items()}
    gradients = {name: None if p.grad is None else p.grad.tobytes() for name, p in model.named_parameters()}
    modes = [(name, module.training, "forward" in vars(module)) for name, module in model.named_modules()]
    return arrays, gradients, modes


def new_axes(count=1):
    """Axes that no window knows."""
    axes = Figure(figsize=(4 * count, 3), layout="constrained").subplots(1, count, squeeze=False)[0]
    return axes[0] if count == 1 else axes


def rendered(ax):
    """Draw it, so that what would fail there fails here."""
    ax.figure.canvas.draw()
    return ax


def leaves(value):
    """All arrays, numbers and texts of nested records, in order, as bytes."""
    if isinstance(value, dict):
        for key in value:
            yield str(key).encode()
            yield from leaves(value[key])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, np.ndarray | np.generic):
        yield str(value.dtype).encode() + value.tobytes()
    elif hasattr(value, "__dataclass_fields__"):
        yield from leaves(vars(value))
    else:
        yield repr(value).encode()


__all__ = ["leaves", "new_axes", "pyplot", "rendered", "state_of"]
