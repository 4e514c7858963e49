# Rows of a table by number.

cdef extern from "types.h" namespace "fastnn":
    const int64_t kManyNumbers

cdef extern from "call.h" namespace "fastnn::call":
    int embedding_forward_c "fastnn::call::embedding_forward"(Call, ...) except -1
    int embedding_backward_workspace_c "fastnn::call::embedding_backward_workspace"(Call, ...) except -1
    int embedding_backward_c "fastnn::call::embedding_backward"(Call, ...) except -1

def embedding_forward(index, weight):
    cdef int t = floating(weight), last = cnp.PyArray_NDIM(<cnp.ndarray?>index), i
    cdef cnp.npy_intp shape[AXES]
    if last >= AXES or cnp.PyArray_NDIM(<cnp.ndarray>weight) != 2:
        raise ValueError("expected at most 63 axes of numbers, and weight (rows, width)")
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>index)
    cdef int64_t rows = cnp.PyArray_DIMS(<cnp.ndarray>weight)[0], width = cnp.PyArray_DIMS(<cnp.ndarray>weight)[1]
    for i in range(last):
        shape[i] = cnp.PyArray_DIMS(<cnp.ndarray>index)[i]
    shape[last] = width
    elements(n, width)
    cdef void* pi = data(index, I64, n)
    cdef void* pw = data(weight, t, rows * width)
    cdef object y = new_array(last + 1, shape, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    embedding_forward_c(sized(t, cnp.PyArray_SIZE(<cnp.ndarray>y)), n, rows, width, pi, pw, py)
    return y

def embedding_backward(dy, index, int64_t rows, int64_t skip):
    cdef int t = floating(dy), last = cnp.PyArray_NDIM(<cnp.ndarray>dy) - 1
    if last < 0:
        raise ValueError("expected dy (..., width)")
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray?>index), width = cnp.PyArray_DIMS(<cnp.ndarray>dy)[last]
    cdef cnp.npy_intp shape[2]
    elements(rows, width)
    shape[0], shape[1] = rows, width
    cdef void* pi = data(index, I64, n)
    cdef void* pdy = data(dy, t, elements(n, width))
    cdef object dweight = new_array(2, shape, t)
    cdef void* pdw = cnp.PyArray_DATA(<cnp.ndarray>dweight)
    cdef int64_t size = 0, count = 0
    cdef object sums, counts
    cdef void* ps = NULL
    cdef void* pc = NULL
    if n > kManyNumbers:
        embedding_backward_workspace_c(short_call(t), n, rows, width, &size, &count)
        sums, counts = workspace(t, size), workspace(I64, count)
        ps, pc = cnp.PyArray_DATA(<cnp.ndarray>sums), cnp.PyArray_DATA(<cnp.ndarray>counts)
    embedding_backward_c(sized(t, (n + rows) * width), n, rows, width, skip, pi, pdy, pdw, ps, pc)
    return dweight
