"""Damaged ONNX files (tools/damage_onnx.py makes more of them): refused, or read as the references read them."""

from collections import Counter

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
import onnx_mutations


def test_damaged_files():
    outcomes = Counter()
    for seed in range(200):
        fault, outcome = onnx_mutations.check(seed)
        assert not fault
        outcomes[outcome] += 1
    assert outcomes["result"] > 5, outcomes
    assert outcomes["refused"] > 50, outcomes
    assert outcomes["refused in a call"] > 5, outcomes


def test_undamaged_files_are_read():
    for content, inputs in onnx_mutations.originals().values():
        outcome, outputs, given, _ = onnx_mutations.read_and_run(content, inputs)
        assert outcome == "result"
        assert list(onnx_mutations.same(content, given, outputs)) == [True, True]
