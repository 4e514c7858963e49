"""The tool that counts what comes out on sound trainings: its draws, and its last line."""

import re
import sys

import numpy as np

import healthy_runs


def test_a_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["healthy_runs.py", "--sets", "waves", "--runs", "2", "--draw", "5"])
    monkeypatch.setattr(healthy_runs, "STEPS", 20)
    monkeypatch.setattr(healthy_runs, "KINDS", {"MLP": healthy_runs.mlp})
    healthy_runs.main()
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r" 1  waves +MLP +\w+\(0\.\d+\), preflight (ok|note) in ", lines[0])
    assert re.fullmatch(r"2 runs: 0 findings above a note before training, in 0 runs; \d+ in training", lines[-1])


def test_every_set_that_needs_no_file_is_read():
    for name, (read, kinds) in healthy_runs.SETS.items():
        if name in ("waves", "text"):
            x, y = read()
            assert len(x) == len(y)
            assert np.isfinite(x).all()
        assert set(kinds) <= set(healthy_runs.KINDS)
