# Pooling.

cdef class _PoolGeometry:
    cdef object made_from  # kept, so that no other object gets its address
    cdef Pool pool

cdef dict pool_geometries = {}  # by the address of the tuple, as conv_geometries

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
    read_windows(g, &p.n, 2, 7)
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

cdef int index_type(const Pool* p) noexcept:
    return cnp.NPY_UINT8 if volume(p.kernel) <= 256 else cnp.NPY_INT32

def max_pool_forward(g, x, with_index):
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(x), rank = spatial_rank(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, rank, t)
    index = image(p.n, p.c, p.out, rank, index_type(&p)) if with_index else None
    max_pool_forward_c(sized(t, p.n * p.c * volume(p.out) * volume(p.kernel)), p, px, address(y), address(index))
    return y, index

def max_pool_backward(g, dy, index):
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(dy)
    cdef int64_t outputs = p.n * p.c * volume(p.out)
    cdef void* pdy = data(dy, t, outputs)
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    max_pool_backward_c(sized(t, p.n * p.c * volume(p.size)), p, pdy, data(index, index_type(&p), outputs), address(dx))
    return dx

def max_pool_positions(g, index):
    cdef Pool p = pool_geometry(g)
    cdef void* pi = data(index, index_type(&p), p.n * p.c * volume(p.out))
    positions = image(p.n, p.c, p.out, spatial_rank(index), I64)
    max_pool_positions_c(sized(I64, p.n * p.c * volume(p.out)), p, pi, address(positions))
    return positions

def max_pool_indices(g, x):
    y, index = max_pool_forward(g, x, True)
    return y, max_pool_positions(g, index), index

def max_pool_backward_at(g, dy, positions):
    """The gradient where a caller says which positions were the maxima; NotImplemented if one is outside its window."""
    cdef Pool p = pool_geometry(g)
    cdef int64_t outputs = p.n * p.c * volume(p.out)
    cdef cbool legal = True
    cdef void* pp = data(positions, I64, outputs)
    index = image(p.n, p.c, p.out, spatial_rank(dy), index_type(&p))
    max_pool_taps_c(sized(I64, outputs), p, pp, address(index), &legal)
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
    avg_pool_forward_c(sized(t, p.n * p.c * volume(p.out) * volume(p.kernel)), p, count_include_pad, divisor, px,
        address(y))
    return y

def avg_pool_backward(g, dy, bint count_include_pad, divisor_override=None):
    cdef int64_t divisor = given_divisor(divisor_override)
    cdef Pool p = pool_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, p.n * p.c * volume(p.out))
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    avg_pool_backward_c(sized(t, p.n * p.c * volume(p.out) * volume(p.kernel)), p, count_include_pad, divisor, pdy,
        address(dx))
    return dx

def lp_pool_forward(g, x, double p):
    cdef Pool q = pool_geometry(g)
    cdef int t = floating(x)
    cdef void* px = data(x, t, q.n * q.c * volume(q.size))
    y = image(q.n, q.c, q.out, spatial_rank(x), t)
    lp_pool_forward_c(sized(t, q.n * q.c * volume(q.out) * volume(q.kernel)), q, p, px, address(y))
    return y

def lp_pool_backward(g, dy, x, y, double p):
    cdef Pool q = pool_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, q.n * q.c * volume(q.out))
    dx = image(q.n, q.c, q.size, spatial_rank(dy), t)
    lp_pool_backward_c(sized(t, q.n * q.c * volume(q.out) * volume(q.kernel)), q, p, pdy,
        data(x, t, q.n * q.c * volume(q.size)), data(y, t, q.n * q.c * volume(q.out)), address(dx))
    return dx

cdef AdaptivePool adaptive_geometry(object g) except *:
    """From checks.AdaptivePool; a kernel trusts these numbers, so they are looked at again."""
    cdef AdaptivePool p
    read_windows(g, &p.n, 2, 2)
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
    adaptive_avg_pool_forward_c(sized(t, p.n * p.c * volume(p.size)), p, px, address(y))
    return y

def adaptive_avg_pool_backward(g, dy):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, p.n * p.c * volume(p.out))
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    adaptive_avg_pool_backward_c(sized(t, p.n * p.c * volume(p.size)), p, pdy, address(dx))
    return dx

def adaptive_max_pool_forward(g, x):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(x), rank = spatial_rank(x)
    cdef void* px = data(x, t, p.n * p.c * volume(p.size))
    y = image(p.n, p.c, p.out, rank, t)
    index = image(p.n, p.c, p.out, rank, cnp.NPY_INT32)
    adaptive_max_pool_forward_c(sized(t, p.n * p.c * volume(p.size)), p, px, address(y), address(index))
    return y, index

def adaptive_max_pool_indices(g, x):
    y, index = adaptive_max_pool_forward(g, x)
    return y, cnp.PyArray_Cast(<cnp.ndarray>index, I64), index

def adaptive_max_pool_backward(g, dy, index):
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int t = floating(dy)
    cdef void* pdy = data(dy, t, p.n * p.c * volume(p.out))
    dx = image(p.n, p.c, p.size, spatial_rank(dy), t)
    adaptive_max_pool_backward_c(sized(t, p.n * p.c * volume(p.size)), p, pdy,
        data(index, cnp.NPY_INT32, p.n * p.c * volume(p.out)), address(dx))
    return dx

def adaptive_max_pool_backward_at(g, dy, positions):
    """As max_pool_backward_at."""
    cdef AdaptivePool p = adaptive_geometry(g)
    cdef int64_t outputs = p.n * p.c * volume(p.out)
    cdef cbool legal = True
    cdef void* pp = data(positions, I64, outputs)
    index = image(p.n, p.c, p.out, spatial_rank(dy), cnp.NPY_INT32)
    adaptive_max_pool_index_c(sized(I64, outputs), p, pp, address(index), &legal)
    return adaptive_max_pool_backward(g, dy, index) if legal else NotImplemented
