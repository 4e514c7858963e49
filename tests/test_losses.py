"""Losses: what they refuse, PyTorch's own formulas where those cancel, reductions, and the definitions in words."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn
from fastnn.autograd import raw

BACKENDS = fnn.backend.available_backends()
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
P = RNG.dirichlet(np.ones(3), 4)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: F.mse_loss(X, Y[0]), ValueError, r"mse_loss: target must have shape \(4, 3\), got \(3,\)"),
        (lambda: F.mse_loss(X, Y, "average"), ValueError, "mse_loss: reduction must be 'mean', 'sum' or 'none'"),
        (lambda: F.mse_loss(X, Y.astype(np.float32)), TypeError, "mse_loss: x is float64 but target is float32"),
        (lambda: F.huber_loss(X, Y, 0.0), ValueError, "huber_loss: delta"),
        (lambda: F.hinge_loss(X, np.sign(Y) * 2), ValueError, "hinge_loss: target must hold 1 and -1 only"),
        (lambda: F.kl_div(X, -P), ValueError, r"kl_div: target must be probabilities in \[0, 1\]"),
        (lambda: F.kl_div(X, P, "total"), ValueError, "kl_div: reduction must be 'mean', 'sum', 'batchmean' or 'none'"),
        (lambda: F.binary_cross_entropy_with_logits(X, P + 1), ValueError, "_logits: target must be probabilities"),
        (lambda: F.binary_cross_entropy_with_logits(X, P, Y[:2]), ValueError, r"weight of shape \(2, 3\) does not"),
        (lambda: F.cross_entropy(X, P * 2), ValueError, "cross_entropy: target must be probabilities"),
        (lambda: F.cross_entropy(X, P[:2]), ValueError, r"cross_entropy: target must have shape \(4, 3\)"),
        (
            lambda: F.cross_entropy(X, np.ones(4, np.float32)),
            TypeError,
            r"integers, in shape \(4,\).*astype\(np.int64\)",
        ),
        (lambda: F.cross_entropy(X[:0], np.ones(0)), TypeError, "numbers of classes become integers"),
        (lambda: F.nll_loss(X, np.array([0, 1, 3, 0])), ValueError, "nll_loss: target holds 3, expected 0 to 2"),
        (lambda: F.nll_loss(X, P), TypeError, "nll_loss: target must hold integers"),
        (lambda: F.multi_margin_loss(X, np.array([0, 1, -1, 0])), ValueError, "holds -1, expected 0 to 2 "),
        (lambda: F.multi_margin_loss(X, np.zeros(4, int), 3), ValueError, "multi_margin_loss: p must be 1 or 2"),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("backend", BACKENDS)
def test_definitions(backend):
    t = np.array([0, 2, 1, 1])
    with fnn.use_backend(backend):
        logp = F.log_softmax(X)
        assert float(F.nll_loss(logp, t)) == pytest.approx(float(F.cross_entropy(X, t)), rel=1e-14)
        assert float(F.cross_entropy(X, np.eye(3)[t])) == pytest.approx(float(F.cross_entropy(X, t)), rel=1e-14)
        # The divergence is cross-entropy less entropy.
        entropy = -(P * np.log(P)).sum(axis=1).mean()
        assert float(F.kl_div(logp, P, "batchmean")) == pytest.approx(float(F.cross_entropy(X, P)) - entropy, rel=1e-13)
        assert float(F.kl_div(np.log(P), P, "sum")) == pytest.approx(0, abs=1e-15)
        # Two classes: a logit is the difference of two scores.
        one = (t == 1).astype(float)
        two = np.stack([np.zeros(4), X[:, 0]], axis=1)
        binary = F.binary_cross_entropy_with_logits(X[:, 0], one)
        assert float(binary) == pytest.approx(float(F.cross_entropy(two, one.astype(int))), rel=1e-14)
        signs = 2 * one - 1
        assert float(F.hinge_loss(X[:, 0], signs)) == pytest.approx(np.maximum(0, 1 - signs * X[:, 0]).mean())
        # Huber's two ends.
        assert float(F.huber_loss(X, Y, 1e6)) == pytest.approx(float(F.mse_loss(X, Y)) / 2, rel=1e-14)
        assert float(F.huber_loss(X, Y, 1e-9)) == pytest.approx(float(F.l1_loss(X, Y)) * 1e-9, rel=1e-8)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_torch_s_own_binary_cross_entropy(reduction):
    torch = pytest.importorskip("torch")
    x, t = RNG.normal(size=(7, 5)) * 10, RNG.uniform(size=(7, 5))
    w, p = RNG.uniform(size=5), RNG.uniform(0.5, 2, size=5)
    ours, theirs = fnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = F.binary_cross_entropy_with_logits(ours, t, w, reduction, p)
    z = torch.nn.functional.binary_cross_entropy_with_logits(
        theirs, torch.tensor(t), torch.tensor(w), reduction=reduction, pos_weight=torch.tensor(p)
    )
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-13, atol=1e-13)
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out(backend, dtype):
    """Nothing overflows at ±1e4, and a NaN stays."""
    x, t = np.array([1e4, -1e4, 1e4, -1e4, np.nan], dtype), np.array([1, 0, 0, 1, 1], dtype)
    with fnn.use_backend(backend):
        loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
        np.testing.assert_array_equal(loss, np.array([0, 0, 1e4, 1e4, np.nan], dtype))
        rows = np.array([[1e4, -1e4], [-1e4, 1e4], [np.nan, 0]], dtype)
        soft = F.cross_entropy(rows, np.array([[1, 0], [0.5, 0.5], [1, 0]], dtype), reduction="none")
        np.testing.assert_array_equal(soft, np.array([0, 1e4, np.nan], dtype))


def test_means_of_nothing_are_nan():
    empty = np.zeros((0, 3))
    for loss in (F.mse_loss(empty, empty), F.l1_loss(empty, empty), F.cross_entropy(empty, empty)):
        assert np.isnan(raw(loss))


T = np.array([0, 2, 1, 1])
MODULES = [
    (nn.MSELoss("sum"), Y, lambda: F.mse_loss(X, Y, "sum")),
    (nn.L1Loss("none"), Y, lambda: F.l1_loss(X, Y, "none")),
    (nn.HuberLoss(delta=0.5), Y, lambda: F.huber_loss(X, Y, 0.5)),
    (nn.HingeLoss(margin=0.5), np.sign(Y), lambda: F.hinge_loss(X, np.sign(Y), 0.5)),
    (nn.KLDivLoss("batchmean"), P, lambda: F.kl_div(X, P, "batchmean")),
    (nn.KLDivLoss(log_target=True), -P, lambda: F.kl_div(X, -P, log_target=True)),
    (
        nn.BCEWithLogitsLoss(P[0], pos_weight=P[1]),
        P,
        lambda: F.binary_cross_entropy_with_logits(X, P, P[0], pos_weight=P[1]),
    ),
    (nn.NLLLoss(P[0], ignore_index=1), T, lambda: F.nll_loss(X, T, P[0], 1)),
    (nn.MultiMarginLoss(2, 0.5, P[0]), T, lambda: F.multi_margin_loss(X, T, 2, 0.5, P[0])),
    (nn.CrossEntropyLoss(label_smoothing=0.1), P, lambda: F.cross_entropy(X, P, label_smoothing=0.1)),
]


@pytest.mark.parametrize(("module", "target", "expected"), MODULES, ids=lambda v: type(v).__name__)
def test_modules(module, target, expected):
    np.testing.assert_array_equal(module(X, target), expected())


def test_weights_of_losses_are_state():
    assert list(nn.NLLLoss(P[0]).state_dict()) == ["weight"]
    assert sorted(nn.BCEWithLogitsLoss(P[0], pos_weight=P[1]).state_dict()) == ["pos_weight", "weight"]
    with pytest.raises(ValueError, match="HuberLoss: delta"):
        nn.HuberLoss(delta=-1.0)
    with pytest.raises(ValueError, match="MSELoss: reduction"):
        nn.MSELoss("batchmean")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (nn.CrossEntropyLoss, "weight"),
        (nn.NLLLoss, "weight"),
        (nn.BCEWithLogitsLoss, "weight"),
        (nn.BCEWithLogitsLoss, "pos_weight"),
        (nn.MultiMarginLoss, "weight"),
    ],
)
def test_weights_of_losses_take_no_gradient_away(make, name):
    weight = fnn.tensor(P[0], requires_grad=True)
    with pytest.raises(TypeError, match=rf"{make.__name__}: .*{name}.*detach"):
        make(**{name: weight})
    loss = make(**{name: weight.detach()})
    np.testing.assert_array_equal(loss.state_dict()[name], P[0])
    weight.data[...] = 7
    np.testing.assert_array_equal(loss.state_dict()[name], P[0])


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_sums_do_not_depend_on_threads(threads):
    x, t = np.random.default_rng(1).normal(size=(2, 100_003)).astype(np.float32)
    with fnn.set_num_threads(1):
        expected = F.mse_loss(x, t)
    with fnn.set_num_threads(threads):
        assert F.mse_loss(x, t) == expected


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_constant_tensor_makes_no_other_result(backend, reduction):
    fnn.use_backend(backend)
    x, signs = np.array([0.25, -3.0]), np.array([1.0, -1.0])
    for _ in range(2):  # the second call follows a plan
        loss = F.hinge_loss(x, fnn.tensor(signs), 1.0, reduction)
        assert type(loss) is np.float64
        assert loss == F.hinge_loss(x, signs, 1.0, reduction)
