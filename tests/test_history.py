"""The history of a training: a sequence, a table, files, a picture."""

import math

import numpy as np
import pytest

from fastnn.training import History
from learners import LABELS, X, batches, trainer


def test_history_is_a_sequence_and_a_table():
    history = History([{"epoch": 1, "a": 1.0}, {"epoch": 2, "a": 2.0, "b": 3.0}])
    assert len(history) == 2
    assert history.names == ["epoch", "a", "b"]
    np.testing.assert_array_equal(history["b"], [np.nan, 3.0])
    assert history[0] == {"epoch": 1, "a": 1.0}
    assert history[-1:] == [{"epoch": 2, "a": 2.0, "b": 3.0}]
    assert [record["epoch"] for record in history] == [1, 2]
    with pytest.raises(KeyError, match="no 'loss', only epoch, a, b"):
        history["loss"]
    assert history == History(history.records) == history.records


def test_names_and_records_are_in_a_history():
    history = History([{"epoch": 1, "train_loss": 2.0}])
    assert "train_loss" in history
    assert "validation_loss" not in history
    assert {"epoch": 1, "train_loss": 2.0} in history
    assert {} not in history


def test_history_is_saved(tmp_path):
    import csv
    import json

    history = History([{"epoch": 1, "a": 0.1}, {"epoch": 2, "a": math.nan, "b": 3.0}])
    history.save(tmp_path / "h.csv")
    history.save(tmp_path / "h.json")
    with open(tmp_path / "h.csv", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"epoch": "1", "a": "0.1", "b": ""},
            {"epoch": "2", "a": "nan", "b": "3.0"},
        ]
    assert json.loads((tmp_path / "h.json").read_text()) == {
        "records": [{"epoch": 1, "a": 0.1}, {"epoch": 2, "a": None, "b": 3.0}],
        "stopped": None,
        "restored": None,
        "baseline": None,
    }
    with pytest.raises(ValueError, match=r"must end in .csv or .json"):
        history.save(tmp_path / "h.txt")


def test_history_is_drawn():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    _, ax = pyplot.subplots()
    trainer().fit(batches(), [(X, LABELS)], epochs=3, progress=False).plot(ax)
    assert [len(line.get_xdata()) for line in ax.get_lines()][:2] == [3, 3]
