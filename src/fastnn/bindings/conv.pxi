# Products of matrices, convolution.

cdef extern from "types.h" namespace "fastnn" nogil:
    cdef struct Conv:
        int64_t n, c, k, groups
        int64_t size[3]
        int64_t out[3]
        int64_t kernel[3]
        int64_t stride[3]
        int64_t pad[3]
        int64_t dilation[3]
        cbool all_taps

cdef extern from "call.h" namespace "fastnn::call":
    int matmul_c "fastnn::call::matmul"(Call, ...) except -1
    int linear_forward_c "fastnn::call::linear_forward"(Call, ...) except -1
    int linear_backward_bias_c "fastnn::call::linear_backward_bias"(Call, ...) except -1
    int conv_forward_c "fastnn::call::conv_forward"(Call, ...) except -1
    int conv_backward_data_c "fastnn::call::conv_backward_data"(Call, ...) except -1
    int conv_backward_weight_c "fastnn::call::conv_backward_weight"(Call, ...) except -1
    int conv_ways_c "fastnn::call::conv_ways"(Call, ...) except -1
    int conv_weight_way_c "fastnn::call::conv_weight_way"(Call, ...) except -1
    int conv_backward_bias_c "fastnn::call::conv_backward_bias"(Call, ...) except -1

def matmul(a, b, bint trans_a=False, bint trans_b=False):
    return product(a, b, trans_a, trans_b, None)

def matmul_into(a, b, bint trans_a, bint trans_b, c):
    product(a, b, trans_a, trans_b, c)

cdef object product(object a, object b, bint trans_a, bint trans_b, object c):
    cdef int t = floating(a), row = cnp.PyArray_NDIM(<cnp.ndarray>a) - 2
    if row < 0 or row > 1 or cnp.PyArray_NDIM(<cnp.ndarray?>b) != row + 2:
        raise ValueError("expected two matrices, or two stacks of them")
    cdef const cnp.npy_intp* da = cnp.PyArray_DIMS(<cnp.ndarray>a)
    cdef int64_t batch = da[0] if row else 1, m = da[row + trans_a], depth = da[row + (not trans_a)]
    cdef int64_t n = cnp.PyArray_DIMS(<cnp.ndarray>b)[row + (not trans_b)]
    cdef cnp.npy_intp shape[3]
    shape[0], shape[row], shape[row + 1] = batch, m, n
    elements(batch, m, n)
    elements(batch, m, depth)
    elements(batch, depth, n)
    cdef void* pa = data(a, t, batch * m * depth)
    cdef void* pb = data(b, t, batch * depth * n)
    if c is None:
        c = new_array(row + 2, shape, t)
    cdef void* pc = writable(c, t, batch * m * n)
    matmul_c(sized(t, batch * (m + n) * depth), batch, m, n, depth, <cbool>trans_a, <cbool>trans_b, pa, pb, pc)
    return c

def linear_forward(x, weight, bias):
    cdef int t = floating(x), last = cnp.PyArray_NDIM(<cnp.ndarray>x) - 1, i
    cdef cnp.npy_intp shape[AXES]
    if last < 0 or last >= AXES or cnp.PyArray_NDIM(<cnp.ndarray?>weight) != 2:
        raise ValueError("expected x (..., k) and weight (n, k)")
    cdef int64_t n = cnp.PyArray_DIMS(<cnp.ndarray>weight)[0], k = cnp.PyArray_DIMS(<cnp.ndarray>x)[last], m = 1
    for i in range(last):
        shape[i] = cnp.PyArray_DIMS(<cnp.ndarray>x)[i]
        m *= shape[i]
    shape[last] = n
    elements(m, k)
    elements(n, k)
    elements(m, n)
    cdef void* px = data(x, t, m * k)
    cdef void* pw = data(weight, t, n * k)
    cdef void* pb = optional(bias, t, n)
    cdef object y = new_array(last + 1, shape, t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    linear_forward_c(sized(t, (m + n) * k), m, n, k, px, pw, pb, py)
    return y

def linear_backward_bias(dy, dbias):
    """The sum of the rows of dy (m, n)."""
    cdef int t = floating(dy)
    if cnp.PyArray_NDIM(<cnp.ndarray>dy) != 2:
        raise ValueError("expected dy (m, n)")
    cdef int64_t m = cnp.PyArray_DIMS(<cnp.ndarray>dy)[0], n = cnp.PyArray_DIMS(<cnp.ndarray>dy)[1]
    cdef void* pdy = data(dy, t, m * n)
    cdef void* pdb = writable(dbias, t, n)
    linear_backward_bias_c(sized(t, m * n), m, n, pdy, pdb)

cdef int64_t volume(const int64_t* axes) noexcept nogil:
    return axes[0] * axes[1] * axes[2]

# Reading a geometry takes longer than a small convolution, so what was read is kept.
cdef enum:
    GEOMETRIES = 4096

cdef int remember(dict geometries, object g, object known) except -1:
    if isinstance(g, tuple):  # others could change
        if len(geometries) >= GEOMETRIES:
            geometries.clear()
        geometries[<size_t><void*>g] = known
    return 0

cdef class _ConvGeometry:
    cdef object made_from  # kept, so that no other object gets its address
    cdef Conv conv

cdef dict conv_geometries = {}  # by the address of the tuple: checks give the same one for the same arguments

cdef Conv conv_geometry(object g) except *:
    """From checks.Conv."""
    cdef _ConvGeometry known = conv_geometries.get(<size_t><void*>g)
    if known is None:
        known = _ConvGeometry.__new__(_ConvGeometry)
        known.made_from, known.conv = g, read_conv(g)
        remember(conv_geometries, g, known)
    cdef Conv c = known.conv
    c.all_taps = not winograd
    return c

cdef bint winograd = True

def set_winograd(bint wanted):
    global winograd
    winograd = wanted

# What windowed kernels compute with fits in 32 bits, and what they multiply of it in 64, as in checks/geometry.py.
cdef bint within(int64_t a, int64_t low) noexcept nogil:
    return low <= a < <int64_t>1 << 31

cdef bint axis_fits(int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) noexcept nogil:
    return (within(size, 1) and within(out, 1) and within(kernel, 1) and within(stride, 1) and within(dilation, 1)
            and within(pad, 0) and within(size + pad, 1)
            and within((kernel - 1) * dilation, 0) and within((out - 1) * stride, 0))

cdef bint image_fits(int64_t n, int64_t channels, const int64_t* space) noexcept:
    """Whether (n, channels, *space) can be the extents of an array."""
    cdef int64_t extents[5]
    extents[0], extents[1], extents[2], extents[3], extents[4] = n, channels, space[0], space[1], space[2]
    return plausible(extents, 5)

cdef Conv read_conv(object g) except *:
    """A kernel trusts these numbers, so they are looked at again."""
    cdef Conv c
    if not isinstance(g, tuple) or PyTuple_GET_SIZE(g) != 10:
        raise ValueError(f"expected the geometry of a convolution, got {g!r}")
    read_numbers(g[:4], &c.n, 4)  # the members, in order
    read_numbers(g[4], c.size, 3)
    read_numbers(g[5], c.out, 3)
    read_numbers(g[6], c.kernel, 3)
    read_numbers(g[7], c.stride, 3)
    read_numbers(g[8], c.pad, 3)
    read_numbers(g[9], c.dilation, 3)
    cdef bint sane = c.groups > 0 and c.c % c.groups == 0 and c.k % c.groups == 0
    cdef int64_t padded[3]
    for d in range(3):
        sane = sane and axis_fits(c.size[d], c.out[d], c.kernel[d], c.stride[d], c.pad[d], c.dilation[d])
        if sane:  # all that a window looks at, or a transposed convolution adds to
            padded[d] = max(c.size[d] + c.pad[d], (c.out[d] - 1) * c.stride[d] + (c.kernel[d] - 1) * c.dilation[d] + 1)
    if not (sane and image_fits(c.n, c.c, padded) and image_fits(c.n, c.k, c.out)
            and image_fits(c.k, c.c // c.groups, c.kernel)):
        raise ValueError(f"impossible geometry {g}")
    return c

cdef list way_names(object g, cbool is_double, cbool data):
    cdef const char* names[17]
    conv_ways_c(short_call(F64 if is_double else F32), conv_geometry(g), data, names)
    found = []
    while names[len(found)] != NULL:
        found.append(names[len(found)].decode())
    return found

def conv_paths(g, cbool is_double):
    """Which way the forward pass and the weight gradient of a convolution go with the active instruction set."""
    cdef const char* weight = NULL
    conv_weight_way_c(short_call(F64 if is_double else F32), conv_geometry(g), &weight)
    return way_names(g, is_double, False)[0], weight.decode()

def conv_data_paths(g, cbool is_double):
    """Which ways the phases of the data gradient go with the active instruction set."""
    return set(way_names(g, is_double, True))

def conv_forward(g, x, weight, bias):
    cdef int t = floating(x)
    cdef Conv c = conv_geometry(g)
    cdef int64_t weights = c.k * (c.c // c.groups) * volume(c.kernel)
    cdef void* px = data(x, t, c.n * c.c * volume(c.size))
    cdef void* pw = data(weight, t, weights)
    cdef void* pb = optional(bias, t, c.k)
    cdef object y = image(c.n, c.k, c.out, spatial_rank(x), t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    conv_forward_c(long_call(t), c, px, pw, pb, py)
    return y

def conv_transpose_forward(g, x, weight, bias):
    """Also the gradient of the input of the convolution of this geometry: x is its dy then, and there is no bias."""
    cdef int t = floating(x)
    cdef Conv c = conv_geometry(g)
    cdef int64_t weights = c.k * (c.c // c.groups) * volume(c.kernel)
    cdef void* px = data(x, t, c.n * c.k * volume(c.out))
    cdef void* pw = data(weight, t, weights)
    cdef void* pb = optional(bias, t, c.c)
    cdef object y = image(c.n, c.c, c.size, spatial_rank(x), t)
    cdef void* py = cnp.PyArray_DATA(<cnp.ndarray>y)
    conv_backward_data_c(long_call(t), c, px, pw, pb, py)
    return y

def conv_backward_weight(g, dy, x, dweight):
    cdef int t = floating(dy)
    cdef Conv c = conv_geometry(g)
    cdef void* pdy = data(dy, t, c.n * c.k * volume(c.out))
    cdef void* px = data(x, t, c.n * c.c * volume(c.size))
    cdef void* pdw = writable(dweight, t, c.k * (c.c // c.groups) * volume(c.kernel))
    conv_backward_weight_c(long_call(t), c, pdy, px, pdw)

def conv_backward_bias(dy, dbias):
    """The sum of each channel of dy (n, k, ...)."""
    cdef int t = floating(dy)
    if cnp.PyArray_NDIM(<cnp.ndarray>dy) < 2:
        raise ValueError("expected dy (n, k, ...)")
    cdef Conv c
    c.n, c.k = cnp.PyArray_DIMS(<cnp.ndarray>dy)[0], cnp.PyArray_DIMS(<cnp.ndarray>dy)[1]
    c.out[0], c.out[1] = 1, 1
    c.out[2] = cnp.PyArray_SIZE(<cnp.ndarray>dy) // (c.n * c.k) if c.n * c.k else 0
    cdef void* pdy = data(dy, t, c.n * c.k * c.out[2])
    cdef void* pdb = writable(dbias, t, c.k)
    conv_backward_bias_c(long_call(t), c, pdy, pdb)
