"""Random search: what is trained, that the winner is the same however it is run, and what is said of it."""

import json
import math
import os
import signal
import sys
import threading

import numpy as np
import pytest

import fastnn as fnn
from arrays import Shuffled
from fastnn import nn, optim
from fastnn.diagnosis import Choice, IntUniform, LogUniform, Uniform
from fastnn.diagnosis.search import Trial, _judged, _Plan
from fastnn.plots.search import search as draw
from fastnn.training import Trainer
from searching import ROUNDS, SPACE, Machine, X, Y, batches, make_trainer, searched
from subproc import killed, needs_fork

joblib = pytest.importorskip("joblib")


def shuffled():
    return Shuffled(X[:120], Y[:120], 30)


@pytest.fixture(scope="module")
def found():
    return searched()


# ---- what is trained -------------------------------------------------------------------------------------------------


def test_every_trial_is_the_training_of_its_settings_and_seed(found):
    assert sorted(trial.number for trial in found.trials) == list(range(10))
    for trial in found.trials:
        trainer = make_trainer(dict(trial.settings), trial.rng())
        history = trainer.fit(*batches(), epochs=trial.epochs, progress=None)
        ends = {epochs: history["validation_loss"][epochs - 1] for epochs, _ in ROUNDS if epochs <= trial.epochs}
        if trial.number >= 7:  # begun in the second round
            ends.pop(1)
        assert trial.loss == min(ends.values())
        assert ends[trial.epoch] == trial.loss


def test_rounds(found):
    """Seven begin, the three best go on with three new ones, and the two best go to the end."""
    epochs = {trial.number: trial.epochs for trial in found.trials}
    assert sorted(epochs.values()) == [1] * 4 + [3] * 4 + [5] * 2
    assert min(epochs[number] for number in (7, 8, 9)) >= 3
    losses = [trial.loss for trial in found.trials]
    assert losses == sorted(losses)
    assert found.best == found.trials[0]
    assert found.best_settings == found.best.settings
    coarse = [trial for trial in searched(rounds=((1, 7),), trials=7).trials]
    going = {trial.number for trial in coarse[:3]}
    assert going == {number for number in range(7) if epochs[number] >= 3}


def test_new_trials_come_from_the_range_of_the_best_third(found):
    coarse = searched(rounds=((1, 7),), trials=7)
    assert {t.number: t.settings for t in coarse.trials}.items() <= {t.number: t.settings for t in found.trials}.items()
    best = [trial.settings["lr"] for trial in coarse.trials[:3]]
    assert coarse.ranges["lr"] == SPACE["lr"].shrunk(best)
    new = [trial.settings for trial in found.trials if trial.number >= 7]
    assert all(settings[name] in coarse.ranges[name] for settings in new for name in SPACE)


def test_survivors_go_on_where_they_were():
    passes = []

    class Counted:
        def __iter__(self):
            passes.append(1)
            for i in range(0, 120, 40):
                yield X[i : i + 40], Y[i : i + 40]

    searched(data=(Counted(), batches()[1]), trials=7)
    assert len(passes) == 7 * 1 + 3 * 2 + 2 * 2


def test_fewer_trials_than_the_first_round_has():
    found = searched(trials=2)
    assert [trial.epochs for trial in found.trials] == [5, 5]
    assert searched(trials=1, rounds=[[2, 5]]).best.epochs == 2
    late = searched(trials=5, rounds=((1, 2), (2, 1)))  # of two rounds, the last one begins trials too
    assert sorted(trial.epochs for trial in late.trials) == [1, 2, 2, 2, 2]


def slowly_worse(settings, rng):
    """Better and better, until the rate becomes too high."""
    trainer = make_trainer({"units": 8, "dropout": 0.0, "lr": 0.03}, rng)
    rule = optim.Schedule(trainer.optimizer, lambda step: settings["late"] if step >= 18 else 1.0)
    return Trainer(trainer.model, trainer.optimizer, schedule=rule)


def test_the_best_of_all_rounds_wins():
    found = searched(make_trainer=slowly_worse, space={"late": Uniform(100.0, 200.0)}, trials=3)
    assert found.best.epoch == 3 < found.best.epochs == 5
    trainer = slowly_worse(found.best_settings, found.best.rng())
    history = trainer.fit(*batches(), epochs=5, progress=None)
    assert history["validation_loss"][2] == found.best.loss < history["validation_loss"][4]


def breaks(settings, rng):
    trainer = make_trainer({"units": 8, "dropout": 0.0, "lr": 0.1}, rng)
    late = optim.Schedule(trainer.optimizer, lambda step: 1e30 if step >= settings["when"] else 1.0)
    return Trainer(trainer.model, trainer.optimizer, schedule=late)


def test_trials_that_break_never_win():
    found = searched(make_trainer=breaks, space={"when": Choice(0, 9, 1000)}, trials=7, rounds=((1, 7), (3, 5)))
    broken = [trial for trial in found.trials if trial.settings["when"] < 18]
    assert {trial.settings["when"] for trial in broken} == {0, 9}  # also one that was good in the first round
    assert all(math.isinf(trial.loss) for trial in broken)
    assert all("the loss is" in trial.stopped or "not finite" in trial.stopped for trial in broken)
    assert found.trials[-len(broken) :] == tuple(sorted(broken, key=lambda trial: trial.number))
    assert found.best_settings == {"when": 1000}
    assert f"{len(broken)} of 7 trials came to numbers that are not finite" in str(found)
    assert "not finite" in found


def test_nothing_but_trials_that_break(tmp_path):
    found = searched(make_trainer=breaks, space={"when": Choice(0, 1)}, trials=4, log=tmp_path / "log.jsonl")
    assert found.level == "problem"
    assert (
        str(found).splitlines()[0].startswith("PROBLEM  not finite: all 4 trials came to numbers that are not finite")
    )
    for name in ("best", "best_settings"):
        with pytest.raises(ValueError, match="random_search: there is no best trial: all 4 trials"):
            getattr(found, name)
    assert all(trial.epochs == 1 for trial in found.trials)
    json.dumps(found.to_dict(), allow_nan=False)
    again = searched(make_trainer=breaks, space={"when": Choice(0, 1)}, trials=4, log=tmp_path / "log.jsonl")
    assert again.to_dict() == found.to_dict()
    found.plot()[0].figure.canvas.draw()


# ---- the same however it is run --------------------------------------------------------------------------------------


def test_the_same_for_two_processes(found, tmp_path):
    other = searched(n_jobs=2, log=tmp_path / "log.jsonl")
    assert other.to_dict() == found.to_dict()
    assert searched(log=tmp_path / "log.jsonl").to_dict() == found.to_dict()  # whatever order the lines are in


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_the_same_for_other_backends_of_joblib(found, backend):
    threads = fnn.get_num_threads()
    with joblib.parallel_config(backend):
        assert searched(n_jobs=2).to_dict() == found.to_dict()
    assert fnn.get_num_threads() == threads


def test_processes_use_the_same_backend_and_their_share_of_the_threads():
    with fnn.use_backend("numpy"), fnn.set_num_threads(4):
        found = searched(make_trainer=Machine(), space={"x": Uniform(0, 1)}, n_jobs=2, trials=2, rounds=((1, 2),))
    assert [trial.stopped for trial in found.trials] == ["numpy, 2 threads"] * 2


def test_another_seed_is_another_search(found):
    assert searched(rng=1).to_dict() != found.to_dict()
    assert searched(rng=np.random.default_rng(0)).to_dict() == found.to_dict()


@pytest.mark.parametrize("rng", [None, 0])
def test_the_data_are_as_they_were(rng):
    """Batches without a seed have the same key in every process; an iterable's own generator begins anew for each trial."""
    data = batches(rng)
    key = data[0].key
    first = searched(data=data, trials=3)
    assert searched(data=data, trials=3, n_jobs=2).to_dict() == first.to_dict()
    assert data[0].key == key


def test_iterables_with_a_generator_of_their_own():
    data = shuffled(), batches()[1]
    state = data[0].rng.bit_generator.state
    found = searched(data=data, trials=4)
    assert data[0].rng.bit_generator.state == state
    assert searched(data=(shuffled(), batches()[1]), trials=4, n_jobs=2).to_dict() == found.to_dict()
    trial = found.best
    history = make_trainer(trial.settings, trial.rng()).fit(shuffled(), batches()[1], epochs=trial.epoch, progress=None)
    assert history["validation_loss"][-1] == trial.loss


def test_after_an_interrupt_at_every_line(found, tmp_path):
    whole = tmp_path / "whole.jsonl"
    searched(log=whole)
    content = whole.read_bytes()
    lines = content.splitlines(keepends=True)
    assert len(lines) == 1 + 7 + 6 + 2
    for number in range(len(lines) + 1):
        for half in (b"", lines[number][: len(lines[number]) // 2] if number < len(lines) else b""):
            log = tmp_path / "log.jsonl"
            log.write_bytes(b"".join(lines[:number]) + half)
            assert searched(log=log).to_dict() == found.to_dict(), number
            assert log.read_bytes() == content


def test_a_log_spares_what_it_has(tmp_path):
    log = tmp_path / "log.jsonl"
    searched(log=log)

    def never(settings, rng):
        raise AssertionError

    never.__qualname__ = "make_trainer"
    assert searched(make_trainer=never, log=log).best == searched(rng=None, log=log).best


def test_ctrl_c_and_then_on(found, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "INTERRUPT_AT", 5)
    with pytest.raises(KeyboardInterrupt):
        searched(make_trainer=interrupted, log=tmp_path / "log.jsonl")
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1 + 4
    monkeypatch.setattr(sys.modules[__name__], "INTERRUPT_AT", None)
    assert searched(make_trainer=interrupted, log=tmp_path / "log.jsonl").to_dict() == found.to_dict()


@needs_fork
def test_killed_and_then_on(found, tmp_path):
    calls = []

    def killing(settings, rng):
        calls.append(1)
        if len(calls) == 12:  # in the second round
            os.kill(os.getpid(), signal.SIGKILL)
        return make_trainer(settings, rng)

    killing.__qualname__ = "make_trainer"
    assert killed(lambda: searched(make_trainer=killing, log=tmp_path / "log.jsonl"))
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1 + 11
    assert searched(log=tmp_path / "log.jsonl").to_dict() == found.to_dict()


INTERRUPT_AT = None


def interrupted(settings, rng):
    global INTERRUPT_AT
    trainer = make_trainer(settings, rng)
    if INTERRUPT_AT is not None:
        INTERRUPT_AT -= 1
        if INTERRUPT_AT == 0:
            fit = trainer.fit

            class Now:
                def on_step(self, trainer):
                    os.kill(os.getpid(), signal.SIGINT)

            trainer.fit = lambda *args, **options: fit(*args, callbacks=[Now()], **options)
    return trainer


# ---- what is said ----------------------------------------------------------------------------------------------------


def at_an_end(settings, rng):
    return make_trainer({"units": settings.get("units", 8), "dropout": 0.0, "lr": settings["lr"]}, rng)


def test_a_best_value_at_the_border():
    found = searched(make_trainer=at_an_end, space={"lr": LogUniform(1e-6, 1e-4)}, trials=12, rounds=((3, 12),))
    assert found.level == "warning"
    first = str(found).splitlines()[0]
    assert first.startswith("WARNING  border: the best lr, ")
    assert "lies at the upper end of what was searched, 1e-06…0.0001" in first
    assert "search 1e-06…0.000316 next" in str(found)
    inside = searched(make_trainer=at_an_end, space={"lr": LogUniform(1e-6, 1e3)}, trials=12, rounds=((3, 12),))
    assert inside.level in ("ok", "note")
    assert "border" not in inside


@pytest.mark.parametrize("trials", [1, 2, 9, 10])
def test_few_trials_show_no_border(trials):
    space = {"lr": LogUniform(9.9e-5, 1e-4) if trials == 1 else LogUniform(1e-6, 1e-4)}
    plan = _Plan.checked(at_an_end, space, trials, ((1, trials),))
    tried = tuple(Trial(i, {"lr": 9.99e-5 * 0.9**i}, (0,), 1, 1.0 + i) for i in range(trials))
    broken = Trial(trials, {"lr": 1e-5}, (0,))
    found = _judged(plan, (*tried, broken), dict(space))  # what broke doesn't count
    finding = next(each for each in found.findings if each.word == "border")
    assert finding.level == ("note" if trials < 10 else "warning")
    assert (f"here {trials}, this may be chance" in finding.message) is (trials < 10)


def test_choices_and_integers_at_their_ends_are_notes():
    for space, end in ((Choice(1, 2, 64), "Add larger values"), (IntUniform(1, 40), "search 1…")):
        found = searched(make_trainer=at_an_end, space={"units": space, "lr": Choice(0.01)}, trials=8, rounds=((8, 8),))
        if found.best_settings["units"] >= 37:
            assert found.level == "note"
            assert end in str(found)
    assert found.space["lr"].border(0.01) is None


def test_printed(found):
    lines = str(found).splitlines()
    best = found.best
    assert any(line.startswith(f"best: lr={best.settings['lr']:.3g}, units=") for line in lines)
    rows = lines.index(next(line for line in lines if line.startswith("trial")))
    assert lines[rows].split() == ["trial", "validation", "loss", "epochs", *SPACE]
    assert [int(line.split()[0]) for line in lines[rows + 1 : rows + 11]] == [trial.number for trial in found.trials]
    assert next(line for line in lines if line.startswith("lr ")).split()[1] == "1e-05…1"
    assert not any(line != line.rstrip() for line in lines)


def test_progress(capsys):
    searched(progress=True, trials=7)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("round 1/3")
    assert "100 %" in lines[-1]
    searched(trials=2)
    assert capsys.readouterr().err == ""


def test_numbers_of_numpy_are_numbers_in_the_log(tmp_path):
    space = {"lr": Choice(*np.array([0.01, 0.1])), "units": Choice(*np.array([8, 32]))}
    found = searched(make_trainer=at_an_end, space=space, trials=3, log=tmp_path / "log.jsonl")
    assert type(found.to_dict()["trials"][0]["settings"]["units"]) is int
    assert searched(make_trainer=at_an_end, space=space, trials=3, log=tmp_path / "log.jsonl").best == found.best


def test_as_json(found):
    loaded = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert loaded["trials"][0]["settings"] == found.best_settings
    assert loaded["space"]["units"] == "Choice(8, 32)"
    with_functions = searched(
        make_trainer=lambda settings, rng: make_trainer({"units": 8, "dropout": 0.0, "lr": 0.1}, rng),
        space={"activation": Choice(nn.ReLU, nn.Tanh)},
        trials=2,
        rounds=((1, 2),),
    )
    json.dumps(with_functions.to_dict())
    assert "ReLU" in str(with_functions)


def test_picture(found):
    from matplotlib.figure import Figure

    axes = Figure().subplots(1, 3)
    drawn = found.plot(axes)
    assert list(drawn) == list(axes)
    for ax, name in zip(axes, SPACE, strict=True):
        points = next(line for line in ax.get_lines() if line.get_label() == "trial")
        assert points.get_xdata().tolist() == [trial.settings[name] for trial in found.trials]
        assert points.get_ydata().tolist() == [trial.loss for trial in found.trials]
        assert ax.get_xlabel().startswith(name)
        assert ax.get_ylabel() == "validation loss"
    assert [ax.get_xscale() for ax in axes] == ["log", "linear", "linear"]
    assert [ax.get_yscale() for ax in axes] == ["linear"] * 3
    wide = draw([{"a": 1}, {"a": 2}, {"a": 3}], [1.0, 30.0, math.inf], ax=Figure().subplots())
    assert wide[0].get_yscale() == "log"
    named = draw([{"a": "x"}, {"a": "y"}, {"a": None}], [1.0, math.inf, 2.0], ax=Figure().subplots())
    assert [tick.get_text() for tick in named[0].get_xticklabels()] == ["x", "y", "None"]


# ---- refused ---------------------------------------------------------------------------------------------------------


def test_data_and_validation_may_be_given_apart(found):
    train, validation = batches()
    assert searched(data=train, validation=validation).to_dict() == found.to_dict()


def test_logs_that_do_not_fit(tmp_path):
    log = tmp_path / "log.jsonl"
    searched(log=log, trials=2)
    content = log.read_text()
    for options, text in (
        ({"trials": 3}, "trials 2, now 3"),
        ({"rng": 5}, r"entropy\[0\] \d+, now \d+"),
        ({"space": SPACE | {"lr": LogUniform(1e-5, 0.5)}}, r"space.lr '.*high=1.0\)', now '.*high=0.5\)'"),
        ({"space": SPACE | {"more": Choice(1, 2)}}, r"space.more missing, now 'Choice\(1, 2\)'"),
        ({"rounds": ((1, 7), (3, 3), (5, 1))}, r"rounds\[2\]\[1\] 2, now 1"),
        ({"data": batches(4)}, "data"),
        ({"data": (batches()[0], (X[130:], Y[130:]))}, r"data\[1\]\.\w+ \d+, now \d+"),
        ({"make_trainer": at_an_end}, "make_trainer 'make_trainer', now 'at_an_end'"),
    ):
        with pytest.raises(ValueError, match=f"^random_search: .*log.jsonl' is of another search: .*{text}"):
            searched(**({"log": log, "trials": 2} | options))
        assert log.read_text() == content
    lines = content.splitlines(keepends=True)
    for damaged in (
        "{",
        "[]",
        '{"number": 1}',
        lines[1].replace("loss", "lost"),
        lines[1].replace('"settings"', '"x"'),
    ):
        log.write_text(lines[0] + damaged.strip() + "\n")
        with pytest.raises(ValueError, match=r"^random_search: line 2 of .*log\.jsonl' is damaged"):
            searched(log=log, trials=2)
    log.write_text(lines[0] + lines[1].replace('"units": ', '"units": 1'))
    with pytest.raises(ValueError, match="for trial 0, which is"):
        searched(log=log, trials=2)
    for other in ("notes\n", "{}", '{"random_search": 2}\n'):
        log.write_text(other)
        with pytest.raises(ValueError, match="is no log of a search"):
            searched(log=log, trials=2)
        assert log.read_text() == other
    with pytest.raises(OSError, match="directory"):
        searched(log=tmp_path, trials=2)


class WithLock:
    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, settings, rng):
        return make_trainer(settings, rng)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_what_cannot_be_sent_to_other_processes(backend):
    expected = "^random_search: .*WithLock.* can't be sent to other processes .*n_jobs=1 needs"
    with joblib.parallel_config(backend), pytest.raises(TypeError, match=expected):
        searched(make_trainer=WithLock(), n_jobs=2, trials=2)
    searched(make_trainer=WithLock(), trials=1)
