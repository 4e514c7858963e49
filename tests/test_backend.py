"""Which backend and instruction set are used: environment, calls, a missing extension."""

import os
import shutil
import subprocess
import sysconfig
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from harness import ISAS, needs_native
from subproc import run

NAME = "import fastnn; print(fastnn.backend.current_name())"
RELU = "import numpy as np, fastnn.functional as F; F.relu(np.ones(3, np.float32))"
WARN = "import warnings; warnings.simplefilter('error')\n"


@needs_native
def test_native_is_the_default():
    assert run(WARN + NAME) == "native"


@pytest.mark.parametrize("name", fnn.backend.available_backends())
def test_environment_chooses(name):
    assert run(WARN + NAME, FASTNN_BACKEND=name) == name


def test_unknown_name_in_the_environment():
    done = run(RELU, check=False, FASTNN_BACKEND="cuda")
    assert done.returncode == 1
    assert "ValueError: FASTNN_BACKEND='cuda' is not a backend, expected one of ['native', 'numpy']" in done.stderr


def test_call_and_context():
    before = fnn.backend.current_name()
    with fnn.use_backend("numpy"):
        assert fnn.backend.current_name() == "numpy"
        with fnn.use_backend(before):
            assert fnn.backend.current_name() == before
        with pytest.raises(KeyError), fnn.use_backend(before):
            raise KeyError
        assert fnn.backend.current_name() == "numpy"
    assert fnn.backend.current_name() == before
    fnn.use_backend("numpy")
    assert fnn.backend.current_name() == "numpy"


def test_unknown_name_changes_nothing():
    before = fnn.backend.current_name()
    with pytest.raises(ValueError, match=r"^use_backend: unknown backend 'gpu'"):
        fnn.use_backend("gpu")
    assert fnn.backend.current_name() == before


def test_other_threads_see_the_choice():
    names = []
    with fnn.use_backend("numpy"):
        thread = threading.Thread(target=lambda: names.append(fnn.backend.current_name()))
        thread.start()
        thread.join()
    assert names == ["numpy"]


@needs_native
def test_a_gradient_comes_from_the_backend_of_its_forward():
    x = fnn.tensor(np.ones(4, np.float32), requires_grad=True)
    with fnn.use_backend("numpy"):
        y = F.elu(x)
    with fnn.use_backend("native"):
        y.backward(np.ones(4, np.float32))
    np.testing.assert_array_equal(x.grad, np.ones(4))


# ---- without the extension ----------------------------------------------------------------------------------------


def test_missing_extension_works_with_one_warning():
    code = """
        import warnings
        import numpy as np
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import fastnn as fnn, fastnn.functional as F
            for _ in range(3):
                y = F.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))
            fnn.set_num_threads(2)
            config = fnn.show_config("dicts")
        assert (y == 4).all()
        assert config["backend"] == "numpy", config
        assert config["available backends"] == ["numpy"], config
        assert fnn.get_num_threads() == 2
        for w in caught:
            print(w.category.__name__, w.message)
    """
    expected = "RuntimeWarning fastnn: the compiled extension is not available; running on the slower NumPy backend"
    assert run(code, hide_extension=True) == expected


def test_missing_extension_asked_for_as_numpy_is_no_warning():
    assert run(WARN + NAME, hide_extension=True, FASTNN_BACKEND="numpy") == "numpy"


def test_missing_extension_as_an_error():
    done = run(RELU, hide_extension=True, check=False, FASTNN_REQUIRE_NATIVE="1")
    assert done.returncode == 1
    assert "ImportError: fastnn: the compiled extension is missing and FASTNN_REQUIRE_NATIVE is set" in done.stderr
    run(RELU, hide_extension=True, FASTNN_REQUIRE_NATIVE="0")


@pytest.mark.parametrize(("code", "environment"), [(RELU, {"FASTNN_BACKEND": "native"}), (
    "import fastnn; fastnn.use_backend('native')", {"FASTNN_BACKEND": "numpy"},
)])  # fmt: skip
def test_missing_extension_asked_for_as_native(code, environment):
    done = run(code, hide_extension=True, check=False, **environment)
    assert done.returncode == 1
    assert "RuntimeError: use_backend: the native backend is not available" in done.stderr


@pytest.mark.parametrize("environment", [{"FASTNN_REQUIRE_NATIVE": "1"}, {"FASTNN_BACKEND": "native"}], ids=str)
def test_missing_extension_is_an_error_of_the_import(environment):
    done = run("import fastnn", hide_extension=True, check=False, **environment)
    assert "\nImportError: fastnn: " in done.stderr
    assert next(iter(environment)) in done.stderr


# ---- an extension that cannot be loaded ---------------------------------------------------------------------------


def text_file(folder):
    return b"This is no shared library, long as it is.\n" * 100, "invalid ELF header"


def beginning_of_a_library(folder):
    return Path(np._core._multiarray_umath.__file__).read_bytes()[:500], "_core"


def compiled(folder, code, *options):
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    compiler = next(filter(None, map(shutil.which, filter(None, names))), None)
    if compiler is None:
        pytest.skip("no C compiler is installed")
    (folder / "library.c").write_text(code)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "library.c", *options], cwd=folder, check=True, capture_output=True, timeout=60
    )


def library_without_another(folder):
    compiled(folder, "int there(void) { return 1; }", "-o", "libabsent.so")
    code = "int there(void); void* PyInit__core(void) { there(); return 0; }"
    compiled(folder, code, "-o", "needs.so", "-L.", "-labsent")
    (folder / "libabsent.so").unlink()
    return (folder / "needs.so").read_bytes(), "libabsent.so: cannot open shared object file"


def library_without_a_symbol(folder):
    compiled(folder, "int not_there(void); void* PyInit__core(void) { not_there(); return 0; }", "-o", "needs.so")
    return (folder / "needs.so").read_bytes(), "undefined symbol: not_there"


def library_of_something_else(folder):
    compiled(folder, "int there(void) { return 1; }", "-o", "other.so")
    return (folder / "other.so").read_bytes(), "PyInit__core"


BROKEN = [
    text_file, beginning_of_a_library, library_without_another, library_without_a_symbol, library_of_something_else,
]  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder that holds the package without its extension."""
    folder = tmp_path_factory.mktemp("package")
    source = Path(fnn.__file__).parent
    shutil.copytree(
        source, folder / "fastnn", ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.px[di]", "*.pyx")
    )
    return folder


def run_broken(package, make, folder, code, **options):
    """Run code with an extension that cannot be loaded; also what the loader says of it."""
    content, message = make(folder)
    (package / "fastnn" / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}").write_bytes(content)
    find_it_here = f"""
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__]
sys.path.insert(0, {str(package)!r})
"""
    return run(find_it_here + textwrap.dedent(code), **options), message


@pytest.mark.parametrize("make", BROKEN)
def test_broken_extension_falls_back_and_says_why(package, make, tmp_path):
    code = """
        import warnings
        import numpy as np
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import fastnn as fnn, fastnn.functional as F
            for _ in range(2):
                assert F.relu(np.ones(3)).sum() == 3
            assert fnn.backend.available_backends() == ["numpy"]
            config = fnn.show_config("dicts")
        assert config["backend"] == "numpy", config
        warning, = caught
        assert warning.filename == "<string>", warning
        try:
            fnn.use_backend("native")
        except RuntimeError as error:
            assert isinstance(error.__cause__, ImportError)
            refusal = str(error)
        for text in (str(warning.message), config["compiled extension"], refusal):
            print(" ".join(text.splitlines()))
    """
    output, message = run_broken(package, make, tmp_path, code)
    warning, config, refusal = output.splitlines()
    assert message in config
    assert warning == (
        f"fastnn: the compiled extension is not available: it {config}; running on the slower NumPy backend"
    )
    assert refusal == f"use_backend: the native backend is not available: the compiled extension {config}"


@pytest.mark.parametrize("environment", [{"FASTNN_REQUIRE_NATIVE": "1"}, {"FASTNN_BACKEND": "native"}], ids=str)
def test_broken_extension_as_an_error(package, tmp_path, environment):
    done, message = run_broken(package, text_file, tmp_path, "import fastnn", check=False, **environment)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: fastnn: ")
    assert message in last
    assert next(iter(environment)) in last


def test_broken_extension_and_numpy_asked_for(package, tmp_path):
    output, _ = run_broken(package, text_file, tmp_path, WARN + NAME, FASTNN_BACKEND="numpy")
    assert output == "numpy"


# ---- instruction sets ---------------------------------------------------------------------------------------------


@needs_native
@pytest.mark.parametrize("isa", ISAS)
def test_the_forced_instruction_set_is_the_active_one(isa):
    code = "import fastnn; print(fastnn.show_config('dicts')['isa'])"
    assert run(code, FASTNN_ISA=isa) == isa


@needs_native
def test_the_best_instruction_set_is_the_default():
    assert run("import fastnn; print(fastnn.show_config('dicts')['isa'])") == ISAS[-1]


@needs_native
def test_unknown_instruction_set():
    done = run(RELU, check=False, FASTNN_ISA="avx1024")
    assert done.returncode == 1
    assert "FASTNN_ISA: unknown instruction set 'avx1024'" in done.stderr


@needs_native
def test_set_isa_refuses_what_it_does_not_know(native):
    before = native.active_isa()
    with pytest.raises(ValueError, match="FASTNN_ISA"):
        native.set_isa("mmx")
    assert native.active_isa() == before
    assert set(native.usable_isas()) <= set(native.compiled_isas())
    assert native.usable_isas()[0] == "generic"
