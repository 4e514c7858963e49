# The geometries that kernels take, which are structs, and how they are read from the tuples that checks make.

cdef extern from "types.h" namespace "fastnn" nogil:
    cdef struct Conv:
        int64_t n, c, k, groups
        int64_t[3] size, out, kernel, stride, pad, dilation
        cbool all_taps
    cdef struct Pool:
        int64_t n, c
        int64_t[3] size, out, kernel, stride, pad, dilation, pad_end
    cdef struct AdaptivePool:
        int64_t n, c
        int64_t[3] size, out
    cdef struct ResampleAxis:
        int64_t taps, span, empties
        const int32_t* index
        const void* weight
        const int32_t* empty
        cbool copies, same
    cdef struct Resample:
        int64_t n, c
        int64_t[3] size, out
        ResampleAxis[3] axes
    cdef struct Norm:
        int64_t outer, channels, inner
    cdef struct GroupNorm:
        int64_t n, groups, channels, inner
    cdef struct Softmax:
        int64_t outer, n, inner
    cdef enum PadMode: kConstant, kReflect, kReplicate, kCircular
    cdef enum RnnKind: kTanhCell, kReluCell, kLstmCell, kGruCell, kResetFirstGruCell
    cdef struct Rnn:
        int64_t steps, batch, units
        cbool reverse
        RnnKind cell

cdef Norm norm_geometry(object g) except *:
    cdef Norm n
    read_extents(g, &n.outer, 3)  # the members, in order
    return n

cdef GroupNorm group_geometry(object g) except *:
    cdef GroupNorm n
    read_extents(g, &n.n, 4)  # the members, in order
    return n

cdef Softmax softmax_geometry(object g) except *:
    cdef Softmax s
    read_extents(g, &s.outer, 3)  # the members, in order
    return s

cdef Softmax scores_geometry(object g) except *:
    """The same where every position must have values, since the largest is looked for, or a class is one of them."""
    cdef Softmax s = softmax_geometry(g)
    if s.n < 1:
        raise ValueError(f"nothing at the positions of {g}")
    return s

cdef int64_t volume(const int64_t* axes) noexcept nogil:
    return axes[0] * axes[1] * axes[2]

cdef int read_windows(object g, int64_t* to, int numbers, int triples) except -1:
    """Read the members of a geometry, in order: numbers, and then triples of numbers, one of each spatial axis."""
    cdef int i
    if not isinstance(g, tuple) or PyTuple_GET_SIZE(g) != numbers + triples:
        raise ValueError(f"expected a geometry of windows, got {g!r}")
    for i in range(numbers):
        to[i] = <object>PyTuple_GET_ITEM(g, i)
    for i in range(triples):
        read_numbers(<object>PyTuple_GET_ITEM(g, numbers + i), to + numbers + 3 * i, 3)
    return 0

# The numbers that windowed kernels compute with must fit in 32 bits, so that products of two of them fit in 64 (see
# MAX_EXTENT in checks/geometry.py).
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

# Reading a geometry takes longer than a small convolution, so what was read is kept.
cdef enum:
    GEOMETRIES = 4096

cdef int remember(dict geometries, object g, object known) except -1:
    if isinstance(g, tuple):  # an object of another type could change
        if len(geometries) >= GEOMETRIES:
            geometries.clear()
        geometries[<size_t><void*>g] = known
    return 0
