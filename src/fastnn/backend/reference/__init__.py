"""The NumPy backend: the specification of every kernel, written to be read.

It has the names, signatures and results of `fastnn.backend.native`. Arrays come in checked (see
`fastnn.checks`), float32 or float64.
"""

import re

from .activation import *
from .activation_hard import *
from .activation_pieces import *
from .activation_smooth import *
from .adaptive_pool import *
from .add import *
from .class_loss import *
from .contiguous import *
from .conv import *
from .dropout import *
from .embedding import *
from .linear import *
from .local_response_norm import *
from .loss import *
from .norm import *
from .optim import *
from .pad import *
from .pair_loss import *
from .pixels import *
from .pool import *
from .resample import *
from .rms_norm import *
from .rnn import *
from .softmax import *

# The backend is all that these modules define; modules with an underscore hold what they share.
__all__ = [
    name
    for name, value in sorted(globals().items())
    if re.match(rf"{__name__}\.[a-z]", getattr(value, "__module__", ""))
]
