"""Resampling with replacement, and distributions fitted to data: against the definitions, scikit-learn and SciPy."""

import math

import numpy as np
import pytest

import fastnn as fnn
from fastnn.data import Batches, Distribution, fit_distribution, resample


def data(n=40, shape=(3,), dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    d = math.prod(shape)
    return (rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 5).reshape(n, *shape).astype(dtype)


@pytest.mark.parametrize("n", [None, 0, 1, 7, 500])
@pytest.mark.parametrize("stratified", [False, True])
def test_resample_keeps_arrays_together(n, stratified):
    x, y = data(), np.arange(40) % 3
    (a, b), indices = resample(x, y, n=n, rng=1, stratify=y if stratified else None)
    assert len(a) == len(b) == len(indices) == (40 if n is None else n)
    assert (a == x[indices]).all()
    assert (b == y[indices]).all()
    assert not np.shares_memory(a, x)
    again, other = (resample(x, y, n=n, rng=rng, stratify=y if stratified else None).indices for rng in (1, 2))
    assert (again == indices).all()
    assert n in (0, 1) or (other != indices).any()


def test_resample_draws_each_sample_alike():
    _, indices = resample(np.arange(20), n=100_000, rng=0)
    counts = np.bincount(indices, minlength=20)
    assert np.abs(counts - 5000).max() < 5 * math.sqrt(5000)
    drawn = len(set(resample(np.arange(10_000), rng=0).indices)) / 10_000
    assert abs(drawn - (1 - 1 / math.e)) < 0.02


def test_resample_by_classes_keeps_the_proportions():
    y = np.array(["a"] * 5 + ["b"] * 3 + ["c"] * 2)[np.random.default_rng(0).permutation(10)]
    for seed in range(20):
        (drawn,), indices = resample(y, rng=seed, stratify=y)
        assert [np.count_nonzero(drawn == c) for c in "abc"] == [5, 3, 2]
        (drawn,), _ = resample(y, n=1001, rng=seed, stratify=y)
        assert all(
            abs(np.count_nonzero(drawn == c) - 1001 * p) < 1 for c, p in zip("abc", (0.5, 0.3, 0.2), strict=True)
        )
    assert (np.diff(indices) < 0).any()  # in random order
    counts = np.bincount(resample(y, n=100_000, rng=0, stratify=y).indices)
    assert np.abs(counts - 10_000).max() < 500


def test_resample_several_inputs_into_batches():
    a, b, y = np.arange(10), np.arange(10) * 2, np.arange(10) * 3
    ((first, second), target), indices = resample((a, b), y, rng=0)
    assert (first == indices).all()
    assert (second == 2 * indices).all()
    assert (target == 3 * indices).all()
    assert len(Batches(*resample(a, y, rng=0).arrays, batch_size=5)) == 2


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((), {}, ValueError, "expected arrays of one length"),
        (([1, 2], [1]), {}, ValueError, "expected arrays of one length"),
        (([],), {"n": 1}, ValueError, "there are no samples to draw 1 from"),
        (([1, 2],), {"n": -1}, ValueError, "n must be at least 0"),
        (([1, 2],), {"n": 2.0}, TypeError, "n must be an int"),
        (([1, 2],), {"rng": "a"}, TypeError, "rng must be an int"),
        (([1, 2],), {"stratify": [1]}, ValueError, r"stratify must have shape \(2,\)"),
    ],
)
def test_resample_refuses(arguments, options, error, message):
    with pytest.raises(error, match=f"^resample: {message}"):
        resample(*arguments, **{"rng": 0, **options})


def test_resample_of_nothing():
    (x,), indices = resample(np.empty((0, 3)), rng=0)
    assert x.shape == (0, 3)
    assert len(indices) == 0
    assert len(resample([], rng=0, stratify=[]).indices) == 0


def covariance(fitted):
    """The matrix that a fitted distribution stands for."""
    (part,) = fitted.state_dict()["parts"]
    known = part["vectors"].T * part["deviations"] ** 2 @ part["vectors"]
    return known + part["floor"] ** 2 * np.eye(len(known))


@pytest.mark.parametrize("n", [2, 5, 20, 200])
@pytest.mark.parametrize("features", [1, 3, 20, 50])
@pytest.mark.parametrize("offset", [0, 1e3])
def test_gaussian_with_ledoit_wolf(n, features, offset):
    theirs = pytest.importorskip("sklearn.covariance").LedoitWolf()
    x = data(n, (features,)) + offset
    fitted = fit_distribution(x)
    theirs.fit(x)
    scale = np.abs(theirs.covariance_).max()
    np.testing.assert_allclose(covariance(fitted), theirs.covariance_, rtol=1e-9, atol=1e-11 * scale)
    np.testing.assert_allclose(fitted.state_dict()["parts"][0]["points"][0], theirs.location_, rtol=1e-12)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n", [4, 50])
def test_gaussian_with_a_given_shrinkage(shrinkage, n):
    x = data(n, (6,))
    s = np.cov(x.T, bias=True)
    expected = (1 - shrinkage) * s + shrinkage * np.trace(s) / 6 * np.eye(6)
    np.testing.assert_allclose(
        covariance(fit_distribution(x, shrinkage=shrinkage)), expected, atol=1e-12 * np.abs(s).max()
    )


@pytest.mark.parametrize("factor", [1e-160, 1e160, 2.0**-20])
def test_numbers_of_any_size(factor):
    x = data(30, (4,))
    one, other = fit_distribution(x), fit_distribution(x * factor)
    np.testing.assert_allclose(other.log_density(x * factor), one.log_density(x) - 4 * math.log(factor), rtol=1e-9)
    deviations = [fitted.state_dict()["parts"][0]["deviations"] for fitted in (one, other)]
    np.testing.assert_allclose(deviations[1], deviations[0] * factor, rtol=1e-9)


def test_huge_offset():
    x = data(100, (3,), seed=1)
    s = covariance(fit_distribution(x + 1e8))
    np.testing.assert_allclose(s, covariance(fit_distribution(x)), rtol=1e-5)


@pytest.mark.parametrize("kind", ["gaussian", "kde"])
@pytest.mark.parametrize("n", [8, 60])
def test_samples_have_the_moments_of_the_distribution(kind, n):
    x = data(n, (10,))
    fitted = fit_distribution(x, kind=kind)
    (drawn,) = fitted.sample(200_000, rng=0)
    expected = covariance(fitted) + (np.cov(x.T, bias=True) if kind == "kde" else 0)
    scale = np.sqrt(np.diag(expected))
    assert (np.abs(drawn.mean(axis=0) - x.mean(axis=0)) / scale).max() < 0.015
    assert (np.abs(np.cov(drawn.T) - expected) / np.outer(scale, scale)).max() < 0.025


@pytest.mark.parametrize("n", [10, 100])
def test_log_density_of_the_gaussian(n):
    stats = pytest.importorskip("scipy.stats")
    x = data(n, (12,))
    fitted = fit_distribution(x)
    points = data(9, (12,), seed=3)
    expected = stats.multivariate_normal(x.mean(axis=0), covariance(fitted)).logpdf(points)
    np.testing.assert_allclose(fitted.log_density(points), expected, rtol=1e-9)


@pytest.mark.parametrize("features", [1, 3])
def test_kde_with_scotts_rule(features):
    stats = pytest.importorskip("scipy.stats")
    x, points = data(50, (features,)), data(7, (features,), seed=2)
    theirs = stats.gaussian_kde(x.T, bw_method="scott")
    fitted = fit_distribution(x, kind="kde", shrinkage=0)
    np.testing.assert_allclose(covariance(fitted), theirs.covariance, rtol=1e-10)
    np.testing.assert_allclose(fitted.log_density(points), theirs.logpdf(points.T), rtol=1e-9)


def test_kde_with_full_shrinkage_has_round_kernels():
    theirs = pytest.importorskip("sklearn.neighbors").KernelDensity
    x, points = data(30, (4,)), data(7, (4,), seed=2)
    fitted = fit_distribution(x, kind="kde", shrinkage=1)
    width = math.sqrt(np.trace(np.cov(x.T)) / 4) * 30 ** (-1 / 8)
    expected = theirs(bandwidth=width).fit(x).score_samples(points)
    np.testing.assert_allclose(fitted.log_density(points), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["gaussian", "kde"])
def test_densities_integrate_to_one(kind):
    x = data(12, (2,))
    fitted = fit_distribution(x, np.arange(12) % 2, kind=kind)
    sides = [np.linspace(a, b, 300) for a, b in zip(x.min(axis=0) - 9, x.max(axis=0) + 9, strict=True)]
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    cell = np.prod([s[1] - s[0] for s in sides])
    assert abs(np.exp(fitted.log_density(grid)).sum() * cell - 1) < 0.01


def test_density_far_away_is_not_zero():
    fitted = fit_distribution(data(), np.arange(40) % 2, kind="kde")
    assert np.isfinite(fitted.log_density(np.full((1, 3), 1e6))).all()


@pytest.mark.parametrize("kind", ["gaussian", "kde"])
@pytest.mark.parametrize("labels", [[5, -2, 7], ["b", "a", "cc"], [True, False, True]])
def test_classes_keep_their_proportions_and_their_data(kind, labels):
    y = np.repeat(labels, [50, 30, 20])
    classes, codes = np.unique(y, return_inverse=True)
    x = data(100) + 1000 * codes[:, None]
    fitted = fit_distribution(x, y, kind=kind)
    x_new, y_new = fitted.sample(50, rng=0)
    assert y_new.dtype == y.dtype
    assert [2 * np.count_nonzero(y_new == c) for c in classes] == [np.count_nonzero(y == c) for c in classes]
    assert (classes[np.round(x_new[:, 0] / 1000).astype(int)] == y_new).all()
    assert (y_new[1:] != y_new[:-1]).any()
    _, few = fitted.sample(7, rng=0)
    assert all(abs(np.mean(y == c) * 7 - np.count_nonzero(few == c)) < 1 for c in classes)


@pytest.mark.parametrize("kind", ["gaussian", "kde"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 3)])
def test_shape_and_dtype_stay(kind, dtype, shape):
    x = data(20, shape, dtype)
    before = x.copy()
    x.flags.writeable = False
    fitted = fit_distribution(x, kind=kind)
    for n in (0, 1, 9):
        (drawn,) = fitted.sample(n, rng=1)
        assert drawn.shape == (n, *shape)
        assert drawn.dtype == dtype
        assert len(fitted.log_density(drawn)) == n
    assert (x == before).all()
    assert (fitted.sample(9, rng=1)[0] == fitted.sample(9, rng=np.random.default_rng(1))[0]).all()
    assert (fitted.sample(9, rng=1)[0] != fitted.sample(9, rng=2)[0]).any()


@pytest.mark.parametrize("kind", ["gaussian", "kde"])
def test_constant_features(kind):
    x = data(20, (3,))
    x[:, 1] = 14.62
    (drawn,) = fit_distribution(x, kind=kind, shrinkage=0).sample(50, rng=0)
    np.testing.assert_allclose(drawn[:, 1], 14.62, rtol=1e-12)
    same = fit_distribution(np.full((5, 2), 7.0), kind=kind)
    assert (same.sample(3, rng=0)[0] == 7).all()
    for singular in (same, fit_distribution(x, kind=kind, shrinkage=0), fit_distribution(data(3, (5,)), shrinkage=0)):
        with pytest.raises(ValueError, match=r"^log_density: there is no density, since the covariance is singular"):
            singular.log_density(np.zeros((1, singular.sample(1, rng=0)[0].shape[1])))


@pytest.mark.parametrize("kind", ["gaussian", "kde"])
@pytest.mark.parametrize("labels", [None, [1, 2] * 15, ["cat", "dog"] * 15])
def test_state_goes_through_a_checkpoint(tmp_path, kind, labels):
    fitted = fit_distribution(data(30, (2, 2), np.float32), labels, kind=kind)
    fnn.save_checkpoint(tmp_path / "fitted.npz", {"fitted": fitted.state_dict()})
    again = Distribution(fnn.load_checkpoint(tmp_path / "fitted.npz")["fitted"])
    for a, b in zip(fitted.sample(10, rng=3), again.sample(10, rng=3), strict=True):
        assert (a == b).all()
        assert a.dtype == b.dtype


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "uniform"},
        {"dtype": "float16"},
        {"shape": [4]},
        {"counts": np.array([15])},
        {"counts": np.array([15, 0])},
        {"classes": [1]},
        {"class_dtype": "O"},
        {"class_dtype": "no such"},
        {"shape": 3},
        {"counts": "many"},
        {"parts": []},
        {"parts": [{"points": 1}, {}]},
        {"more": 1},
        {"points": np.zeros((1, 2))},
        {"vectors": np.zeros((2, 2))},
        {"deviations": np.array([1.0, np.nan, 1.0])},
        {"deviations": np.array([1.0, -1.0, 1.0])},
        {"floor": -1.0},
    ],
    ids=str,
)
def test_states_that_do_not_fit_change_nothing(change):
    fitted = fit_distribution(data(30), [1, 2] * 15)
    before = fitted.sample(5, rng=0)
    bad = fit_distribution(data(30, seed=4), [3, 4] * 15).state_dict()
    (name,) = change
    (bad["parts"][1] if name in bad["parts"][1] else bad).update(change)
    with pytest.raises((ValueError, TypeError), match=r"^Distribution: "):
        fitted.load_state_dict(bad)
    assert all((a == b).all() for a, b in zip(before, fitted.sample(5, rng=0), strict=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(bad):
    x = data(10)
    x[4, 1] = bad
    with pytest.raises(ValueError, match=r"^fit_distribution: x must be finite, but row 4 of 10 has NaN or infinity"):
        fit_distribution(x)
    with pytest.raises(ValueError, match=r"^log_density: x must be finite, but row 4"):
        fit_distribution(data(10)).log_density(x)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (np.zeros((4, 2), np.uint8), {}, TypeError, r"x must be float32 or float64, got dtype uint8"),
        (np.zeros((1, 2)), {}, ValueError, "there must be at least 2 samples, got 1"),
        (np.zeros((0, 2)), {}, ValueError, "there must be at least 2 samples, got 0"),
        (np.zeros((4, 0)), {}, ValueError, r"x must have shape \(N, …\) with values per sample, got \(4, 0\)"),
        (np.float64(3), {}, ValueError, "x must have shape"),
        (data(4), {"y": [1, 1, 1, 2]}, ValueError, "there must be at least 2 samples of class 2, got 1"),
        (data(4), {"y": [1, 1]}, ValueError, r"y must have shape \(4,\)"),
        (data(4), {"y": [0.5, 0.5, 0.1, 0.1]}, TypeError, "y must hold classes, .*np.column_stack"),
        (data(4), {"kind": "uniform"}, ValueError, "kind must be 'gaussian' or 'kde', got 'uniform'"),
        (data(4), {"shrinkage": 1.1}, ValueError, r"shrinkage must be in \[0, 1\]"),
        (data(4), {"shrinkage": "full"}, TypeError, "shrinkage must be a real number"),
    ],
)
def test_fit_refuses(x, options, error, message):
    with pytest.raises(error, match=f"^fit_distribution: {message}"):
        fit_distribution(x, **options)


def test_sample_and_log_density_refuse():
    fitted = fit_distribution(data())
    with pytest.raises(ValueError, match=r"^sample: n must be at least 0"):
        fitted.sample(-1, rng=0)
    with pytest.raises(TypeError, match=r"^sample: rng must be an int"):
        fitted.sample(1, rng="a")
    with pytest.raises(ValueError, match=r"^log_density: x must have shape \(n, 3\), got \(2, 4\)"):
        fitted.log_density(np.zeros((2, 4)))
