"""Run Python code in a fresh process, with a time limit: for what is decided at import, and for what may hang. And forks."""

import importlib.util
import os
import pickle
import subprocess
import sys
import textwrap
import warnings

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs the package-free os.fork (POSIX)")

# Makes `import fastnn._core` fail as it does where the extension isn't installed.
HIDE_EXTENSION = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "fastnn._core":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
"""


def needs_package(name):
    """Skip the test where a package is not installed; it is not imported yet."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")


def run(code, timeout=60, check=True, hide_extension=False, **environment):
    """stdout of the code, or with check=False the finished process; FASTNN_* and OpenMP's settings are not handed on."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FASTNN_", "OMP_", "KMP_", "PYTEST_"))}
    code = (HIDE_EXTENSION if hide_extension else "") + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env | environment,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
    if not check:
        return done
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def _fork():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from Python 3.12 on
        return os.fork()


def killed(work):
    """Do something in a forked child; whether a signal ended it."""
    child = _fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def forked(function):
    """What a function returns in a forked child."""
    readable, writable = os.pipe()
    child = _fork()
    if not child:
        try:
            with os.fdopen(writable, "wb") as file:
                pickle.dump(function(), file)
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as file:
        data = file.read()
    assert os.waitpid(child, 0)[1] == 0
    return pickle.loads(data)
