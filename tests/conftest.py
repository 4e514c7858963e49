"""Every test starts and ends with the same backend, instruction set, thread count and grad mode."""

import signal
import sys
import warnings

import hypothesis
import pytest

with warnings.catch_warnings():
    # Said once per process where the extension is missing; test_backend looks at it.
    warnings.simplefilter("ignore", RuntimeWarning)
    import fastnn as fnn

    fnn.backend.current()

from features import not_proved
from harness import NATIVE

if NATIVE:
    from fastnn import _core


hypothesis.settings.register_profile("untimed", deadline=None)  # on a busy machine an example may take any time
hypothesis.settings.load_profile("untimed")


class Proofs:
    """Fails a run in which a test did not pass, or was not there, that docs/features.md names as a proof."""

    def __init__(self):
        self.outcomes, self.missing = {}, []

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome

    def pytest_sessionfinish(self, session, exitstatus):
        option = session.config.option
        part = option.keyword or option.markexpr or any("::" in arg for arg in session.config.args)
        if exitstatus == pytest.ExitCode.OK and not part:
            self.missing = not_proved(self.outcomes)
            if self.missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        for line in self.missing:
            terminalreporter.write_line(f"docs/features.md, {line}", red=True)


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # where several processes share the tests, the one that gets all reports
        config.pluginmanager.register(Proofs())
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # in a job that a shell put into the background; tests send it
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _settings():
    """Put back what a test changed for the whole process, and close figures."""
    name, threads = fnn.backend.current_name(), fnn.get_num_threads()
    state = (_core.active_isa(), _core.thread_cost(), _core.last_level_cache()) if NATIVE else None
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
    fnn.use_backend(name)
    fnn.set_num_threads(threads)
    if state is not None:
        _core.set_isa(state[0])
        _core.set_thread_cost(state[1])
        _core.set_last_level_cache(state[2])


@pytest.fixture
def native():
    """The compiled bindings, with work split however small it is."""
    if not NATIVE:
        pytest.skip("the compiled extension fastnn._core is not installed")
    _core.set_thread_cost(0)
    fnn.use_backend("native")
    return _core


@pytest.fixture
def one_torch_thread():
    """PyTorch's team and ours on the same few cores would only wait for each other."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=fnn.backend.available_backends())
def backend(request):
    """The name of a backend, which is in use."""
    fnn.use_backend(request.param)
    return request.param


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def file(tmp_path):
    """Writes a file and gives its name."""

    def write(text, name="a.csv", encoding="utf-8"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return str(tmp_path / name)

    return write


@pytest.fixture
def small_blocks(monkeypatch):
    """Scalers cut arrays after a few rows."""
    monkeypatch.setattr("fastnn.nn.scaling.BLOCK", 12)
