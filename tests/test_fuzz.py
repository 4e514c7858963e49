"""A few random calls of every function, on seeds that stay; ``tools/fuzz.py`` draws others for as long as it is told."""

import pytest

import bad_input
import fuzzing
from harness import DTYPES, ISAS, needs_native

compiled = needs_native

SAMPLES = 6  # for each op, in turn on each instruction set
REFUSALS = 25


def test_every_op_is_drawn():
    assert set(fuzzing.DRAWS) == set(fuzzing.NAMES)


@compiled
@pytest.mark.parametrize("op", fuzzing.OPS, ids=str)
def test_random_samples(op, native):
    faults = []
    for number in range(SAMPLES):
        native.set_isa(ISAS[number % len(ISAS)])
        native.set_num_threads(1)
        faults += fuzzing.check(op, DTYPES[number // 3 % 2], fuzzing.NAMES.index(op.name), number)
    assert not faults, "\n".join(faults)


@compiled
@pytest.mark.parametrize("name", sorted(bad_input.LEGAL))
def test_random_wrong_arguments(name, native):
    faults = []
    for number in range(REFUSALS):
        faults += fuzzing.check_refusal(name, sorted(bad_input.LEGAL).index(name), number)
    assert not faults, "\n".join(faults)
