"""The picture of robustness: which curves are drawn where, and what is refused."""

import matplotlib
import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn
from fastnn.plots import robustness

matplotlib.use("Agg")
from matplotlib import pyplot


def curve(kind="noise", **more):
    return {"kind": kind, "strengths": [0, 0.1, 0.3], "values": [0.98, 0.97, 0.8], "errors": [0.01, 0.02, 0.03], **more}


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def bars(ax):
    """The ends of the error bars of each curve."""
    return [np.array(c.lines[2][0].get_segments())[:, :, 1] for c in ax.containers]


def test_a_panel_for_each_kind_with_random_signs_beside_fgsm():
    axes = robustness([curve("random signs"), curve("missing"), curve("fgsm"), curve("noise")], constant=0.1)
    assert [ax.get_title() for ax in axes] == ["noise", "missing values", "changes on purpose (FGSM)"]
    assert [ax.get_xlabel() for ax in axes] == [
        "standard deviation (units of the input)",
        "share of all values",
        "change of each value (units of the input)",
    ]
    assert {ax.get_ylabel() for ax in axes} == {"accuracy ± 2 standard errors"}
    assert set(labels(axes[0])) == {"model", "best constant"}
    assert set(labels(axes[2])) == {"model, FGSM", "random signs", "best constant"}


def test_the_numbers_are_drawn():
    ax = robustness([curve()])[0]
    line = ax.containers[0].lines[0]
    assert list(line.get_xdata()) == [0, 0.1, 0.3]
    assert list(line.get_ydata()) == [0.98, 0.97, 0.8]
    np.testing.assert_allclose(bars(ax)[0], [[0.96, 1.0], [0.93, 1.01], [0.74, 0.86]])


def test_members_of_an_ensemble_are_lines_beside_it():
    ax = robustness([curve(members=[[0.9, 0.8, 0.7], [0.8, 0.7, 0.6]])])[0]
    assert set(labels(ax)) == {"ensemble", "its members"}
    drawn = [list(line.get_ydata()) for line in ax.get_lines()]
    assert [0.9, 0.8, 0.7] in drawn
    assert [0.8, 0.7, 0.6] in drawn


def test_curves_differ_without_colours():
    ax = robustness([curve("fgsm"), curve("random signs")])[0]
    styles = {(c.lines[0].get_linestyle(), c.lines[0].get_marker()) for c in ax.containers}
    assert styles == {("-", "o"), ("--", "s")}


def test_my_own_axes_and_units():
    figure, given = pyplot.subplots(1, 2)
    axes = robustness([curve(), curve("fgsm")], axes=given, metric="RMSE", unit="standard deviations")
    assert list(axes) == list(given)
    assert given[1].get_xlabel() == "change of each value (standard deviations)"
    assert given[0].get_ylabel() == "RMSE ± 2 standard errors"
    single = pyplot.figure().subplots()
    assert robustness([curve()], axes=single)[0] is single
    assert figure.axes == list(given)


def test_of_a_result():
    from fastnn.robustness import robustness as measured

    x = np.random.default_rng(0).normal(size=(20, 3))
    model = nn.Linear(3, 1, rng=0, dtype=np.float64)
    table = measured(model, x, x[:, :1], noise=(0.1, 0.2), fgsm=(0.1,), loss=F.mse_loss, scale="std")
    axes = table.plot()
    assert [ax.get_title() for ax in axes] == ["noise", "changes on purpose (FGSM)"]
    assert list(axes[0].containers[0].lines[0].get_ydata()) == list(table["noise"].values)
    assert "standard deviations of each value" in axes[0].get_xlabel()
    one = measured(model, x[:1], x[:1, :1], noise=(0.1,), loss=F.mse_loss)  # without errors
    one.plot()[0].figure.canvas.draw()


@pytest.mark.parametrize(
    ("curves", "error", "message"),
    [
        (3, TypeError, "robustness: curves must be a list of dictionaries, got 3"),
        (curve(), TypeError, "robustness: curves must be a list of dictionaries, got"),
        ([], ValueError, "robustness: there are no curves"),
        ([[1, 2]], TypeError, "robustness: a curve must be a dictionary, got list"),
        ([{"kind": "noise"}], ValueError, "robustness: a curve must have 'strengths'"),
        ([curve("rain")], ValueError, "robustness: kind must be one of noise, missing, fgsm, random signs, got 'rain'"),
        ([curve(), curve()], ValueError, "robustness: there are two curves of 'noise'"),
        ([curve(values=[1])], ValueError, "robustness: strengths, values and errors must be equally many"),
    ],
)
def test_refused(curves, error, message):
    with pytest.raises(error, match=message):
        robustness(curves)


def test_as_many_axes_as_panels():
    with pytest.raises(ValueError, match="robustness: 2 panels must have as many axes, got 1"):
        robustness([curve(), curve("missing")], axes=pyplot.figure().subplots())
