"""Scalers against scikit-learn and against their definition; as scikit-learn's transformers, as layers, and in checkpoints."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import fastnn as fnn
from fastnn import backend, data, nn
from fastnn.data import ImageScaler, MinMaxScaler, StandardScaler
from fastnn.nn import scaling
from fastnn.testing import gradcheck
from subproc import needs_package, run

BACKENDS = backend.available_backends()
BOTH = [StandardScaler, MinMaxScaler]
quiet = pytest.mark.filterwarnings("ignore:.* features have no")
FITTED = ["mean_", "var_", "scale_", "n_samples_seen_"], ["data_min_", "data_max_", "data_range_", "scale_", "min_"]


class Table:
    """As little of a data frame as scalers look at."""

    def __init__(self, array, columns):
        self._array, self.columns = np.asarray(array), columns

    def __array__(self, dtype=None, copy=None):
        return self._array


def columns(n=200, seed=0):
    """Random, constant, far from zero, tiny, skewed, integers."""
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            rng.standard_normal(n) * 3 + 2,
            np.full(n, 14.62),
            1e8 + rng.choice([-1.0, 1.0], n),
            rng.standard_normal(n) * 1e-300,
            rng.lognormal(0, 3, n),
            rng.integers(-5, 5, n).astype(float),
            np.zeros(n),
        ],
        axis=1,
    )


def in_parts(scaler, x, *sizes):
    for part in np.split(x, np.cumsum(sizes)):
        scaler.partial_fit(part)
    return scaler


@pytest.fixture
def small_blocks(monkeypatch):
    """Arrays are cut after a few rows."""
    monkeypatch.setattr(scaling, "BLOCK", 12)


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


# State


def fitted():
    x = np.random.default_rng(0).normal(2, 3, (20, 2, 3, 3))
    x[0, 0, 0, 0] = np.nan
    yield StandardScaler(with_mean=False).fit(x), x
    yield StandardScaler().fit(Table(x[:, 0, 0], ["a", "b", "c"])), Table(x[:, 0, 0], ["a", "b", "c"])
    yield MinMaxScaler((-1, 2), clip=True).fit(x), x
    for mean in ("channel", "pixel", "sample", None):
        yield ImageScaler(mean).fit(x), x
    yield data.Whitening("pca", n_components=3).fit(x[1:]), x[1:]
    yield data.Whitening(eps=0.5).fit(x[1:]), x[1:]


@pytest.mark.parametrize("i", range(9))
def test_state_copies_and_pickles(i, tmp_path):
    scaler, x = list(fitted())[i]
    y = scaler.transform(x)
    fnn.save_checkpoint(tmp_path / "scaler.npz", {"scaler": scaler.state_dict()})
    loaded = type(scaler)()
    loaded.load_state_dict(fnn.load_checkpoint(tmp_path / "scaler.npz")["scaler"])
    others = [loaded, copy.deepcopy(scaler), copy.copy(scaler), pickle.loads(pickle.dumps(scaler))]
    for other in others:
        assert repr(other) == repr(scaler)
        assert vars(other).keys() == vars(scaler).keys()
        np.testing.assert_array_equal(other.transform(x), y)
    if hasattr(scaler, "partial_fit"):
        for other in others:
            np.testing.assert_array_equal(
                other.partial_fit(x).transform(x), copy.copy(scaler).partial_fit(x).transform(x)
            )
    np.testing.assert_array_equal(scaler.transform(x), y)


def test_state_before_fit():
    scaler = StandardScaler().fit(np.arange(6.0).reshape(3, 2))
    scaler.load_state_dict(
        MinMaxScaler().state_dict() | {"class": "StandardScaler"} | {"parameters": scaler.get_params()}
    )
    assert not hasattr(scaler, "mean_")
    with pytest.raises(ValueError, match="not fitted"):
        scaler.transform(np.ones((1, 2)))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda s: s.update(more=1), ValueError, "must have the keys"),
        (lambda s: s.update({"class": "MinMaxScaler"}), ValueError, "the state is that of a MinMaxScaler"),
        (lambda s: s["parameters"].update(with_mean="yes"), TypeError, "with_mean"),
        (lambda s: s["parameters"].pop("with_mean"), ValueError, r"state\['parameters'\] must have the keys"),
        (lambda s: s.update(fitted=[]), TypeError, r"state\['fitted'\] must be a mapping"),
        (lambda s: s["fitted"].update(shape=(0,)), ValueError, "shape of a sample"),
        (lambda s: s["fitted"].update(shape=(4,)), ValueError, "statistics must have the shapes"),
        (lambda s: s["fitted"].update(names=["a"]), ValueError, "there are 1 names"),
        (lambda s: s["fitted"].update(names=[1, 2, 3]), TypeError, "names must be a list of strings"),
        (lambda s: s["fitted"].update(statistics=3), TypeError, "statistics must be a mapping"),
        (lambda s: s["fitted"]["statistics"].pop("pivot"), ValueError, "statistics must have the shapes"),
        (lambda s: s["fitted"]["statistics"].update(pivot=np.array(["a"])), TypeError, "array of real numbers"),
        (lambda s: s["fitted"]["statistics"].update(count=-np.ones(3)), ValueError, "must not be negative"),
        (lambda s: s["fitted"]["statistics"].update(pivot=np.full(3, np.inf)), ValueError, "beyond float64"),
    ],
)
def test_states_that_do_not_fit_change_nothing(change, error, match):
    x = np.random.default_rng(0).normal(size=(9, 3))
    state = StandardScaler().fit(x).state_dict()
    change(state)
    scaler = StandardScaler(with_std=False).fit(x + 1)
    before = pickle.dumps(scaler)
    with pytest.raises(error, match=f"^StandardScaler.load_state_dict: .*{match}"):
        scaler.load_state_dict(state)
    assert pickle.dumps(scaler) == before


def test_a_state_shares_no_memory():
    x = np.random.default_rng(0).normal(size=(9, 3))
    scaler = StandardScaler().fit(x)
    y = scaler.transform(x)
    state = scaler.state_dict()
    other = StandardScaler()
    other.load_state_dict(state)
    for array in state["fitted"]["statistics"].values():
        array[:] = 7
    module = scaler.as_module()
    module.mean[:] = 9
    np.testing.assert_array_equal(scaler.transform(x), y)
    np.testing.assert_array_equal(other.transform(x), y)


# Layers


def layers():
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (7, 2, 2, 2))
    for scaler in (
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-2, 3)),
        MinMaxScaler(clip=True),
        *(
            ImageScaler(mean, std)
            for mean in ("channel", "pixel", "sample", None)
            for std in ("channel", "sample", None)
        ),
    ):
        yield pytest.param(scaler.fit(x), x, id=repr(scaler))
    for scaler in (data.Whitening(), data.Whitening("pca"), data.Whitening(n_components=4), data.Whitening(eps=0.0)):
        yield pytest.param(scaler.fit(x), x, id=repr(scaler))


LAYERS = list(layers())


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("scaler", "x"), LAYERS)
def test_layers_do_what_transform_does(scaler, x, name, small_blocks):
    x = np.concatenate([x, 2 * x[:3] + 1])
    with fnn.use_backend(name):
        module = scaler.as_module()
        assert not list(module.parameters())
        one_step = not isinstance(module, nn.Sequential)
        for dtype in (np.float64, np.float32):
            given = x.astype(dtype)
            y = module(given)
            assert type(y) is np.ndarray
            assert y.dtype == dtype
            if one_step:
                np.testing.assert_array_equal(y, scaler.transform(given))
            np.testing.assert_allclose(y, scaler.transform(given), rtol=1e-5, atol=1e-5)
            assert fnn.tensor(given).dtype == module(fnn.tensor(given)).dtype
        gradcheck(module, 1.1 * x[:7] + 0.05, max_elements=12)  # no element at an end of a range
        copied = pickle.loads(pickle.dumps(module))
        np.testing.assert_array_equal(copied(x), module(x))


@pytest.mark.parametrize(("scaler", "x"), LAYERS)
def test_forward_mode_is_the_adjoint(scaler, x):
    rng = np.random.default_rng(1)
    module = scaler.as_module()
    t = rng.standard_normal(x.shape)
    y, pushed = fnn.jvp(module, [x], [t])
    dy = rng.standard_normal(pushed.shape)
    _, pull = fnn.vjp(module, x)
    np.testing.assert_allclose((pushed * dy).sum(), (pull(dy)[0] * t).sum(), rtol=1e-10)
    np.testing.assert_array_equal(fnn.autograd.raw(y), module(x))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
@pytest.mark.parametrize(("scaler", "x"), LAYERS)
def test_layers_take_pixels(scaler, x, dtype):
    pixels = np.random.default_rng(0).integers(0, 2 if dtype is bool else 256, x.shape).astype(dtype)
    y = scaler.as_module()(pixels)
    assert y.dtype == np.float32
    expected = scaler.transform(pixels)
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=1e-6 * np.abs(expected).max())


def test_a_layer_in_a_model(tmp_path):
    """A model that takes raw data, whose state holds the statistics, and whose gradient reaches its input in float32."""
    x = np.random.default_rng(0).normal(100, 20, (8, 5)).astype(np.float32)
    scaler = StandardScaler().fit(x)
    model = nn.Sequential(scaler.as_module(), nn.Linear(5, 2, rng=0))
    other = nn.Sequential(nn.Standardize(5), nn.Linear(5, 2))
    fnn.save_checkpoint(tmp_path / "model.npz", model.state_dict())
    other.load_state_dict(fnn.load_checkpoint(tmp_path / "model.npz"))
    np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())
    leaf = fnn.tensor(x, requires_grad=True)
    model(leaf).sum().backward()
    assert leaf.grad.dtype == np.float32
    expected = model[1].weight.data.sum(0) / scaler.scale_
    np.testing.assert_allclose(leaf.grad, np.tile(expected, (8, 1)), rtol=1e-6)
    assert len(list(model.parameters())) == 2
    wide = copy.deepcopy(model).astype(np.float64)
    np.testing.assert_allclose(wide(x.astype(float)).numpy(), model(x).numpy(), rtol=1e-4, atol=1e-5)
    half = copy.deepcopy(model).astype(np.float32)
    assert half[0].mean.dtype == np.float32
    np.testing.assert_allclose(half(x).numpy(), model(x).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Standardize(3), (2, 4)),
        (nn.Standardize((3, 1, 1)), (2, 3)),
        (nn.Standardize((3, 1, 1)), (2, 4, 5, 5)),
        (nn.Rescale((2, 3)), (2, 3, 2)),
        (nn.StandardizeSample(), (3,)),
        (nn.StandardizeSample(), (3, 0)),
        (nn.Whiten((2, 3), 2), (5, 6)),
    ],
)
def test_layers_refuse_other_shapes(layer, shape):
    with pytest.raises(ValueError, match=rf"^{type(layer).__name__}: expected x of shape"):
        layer(np.ones(shape))
    with pytest.raises(TypeError, match="got dtype complex128"):
        layer(np.ones(shape) * 1j)


def test_layers_refuse_other_arguments():
    for make in (lambda: nn.Standardize(()), lambda: nn.Standardize(0), lambda: nn.Rescale(2, 1.0, 1.0)):
        with pytest.raises(ValueError):
            make()
    with pytest.raises(ValueError, match="n_components must be at most the 6 elements"):
        nn.Whiten((2, 3), 7)
    assert repr(nn.Standardize(3)) == "Standardize(3)"
    assert repr(nn.Rescale((3, 1), clip=True)) == "Rescale((3, 1), 0, 1, clip=True)"
    assert repr(nn.Whiten((2, 3), 2, rotate_back=True)) == "Whiten((2, 3), 2, rotate_back=True)"
    assert fnn.summary(nn.Whiten(6, 2), (6,)).multiply_adds == 12


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
    layer = nn.StandardizeSample()
    rest = plain.reshape(-1)[1:]
    np.testing.assert_allclose(layer(holes).reshape(-1)[1:], (rest - rest.mean()) / rest.std(), rtol=1e-12)
