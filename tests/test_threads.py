"""Threads: how many, who limits them, and the floating-point state."""

import os
import platform
import textwrap

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import config
from harness import needs_native
from runtimes import RUNTIMES, SET_UP, by_runtime
from subproc import run


def ranges(native, n=64):
    """Into how many ranges a large loop is split."""
    out = np.empty(n, np.float32)
    native.probe_ranges(out, 1e9)
    return len(np.unique(out))


# ---- how many -----------------------------------------------------------------------------------------------------


def test_set_and_get():
    before = fnn.get_num_threads()
    with fnn.set_num_threads(3):
        assert fnn.get_num_threads() == 3
        fnn.set_num_threads(5)
        assert fnn.get_num_threads() == 5
    assert fnn.get_num_threads() == before
    fnn.set_num_threads(np.int64(2))
    assert fnn.get_num_threads() == 2


@pytest.mark.parametrize("n", [0, -1, 5000, 2**40])
def test_bad_numbers(n):
    before = fnn.get_num_threads()
    with pytest.raises(ValueError, match=r"^set_num_threads: "):
        fnn.set_num_threads(n)
    assert fnn.get_num_threads() == before


@pytest.mark.parametrize("n", [1.5, "2", None, True])
def test_bad_types(n):
    with pytest.raises(TypeError, match=r"^set_num_threads: "):
        fnn.set_num_threads(n)


@needs_native
def test_work_is_split_over_that_many(native):
    for threads in (1, 2, 3, 7):
        fnn.set_num_threads(threads)
        assert ranges(native) == threads


@needs_native
def test_small_work_stays_on_one_thread(native):
    fnn.set_num_threads(4)
    native.set_thread_cost(8000)
    out = np.empty(64, np.float32)
    native.probe_ranges(out, 1000.0)
    assert len(np.unique(out)) == 1


@needs_native
@pytest.mark.parametrize(
    ("kind", "options"),
    [("RNN", {}), ("LSTM", {}), ("LSTM", {"peepholes": True}), ("GRU", {}), ("GRU", {"reset_after": False})],
    ids=str,
)
def test_one_row_goes_through_time_with_a_team(kind, options, native):
    """And who of it computes what changes no bit; seven threads have to take over parts where there are two processors."""
    net, x = (
        getattr(fnn.nn, kind)(8, 130, rng=0, **options),
        np.random.default_rng(1).standard_normal((9, 1, 8)).astype("f"),
    )

    def results():
        net.zero_grad()
        given = fnn.tensor(x, requires_grad=True)
        y, _ = net(given)
        y.backward(np.ones(y.shape, "f"))
        return [y.numpy(), given.grad, *(p.grad for p in net.parameters())]

    with fnn.set_num_threads(1):
        expected, before = results(), native.team_parts()
    assert native.team_parts() == before
    for threads in (2, 3, 7):
        with fnn.set_num_threads(threads):
            for a, b in zip(results(), expected, strict=True):
                np.testing.assert_array_equal(a, b)
        assert native.team_parts() > before
        before = native.team_parts()


def test_environment_limits_the_default():
    code = "import fastnn; print(fastnn.get_num_threads())"
    assert run(code, OMP_NUM_THREADS="1", FASTNN_BACKEND="numpy") == "1"
    # Without the extension: LLVM's OpenMP (16) ends a process that begins so, or keeps it from ending, with or without fastnn.
    nonsense = run(code, hide_extension=True, OMP_NUM_THREADS="nonsense", FASTNN_BACKEND="numpy")
    assert nonsense == run(code, FASTNN_BACKEND="numpy")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs the package-free os.sched_setaffinity (Linux)")
def test_affinity_limits_the_default():
    code = """
        import os
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        import fastnn
        print(fastnn.get_num_threads(), fastnn.show_config("dicts")["why that many threads"])
    """
    out = run(code, FASTNN_BACKEND="numpy")
    assert out.startswith("1 ")
    assert "'affinity': 1" in out


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.cfs_quota_us": "250000\n", "cpu.cfs_period_us": "100000\n"}, 2.5),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "garbage"}, None),
        ({}, None),
    ],
)
def test_quota_of_a_control_group(tmp_path, files, quota):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert config._read_quota(tmp_path) == quota


def test_the_tightest_quota_of_the_parents_counts(tmp_path):
    (tmp_path / "cgroup").write_text("0::/pod/container\n")
    container = tmp_path / "fs" / "pod" / "container"
    container.mkdir(parents=True)
    (container / "cpu.max").write_text("400000 100000")
    (container.parent / "cpu.max").write_text("200000 100000")
    assert config._cgroup_quota(tmp_path / "cgroup", tmp_path / "fs") == 2.0
    assert config._cgroup_quota(tmp_path / "missing", tmp_path / "fs") is None


@needs_native
@pytest.mark.parametrize("first", ["fastnn", "threadpoolctl"])
@by_runtime
def test_threadpoolctl_is_obeyed(runtime, first):
    pytest.importorskip("threadpoolctl")
    code = f"""
    import sys
    import {first}
    import fastnn as fnn, numpy as np
    assert ("threadpoolctl" in sys.modules) == ({first!r} == "threadpoolctl"), "fastnn imports it"
    from threadpoolctl import threadpool_info, threadpool_limits
    from fastnn import _core

    def ranges():
        out = np.empty(64, np.float32)
        _core.probe_ranges(out, 1e9)
        return len(np.unique(out))

    fnn.set_num_threads(2)
    (info,) = [i for i in threadpool_info() if i["internal_api"] == "fastnn"]
    assert info["filepath"] == _core.__file__ and info["num_threads"] == fnn.get_num_threads(), info
    unlimited = ranges()
    for api in (None, "openmp"):
        with threadpool_limits(1, user_api=api):
            assert ranges() == 1 and fnn.get_num_threads() == 1
            with threadpool_limits(None, user_api=api):
                pass
            assert ranges() == 1
        assert ranges() == unlimited and fnn.get_num_threads() == unlimited
    with threadpool_limits(1, user_api="blas"):
        assert ranges() == unlimited
    assert fnn.show_config("dicts")["why that many threads"] == "set_num_threads"
    with threadpool_limits(5000):
        assert fnn.get_num_threads() >= unlimited
    assert ranges() == unlimited
    print(unlimited)
    """
    assert run(code, FASTNN_THREADS=runtime, OMP_NUM_THREADS="2") == "2"


@needs_native
def test_a_wrong_name_of_threads():
    """Also when the import is tried again."""
    code = """
    try:
        import fastnn
    except ValueError:
        import fastnn
    """
    done = run(code, check=False, FASTNN_THREADS="fibres")
    assert done.stderr.count("ValueError: FASTNN_THREADS='fibres' names no threads, expected 'pool' or 'openmp'") == 2


@needs_native
def test_openmp_that_cannot_be_loaded():
    code = """
    import sys
    sys.modules["fastnn._openmp"] = None
    import fastnn
    """
    done = run(code, check=False, FASTNN_THREADS="openmp")
    assert "ImportError: fastnn: FASTNN_THREADS=openmp, but OpenMP's threads cannot be had here (" in done.stderr
    assert run(code + "\n    print(fastnn._core.runtime())") == "pool"


@needs_native
@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs /proc (Linux)")
def test_no_openmp_library_unless_asked_for():
    code = """
    import fastnn as fnn, numpy as np
    fnn.functional.relu(np.ones(10**6))
    print(any("libgomp" in line or "libomp" in line for line in open("/proc/self/maps")))
    """
    for runtime in RUNTIMES:
        assert run(code, FASTNN_THREADS=runtime) == str(runtime == "openmp")


@needs_native
@by_runtime
def test_the_same_bits_whoever_computes(runtime):
    """All op-table rows are compared on the pool (`test_parity.py`); here some, with each runtime, short and long calls."""
    code = """
    import numpy as np
    import fastnn as fnn, fastnn.functional as F
    from fastnn import _core
    _core.set_thread_cost(0.0)
    rng = np.random.default_rng(0)
    normal = lambda *s: rng.standard_normal(s, dtype=np.float32)
    x, w, rows, weight, one = normal(3, 8, 30, 31), normal(16, 8, 3, 3), normal(129, 65), normal(33, 65), normal(5, 1, 8)
    sequence, wi, wh, state = normal(9, 1, 8), normal(520, 8), normal(520, 130), np.zeros((1, 130), np.float32)

    def results():
        y = F.conv2d(x, w, padding=1)
        param, grad, m, v = rows.copy(), rows / 3, np.zeros_like(rows), np.zeros_like(rows)
        F.adam_step(param, grad, m, v, step=1, lr=1e-3)
        return [y, *F.conv2d_backward(y, x, w, padding=1), F.linear(rows, weight), F.tanh(x), F.softmax(rows), param, v,
                F.batch_norm(x, None, None, training=True), F.max_pool2d(x, 3), F.dropout(x, 0.5, rng=1),
                F.cross_entropy(rows, np.arange(129) % 65), *F.lstm(sequence, state, state, wi, wh)[:2]]

    fnn.set_num_threads(1)
    expected = results()
    for threads in (2, 3, 7):
        fnn.set_num_threads(threads)
        for _ in range(20):
            for a, b in zip(results(), expected, strict=True):
                assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    print(_core.runtime())
    """
    assert run(code, FASTNN_THREADS=runtime) == runtime


# ---- floating-point state -------------------------------------------------------------------------------------------


@needs_native
@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_are_flushed_inside_only(native, threads):
    """A kernel takes denormals for zeros; NumPy's arithmetic before and after keeps them."""
    fnn.set_num_threads(threads)
    tiny = np.full(1000, 1e-40, np.float32)
    y = F.leaky_relu(-tiny, 0.5)
    assert (y == 0).all()
    assert (tiny * np.float32(0.5) > 0).all()
    assert (np.full(1000, 1e-310) * 0.5 > 0).all()


@needs_native
def test_numpy_s_error_flags_are_left_alone(native):
    """Kernels divide by zero and overflow without NumPy hearing of it."""
    with np.errstate(all="raise"):
        F.softmax(np.array([[np.inf, 1.0]], np.float32))
        F.sigmoid(np.array([-1e30, 1e30], np.float32))
        np.ones(3, np.float32) + np.ones(3, np.float32)


MATH = """
    import ctypes
    libm = ctypes.CDLL("libm.so.6")
    UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}[__import__("platform").machine()]
"""
needs_libm = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="sets the rounding mode through glibc's libm")


@needs_native
@needs_libm
@by_runtime
def test_the_caller_s_rounding_changes_no_bit(runtime):
    """Nor does that of the thread that made a worker."""
    code = """
    x = np.linspace(-3, 3, 40_000, dtype=np.float32).reshape(4, 10, 1000)
    def results():
        y, i = F.max_pool1d(x, 2, return_indices=True)
        return [a.tobytes() for a in (F.tanh(x), F.softmax(x), F.layer_norm(x, 1000), F.max_pool1d_backward(y, x, 2, indices=i))]

    _core.set_thread_cost(0.0)
    with fnn.set_num_threads(1):
        nearest = results()
    for threads in (1, 2, 3):
        fnn.set_num_threads(threads)
        for mode in (UPWARD, 0):
            assert libm.fesetround(mode) == 0
            for _ in range(50):
                got = results()
                assert libm.fegetround() == mode
                assert got == nearest
    """
    run(textwrap.dedent(SET_UP) + textwrap.dedent(MATH) + textwrap.dedent(code), FASTNN_THREADS=runtime)


@needs_native
@needs_libm
@pytest.mark.skipif(platform.machine() != "x86_64", reason="traps are there on x86")
@by_runtime
def test_the_caller_s_traps_are_not_the_workers(runtime):
    code = """
    x = np.full((4, 10_000), np.inf, np.float32)
    _core.set_thread_cost(0.0)
    libm.feenableexcept(1)  # invalid operations
    F.softmax(x)
    libm.fedisableexcept(1)
    for _ in range(50):
        F.softmax(x)
    """
    run(textwrap.dedent(SET_UP) + textwrap.dedent(MATH) + textwrap.dedent(code), FASTNN_THREADS=runtime)
