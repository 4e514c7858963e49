"""Layers and networks: modules over `fastnn.functional`, with PyTorch's names and parameter shapes."""

from .activation import *
from .activation_hard import *
from .adaptive_pool import *
from .architecture import *
from .channel_norm import *
from .containers import *
from .conv import *
from .embedding import *
from .ensemble import *
from .linear import *
from .loss import *
from .misc import *
from .module import *
from .norm import *
from .pad import *
from .parameter import *
from .pieces import *
from .pixel_shuffle import *
from .pool import *
from .recurrent import *
from .recurrent_cells import *
from .residual import *
from .sample_scaling import *
from .scaling import *
from .statistics import *
from .structured import *
from .upsample import *
from .whitening import *

# Each module says in its own __all__ what it adds.
__all__ = [
    name for name, value in sorted(globals().items()) if getattr(value, "__module__", "").startswith(f"{__name__}.")
]
