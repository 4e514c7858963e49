"""Filling what is missing, against scikit-learn and the definition; as a transformer, as a layer, and in checkpoints."""

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
from fastnn import backend, nn
from fastnn.data import Imputer, StandardScaler
from fastnn.nn import scaling
from fastnn.testing import gradcheck

NAN = np.nan


def with_gaps(shape=(40, 5), dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.lognormal(2, 1, shape).astype(dtype)
    x[rng.random(shape) < 0.2] = NAN
    x[0] = 1.0
    return x


@pytest.fixture
def small_blocks(monkeypatch):
    """Arrays are cut after a few rows."""
    monkeypatch.setattr(scaling, "BLOCK", 12)
    monkeypatch.setattr("fastnn.data.imputer.BLOCK", 90)


@pytest.mark.parametrize("strategy", ["median", "mean", "constant"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_scikit_learn(strategy, dtype, small_blocks):
    impute = pytest.importorskip("sklearn.impute")
    x = with_gaps(dtype=dtype)
    ours = Imputer(strategy, fill_value=-3).fit(x)
    theirs = impute.SimpleImputer(strategy=strategy, fill_value=-3).fit(x.astype(np.float64))
    np.testing.assert_allclose(ours.statistics_, theirs.statistics_.astype(float), rtol=1e-14)
    y = ours.transform(x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.where(np.isnan(x), ours.statistics_, x).astype(dtype))
    np.testing.assert_array_equal(ours.missing_, np.isnan(x).sum(0))
    assert (ours.n_samples_seen_, ours.n_features_in_) == (40, 5)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_s_own_checks():
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    for estimator, check in checks.estimator_checks_generator(Imputer()):
        if "array_api" not in str(check):
            check(estimator)
    checks.check_transformer_get_feature_names_out("Imputer", Imputer())


@pytest.mark.parametrize("shape", [(30, 4), (30, 2, 3), (12, 2, 3, 2)])
def test_one_number_per_element_of_a_sample(shape, small_blocks):
    x = with_gaps(shape)
    x.flags.writeable = False
    for strategy, of in (("median", np.nanmedian), ("mean", np.nanmean)):
        imputer = Imputer(strategy).fit(np.asfortranarray(x))
        np.testing.assert_allclose(imputer.statistics_, of(x, axis=0), rtol=1e-14)
        assert imputer.fit_transform(x).shape == shape
        assert imputer.transform(x[:0]).shape == (0, *shape[1:])


def test_features_without_a_value():
    x = np.array([[1.0, NAN], [2.0, NAN], [6.0, NAN]])
    with pytest.warns(UserWarning, match=r"^Imputer.fit: 1 of 2 features have no value, and are filled with 0: 1$"):
        imputer = Imputer().fit(x)
    np.testing.assert_array_equal(imputer.statistics_, [2, 0])
    with pytest.warns(UserWarning, match="filled with 5"):
        assert Imputer("mean", fill_value=5).fit(x).statistics_.tolist() == [3, 5]
    assert Imputer("constant", fill_value=-1).fit(x).statistics_.tolist() == [-1, -1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float16])
def test_other_dtypes(dtype):
    x = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)
    y = Imputer().fit_transform(x)
    assert y.dtype == (np.float16 if dtype is np.float16 else np.float64)
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(
    ("imputer", "x", "error", "match"),
    [
        (
            Imputer("mode"),
            np.ones((2, 2)),
            ValueError,
            "strategy must be one of 'median', 'mean', 'constant', got 'mode'",
        ),
        (Imputer(fill_value="0"), np.ones((2, 2)), TypeError, "fill_value"),
        (Imputer(fill_value=NAN), np.ones((2, 2)), ValueError, "fill_value"),
        (Imputer(), np.ones(3), ValueError, "Reshape your data"),
        (Imputer(), np.ones((0, 3)), ValueError, r"0 sample\(s\)"),
        (Imputer(), np.array([[1.0], [np.inf]]), ValueError, r"contains inf, first at X\[1, 0\]"),
        (Imputer(), [["a"]], TypeError, "real numbers"),
    ],
)
def test_refused(imputer, x, error, match):
    with pytest.raises(error, match=rf"^Imputer.fit: .*{match}"):
        imputer.fit(x)
    with pytest.raises(ValueError, match="not fitted"):
        imputer.as_module()


def test_another_number_of_features():
    imputer = Imputer().fit(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"^Imputer.transform: X has 3 features, but Imputer is expecting 2"):
        imputer.transform(np.ones((3, 3)))
    assert repr(Imputer("mean", fill_value=1)) == "Imputer(strategy='mean', fill_value=1)"


def test_state_copies_and_pickles(tmp_path):
    x = with_gaps((20, 2, 3))
    imputer = Imputer("mean", fill_value=2).fit(x)
    fnn.save_checkpoint(tmp_path / "imputer.npz", {"imputer": imputer.state_dict()})
    loaded = Imputer()
    loaded.load_state_dict(fnn.load_checkpoint(tmp_path / "imputer.npz")["imputer"])
    for other in (loaded, copy.deepcopy(imputer), pickle.loads(pickle.dumps(imputer))):
        assert repr(other) == repr(imputer)
        np.testing.assert_array_equal(other.transform(x), imputer.transform(x))
        np.testing.assert_array_equal(other.missing_, imputer.missing_)


@pytest.mark.parametrize(
    ("name", "value"),
    [("values", np.full(2, NAN)), ("values", np.ones(3)), ("count", -np.ones(2)), ("count", [9.0, 1])],
)
def test_states_that_do_not_fit_change_nothing(name, value):
    imputer = Imputer().fit(np.ones((3, 2)))
    state = imputer.state_dict()
    state["fitted"]["statistics"][name] = np.asarray(value)
    before = pickle.dumps(imputer)
    with pytest.raises(ValueError, match=r"^Imputer.load_state_dict: "):
        imputer.load_state_dict(state)
    assert pickle.dumps(imputer) == before


@pytest.mark.parametrize("name", backend.available_backends())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_layer(name, dtype, small_blocks):
    x = with_gaps((12, 2, 3), dtype)
    imputer = Imputer().fit(x)
    with fnn.use_backend(name):
        layer = imputer.as_module()
        np.testing.assert_array_equal(layer(x), imputer.transform(x))
        assert layer(x).dtype == dtype
        assert layer(np.ones((1, 2, 3), np.int64)).dtype == np.float64
        assert imputer.as_module(dtype="float32")(x).dtype == np.float32
        leaf = fnn.tensor(x, requires_grad=True)
        (layer(leaf) * 3).sum().backward()
        np.testing.assert_array_equal(leaf.grad, np.where(np.isnan(x), 0, 3))
        _, tangent = fnn.jvp(layer, (x,), (np.full_like(x, 2),))
        np.testing.assert_array_equal(tangent, np.where(np.isnan(x), 0, 2))
        gradcheck(layer, np.nan_to_num(x.astype(np.float64)))
    again = nn.from_architecture(nn.architecture(layer))
    again.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(again(x), layer(x))
    assert repr(again) == "FillMissing((2, 3))"


def test_axes_that_share_a_number():
    layer = nn.FillMissing((2, 1))
    layer.values = np.array([[1.5], [2.5]])
    y = layer(np.array([[[1, NAN], [NAN, 4]]], np.float32))
    np.testing.assert_array_equal(y, [[[1, 1.5], [2.5, 4]]])
    with pytest.raises(ValueError, match=r"^FillMissing: expected x of shape \(N, 2, 1\)"):
        layer(np.ones((1, 3, 1)))


def test_a_model_that_takes_gaps_and_large_offsets(tmp_path):
    """Filled in float64 and scaled before anything is rounded; the statistics of the scaler leave NaN out."""
    x = np.column_stack([1.7e9 + np.arange(9.0), np.arange(9.0)])
    x[3, 0] = x[5, 1] = NAN
    layers = [Imputer().fit(x).as_module(), StandardScaler().fit(x).as_module(), nn.Linear(2, 1, rng=0)]
    model = nn.Sequential(*layers)
    filled = np.where(np.isnan(x), np.nanmedian(x, axis=0), x)
    np.testing.assert_allclose(
        model[1](model[0](x)), (filled - np.nanmean(x, 0)) / np.nanstd(x, 0), rtol=1e-6, atol=1e-6
    )
    assert np.isfinite(model(x).numpy()).all()
    fnn.save_model(model, tmp_path / "model.npz")
    np.testing.assert_array_equal(fnn.load_model(tmp_path / "model.npz")(x).numpy(), model(x).numpy())
