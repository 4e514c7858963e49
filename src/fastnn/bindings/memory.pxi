# What an array must be for a kernel to read or write it, and memory for results. How kernels are called.

cdef enum:
    F32 = cnp.NPY_FLOAT32
    F64 = cnp.NPY_FLOAT64
    I64 = cnp.NPY_INT64

cdef extern from "call.h" namespace "fastnn":
    cdef struct Call:
        cbool is_double
        int64_t size
    const int64_t kReleaseGil

# The first argument of every function of fastnn::call: the type of the elements, and their number. From kReleaseGil
# elements on the call releases the GIL: sized() gives the number as it is, long_call() always releases, short_call() never.
cdef inline Call sized(int typenum, int64_t size) noexcept:
    return Call(typenum == F64, size)

cdef inline Call long_call(int typenum) noexcept:
    return Call(typenum == F64, kReleaseGil)

cdef inline Call short_call(int typenum) noexcept:
    return Call(typenum == F64, 0)

cdef int floating(object a) except -1:
    """Type number of a float32 or float64 array."""
    cdef int t
    if not cnp.PyArray_Check(a):
        raise TypeError(f"expected an ndarray, got {type(a).__name__}")
    t = cnp.PyArray_TYPE(<cnp.ndarray>a)
    if t != F32 and t != F64:
        raise TypeError(f"expected float32 or float64, got {(<cnp.ndarray>a).dtype}")
    return t

cdef void* data(object a, int typenum, int64_t size) except NULL:
    """Address of a plain (C-contiguous, aligned, native) array of exactly that type and size."""
    if not cnp.PyArray_Check(a):
        raise TypeError(f"expected an ndarray, got {type(a).__name__}")
    cdef cnp.ndarray array = <cnp.ndarray>a
    if cnp.PyArray_TYPE(array) != typenum:
        raise TypeError(f"expected type number {typenum}, got {array.dtype}")
    if not cnp.PyArray_ISCARRAY_RO(array):
        raise ValueError("expected a C-contiguous, aligned array in native byte order")
    if cnp.PyArray_SIZE(array) != size:
        raise ValueError(f"expected {size} elements, got an array of shape {(<object>array).shape}")
    return cnp.PyArray_DATA(array)

# Elementwise kernels also take arrays that are C-contiguous but for the order of their axes. They go through the memory
# of such an array from its beginning to its end, and the result has the same strides.

cdef bint is_dense(cnp.ndarray a) noexcept:
    """Whether its elements fill its memory, in some order of its axes."""
    cdef int ndim = cnp.PyArray_NDIM(a), i
    cdef cnp.npy_intp stride = cnp.PyArray_ITEMSIZE(a)
    cdef uint64_t found = 0
    cdef bint more = cnp.PyArray_ISBEHAVED_RO(a)
    if not more:
        return False
    while more:
        more = False
        for i in range(ndim):
            if not found >> i & 1 and (cnp.PyArray_DIMS(a)[i] == 1 or cnp.PyArray_STRIDES(a)[i] == stride):
                found |= <uint64_t>1 << i
                stride *= cnp.PyArray_DIMS(a)[i]
                more = True
    return found == (<uint64_t>1 << ndim) - 1 if ndim < 64 else found + 1 == 0

cdef inline void* dense(object a, int typenum, int64_t size) except NULL:
    """As `data`, for an array whose axes may be in any order."""
    if cnp.PyArray_Check(a) and not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a) and is_dense(<cnp.ndarray>a):
        return turned_data(<cnp.ndarray>a, typenum, size)
    return data(a, typenum, size)

cdef void* turned_data(cnp.ndarray a, int typenum, int64_t size) except NULL:
    if cnp.PyArray_TYPE(a) != typenum or cnp.PyArray_SIZE(a) != size:
        raise TypeError(f"expected {size} elements of type number {typenum}, got {a.dtype} of shape {(<object>a).shape}")
    return cnp.PyArray_DATA(a)

cdef inline void* beside(object a, object first, int typenum, int64_t size) except NULL:
    """As `dense`, for an array whose elements must lie in the same order as those of ``first``, which is dense."""
    if cnp.PyArray_Check(a) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>first):
        return data(a, typenum, size)
    cdef void* p = dense(a, typenum, size)
    same_strides(<cnp.ndarray>a, <cnp.ndarray>first)
    return p

cdef int same_strides(cnp.ndarray a, cnp.ndarray b) except -1:
    cdef int ndim = cnp.PyArray_NDIM(a), i
    cdef bint same = ndim == cnp.PyArray_NDIM(b)
    for i in range(ndim if same else 0):
        same = same and cnp.PyArray_DIMS(a)[i] == cnp.PyArray_DIMS(b)[i] and (
            cnp.PyArray_DIMS(a)[i] == 1 or cnp.PyArray_STRIDES(a)[i] == cnp.PyArray_STRIDES(b)[i])
    if not same:
        raise ValueError("expected arrays of the same strides")
    return 0

cdef inline void* address(object a) noexcept:
    """The address of an array that was just made, or NULL for None."""
    return NULL if a is None else cnp.PyArray_DATA(<cnp.ndarray>a)

cdef void* optional(object a, int typenum, int64_t size) except? NULL:
    return NULL if a is None else data(a, typenum, size)

cdef void* writable(object a, int typenum, int64_t size) except NULL:
    cdef void* p = data(a, typenum, size)
    if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>a):
        raise ValueError("output array is read-only")
    return p

cdef void* optional_writable(object a, int typenum, int64_t size) except? NULL:
    return NULL if a is None else writable(a, typenum, size)

cdef enum:
    AXES = 64                        # of an array, at most: NPY_MAXDIMS

# Whether sizes that a caller gave as numbers, not by arrays, are possible: none is negative, and their product is below
# 2^48, more elements than any memory holds, so that it does not overflow. An extent of 0 counts as 1, so that the
# product of some of the extents is bounded, too.
cdef bint plausible(const int64_t* extents, int count) noexcept:
    cdef double product = 1
    cdef int i
    for i in range(count):
        if extents[i] < 0:
            return False
        product *= extents[i] if extents[i] > 1 else 1
    return product <= <double>(<int64_t>1 << 48)

cdef inline int64_t elements(int64_t a, int64_t b, int64_t c=1, int64_t d=1) except -1:
    """How many elements an array of these extents has."""
    if <uint64_t>(a | b | c | d) < 4096:  # small extents, quickly: a small call checks several such products
        return a * b * c * d
    return many_elements(a, b, c, d)

cdef int64_t many_elements(int64_t a, int64_t b, int64_t c, int64_t d) except -1:
    cdef int64_t extents[4]
    extents[0], extents[1], extents[2], extents[3] = a, b, c, d
    if not plausible(extents, 4):
        raise ValueError(f"impossible extents {a}, {b}, {c}, {d}")
    return a * b * c * d

cdef int read_numbers(object values, int64_t* to, int count) except -1:
    """Copy numbers from a tuple, which must have as many."""
    cdef int i
    if not isinstance(values, tuple) or PyTuple_GET_SIZE(values) != count:
        raise ValueError(f"expected a tuple of {count} numbers, got {values!r}")
    for i in range(count):
        to[i] = <object>PyTuple_GET_ITEM(values, i)
    return 0

cdef int read_extents(object values, int64_t* to, int count) except -1:
    """The same for numbers that must be possible as extents of one array."""
    read_numbers(values, to, count)
    if not plausible(to, count):
        raise ValueError(f"impossible geometry {values}")
    return 0

cdef const cnp.npy_intp* extents_of(object a, int ndim) except NULL:
    """The extents of an array, which must have so many axes."""
    if not cnp.PyArray_Check(a) or cnp.PyArray_NDIM(<cnp.ndarray>a) != ndim:
        raise ValueError(f"expected an array of {ndim} axes, got {type(a).__name__} of shape {getattr(a, 'shape', None)}")
    return cnp.PyArray_DIMS(<cnp.ndarray>a)

cdef extern from "memory.h" namespace "fastnn" nogil:
    void* take_block(size_t bytes, size_t* capacity)
    void give_block(void* block, size_t capacity)
    size_t cache_limit_c "fastnn::cache_limit"()
    void set_cache_limit_c "fastnn::set_cache_limit"(size_t bytes)
    size_t cached_bytes_c "fastnn::cached_bytes"()
    void empty_cache_c "fastnn::empty_cache"()

def cache_limit():
    """How many bytes of dead arrays are kept at most."""
    return cache_limit_c()

def set_cache_limit(size_t size):
    set_cache_limit_c(size)

def cached_bytes():
    """How many bytes of dead arrays are kept."""
    return cached_bytes_c()

def empty_cache():
    """Give what is kept back to the system."""
    empty_cache_c()

cdef class _Block:
    """The memory of an array; its base, so that it lives as long as the array and its views."""
    cdef void* start
    cdef size_t capacity

    def __dealloc__(self):
        if self.start != NULL:
            give_block(self.start, self.capacity)

cdef enum:
    SMALL = 4096     # below this many bytes NumPy's allocation is faster than that of an array and a _Block

cdef object new_array(int ndim, cnp.npy_intp* dims, int typenum, cnp.npy_intp* strides=NULL):
    """Uninitialised array, C-contiguous or with strides that are dense. A large one starts on a cache line: full-vector
    stores that straddle two lines made a first-layer convolution 1.6 times slower, and NumPy aligns to 16 bytes. Its
    memory is kept when it dies."""
    cdef cnp.dtype descr = cnp.PyArray_DescrFromType(typenum)
    cdef cnp.npy_intp bytes = cnp.PyDataType_ELSIZE(descr)
    cdef int i
    for i in range(ndim):
        if dims[i] > 0 and bytes > (<int64_t>1 << 60) // dims[i]:
            return cnp.PyArray_EMPTY(ndim, dims, typenum, 0)  # NumPy raises the error that the array is too big
        bytes *= dims[i]
    if bytes < SMALL:
        if strides == NULL:
            return cnp.PyArray_EMPTY(ndim, dims, typenum, 0)
        return cnp.PyArray_New(cnp.ndarray, ndim, dims, typenum, strides, NULL, 0, 0, None)
    cdef _Block block = _Block.__new__(_Block)
    block.start = take_block(bytes, &block.capacity)
    if block.start == NULL:
        raise MemoryError(f"no memory for an array of {bytes} bytes")
    cdef cnp.ndarray array = cnp.PyArray_New(
        cnp.ndarray, ndim, dims, typenum, strides, block.start, 0, cnp.NPY_ARRAY_CARRAY, None)
    cnp.set_array_base(array, block)
    return array

cdef object empty_like(object x, int typenum):
    """Uninitialised array of the shape and the strides of another, which is dense."""
    cdef cnp.ndarray a = <cnp.ndarray>x
    if cnp.PyArray_IS_C_CONTIGUOUS(a):
        return new_array(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), typenum)
    return new_array(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), typenum, cnp.PyArray_STRIDES(a))

def empty(tuple shape not None, cnp.dtype dtype not None):
    """Uninitialised array for a kernel to fill."""
    cdef int t = dtype.type_num
    if t != F32 and t != F64 and t != I64:
        raise TypeError(f"expected float32, float64 or int64, got {dtype}")
    return new_shaped(shape, t)

cdef object new_shaped(tuple shape, int typenum):
    cdef cnp.npy_intp dims[AXES]
    cdef Py_ssize_t i, ndim = len(shape)
    if ndim > AXES:
        raise ValueError(f"{ndim} axes are too many")
    for i in range(ndim):
        dims[i] = shape[i]
    return new_array(<int>ndim, dims, typenum)

cdef object workspace(int typenum, int64_t size):
    """A row of as many numbers, uninitialised: scratch of a kernel, or a result."""
    cdef cnp.npy_intp n = size
    return new_array(1, &n, typenum)

cdef object matrix(int typenum, int64_t rows, int64_t columns):
    cdef cnp.npy_intp[2] extents = [rows, columns]
    return new_array(2, extents, typenum)

cdef object gradient_array(object need, int typenum, int ndim, cnp.npy_intp* extents):
    """What the gradient of a parameter is written to: the array that ``need`` brings along (a `Target`), or a new one."""
    array = getattr(need, "array", None)
    return new_array(ndim, extents, typenum) if array is None else array
