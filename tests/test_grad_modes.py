"""`no_grad` and its like as context managers and decorators: threads, generators, coroutines, one object entered twice."""

import asyncio
import inspect
import itertools
import threading

import numpy as np
import pytest

import fastnn as fnn
from fastnn.autograd.modes import mode

enabled = fnn.is_grad_enabled


@pytest.fixture(autouse=True)
def _restored():
    yield
    assert enabled()
    assert mode.observers == ()


def test_calls_of_one_function_by_two_threads():
    entered, go, seen = [threading.Event() for _ in range(2)], [threading.Event() for _ in range(2)], {}

    @fnn.no_grad()
    def wait(i):
        entered[i].set()
        assert go[i].wait(10)

    def outside():
        wait(0)
        seen["outside"] = enabled()

    def inside():
        with fnn.no_grad():
            wait(1)
            seen["inside"] = enabled()

    threads = [threading.Thread(target=f) for f in (outside, inside)]
    for i, thread in enumerate(threads):
        thread.start()
        assert entered[i].wait(10)
    for i, thread in enumerate(threads):
        go[i].set()
        thread.join(10)
    assert seen == {"outside": True, "inside": False}


def test_one_object_in_two_threads_and_twice_in_one():
    context = fnn.no_grad()
    entered, go, seen = threading.Event(), threading.Event(), []

    def other():
        with fnn.no_grad(), fnn.enable_grad(), context:
            entered.set()
            assert go.wait(10)
        seen.append(enabled())

    thread = threading.Thread(target=other)
    with context:
        thread.start()
        assert entered.wait(10)
        with fnn.enable_grad():
            with context:
                assert not enabled()
            assert enabled()
        assert not enabled()
    assert enabled()
    go.set()
    thread.join(10)
    assert seen == [True]


def test_recursion():
    @fnn.no_grad()
    def descend(n):
        assert not enabled()
        if n:
            with fnn.enable_grad():
                descend(n - 1)
                assert enabled()

    descend(5)


def test_generators_run_inside():
    @fnn.no_grad()
    def numbers():
        try:
            got = yield enabled()
            with fnn.enable_grad():
                yield enabled(), got
            yield enabled()
        except KeyError:
            yield "thrown", enabled()
        finally:
            closed.append(enabled())
        return "returned"

    closed = []
    generator = numbers()
    assert next(generator) is False
    assert enabled()
    with fnn.no_grad():
        assert generator.send("sent") == (True, "sent")
        assert not enabled()
    assert enabled()
    assert generator.throw(KeyError()) == ("thrown", False)
    generator.close()
    assert closed == [False]

    def whole():
        return (yield from numbers())

    stream = whole()
    assert [next(stream), next(stream), next(stream)] == [False, (True, None), False]
    with pytest.raises(StopIteration, match="returned"):
        next(stream)


def test_a_generator_computes_without_recording():
    w = fnn.tensor([1.0], requires_grad=True)

    @fnn.no_grad()
    def outputs():
        for i in range(3):
            yield w * float(i)

    recorded = [(y.requires_grad, (w * 1.0).requires_grad) for y in outputs()]
    assert recorded == [(False, True)] * 3


def test_coroutines_run_inside():
    @fnn.no_grad()
    async def work(name, seen):
        for _ in range(3):
            seen.append((name, enabled()))
            await asyncio.sleep(0)
        return name

    async def together():
        seen = []
        results = await asyncio.gather(work("a", seen), fnn.enable_grad()(work)("b", seen))
        return results, seen, enabled()

    results, seen, after = asyncio.run(together())
    assert results == ["a", "b"]
    assert after
    assert [name for name, _ in seen] == ["a", "b"] * 3
    assert not any(recording for _, recording in seen)


def test_what_cannot_be_decorated():
    async def stream():
        yield 1

    with pytest.raises(TypeError, match="no_grad: cannot decorate the asynchronous generator"):
        fnn.no_grad()(stream)
    for thing in (3, int):
        with pytest.raises(TypeError, match="enable_grad: decorates functions, got"):
            fnn.enable_grad()(thing)


def test_a_decorated_function_keeps_its_name_and_result():
    @fnn.no_grad()
    def f(x, *, scale=1.0):
        """Text."""
        return x * scale

    assert (f.__name__, f.__doc__, f(2.0, scale=3.0)) == ("f", "Text.", 6.0)


def test_detect_anomaly_decorates_too():
    @fnn.detect_anomaly()
    def outputs(x):
        yield (x.sqrt() * 2.0).sum()
        yield (x * 1.0).sum()

    with np.errstate(invalid="ignore"):
        for y in outputs(fnn.tensor([-1.0], requires_grad=True)):
            assert mode.observers == ()
            with pytest.raises(RuntimeError, match="the gradient of sqrt is NaN"):
                y.backward()
            break


def test_decorators_of_one_generator():
    @fnn.no_grad()
    @fnn.detect_anomaly()
    def inside(n):
        got = yield enabled(), len(mode.observers)
        yield got, enabled(), len(mode.observers)
        return n

    def whole():
        return (yield from inside(7))

    assert inspect.isgeneratorfunction(inside)  # which pytest's fixtures and others ask for
    stream = whole()
    assert next(stream) == (False, 1)
    assert (enabled(), mode.observers) == (True, ())
    assert stream.send("sent") == ("sent", False, 1)
    with pytest.raises(StopIteration, match="7"):
        next(stream)


@pytest.mark.parametrize("setting", [fnn.no_grad, fnn.detect_anomaly])
def test_blocks_of_tasks_that_take_turns(setting):
    async def work(first, then):
        with setting():
            await asyncio.sleep(first)
        await asyncio.sleep(then)
        with setting(), fnn.enable_grad():
            await asyncio.sleep(first)

    async def together():
        await asyncio.gather(*(work(0.01 * i, 0.01 * (4 - i)) for i in range(4)))

    asyncio.run(together())
    assert enabled()
    assert mode.observers == ()


def test_blocks_that_end_in_another_order():
    first, second, third = fnn.no_grad(), fnn.enable_grad(), fnn.no_grad()
    for order in itertools.permutations((first, second, third)):
        for block in (first, second, third):
            block.__enter__()
        open_ = [first, second, third]
        for block in order:
            block.__exit__(None, None, None)
            open_.remove(block)
            assert enabled() is (not open_ or open_[-1] is second)
        assert not mode.entered["enabled"]


def test_blocks_of_generators_begun_in_decorated_functions():
    def plain():
        with fnn.no_grad():
            yield

    @fnn.no_grad()
    def begin(generator):
        next(generator)

    generator = plain()
    begin(generator)
    assert not enabled()
    generator.close()
    assert enabled()


@pytest.mark.parametrize("setting", [fnn.enable_grad, fnn.detect_anomaly])
def test_blocks_in_decorated_bodies_do_not_mind_those_outside(setting):
    @fnn.no_grad()
    def body():
        with setting():
            yield enabled()
        yield enabled()

    generator = body()
    assert next(generator) is (setting is fnn.enable_grad)
    with setting(), fnn.no_grad():
        assert next(generator) is False
        assert not enabled()
    assert enabled()
    assert mode.observers == ()


def test_a_block_that_ends_in_another_thread():
    block, errors = fnn.no_grad(), []

    def leave():
        try:
            block.__exit__(None, None, None)
        except RuntimeError as error:
            errors.append(str(error))

    with block:
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join(10)
        assert not enabled()
    assert errors
    assert "no_grad: a block ends that was not entered here: it was in another thread" in errors[0]


def test_settings_of_the_process_are_entered_again():
    before = fnn.get_num_threads()
    setting = fnn.set_num_threads(1)
    with setting:
        fnn.set_num_threads(3)
        with setting:
            assert fnn.get_num_threads() == 1
        assert fnn.get_num_threads() == 3
    assert fnn.get_num_threads() == before
    with setting:
        assert fnn.get_num_threads() == 1
    assert fnn.get_num_threads() == before
    name = fnn.backend.current_name()
    backend = fnn.use_backend("numpy")
    with backend, backend:
        assert fnn.backend.current_name() == "numpy"
    assert fnn.backend.current_name() == name
