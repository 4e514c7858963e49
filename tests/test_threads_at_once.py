"""Threads of fastnn beside forks and other Python threads."""

import os
import textwrap
import threading
import time

import numpy as np
import pytest

import fastnn as fnn
from harness import needs_native
from runtimes import SET_UP, by_runtime
from subproc import run


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs the package-free os.fork (POSIX)")
@by_runtime
def test_a_forked_child_computes(runtime):
    code = """
    def child(depth):
        pid = os.fork()
        if pid == 0:
            good = work() == expected and fnn.get_num_threads() == (1 if _core.runtime() == "openmp" else 2)
            if good and depth:
                good = child(depth - 1)
            threads = [threading.Thread(target=work) for _ in range(2)]
            for t in threads: t.start()
            for t in threads: t.join()
            os._exit(0 if good else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    assert child(1), "the child got other bits"
    assert work() == expected
    _core.probe_ranges(out, 1e9)
    assert len(np.unique(out)) == 2, "the parent lost its threads"
    """
    run(SET_UP + code, timeout=60, FASTNN_THREADS=runtime)


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork (POSIX)")
@pytest.mark.parametrize("used", [False, True])
@by_runtime
def test_a_forked_child_ends(used, runtime):
    before, after = (SET_UP, "assert work() == expected") if used else ("import os, fastnn", "")
    code = f"""
    if child := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    {after}
    """
    run(textwrap.dedent(before) + textwrap.dedent(code), timeout=60, FASTNN_THREADS=runtime)


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork (POSIX)")
@by_runtime
def test_forks_while_others_compute(runtime):
    code = """
    wrong, stop = [], threading.Event()

    def others():
        while not stop.is_set():
            if work() != expected:
                wrong.append(1)

    threads = [threading.Thread(target=others) for _ in range(2)]
    for t in threads: t.start()
    for _ in range(20):
        child = os.fork()
        if child == 0:
            os._exit(0 if work() == expected else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert work() == expected
    stop.set()
    for t in threads: t.join()
    assert not wrong
    """
    run(SET_UP + code, timeout=100, FASTNN_THREADS=runtime)


@needs_native
@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs /proc (Linux)")
@by_runtime
def test_a_child_of_a_process_where_another_library_started_the_threads(runtime):
    code = """
    import ctypes, os
    import numpy as np
    import fastnn as fnn, fastnn.functional as F
    from fastnn import _core

    try:
        import fastnn._openmp
    except ImportError:
        pass
    fnn.set_num_threads(2)
    _core.set_thread_cost(0.0)
    with open("/proc/self/maps") as maps:
        paths = [line.split()[-1] for line in maps if "libgomp" in line]
    if paths:
        gomp = ctypes.CDLL(paths[0])
        gomp.GOMP_parallel(ctypes.cast(gomp.omp_get_thread_num, ctypes.c_void_p), None, 2, 0)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if (F.relu(np.ones(10**6, np.float32)) == 1).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """
    run(code, timeout=60, FASTNN_THREADS=runtime)


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs the package-free os.fork (POSIX)")
@by_runtime
def test_multiprocessing_by_fork(runtime):
    code = """
    import multiprocessing
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from Python 3.12 on
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = [pool.apply_async(work) for _ in range(6)]
        assert all(r.get(30) == expected for r in results)
    """
    run(SET_UP + code, timeout=60, FASTNN_THREADS=runtime)


@needs_native
@by_runtime
def test_two_python_threads_at_once(runtime):
    code = """
    failures = []
    start = threading.Barrier(4)

    def repeat(i):
        start.wait()
        for _ in range(30):
            if work() != expected:
                failures.append(i)

    threads = [threading.Thread(target=repeat, args=(i,)) for i in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert not failures, failures
    """
    run(SET_UP + code, timeout=120, FASTNN_THREADS=runtime)


@needs_native
@by_runtime
def test_settings_changed_while_others_compute(runtime):
    """The instruction set and the number of threads may change under a running thread; results stay right."""
    code = """
    done = threading.Event()
    failures = []

    def repeat():
        while not done.is_set():
            if not np.allclose(F.relu(x - 1), np.maximum(x - 1, 0)):
                failures.append(1)

    threads = [threading.Thread(target=repeat) for _ in range(2)]
    for t in threads: t.start()
    for i in range(200):
        fnn.set_num_threads(1 + i % 3)
        _core.set_isa(_core.usable_isas()[i % len(_core.usable_isas())])
        fnn.use_backend("numpy" if i % 5 == 0 else "native")
        F.relu(x)
    done.set()
    for t in threads: t.join()
    assert not failures
    """
    run(SET_UP + code, timeout=120, FASTNN_THREADS=runtime)


@needs_native
def test_the_gil_is_released(native):
    """Another Python thread runs while a kernel does."""
    fnn.set_num_threads(1)
    out = np.full(1, 0.999, np.float32)
    done, times = threading.Event(), []

    def note():
        while not done.wait(0.005):
            times.append(time.perf_counter())

    thread = threading.Thread(target=note)
    thread.start()
    start = time.perf_counter()
    native.probe_fma(out, 30_000_000)
    end = time.perf_counter()
    done.set()
    thread.join()
    middle = [t for t in times if start + 0.2 * (end - start) < t < end - 0.2 * (end - start)]
    assert middle
