"""Pictures of surfaces and paths: values over the grid, planes, what of a path they hold, and the recorder of weights."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.plots import loss_surface
from fastnn.plots.descent import beale, descent, rosenbrock, saddle
from fastnn.plots.loss_surface import is_logarithmic, levels_of, surface
from fastnn.plots.weights import filter_normalised, flattened, principal_plane, vector_of
from fastnn.training import Trainer, WeightPath
from pictures import new_axes, rendered, state_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def network(seed=0):
    return nn.Sequential(nn.Linear(2, 5, rng=seed), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2, rng=seed + 1))


def trained(optimizer=optim.Adam, lr=0.05, epochs=4, every=None):
    net, path = network(), WeightPath(every)
    trainer = Trainer(net, optimizer(net.parameters(), lr=lr))
    trainer.fit(Batches(X, Y, batch_size=10, shuffle=True, rng=0), epochs=epochs, callbacks=[path], progress=False)
    return net, path


# ---- functions -----------------------------------------------------------------------------------------------------------


def test_where_the_functions_are_least():
    assert beale(3.0, 0.5) == 0
    assert rosenbrock(1.0, 1.0) == 0
    assert saddle(0.0, 2.0) == -4
    assert beale(1.0, 1.0) == pytest.approx(1.5**2 + 2.25**2 + 2.625**2)
    assert rosenbrock(0.0, 2.0) == 401


@pytest.mark.parametrize("name", ["beale", "rosenbrock", "saddle"])
def test_values_over_the_grid(name):
    found = surface(name, resolution=9)
    function = {"beale": beale, "rosenbrock": rosenbrock, "saddle": saddle}[name]
    for i, j in ((0, 0), (3, 7), (8, 2)):
        assert found.values[i, j] == pytest.approx(function(found.first[j], found.second[i]))


def test_a_path_is_that_of_the_formula():
    path = descent("saddle", (1.0, 0.5), lambda point: optim.SGD(point, lr=0.1), steps=10)
    steps = np.arange(11)
    np.testing.assert_allclose(path, np.column_stack([0.8**steps, 0.5 * 1.2**steps]))
    found = surface("saddle", paths=path)
    np.testing.assert_allclose(found.paths[""].values, path[:, 0] ** 2 - path[:, 1] ** 2)
    assert found.share is None


def test_a_path_ends_where_it_leaves_the_numbers():
    path = descent(rosenbrock, (5.0, 5.0), lambda point: optim.SGD(point, lr=1.0), steps=100)
    assert len(path) < 20
    assert np.isfinite(path).all()
    rendered(loss_surface("rosenbrock", paths={"too fast": path[:2]}))


def test_the_span_shows_the_paths_or_is_given():
    path = np.array([[10.0, 5.0], [12.0, 4.0]])
    found = surface(lambda x, y: x + y, paths={"a": path})
    assert (found.first[0] < path[:, 0]).all()
    assert (path[:, 0] < found.first[-1]).all()
    assert (found.second[0] < path[:, 1]).all()
    assert (path[:, 1] < found.second[-1]).all()
    given = surface("beale", span=((0, 1), (2, 4)), resolution=3)
    assert given.first.tolist() == [0, 0.5, 1]
    assert given.second.tolist() == [2, 3, 4]
    assert surface(lambda x, y: x * 0.0 + 1.0, span=(-1, 1), resolution=3).values.tolist() == [[1.0] * 3] * 3


def test_values_are_logarithmic_where_they_differ_widely():
    assert is_logarithmic(np.array([0.0, 1.0, 1e3]))
    assert not is_logarithmic(np.array([1.0, 2.0]))
    assert not is_logarithmic(np.array([-1.0, 1e3]))
    assert not is_logarithmic(np.array([np.nan]))
    levels = levels_of(np.array([1e-9, 1.0, np.inf]), True)
    assert (levels[0], levels[-1]) == pytest.approx((1e-5, 1))
    assert levels_of(np.array([2.0]), False).tolist() == [2, 3]
    with pytest.raises(ValueError, match="no value is finite"):
        levels_of(np.array([np.nan]), False)


def test_drawn_with_paths_of_several_optimisers():
    paths = {
        "SGD": descent("beale", (1, 1.2), lambda point: optim.SGD(point, lr=0.01), 30),
        "Adam": descent("beale", (1, 1.2), lambda point: optim.Adam(point, lr=0.1), 30),
    }
    ax = new_axes()
    assert loss_surface("beale", paths=paths, resolution=15, ax=ax) is ax
    rendered(ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["SGD", "Adam"]
    np.testing.assert_array_equal(ax.get_lines()[0].get_xydata(), paths["SGD"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")


# ---- planes --------------------------------------------------------------------------------------------------------------


def test_the_principal_plane_by_its_definition():
    points = RNG.normal(size=(12, 7)) * [5, 3, 1, 0.3, 0.3, 0.3, 0.3]
    plane, shares = principal_plane(points)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    np.testing.assert_allclose(shares, values[::-1][:2] / values.sum(), rtol=1e-9)
    for direction, vector in zip((plane.first, plane.second), vectors.T[::-1], strict=False):
        assert abs(direction @ vector) == pytest.approx(1)
    assert plane.share(points) == pytest.approx(sum(shares))
    coordinates = plane.coordinates(points)
    np.testing.assert_allclose(coordinates[:, 0], (points - points.mean(0)) @ plane.first, atol=1e-12)
    np.testing.assert_allclose(plane.at(*coordinates[3]), points.mean(0) + coordinates[3] @ [plane.first, plane.second])


def test_principal_components_are_those_of_scikit_learn():
    decomposition = pytest.importorskip("sklearn.decomposition")
    points = RNG.normal(size=(20, 6)) @ RNG.normal(size=(6, 6))
    found = decomposition.PCA(2).fit(points)
    np.testing.assert_allclose(principal_plane(points)[1], found.explained_variance_ratio_, rtol=1e-9)


@pytest.mark.parametrize("points", [np.zeros((3, 4)), np.ones((1, 4)), np.arange(4.0)[:, None] * np.ones(4)])
def test_planes_through_points_that_span_none(points):
    plane, shares = principal_plane(points)
    basis = np.stack([plane.first, plane.second])
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-12)
    assert shares[1] == pytest.approx(0)
    assert plane.share(points) == pytest.approx(1)


def test_filter_normalised_directions_have_the_lengths_of_the_filters():
    net = network()
    direction = filter_normalised(net, np.random.default_rng(0))
    start = 0
    for parameter in net.parameters():
        part = direction[start : start + parameter.size].reshape(parameter.shape)
        start += parameter.size
        if parameter.ndim < 2:
            assert not part.any()
        else:
            np.testing.assert_allclose(np.linalg.norm(part, axis=1), np.linalg.norm(parameter.data, axis=1), rtol=1e-6)
    assert start == len(direction)


# ---- networks ------------------------------------------------------------------------------------------------------------


def test_the_ground_is_the_loss_of_the_weights_there():
    net, path = trained()
    before = state_of(net)
    found = surface(net, X, Y, paths=path, resolution=4)
    assert state_of(net) == before
    points = np.array([vector_of("test", net, state) for state in path])
    plane, shares = principal_plane(points)
    other = network(5).eval()
    other.load_state_dict(net.state_dict())
    start, point = 0, plane.at(found.first[1], found.second[3])
    for parameter in other.parameters():
        parameter.data[...] = point[start : start + parameter.size].reshape(parameter.shape)
        start += parameter.size
    assert found.values[3, 1] == pytest.approx(float(F.cross_entropy(other(X), Y).data), rel=1e-5)
    assert found.share == pytest.approx(sum(shares))
    np.testing.assert_allclose(found.paths[""].points, plane.coordinates(points))


def test_each_point_of_a_path_has_the_loss_of_its_own_weights_and_statistics():
    net, path = trained()
    found = surface(net, X, Y, paths={"Adam": path}, resolution=2)
    for state, value in zip(path, found.paths["Adam"].values, strict=True):
        other = network(9).eval()
        other.load_state_dict(state)
        assert value == pytest.approx(float(F.cross_entropy(other(X), Y).data), rel=1e-5)


def test_random_directions_go_through_the_weights():
    net, path = trained()
    found = surface(net, X, Y, rng=3, resolution=3)
    net.eval()
    assert found.values[1, 1] == pytest.approx(float(F.cross_entropy(net(X), Y).data), rel=1e-5)
    again = surface(net, X, Y, rng=3, resolution=3)
    np.testing.assert_array_equal(found.values, again.values)
    assert surface(net, X, Y, rng=4, resolution=3).values[0, 0] != found.values[0, 0]
    assert 0 <= surface(net, X, Y, paths=path, directions="filter", rng=3, resolution=2).share <= 1


def test_two_given_vectors():
    net, path = trained()
    centre = flattened([parameter.data for parameter in net.parameters()])
    u, v = np.zeros(len(centre)), np.ones(len(centre))
    u[0] = 2
    found = surface(net, X, Y, directions=(u, v), span=(0, 1), resolution=2, loss=F.cross_entropy)
    net[0].weight.data[0, 0] += 2
    net.eval()
    assert found.values[0, 1] == pytest.approx(float(F.cross_entropy(net(X), Y).data), rel=1e-5)
    states = surface(net, X, Y, directions=(path[0], path[-1]), resolution=2)
    assert states.labels == ("along u", "along v")


def test_other_losses_types_and_several_inputs():
    class Sum(nn.Module):
        def __init__(self):
            self.first, self.second = (nn.Linear(2, 1, rng=i, dtype=np.float64) for i in range(2))

        def forward(self, a, b):
            return self.first(a) + self.second(b)

    x = X.astype(np.float64)
    found = surface(Sum(), (x, x), x[:, :1], loss=F.mse_loss, rng=0, resolution=3)
    assert np.isfinite(found.values).all()


def test_drawn_with_the_share_in_the_title():
    net, path = trained()
    _, other = trained(optim.SGD)
    ax = rendered(loss_surface(net, X, Y, paths={"Adam": path, "SGD": other}, resolution=5))
    assert "% of the variance of the weights" in ax.get_title()
    assert "first component" in ax.get_xlabel()
    rendered(loss_surface(net, X, Y, paths=[path[0]], resolution=3))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: loss_surface("beal"), ValueError, "there is no function 'beal', only beale"),
        (lambda: loss_surface(3), TypeError, "f must be a function, its name or a Module, got 3"),
        (lambda: loss_surface("beale", X, Y), ValueError, "are for a Module"),
        (lambda: loss_surface("beale", paths=np.zeros((3, 3))), ValueError, r"points \(T, 2\), got shape \(3, 3\)"),
        (lambda: loss_surface("beale", paths=np.full((3, 2), np.nan)), ValueError, "has numbers that are not finite"),
        (lambda: loss_surface("beale", span=(1, 0)), ValueError, "span must go upwards"),
        (lambda: loss_surface("beale", span=(1, 2, 3)), ValueError, "span must be"),
        (lambda: loss_surface("beale", resolution=1), ValueError, "resolution must be at least 2, got 1"),
        (lambda: loss_surface("saddle", log=2), TypeError, "log must be True or False"),
        (lambda: loss_surface(lambda x, y: -x * x, log=True), ValueError, "log needs values above 0"),
        (lambda: loss_surface(nn.ReLU(), X, Y), ValueError, r"the model has no parameters to vary, got ReLU\(\)"),
        (lambda: loss_surface(network()), ValueError, "needs inputs x and targets y"),
        (lambda: loss_surface(network(), X, Y, directions="pca"), ValueError, "'pca' needs paths"),
        (
            lambda: loss_surface(network(), X, Y, directions="t-sne"),
            ValueError,
            "must be 'pca', 'filter' or two vectors",
        ),
        (
            lambda: loss_surface(network(), X, Y, directions=([1], [2])),
            ValueError,
            r"must have shape \(37,\), got \(1,\)",
        ),
        (lambda: loss_surface(network(), X, Y, paths=[]), ValueError, "has no states"),
        (lambda: loss_surface(network(), X, Y, paths=[{}]), ValueError, "a state has nothing for '0.weight'"),
        (
            lambda: loss_surface(network(), X, Y, paths=[{k: a * np.nan for k, a in network().state_dict().items()}]),
            ValueError,
            "a state holds weights that are not finite",
        ),
        (lambda: loss_surface(network(), X, Y, paths=[3]), TypeError, "expected what state_dict gives, got int"),
        (lambda: loss_surface(network(), X, Y, paths=3), TypeError, "must be a list of states, got int"),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error, match=f"^loss_surface: .*{text}"):
        call()


def test_descents_refused():
    with pytest.raises(ValueError, match=r"^descent: start must be two numbers"):
        descent("beale", (1.0,), lambda point: optim.SGD(point, lr=0.1))


# ---- the recorder --------------------------------------------------------------------------------------------------------


def test_weights_are_recorded_each_epoch_or_so_many_steps():
    net, path = trained(epochs=3)
    assert path.steps == [0, 4, 8, 12]
    assert len(path) == 4
    assert {name: a.tobytes() for name, a in path[-1].items()} == {n: a.tobytes() for n, a in net.state_dict().items()}
    assert path[0]["0.weight"].tobytes() == network()[0].weight.data.tobytes()
    _, often = trained(epochs=3, every=5)
    assert often.steps == [0, 5, 10, 12]
    assert [state["0.weight"].shape for state in often[1:]] == [(5, 2)] * 3


def test_recording_changes_nothing_and_goes_on():
    net, _ = trained(epochs=4)
    other, path = network(), WeightPath()
    trainer = Trainer(other, optim.Adam(other.parameters(), lr=0.05))
    batches = Batches(X, Y, batch_size=10, shuffle=True, rng=0)
    for epochs in (2, 4):
        trainer.fit(batches, epochs=epochs, callbacks=[path], progress=False)
    assert path.steps == [0, 4, 8, 12, 16]
    assert state_of(other)[0] == state_of(net)[0]


@pytest.mark.parametrize("every", [0, 1.5, "epoch"])
def test_recorder_refused(every):
    with pytest.raises((ValueError, TypeError), match=r"^WeightPath: every must be"):
        WeightPath(every)


def test_both_backends():
    net, path = trained()
    with fnn.use_backend("numpy"):
        reference = surface(net, X, Y, paths=path, resolution=3)
    np.testing.assert_allclose(surface(net, X, Y, paths=path, resolution=3).values, reference.values, rtol=1e-4)
