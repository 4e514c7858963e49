"""Splits: disjoint, complete, in proportion, groups whole, and the same for a seed under every version of NumPy."""

import itertools

import numpy as np
import pytest

from fastnn.data import Batches, load_digits, split

FRACTIONS = [[0.8], [0.2, 0.1], [1 / 3, 1 / 3], [0.5, 0.25, 0.125]]


def indices(n, **options):
    return [part for (part,) in split(np.arange(n), **options)]


def check(parts, n):
    """Disjoint, complete and in the order of the data."""
    assert sorted(np.concatenate(parts)) == list(range(n))
    assert all((np.diff(part) > 0).all() for part in parts)


def rounded(fractions, n):
    return np.diff([0, *np.round(np.cumsum(fractions) * n), n])


@pytest.mark.parametrize("fractions", FRACTIONS)
@pytest.mark.parametrize("n", [10, 57, 1000])
def test_at_random(fractions, n):
    parts = indices(n, fractions=fractions, rng=1)
    check(parts, n)
    assert [len(part) for part in parts] == list(rounded(fractions, n))
    again, other = (indices(n, fractions=fractions, rng=rng) for rng in (1, 2))
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))
    assert any((a != b).any() for a, b in zip(parts, other, strict=True))


@pytest.mark.parametrize("fractions", FRACTIONS)
@pytest.mark.parametrize("kind", ["even", "uneven", "strings", "many"])
def test_classes_in_proportion(fractions, kind):
    rng = np.random.default_rng(0)
    labels = {
        "even": rng.integers(0, 5, 500),
        "uneven": np.repeat([7, -3, 100], [400, 50, 11]),
        "strings": np.array(["cat", "dog", "a longer one"], object)[rng.integers(0, 3, 300)],
        "many": np.repeat(np.arange(40), 12),
    }[kind]
    parts = indices(len(labels), fractions=fractions, rng=4, stratify=labels)
    check(parts, len(labels))
    assert [len(part) for part in parts] == list(rounded(fractions, len(labels)))
    shares = [*fractions, 1 - sum(fractions)]
    for label in np.unique(labels):
        count = (labels == label).sum()
        inside = [(labels[part] == label).sum() for part in parts]
        assert min(inside) >= 1
        # Up to the end of each part to less than a sample.
        assert (np.abs(np.cumsum(inside) - np.cumsum(shares) * count) < 1 + 1e-9).all()


def test_small_classes_are_in_every_part_and_sizes_are_as_asked():
    """Rounding each class by itself would leave the test part without any of them."""
    labels = np.repeat(np.arange(40), 4)
    train, test = indices(160, fractions=[0.7], rng=0, stratify=labels)
    assert (len(train), len(test)) == (112, 48)
    assert set(labels[train]) == set(labels[test]) == set(range(40))
    assert set(np.bincount(labels[test])) == {1, 2}
    draws = [tuple(np.bincount(labels[indices(160, fractions=[0.7], rng=s, stratify=labels)[1]])) for s in range(5)]
    assert len(set(draws)) == 5  # which classes give one more is drawn


def test_the_same_classes_as_scikit_learn_to_a_sample():
    selection = pytest.importorskip("sklearn.model_selection")
    labels = np.repeat([0, 1, 2, 3], [101, 53, 17, 29])
    train, test = indices(200, fractions=[0.75], rng=0, stratify=labels)
    theirs = selection.train_test_split(labels, train_size=0.75, stratify=labels, random_state=0)
    for ours, other in zip((train, test), theirs, strict=True):
        assert len(ours) == len(other)
        assert np.abs(np.bincount(labels[ours]) - np.bincount(other)).max() <= 1


def test_the_stream_of_random_state():
    parts = indices(6, fractions=[0.5], rng=0, stratify=[0, 0, 0, 0, 1, 1])
    assert parts[0].tolist() == [2, 3, 4]
    assert indices(10, fractions=[0.3], rng=0)[0].tolist() == [2, 4, 8]
    assert indices(10, fractions=[0.3], rng=np.int64(0))[0].tolist() == [2, 4, 8]


def test_the_digits_stay_where_they_are():
    """Accuracies of different versions can be compared."""
    pytest.importorskip("sklearn")
    data = load_digits()
    weights = [int((part.labels * np.arange(len(part.labels))).sum()) for part in data]
    assert weights == [3568386, 70188, 291838]


def test_generators():
    def make(rng):
        return [part.tolist() for part in indices(50, fractions=[0.5], rng=rng)]

    assert make(np.random.default_rng(3)) == make(np.random.default_rng(3))
    assert make(np.random.SeedSequence(3)) == make(np.random.default_rng(3))
    assert make([1, 2]) == make([1, 2])
    assert make(None) != make(None)


@pytest.mark.parametrize("fractions", FRACTIONS)
def test_in_order_gives_views(fractions):
    x, y = np.arange(97.0), np.arange(97)
    parts = split(x, y, fractions=fractions, in_order=True)
    assert (np.concatenate([part[0] for part in parts]) == x).all()
    assert [len(part[1]) for part in parts] == list(rounded(fractions, 97))
    assert all(np.shares_memory(part[0], x) and np.shares_memory(part[1], y) for part in parts)


def test_gap():
    parts = indices(100, fractions=[0.5, 0.3], in_order=True, gap=4)
    assert [(part[0], part[-1]) for part in parts] == [(0, 45), (50, 75), (80, 99)]


def test_arrays_stay_together():
    x = np.random.default_rng(0).random((60, 3, 4))
    labels = np.arange(60) % 3
    train, val = split(x, labels, fractions=[0.8], stratify=labels, rng=0)
    for images, classes in (train, val):
        positions = [int(np.flatnonzero((x == image).all(axis=(1, 2)))[0]) for image in images]
        assert (labels[positions] == classes).all()
    assert [len(b) for b, _ in Batches(*train, batch_size=20)] == [20, 20, 8]


def test_several_inputs():
    a, b, y = np.arange(10), np.arange(10) * 2.0, np.arange(10) * 3
    for inputs, target in split((a, b), y, fractions=[0.6], rng=0):
        assert (inputs[0] * 2 == inputs[1]).all()
        assert (inputs[0] * 3 == target).all()


def test_what_becomes_an_array():
    class Frame:
        def __array__(self, dtype=None, copy=None):
            return np.arange(20).reshape(10, 2)

    (x, names), _ = split(Frame(), list("abcdefghij"), fractions=[0.5], rng=0)
    assert x.shape == (5, 2)
    assert [chr(97 + row // 2) for row in x[:, 0]] == names.tolist()


def test_data_larger_than_memory_are_split_by_position(tmp_path):
    images = np.memmap(tmp_path / "images", np.uint8, "w+", shape=(100, 2, 2))
    images[:] = np.arange(100)[:, None, None]
    labels = np.arange(100) % 10
    (train,), (_test,) = split(np.arange(100), fractions=[0.8], stratify=labels, rng=0)
    batches = Batches(
        train, labels[train], batch_size=32, shuffle=True, transform=lambda index, rng: images[index], rng=0
    )
    for x, y in batches:
        assert (x[:, 0, 0] % 10 == y).all()
    past, _ = split(images, fractions=[0.5], in_order=True)
    assert np.shares_memory(past[0], images)


def groups_of(rng, n, most=12):
    return np.repeat(rng.permutation(n), rng.integers(1, most, n))


@pytest.mark.parametrize("fractions", FRACTIONS)
@pytest.mark.parametrize("stratified", [False, True])
def test_groups_stay_whole(fractions, stratified):
    rng = np.random.default_rng(0)
    for seed in range(20):
        groups = rng.permutation(groups_of(rng, 100))
        n = len(groups)
        labels = (groups % 3 + rng.integers(0, 2, n)) % 3
        parts = indices(n, fractions=fractions, groups=groups, rng=seed, stratify=labels if stratified else None)
        check(parts, n)
        for a, b in itertools.combinations(parts, 2):
            assert not set(groups[a]) & set(groups[b])
        shares = np.array([*fractions, 1 - sum(fractions)])
        assert np.abs([len(part) for part in parts] - shares * n).max() < 12
        if stratified:
            inside = np.array([np.bincount(labels[part], minlength=3) for part in parts])
            assert np.abs(inside - shares[:, None] * np.bincount(labels)).max() < 14


def test_groups_are_drawn():
    groups = np.repeat(["a", "b", "c", "d", "e"], [10, 20, 30, 20, 20])
    tests = {tuple(np.unique(groups[indices(100, fractions=[0.7], groups=groups, rng=s)[1]])) for s in range(30)}
    assert len(tests) > 3


def test_every_part_has_a_group():
    for seed in range(20):
        parts = indices(100, fractions=[0.96, 0.02], groups=np.arange(100) // 25, rng=seed)
        assert min(len(part) for part in parts) == 25


def test_classes_within_groups_as_well_as_scikit_learn():
    """Mean deviation of the class shares of the test part, over seeds, beside StratifiedGroupKFold's first fold."""
    selection = pytest.importorskip("sklearn.model_selection")
    rng = np.random.default_rng(1)
    groups = groups_of(rng, 60, 20)
    labels = (rng.random(len(groups)) < rng.random(60)[groups]).astype(int) + (groups % 7 == 0)
    whole = np.bincount(labels) / len(labels)

    def off(test):
        return np.abs(np.bincount(labels[test], minlength=3) / len(test) - whole).sum()

    ours, theirs = [], []
    for seed in range(10):
        ours.append(off(indices(len(labels), fractions=[0.8], stratify=labels, groups=groups, rng=seed)[1]))
        folds = selection.StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        theirs.append(off(next(folds.split(labels, labels, groups))[1]))
    assert np.mean(ours) < np.mean(theirs) + 0.03


X = np.arange(10)


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ((), {}, ValueError, "expected arrays of one length"),
        ((X, X[1:]), {}, ValueError, r"expected arrays of one length, got shapes \[\(10,\), \(9,\)\]"),
        ((5.0,), {}, ValueError, "expected arrays of one length"),
        ((X,), {"fractions": 0.8}, TypeError, r"fractions must be a sequence of numbers such as \[0.8\], got 0.8"),
        ((X,), {"fractions": []}, TypeError, "fractions must be a sequence"),
        ((X,), {"fractions": [0.8, 0.2]}, ValueError, r"leave nothing for the last part.*; for 2 parts give \[0.8\]"),
        ((X,), {"fractions": [0.7, 0.2, 0.1]}, ValueError, r"for 3 parts give \[0.7, 0.2\]"),
        ((X,), {"fractions": [0.8, 0.8]}, ValueError, "leave nothing for the last part, which takes the rest$"),
        ((X,), {"fractions": [80]}, ValueError, r"fractions must be in \(0, 1\), got 80.0"),
        ((X,), {"fractions": [0.0]}, ValueError, r"fractions must be in \(0, 1\)"),
        ((X,), {"fractions": [-0.1]}, ValueError, r"fractions must be in \(0, 1\)"),
        ((X,), {"fractions": [float("nan")]}, ValueError, "fractions must be finite"),
        ((X,), {"fractions": ["half"]}, TypeError, "fractions must be a real number"),
        ((X,), {"fractions": [0.01]}, ValueError, "part 0 of 2 would be empty, with 10 samples"),
        ((X[:0],), {}, ValueError, "part 0 of 2 would be empty, with 0 samples"),
        ((X,), {"rng": -1}, ValueError, "rng must be at least 0 and below"),
        ((X,), {"rng": 2**32}, ValueError, "rng must be at least 0 and below"),
        ((X,), {"rng": 1.5}, TypeError, "rng must be an int"),
        ((X,), {"rng": True}, TypeError, "rng must be an int"),
        ((X,), {"gap": 1}, ValueError, "gap is for in_order=True, got gap=1"),
        ((X,), {"gap": 8, "in_order": True}, ValueError, r"gap=8 leaves a part empty.*\[8, 2\]"),
        ((X,), {"gap": -1, "in_order": True}, ValueError, "gap must be at least 0"),
        ((X,), {"in_order": 1}, TypeError, "in_order must be True or False"),
        ((X,), {"in_order": True, "stratify": X}, ValueError, "in_order takes the samples as they come"),
        ((X,), {"in_order": True, "groups": X}, ValueError, "in_order takes the samples as they come"),
        ((X,), {"stratify": X[1:]}, ValueError, r"stratify must have shape \(10,\), one entry per sample, got \(9,\)$"),
        ((X,), {"stratify": np.eye(10)}, ValueError, "one-hot rows become classes by np.argmax"),
        ((X,), {"groups": X[1:]}, ValueError, r"groups must have shape \(10,\)"),
        ((X,), {"stratify": [1, "a", *X[2:]], "groups": None}, ValueError, "class '1' has 1 of the samples"),
        ((X,), {"stratify": np.array([1, "a", *X[2:]], object)}, TypeError, "stratify must hold values of one kind"),
        ((X,), {"stratify": [3] * 9 + [8]}, ValueError, r"class 8 has 1 of the samples, too few for 2 parts;"),
        ((X,), {"stratify": X / 2}, ValueError, "too few for 2 parts, and 9 more classes are as small; .*np.digitize"),
        ((X,), {"stratify": X // 2}, ValueError, "part 1 would have 2 samples, too few for 5 classes"),
        ((X,), {"groups": X * 0}, ValueError, "there are 1 groups, too few for 2 parts"),
    ],
)
def test_refused(arrays, options, error, message):
    with pytest.raises(error, match=f"^split: .*{message}"):
        split(*arrays, **{"fractions": [0.8], "rng": 0, **options})
