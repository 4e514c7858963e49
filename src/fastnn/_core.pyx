# cython: language_level=3, boundscheck=False, wraparound=False
"""Bindings to the compiled kernels: outputs allocated, pointers in, the GIL released.

No checks but memory safety: an array that is not what the kernel will read is refused.
"""
cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.math cimport isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memset
from libcpp cimport bool as cbool

import numpy as np

cnp.import_array()

include "bindings/memory.pxi"
include "bindings/geometry.pxi"
include "bindings/elementwise.pxi"
include "kernels.pxi"  # by csrc/declare.py: the declarations of all kernels, and bindings of elementwise functions
include "bindings/settings.pxi"
include "bindings/plan.pxi"
include "bindings/values.pxi"
include "bindings/activation.pxi"
include "bindings/softmax.pxi"
include "bindings/optim.pxi"
include "bindings/conv.pxi"
include "bindings/embedding.pxi"
include "bindings/rnn.pxi"
include "bindings/norm.pxi"
include "bindings/loss.pxi"
include "bindings/pool.pxi"
include "bindings/pad.pxi"
include "bindings/resample.pxi"
include "bindings/probe.pxi"
