"""Pictures of decision regions: what is predicted where, how surely, and what fills the features that are not drawn."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn import nn
from fastnn.plots import decision_regions
from fastnn.plots.decision_regions import as_probabilities, opacity, regions
from pictures import new_axes, pyplot, rendered, state_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
Y = (X[:, 0] > 0.2).astype(np.int64)


def centred(x):
    """Scores of the distance to three points."""
    points = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.5]])
    return -np.square(x[:, None, :2] - points).sum(-1)


def test_labels_over_the_grid_are_those_of_the_prediction():
    found = regions(centred, X, np.arange(60) % 3, resolution=20)
    across, up = np.meshgrid(found.first, found.second)
    scores = centred(np.column_stack([across.ravel(), up.ravel()]))
    np.testing.assert_array_equal(found.labels.ravel(), scores.argmax(1))
    np.testing.assert_allclose(found.probability.ravel(), as_probabilities(scores).max(1))
    assert found.classes == (0, 1, 2)
    assert found.first[0] < X[:, 0].min() < X[:, 0].max() < found.first[-1]


def test_rows_that_sum_to_one_are_probabilities_and_others_scores():
    rows = np.array([[0.2, 0.8], [0.5, 0.5]])
    np.testing.assert_array_equal(as_probabilities(rows), rows)
    scores = np.array([[1.0, 3.0], [1e4, 0.0]])
    np.testing.assert_allclose(as_probabilities(scores), [[1 / (1 + np.e**2), 1 / (1 + np.e**-2)], [1, 0]])


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_a_single_score_or_probability_is_of_the_second_class(shape):
    logit = regions(lambda x: (3 * (x[:, 0] - 0.2)).reshape(shape), X, Y, resolution=30)
    share = regions(lambda x: (1 / (1 + np.exp(-3 * (x[:, 0] - 0.2)))).reshape(shape), X, Y, resolution=30)
    np.testing.assert_array_equal(logit.labels, share.labels)
    np.testing.assert_allclose(logit.probability, share.probability)
    np.testing.assert_array_equal(logit.labels[0], logit.first > 0.2)
    assert (logit.probability >= 0.5).all()


def test_labels_of_any_kind_have_no_probability():
    names = np.array(["left", "right"])
    found = regions(lambda x: names[(x[:, 0] > 0).astype(int)], X, names[Y], resolution=10)
    assert found.classes == ("left", "right")
    assert found.probability is None
    np.testing.assert_array_equal(found.truth, Y)
    third = regions(lambda x: np.full(len(x), 7), X, Y, resolution=10)
    assert third.classes == (0, 1, 7)
    assert (third.labels == 2).all()
    floats = regions(lambda x: (x[:, 0] > 0).astype(float), X, Y.astype(float), resolution=10)
    assert (floats.classes, floats.probability) == ((0.0, 1.0), None)


def test_scores_for_named_classes_are_in_their_order():
    names = np.array(["b", "a", "c"])[np.arange(60) % 3]
    found = regions(centred, X, names, resolution=5)
    assert found.classes == ("a", "b", "c")
    assert found.truth[0] == 1


def test_other_features_are_filled():
    x = np.column_stack([X, X[:, 0] + 10, np.zeros(60)])
    seen = []

    def predict(points):
        seen.append(points)
        return centred(points)

    regions(predict, x, Y, features=(1, 0), fill="mean", resolution=4)
    np.testing.assert_allclose(seen[-1][:, 2:], np.tile(x.mean(0)[2:], (16, 1)))
    regions(predict, x, Y, fill=[9, 9, 5, 6], resolution=4)
    np.testing.assert_array_equal(seen[-1][:, 2:], np.tile([5, 6], (16, 1)))
    found = regions(predict, x, Y, fill="nearest", resolution=12)
    span = np.ptp(x[:, :2], axis=0)
    nearest = [np.square((point[:2] - x[:, :2]) / span).sum(1).argmin() for point in seen[-1]]
    np.testing.assert_array_equal(seen[-1][:, 2:], x[nearest, 2:])
    across, up = np.meshgrid(found.first, found.second)
    np.testing.assert_allclose(seen[-1][:, :2], np.column_stack([across.ravel(), up.ravel()]))


def test_networks_are_in_evaluation_mode_and_stay_as_they_are():
    net = nn.Sequential(nn.Linear(2, 8, rng=0), nn.BatchNorm1d(8), nn.Dropout(0.5, rng=1), nn.Linear(8, 3, rng=2))
    net.train()
    before = state_of(net)
    generator = net[2].rng.bit_generator.state if hasattr(net[2], "rng") else None
    found = regions(net, X, Y, resolution=10)
    again = regions(net, X.astype(np.float32), Y, resolution=10)
    assert state_of(net) == before
    assert generator == (net[2].rng.bit_generator.state if generator else None)
    np.testing.assert_array_equal(found.labels, again.labels)
    with fnn.use_backend("numpy"):
        np.testing.assert_allclose(regions(net, X, Y, resolution=10).probability, found.probability, atol=1e-5)


def test_opacity_is_least_where_nothing_is_decided():
    least, middle, most = opacity(np.array([0.25, 0.625, 1.0]), 4)
    assert least < middle < most
    assert opacity(np.array([np.nan]), 2)[0] == 0
    assert least < opacity(None, 4) < most


def test_drawn_with_all_classes():
    ax = new_axes()
    assert decision_regions(centred, X, np.arange(60) % 3, names=("width", "height"), resolution=30, ax=ax) is ax
    rendered(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("width", "height")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["class 0", "class 1", "class 2"]
    assert len({tuple(c.get_facecolor()[0]) for c in ax.collections if len(c.get_offsets()) > 1}) == 3


def test_more_classes_than_there_are_colours():
    many = 25
    ax = decision_regions(lambda x: x[:, :1] * np.arange(many), X, np.arange(60) % many, resolution=20)
    rendered(ax)
    assert ax.get_legend() is None


def test_one_sample_and_a_constant_feature():
    rendered(decision_regions(centred, np.zeros((1, 2)), [0], resolution=5))
    rendered(decision_regions(lambda x: np.zeros((len(x), 2)), X * [1, 0], Y, resolution=5))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: decision_regions(3, X, Y), TypeError, "predict must be a Module or a function, got 3"),
        (
            lambda: decision_regions(centred, X[:, :1], Y),
            ValueError,
            r"at least 2 features, got float64 of shape \(60, 1\)",
        ),
        (lambda: decision_regions(centred, X, Y[1:]), ValueError, r"y must be \(60,\)"),
        (lambda: decision_regions(centred, X * np.nan, Y), ValueError, "not finite"),
        (lambda: decision_regions(centred, X, Y, features=(0, 0)), ValueError, "two different columns of 2"),
        (lambda: decision_regions(centred, X, Y, features=(0, 2)), ValueError, "two different columns of 2"),
        (lambda: decision_regions(centred, X, Y, features=0), TypeError, "features must be two columns, got 0"),
        (
            lambda: decision_regions(centred, X, Y, fill="median"),
            ValueError,
            "'nearest', 'mean' or numbers, got 'median'",
        ),
        (lambda: decision_regions(centred, X, Y, fill=[1, 2, 3]), ValueError, r"fill must be \(2,\), got shape \(3,\)"),
        (lambda: decision_regions(centred, X, Y + 2), ValueError, "3 classes, but y has the labels"),
        (
            lambda: decision_regions(lambda x: x[:1], X, Y),
            ValueError,
            "samples were given, but the prediction has shape",
        ),
        (lambda: decision_regions(lambda x: x * np.nan, X, Y), ValueError, "what is predicted is not finite"),
        (lambda: decision_regions(lambda x: x[:, 0] * np.nan, X, Y), ValueError, "what is predicted is not finite"),
        (lambda: decision_regions(lambda x: x + np.inf, X, Y), ValueError, "what is predicted is not finite"),
        (lambda: decision_regions(lambda x: x[:, :, None], X, Y), ValueError, r"must be \(N, C\) or \(N,\)"),
        (lambda: decision_regions(lambda x: x[:, 0] * 1j, X, Y), TypeError, "numbers or labels, got complex128"),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error, match=f"^decision_regions: .*{text}"):
        call()
    assert pyplot.get_fignums() == []
