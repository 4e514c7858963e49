"""What all functions that draw have in common when they refuse something."""

import sys

import numpy as np
import pytest

from fastnn import nn, plots
from fastnn.diagnosis import compare_inits, initial_loss, layer_stats, lr_range_test
from fastnn.optim import SGD
from fastnn.plots import checks, search
from fastnn.plots.history import verdict
from fastnn.robustness import robustness
from fastnn.training import LayerMonitor, Trainer
from pictures import new_axes, pyplot

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
PUBLIC = [getattr(plots, name) for name in plots.__all__]
OTHERS = [verdict, search.search, checks.losses, checks.overfit, checks.levels, checks.preflight, checks.learning_curve]


def network():
    return nn.Sequential(nn.Linear(4, 8, rng=0), nn.Tanh(), nn.Linear(8, 2, rng=1))


def trainer():
    net = network()
    return Trainer(net, SGD(net.parameters(), lr=0.1))


@pytest.mark.parametrize(
    ("draw", "make"),
    [
        (plots.layer_stats, lambda: layer_stats(network(), (X, Y))),
        (plots.layer_stats, lambda: LayerMonitor()),
        (plots.inits, lambda: compare_inits({"1": 1.0}, network, X, Y)),
        (plots.robustness, lambda: robustness(network(), X, Y, noise=[0.1])),
        (plots.lr_range, lambda: lr_range_test(trainer(), [(X, Y)], steps=20)),
    ],
)
def test_results_draw_themselves(draw, make):
    result = make()
    kind = type(result).__name__
    with pytest.raises(TypeError, match=rf"^{draw.__name__}: got {kind}, which draws itself: use result\.plot\(\)"):
        draw(result)


@pytest.mark.parametrize("draw", PUBLIC + OTHERS, ids=lambda draw: draw.__name__)
def test_all_of_them_refuse_results(draw):
    with pytest.raises(TypeError, match=rf"^{draw.__name__}: got InitialLoss, which draws itself"):
        draw(initial_loss(network(), (X, Y)))


def test_histories_and_networks_with_a_method_plot_are_drawn():
    training = trainer()
    training.fit([(X, Y)], epochs=2, progress=False)
    plots.history(training.history, ax=new_axes())

    class Own(nn.Linear):
        def plot(self):
            raise AssertionError

    plots.decision_regions(Own(4, 2, rng=0), X, Y, resolution=5, ax=new_axes())


def test_no_new_figure_is_left_where_drawing_fails(monkeypatch):
    kept = pyplot.figure()

    def fail(*_, **__):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(sys.modules["fastnn.plots.decision_regions"], "draw_samples", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        plots.decision_regions(network(), X, Y, resolution=5)
    assert pyplot.get_fignums() == [kept.number]
    with pytest.raises(ValueError, match="log needs values above 0"):
        plots.loss_surface(lambda x, y: -x * x, log=True)
    assert pyplot.get_fignums() == [kept.number]


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"], "ab"])
def test_names_of_regions_are_two(names):
    with pytest.raises(ValueError, match=r"^decision_regions: names must be two, of the features that are drawn, got"):
        plots.decision_regions(network(), X, Y, resolution=5, names=names)
    assert pyplot.get_fignums() == []


def test_one_of_a_kind_is_in_the_singular():
    """Numbers of things in messages."""
    with pytest.raises(ValueError, match="images: 1 image must have as many labels, got 2"):
        plots.images(np.zeros((1, 3, 3)), [1, 2])
    with pytest.raises(ValueError, match="layer_stats: 1 panel must have as many axes, got 2"):
        plots.layer_stats(layer_stats(nn.Linear(4, 2, rng=0), (X, Y)).rows, axes=new_axes(2))
    assert str(robustness(network(), X[:1], Y[:1], noise=[0.1])).startswith("robustness on 1 sample: ")
    ax = plots.filters(nn.Conv2d(1, 1, 3, rng=0), ax=new_axes())
    assert ax.get_title() == "1 filter"
