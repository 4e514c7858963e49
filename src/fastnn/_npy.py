"""Reading npy data from files that nobody vouches for: no pickles, and no memory for bytes that are not there."""

from __future__ import annotations

import math
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

ARRAY_KINDS = "biufc"
_MAX_HEADER = 10_000  # characters; limited, since NumPy parses the header with literal_eval


def read_array(file: IO[bytes], size: int) -> NDArray[Any]:
    """Read one array of bool, integer, float or complex numbers from an npy stream of `size` bytes, all of them.

    Raises `ValueError` where the header is damaged, claims another dtype, or another number of bytes than there are.
    The parser of NumPy may raise other kinds of errors on hostile headers.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MAX_HEADER)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file, max_header_size=_MAX_HEADER)
    else:
        raise ValueError(f"npy version {version} is not supported")
    if dtype.kind not in ARRAY_KINDS:
        raise ValueError(f"dtype {str(dtype)[:100]!r} is not supported, expected plain numbers")
    left = size - file.tell()
    if any(extent < 0 for extent in shape) or math.prod(shape) * dtype.itemsize != left:
        raise ValueError(f"an array of shape {str(shape)[:100]} and dtype {dtype} is claimed to lie in {left} bytes")
    data = file.read()  # to the end, where zipfile compares the CRC
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy(order="K")
