"""Pictures of layers that bend the plane: what leaves each, the planes of wide ones, and the lines that decide."""

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.plots import plane_map
from fastnn.plots.plane_map import grid_lines, map_of, maps_of_frames, panels_of_map
from fastnn.plots.weights import principal_plane
from fastnn.training import Trainer, WeightPath
from pictures import leaves, new_axes, pyplot, rendered, state_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 2)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)


def narrow(out=2):
    return nn.Sequential(nn.Linear(2, 2, rng=0), nn.Tanh(), nn.Dropout(0.5, rng=3), nn.Linear(2, out, rng=1))


def wide(inputs=2, out=3):
    return nn.Sequential(
        nn.Linear(inputs, 9, rng=0),
        nn.BatchNorm1d(9),
        nn.ReLU(),
        nn.Linear(9, 6, rng=1),
        nn.Tanh(),
        nn.Linear(6, out, rng=2),
    )


def test_the_grid_is_of_upright_and_level_lines():
    lines = grid_lines(np.array([[0.0, 0.0], [10.0, 20.0]]), lines=3, dots=5)
    assert lines.shape == (6, 5, 2)
    assert (lines[:3, :, 0] == lines[:3, :1, 0]).all()
    assert (lines[3:, :, 1] == lines[3:, :1, 1]).all()
    assert (lines.reshape(-1, 2).min(0) < 0).all()
    assert (lines.reshape(-1, 2).max(0) > [10, 20]).all()


def test_stages_are_what_leaves_the_layers():
    net = narrow()
    found = map_of(net, X, Y)
    assert [stage.name for stage in found.stages] == ["input", "0: Linear", "1: Tanh"]
    np.testing.assert_array_equal(found.stages[0].points, X)
    linear = X @ net[0].weight.data.T + net[0].bias.data
    np.testing.assert_allclose(found.stages[1].points, linear, atol=1e-6)
    np.testing.assert_allclose(found.stages[2].points, np.tanh(linear), atol=1e-6)
    grid = found.stages[0].grid.reshape(-1, 2)
    bent = np.tanh(grid @ net[0].weight.data.T + net[0].bias.data)
    np.testing.assert_allclose(found.stages[2].grid.reshape(-1, 2), bent, atol=1e-6)
    assert all(stage.share is None for stage in found.stages)


@pytest.mark.parametrize("out", [1, 2, 4])
def test_what_decides_is_the_last_layer_and_linear(out):
    net = narrow(out)
    net.eval()
    found = map_of(net, X, np.arange(50) % max(out, 2))
    scores = np.asarray(net(X))
    said = (scores[:, 0] > 0).astype(int) if out == 1 else scores.argmax(1)
    assert found.decided.right == pytest.approx((said == np.arange(50) % max(out, 2)).mean())
    drawn = found.decided.scores
    assert drawn.shape[-1] == max(out, 2)
    for axis in (0, 1):  # linear over the plane: second differences are 0, so lines of equal scores are straight
        assert np.abs(np.diff(drawn, 2, axis=axis)).max() < 1e-9


def test_wide_layers_are_shown_in_their_principal_plane():
    net = wide()
    found = map_of(net, X, np.arange(50) % 3)
    hidden = X @ net[0].weight.data.T + net[0].bias.data
    plane, shares = principal_plane(hidden.astype(np.float64))
    assert found.stages[1].share == pytest.approx(sum(shares), rel=1e-5)
    assert found.stages[1].share == pytest.approx(1)  # what enters has two dimensions
    assert found.stages[-1].share < 1
    np.testing.assert_allclose(np.abs(found.stages[1].points), np.abs(plane.coordinates(hidden)), atol=1e-4)


def test_samples_of_many_features_enter_by_their_principal_plane():
    x = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
    found = map_of(wide(5), x, np.arange(30) % 3)
    entering = found.stages[0]
    assert entering.share == pytest.approx(sum(principal_plane(x.astype(np.float64))[1]))
    assert np.ptp(entering.grid[0, :, 0]) < 1e-5  # the grid lies in that plane, so its lines are still straight there


def test_the_model_is_run_in_evaluation_mode_and_stays_as_it_is():
    net = wide()
    net.train()
    before = state_of(net)
    plane_map(net, X, np.arange(50) % 3)
    assert state_of(net) == before


def test_free_form_modules_show_what_enters_the_last_layer():
    class Free(nn.Module):
        def __init__(self):
            self.inner, self.outer = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1)

        def forward(self, x):
            return self.outer(F.tanh(self.inner(x)))

    found = map_of(Free(), X, Y)
    assert [stage.name for stage in found.stages] == ["input", "inner: Linear", "before outer"]
    assert found.decided is not None


def test_a_network_without_hidden_layers_or_without_linear_ones():
    only = map_of(nn.Linear(2, 2, rng=0), X, Y)
    assert [stage.name for stage in only.stages] == ["input"]
    assert only.decided is not None
    none = map_of(nn.Sequential(nn.Tanh()), X, Y)
    assert [stage.name for stage in none.stages] == ["input", "0: Tanh"]
    assert none.decided is None


def test_a_single_layer():
    net = narrow()
    found = map_of(net, X, Y, layer=net[1])
    assert [stage.name for stage in found.stages] == ["1: Tanh"]
    assert panels_of_map(net, X) == 3
    ax = new_axes()
    assert plane_map(net, X, Y, "1", ax)[0] is ax
    single = map_of(nn.Sequential(nn.Linear(2, 1, rng=0)), X, Y, layer="0")
    assert not single.stages[0].points[:, 1].any()
    assert single.stages[0].share == 1


def test_drawn():
    axes = plane_map(wide(), X, np.array(["a", "b", "c"])[np.arange(50) % 3])
    assert [ax.get_title().partition(",")[0] for ax in axes] == [
        "input",
        "0: Linear",
        "1: BatchNorm1d",
        "2: ReLU",
        "3: Linear",
        "4: Tanh",
    ]
    assert "% right" in axes[-1].get_title()
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["a", "b", "c"]
    assert axes[1].get_xlabel() == "first component"
    rendered(axes[0])
    given = new_axes(3)
    assert list(plane_map(narrow(1), X, Y, axes=given)) == list(given)


def recorded():
    net, path = narrow(), WeightPath()
    Trainer(net, optim.Adam(net.parameters(), lr=0.1)).fit(
        Batches(X, Y, batch_size=25), epochs=3, callbacks=[path], progress=False
    )
    return net, path


def test_frames_are_the_maps_of_their_states():
    net, path = recorded()
    before = state_of(net)
    maps = maps_of_frames(net, X, Y, path)
    assert state_of(net) == before
    for state, found in zip(path, maps, strict=True):
        net.load_state_dict(state)
        assert list(leaves(map_of(net, X, Y).stages)) == list(leaves(found.stages))


def test_planes_of_frames_are_turned_to_be_like_the_next():
    net = wide()
    states = [net.state_dict()]
    net[0].weight.data[...] *= -1
    states.append(net.state_dict())
    alone = [map_of(net, X, np.arange(50) % 3).stages[1]]
    first, last = (found.stages[1] for found in maps_of_frames(net, X, np.arange(50) % 3, states))
    np.testing.assert_array_equal(last.points, alone[0].points)
    assert first.share == pytest.approx(1)
    away = np.abs(first.points - last.points).mean()
    assert away <= np.abs(first.points + last.points).mean()


def test_an_animation_is_saved_as_a_gif(tmp_path):
    image = pytest.importorskip("PIL.Image")
    net, path = recorded()
    animation = plane_map(net, X, Y, frames=path)
    animation.save(tmp_path / "map.gif", writer="pillow", dpi=30)
    with image.open(tmp_path / "map.gif") as gif:
        assert gif.n_frames == len(path)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: plane_map(3, X, Y), TypeError, "model must be a Module, got 3"),
        (lambda: plane_map(narrow(), X[:, :1], Y), ValueError, "at least 2 features"),
        (lambda: plane_map(narrow(), X * np.nan, Y), ValueError, "x holds numbers that are not finite"),
        (
            lambda: plane_map(narrow(), X, Y[1:]),
            ValueError,
            r"y must be \(50,\), a label per sample, got shape \(49,\)",
        ),
        (lambda: plane_map(narrow(), X, Y, "7"), ValueError, "the model has no '7'"),
        (lambda: plane_map(narrow(), X, Y, axes=new_axes(2)), ValueError, "3 panels must have as many axes, got 2"),
        (lambda: plane_map(narrow(), X, Y, frames=[]), ValueError, "frames must be what state_dict gave"),
        (lambda: plane_map(narrow(), X, Y, frames={}), TypeError, "frames must be a list of states, got dict"),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error, match=f"^plane_map: .*{text}"):
        call()
    assert pyplot.get_fignums() == []


def test_what_is_not_finite_is_refused():
    net = narrow()
    net[0].weight.data[...] = np.inf
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match=r"^plane_map: what leaves '0: Linear' is not finite"),
    ):
        plane_map(net, X, Y)
