"""pytest-benchmark cases of every kernel: ``pytest benchmarks --benchmark-group-by=group``.

Each case is a group in which the compiled backend, the NumPy one and, where installed, PyTorch stand side by side.
For figures to publish use `report`, where the libraries don't share a process.
"""

import importlib.util

import pytest

import fastnn as fnn
from cases import CASES
from libraries import Fastnn, Torch

LIBRARIES = fnn.backend.available_backends() + (["torch"] if importlib.util.find_spec("torch") else [])


def plain(value):
    """A test's name without what pytest would escape."""
    return str(value).translate({ord("×"): "x", ord("²"): "^2", ord("³"): "^3", ord("→"): "to"})


@pytest.fixture
def library(request):
    backend, threads = fnn.backend.current_name(), fnn.get_num_threads()
    if request.param == "torch":
        library = Torch()
        library.torch.set_num_threads(threads)
    else:
        library = Fastnn(request.param)
    yield library
    fnn.use_backend(backend)


@pytest.mark.parametrize("library", LIBRARIES, indirect=True)
@pytest.mark.parametrize(("case", "what"), [(c, what) for c in CASES for what in c.directions], ids=plain)
def test_bench(benchmark, case, what, library):
    work = case.build(library)
    call = getattr(work, what)
    benchmark.group = f"{case} {what}"
    benchmark.name = library.name
    benchmark.pedantic(call, rounds=5, iterations=100 if case.overhead else 1, warmup_rounds=1)
