"""Scalers at the edges: constant and missing features, infinities, what is refused, and names of columns."""

import pickle
import warnings

import numpy as np
import pytest

import fastnn as fnn
from fastnn.data import ImageScaler, MinMaxScaler, StandardScaler
from scaled import BOTH, Table, quiet


# Constants, missing values, infinities
@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("value", [14.62, 0.0, -1e10, 1 / 3, 1e-200])
def test_constants_are_named_and_not_divided(kind, value):
    x = np.column_stack([np.arange(30.0), np.full(30, value), np.arange(30.0) ** 2])
    with pytest.warns(UserWarning, match=rf"{kind.__name__}.fit: 1 of 3 features .*: 1$") as caught:
        scaler = kind().fit(x)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert list(scaler.constant_) == [1]
    assert not scaler.transform(x)[:, 1].any()
    np.testing.assert_array_equal(scaler.inverse_transform(scaler.transform(x))[:, 1], value)
    with pytest.warns(UserWarning, match="1 of 3 features have no variance to divide by, .*: 'b'$"):
        kind().fit(Table(x, ["a", "b", "c"]))
    with pytest.warns(UserWarning, match=r"1 of 3 features .*: \(0, 1\)$"):
        kind().fit(x[:, None])
    with pytest.warns(UserWarning, match=r"12 of 12 features .*: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more$"):
        kind().fit(np.ones((5, 12)))


@pytest.mark.parametrize("kind", BOTH)
def test_rounding_noise_counts_as_constant(kind):
    x = np.tile([0.1 + 0.2, 0.3], 50)[:, None]
    with pytest.warns(UserWarning, match="1 of 1 features"):
        y = kind().fit_transform(x)
    assert np.abs(y).max() < 1e-15
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind().partial_fit(np.ones((3, 1))).partial_fit(np.zeros((1, 1)))
        StandardScaler(with_std=False).fit(np.ones((3, 2)))


@pytest.mark.parametrize("kind", BOTH)
def test_features_without_values(kind):
    x = np.column_stack([np.arange(4.0), np.full(4, np.nan)])
    with pytest.warns(UserWarning, match="1 of 2 features have no value, and stay NaN: 1$"):
        scaler = kind().fit(x)
    assert np.isnan(scaler.transform(np.ones((1, 2)))[0, 1])
    more = np.column_stack([np.arange(4.0), np.arange(4.0)])
    scaler.partial_fit(more)
    both = kind().fit(more).transform(more)
    np.testing.assert_allclose(scaler.transform(more)[:, 1], both[:, 1], rtol=1e-12)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinity_is_an_error_that_says_where(value, dtype, small_blocks):
    x = np.ones((30, 3), dtype)
    x[:, :] += np.arange(30)[:, None]
    scaler = StandardScaler().fit(x)
    bad = x.copy()
    bad[23, 2] = value
    before = pickle.dumps(scaler)
    for method in (scaler.fit, scaler.partial_fit, scaler.transform, scaler.inverse_transform, scaler.fit_transform):
        with pytest.raises(ValueError, match=rf"contains {value}, first at X\[23, 2\]"):
            method(bad)
    assert pickle.dumps(scaler) == before


def test_values_whose_variance_is_out_of_range():
    with pytest.raises(ValueError, match=r"StandardScaler.fit: .* feature 1 .* variance is beyond float64"):
        StandardScaler().fit([[0.0, -1e200], [1.0, 1e200]])
    with pytest.raises(ValueError, match=r"MinMaxScaler.fit: .* feature 0 .* range is beyond float64"):
        MinMaxScaler().fit([[-1.7e308], [1.7e308]])
    np.testing.assert_array_equal(MinMaxScaler().fit_transform([[-1e200], [1e200]]), [[0], [1]])
    with pytest.warns(UserWarning, match="1 of 1"):
        np.testing.assert_array_equal(MinMaxScaler().fit_transform([[1e308], [1e308]]), [[0], [0]])


# Errors
@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (np.ones(3), ValueError, r"got shape \(3,\). Reshape your data: X.reshape\(-1, 1\)"),
        (1.0, ValueError, r"X must be an array \(N, ...\)"),
        (np.ones((0, 3)), ValueError, r"0 sample\(s\)"),
        (np.ones((3, 0)), ValueError, r"0 feature\(s\)"),
        ([["a", "b"]], TypeError, "X must hold real numbers, got dtype <U1"),
        (np.array([["a", 1.0]], object), ValueError, "X must hold numbers: could not convert string to float: 'a'"),
        (np.ones((2, 2)) * 1j, ValueError, "Complex data not supported"),
        (np.ma.masked_array(np.ones((2, 2)), [[0, 1], [0, 0]]), TypeError, "masked array"),
        (fnn.tensor(np.ones((2, 2)), requires_grad=True), TypeError, "detach"),
    ],
)
def test_refused_samples(kind, x, error, match):
    with pytest.raises(error, match=rf"^{kind.__name__}.fit: .*{match}"):
        kind().fit(x)


@pytest.mark.parametrize(
    ("scaler", "error", "match"),
    [
        (StandardScaler(with_mean=1), TypeError, "with_mean"),
        (MinMaxScaler((1, 0)), ValueError, r"feature_range must begin below its end, got \(1, 0\)"),
        (MinMaxScaler((1, 2, 3)), TypeError, "feature_range must be a tuple of two numbers"),
        (MinMaxScaler(clip="no"), TypeError, "clip"),
        (ImageScaler("image"), ValueError, "mean must be one of 'channel', 'pixel', 'sample', None, got 'image'"),
        (ImageScaler(std="pixel"), ValueError, "std must be one of"),
    ],
)
def test_refused_parameters(scaler, error, match):
    with pytest.raises(error, match=rf"^{type(scaler).__name__}.fit: .*{match}"):
        scaler.fit(np.ones((2, 1, 2)))


@pytest.mark.parametrize("kind", BOTH)
@quiet
def test_another_number_of_features(kind):
    scaler = kind().fit(np.arange(12.0).reshape(4, 3))
    for method in ("transform", "inverse_transform", "partial_fit"):
        with pytest.raises(
            ValueError,
            match=f"^{kind.__name__}.{method}: X has 2 features, but {kind.__name__} is expecting 3 features",
        ):
            getattr(scaler, method)(np.ones((4, 2)))
        with pytest.raises(ValueError, match=r"in samples of shape \(3,\), not \(3, 1\)"):
            getattr(scaler, method)(np.ones((4, 3, 1)))
    for method in ("transform", "inverse_transform", "as_module"):
        with pytest.raises(ValueError, match=f"^{kind.__name__}.{method}: this {kind.__name__} is not fitted yet"):
            getattr(kind(), method)(*[np.ones((2, 2))] * (method != "as_module"))


def test_names_of_columns():
    x = np.arange(12.0).reshape(4, 3)
    scaler = StandardScaler().fit(Table(x, ["a", "b", "c"]))
    assert scaler.feature_names_in_.tolist() == scaler.get_feature_names_out().tolist() == ["a", "b", "c"]
    scaler.transform(Table(x, ["a", "b", "c"]))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        scaler.transform(x)
    with pytest.raises(ValueError, match="must be in the same order"):
        scaler.transform(Table(x, ["a", "c", "b"]))
    with pytest.raises(
        ValueError, match="unseen at fit time:\n- d\nFeature names seen at fit time, yet now missing:\n- c"
    ):
        scaler.transform(Table(x, ["a", "b", "d"]))
    with pytest.raises(ValueError, match=r"input_features should have length equal .* 3, got shape \(2,\)"):
        scaler.get_feature_names_out(["a", "b"])
    with pytest.raises(ValueError, match="not equal to feature_names_in_"):
        scaler.get_feature_names_out(["a", "b", "d"])
    scaler.fit(x)
    assert not hasattr(scaler, "feature_names_in_")
    assert scaler.get_feature_names_out().tolist() == ["x0", "x1", "x2"]
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        scaler.transform(Table(x, ["a", "b", "c"]))
    with pytest.raises(ValueError, match="set_output: transform must be"):
        scaler.set_output(transform="excel")


def test_repr():
    assert repr(StandardScaler(with_std=False)) == "StandardScaler(with_std=False)"
    assert repr(MinMaxScaler((0, 2)).fit(np.arange(4.0)[:, None])) == "MinMaxScaler(feature_range=(0, 2))"
    assert repr(ImageScaler()) == "ImageScaler()"
