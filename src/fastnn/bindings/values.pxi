# Functions that look at the values of arrays, for the guards of plans and for losses; and copies of arrays.

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
    """A NumPy scalar, which NumPy's functions give, too: ``total += loss`` would change an array for all who hold it."""
    cdef float single = <float>value
    cdef void* p = <void*>&value if t == F64 else <void*>&single
    return numpy_scalar(p, cnp.PyArray_DescrFromType(t), None)

cdef double SMALLER = 2.0 ** -80  # no sum of less than 2^80 numbers overflows if each is multiplied by this

@cython.cdivision(True)
cdef object mean_loss(object loss, int t, double divisor):
    """The sum of losses divided by ``divisor``, also where the sum itself overflows."""
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>loss)
    cdef void* p = address(loss)
    cdef double sum = 0, scale = 1
    sum_values_c(sized(t, n), n, p, scale, &sum)
    if not isfinite(sum):
        scale = SMALLER
        sum_values_c(sized(t, n), n, p, scale, &sum)
    return number(sum / divisor / scale, t)

cdef object losses_of(object scores, int t, int64_t positions, object divisor):
    """Array for the loss of each position of scores (n, classes, ...): of shape (n, ...), or a row where they are summed."""
    if divisor is not None:
        return workspace(t, positions)
    cdef cnp.npy_intp extents[AXES]
    cdef int ndim = cnp.PyArray_NDIM(<cnp.ndarray>scores), i
    cdef int64_t size = 1
    if ndim < 2:
        raise ValueError(f"expected scores (n, classes, ...), got {ndim} axes")
    for i in range(ndim - 1):
        extents[i] = cnp.PyArray_DIMS(<cnp.ndarray>scores)[i + (i > 0)]
        size *= extents[i]
    if size != positions:
        raise ValueError(f"expected scores of {positions} positions, got {size}")
    return new_array(ndim - 1, extents, t)

@cython.cdivision(True)
cdef object shares(object dloss, int t, int64_t n, object divided_by):
    """dloss / divided_by, or dloss where that is None, as n numbers; dloss has as many, or one for all."""
    cdef int64_t given = cnp.PyArray_SIZE(<cnp.ndarray?>dloss), i
    cdef double divisor = 1 if divided_by is None else divided_by
    cdef void* from_ = data(dloss, t, n if given == n else 1)
    if given == n and divisor == 1:
        return dloss
    cdef object each = workspace(t, n)
    cdef void* to = address(each)
    cdef int64_t step = given == n
    for i in range(n):
        if t == F64:
            (<double*>to)[i] = (<double*>from_)[i * step] / divisor
        else:
            (<float*>to)[i] = <float>((<float*>from_)[i * step] / divisor)
    return each

def pixel_shuffle(x, g):
    planes, factor, height, width, coarse, fine = g
    return pixels_moved(True, x, planes, factor, height, width, fine)

def pixel_unshuffle(x, g):
    planes, factor, height, width, coarse, fine = g
    return pixels_moved(False, x, planes, factor, height, width, coarse)

cdef object pixels_moved(bint to_fine, object x, object planes, object factor, object height, object width, tuple shape):
    """In Python's integers, which do not overflow, the number of elements."""
    if min(planes, height, width) < 0 or factor < 1:
        raise ValueError(f"no image has {planes} planes of {height} by {width} pixels, {factor} times as many")
    cdef int64_t n = planes * factor * factor * height * width, images = planes, times = factor
    cdef int64_t rows = height, columns = width
    cdef int t = floating(x)
    cdef void* px = data(x, t, n)
    cdef object y = new_shaped(shape, t)
    cdef void* py = writable(y, t, n)
    if n and to_fine:
        pixel_shuffle_c(sized(t, n), images, times, rows, columns, px, py)
    elif n:
        pixel_unshuffle_c(sized(t, n), images, times, rows, columns, px, py)
    return y

def contiguous(a):
    """A C-contiguous copy of an array of any strides."""
    if not cnp.PyArray_Check(a):
        return np.array(a, order="C", subok=False)
    cdef cnp.ndarray given = <cnp.ndarray>a
    cdef int t = cnp.PyArray_TYPE(given), ndim = cnp.PyArray_NDIM(given), i
    cdef cnp.npy_intp itemsize = cnp.PyArray_ITEMSIZE(given)
    cdef int64_t extents[AXES]
    cdef int64_t strides[AXES]
    cdef bint plain = (t == F32 or t == F64) and cnp.PyArray_ISBEHAVED_RO(given) and ndim <= AXES
    for i in range(ndim if plain else 0):
        extents[i], strides[i] = cnp.PyArray_DIMS(given)[i], cnp.PyArray_STRIDES(given)[i] // itemsize
        plain = plain and (extents[i] <= 1 or strides[i] * itemsize == cnp.PyArray_STRIDES(given)[i])
    if not plain:
        return np.array(a, order="C", subok=False)
    copy = new_array(ndim, cnp.PyArray_DIMS(given), t)
    if cnp.PyArray_SIZE(given) > 0:
        strided_copy_c(sized(t, cnp.PyArray_SIZE(given)), ndim, extents, strides, cnp.PyArray_DATA(given), address(copy))
    return copy
