"""Scalers against scikit-learn and against their definition, as scikit-learn's transformers, and for images."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import data, nn
from fastnn.data import ImageScaler, MinMaxScaler, StandardScaler
from scaled import BOTH, columns, in_parts, quiet
from subproc import needs_package, run

FITTED = ["mean_", "var_", "scale_", "n_samples_seen_"], ["data_min_", "data_max_", "data_range_", "scale_", "min_"]


# Against scikit-learn
@pytest.mark.parametrize(("kind", "names"), list(zip(BOTH, FITTED, strict=True)))
@pytest.mark.parametrize("parts", [(), (1,), (3, 60, 1, 100)])
@pytest.mark.parametrize("missing", [False, True])
@quiet
def test_attributes_are_those_of_scikit_learn(kind, names, parts, missing):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = columns()
    if missing:
        x[np.random.default_rng(1).random(x.shape) < 0.1] = np.nan
    ours = in_parts(kind(), x, *parts) if parts else kind().fit(x)
    theirs = getattr(preprocessing, kind.__name__)().fit(x)
    for name in names:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12, atol=0, err_msg=name)
    assert ours.n_features_in_ == theirs.n_features_in_ == 7
    expected = theirs.transform(x)
    scale = np.abs(x) * theirs.scale_ if kind is MinMaxScaler else np.abs(x) / theirs.scale_
    assert np.all((np.abs(ours.transform(x) - expected) <= 1e-14 * (scale + 1)) | np.isnan(x))
    np.testing.assert_array_equal(np.isnan(ours.transform(x)), np.isnan(x))


@pytest.mark.parametrize("with_mean", [False, True])
@pytest.mark.parametrize("with_std", [False, True])
@quiet
def test_parts_of_standardisation(with_mean, with_std):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = columns()
    ours = StandardScaler(with_mean=with_mean, with_std=with_std).fit(x)
    theirs = preprocessing.StandardScaler(with_mean=with_mean, with_std=with_std).fit(x)
    for name in ("mean_", "var_", "scale_"):
        value = getattr(theirs, name)
        if value is None:
            assert getattr(ours, name) is None
        else:
            np.testing.assert_allclose(getattr(ours, name), value, rtol=1e-12)
    y = ours.transform(x)
    assert not np.shares_memory(x, y)
    np.testing.assert_allclose(y, theirs.transform(x), rtol=1e-9, atol=1e-12)
    assert (np.abs(ours.inverse_transform(y) - x) <= 4 * np.spacing(np.abs(x).max(0))).all()


@pytest.mark.parametrize("n", [1, 2, 3, 50])
@quiet
def test_small_spreads_are_no_constants(n):
    """scikit-learn takes every range below 2e-15 for a constant one, and shifts by the lower end only."""
    x = np.linspace(1, 2, n)[:, None] * np.array([1e-20, 1e-100, 1e20])
    scaler = MinMaxScaler().fit(x)
    assert list(scaler.constant_) == ([0, 1, 2] if n == 1 else [])
    if n > 1:
        np.testing.assert_array_equal(scaler.transform(x)[[0, -1]], [[0, 0, 0], [1, 1, 1]])


@pytest.mark.parametrize("make", [StandardScaler, MinMaxScaler, data.Whitening, lambda: data.Whitening("pca")])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_s_own_checks(make):
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    count = 0
    for estimator, check in checks.estimator_checks_generator(make()):
        # The one that is left out needs an environment variable set before SciPy is imported.
        if "array_api" not in str(check):
            check(estimator)
            count += 1
    assert count > 40
    checks.check_transformer_get_feature_names_out(type(make()).__name__, make())


@pytest.mark.parametrize("kind", BOTH)
def test_in_pipelines(kind):
    pytest.importorskip("sklearn")
    from sklearn import compose, linear_model, model_selection, pipeline, preprocessing
    from sklearn.base import clone
    from sklearn.utils.validation import check_is_fitted

    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4)) * [1, 10, 100, 1000]
    y = (x[:, 0] + x[:, 3] / 1000 > 0).astype(int)
    results = []
    for scaler in (kind(), getattr(preprocessing, kind.__name__)()):
        pipe = pipeline.make_pipeline(scaler, linear_model.LogisticRegression())
        search = model_selection.GridSearchCV(pipe, {"logisticregression__C": [0.1, 1.0]}, cv=3).fit(x, y)
        results.append(search.cv_results_["mean_test_score"])
        chosen = compose.ColumnTransformer([("scale", scaler, [0, 2])], remainder="passthrough")
        results.append(chosen.fit_transform(x))
        assert list(chosen.get_feature_names_out()) == ["scale__x0", "scale__x2", "remainder__x1", "remainder__x3"]
    np.testing.assert_allclose(results[0], results[2])
    np.testing.assert_allclose(results[1], results[3], rtol=1e-12, atol=1e-12)
    scaler = kind().fit(x)
    check_is_fitted(scaler)
    fresh = clone(scaler.set_output(transform="default"))
    assert fresh.get_params() == scaler.get_params()
    with pytest.raises(ValueError, match="is not fitted yet"):
        check_is_fitted(fresh)
    with pytest.raises(ValueError, match="is not fitted yet"):
        fresh.transform(x)


def test_parameters_are_searched():
    pytest.importorskip("sklearn")
    from sklearn import linear_model, model_selection, pipeline

    x = np.random.default_rng(0).normal(size=(60, 3))
    pipe = pipeline.Pipeline([("scale", StandardScaler()), ("fit", linear_model.Ridge())])
    grid = {"scale__with_mean": [True, False], "scale": [StandardScaler(), MinMaxScaler(), data.Whitening("pca")]}
    with pytest.raises(ValueError, match=r"MinMaxScaler.set_params: expected one of"):
        model_selection.GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(x, x[:, 0])
    del grid["scale__with_mean"]
    assert model_selection.GridSearchCV(pipe, grid, cv=2).fit(x, x[:, 0]).best_score_ > 0.9


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_tables_come_out_if_asked_for(package):
    tables = pytest.importorskip(package)
    frame = tables.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 7.0]})
    out = StandardScaler().set_output(transform=package).fit_transform(frame)
    assert isinstance(out, tables.DataFrame)
    assert list(out.columns) == ["a", "b"]
    np.testing.assert_array_equal(np.asarray(out), StandardScaler().fit_transform(frame))
    if package == "pandas":
        frame.index = [7, 8, 9]
        assert list(StandardScaler().set_output(transform="pandas").fit_transform(frame).index) == [7, 8, 9]


def test_scikit_learn_is_not_imported():
    needs_package("sklearn")
    run("""
        import sys, numpy as np
        from fastnn import data
        for scaler in (data.StandardScaler(), data.MinMaxScaler(), data.Whitening()):
            x = np.random.default_rng(0).normal(size=(9, 3))
            scaler.set_output(transform="default").inverse_transform(scaler.fit_transform(x))
            scaler.as_module(), scaler.state_dict(), scaler.get_params(), repr(scaler)
        data.ImageScaler().fit_transform(np.ones((2, 1, 2, 2)) * np.arange(2))
        assert not {"sklearn", "scipy", "pandas"} & set(sys.modules)
    """)


# Definition, dtypes, layouts
@pytest.mark.parametrize("shape", [(30, 4), (30, 2, 3), (12, 2, 3, 2)])
def test_one_statistic_per_element_of_a_sample(shape):
    x = np.random.default_rng(0).normal(3, 2, shape)
    scaler = StandardScaler().fit(x)
    assert scaler.mean_.shape == scaler.var_.shape == scaler.scale_.shape == shape[1:]
    assert scaler.n_features_in_ == np.prod(shape[1:])
    np.testing.assert_allclose(scaler.transform(x), (x - x.mean(0)) / x.std(0), rtol=1e-12, atol=1e-13)
    low, high = x.min(0), x.max(0)
    np.testing.assert_allclose(MinMaxScaler((-1, 3)).fit_transform(x), (x - low) / (high - low) * 4 - 1, atol=1e-14)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.uint8, np.int64, bool, np.longdouble])
def test_float_dtypes_come_back(kind, dtype):
    x = np.random.default_rng(0).integers(0, 2 if dtype is bool else 200, (50, 3)).astype(dtype)
    before = x.copy()
    x.flags.writeable = False
    scaler = kind().fit(x)
    floats = np.dtype(dtype).kind == "f" and dtype is not np.longdouble
    y = scaler.transform(x)
    assert y.dtype == (np.dtype(dtype).newbyteorder("=") if floats else np.float64)
    expected = kind().fit(before.astype(float)).transform(before.astype(float))
    np.testing.assert_array_equal(y, expected.astype(y.dtype))
    back = scaler.inverse_transform(y)
    assert back.dtype == y.dtype
    assert y.flags.writeable
    np.testing.assert_allclose(back, before.astype(float), atol=0.2 if dtype is np.float16 else 1e-4)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kind", BOTH)
def test_layout_and_blocks_change_nothing(kind, small_blocks):
    x = np.random.default_rng(0).normal(5, 2, (40, 6))
    strided = np.repeat(np.asfortranarray(x), 2, axis=1)[:, ::2]
    a, b = kind().fit(x), kind().fit(strided)
    np.testing.assert_array_equal(a.transform(x), b.transform(strided))
    np.testing.assert_allclose(StandardScaler().fit(x).var_, x.var(0), rtol=1e-13)
    assert a.transform(x[:0]).shape == (0, 6)


@pytest.mark.parametrize("kind", [*BOTH, lambda: MinMaxScaler((-1, 1))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@quiet
def test_inverse_within_four_units_in_the_last_place(kind, dtype):
    with np.errstate(under="ignore"):
        x = columns(500).astype(dtype)
    scaler = kind().fit(x)
    error = np.abs(scaler.inverse_transform(scaler.transform(x)) - x)
    if scaler.get_params().get("feature_range") == (-1, 1):
        error[:, scaler.constant_] = 0  # a variation of 1e-300 is lost beside the -1 that constants become
    assert np.all(error <= 4 * np.spacing(np.abs(x).max(0)))


def test_far_from_zero_no_digits_are_lost():
    """In float32 arithmetic the mean alone would be off by 0.03 deviations."""
    x = (1e6 + np.random.default_rng(0).normal(0, 1, (100, 1))).astype(np.float32)
    wide = x.astype(np.float64)
    expected = ((wide - wide.mean(0)) / wide.std(0)).astype(np.float32)
    scaler = StandardScaler().fit(x)
    np.testing.assert_array_max_ulp(scaler.transform(x), expected, 1)
    np.testing.assert_array_max_ulp(fnn.autograd.raw(scaler.as_module()(x)), expected, 1)


def test_many_rows():
    x = np.random.default_rng(0).normal(-3, 0.1, (600_000, 1))
    scaler = StandardScaler().fit(x)
    np.testing.assert_allclose([scaler.mean_[0], scaler.var_[0]], [x.mean(), x.var()], rtol=1e-13)


# Images
def reference_images(x, mean, std):
    """By the definition, of all at once: mean and std, and the result for the images themselves."""
    x = x.astype(np.float64)
    spatial = tuple(range(2, x.ndim))
    own = (1, *spatial)
    centred = (
        x
        - {
            "channel": lambda: x.mean((0, *spatial), keepdims=True),
            "pixel": lambda: x.mean(0, keepdims=True),
            "sample": lambda: x.mean(own, keepdims=True),
            None: lambda: 0.0,
        }[mean]()
    )
    if std == "channel":
        return centred / centred.std((0, *spatial), keepdims=True)
    return centred / centred.std(own, keepdims=True) if std == "sample" else centred


@pytest.mark.parametrize("shape", [(20, 3, 4, 5), (20, 1, 6, 6), (9, 2, 7), (6, 2, 3, 4, 2)])
@pytest.mark.parametrize("mean", ["channel", "pixel", "sample", None])
@pytest.mark.parametrize("std", ["channel", "sample", None])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_by_definition(shape, mean, std, dtype):
    x = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    expected = reference_images(x, mean, std)
    scaler = ImageScaler(mean, std).fit(x)
    y = scaler.transform(x)
    assert y.dtype == (np.float32 if dtype is np.float32 else np.float64)
    np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype is np.float32 else 1e-11, atol=1e-6)
    parts = in_parts(ImageScaler(mean, std), x, 1, 4)
    np.testing.assert_allclose(parts.transform(x), y, rtol=1e-6, atol=1e-9)
    assert parts.n_samples_seen_ == len(x)
    if "sample" in (mean, std):
        with pytest.raises(ValueError, match="own statistics"):
            scaler.inverse_transform(y)
    else:
        np.testing.assert_allclose(scaler.inverse_transform(y), x, rtol=1e-5, atol=1e-4)
    expected_shape = {"channel": shape[1:2], "pixel": shape[1:]}.get(mean)
    assert (None if scaler.mean_ is None else scaler.mean_.shape) == expected_shape


def test_images_of_other_sizes():
    x = np.random.default_rng(0).normal(size=(10, 3, 8, 8))
    scaler = ImageScaler().fit(x)
    assert scaler.transform(x[:, :, :5]).shape == (10, 3, 5, 8)
    np.testing.assert_array_equal(scaler.transform(x[:, :, :5]), scaler.transform(x)[:, :, :5])
    scaler.partial_fit(x[:, :, :5])
    with pytest.raises(ValueError, match="X has 128 features, but ImageScaler is expecting 192"):
        scaler.transform(x[:, :2])
    with pytest.raises(ValueError, match=r"in samples of shape \(3, 8, 8\), not \(3, 5, 8\)"):
        ImageScaler("pixel").fit(x).transform(x[:, :, :5])
    with pytest.raises(ValueError, match=r"expected images \(N, C, ...\) with a spatial axis at least"):
        scaler.fit(x[:, :, 0, 0])


def test_images_without_contrast():
    x = np.random.default_rng(0).normal(size=(10, 2, 4, 4))
    x[3] = 0.1
    for std in ("sample", None):
        y = ImageScaler("sample", std).fit_transform(x)
        assert not y[3].any()
    x[:, 1] = 14.62
    for mean in ("channel", "pixel"):
        with pytest.warns(UserWarning, match="ImageScaler.fit: channels 1 are constant"):
            scaler = ImageScaler(mean).fit(x)
        assert list(scaler.constant_) == [1]
        assert not scaler.transform(x)[:, 1].any()
    with pytest.warns(UserWarning, match="channels 1 are constant"):
        scaler = ImageScaler(None).fit(x)
    np.testing.assert_array_equal(scaler.transform(x)[:, 1], x[:, 1])


@pytest.mark.parametrize("mean", ["channel", "pixel", "sample"])
@pytest.mark.parametrize("std", ["channel", "sample"])
def test_missing_pixels(mean, std):
    x = np.random.default_rng(0).normal(2, 3, (10, 2, 4, 4))
    x[np.random.default_rng(1).random(x.shape) < 0.1] = np.nan
    y = ImageScaler(mean, std).fit_transform(x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    kept = {"channel": (0, 2, 3), "sample": (1, 2, 3)}[std]
    if mean != "pixel" or std == "channel":
        np.testing.assert_allclose(np.nanstd(y, axis=kept), 1, rtol=0.05)
    plain = np.nan_to_num(x[:1], nan=5.0)
    holes = plain.copy()
    holes[0, 0, 0, 0] = np.nan
    layer = nn.StandardizeSample(out_dtype=np.float64)
    rest = plain.reshape(-1)[1:]
    np.testing.assert_allclose(layer(holes).reshape(-1)[1:], (rest - rest.mean()) / rest.std(), rtol=1e-12)
