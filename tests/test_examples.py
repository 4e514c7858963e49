"""The examples run, in a short form, and learn what they say."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
# What `main(short=True)` of each example must return.
EXPECTED = {
    "digits_lstm": lambda accuracy: accuracy >= 0.97,
    "stack_anbn": lambda read: all(counts[:2].all() for counts in read.values()),
    "residual_digits": lambda accuracy: accuracy > 0.9,
}


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name, capsys):
    if "digits" in (EXAMPLES / f"{name}.py").read_text(encoding="utf-8"):
        pytest.importorskip("sklearn")
    result = load(name).main(short=True)
    assert EXPECTED[name](result), result
    assert capsys.readouterr().out


def test_the_residual_network_has_both_shortcuts():
    from fastnn import nn

    net = load("residual_digits").residual_net(0)
    shortcuts = [type(block.shortcut) for block in net if isinstance(block, nn.ResidualBlock)]
    assert {nn.Identity, nn.Sequential} == set(shortcuts)
