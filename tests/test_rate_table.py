"""The tool that judges suggested rates: its problems can be trained, and its tables have what they say."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

import rate_table
from fastnn import nn, optim
from rate_table import GRID, TUNED, UNTOUCHED, Problem, markdown, row_of

PAGE = (Path(__file__).parents[1] / "docs" / "rates.md").read_text(encoding="utf-8")


def test_problems_are_many_and_of_all_kinds():
    assert len(UNTOUCHED) >= 12
    assert not {problem.seed for problem in TUNED} & {problem.seed for problem in UNTOUCHED}
    for problems in (TUNED, UNTOUCHED):
        for word in ("CNN", "LSTM", "batch norm"):
            kinds = {problem.optimizer for problem in problems if word in problem.name}
            assert {rate_table.sgd, optim.Adam} <= kinds, word


@pytest.mark.parametrize("problem", TUNED + UNTOUCHED, ids=lambda problem: f"{problem.name}, seed {problem.seed}")
def test_every_problem_can_be_trained(problem):
    train, _ = problem.parts()
    x, y = (part[: problem.batch_size] for part in train)
    trainer = problem.trainer(1e-3)
    loss = trainer.loss(trainer.model(x), y)
    assert np.isfinite(loss.item())
    loss.backward()
    assert all(parameter.grad is not None for parameter in trainer.model.parameters())


def test_a_row():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    problem = Problem("easy", lambda: (x, y), lambda rng: nn.Linear(3, 2, rng=rng), rate_table.sgd, 2)
    row = row_of(problem)
    losses = [problem.loss_after(rate, problem.parts()) for rate in GRID]
    assert row.best_loss == min(losses)
    assert row.best_rate == GRID[np.argmin(losses)]
    assert row.usual_loss == losses[6]  # at 0.01
    assert row.suggested == problem.range_test(problem.parts()).suggested
    assert row.regret == problem.loss_after(row.suggested, problem.parts()) / min(losses)
    text = markdown([row])
    assert f"| easy | SGD, momentum 0.9 | {row.suggested:.2g} |" in text
    assert f"Regret of the suggestion: median {row.regret:.2f}, worst {row.regret:.2f}" in text


def test_a_training_that_breaks_has_no_loss():
    assert TUNED[0].loss_after(1e30, TUNED[0].parts()) == np.inf


def test_the_page_has_every_problem():
    rows = re.findall(r"^\| ([^|]+) \| (SGD, momentum 0.9|\w+) \|.* \| [\d.]+ \| [\d.]+ \|$", PAGE, re.MULTILINE)
    names = [
        (p.name, "SGD, momentum 0.9" if p.optimizer is rate_table.sgd else p.optimizer.__name__)
        for p in TUNED + UNTOUCHED
    ]
    assert rows == names
