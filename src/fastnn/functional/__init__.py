"""Functions of arrays, each with its gradient: ndarray in, ndarray out, and on the tape if a `Tensor` comes in.

The formulas are spelled out in NumPy in ``fastnn/backend/reference``.
"""

import types

from .activation import *
from .activation_hard import *
from .activation_pieces import *
from .activation_smooth import *
from .adaptive_pool import *
from .add import *
from .avg_pool import *
from .batch_norm import *
from .class_loss import *
from .conv import *
from .conv_transpose import *
from .dropout import *
from .embedding import *
from .group_norm import *
from .gru import *
from .interpolate import *
from .layer_norm import *
from .linear import *
from .local_response_norm import *
from .loss import *
from .lp_pool import *
from .lstm import *
from .max_pool import *
from .optim import *
from .output_shape import *
from .pad import *
from .pair_loss import *
from .pixel_shuffle import *
from .probability_loss import *
from .rms_norm import *
from .rnn import *
from .softmax import *

# Each module says in its own __all__ what it adds.
__all__ = [name for name, value in sorted(globals().items()) if isinstance(value, types.FunctionType)]
