"""What is measured: a case per op and shape, with the operations or bytes that its result costs at least.

`report` prints them against PyTorch, `test_bench` runs them under pytest-benchmark. ``op`` is the name in
`fastnn.functional` (or the kind of training step), so that an op without a benchmark is seen by the tests.
"""

from __future__ import annotations

from bench_case import Case
from few_cases import FEW, OVERHEAD
from op_cases import ACTIVATIONS, CONVOLUTIONS, LOSSES, NORMS, PADS, POOLS, PRODUCTS, RESIZES, SWEEP
from training_cases import EMBEDDING, OPTIMISERS, RECURRENT, TRAINING

__all__ = ["CASES", "TRAINING", "Case"]

CASES = [
    *CONVOLUTIONS,
    *PRODUCTS,
    *POOLS,
    *PADS,
    *RESIZES,
    *NORMS,
    *ACTIVATIONS,
    *LOSSES,
    *OPTIMISERS,
    *TRAINING,
    *EMBEDDING,
    *RECURRENT,
    *OVERHEAD,
    *SWEEP,
    *FEW,
]
# Two builds of fastnn may have different cases, so that places in the list say nothing to the other one.
BY_NAME = {str(case): case for case in CASES}
