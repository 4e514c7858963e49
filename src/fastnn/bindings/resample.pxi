# Resampling by tables.

cdef class _ResampleGeometry:
    cdef object made_from  # kept, so that no other object gets its address, and for the arrays in it
    cdef Resample resample
    cdef double fill
    cdef int typenum  # of the weights

cdef dict resample_geometries = {}  # by the address of the tuple, as conv_geometries
cdef dict long_geometries = {}      # the same for long axes, of whose tables many would fill the memory

cdef enum:
    SHORT_EXTENTS = 1 << 13  # the sum of extents up to which plans are kept, too (checks/interpolate.py)
    LONG_GEOMETRIES = 8

cdef _ResampleGeometry resample_geometry(object g):
    """From checks.Resample."""
    cdef size_t address = <size_t><void*>g
    known = resample_geometries.get(address)
    if known is None:
        known = long_geometries.get(address)
    if known is None:
        known = read_resample(g)
        if sum(g[2]) + sum(g[3]) <= SHORT_EXTENTS:
            remember(resample_geometries, g, known)
        else:
            if len(long_geometries) >= LONG_GEOMETRIES:
                long_geometries.clear()
            remember(long_geometries, g, known)
    return known

cdef _ResampleGeometry read_resample(object g):
    """A kernel trusts these numbers, so they are looked at again."""
    cdef _ResampleGeometry known = _ResampleGeometry.__new__(_ResampleGeometry)
    cdef Resample* r = &known.resample
    cdef int d
    if not isinstance(g, tuple) or len(g) != 6 or not isinstance(g[4], tuple) or len(g[4]) != 3:
        raise ValueError(f"expected tables of taps, got {g!r}")
    known.made_from, known.fill = g, g[5]
    read_windows(g[:4], &r.n, 2, 2)
    if not (image_fits(r.n, r.c, r.size) and image_fits(r.n, r.c, r.out)):
        raise ValueError(f"impossible geometry {g}")
    known.typenum = floating(g[4][0][3])
    for d in range(3):
        read_taps(g[4][d], &r.axes[d], r.size[d], r.out[d], known.typenum)
    return known

cdef int read_taps(object taps, ResampleAxis* axis, int64_t size, int64_t out, int typenum) except -1:
    cdef bint sane = isinstance(taps, tuple) and len(taps) == 5 and within(size, 1) and within(out, 1)
    if not sane or taps[0] != size or taps[1] != out:
        raise ValueError(f"impossible taps {taps!r}")
    cdef const cnp.npy_intp* extents = extents_of(taps[2], 2)
    axis.taps, axis.empties = extents[0], extents_of(taps[4], 1)[0]
    axis.index = <const int32_t*>data(taps[2], cnp.NPY_INT32, elements(axis.taps, out))
    axis.weight = data(taps[3], typenum, elements(axis.taps, out))
    axis.empty = <const int32_t*>data(taps[4], cnp.NPY_INT32, axis.empties)
    if axis.taps < 1 or not (taps_fit(axis, size, out) and are_places(axis.empty, axis.empties, out)):
        raise ValueError(f"impossible taps {taps!r}")
    axis.copies = axis.taps == 1 and bool((taps[3] == 1).all())
    axis.same = axis.copies and size == out and are_counted(axis.index, out)
    return 0

cdef bint taps_fit(ResampleAxis* axis, int64_t size, int64_t out) noexcept:
    """Whether inputs exist; finds their span."""
    cdef int64_t o, k, i, low, high
    axis.span = 1
    for o in range(out):
        low, high = size, -1
        for k in range(axis.taps):
            i = axis.index[k * out + o]
            low, high = min(low, i), max(high, i)
        if low < 0 or high >= size:
            return False
        axis.span = max(axis.span, high - low + 1)
    return True

cdef bint are_places(const int32_t* places, int64_t count, int64_t out) noexcept:
    """Whether they are outputs, in order."""
    cdef int64_t i, before = -1
    for i in range(count):
        if places[i] <= before or places[i] >= out:
            return False
        before = places[i]
    return True

cdef bint are_counted(const int32_t* index, int64_t out) noexcept:
    cdef int64_t o
    for o in range(out):
        if index[o] != o:
            return False
    return True

def resample(g, x):
    cdef _ResampleGeometry known = resample_geometry(g)
    cdef Resample* r = &known.resample
    cdef int t = known.typenum
    cdef void* px = data(x, t, r.n * r.c * volume(r.size))
    y = image(r.n, r.c, r.out, spatial_rank(x), t)
    resample_c(sized(t, r.n * r.c * volume(r.out)), r[0], known.fill, px, address(y))
    return y
