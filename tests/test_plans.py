"""Calls of plain arrays that were checked before go straight to the bindings, and only those."""

import gc
import inspect
import threading
import weakref

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from bad_input import IN_PLACE, LEGAL
from fastnn.autograd import raw
from fastnn.functional._op import OPS as OPERATIONS
from fastnn.functional._op import Plan, _names, row_of
from harness import DTYPES, evaluate, is_float, outputs_of, own, same_bits
from op_table import OPS

pytestmark = pytest.mark.usefixtures("native")

f = np.float32


class Checked:
    """An operation whose calls are counted: how many were planned, and how many followed no earlier plan."""

    def __init__(self, op):
        self.op, self.inputs, self.name = op, op.inputs, op.name
        self.plans = self.checks = 0

    def plan(self, *given):
        self.plans += 1
        return self.op.plan(*given)

    def taped(self, *given):
        self.plans += 1
        return self.op.taped(*given)

    def follow(self, *arguments):
        return self.op.follow(*arguments)

    def checked(self, *given):
        self.checks += 1
        return self.op.checked(*given)


def planned(native, op):
    """What a public function calls, with no plans yet, and its operation."""
    counted = Checked(op)
    return native.planned(counted, row_of), counted


# Without what makes the divisor or x depend on values, what must be broadcast, and positions that become taps.
CHANGES = {
    "binary_cross_entropy_with_logits": {"weight": None, "pos_weight": None},
    "binary_cross_entropy_with_logits_backward": {"weight": None, "pos_weight": None},
    "cross_entropy": {"weight": None},
    "cross_entropy_backward": {"weight": None},
    "nll_loss": {"weight": None},
    "nll_loss_backward": {"weight": None},
    "instance_norm": {"running_mean": None, "running_var": None},
    **{op: {"lengths": None, "return_saved": False} for op in ("rnn", "gru", "lstm")},
    **{f"{kind}_pool{rank}d_backward": {"indices": None} for kind in ("max", "adaptive_max") for rank in (1, 2, 3)},
}


def arguments_of(name):
    """All arguments in order, of a call that has a plan."""
    bound = inspect.signature(getattr(F, name)).bind(**LEGAL[name] | CHANGES.get(name, {}))
    bound.apply_defaults()
    given = bound.arguments
    return [given[k].copy() if k in IN_PLACE.get(name, ()) and given[k] is not None else given[k] for k in given]


def test_the_gradient_is_of_the_backend_that_computed(native):
    a, w = np.ones((2, 3), f), fnn.Tensor(np.ones((4, 3), f), requires_grad=True)
    for _ in range(3):
        y = F.linear(a, w)
    with fnn.use_backend("numpy"):
        y.backward(np.ones((2, 4), f))
    np.testing.assert_array_equal(w.grad, np.full((4, 3), 2, f))


def test_a_residual_is_not_kept_that_its_gradient_does_not_need():
    x, ones = fnn.Tensor(np.ones((4, 2), f), requires_grad=True), np.ones(2, f)
    for _ in range(2):
        residual = np.ones((4, 2), f)
        kept = weakref.ref(residual)
        y = F.batch_norm_relu(x, np.zeros(2, f), ones, ones, ones, residual)
        del residual
        assert kept() is None
        y.sum().backward()


# Operations that get what the public function of their name got: that of random ReLU is for evaluation, with one slope.
PLANNED = sorted((OPERATIONS.keys() & set(F.__all__)) - {"rrelu", "rrelu_backward"})


@pytest.mark.parametrize("name", PLANNED)
def test_every_operation_keeps_a_plan_for_its_legal_arguments(name, native):
    function, op = planned(native, OPERATIONS[name])
    for _ in range(2):
        results = (outputs_of(g(*arguments_of(name))) for g in (function, OPERATIONS[name].checked))
        for ours, theirs in zip(*results, strict=True):
            assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())
    assert (op.plans, op.checks) == (1, 0)


@pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("op", [op for op in OPS if not op.in_place], ids=str)
def test_arrays_give_what_tensors_give(op, dtype):
    """Every time: a first call is checked, the next follows its plan."""
    for sample in (s.cast(dtype) for s in op.samples()):
        if not any(a is not None for a in sample.arrays):
            continue
        tensors = tuple(None if a is None else fnn.Tensor(a) for a in sample.arrays)
        expected = [raw(y) for y in outputs_of(op(own(sample, op.in_place), tensors))]
        for _ in range(2):
            actual = outputs_of(op(own(sample, op.in_place), tuple(map(raw, sample.arrays))))
            for a, b in zip(map(raw, actual), expected, strict=True):
                assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), sample


RECORDED = [op for op in OPS if op.name in PLANNED]


@pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
@pytest.mark.parametrize("op", RECORDED, ids=str)
def test_tensors_by_a_kept_plan_give_what_a_new_one_gives(op, dtype, native):
    for sample in (s.cast(dtype) for s in op.samples()):
        native.follow_plans(None)
        try:
            expected = evaluate(op, sample)
        finally:
            native.follow_plans(fnn.backend.current())
        for _ in range(2):
            assert same_bits(evaluate(op, sample), expected) == [], sample


@pytest.mark.parametrize("op", RECORDED, ids=str)
def test_tensors_reach_the_plan(op, native):
    function, counted = planned(native, OPERATIONS[op.name])
    given = arguments_of(op.name)
    for i in counted.inputs:
        given[i] = fnn.Tensor(given[i], requires_grad=True) if is_float(given[i]) else given[i]
    for _ in range(2):
        wanted = [isinstance(given[i], fnn.Tensor) for i in counted.inputs]
        outputs = [y for y in outputs_of(function(*given)) if isinstance(y, fnn.Tensor)]
        for node in (y._node for y in outputs):
            operation = node if len(outputs) == 1 else node.parents[0]  # outputs of one operation share its node
            assert [parent is not None for parent in operation.parents] == wanted
        with fnn.no_grad():
            results = [y for y in outputs_of(function(*given)) if isinstance(y, fnn.Tensor)]
        assert [y.requires_grad for y in results] == [False] * len(outputs)
        assert outputs
    assert (counted.plans, counted.checks) == (2, 0)


def test_tensors_follow_no_kept_plan_where_somebody_looks(native):
    function, op = planned(native, OPERATIONS["linear"])
    a, w = np.ones((2, 3), f), fnn.Tensor(np.ones((4, 3), f), requires_grad=True)
    function(a, w, None)
    assert op.checks == 0
    with fnn.detect_anomaly():
        function(a, w, None)
    value, moved = fnn.jvp(lambda v: function(v, w, None), (a,), (a,))
    np.testing.assert_array_equal(value, moved)
    assert op.checks == 2


def test_what_a_plan_keeps_of_tensors_is_freed():
    w = fnn.Tensor(np.ones((4, 3), f), requires_grad=True)
    for _ in range(2):
        given = np.ones((2, 3), f)
        kept = weakref.ref(given)
        y = F.linear(given, w)
        del given
        assert kept() is not None
        y.sum().backward()
        assert kept() is None


@pytest.mark.parametrize("name", PLANNED)
def test_plans_keep_no_array(name):
    for taped in (False, True):
        for _ in range(2):
            given = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments_of(name)]
            arrays = [weakref.ref(a) for a in given if isinstance(a, np.ndarray)]
            if taped:
                for i in OPERATIONS[name].inputs:
                    given[i] = fnn.Tensor(given[i], requires_grad=True) if is_float(given[i]) else given[i]
            function = getattr(F, name)
            function(**dict(zip(inspect.signature(function).parameters, given, strict=True)))
            del given
            if any(a() is not None for a in arrays):  # a collection takes a second after thousands of tests
                gc.collect()
            assert [a() for a in arrays] == [None] * len(arrays)


@pytest.mark.parametrize("name", PLANNED)
def test_functions_of_tapes_are_made_once(name):
    """Their signatures are remembered for good, so that one made for each plan would never be freed."""
    sizes = []
    for _ in range(3):
        given = arguments_of(name)
        for i in OPERATIONS[name].inputs:
            given[i] = fnn.Tensor(given[i], requires_grad=True) if is_float(given[i]) else given[i]
        OPERATIONS[name].checked(*given)
        sizes.append(_names.cache_info().currsize)
    assert sizes[0] == sizes[1] == sizes[2]


@pytest.mark.parametrize(("name", "more"), [("cross_entropy", (0.0,)), ("nll_loss", ())])
def test_losses_of_positions_keep_a_plan(name, more, native):
    function, op = planned(native, OPERATIONS[name])
    for _ in range(2):
        loss = function(np.zeros((2, 3, 4), f), np.zeros((2, 4), np.int64), None, -100, "none", *more)
        assert loss.shape == (2, 4)
    assert (op.plans, op.checks) == (1, 0)


# ---- what a plan depends on ----------------------------------------------------------------------------------------


@pytest.fixture
def counted(native):
    """A function of any arguments, with how often calls were planned first, and how often past any kept plan."""

    def build(binding="relu_forward", arguments=lambda x, *_: (x,), **columns):
        calls = {"plan": 0, "full": 0}

        class Operation:
            name, inputs = "counted", ()

            def plan(self, *given):
                calls["plan"] += 1
                return Plan(binding, arguments(*given), **columns)

            def follow(self, plan, given, followed):
                return getattr(native, plan.function)(*plan.arguments)

            def checked(self, *given):
                calls["full"] += 1

        return native.planned(Operation(), row_of), calls

    return build


x = np.ones(6, f)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ((x,), (np.ones(7, f),)),
        ((x,), (np.ones((2, 3), f),)),
        ((x,), (np.ones(6),)),
        ((x, 1), (x, True)),
        ((x, 1), (x, 1.0)),
        ((x, 1), (x, 2)),
        ((x, 0.0), (x, -0.0)),
        ((x, None), (x, False)),
        ((x, (1, 2)), (x, (1, 3))),
        ((x, (1, 2)), (x, 1, 2)),
        ((x, (1, (2,))), (x, ((1,), 2))),
        ((x, "mean"), (x, "sum")),
        ((x, np.ones(6, f)), (x, x)),
        ((x[:5], x[1:]), (x[:5], x[:5])),
        ((x.reshape(2, 3),), (x.reshape(3, 2).T,)),
        ((np.ones((2, 3, 4), f).transpose(1, 0, 2),), (np.ones((2, 4, 3), f).transpose(2, 0, 1),)),
        ((x.reshape(2, 3).T, x[:2]), (x.reshape(2, 3).T, np.ones(2, f))),
        ((x[:3], x[3:]), (x[:4], x[2:])),
    ],
)
def test_other_calls_are_planned_apart(first, other, counted):
    function, calls = counted()
    for times, given in enumerate([first, other, first, other]):
        function(*given)
        assert calls == {"plan": min(times + 1, 2), "full": 0}


def test_read_only_arrays_are_planned_apart(counted):
    function, calls = counted()
    fixed = x.copy()
    fixed.flags.writeable = False
    function(x)
    function(fixed)
    assert calls["plan"] == 2


@pytest.mark.parametrize(
    "given",
    [(x[::2],), (np.ones((3, 4), f)[:, :2],), (x[::-1],), (np.broadcast_to(x, (2, 6)),), (x.astype(">f4"),), (x.astype(np.float16),), (fnn.Tensor(x),), (x.tolist(),), (x, np.int64(1)),
     (x, 2**70), (x, [1]), (x, (1, x)), (np.ma.masked_array(x),), (x,) * 9, (np.ones((1,) * 60, f),)],
    ids=lambda given: type(given[-1]).__name__,
)  # fmt: skip
def test_what_is_not_plain_follows_no_kept_plan(given, counted):
    function, calls = counted()
    function(*given)
    assert calls == {"plan": 0, "full": 1}


def test_arrays_of_a_plan_must_be_those_of_the_call(counted):
    function, calls = counted(arguments=lambda x: (x + 1,))
    for times in range(1, 4):
        function(x)
        assert calls == {"plan": times, "full": 0}


def test_an_array_in_another_shape_is_still_that_of_the_call(counted):
    function, calls = counted(arguments=lambda x: (x.reshape(-1),))
    function(np.ones((2, 3), f))
    for value in (1, -2):
        np.testing.assert_array_equal(function(np.full((2, 3), value, f)), np.full((2, 3), max(value, 0)))
    assert calls == {"plan": 1, "full": 0}


def test_axes_in_another_order_make_another_array(counted):
    """The plan's array is the memory of the caller's, but its elements are in another order."""
    function, calls = counted(arguments=lambda x: (x.T,))
    for times in range(1, 4):
        function(np.arange(6, dtype=f).reshape(2, 3).T)
        assert calls == {"plan": times, "full": 0}


def test_guards_look_at_every_call(counted):
    ours = np.ones(6, f)
    function, calls = counted(guard=("values_within", ours, 0.0, 1.0))
    assert function(ours) is not None
    ours[3] = np.nan
    assert function(ours) is None
    assert calls == {"plan": 1, "full": 1}


def test_guards_of_other_arrays_make_no_plan(counted):
    function, calls = counted(guard=("values_within", x.copy(), 0.0, 1.0))
    for times in range(1, 4):
        function(x)
        assert calls == {"plan": times, "full": 0}


def test_many_shapes(counted):
    function, calls = counted()
    for n in range(2000):
        assert function(np.ones(n % 1000, f)).shape == (n % 1000,)
    assert calls["full"] == 0


def test_threads_share_plans():
    """More signatures than a function keeps, met and forgotten by several threads at once."""
    weight, wrong = np.ones((2, 3), f), []

    def work(first):
        for n in range(first, first + 700):
            y = F.linear(np.full((n % 650 + 1, 3), n, f), weight)
            if y.shape != (n % 650 + 1, 2) or (y != 3 * n).any():
                wrong.append(n)

    workers = [threading.Thread(target=work, args=(100 * i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.parametrize("order", [("native", "numpy", "native"), ("numpy", "native", "numpy")])
def test_backends_are_switched_with_plans(order):
    a, b = np.full((2, 3), 0.1, f), np.full((4, 3), 0.3, f)
    for name in order:
        with fnn.use_backend(name):
            for _ in range(2):
                np.testing.assert_allclose(F.linear(a, b), np.full((2, 4), 0.09, f), rtol=1e-5)


# ---- what is refused after a call that was not ---------------------------------------------------------------------


def test_values_are_refused_in_every_call():
    scores, classes = np.zeros((2, 3), f), np.array([0, 2])
    half, signs = np.full(4, 0.5, f), np.ones(4, f)
    for refused in (False, False, True):
        if refused:
            classes[1], half[1], signs[1] = 3, 1.5, 0
        for call in (
            lambda: F.cross_entropy(scores, classes),
            lambda: F.nll_loss(scores, classes),
            lambda: F.multi_margin_loss(scores, classes),
            lambda: F.embedding(classes, scores.T.copy()),
            lambda: F.kl_div(signs, half),
            lambda: F.binary_cross_entropy_with_logits(signs, half),
            lambda: F.hinge_loss(half, signs),
        ):
            if refused:
                with pytest.raises(ValueError, match=r"^\w+: (target|index)"):
                    call()
            else:
                call()


def test_ignored_classes_are_counted_in_every_call():
    scores, classes = np.log(np.full((2, 4), 0.25, f)), np.array([0, 1])
    for _ in range(2):
        for name in ("cross_entropy", "nll_loss"):
            np.testing.assert_allclose(getattr(F, name)(scores, classes), np.log(4), rtol=1e-6)
        classes[1] = -100
    np.testing.assert_allclose(F.cross_entropy(scores, np.array([0, 1]), None, 1, "sum"), np.log(4), rtol=1e-6)


def test_running_statistics_must_be_their_own_in_every_call():
    x, both = np.arange(8, dtype=f).reshape(4, 2), np.ones(3, f)
    for _ in range(2):
        F.batch_norm(x, np.zeros(2, f), np.ones(2, f), training=True)
    with pytest.raises(ValueError, match="overlaps"):
        F.batch_norm(x, both[:2], both[1:], training=True)
    fixed = np.ones(2, f)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        F.batch_norm(x, np.zeros(2, f), fixed, training=True)


def test_one_array_for_two_arguments():
    a = np.arange(3, dtype=f)
    assert F.mse_loss(a, a) == F.mse_loss(a, a) == 0
    assert F.mse_loss(a[:2], a[1:]) == F.mse_loss(a[:2], a[1:]) == 1
