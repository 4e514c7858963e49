"""Pictures made of tiles: images, filters and feature maps."""

import numpy as np
import pytest

from fastnn import nn
from fastnn.plots import feature_maps, filters, images
from fastnn.plots.feature_maps import maps_of
from fastnn.plots.filters import weights_as_tiles
from fastnn.plots.images import Grid, default_columns, scale, to_unit
from pictures import new_axes, pyplot, rendered, state_of


def texts(ax):
    return [text.get_text() for text in ax.texts]


# ---- tiles ---------------------------------------------------------------------------------------------------------------


def test_tiles_lie_in_rows_without_overlap():
    grid = Grid(5, 3, 4, 10, above=2.0)
    places = [grid.place(i) for i in range(5)]
    assert grid.lines == 2
    assert places[0] == (0, 10, 6, 2)
    assert places[1][0] == places[0][1] + grid.gap
    assert places[3][3] > places[0][2] + grid.above
    across, down = grid.extent
    assert max(place[1] for place in places) == pytest.approx(across)
    assert max(place[2] for place in places) == pytest.approx(down)


@pytest.mark.parametrize(
    ("count", "shape", "columns"), [(1, 1, 1), (16, 1, 4), (24, 1, 6), (10, 1, 5), (7, 1, 4), (64, 1, 8)]
)
def test_columns(count, shape, columns):
    assert default_columns(count, shape) == columns


# ---- images --------------------------------------------------------------------------------------------------------------


def test_grey_images_share_a_scale_that_is_said():
    batch = np.arange(2 * 3 * 4, dtype=np.float64).reshape(2, 3, 4) - 5
    ax = rendered(images(batch, ["a", 7]))
    assert texts(ax) == ["a", "7"]
    assert ax.get_xlabel() == "black is -5, white is 18"
    np.testing.assert_allclose(ax.images[1].get_array(), (batch[1] + 5) / 23)
    assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (0, 1)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (np.full((1, 1, 2, 2), 7, np.uint8), (0, 255)),
        (np.array([[[True, False]]]), (0, 1)),
        (np.full((1, 3, 2, 2), 0.5), (0, 1)),
        (np.full((1, 3, 2, 2), -2.0), (-2, -1)),
        (np.array([[[np.nan, 1.0, np.inf, 3.0]]]), (1, 3)),
    ],
)
def test_scales(batch, expected):
    whole = batch if batch.ndim == 4 else batch[:, None]
    assert scale(whole) == expected
    rendered(images(batch))


def test_colours_have_the_channels_last():
    batch = np.zeros((1, 3, 2, 2))
    batch[0, 1] = 1  # green
    ax = images(batch)
    assert ax.images[0].get_array().shape == (2, 2, 3)
    np.testing.assert_array_equal(ax.images[0].get_array()[0, 0], [0, 1, 0])


def test_a_given_axes_is_used_and_columns_are_obeyed():
    ax = new_axes()
    assert images(np.zeros((6, 2, 2)), columns=2, ax=ax) is ax
    lefts = {image.get_extent()[0] for image in ax.images}
    assert len(lefts) == 2
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: images(np.zeros((2, 2))), ValueError, r"expected images .* got shape \(2, 2\)"),
        (lambda: images(np.zeros((2, 4, 5, 5))), ValueError, r"got shape \(2, 4, 5, 5\)"),
        (lambda: images(np.zeros((0, 5, 5))), ValueError, r"got shape \(0, 5, 5\)"),
        (lambda: images(np.array([[["a"]]])), TypeError, "images must be numbers, got <U1"),
        (
            lambda: images((np.zeros((2, 1, 3, 3)), np.zeros(2, int))),
            TypeError,
            "of parts of different shapes; of a batch",
        ),
        (lambda: images(np.zeros((2, 3, 3)), [1]), ValueError, "2 images must have as many labels, got 1"),
        (lambda: images(np.zeros((2, 3, 3)), columns=0), ValueError, "columns must be at least 1, got 0"),
        (lambda: images(np.full((1, 2, 2), np.nan)), ValueError, "no finite number"),
        (lambda: images(np.zeros((1, 2, 2)), ax=new_axes(2)), TypeError, "ax must be one Axes"),
    ],
)
def test_images_refused(call, error, text):
    with pytest.raises(error, match=f"^images: .*{text}"):
        call()
    assert pyplot.get_fignums() == []


# ---- filters -------------------------------------------------------------------------------------------------------------


def test_filters_of_one_channel_share_a_symmetric_scale():
    layer = nn.Conv2d(1, 6, 3, rng=0)
    ax = rendered(filters(layer))
    limit = np.abs(layer.weight.data).max()
    assert len(ax.images) == 6
    for i, image in enumerate(ax.images):
        np.testing.assert_array_equal(image.get_array(), layer.weight.data[i, 0])
        assert (image.norm.vmin, image.norm.vmax) == pytest.approx((-limit, limit))
    assert ax.get_title() == "6 filters"
    assert ax.get_xlabel() == "colour: weight"
    assert len(ax.child_axes) == 1


def test_filters_of_three_channels_are_colours_around_grey():
    layer = nn.Conv2d(3, 4, 5, rng=0)
    layer.weight.data[0] = 0
    ax = rendered(filters(layer))
    np.testing.assert_array_equal(ax.images[0].get_array(), np.full((5, 5, 3), 0.5))
    limit = np.abs(layer.weight.data).max()
    expected = 0.5 + np.moveaxis(layer.weight.data[1], 0, -1) / (2 * limit)
    np.testing.assert_allclose(ax.images[1].get_array(), expected, atol=1e-7)
    assert f"none is −{limit:.3g}, full is {limit:.3g}, grey is 0" in ax.get_xlabel()


def test_filters_of_many_channels_are_rows():
    layer = nn.Conv2d(5, 20, 3, rng=0)
    found = weights_as_tiles(layer)
    assert found.words == "the first 16 of 20 filters (rows) of 5 inputs (columns)"
    assert found.columns == 5
    np.testing.assert_array_equal(found.tiles[7], layer.weight.data[1, 2])
    assert found.limit == np.abs(layer.weight.data).max()


def test_transposed_convolutions_by_their_outputs():
    layer = nn.ConvTranspose2d(4, 6, 3, groups=2, rng=0)
    found = weights_as_tiles(layer)
    assert found.words == "6 filters (rows) of 2 inputs (columns)"
    # Output 4 is the second of group 1, whose inputs are 2 and 3.
    np.testing.assert_array_equal(found.tiles[4 * 2 + 1], layer.weight.data[3, 1])
    one = weights_as_tiles(nn.ConvTranspose1d(1, 3, 5, rng=0))
    assert one.tiles.shape == (3, 1, 5)


def test_linear_layers_on_pixels():
    layer = nn.Linear(12, 2, rng=0)
    np.testing.assert_array_equal(weights_as_tiles(layer, (1, 3, 4)).tiles, layer.weight.data.reshape(2, 3, 4))
    assert weights_as_tiles(layer, (3, 2, 2)).tiles.shape == (2, 2, 2, 3)


def test_filters_of_zeros():
    layer = nn.Conv1d(1, 1, 3, rng=0)
    layer.weight.data[...] = 0
    rendered(filters(layer, ax=new_axes()))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: filters(nn.ReLU()), TypeError, "expected a convolution .* got ReLU"),
        (lambda: filters(nn.Conv3d(1, 1, 3)), TypeError, "got Conv3d"),
        (lambda: filters(nn.Linear(4, 2)), ValueError, "shape must say"),
        (lambda: filters(nn.Linear(4, 2), shape=(1, 2, 3)), ValueError, r"of 4 inputs, got \(1, 2, 3\)"),
        (lambda: filters(nn.Conv2d(1, 1, 3), shape=(1, 3, 3)), ValueError, "shape is for Linear layers"),
    ],
)
def test_filters_refused(call, error, text):
    with pytest.raises(error, match=f"^filters: .*{text}"):
        call()


def test_filters_that_are_not_finite_are_refused():
    layer = nn.Conv2d(1, 1, 3, rng=0)
    layer.weight.data[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"^filters: the layer has weights that are not finite"):
        filters(layer)


# ---- feature maps --------------------------------------------------------------------------------------------------------


def network():
    net = nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1, rng=0),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
    )
    net[0].weight.data[3] = 0  # whose map is 0 behind the norm
    return net


IMAGE = np.random.default_rng(0).normal(size=(8, 8))


def test_maps_are_what_the_layer_gives_in_evaluation_mode():
    net = network()
    net.train()
    net[1].running_mean[...] = 0.1
    net[1].running_mean[3] = 0
    before = state_of(net)
    found = maps_of(net, IMAGE, "2")
    assert state_of(net) == before
    net.eval()
    expected = net[2](net[1](net[0](IMAGE[None, None].astype(np.float32))))
    np.testing.assert_allclose(found.maps, np.asarray(expected.data)[0], rtol=1e-5, atol=1e-6)
    assert found.dead.tolist() == [False, False, False, True, False]
    assert found.limit == np.abs(found.maps).max()
    assert found.layer == "2 (ReLU)"


def test_maps_are_sorted_by_their_mean_square_on_request():
    found = maps_of(network(), IMAGE, "2", sort=True)
    activity = np.square(found.maps).mean((1, 2))
    assert (np.diff(activity[found.order]) <= 0).all()
    assert found.order[-1] == 3
    ax = rendered(feature_maps(network(), IMAGE[None], "2", sort=True))
    assert texts(ax) == [str(channel) for channel in found.order]


def test_all_maps_have_one_scale_and_dead_ones_a_frame():
    net = network()
    ax = rendered(feature_maps(net, IMAGE[None, None], net[2], ax=new_axes()))
    norms = {(image.norm.vmin, image.norm.vmax) for image in ax.images}
    assert len(norms) == 1
    low, high = norms.pop()
    assert low == -high
    assert len(ax.get_lines()) == 1
    assert ax.get_title() == "5 maps of 2 (ReLU); 1 dead, framed in grey"


def test_maps_of_sequences_and_of_any_module():
    class Free(nn.Module):
        def __init__(self):
            self.conv = nn.Conv1d(2, 3, 3, padding=1, rng=0)

        def forward(self, x):
            return self.conv(x[:, 0])

    found = maps_of(Free(), np.zeros((1, 2, 9)), "conv")
    assert found.maps.shape == (3, 1, 9)
    assert found.dead.all()


@pytest.mark.parametrize(
    ("layer", "image", "error", "text"),
    [
        ("9", IMAGE, ValueError, "the model has no '9', only 0, 1, 2, 3, 4, 5"),
        (nn.ReLU(), IMAGE, ValueError, "the model has no such a ReLU"),
        (3, IMAGE, TypeError, "layer must be a name or a Module, got 3"),
        ("4", IMAGE, ValueError, r"the output of '4' must be .* got shape \(1, 80\)"),
        ("0", np.zeros((2, 1, 8, 8)), ValueError, r"one image .* got float64 of shape \(2, 1, 8, 8\)"),
        ("0", np.array([["a"]]), ValueError, "one image"),
        ("0", np.full((8, 8), np.nan), ValueError, "image holds numbers that are not finite"),
    ],
)
def test_maps_refused(layer, image, error, text):
    with pytest.raises(error, match=f"^feature_maps: .*{text}"):
        feature_maps(network(), image, layer)
    assert pyplot.get_fignums() == []


def test_maps_that_are_not_finite_are_refused():
    broken = network()
    broken[0].weight.data[...] = np.nan
    with pytest.raises(ValueError, match=r"^feature_maps: what leaves '0' is not finite"):
        feature_maps(broken, IMAGE, "0")


def test_a_layer_that_is_not_called_is_refused():
    class Idle(nn.Module):
        def __init__(self):
            self.used, self.idle = nn.Conv2d(1, 1, 3, rng=0), nn.Conv2d(1, 1, 3, rng=0)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(ValueError, match="does not call its layer 'idle'"):
        feature_maps(Idle(), IMAGE, "idle")


def test_to_unit():
    np.testing.assert_allclose(to_unit(np.array([-1.0, 0, 1, 3]), -1, 1), [0, 0.5, 1, 1])
