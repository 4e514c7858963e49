# What the values of arrays are: the guards of plans.

cdef extern from "call.h" namespace "fastnn::call":
    int sum_values_c "fastnn::call::sum_values"(Call, int64_t n, void* x, double scale, double* sum) except -1
    int values_within_c "fastnn::call::values_within"(
        Call, int64_t n, double low, double high, void* x, cbool* yes) except -1
    int values_are_signs_c "fastnn::call::values_are_signs"(Call, int64_t n, void* x, cbool* yes) except -1
    int numbers_below_c "fastnn::call::numbers_below"(Call, int64_t n, int64_t end, void* x, cbool* yes) except -1

def values_within(x, double low, double high):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef cbool yes = False
    values_within_c(sized(t, n), n, low, high, px, &yes)
    return yes

def values_are_signs(x):
    cdef int t = floating(x)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>x)
    cdef void* px = data(x, t, n)
    cdef cbool yes = False
    values_are_signs_c(sized(t, n), n, px, &yes)
    return yes

def numbers_below(x, int64_t end):
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray?>x)
    cdef void* px = data(x, I64, n)
    cdef cbool yes = False
    numbers_below_c(sized(I64, n), n, end, px, &yes)
    return yes

cdef extern from "numpy/arrayobject.h":
    object numpy_scalar "PyArray_Scalar"(void* data, cnp.dtype type, object base)

cdef object number(double value, int t):
    """As a NumPy scalar, as its own functions give: ``total += loss`` changes an array wherever else it is held."""
    cdef float single = <float>value
    cdef void* p = <void*>&value if t == F64 else <void*>&single
    return numpy_scalar(p, cnp.PyArray_DescrFromType(t), None)

cdef double SMALLER = 2.0 ** -80  # times it, no sum of less than 2^80 numbers overflows

@cython.cdivision(True)
cdef object mean_loss(object loss, int t, double divisor):
    """Their sum by ``divisor``, also where the sum alone overflows."""
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>loss)
    cdef void* p = cnp.PyArray_DATA(<cnp.ndarray>loss)
    cdef double sum = 0, scale = 1
    sum_values_c(sized(t, n), n, p, scale, &sum)
    if not isfinite(sum):
        scale = SMALLER
        sum_values_c(sized(t, n), n, p, scale, &sum)
    return number(sum / divisor / scale, t)

@cython.cdivision(True)
cdef object shares(object dloss, int t, int64_t n, double divisor):
    """dloss / divisor, n numbers, of as many or of one."""
    cdef int64_t given = cnp.PyArray_SIZE(<cnp.ndarray?>dloss), i
    cdef void* from_ = data(dloss, t, n if given == n else 1)
    if given == n and divisor == 1:
        return dloss
    cdef object each = workspace(t, n)
    cdef void* to = cnp.PyArray_DATA(<cnp.ndarray>each)
    cdef int64_t step = given == n
    for i in range(n):
        if t == F64:
            (<double*>to)[i] = (<double*>from_)[i * step] / divisor
        else:
            (<float*>to)[i] = <float>((<float*>from_)[i * step] / divisor)
    return each
