# Calls of public functions with plain arrays, checked once per signature.
#
# The signature of a call is all that checks may look at: types, shapes, the order of axes in memory, whether arrays may be
# written to, which of them overlap or are the same memory, and the values of the other arguments. A call that passed
# the checks leaves a plan: the binding that it called, and the arguments that the binding got. The next call of the
# same signature calls that binding at once. Values inside arrays are no part of the signature: where checks look at
# them, the plan has a guard that does so in every call.

cdef extern from "Python.h":
    object PyObject_Vectorcall(object function, PyObject* const* arguments, size_t count, PyObject* names)
    object PyMethod_New(object function, object first)

cdef enum:
    SIGNATURE_WORDS = 64
    SIGNATURE_ARRAYS = 8
    PLANNED_ARGUMENTS = 12
    KEPT_FOR_TAPE = 24
    PLANS = 512                # of one function at most; beyond them (shapes may change with every call) all are dropped
    RECENT = 64                # of those plans, found without the dictionary

cdef enum:
    ARRAY_WORD, TURNED_WORD, INT_WORD, FLOAT_WORD, OBJECT_WORD, TUPLE_WORD

cdef struct Signature:
    int count
    int arrays
    int64_t words[SIGNATURE_WORDS]
    size_t begin[SIGNATURE_ARRAYS]
    size_t end[SIGNATURE_ARRAYS]

# The functions below return whether what they got can be part of a signature.

cdef bint fills_its_memory(cnp.ndarray a) noexcept:
    """Whether there are no gaps between the elements, whose axes may be in any order."""
    cdef cnp.npy_intp last = cnp.PyArray_ITEMSIZE(a)
    cdef int i
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_STRIDES(a)[i] <= 0:
            return False
        last += (cnp.PyArray_DIMS(a)[i] - 1) * cnp.PyArray_STRIDES(a)[i]
    return last == cnp.PyArray_NBYTES(a)

cdef bint sign_array(Signature* s, cnp.ndarray a) noexcept:
    cdef int t = cnp.PyArray_TYPE(a), ndim = cnp.PyArray_NDIM(a), i
    cdef bint turned = not cnp.PyArray_ISCARRAY_RO(a)
    if (t != F32 and t != F64 and t != I64) or (turned and not (cnp.PyArray_ISBEHAVED_RO(a) and fills_its_memory(a))):
        return False
    if s.arrays == SIGNATURE_ARRAYS or s.count + ndim + ndim * turned >= SIGNATURE_WORDS - SIGNATURE_ARRAYS:
        return False
    cdef size_t begin = <size_t>cnp.PyArray_DATA(a), end = begin + cnp.PyArray_NBYTES(a)
    cdef int64_t overlaps = 0, same = 0
    for i in range(s.arrays):
        overlaps |= <int64_t>(begin < s.end[i] and s.begin[i] < end) << i
        same |= <int64_t>(begin == s.begin[i] and end == s.end[i]) << i
    s.begin[s.arrays], s.end[s.arrays] = begin, end
    s.arrays += 1
    s.words[s.count] = (TURNED_WORD if turned else ARRAY_WORD) | t << 8 | ndim << 16
    s.words[s.count] |= <int64_t>cnp.PyArray_ISWRITEABLE(a) << 24 | overlaps << 32 | same << 40
    s.count += 1
    for i in range(ndim):
        s.words[s.count + i] = cnp.PyArray_DIMS(a)[i]
        if turned:
            s.words[s.count + ndim + i] = cnp.PyArray_STRIDES(a)[i]
    s.count += ndim + ndim * turned
    return True

cdef bint sign(Signature* s, object value) noexcept:
    cdef int overflow = 0
    cdef int64_t number
    cdef double real
    if cnp.PyArray_CheckExact(value):
        return sign_array(s, <cnp.ndarray>value)
    if s.count >= SIGNATURE_WORDS - SIGNATURE_ARRAYS:
        return False
    cdef int64_t* to = s.words + s.count
    if value is None or value is True or value is False or type(value) is str:
        # The address stands for the value. A plan keeps strings alive, so that no other object gets their address.
        # The shift drops the highest byte of the address, which is always 0.
        to[0] = OBJECT_WORD | <int64_t>(<uint64_t><void*>value << 8)
        s.count += 1
        return True
    s.count += 2
    if type(value) is int:
        number = PyLong_AsLongLongAndOverflow(value, &overflow)
        to[0], to[1] = INT_WORD, number
    elif type(value) is float:
        real = PyFloat_AS_DOUBLE(value)
        to[0], to[1] = FLOAT_WORD, (<int64_t*>&real)[0]
    elif type(value) is tuple:
        to[0], to[1] = TUPLE_WORD, PyTuple_GET_SIZE(value)
        for item in <tuple>value:
            if cnp.PyArray_Check(item) or not sign(s, item):
                return False
    else:
        return False
    return overflow == 0

cdef bint sign_all(Signature* s, tuple values) noexcept:
    cdef int i
    s.count = s.arrays = 0
    for i in range(PyTuple_GET_SIZE(values)):
        if not sign(s, <object>PyTuple_GET_ITEM(values, i)):
            return False
    return True

cdef int64_t hashed(const Signature* s) noexcept:
    """The hash of a signature, in two chains of products, so that not each product waits for the one before."""
    cdef uint64_t even = s.count, odd = 1
    cdef int i
    for i in range(0, s.count - 1, 2):
        even = (even ^ <uint64_t>s.words[i]) * <uint64_t>0x9E3779B97F4A7C15
        odd = (odd ^ <uint64_t>s.words[i + 1]) * <uint64_t>0xC2B2AE3D27D4EB4F
    if s.count & 1:
        even = (even ^ <uint64_t>s.words[s.count - 1]) * <uint64_t>0x9E3779B97F4A7C15
    # Numbers such as 1.0 and 2.0 differ in high bits alone, which products never bring down.
    even ^= even >> 32
    odd ^= odd >> 29
    return <int64_t>((even * <uint64_t>0x9E3779B97F4A7C15 ^ odd) >> 4)

cdef class _Call:
    """A binding and its arguments, of which some are the caller's."""
    cdef object function
    cdef tuple arguments
    cdef int count
    cdef int from_caller[PLANNED_ARGUMENTS]  # the position among the caller's arguments, or -1

    cdef object run(self, tuple given):
        cdef PyObject* values[PLANNED_ARGUMENTS]
        cdef int i, at
        for i in range(self.count):
            at = self.from_caller[i]
            values[i] = PyTuple_GET_ITEM(self.arguments if at < 0 else given, i if at < 0 else at)
        return PyObject_Vectorcall(self.function, values, self.count, NULL)

cdef int position(cnp.ndarray a, tuple given) except -2:
    """Which of the caller's arguments an array is, or else is all of in another shape; -1 if none."""
    cdef int i
    for i in range(len(given)):
        if given[i] is a:
            return i
    for i in range(len(given)):
        if cnp.PyArray_CheckExact(given[i]) and same_memory(a, given[i]):
            return i
    return -1

cdef bint same_memory(cnp.ndarray a, cnp.ndarray b):
    return (cnp.PyArray_DATA(a) == cnp.PyArray_DATA(b) and cnp.PyArray_NBYTES(a) == cnp.PyArray_NBYTES(b)
            and cnp.PyArray_TYPE(a) == cnp.PyArray_TYPE(b)
            # Axes in another order make another array of the same memory.
            and cnp.PyArray_ISCARRAY_RO(a) and cnp.PyArray_ISCARRAY_RO(b))

cdef _Call planned_call(object function, tuple arguments, tuple given):
    """None if an array is not one of the caller's: that of another call would not be the same."""
    cdef _Call call = _Call.__new__(_Call)
    cdef int i
    call.count = len(arguments)
    if call.count > PLANNED_ARGUMENTS:
        return None
    for i in range(call.count):
        call.from_caller[i] = -1
        if cnp.PyArray_Check(arguments[i]):
            call.from_caller[i] = position(arguments[i], given)
            if call.from_caller[i] < 0:
                return None
    call.function = function
    call.arguments = tuple([None if cnp.PyArray_Check(a) else a for a in arguments])
    return call

cdef class _Reverse:
    """The function that gives the gradients of a plan's inputs, and the places of dy and needs among its arguments, or -1."""
    cdef object function
    cdef int dy, needs, inputs
    cdef bint keeps_nothing  # the function takes dy and needs alone, as the tape gives them

def follow_tape(tuple kept not None, dy, needs):
    """The gradients; ``kept`` is the `_Reverse`, then the arguments of its function, with anything for dy and needs."""
    cdef PyObject* values[KEPT_FOR_TAPE]
    cdef Py_ssize_t i, count = PyTuple_GET_SIZE(kept) - 1
    if count < 0 or count > KEPT_FOR_TAPE:
        raise ValueError(f"impossible arguments {kept}")
    cdef _Reverse reverse = <_Reverse?>kept[0]
    if reverse.dy >= count or reverse.needs >= count:
        raise ValueError(f"impossible arguments {kept}")
    for i in range(count):
        values[i] = PyTuple_GET_ITEM(kept, i + 1)
    if reverse.dy >= 0:
        values[reverse.dy] = <PyObject*>dy
    if reverse.needs >= 0:
        values[reverse.needs] = <PyObject*>needs
    gradients = PyObject_Vectorcall(reverse.function, values, count, NULL)
    if type(gradients) is tuple or type(gradients) is list:
        return gradients
    return (gradients,) if reverse.inputs == 1 else (gradients, *[None] * (reverse.inputs - 1))

cdef class _Plan:
    cdef Signature signature
    cdef tuple kept          # strings, and tuples that may hold one
    cdef _Call call, guard
    cdef bint several        # whether the call gives a tuple of results
    cdef int gives           # how many of the results the caller gets
    cdef _Reverse reverse    # None: not for calls that are differentiated
    cdef tuple keep          # what `reverse` takes, as positions in (*arguments, *results, *constants)
    cdef tuple constants

    cdef object run(self, tuple given):
        """What the binding gives, or NotImplemented where a check must see the arguments first."""
        if self.guard is not None and self.guard.run(given) is not True:
            return NotImplemented
        return self.call.run(given)

    @cython.boundscheck(True)  # results may be fewer than the caller should get
    cdef object given_of(self, object result):
        """What the caller gets of the results."""
        if not self.several:
            return result
        if self.gives == 1:
            return (<tuple?>result)[0]
        return (<tuple?>result)[:self.gives]

    @cython.boundscheck(True)  # results may be fewer than the tape wants to keep
    cdef object vjp_of(self, tuple given, object result):
        """What the tape calls with dy and needs: the method `follow_tape` of what it keeps, which costs half of a class."""
        if self.reverse.keeps_nothing:
            return self.reverse.function
        cdef list kept = [self.reverse]
        cdef int i, at, results = len(<tuple?>result) if self.several else 1
        for i in self.keep:
            if i < 0:
                kept.append(None)
            elif i < self.call.count:
                at = self.call.from_caller[i]
                kept.append(self.call.arguments[i] if at < 0 else given[at])
            else:
                at = i - self.call.count
                if at >= results:
                    kept.append(self.constants[at - results])
                else:
                    kept.append((<tuple>result)[at] if self.several else result)
        return PyMethod_New(follow_tape, tuple(kept))

cdef class _Plans:
    """The plans of one function, by signature."""
    cdef dict by_key
    cdef list recent  # for each remainder key % RECENT, the plan that was used last

    def __init__(self):
        self.by_key, self.recent = {}, [None] * RECENT

    cdef _Plan find(self, const Signature* s, int64_t key):
        cdef _Plan p = self.recent[key % RECENT]
        if p is not None and is_of(p, s):
            return p
        p = self.by_key.get(key)
        if p is None or not is_of(p, s):
            return None
        self.recent[key % RECENT] = p
        return p

    cdef int add(self, int64_t key, _Plan p) except -1:
        if len(self.by_key) >= PLANS:
            self.by_key.clear()
        self.by_key[key] = self.recent[key % RECENT] = p
        return 0

cdef bint is_of(_Plan p, const Signature* s) noexcept:
    return p.signature.count == s.count and not memcmp(p.signature.words, s.words, s.count * sizeof(int64_t))

# use_tape sets these to objects of fastnn.autograd, which is above this module, and follow_plans the last one.
cdef type tensor_type = None
cdef object tape_mode = None, record_on_tape = None, record_many_on_tape = None, native_backend = None

def use_tape(tensor, mode, record, record_many):
    global tensor_type, tape_mode, record_on_tape, record_many_on_tape
    tensor_type, tape_mode, record_on_tape, record_many_on_tape = tensor, mode, record, record_many

def follow_plans(backend):
    """Keep plans and follow them, with the functions of ``backend``; None: check every call."""
    global native_backend
    native_backend = backend

cdef bint is_differentiated(value) noexcept:
    return cnp.PyArray_CheckExact(value) and cnp.PyArray_TYPE(<cnp.ndarray>value) in (F32, F64)

cdef object as_array(object result):
    """What a tensor holds: an array, also in the place of a NumPy scalar."""
    if cnp.PyArray_CheckExact(result):
        return result
    cdef object y = new_array(0, NULL, F64 if isinstance(result, float) else F32)
    cnp.PyArray_ScalarAsCtype(result, cnp.PyArray_DATA(<cnp.ndarray>y))
    return y

cdef class _Planned:
    """What public functions call: an operation (`fastnn.functional._op.Op`), and the plans of its earlier calls."""
    cdef object op, name, row_of
    cdef tuple inputs
    cdef _Plans plans, taped_plans

    def __init__(self, op, row_of):
        self.op, self.name, self.row_of, self.inputs = op, op.name, row_of, op.inputs
        self.plans, self.taped_plans = _Plans(), _Plans()

    def __call__(self, *given):
        cdef Signature s
        cdef int64_t key
        cdef _Plan p
        if native_backend is None:
            return self.op.checked(*given)
        if not sign_all(&s, given):
            return self.of_tensors(given) if self.inputs else self.op.checked(*given)
        key = hashed(&s)
        p = self.plans.find(&s, key)
        if p is None:
            return self.first(&s, key, given, given, False)
        result = p.run(given)
        return self.op.checked(*given) if result is NotImplemented else p.given_of(result)

    @cython.boundscheck(True)  # arguments may be fewer than inputs
    cdef object of_tensors(self, tuple given):
        """By a plan where nothing but the tape wants to know of the call."""
        cdef Signature s
        cdef int64_t key
        cdef _Plan p
        cdef list arrays = [(<object>a).data if isinstance(a, tensor_type) else a for a in given]
        cdef tuple plain = tuple(arrays)
        if tape_mode.forward or tape_mode.observers or not sign_all(&s, plain):
            return self.op.checked(*given)
        cdef bint wanted = False
        if tape_mode.enabled:
            for i, a in enumerate(given):
                if isinstance(a, tensor_type) and a._requires_grad:
                    if i not in self.inputs:
                        return self.op.checked(*given)  # which refuses it
                    wanted = True
        key = hashed(&s)
        p = (self.taped_plans if wanted else self.plans).find(&s, key)
        if p is None:
            return self.first(&s, key, given, plain, wanted)
        if wanted and p.reverse is None:
            return self.op.checked(*given)
        result = p.run(plain)
        if result is NotImplemented:
            return self.op.checked(*given)
        value = p.given_of(result)
        cdef list inputs = [given[i] for i in self.inputs]
        vjp = p.vjp_of(plain, result) if wanted else None
        if p.gives > 1:
            return self.several_recorded(<tuple>value, inputs, vjp)
        y = record_on_tape(self.name, as_array(value), inputs, vjp)
        # y is an array where the only tensors are constants: then the caller gets what a call without tensors gives.
        return value if cnp.PyArray_CheckExact(y) else y

    cdef tuple several_recorded(self, tuple values, list inputs, vjp):
        """The values, of which those that are differentiated, arrays of floats, are tensors; they come first."""
        cdef list outputs = [v for v in values if is_differentiated(v)]
        if vjp is not None and len(outputs) > 1:
            tensors = record_many_on_tape(self.name, outputs, inputs, vjp)
        else:
            tensors = [record_on_tape(self.name, y, inputs, vjp) for y in outputs]
        return (*tensors, *values[len(outputs):])

    cdef object first(self, const Signature* s, int64_t key, tuple given, tuple plain, bint wanted):
        """The first call of a signature: it is checked, follows the plan, and leaves it for the next one."""
        cdef _Plan p
        plan = (self.op.taped if wanted else self.op.plan)(*plain)
        p = kept_plan(s, plain, self.row_of(plan), len(self.inputs))
        if p is not None:
            (self.taped_plans if wanted else self.plans).add(key, p)
        return self.op.follow(plan, given, wanted)

cdef _Reverse reverse_of(vjp, tuple keep, int inputs):
    if vjp is None:
        return None
    cdef _Reverse reverse = _Reverse.__new__(_Reverse)
    reverse.function, reverse.inputs = vjp, inputs
    reverse.keeps_nothing = keep == (-1, -2)
    reverse.dy, reverse.needs = [keep.index(moving) if moving in keep else -1 for moving in (-1, -2)]
    return reverse

cdef _Plan kept_plan(const Signature* s, tuple given, row, int inputs):
    """What a row says, for calls of a signature; None where a call needs arrays that are not the caller's."""
    if row is None:
        return None
    cdef _Plan p = _Plan.__new__(_Plan)
    p.signature = s[0]
    p.kept = tuple([a for a in given if isinstance(a, (str, tuple))])
    function, arguments, guard, p.several, p.gives, vjp, p.keep, p.constants = row
    if any([i < -2 for i in p.keep]):
        raise ValueError(f"impossible positions {p.keep}")
    if len(p.keep) > KEPT_FOR_TAPE:
        return None
    p.reverse = reverse_of(vjp, p.keep, inputs)
    p.call = planned_call(getattr(native_backend, function) if isinstance(function, str) else function, arguments, given)
    p.guard = None if guard is None else planned_call(globals()[guard[0]], guard[1:], given)
    return None if p.call is None or (guard is not None and p.guard is None) else p

def planned(op, row_of):
    """A function that does what ``op.checked`` does, by what ``row_of`` keeps of earlier plans where it can."""
    return _Planned(op, row_of)
