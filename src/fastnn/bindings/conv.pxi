# Products of matrices, convolution.

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
    if c is None:
        c = new_array(row + 2, shape, t)
    matmul_c(sized(t, batch * (m + n) * depth), batch, m, n, depth, <cbool>trans_a, <cbool>trans_b, pa,
        data(b, t, batch * depth * n), writable(c, t, batch * m * n))
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
    cdef object y = new_array(last + 1, shape, t)
    linear_forward_c(sized(t, (m + n) * k), m, n, k, px, data(weight, t, n * k), optional(bias, t, n), address(y))
    return y

def linear_backward_bias(dy, dbias):
    """The sum of the rows of dy (m, n)."""
    cdef int t = floating(dy)
    if cnp.PyArray_NDIM(<cnp.ndarray>dy) != 2:
        raise ValueError("expected dy (m, n)")
    cdef int64_t m = cnp.PyArray_DIMS(<cnp.ndarray>dy)[0], n = cnp.PyArray_DIMS(<cnp.ndarray>dy)[1]
    cdef void* pdy = data(dy, t, m * n)
    linear_backward_bias_c(sized(t, m * n), m, n, pdy, writable(dbias, t, n))

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

cdef Conv read_conv(object g) except *:
    """A kernel trusts these numbers, so they are looked at again."""
    cdef Conv c
    read_windows(g, &c.n, 4, 6)
    cdef bint sane = c.groups > 0 and c.c % c.groups == 0 and c.k % c.groups == 0
    cdef int64_t padded[3]
    for d in range(3):
        sane = sane and axis_fits(c.size[d], c.out[d], c.kernel[d], c.stride[d], c.pad[d], c.dilation[d])
        if sane:  # the extents of all that windows look at, or that a transposed convolution adds to
            padded[d] = max(c.size[d] + c.pad[d], (c.out[d] - 1) * c.stride[d] + (c.kernel[d] - 1) * c.dilation[d] + 1)
    if not (sane and image_fits(c.n, c.c, padded) and image_fits(c.n, c.k, c.out)
            and image_fits(c.k, c.c // c.groups, c.kernel)):
        raise ValueError(f"impossible geometry {g}")
    return c

cdef enum:
    MOST_WAYS = 16

cdef list way_names(object g, cbool is_double, cbool data):
    cdef const char* names[MOST_WAYS + 1]
    conv_ways_c(short_call(F64 if is_double else F32), conv_geometry(g), data, MOST_WAYS, names)
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
    return convolved(g, x, weight, bias, False)

def conv_transpose_forward(g, x, weight, bias):
    """Also the gradient of the input of the convolution of this geometry: x is its dy then, and there is no bias."""
    return convolved(g, x, weight, bias, True)

cdef object convolved(object g, object x, object weight, object bias, bint transposed):
    cdef int t = floating(x)
    cdef Conv c = conv_geometry(g)
    cdef void* px = data(x, t, c.n * (c.k * volume(c.out) if transposed else c.c * volume(c.size)))
    cdef void* pw = data(weight, t, c.k * (c.c // c.groups) * volume(c.kernel))
    cdef void* pb = optional(bias, t, c.c if transposed else c.k)
    cdef object y
    if transposed:
        y = image(c.n, c.c, c.size, spatial_rank(x), t)
        conv_backward_data_c(long_call(t), c, px, pw, pb, address(y))
    else:
        y = image(c.n, c.k, c.out, spatial_rank(x), t)
        conv_forward_c(long_call(t), c, px, pw, pb, address(y))
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
    conv_backward_bias_c(long_call(t), c, pdy, writable(dbias, t, c.k))

# Functions that give gradients; the caller says in ``needs`` which of them to compute. They call the bindings above.

def conv_backward(g, dy, x, weight, needs):
    need_x, need_weight, need_bias = needs
    dx = conv_transpose_forward(g, dy, weight, None) if need_x else None
    return dx, weight_gradient(g, dy, x, weight, need_weight), bias_gradient(dy, need_bias)

def conv_transpose_backward(g, dy, x, weight, needs):
    need_x, need_weight, need_bias = needs
    dx = conv_forward(g, dy, weight, None) if need_x else None
    return dx, weight_gradient(g, x, dy, weight, need_weight), bias_gradient(dy, need_bias)

cdef object weight_gradient(object g, object dy, object x, object weight, object need):
    if not need:
        return None
    cdef int ndim = cnp.PyArray_NDIM(<cnp.ndarray>weight)
    dweight = gradient_array(need, floating(weight), ndim, cnp.PyArray_DIMS(<cnp.ndarray>weight))
    conv_backward_weight(g, dy, x, dweight)
    return dweight

cdef object bias_gradient(object dy, object need):
    if not need:
        return None
    cdef cnp.npy_intp channels = dy.shape[1]
    dbias = gradient_array(need, floating(dy), 1, &channels)
    conv_backward_bias(dy, dbias)
    return dbias

def linear_backward(dy, x, weight, needs):
    need_x, need_weight, need_bias = needs
    out, inner = weight.shape
    if x.ndim != 2:
        dx, dweight, dbias = linear_backward(dy.reshape(-1, out), x.reshape(-1, inner), weight, needs)
        return None if dx is None else dx.reshape(x.shape), dweight, dbias
    cdef cnp.npy_intp* extents = cnp.PyArray_DIMS(<cnp.ndarray?>weight)
    dx = matmul(dy, weight) if need_x else None
    dweight = dbias = None
    if need_weight:
        dweight = gradient_array(need_weight, floating(weight), 2, extents)
        matmul_into(dy, x, True, False, dweight)
    if need_bias:
        dbias = gradient_array(need_bias, floating(weight), 1, extents)
        linear_backward_bias(dy, dbias)
    return dx, dweight, dbias
