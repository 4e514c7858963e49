"""The compiled backend: allocates outputs and calls the kernels.

Same names and signatures as `fastnn.backend.reference`, which says what each function computes.
Functions that need nothing more are the bindings themselves: for small arrays a Python frame would cost more than
the kernel.
"""

from .activation import *
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
from .pair_loss import *
from .pool import *
from .rms_norm import *
from .rnn import *
from .softmax import *

# Each module says in its own __all__ what it adds.
__all__ = [name for name, value in sorted(globals().items()) if callable(value)]
