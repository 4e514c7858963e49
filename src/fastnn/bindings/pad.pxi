# Padding.

cdef struct Padding:
    PadMode mode
    int axes
    int64_t[AXES] size, before, after

cdef dict pad_modes = {"constant": kConstant, "reflect": kReflect, "replicate": kReplicate, "circular": kCircular}

cdef int read_padding(object g, Padding* p, cnp.npy_intp* out) except -1:
    """From checks.Pad, with the extents of the result; a kernel trusts these numbers, so they are looked at again."""
    cdef int64_t left, limit = <int64_t>1 << 48  # that of plausible()
    cdef int i
    if not isinstance(g, tuple) or len(g) != 4 or len(<tuple?>g[1]) > AXES:
        raise ValueError(f"expected a geometry of padding, got {g!r}")
    p.mode, p.axes = pad_modes[g[0]], <int>len(<tuple>g[1])
    read_extents(g[1], p.size, p.axes)
    read_numbers(g[2], p.before, p.axes)
    read_numbers(g[3], p.after, p.axes)
    cdef bint sane = True
    for i in range(p.axes):
        sane = sane and -p.size[i] <= p.before[i] < limit and -p.size[i] <= p.after[i] < limit
        left = p.size[i] + min(p.before[i], 0) + min(p.after[i], 0) if sane else 0
        sane = sane and left >= 0 and (left > 0 or p.mode == kConstant or (p.before[i] <= 0 and p.after[i] <= 0))
        out[i] = p.size[i] + p.before[i] + p.after[i] if sane else 0
    if not (sane and plausible(out, p.axes)):
        raise ValueError(f"impossible geometry {g}")
    return 0

cdef int64_t number_of(const cnp.npy_intp* extents, int axes) noexcept:
    cdef int64_t n = 1
    cdef int i
    for i in range(axes):
        n *= extents[i]
    return n

def pad_forward(g, x, double value):
    cdef Padding p
    cdef cnp.npy_intp out[AXES]
    cdef int t = floating(x)
    read_padding(g, &p, out)
    cdef void* px = data(x, t, number_of(p.size, p.axes))
    cdef int64_t n = number_of(out, p.axes)
    y = new_array(p.axes, out, t)
    if n > 0:
        pad_forward_c(sized(t, n), p.mode, p.axes, p.size, p.before, p.after, value, px, address(y))
    return y

def pad_backward(g, dy):
    cdef Padding p
    cdef cnp.npy_intp out[AXES]
    cdef int t = floating(dy)
    read_padding(g, &p, out)
    cdef void* pdy = data(dy, t, number_of(out, p.axes))
    cdef int64_t n = number_of(p.size, p.axes)
    dx = new_array(p.axes, <cnp.npy_intp*>p.size, t)
    if n > 0:
        pad_backward_c(sized(t, n), p.mode, p.axes, p.size, p.before, p.after, pdy, address(dx))
    return dx
