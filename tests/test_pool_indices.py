"""Pooling with indices that callers give: each is taken if a window holds it, and refused otherwise."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from harness import DTYPES, ISAS, THREADS, needs_native

pytestmark = needs_native


# name: rank and shape of x, arguments of max_pool or the output size of adaptive_max_pool
GIVEN = {
    "max": ((2, 3, 7, 6), (3, 2, 1)),
    "max, dilated": ((1, 2, 9, 11), (3, 1, 2, 2)),
    "max, steps and dilation differ": ((1, 1, 8, 12), ((2, 3), (3, 1), (1, 2), (3, 2), True)),
    "max, images narrower than the window": ((2, 2, 9, 2), ((2, 3), 1, (0, 1))),
    "max, one column": ((3, 2, 8, 1), ((3, 1), 2, (1, 0))),
    "max of lines": ((2, 3, 19), (4, 3, 1)),
    "max of volumes": ((1, 2, 4, 5, 6), (2, 1, 1, (1, 2, 2))),
    "max of flat volumes": ((1, 2, 1, 5, 9), ((3, 2, 2), 1, (1, 1, 0))),
    "max of 32-bit indices": ((1, 1, 20, 19), (17, 1, 0)),
    "adaptive": ((2, 3, 7, 9), ((3, 4),)),
    "adaptive of lines": ((2, 3, 17), (19,)),
    "adaptive of volumes": ((1, 2, 4, 5, 6), ((3, 2, 5),)),
    "adaptive of flat volumes": ((1, 2, 1, 5, 6), ((3, 2, 5),)),
}
by_given = pytest.mark.parametrize("case", GIVEN)
on_both = pytest.mark.parametrize("numpy_backend", [False, True])
by_place = pytest.mark.parametrize("where", ["numpy", *ISAS])


def use(where, native):
    """The NumPy backend, or an instruction set of the compiled one."""
    if where == "numpy":
        fnn.use_backend("numpy")
    else:
        native.set_isa(where)


class GivenIndices:
    def __init__(self, case, dtype=np.float32):
        shape, self.arguments = GIVEN[case]
        rng = np.random.default_rng(len(case))
        self.x = rng.standard_normal(shape).astype(dtype)
        self.name = f"{'adaptive_' * case.startswith('adaptive')}max_pool{len(shape) - 2}d"
        self.y, self.indices = getattr(F, self.name)(self.x, *self.arguments, return_indices=True)
        self.dy = rng.standard_normal(self.y.shape).astype(dtype)

    def backward(self, indices=None, x=None):
        return getattr(F, self.name + "_backward")(
            self.dy, self.x if x is None else x, *self.arguments, indices=indices
        )

    def held(self, at):
        """The positions that an output's window holds: those of a NaN which become its maximum."""
        flat = np.zeros(self.x.shape, self.x.dtype).reshape(*self.x.shape[:2], -1)
        plane, found = at[:2], []
        for position in range(flat.shape[2]):
            flat[plane][position] = np.nan
            y = getattr(F, self.name)(flat.reshape(self.x.shape), *self.arguments)
            flat[plane][position] = 0
            found += [position] * bool(np.isnan(y[at]))
        return found


@by_place
@by_given
def test_given_indices(case, where, native):
    use(where, native)
    for dtype in DTYPES:
        given = GivenIndices(case, dtype)
        expected = given.backward()
        for threads in THREADS:
            native.set_num_threads(threads)
            assert np.array_equal(given.backward(given.indices), expected)
        wide = np.full((*given.indices.shape, 2), -1)
        wide[..., 1] = given.indices
        frozen = given.indices.copy()
        frozen.flags.writeable = False
        forms = [
            frozen,
            wide[..., 1],
            given.indices.astype(np.int64, order="F"),
            given.indices.astype(">i8"),
            given.indices.tolist(),
        ]
        forms += [given.indices.astype(t) for t in ("i2", "i4", "u2", "u4", "u8", np.longlong)]
        for form in forms:
            assert np.array_equal(given.backward(form, given.x.shape), expected)


@by_place
@by_given
def test_every_position_that_a_window_holds_is_taken_and_no_other(case, where, native):
    use(where, native)
    given = GivenIndices(case)
    planes, size = given.x.shape[:2], int(np.prod(given.x.shape[2:]))
    last = tuple(n - 1 for n in given.y.shape)
    for at in {(0,) * len(last), last, tuple(n // 2 for n in given.y.shape)}:
        held = given.held(at)
        for position in [*range(-2, size + 2), 2**31, 2**32 + held[0], 2**48 + held[0], -(2**62), 2**63 - 1, -(2**63)]:
            indices = given.indices.copy()
            indices[at] = position
            if position in held:
                dx = given.backward(indices).reshape(*planes, size)
                expected = np.zeros(dx.shape)
                for o in np.ndindex(given.y.shape):
                    expected[(*o[:2], indices[o])] += given.dy[o]
                np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-6)
                continue
            where = f"outside their windows in an image of size .*, the first at {at}: {position}$"
            for _ in range(2):  # the second call would follow a plan
                with pytest.raises(ValueError, match=where.replace("(", r"\(").replace(")", r"\)")):
                    given.backward(indices)


@on_both
def test_unsigned_indices_beyond_int64_are_refused(numpy_backend):
    fnn.use_backend("numpy" if numpy_backend else "native")
    given = GivenIndices("max")
    for huge in (2**63, 2**64 - 1, 2**64 - given.indices.size):
        with pytest.raises(
            ValueError, match=rf"max_pool2d_backward: indices .* hold {huge}, which is no position in any image"
        ):
            given.backward(np.full(given.indices.shape, huge, np.uint64))


@pytest.mark.parametrize("threads", THREADS)
def test_one_wrong_index_among_many(threads, native):
    """Whichever thread meets it."""
    native.set_num_threads(threads)
    x = np.random.default_rng(0).standard_normal((4, 5, 12, 34)).astype(np.float32)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    for at in ((0, 0, 0, 0), (1, 2, 3, 4), (3, 4, 5, 16)):
        wrong = indices.copy()
        wrong[at] += 70
        with pytest.raises(ValueError, match="outside their windows"):
            F.max_pool2d_backward(y, x, 2, indices=wrong)
    assert F.max_pool2d_backward(y, x, 2, indices=indices).any()
