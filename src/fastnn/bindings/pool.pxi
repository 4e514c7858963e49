# Pooling.

cdef extern from "types.h" namespace "fastnn" nogil:
    cdef struct Pool:
        int64_t n, c
        int64_t size[3]
        int64_t out[3]
        int64_t kernel[3]
        int64_t stride[3]
        int64_t pad[3]
        int64_t dilation[3]
        int64_t pad_end[3]
    cdef struct AdaptivePool:
        int64_t n, c
        int64_t size[3]
        int64_t out[3]

cdef extern from "call.h" namespace "fastnn::call":
    int max_pool_forward_c "fastnn::call::max_pool_forward"(Call, Pool, void* x, void* y, void* index) except -1
    int max_pool_backward_c "fastnn::call::max_pool_backward"(Call, Pool, void* dy, void* index, void* dx) except -1
    int max_pool_positions_c "fastnn::call::max_pool_positions"(Call, Pool, void* index, int64_t* positions) except -1
    int max_pool_taps_c "fastnn::call::max_pool_taps"(Call, Pool, int64_t* positions, void* index, cbool* legal) except -1
    int adaptive_max_pool_index_c "fastnn::call::adaptive_max_pool_index"(
        Call, AdaptivePool, int64_t* positions, void* index, cbool* legal) except -1
    int avg_pool_forward_c "fastnn::call::avg_pool_forward"(Call, Pool, cbool include_pad, int64_t divisor, void* x, void* y) except -1
    int avg_pool_backward_c "fastnn::call::avg_pool_backward"(
        Call, Pool, cbool include_pad, int64_t divisor, void* dy, void* dx) except -1
    int lp_pool_forward_c "fastnn::call::lp_pool_forward"(Call, Pool, double p, void* x, void* y) except -1
    int lp_pool_backward_c "fastnn::call::lp_pool_backward"(
        Call, Pool, double p, void* dy, void* x, void* y, void* dx) except -1
    int adaptive_avg_pool_forward_c "fastnn::call::adaptive_avg_pool_forward"(Call, AdaptivePool, void* x, void* y) except -1
    int adaptive_avg_pool_backward_c "fastnn::call::adaptive_avg_pool_backward"(Call, AdaptivePool, void* dy, void* dx) except -1
    int adaptive_max_pool_forward_c "fastnn::call::adaptive_max_pool_forward"(
        Call, AdaptivePool, void* x, void* y, void* index) except -1
    int adaptive_max_pool_backward_c "fastnn::call::adaptive_max_pool_backward"(
        Call, AdaptivePool, void* dy, void* index, void* dx) except -1

cdef class _PoolGeometry:
    cdef object made_from  # kept, so that no other object gets its address
    cdef Pool pool

cdef dict pool_geometries = {}  # as conv_geometries

cdef Pool pool_geometry(object g) except *:
    """From checks.Pool."""
    cdef _PoolGeometry known = pool_geometries.get(<size_t><void*>g)
    if known is None:
        known = _PoolGeometry.__new__(_PoolGeometry)
        known.made_from, known.pool = g, read_pool(g)
        remember(pool_geometries, g, known)
    return known.pool

cdef bint windows_touch(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) noexcept nogil:
    """Whether every window has a tap inside [0, size)."""
    cdef int64_t first = -pad, tap
    if (out - 1) * stride - pad >= size or pad > (kernel - 1) * dilation:
        return False
    if dilation > size:  # taps may step over the image
        for _ in range(out):
            if first >= 0:
                break
            tap = (dilation - 1 - first) // dilation
            if tap >= kernel or first + tap * dilation >= size:
                return False
            first += stride
    return True

cdef Pool read_pool(object g) except *:
    """A kernel trusts these numbers, so they are looked at again."""
    cdef Pool p
    if not isinstance(g, tuple) or PyTuple_GET_SIZE(g) != 9:
        raise ValueError(f"expected the geometry of a pooling, got {g!r}")
    read_numbers(g[:2], &p.n, 2)  # the members, in order
    read_numbers(g[2], p.size, 3)
    read_numbers(g[3], p.out, 3)
    read_numbers(g[4], p.kernel, 3)
    read_numbers(g[5], p.stride, 3)
    read_numbers(g[6], p.pad, 3)
    read_numbers(g[7], p.dilation, 3)
    read_numbers(g[8], p.pad_end, 3)
    cdef bint sane = True
    cdef int64_t padded[3]
    for d in range(3):
        sane = (sane and axis_fits(p.size[d], p.out[d], p.kernel[d], p.stride[d], p.pad[d], p.dilation[d])
                and within(p.pad_end[d], 0)
                and windows_touch(p.size[d], p.out[d], p.kernel[d], p.stride[d], p.pad[d], p.dilation[d]))
        padded[d] = p.size[d] + p.pad[d] + p.pad_end[d] if sane else 0
        sane = sane and within(padded[d], 1)
    if not (sane and image_fits(p.n, p.c, padded) and image_fits(p.n, p.c, p.out) and image_fits(1, 1, p.kernel)
            and within(volume(p.kernel), 1) and within(volume(p.size), 1)):
        raise ValueError(f"impossible geometry {g}")
    return p

cdef object image(int64_t n, int64_t c, const int64_t* space, int rank, int typenum):
    """(n, c, *space) with the last `rank` of the three extents, before which there are ones."""
    cdef cnp.npy_intp shape[5]
    cdef int i
    shape[0], shape[1] = n, c
    if rank < 0 or rank > 3:
        raise ValueError(f"expected 1 to 3 spatial axes, got {rank}")
    for i in range(3):
        if i >= 3 - rank:
            shape[i + rank - 1] = space[i]
        elif space[i] != 1:
            raise ValueError(f"expected extents of {rank} axes")
    return new_array(2 + rank, shape, typenum)

cdef int spatial_rank(object a) except -1:
    return cnp.PyArray_NDIM(<cnp.ndarray?>a) - 2

cdef int index_type(const Pool* p) noexcept:
    return cnp.NPY_UINT8 if volume(p.kernel) <= 256 else cnp.NPY_INT32

def max_pool_forward(g, x, with_index):
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(x), rank = spatial_rank(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, rank, t)
    index = image(p.n, p.c, p.out, rank, index_type(&p)) if with_index else None
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    cdef void* pi = NULL if index is None else cnp.PyArray_DATA(<cnp.ndarray>index)
    max_pool_forward_c(sized(t, p.n * p.c * volume(p.out) * volume(p.kernel)), p, px, py, pi)
    return y, index

def max_pool_backward(g, dy, index):
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(dy)
    cdef int64_t outputs = p.n * p.c * volume(p.out)
    cdef void* pdy = data(dy, t, outputs)
    cdef void* pi = data(index, index_type(&p), outputs)
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    max_pool_backward_c(sized(t, p.n * p.c * volume(p.size)), p, pdy, pi, pdx)
    return dx

def max_pool_positions(g, index):
    cdef Pool p = pool_geometry(g)
    cdef void* pi = data(index, index_type(&p), p.n * p.c * volume(p.out))
    positions = image(p.n, p.c, p.out, spatial_rank(index), I64)
    cdef int64_t* pp = <int64_t*>cnp.PyArray_DATA(<cnp.ndarray>positions)
    max_pool_positions_c(sized(I64, p.n * p.c * volume(p.out)), p, pi, pp)
    return positions

def max_pool_indices(g, x):
    y, index = max_pool_forward(g, x, True)
    return y, index, max_pool_positions(g, index)

def max_pool_backward_at(g, dy, positions):
    """The gradient where a caller says which positions were the maxima; NotImplemented if one is outside its window."""
    cdef Pool p = pool_geometry(g)
    cdef int64_t outputs = p.n * p.c * volume(p.out)
    cdef cbool legal = True
    cdef int64_t* pp = <int64_t*>data(positions, I64, outputs)
    index = image(p.n, p.c, p.out, spatial_rank(dy), index_type(&p))
    cdef void* pi = cnp.PyArray_DATA(<cnp.ndarray>index)
    max_pool_taps_c(sized(I64, outputs), p, pp, pi, &legal)
    return max_pool_backward(g, dy, index) if legal else NotImplemented

cdef int64_t given_divisor(object divisor) except -1:
    """0 for None."""
    cdef int64_t number = 0 if divisor is None else divisor
    if number < 0 or (number == 0 and divisor is not None):
        raise ValueError(f"impossible divisor {divisor}")
    return number

def avg_pool_forward(g, x, bint count_include_pad, divisor_override=None):
    cdef int64_t divisor = given_divisor(divisor_override)
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, spatial_rank(x), t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    avg_pool_forward_c(sized(t, p.n * p.c * volume(p.out) * volume(p.kernel)), p, count_include_pad, divisor, px, py)
    return y

def avg_pool_backward(g, dy, bint count_include_pad, divisor_override=None):
    cdef int64_t divisor = given_divisor(divisor_override)
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, p.n * p.c * volume(p.out))
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    avg_pool_backward_c(sized(t, p.n * p.c * volume(p.out) * volume(p.kernel)), p, count_include_pad, divisor, pdy, pdx)
    return dx

def lp_pool_forward(g, x, double p):
    cdef Pool q = pool_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, q.n * q.c * volume(q.size))
    y = image(q.n, q.c, q.out, spatial_rank(x), t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    lp_pool_forward_c(sized(t, q.n * q.c * volume(q.out) * volume(q.kernel)), q, p, px, py)
    return y

def lp_pool_backward(g, dy, x, y, double p):
    cdef Pool q = pool_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, q.n * q.c * volume(q.out))
    cdef void* px = data(x, t, q.n * q.c * volume(q.size))
    cdef void* py = data(y, t, q.n * q.c * volume(q.out))
    dx = image(q.n, q.c, q.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    lp_pool_backward_c(sized(t, q.n * q.c * volume(q.out) * volume(q.kernel)), q, p, pdy, px, py, pdx)
    return dx

cdef AdaptivePool adaptive_geometry(object g) except *:
    """From checks.AdaptivePool; a kernel trusts these numbers, so they are looked at again."""
    cdef AdaptivePool p
    if not isinstance(g, tuple) or PyTuple_GET_SIZE(g) != 4:
        raise ValueError(f"expected the geometry of an adaptive pooling, got {g!r}")
    p.n, p.c = <object>PyTuple_GET_ITEM(g, 0), <object>PyTuple_GET_ITEM(g, 1)
    read_numbers(<object>PyTuple_GET_ITEM(g, 2), p.size, 3)
    read_numbers(<object>PyTuple_GET_ITEM(g, 3), p.out, 3)
    cdef int d
    cdef bint sane = image_fits(p.n, p.c, p.size) and image_fits(p.n, p.c, p.out)
    for d in range(3):
        sane = sane and within(p.size[d], 1) and within(p.out[d], 1)
    if not sane or not within(volume(p.size), 1):
        raise ValueError(f"impossible geometry {g}")
    return p

def adaptive_avg_pool_forward(g, x):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, spatial_rank(x), t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    adaptive_avg_pool_forward_c(sized(t, p.n * p.c * volume(p.size)), p, px, py)
    return y

def adaptive_avg_pool_backward(g, dy):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, p.n * p.c * volume(p.out))
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    adaptive_avg_pool_backward_c(sized(t, p.n * p.c * volume(p.size)), p, pdy, pdx)
    return dx

def adaptive_max_pool_forward(g, x):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(x), rank = spatial_rank(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, rank, t)
    index = image(p.n, p.c, p.out, rank, cnp.NPY_INT32)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    cdef void* pi = cnp.PyArray_DATA(<cnp.ndarray>index)
    adaptive_max_pool_forward_c(sized(t, p.n * p.c * volume(p.size)), p, px, py, pi)
    return y, index

def adaptive_max_pool_indices(g, x):
    y, index = adaptive_max_pool_forward(g, x)
    return y, index, cnp.PyArray_Cast(<cnp.ndarray>index, I64)

def adaptive_max_pool_backward(g, dy, index):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, p.n * p.c * volume(p.out))
    cdef void* pi = data(index, cnp.NPY_INT32, p.n * p.c * volume(p.out))
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    cdef void* pdx = cnp.PyArray_DATA(<cnp.ndarray>dx)
    adaptive_max_pool_backward_c(sized(t, p.n * p.c * volume(p.size)), p, pdy, pi, pdx)
    return dx

def adaptive_max_pool_backward_at(g, dy, positions):
    """As max_pool_backward_at."""
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int64_t outputs = p.n * p.c * volume(p.out)
    cdef cbool legal = True
    cdef int64_t* pp = <int64_t*>data(positions, I64, outputs)
    index = image(p.n, p.c, p.out, spatial_rank(dy), cnp.NPY_INT32)
    cdef void* pi = cnp.PyArray_DATA(<cnp.ndarray>index)
    adaptive_max_pool_index_c(sized(I64, outputs), p, pp, pi, &legal)
    return adaptive_max_pool_backward(g, dy, index) if legal else NotImplemented
