# cython: language_level=3
"""OpenMP's threads, as a runtime for the kernels: what `fastnn._core.set_runtime` takes."""
from cpython.pycapsule cimport PyCapsule_New

cdef extern from "openmp.h" namespace "fastnn":
    cppclass Runtime:
        pass
    const Runtime openmp

runtime = PyCapsule_New(<void*>&openmp, "fastnn.Runtime", NULL)
