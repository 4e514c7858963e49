"""The networks of examples/from_numpy compute the same values and gradients before and after fastnn was put in."""

import json
import re
import sys

import numpy as np
import pytest

import numpy_networks
import subproc

# The libraries besides NumPy that a network is written for.
PEERS = {"sklearn_mlp": "sklearn", "thinc_layer": "thinc", "autograd_conv": "autograd", "jax_conv": "jax"}


def difference(name):
    if name in PEERS:
        subproc.needs_package(PEERS[name])
    if name == "jax_conv":  # which makes every later fork of a process that imported it warn
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; import numpy_networks; print(numpy_networks.difference({name!r}))"
        )
        return json.loads(subproc.run(code, timeout=300))
    return numpy_networks.difference(name)


@pytest.mark.parametrize("name", numpy_networks.NETWORKS)
def test_same_values_and_gradients(name):
    _, _, _, tolerance = numpy_networks.NETWORKS[name]
    assert difference(name) <= tolerance


@pytest.mark.parametrize("name", [name for name in numpy_networks.NETWORKS if name not in PEERS])
def test_in_float32(name):
    """Data and parameters of float32 need no other code, though Python's and NumPy's numbers are float64."""
    call = numpy_networks.steps(name, numpy_networks.NETWORKS[name][1], np.float32)
    before, after = (list(numpy_networks.arrays(call[form]())) for form in numpy_networks.FORMS)
    for a, b in zip(before, after, strict=True):
        assert b.dtype == np.float32
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * np.abs(a).max())


def test_every_file_is_compared():
    files = {path.stem for path in numpy_networks.FOLDER.glob("*.py")}
    expected = {f"{name}_{form}" for name in numpy_networks.NETWORKS for form in numpy_networks.FORMS}
    assert files == expected | {"problems"}


@pytest.mark.parametrize("name", numpy_networks.NETWORKS)
def test_only_the_later_form_uses_fastnn(name):
    before, after = (numpy_networks.code(name, form) for form in numpy_networks.FORMS)
    assert not any("fastnn" in line for line in before)
    assert "import fastnn.functional as F" in after
    old, new = numpy_networks.changed_lines(name)
    assert 0 <= old <= len(before)
    assert 0 < new <= len(after)


def test_a_row_of_the_table(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["numpy_networks.py", "--one", "--seconds", "0", "one_by_one"])
    numpy_networks.main()
    assert re.fullmatch(r"\| one_by_one \| \d+ → \d+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \|\n", capsys.readouterr().out)
