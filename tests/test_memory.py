"""The memory of arrays: kept when they die, given out again, bounded, and given back."""

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import config

core = pytest.importorskip("fastnn._core", reason="the compiled extension fastnn._core is not installed")

F32 = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def _cache():
    limit = core.cache_limit()
    gc.collect()
    core.empty_cache()
    yield
    core.set_cache_limit(limit)


def test_memory_is_given_out_again():
    a = core.empty((1000, 100), F32)
    address = a.ctypes.data
    assert address % 64 == 0
    assert core.cached_bytes() == 0
    del a
    assert core.cached_bytes() >= 400_000
    b = core.empty((99, 1000), F32)  # nearly as large
    assert b.ctypes.data == address
    assert core.cached_bytes() == 0


def test_a_view_keeps_its_array():
    a = core.empty((1000, 100), F32)
    a[...] = 7
    view = a[10:20, 3]
    del a
    assert core.cached_bytes() == 0
    other = core.empty((1000, 100), F32)
    other[...] = 8
    assert (view == 7).all()


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 2**16 - 1, 2**16, 2**16 + 1, 3 * 10**6])
def test_sizes(n):
    a = core.empty((n,), F32)
    a[...] = 1
    assert a.sum(dtype=np.float64) == n
    assert a.flags.writeable
    assert a.flags.c_contiguous


def test_the_limit_holds():
    core.set_cache_limit(1 << 20)
    arrays = [core.empty((1 << 16,), F32) for _ in range(20)]
    del arrays
    assert 0 < core.cached_bytes() <= 1 << 20
    core.empty((1 << 22,), F32)  # larger than the limit: not kept
    assert core.cached_bytes() <= 1 << 20
    core.set_cache_limit(0)
    assert core.cached_bytes() == 0
    core.empty((1 << 16,), F32)
    assert core.cached_bytes() == 0


def test_other_sizes_make_room():
    core.set_cache_limit(1 << 20)
    core.empty((200_000,), F32)
    core.empty((100_000,), F32)
    assert 400_000 <= core.cached_bytes() < 800_000


def test_too_large_is_an_error():
    with pytest.raises(MemoryError):
        core.empty((1 << 45,), np.dtype(np.float64))


def test_results_do_not_depend_on_what_was_there():
    x = np.random.default_rng(0).standard_normal((4, 8, 20, 20)).astype(np.float32)
    w = np.random.default_rng(1).standard_normal((8, 8, 3, 3)).astype(np.float32)
    first = F.conv2d(x, w, padding=1).copy()
    for fill in (np.nan, np.inf, 1e30):
        core.empty(first.shape, F32)[...] = fill
        np.testing.assert_array_equal(F.conv2d(x, w, padding=1), first)


def test_threads_share_it():
    def work():
        for _ in range(300):
            a = core.empty((2048,), F32)
            a[...] = threading.get_ident() % 1000
            assert (a == a[0]).all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def test_a_forked_child_allocates():
    code = """
import os, numpy as np
from fastnn import _core
a = _core.empty((10000,), np.dtype("f"))
del a
pid = os.fork()
if pid == 0:
    b = _core.empty((10000,), np.dtype("f"))
    b[...] = 1
    os._exit(0 if b.sum() == 10000 else 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], check=True, timeout=60)


def test_public_names():
    core.empty((1 << 16,), F32)
    fnn.empty_cache()
    assert core.cached_bytes() == 0
    fnn.set_cache_limit(12345)
    assert core.cache_limit() == 12345
    with pytest.raises(TypeError, match="set_cache_limit: size must be an integer"):
        fnn.set_cache_limit(1.5)
    with pytest.raises(TypeError, match="set_cache_limit: size must be an integer"):
        fnn.set_cache_limit(True)
    with pytest.raises(ValueError, match="set_cache_limit: size must be at least 0"):
        fnn.set_cache_limit(-1)


@pytest.mark.parametrize("name", ["memory.max", "memory.limit_in_bytes"])
def test_the_limit_of_a_container_counts(tmp_path, name):
    (tmp_path / "cgroup").write_text("0::/pod/container\n")
    container = tmp_path / "fs" / "pod" / "container"
    container.mkdir(parents=True)
    machine = config._memory(tmp_path / "cgroup", tmp_path / "fs")
    assert machine > 1 << 24
    (container / name).write_text("max" if name == "memory.max" else "9223372036854771712")
    assert config._memory(tmp_path / "cgroup", tmp_path / "fs") == machine
    (container.parent / name).write_text("16777216")
    assert config._memory(tmp_path / "cgroup", tmp_path / "fs") == 1 << 24
