# Embeddings: an index gives the numbers of the rows that are taken from a table.

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
    cdef object y = new_array(last + 1, shape, t)
    embedding_forward_c(sized(t, cnp.PyArray_SIZE(<cnp.ndarray>y)), n, rows, width, pi, data(weight, t, rows * width),
        address(y))
    return y

def embedding_backward(dy, index, int64_t rows, int64_t skip):
    cdef int t = floating(dy), last = cnp.PyArray_NDIM(<cnp.ndarray>dy) - 1
    if last < 0:
        raise ValueError("expected dy (..., width)")
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray?>index), width = cnp.PyArray_DIMS(<cnp.ndarray>dy)[last]
    elements(rows, width)
    cdef void* pi = data(index, I64, n)
    dweight = matrix(t, rows, width)
    embedding_backward_c(sized(t, (n + rows) * width), n, rows, width, skip, pi, data(dy, t, elements(n, width)),
        address(dweight))
    return dweight
