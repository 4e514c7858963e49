"""Scalers as layers: states, copies, gradients, models that hold them, and what they refuse."""

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
from fastnn import data, nn
from fastnn.data import ImageScaler, MinMaxScaler, StandardScaler
from fastnn.testing import gradcheck
from scaled import BACKENDS, Table


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
        for wanted in (np.float32, np.float64):
            module = scaler.as_module(dtype=wanted)
            assert not list(module.parameters())
            for dtype in (np.float64, np.float32):
                given = x.astype(dtype)
                y = module(given)
                assert type(y) is np.ndarray
                assert y.dtype == module(fnn.tensor(given)).dtype == wanted
                np.testing.assert_array_equal(y, scaler.transform(given.astype(np.float64)).astype(wanted))
        gradcheck(module, 1.1 * x[:7] + 0.05, max_elements=12)  # no element at an end of a range
        copied = pickle.loads(pickle.dumps(module))
        np.testing.assert_array_equal(copied(x), module(x))


@pytest.mark.parametrize(("scaler", "x"), LAYERS)
def test_forward_mode_is_the_adjoint(scaler, x):
    rng = np.random.default_rng(1)
    module = scaler.as_module(dtype=np.float64)
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
    assert wide(x).dtype == np.float64
    back = wide.astype(np.float32)
    assert back[0].mean.dtype == np.float64
    np.testing.assert_array_equal(back(x).numpy(), model(x).numpy())


@pytest.mark.parametrize(("scaler", "x"), LAYERS)
@pytest.mark.parametrize("given", [np.float32, np.float64])
@pytest.mark.parametrize("wanted", [np.float32, np.float64])
def test_gradients_have_the_dtype_of_the_input(scaler, x, given, wanted):
    module = scaler.as_module(dtype=wanted)
    leaf = fnn.tensor(x.astype(given), requires_grad=True)
    y = module(leaf)
    y.sum().backward()
    assert (y.dtype, leaf.grad.dtype) == (wanted, given)
    _, tangent = fnn.jvp(module, [x.astype(given)], [np.ones_like(x, given)])
    assert tangent.dtype == wanted
    again = nn.from_architecture(nn.architecture(module))
    again.load_state_dict(module.state_dict())
    assert repr(again) == repr(module)
    np.testing.assert_array_equal(again(x.astype(given)), fnn.autograd.raw(y))


def test_columns_of_a_file_meet_layers_of_float32():
    """Seconds since 1970 differ by less than a unit in the last place of float32, which is 128."""
    x = np.column_stack([1.7e9 + np.arange(8.0), np.arange(8.0)])
    model = nn.Sequential(StandardScaler().fit(x).as_module(), nn.Linear(2, 3, rng=0))
    y = model(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(model[0](x), (x - x.mean(0)) / x.std(0), rtol=1e-6)
    assert model.astype("float64")(x).dtype == np.float64
    own = nn.Standardize(2, out_dtype=None)
    assert [own(x.astype(d)).dtype for d in ("f4", "f8", "i4")] == [np.float32, np.float64, np.float64]
    assert own.astype("float32").out_dtype is None


@pytest.mark.parametrize(
    "scaler",
    [StandardScaler(), StandardScaler(with_mean=False), MinMaxScaler((-1, 3), clip=True), ImageScaler("pixel")],
)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_way_back_as_a_layer(scaler, name, small_blocks):
    x = np.random.default_rng(0).normal(50, 9, (12, 2, 3, 2))
    scaler.fit(x)
    with fnn.use_backend(name):
        back = scaler.as_module(inverse=True)
        y = scaler.transform(x)
        assert back(y).dtype == np.float32
        np.testing.assert_array_equal(back(y), scaler.inverse_transform(y).astype(np.float32))
        np.testing.assert_array_equal(back.astype("float64")(y), scaler.inverse_transform(y))
        gradcheck(back, y, max_elements=12)
        t = np.random.default_rng(1).normal(size=y.shape)
        _, pushed = fnn.jvp(back, [y], [t])
        np.testing.assert_allclose(pushed, scaler.inverse_transform(y + t) - x, rtol=1e-9, atol=1e-9)
    again = nn.from_architecture(nn.architecture(back))
    again.load_state_dict(back.state_dict())
    assert "inverse=True" in repr(again)
    np.testing.assert_array_equal(again(y), back(y))


def test_a_saved_model_predicts_in_the_units_of_its_targets(tmp_path):
    y = np.array([[1000.0], [2000.0], [4000.0]])
    scaler = StandardScaler().fit(y)
    network = nn.Sequential(nn.Linear(1, 1, rng=0))
    network[0].weight.data[:], network[0].bias.data[:] = 1.0, 0.0  # its output is its input
    fnn.save_model(nn.Sequential(network, scaler.as_module(inverse=True)), tmp_path / "model.npz")
    model = fnn.load_model(tmp_path / "model.npz")
    np.testing.assert_allclose(model(scaler.transform(y).astype(np.float32)).numpy(), y, rtol=1e-6)


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
    with pytest.raises(ValueError, match="Rescale: clip=True has no inverse"):
        nn.Rescale(2, clip=True, inverse=True)
    for dtype in ("float16", "int32", "?!"):
        with pytest.raises(TypeError, match=r"^Standardize: out_dtype must be float32 or float64, .* got '"):
            nn.Standardize(2, out_dtype=dtype)
    with pytest.raises(ValueError, match=r"^ImageScaler\.as_module: mean='sample' .* own statistics"):
        ImageScaler("sample").fit(np.arange(8.0).reshape(2, 1, 4)).as_module(inverse=True)
    assert repr(nn.Standardize(3, inverse=True, out_dtype="f8")) == "Standardize(3, inverse=True, out_dtype='float64')"
    assert repr(nn.StandardizeSample()) == "StandardizeSample(center=True, scale=True)"
    assert repr(nn.Standardize(3)) == "Standardize(3)"
    assert repr(nn.Rescale((3, 1), clip=True)) == "Rescale((3, 1), 0, 1, clip=True)"
    assert repr(nn.Whiten((2, 3), 2, rotate_back=True)) == "Whiten((2, 3), 2, rotate_back=True)"
    assert fnn.summary(nn.Whiten(6, 2), (6,)).multiply_adds == 12
