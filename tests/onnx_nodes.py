"""ONNX's own tests of single nodes: which apply, whether one passes, and the table of docs/onnx.md."""

import functools
import re
import warnings
from collections import Counter

import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

import fastnn as fnn
from fastnn.onnx.read_call import DTYPES
from fastnn.onnx.read_table import OPS

# They expect the random numbers of one implementation.
RANDOM = re.compile("test_training_dropout(?!.*zero_ratio)")
BEGIN, END = "<!-- node tests: begin -->\n", "<!-- node tests: end -->\n"

BIASED = "fastnn's running variance is unbiased, as PyTorch's, and the test expects the biased one"
EXCEPTED = {
    "test_batchnorm_epsilon_training_mode": BIASED,
    "test_batchnorm_example_training_mode": BIASED,
    "test_identity_opt": "'opt_in' is no tensor",
    "test_identity_sequence": "'x' is no tensor",
}


def _types(model):
    values = (*model.graph.input, *model.graph.output)
    return {value.type.tensor_type.elem_type for value in values if value.type.HasField("tensor_type")}


def applies(case):
    """Whether it is a test of ops and dtypes that are read, and no expansion of an op into others."""
    nodes = case.model.graph.node
    return (
        "_expanded" not in case.name
        and all(node.op_type in OPS for node in nodes)
        and _types(case.model) <= set(DTYPES) - {TensorProto.BFLOAT16}
        and not RANDOM.match(case.name)
    )


@functools.cache
def cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of making the expected values
        return [case for case in load_model_tests(kind="node") if applies(case)]


def op_of(case):
    return case.model.graph.node[-1].op_type


def array_of(value):
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def fault(case):
    """Why a case does not pass, or ""."""
    try:
        prepared = fnn.onnx.Backend.prepare(case.model)
        for inputs, expected in case.data_sets:
            outputs = prepared.run(inputs)
            with np.errstate(all="ignore"):
                Runner.assert_similar_outputs([array_of(y) for y in expected], list(outputs), case.rtol, case.atol)
    except AssertionError as error:
        return f"wrong: {error}"
    except fnn.onnx.OnnxError as error:
        return f"refused: {error}"
    return ""


@functools.cache
def faults():
    return {case.name: fault(case) for case in cases()}


def table():
    """Markdown: for each op how many cases pass, of all."""
    every, passed = Counter(), Counter()
    for case in cases():
        every[op_of(case)] += 1
        passed[op_of(case)] += not faults()[case.name]
    cells = [f"{op} {passed[op]}/{every[op]}" for op in sorted(OPS) if every[op]]
    untested = sorted(set(OPS) - set(every))
    text = f"{sum(passed.values())} of {sum(every.values())} pass: {', '.join(cells)}."
    return text + (f" Without a case of their own: {', '.join(untested)}." if untested else "")
