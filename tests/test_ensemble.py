"""Ensembles: the mean in any order to the same bits, gradients, agreement, members from files."""

import copy
import itertools
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import nn
from fastnn.checkpoint import CheckpointError, save_checkpoint
from fastnn.testing import gradcheck
from harness import NATIVE

AVERAGES = ("probabilities", "logits", "votes")
WEIGHTS = [None, (0.3, 0.1, 1e-3, 7.0)]


def members(n=4, dtype=np.float32):
    return [
        nn.Sequential(nn.Linear(5, 8, rng=i, dtype=dtype), nn.BatchNorm1d(8, dtype=dtype), nn.ReLU(), nn.Dropout(0.5),
                      nn.Linear(8, 3, rng=i + 50, dtype=dtype))
        for i in range(n)
    ]  # fmt: skip


def data(rows=40, dtype=np.float32):
    return (3 * np.random.default_rng(9).standard_normal((rows, 5))).astype(dtype)


def by_definition(models, x, average, weights):
    """Exact sums of what the members give."""
    terms = []
    for model in models:
        y = copy.deepcopy(model).eval()(x).data
        if average == "probabilities":
            y = F.softmax(y, 1)
        if average == "votes":
            y = np.eye(y.shape[1])[y.argmax(1)]
        terms.append(y)
    weights = weights or [1.0] * len(models)
    whole = sum(map(Fraction, weights))
    mean = np.empty(terms[0].shape)
    for at in np.ndindex(mean.shape):
        mean[at] = sum(Fraction(float(t[at])) * Fraction(w) for t, w in zip(terms, weights, strict=True)) / whole
    return mean


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", ["numpy", *["native"] * NATIVE])
def test_the_mean_of_the_members_by_definition(backend, dtype, average, weights):
    models, x = members(dtype=dtype), data(dtype=dtype)
    with fnn.use_backend(backend):
        y = nn.Ensemble(models, average=average, weights=weights)(x)
        expected = by_definition(models, x, average, weights)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, expected, rtol=4 * np.finfo(dtype).eps, atol=1e-15)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_order_of_the_members_changes_no_bit(dtype, average, weights):
    models, x = members(dtype=dtype), data(dtype=dtype)
    found, apart = set(), set()
    for order in itertools.permutations(range(4)):
        its = None if weights is None else [weights[i] for i in order]
        ensemble = nn.Ensemble([models[i] for i in order], average=average, weights=its)
        found.add(ensemble(x).data.tobytes())
        apart.add(ensemble.disagreement(x).tobytes())
    assert len(found) == len(apart) == 1


class Says(nn.Module):
    """Gives one answer, whatever it is asked."""

    def __init__(self, answer):
        self.answer = answer

    def forward(self, x):
        return self.answer


def _saying(*answers, average="logits", **kw):
    return nn.Ensemble([Says(np.asarray(a)) for a in answers], average=average, **kw)


def test_sums_that_cancel_nan_and_infinity_keep_their_bits_in_any_order():
    values = [1e300, -1e300, 1.0, 1e-17, np.nan, -np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324]
    rng = np.random.default_rng(0)
    answers = [rng.choice(values, (20, 3)) for _ in range(9)]
    found = {_saying(*rng.permutation(np.stack(answers)))(0).tobytes() for _ in range(20)}
    assert len(found) == 1


def test_what_is_not_a_number_is_not_hidden():
    scores, broken = np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([[1.0, 2.0], [np.nan, 1.0]])
    for average in AVERAGES:
        ensemble = _saying(scores, broken, average=average)
        assert np.isnan(np.asarray(ensemble(0))[1]).any()
        assert np.isfinite(np.asarray(ensemble(0))[0]).all()
        assert np.isnan(ensemble.disagreement(0)).any()


def test_rows_don_t_depend_on_the_batch():
    answers = [data() for _ in range(9)] + [data()[::-1] / 3]
    whole = _saying(*answers)(0)
    assert all(_saying(*(a[i : i + 1] for a in answers))(0).tobytes() == whole[i : i + 1].tobytes() for i in range(40))


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (2, 3, 4), (2, 1), (2, 3, 4, 5)])
@pytest.mark.parametrize("average", AVERAGES)
def test_shapes(average, shape):
    answers = np.random.default_rng(0).standard_normal((3, *shape)).astype("f")
    ensemble = _saying(*answers, average=average)
    y = ensemble(0)
    assert (y.shape, y.dtype) == (shape, np.float32)
    assert ensemble.member_outputs(0).shape == (3, *shape)
    assert ensemble.disagreement(0).shape == (shape if average == "logits" else shape[:1] + shape[2:])
    if average != "logits" and y.size:
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


def test_votes_by_hand():
    ensemble = _saying([[1.0, 2, 0]], [[5.0, 5, 0]], [[0.0, 9, 1]], average="votes", weights=[1, 2, 1])
    assert ensemble(0).tolist() == [[0.5, 0.5, 0.0]]
    assert ensemble.member_outputs(0).tolist() == [[[0, 1, 0]], [[1, 0, 0]], [[0, 1, 0]]]
    assert ensemble.disagreement(0).tolist() == [pytest.approx(2 / 3)]


def test_disagreement_is_the_share_of_pairs_that_name_different_classes():
    models, x = members(), data()
    named = np.stack([copy.deepcopy(m).eval()(x).data.argmax(1) for m in models])
    expected = np.mean([named[i] != named[j] for i, j in itertools.combinations(range(4), 2)], axis=0)
    assert 0 < expected.mean() < 1
    for average in ("probabilities", "votes"):
        np.testing.assert_allclose(nn.Ensemble(models, average=average).disagreement(x), expected)
    assert not nn.Ensemble(models[:1]).disagreement(x).any()


def test_disagreement_of_a_regression_is_the_standard_deviation():
    ensemble, x = nn.Ensemble(members(), average="logits"), data()
    outputs = ensemble.member_outputs(x)
    np.testing.assert_allclose(ensemble.disagreement(x), outputs.std(axis=0, dtype=np.float64), rtol=1e-6)


def test_members_are_evaluated_and_stay_in_their_mode():
    models, x = members(), data()
    models[0].train()
    models[1].eval()
    models[2][1].eval()
    ensemble = nn.Ensemble(models)
    before = [m.training for m in ensemble.modules()], [a.tobytes() for a in ensemble.state_dict().values()]
    first = ensemble(x).data.tobytes()
    assert ([m.training for m in ensemble.modules()], [a.tobytes() for a in ensemble.state_dict().values()]) == before
    assert ensemble.eval()(x).data.tobytes() == first == ensemble.train()(x).data.tobytes()


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_gradients_and_tangents(average, weights):
    ensemble = nn.Ensemble(members(dtype=np.float64), average=average, weights=weights).eval()
    x = data(4, np.float64)
    gradcheck(ensemble, x)
    y, tangent = fnn.jvp(ensemble, (x,), (np.ones_like(x),))
    ahead, back = (np.asarray(ensemble(x + step * np.ones_like(x)).data) for step in (1e-6, -1e-6))
    np.testing.assert_allclose(np.asarray(fnn.autograd.raw(tangent)), (ahead - back) / 2e-6, rtol=1e-5, atol=1e-8)
    assert np.asarray(fnn.autograd.raw(y)).shape == (4, 3)


def test_the_gradient_of_a_loss_of_probabilities_is_a_way_uphill():
    ensemble, x = nn.Ensemble(members()), fnn.tensor(data(), requires_grad=True)
    labels = ensemble(x.data).data.argmax(1)
    loss = F.nll_loss(fnn.log(ensemble(x)), labels)
    loss.backward()
    attacked = x.data + 0.1 * np.sign(x.grad)
    assert F.nll_loss(np.log(ensemble(attacked).data), labels) > loss.item()


def test_votes_have_no_gradient():
    x = fnn.tensor(data(), requires_grad=True)
    assert not nn.Ensemble(members(), average="votes")(x).requires_grad


def test_members_of_two_types_give_the_wider():
    ensemble = _saying(np.ones((2, 3), np.float32), np.zeros((2, 3)))
    assert ensemble(0).dtype == np.float64
    assert ensemble(0).tolist() == [[0.5] * 3] * 2


def test_copies_pickles_and_architectures():
    ensemble, x = nn.Ensemble(members(), average="logits", weights=(1, 2, 3, 4)), data()
    other = nn.from_architecture(nn.architecture(ensemble))
    other.load_state_dict(ensemble.state_dict())
    for each in (other, copy.deepcopy(ensemble), pickle.loads(pickle.dumps(ensemble))):
        assert repr(each) == repr(ensemble)
        assert each(x).data.tobytes() == ensemble(x).data.tobytes()
    assert "average='logits', weights=(1.0, 2.0, 3.0, 4.0)" in repr(ensemble)


def test_members_from_files(tmp_path):
    models, x = members(), data()
    paths = [tmp_path / f"{i}.npz" for i in range(4)]
    for model, path in zip(models, paths, strict=True):
        fnn.save_model(model, path)
    expected = nn.Ensemble(models, average="logits")(x).data.tobytes()
    loaded = nn.Ensemble.from_checkpoints(paths, average="logits")
    assert loaded(x).data.tobytes() == expected
    assert not any(m.training for member in loaded.members for m in member.modules())
    save_checkpoint(paths[0], {"model": models[0].state_dict(), "epoch": 3})
    save_checkpoint(paths[1], models[1].state_dict())
    with pytest.raises(CheckpointError, match=r"0.npz' is a checkpoint without 'architecture'"):
        nn.Ensemble.from_checkpoints(paths)
    loaded = nn.Ensemble.from_checkpoints(map(str, paths), lambda: members(1)[0], average="logits")
    assert loaded(x).data.tobytes() == expected
    with pytest.raises(CheckpointError, match=r"0.npz' does not hold the state of this model: .*missing"):
        nn.Ensemble.from_checkpoints(paths, lambda: nn.Linear(2, 3))
    with pytest.raises(TypeError, match=r"^Ensemble.from_checkpoints: paths must be several, got '0.npz'"):
        nn.Ensemble.from_checkpoints("0.npz")


NET = nn.Linear(5, 3, rng=0)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (([],), ValueError, "there must be at least one model"),
        ((NET,), TypeError, "models must be several, got one Linear"),
        (([1],), TypeError, "^Ensemble: models must be modules, got 1"),
        (([NET], "mean"), ValueError, "average must be one of 'probabilities', 'logits', 'votes', got 'mean'"),
        (([NET], "votes", [1, 2]), ValueError, "weights must be one for each of 1 models"),
        (([NET, NET], "votes", [0, 0]), ValueError, "and not all 0"),
        (([NET], "votes", [-1.0]), ValueError, "weights must be in"),
        (([NET], "votes", [math.nan]), ValueError, "weights must be finite"),
        (([NET], "votes", ["a"]), TypeError, "weights must be a real number"),
    ],
)
def test_refused(arguments, kind, words):
    models, *rest = arguments
    with pytest.raises(kind, match=words):
        nn.Ensemble(models, **dict(zip(("average", "weights"), rest, strict=False)))


@pytest.mark.parametrize(
    ("answers", "average", "kind", "words"),
    [
        (([[1.0]], [[1.0, 2.0]]), "logits", ValueError, r"member 1 gives shape \(1, 2\), but member 0 \(1, 1\)"),
        (([1.0], [2.0]), "votes", ValueError, r"logits \(N, C, ...\) for votes, got shape \(2,\)|got shape \(1,\)"),
        ((np.zeros((2, 0)),), "probabilities", ValueError, r"got shape \(2, 0\)"),
        (([[1]], [[2]]), "logits", TypeError, "member 0 must give one array of floats"),
    ],
)
def test_outputs_that_have_no_average(answers, average, kind, words):
    with pytest.raises(kind, match=f"^Ensemble: .*{words}"):
        _saying(*answers, average=average)(0)


def test_several_outputs_have_no_average():
    with pytest.raises(TypeError, match=r"^Ensemble: member 0 must give one array of floats, got"):
        nn.Ensemble([nn.LSTM(5, 3, rng=0)])(np.ones((2, 3, 5), np.float32))


def test_members_that_were_added_need_weights():
    ensemble = nn.Ensemble([NET], weights=[1.0])
    ensemble.members.append(nn.Linear(5, 3, rng=1))
    with pytest.raises(ValueError, match=r"^Ensemble: weights must be one for each of 2 models"):
        ensemble(data())
