"""The pool's workers: when they start and sleep, which signals they take, and what a call does without them."""

import os
import textwrap

import pytest

from harness import needs_native
from subproc import run

WORKERS = """
    import glob, time

    def workers():
        names = [open(f).read().strip() for f in glob.glob("/proc/self/task/*/comm")]
        return names.count("fastnn")

    def states():
        stats = [open(f).read() for f in glob.glob("/proc/self/task/*/stat")]
        return [s.rsplit(")", 1)[1].split()[0] for s in stats if "(fastnn)" in s]
"""
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc (Linux)")


@needs_native
@needs_proc
def test_workers_start_with_the_first_long_call_and_sleep_after_the_last():
    code = """
    import numpy as np
    import fastnn as fnn
    from fastnn import _core
    fnn.set_num_threads(3)
    out = np.empty(64, np.float32)
    assert workers() == 0
    _core.probe_ranges(out, 1e3)
    assert workers() == 0, "a short call started threads"
    _core.probe_ranges(out, 1e9)
    time.sleep(0.1)
    assert workers() == 2
    fnn.set_num_threads(2)
    for _ in range(100):
        _core.probe_ranges(out, 1e9)
    assert workers() == 2, "threads that there are were not used"
    for _ in range(100):
        time.sleep(0.05)
        if states() == ["S", "S"]:
            break
    assert states() == ["S", "S"]
    """
    run(textwrap.dedent(WORKERS) + textwrap.dedent(code))


@needs_native
@needs_proc
def test_calls_that_take_longer_than_estimated_get_threads_from_the_third_on():
    code = """
    import numpy as np
    import fastnn as fnn
    from fastnn import _core
    fnn.set_num_threads(2)
    estimate = 5e4  # ns: worth a thread that is awake, not one that sleeps

    def workers_after(out, calls):
        for _ in range(calls):
            time.sleep(0.002)  # so that no call soon follows another
            _core.probe_ranges(out, estimate)
        return workers()

    short, long = np.empty(64, np.float32), np.empty(1 << 24, np.float32)
    assert workers_after(short, 10) == 0
    assert workers_after(long, 2) == 0, "one long call may have been another program's fault"
    # The third gets one, or a later one: a call that another program held up is followed by some on one thread.
    assert any(workers_after(long, 1) == 1 for _ in range(20))
    """
    run(textwrap.dedent(WORKERS) + textwrap.dedent(code))


@needs_native
@needs_proc
def test_threads_that_cannot_be_had():
    """Then the caller does their parts, and nothing is lost."""
    code = """
    import resource
    import numpy as np
    import fastnn as fnn
    from fastnn import _core
    fnn.set_num_threads(4)
    out = np.empty(64, np.float32)
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**21, resource.RLIM_INFINITY))  # a thread's stack is 4 MB
    for _ in range(3):
        _core.probe_ranges(out, 1e9)
        assert list(np.unique(out)) == [0], "it was cut although nobody can help"
    assert workers() == 0
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for _ in range(100):  # it asks again after a second
        time.sleep(0.1)
        _core.probe_ranges(out, 1e9)
        if workers() == 3:
            break
    assert workers() == 3
    """
    run(textwrap.dedent(WORKERS) + textwrap.dedent(code))


@needs_native
@needs_proc
def test_workers_take_no_signals():
    code = """
    import signal
    import numpy as np
    from fastnn import _core
    import fastnn as fnn
    fnn.set_num_threads(2)
    _core.probe_ranges(np.empty(64, np.float32), 1e9)
    time.sleep(0.05)
    blocked = []
    for folder in glob.glob("/proc/self/task/*/"):
        status = dict(line.split(":", 1) for line in open(folder + "status"))
        if status["Name"].strip() == "fastnn":
            blocked.append(int(status["SigBlk"], 16))
    (mask,) = blocked
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD):
        assert mask >> (s - 1) & 1
    for s in (signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT):
        assert not mask >> (s - 1) & 1
    """
    run(textwrap.dedent(WORKERS) + textwrap.dedent(code))


@needs_native
@needs_proc
def test_a_thread_that_never_comes_is_not_waited_for():
    """The worker is kept from every processor that the caller's thread may use, by one that it may not leave."""
    code = """
    import os, threading
    import numpy as np
    import fastnn as fnn, fastnn.functional as F
    from fastnn import _core
    fnn.set_num_threads(2)
    _core.set_thread_cost(0.0)
    x = np.linspace(-3, 3, 4096, dtype=np.float32)
    expected = F.tanh(x)
    time.sleep(0.05)
    (worker,) = [int(f.split("/")[-2]) for f in glob.glob("/proc/self/task/*/comm") if open(f).read() == "fastnn\\n"]
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        while True:
            pass
    os.sched_setaffinity(worker, [min(os.sched_getaffinity(0))])
    os.sched_setscheduler(worker, os.SCHED_IDLE, os.sched_param(0))
    try:
        for _ in range(2000):
            assert (F.tanh(x) == expected).all()
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    """
    run(textwrap.dedent(WORKERS) + textwrap.dedent(code), timeout=30)
