"""Whitening against its definition, scikit-learn's PCA and the symmetric root of the covariance."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn.data import Whitening, whitening


def correlated(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d) * 10


def covariance(x):
    centred = x - x.mean(0)
    return centred.T @ centred / len(x)


def root(matrix, eps=0.0):
    """(matrix + ε)^(-1/2), the symmetric one."""
    variances, columns = np.linalg.eigh(matrix + eps * np.eye(len(matrix)))
    return columns / np.sqrt(variances) @ columns.T


@pytest.mark.parametrize("method", ["zca", "pca"])
@pytest.mark.parametrize(("n", "d"), [(500, 6), (30, 6), (7, 6), (100, 1), (300, 30)])
def test_the_covariance_becomes_the_unit_matrix(method, n, d):
    x = correlated(n, d)
    scaler = Whitening(method, eps=0).fit(x)
    y = scaler.transform(x)
    np.testing.assert_allclose(covariance(y), np.eye(d), atol=1e-6)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(scaler.inverse_transform(y), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("eps", [None, 0.3])
@pytest.mark.parametrize(("n", "d"), [(50, 6), (6, 6), (5, 9), (9, 9)])
def test_zca_is_the_symmetric_root(n, d, eps):
    x = correlated(n, d)
    new = correlated(8, d, seed=1)
    added = (0.01 if eps is None else eps) * np.trace(covariance(x)) / d
    scaler = Whitening(eps=eps).fit(x)
    assert scaler.eps_ == pytest.approx(added)
    expected = (new - x.mean(0)) @ root(covariance(x), added)
    np.testing.assert_allclose(scaler.transform(new), expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(new)), new, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("n", "d"), [(60, 6), (6, 20)])
def test_pca_is_that_of_scikit_learn(n, d):
    decomposition = pytest.importorskip("sklearn.decomposition")
    x = correlated(n, d)
    ours = Whitening("pca", n_components=4, eps=0).fit(x)
    theirs = decomposition.PCA(4, whiten=True, svd_solver="full").fit(x)
    signs = np.sign((ours.components_ * theirs.components_).sum(1))
    np.testing.assert_allclose(ours.components_ * signs[:, None], theirs.components_, atol=1e-10)
    np.testing.assert_allclose(ours.explained_variance_, theirs.explained_variance_ * (n - 1) / n, rtol=1e-10)
    new = correlated(5, d, seed=1)
    # scikit-learn divides by N - 1.
    expected = theirs.transform(new) * signs * np.sqrt(n / (n - 1))
    np.testing.assert_allclose(ours.transform(new), expected, rtol=1e-9, atol=1e-9)
    expected = theirs.inverse_transform(theirs.transform(new))
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(new)), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["zca", "pca"])
def test_few_large_samples_need_no_large_matrix(method):
    """The covariance would take 80 GB."""
    x = np.random.default_rng(0).normal(size=(5, 100_000))
    scaler = Whitening(method, eps=0).fit(x)
    assert scaler.components_.shape == (4, 100_000)
    y = scaler.transform(x)
    np.testing.assert_allclose(scaler.inverse_transform(y), x, atol=1e-9)
    if method == "pca":
        np.testing.assert_allclose(covariance(y), np.eye(4), atol=1e-9)


def test_what_would_be_too_large_is_refused_at_once():
    x = np.broadcast_to(np.float32(0), (20_000, 187_500))
    with pytest.raises(ValueError, match=r"20000×20000 matrix of 3200000000 bytes, .* at most 16384 samples"):
        Whitening().fit(x)


def test_signs_are_fixed():
    """The largest element of each direction is positive, the first of those that are equal but for rounding."""
    x = correlated(40, 5)
    scaler = Whitening("pca").fit(x)
    assert (scaler.components_[range(5), np.abs(scaler.components_).argmax(1)] > 0).all()
    other = Whitening("pca").fit(x[::-1].copy())
    np.testing.assert_allclose(other.components_, scaler.components_, atol=1e-9)
    tie = np.array([[-1.0, 1 + 1e-13], [1 + 1e-13, -1.0]]) / np.sqrt(2)
    assert (whitening._with_signs(tie)[:, 0] > 0).all()


def test_components_that_are_left_out():
    x = correlated(50, 6)
    full = Whitening("pca").fit(x)
    some = Whitening("pca", n_components=2).fit(x)
    np.testing.assert_allclose(some.transform(x), full.transform(x)[:, :2], rtol=1e-12, atol=1e-12)
    assert some.get_feature_names_out().tolist() == ["whitening0", "whitening1"]
    turned = Whitening(n_components=2, eps=0).fit(x)
    y = turned.transform(x)
    assert y.shape == x.shape
    assert np.linalg.matrix_rank(covariance(y), tol=1e-6) == 2
    np.testing.assert_allclose(turned.inverse_transform(y), some.inverse_transform(some.transform(x)), atol=1e-8)
    np.testing.assert_allclose(turned.transform(turned.inverse_transform(y)), y, atol=1e-9)


def test_features_without_variance():
    x = np.column_stack([correlated(50, 3), np.full(50, 3.0), np.zeros(50)])
    for eps in (0, None):
        y = Whitening(eps=eps).fit_transform(x)
        assert np.abs(y[:, 3:]).max() < 1e-6
        scaler = Whitening("pca", eps=eps).fit(x)
        assert scaler.n_components_ == 3
        np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(x)), x, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_images(dtype):
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4)).astype(dtype)
    scaler = Whitening().fit(x)
    y = scaler.transform(x)
    assert y.shape == x.shape
    assert y.dtype == (np.float64 if dtype is np.uint8 else dtype)
    assert scaler.mean_.shape == (3, 4, 4)
    np.testing.assert_allclose(scaler.inverse_transform(y), x, atol=1e-2)
    # A pixel's unit makes no difference: eps is relative.
    np.testing.assert_allclose(Whitening().fit_transform(x / 255.0), y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("scaler", "x", "error", "match"),
    [
        (Whitening("pc"), np.eye(3), ValueError, "method must be 'zca' or 'pca', got 'pc'"),
        (Whitening(n_components=0), np.eye(3), ValueError, "n_components must be at least 1"),
        (Whitening(n_components=2.0), np.eye(3), TypeError, "n_components must be an int"),
        (
            Whitening(n_components=3),
            np.eye(3),
            ValueError,
            "n_components must be at most 2, of 3 samples with 3 features",
        ),
        (Whitening(eps=-1.0), np.eye(3), ValueError, "eps"),
        (Whitening(), np.ones((1, 3)), ValueError, "minimum of 2"),
        (Whitening(), np.ones((5, 3)), ValueError, "expected samples that differ"),
        (Whitening(), np.array([[np.nan, 1.0], [2.0, 3.0]]), ValueError, r"X contains NaN, first at X\[0, 0\]"),
        (Whitening(), np.array([[1.0, 1.0], [2.0, np.inf]]), ValueError, r"X contains inf, first at X\[1, 1\]"),
        (Whitening(), np.ones(3), ValueError, "Reshape"),
    ],
)
def test_refused(scaler, x, error, match):
    with pytest.raises(error, match=f"^Whitening.fit: .*{match}"):
        scaler.fit(x)


@pytest.mark.parametrize("method", ["zca", "pca"])
def test_another_shape(method):
    scaler = Whitening(method).fit(correlated(20, 4))
    with pytest.raises(ValueError, match=r"^Whitening.transform: X has 3 features, but Whitening is expecting 4"):
        scaler.transform(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"^Whitening.inverse_transform: expected X of shape \(N, 4\), got \(2, 3\)"):
        scaler.inverse_transform(np.ones((2, 3)))
    for name in ("transform", "inverse_transform"):
        with pytest.raises(ValueError, match=f"^Whitening.{name}: this Whitening is not fitted yet"):
            getattr(Whitening(method), name)(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"^Whitening.as_module: this Whitening is not fitted yet"):
        Whitening(method).as_module()
    assert repr(Whitening("pca", eps=0.1)) == "Whitening(method='pca', eps=0.1)"


@pytest.mark.parametrize(
    ("name", "value"),
    [("mean", np.zeros(3)), ("components", np.zeros((3, 5))), ("variance", -np.ones(4)), ("total", np.array([np.nan]))],
)
def test_states_that_do_not_fit(name, value):
    scaler = Whitening().fit(correlated(20, 4))
    state = scaler.state_dict()
    state["fitted"]["statistics"][name] = value
    with pytest.raises(ValueError, match=r"^Whitening.load_state_dict: statistics must"):
        scaler.load_state_dict(state)


@pytest.mark.parametrize("method", ["zca", "pca"])
def test_the_layer_has_the_same_bits_for_every_number_of_threads(method):
    x = np.random.default_rng(0).normal(size=(300, 3, 8, 8)).astype(np.float32)
    layer = Whitening(method).fit(x).as_module()
    results = []
    for threads in (1, 2, 3):
        with fnn.set_num_threads(threads):
            leaf = fnn.tensor(x, requires_grad=True)
            y = layer(leaf)
            (y * y).sum().backward()
            results.append((y.numpy(), leaf.grad))
    for y, gradient in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(gradient, results[0][1])
