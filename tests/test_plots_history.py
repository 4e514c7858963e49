"""The curves of a training: what is drawn, where, and what is refused."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest

import fastnn as fnn
from fastnn.data import MissingExtraError
from fastnn.plots import history

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure

RECORDS = [
    {
        "epoch": epoch,
        "lr": 0.1 / epoch,
        "train_loss": 1 / epoch,
        "train_accuracy": 1 - 0.5 / epoch,
        "validation_loss": 1 / epoch + 0.02 * epoch,
        "validation_accuracy": 0.9 - 0.5 / epoch,
    }
    for epoch in range(1, 13)
]


def drawn(ax):
    """The curves by what the legend calls them."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.get_lines()}


def of(key, records=RECORDS):
    return [r["epoch"] for r in records], [r[key] for r in records]


def test_a_new_figure_has_a_panel_for_each_name():
    axes = history(RECORDS)
    assert isinstance(axes, np.ndarray)
    assert [ax.get_title() for ax in axes] == ["loss", "accuracy"]
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        curves = drawn(ax)
        assert curves["training"] == of(f"train_{name}")
        assert curves["validation"] == of(f"validation_{name}")
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", name)
    assert axes[0].figure.axes == list(axes)


def test_training_and_validation_differ_without_colours():
    lines = {line.get_label(): line for line in history(RECORDS)[0].get_lines()}
    assert lines["training"].get_linestyle() == "-"
    assert lines["validation"].get_linestyle() == "--"
    assert lines["training"].get_color() != lines["validation"].get_color()


def test_the_best_epoch_is_marked():
    ax = history(RECORDS)[0]
    label = "best epoch 7: 0.2829"
    assert drawn(ax)[label][0] == [7, 7]
    assert label in [text.get_text() for text in ax.get_legend().get_texts()]
    circle = next(line for line in ax.get_lines() if line.get_marker() == "o")
    assert (list(circle.get_xdata()), list(circle.get_ydata())) == ([7], [RECORDS[6]["validation_loss"]])
    assert "best epoch 7: 0.8286" in drawn(history(RECORDS)[1])
    assert "best epoch 3: 0.3933" in drawn(history(RECORDS, best=3)[0])


def test_without_validation_the_training_loss_says_which_epoch_is_best():
    records = [{"train_loss": loss} for loss in (3.0, 1.0, 2.0)]
    (ax,) = history(records)
    assert drawn(ax)["training"] == ([1, 2, 3], [3.0, 1.0, 2.0])
    assert "best epoch 2: 1" in drawn(ax)


def test_a_given_axes_gets_the_losses_and_is_given_back():
    figure = Figure()
    ax = figure.add_subplot()
    ax.set_title("mine")
    assert history(RECORDS, ax=ax) is ax
    assert drawn(ax)["validation"] == of("validation_loss")
    assert ax.get_title() == "mine"
    assert pyplot.get_fignums() == []
    other = figure.add_subplot()
    assert history(RECORDS, ax=other, names=["lr"]) is other
    assert drawn(other)["lr"] == of("lr")
    assert other.get_ylabel() == "lr"


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_several_given_axes(kind):
    axes = kind(list(Figure().subplots(1, 3)))
    assert history(RECORDS, ax=axes, names=["loss", "accuracy", "lr"]) is axes
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy", "lr"]


@pytest.mark.parametrize(("names", "grid"), [(1, (1, 1)), (2, (1, 2)), (4, (2, 3)), (7, (3, 3))])
def test_many_panels_are_in_rows(names, grid):
    records = [{f"train_{letter}": 1.0 for letter in "abcdefg"[:names]}]
    axes = history(records)
    assert axes.shape == (names,)
    assert axes[0].get_subplotspec().get_gridspec().get_geometry() == grid
    assert len(axes[0].figure.axes) == names


def test_any_iterable_of_mappings_will_do():
    fixed = {"training": of("train_loss"), "validation": of("validation_loss")}
    for records in (iter(RECORDS), tuple(RECORDS), ({**r} for r in RECORDS)):
        curves = drawn(history(records)[0])
        assert {name: curves[name] for name in fixed} == fixed


def test_epochs_without_a_number_are_passed_over_and_infinities_are_gaps():
    records = [{"epoch": 5, "train_loss": 1.0}, {"epoch": 6, "train_loss": np.float32(np.inf), "validation_loss": None}]
    records += [{"epoch": 7, "train_loss": float("nan"), "validation_loss": 2}, {"epoch": 9, "train_loss": 3}]
    ax = history(records)[0]
    curves = drawn(ax)
    assert curves["training"][0] == [5, 6, 7, 9]
    np.testing.assert_array_equal(curves["training"][1], [1, np.nan, np.nan, 3])
    assert curves["validation"] == ([7], [2])
    assert "best epoch 7: 2" in curves
    assert [line.get_marker() for line in ax.get_lines()][:2] == [".", "."]  # a single point would not be seen
    ax.figure.canvas.draw()


def test_a_history_of_nothing_finite_is_drawn():
    ax = history([{"train_loss": np.nan}, {"train_loss": np.inf}])[0]
    assert list(drawn(ax)) == ["training"]
    ax.figure.canvas.draw()


def test_losses_on_a_logarithmic_scale():
    axes = history(RECORDS, log=True)
    assert [ax.get_yscale() for ax in axes] == ["log", "linear"]
    history([{"train_loss": 0.0}, {"train_loss": 1.0}], log=True)[0].figure.canvas.draw()


def test_the_training_set_in_evaluation_mode_has_a_curve_of_its_own():
    ax = history([{"train_loss": 2.0, "training_loss": 1.5, "validation_loss": 1.75}])[0]
    assert list(drawn(ax))[:3] == ["training", "training, in evaluation mode", "validation"]


def test_epochs_have_whole_numbers():
    ax = history(RECORDS[:2])[0]
    ax.figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


def test_what_a_trainer_keeps():
    x = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
    model = fnn.nn.Linear(2, 2, rng=0)
    trainer = fnn.training.Trainer(model, fnn.optim.SGD(model.parameters(), lr=0.1))
    batches = fnn.data.Batches(x, (x[:, 0] > 0).astype(np.int64), batch_size=8)
    kept = trainer.fit(batches, batches, epochs=3)
    axes = fnn.plots.history(kept)
    assert drawn(axes[0])["training"][1] == [record["train_loss"] for record in kept]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: history([]), ValueError, "no records"),
        (lambda: history([3]), TypeError, "a record must be a dictionary, got int"),
        (lambda: history([{"lr": 1}]), ValueError, "no names to draw"),
        (
            lambda: history(RECORDS, names=["los"]),
            ValueError,
            "there is no 'los' in the records, which have .*'train_loss'",
        ),
        (lambda: history(RECORDS, names="loss"), TypeError, "names must be a list of names, got 'loss'"),
        (lambda: history(RECORDS, names=[1]), TypeError, "names must be a list"),
        (lambda: history([{"train_loss": "x"}]), TypeError, "'train_loss' must be a number, got 'x'"),
        (lambda: history([{"epoch": 1.5, "train_loss": 1}]), TypeError, "epoch must be an int, got 1.5"),
        (lambda: history(RECORDS, best=13), ValueError, "no epoch 13 to mark, expected 1 to 12"),
        (lambda: history([{"train_loss": 0.0}], log=True), ValueError, "log needs numbers above 0, but no loss is"),
        (lambda: history(RECORDS, log=1), TypeError, "log must be True or False"),
        (
            lambda: history(RECORDS, ax=list(Figure().subplots(1, 3))),
            ValueError,
            "2 panels must have as many axes, got 3",
        ),
        (lambda: history(RECORDS, ax=Figure().subplots(), names=["loss", "lr"]), ValueError, "2 panels .* got 1"),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error, match=f"^history: {text}|^history: .*{text}"):
        call()
    assert pyplot.get_fignums() == []


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"history needs Matplotlib: pip install 'fastnn\[plot\]'"):
        history(RECORDS)


def test_matplotlib_is_imported_when_something_is_drawn():
    code = "import sys, fastnn.plots, fastnn.training; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_global_changes():
    before = dict(matplotlib.rcParams)
    history(RECORDS)
    assert dict(matplotlib.rcParams) == before
