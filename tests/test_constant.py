"""The best prediction that is the same for every sample."""

from functools import partial

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn
from fastnn.training.constant import best_constant
from fastnn.training.figures import Objective, Sample

RNG = np.random.default_rng(0)
CLASSES = RNG.choice(4, 60, p=[0.1, 0.2, 0.3, 0.4])
WITH_GAPS = np.where(RNG.random((20, 5)) < 0.3, -100, RNG.integers(0, 4, (20, 5)))
PROBABILITIES = RNG.dirichlet([1, 2, 3, 4], 60)
NUMBERS = RNG.gamma(1.0, 3.0, (61, 2))
BITS = (RNG.random((60, 3)) < [0.1, 0.5, 0.8]).astype(float)
SIGNS = 2 * BITS - 1
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.25])

CASES = {
    "classes": (F.cross_entropy, (4,), CLASSES),
    "probabilities": (F.cross_entropy, (4,), PROBABILITIES),
    "smoothing": (partial(F.cross_entropy, label_smoothing=0.2), (4,), CLASSES),
    "smoothing and weights": (partial(F.cross_entropy, label_smoothing=0.2, weight=WEIGHTS), (4,), CLASSES),
    "probabilities, smoothing and weights": (
        partial(F.cross_entropy, label_smoothing=0.2, weight=WEIGHTS),
        (4,),
        PROBABILITIES,
    ),
    "positions, some ignored": (F.cross_entropy, (4, 5), WITH_GAPS),
    "positions, some ignored, weights": (nn.CrossEntropyLoss(WEIGHTS, label_smoothing=0.1), (4, 5), WITH_GAPS),
    "a class ignored": (partial(F.cross_entropy, ignore_index=3), (4,), CLASSES),
    "module": (nn.CrossEntropyLoss(), (4,), CLASSES),
    "log-likelihood": (F.nll_loss, (4,), CLASSES),
    "log-likelihood, module": (nn.NLLLoss(WEIGHTS, ignore_index=1), (4,), CLASSES),
    "bits": (F.binary_cross_entropy_with_logits, (3,), BITS),
    "bits, weights": (
        nn.BCEWithLogitsLoss(np.array([1.0, 2.0, 3.0]), pos_weight=np.array([0.5, 2.0, 4.0])),
        (3,),
        BITS,
    ),
    "squares": (F.mse_loss, (2,), NUMBERS),
    "squares, module": (nn.MSELoss(), (2,), NUMBERS),
    "absolutes": (F.l1_loss, (2,), NUMBERS),
    "absolutes, even": (nn.L1Loss(), (2,), NUMBERS[:60]),
    "huber": (F.huber_loss, (2,), NUMBERS),
    "huber, as squares": (partial(F.huber_loss, delta=100.0), (2,), NUMBERS),
    "huber, as absolutes": (nn.HuberLoss(delta=0.01), (2,), NUMBERS),
    "hinge": (F.hinge_loss, (3,), SIGNS),
    "hinge, margin": (nn.HingeLoss(margin=0.3), (3,), SIGNS),
    "hinge, no margin": (nn.HingeLoss(margin=-0.3), (3,), SIGNS),
    "hinge of two": (F.multi_margin_loss, (2,), BITS[:, 0].astype(int)),
    "hinge of two, squared": (nn.MultiMarginLoss(p=2, weight=np.array([1.0, 3.0])), (2,), BITS[:, 2].astype(int)),
}


def loss_of(loss, output, target, weight=None):
    x = np.repeat(output, len(target), axis=0)
    return float(Objective(loss)(x, Sample((x, target) if weight is None else (x, target, weight))))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_no_other_constant_is_better(name, weighted):
    loss, shape, target = CASES[name]
    weight = np.random.default_rng(1).integers(0, 4, len(target)).astype(float) if weighted else None
    found = best_constant(loss, np.zeros((1, *shape)), target, weight)
    assert found.output.shape == (1, *shape)
    assert found.loss == pytest.approx(loss_of(loss, found.output, target, weight), rel=1e-12)
    rng = np.random.default_rng(2)
    for size in (1.0, 0.1, 0.01, 1e-4):
        for _ in range(40):
            # The same step at each position: those share a constant.
            step = size * rng.normal(size=(1, shape[0]) + (1,) * (len(shape) - 1))
            other = found.output + step
            if "likelihood" in name:
                other = other - np.log(np.exp(other).sum(axis=1, keepdims=True))
            assert loss_of(loss, other, target, weight) >= found.loss - 1e-12


def test_weights_count_as_repeated_samples():
    for name, (loss, shape, target) in CASES.items():
        if name in ("positions, some ignored", "positions, some ignored, weights"):
            continue  # a mean over positions that count is none over samples
        weight = np.random.default_rng(3).integers(0, 3, len(target))
        weighted = best_constant(loss, np.zeros((1, *shape)), target, weight)
        repeated = best_constant(loss, np.zeros((1, *shape)), np.repeat(target, weight, axis=0))
        np.testing.assert_allclose(weighted.output, repeated.output, atol=1e-9, err_msg=name)


def test_known_values():
    assert best_constant(F.cross_entropy, np.zeros((1, 10)), np.arange(10)).loss == pytest.approx(np.log(10))
    found = best_constant(F.cross_entropy, np.zeros((1, 3)), np.array([0, 0, 2, 2]))
    assert found.loss == pytest.approx(np.log(2))
    assert np.isfinite(found.output).all(), "a class without a target has a finite logit"
    assert best_constant(F.mse_loss, np.zeros((1, 1)), np.array([[1.0], [3.0]])).loss == 1.0
    assert best_constant(F.l1_loss, np.zeros((1, 1)), np.array([[1.0], [2.0], [9.0]])).output == 2.0
    only_ones = best_constant(F.binary_cross_entropy_with_logits, np.zeros((1, 1)), np.ones((5, 1)))
    assert only_ones.loss == pytest.approx(0, abs=1e-12)
    assert np.isfinite(only_ones.output).all()


def test_dtype_and_words():
    found = best_constant(F.mse_loss, np.zeros((1, 2), np.float32), NUMBERS.astype(np.float32))
    assert (found.output.dtype, found.words) == (np.float32, "always the mean")
    assert best_constant(F.cross_entropy, np.zeros((1, 4), np.float32), CLASSES).words == "always the class frequencies"


def test_a_loss_of_ones_own_tells_its_constant():
    class Relative:
        def __call__(self, output, target):
            return F.mse_loss(output / 2, target / 2)

        def best_constant(self, targets, weight):
            return np.average(targets, axis=0, weights=weight)[None]

    found = best_constant(Relative(), np.zeros((1, 2)), NUMBERS)
    assert found.loss == pytest.approx(NUMBERS.var(axis=0).mean() / 4)


class _Own(nn.MSELoss):
    def forward(self, x, target):
        return super().forward(x, target) + 1


@pytest.mark.parametrize(
    "loss",
    [
        lambda output, target: F.mse_loss(output, target),
        _Own(),
        partial(F.mse_loss, np.zeros((61, 2))),
        F.kl_div,
        F.multi_margin_loss,
    ],
)
def test_unknown_losses(loss):
    target = NUMBERS if loss is not F.multi_margin_loss else RNG.integers(0, 3, 61)
    assert best_constant(loss, np.zeros((1, 3 if loss is F.multi_margin_loss else 2)), target) is None


def test_nothing_counts():
    assert best_constant(F.cross_entropy, np.zeros((1, 3)), np.full(4, -100)) is None
    assert best_constant(F.mse_loss, np.zeros((1, 2)), NUMBERS, np.zeros(61)) is None
    assert best_constant(F.mse_loss, (np.zeros((1, 2)),), NUMBERS) is None
    assert best_constant(F.mse_loss, np.zeros((1, 2)), (NUMBERS, NUMBERS)) is None


def test_refused():
    with pytest.raises(ValueError, match=r"best_constant: expected targets of some samples, got shape \(0,\)"):
        best_constant(F.cross_entropy, np.zeros((1, 3)), np.zeros(0, int))
    with pytest.raises(ValueError, match="best_constant: target"):
        best_constant(F.cross_entropy, np.zeros((1, 3)), np.array([3]))
    with pytest.raises(ValueError, match="best_constant: target"):
        best_constant(F.mse_loss, np.zeros((1, 3)), NUMBERS)
