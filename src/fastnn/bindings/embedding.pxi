# Rows of a table by number.

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void embedding_forward_c "fastnn::call::embedding_forward"(cbool is_double, ...)
    void embedding_backward_workspace_c "fastnn::call::embedding_backward_workspace"(cbool is_double, ...)
    void embedding_backward_c "fastnn::call::embedding_backward"(cbool is_double, ...)

def embedding_forward(index, weight):
    cdef int t = floating(weight), last = cnp.PyArray_NDIM(<cnp.ndarray?>index), i
    cdef cnp.npy_intp shape[32]
    if last >= 32 or cnp.PyArray_NDIM(<cnp.ndarray>weight) != 2:
        raise ValueError("expected at most 31 axes of numbers, and weight (rows, width)")
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>index)
    cdef int64_t rows = cnp.PyArray_DIMS(<cnp.ndarray>weight)[0], width = cnp.PyArray_DIMS(<cnp.ndarray>weight)[1]
    for i in range(last):
        shape[i] = cnp.PyArray_DIMS(<cnp.ndarray>index)[i]
    shape[last] = width
    cdef void* pi = data(index, I64, n)
    cdef void* pw = data(weight, t, rows * width)
    cdef object y = new_array(last + 1, shape, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    cdef PyThreadState* state = let_go(cnp.PyArray_SIZE(<cnp.ndarray>y))
    embedding_forward_c(t == F64, n, rows, width, pi, pw, py)
    take_back(state)
    return y

def embedding_backward(dy, index, int64_t rows, int64_t skip):
    cdef int t = floating(dy), last = cnp.PyArray_NDIM(<cnp.ndarray>dy) - 1
    if last < 0 or rows < 0:
        raise ValueError("expected dy (..., width)")
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray?>index), width = cnp.PyArray_DIMS(<cnp.ndarray>dy)[last]
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = rows, width
    cdef void* pi = data(index, I64, n)
    cdef void* pdy = data(dy, t, n * width)
    cdef object dweight = new_array(2, shape, t)
    cdef void* pdw = cnp.PyArray_DATA(<cnp.ndarray>dweight)
    cdef int64_t size = 0, count = 0
    embedding_backward_workspace_c(t == F64, n, rows, width, &size, &count)
    cdef object sums = workspace(t, size), counts = workspace(I64, count)
    cdef void* ps = cnp.PyArray_DATA(<cnp.ndarray>sums)
    cdef void* pc = cnp.PyArray_DATA(<cnp.ndarray>counts)
    with nogil:
        embedding_backward_c(t == F64, n, rows, width, skip, pi, pdy, pdw, ps, pc)
    return dweight
