"""Networks differentiated by hand, with the public backwards alone, have the gradients that the tape gives."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F

LOSSES = {
    "cross_entropy": ("classes", {"label_smoothing": 0.1}),
    "nll_loss": ("classes", {"weight": np.array([0.5, 1.0, 2.0])}),
    "multi_margin_loss": ("classes", {"p": 2}),
    "l1_loss": ("numbers", {}),
    "huber_loss": ("numbers", {"delta": 0.5, "reduction": "sum"}),
    "hinge_loss": ("signs", {"margin": 0.5}),
    "kl_div": ("shares", {"reduction": "batchmean"}),
    "binary_cross_entropy_with_logits": ("shares", {}),
}


def target_of(kind):
    rng = np.random.default_rng(1)
    return {
        "classes": rng.integers(0, 3, 6),
        "numbers": rng.standard_normal((6, 3)),
        "signs": rng.choice([-1.0, 1.0], (6, 3)),
        "shares": rng.uniform(0, 1, (6, 3)),
    }[kind]


def arrays():
    rng = np.random.default_rng(0)
    shapes = {"x": (6, 4, 5, 5), "residual": (6, 4, 5, 5), "weight": (4,), "bias": (4,), "product": (100, 3)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def forward(x, residual, weight, bias, product):
    """The scores and all that stands between."""
    a = F.batch_norm_relu(x, None, None, weight, bias, residual, training=True)
    b = F.dropout2d(a, 0.25, rng=1)
    c = F.rrelu(F.add(b, residual), training=True, rng=[2, 3])
    d = F.dropout(c, 0.25, rng=np.random.SeedSequence(4)).reshape(6, 100)
    return a, b, d, F.matmul(d, product)


def backward(dscores, x, residual, weight, bias, product):
    a, b, d, _ = forward(x, residual, weight, bias, product)
    dd, dproduct = F.matmul_backward(dscores, d, product)
    dc = F.dropout_backward(dd.reshape(x.shape), 0.25, rng=np.random.SeedSequence(4))
    db, dresidual = F.add_backward(F.rrelu_backward(dc, F.add(b, residual), training=True, rng=[2, 3]))
    da = F.dropout2d_backward(db, 0.25, rng=1)
    dx, dweight, dbias, through_norm = F.batch_norm_relu_backward(da, x, a, weight)
    return {"x": dx, "residual": dresidual + through_norm, "weight": dweight, "bias": dbias, "product": dproduct}


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
@pytest.mark.parametrize("loss", LOSSES)
def test_by_hand_as_by_the_tape(loss, backend):
    kind, options = LOSSES[loss]
    with fnn.use_backend(backend):
        given, target = arrays(), target_of(kind)
        tensors = {name: fnn.Tensor(a, requires_grad=True) for name, a in given.items()}
        getattr(F, loss)(forward(**tensors)[-1], target, **options).backward()
        by_hand = backward(getattr(F, loss + "_backward")(forward(**given)[-1], target, **options), **given)
    for name, gradient in by_hand.items():
        np.testing.assert_allclose(gradient, tensors[name].grad, rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
def test_gradients_of_a_sum_can_be_changed_one_by_one(backend):
    dy = np.ones(3)
    with fnn.use_backend(backend):
        da, db = F.add_backward(dy)
    da += 1
    np.testing.assert_array_equal(db, np.ones(3))
    np.testing.assert_array_equal(dy, np.ones(3))
