"""Metrics against their definitions and scikit-learn, at edges, and what is refused."""

import functools
import itertools
import warnings

import numpy as np
import pytest
from sklearn import metrics as theirs

import fastnn as fnn
from fastnn.training import accuracy, binary_accuracy, confusion, f1, mae, r2, rmse, top_k

OF_CLASSES = [accuracy, functools.partial(top_k, k=2), confusion, f1]
OF_NUMBERS = [r2, mae, rmse]


def scored(n=60, classes=4, seed=0, dtype=np.float64):
    """Scores of which many are equal, labels, and weights of which some are 0."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (n, classes)).astype(dtype)
    return scores, rng.integers(0, classes, n), rng.integers(0, 4, n) / 2


def numbers(n=50, columns=(), seed=0):
    rng = np.random.default_rng(seed)
    target = rng.normal(3.0, 2.0, (n, *columns))
    return target + rng.normal(size=target.shape), target, rng.integers(0, 4, n) / 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_as_scikit_learn(seed, weighted):
    scores, labels, weight = scored(seed=seed)
    weight = weight if weighted else None
    predicted = scores.argmax(axis=1)
    assert accuracy(scores, labels, weight) == pytest.approx(
        theirs.accuracy_score(labels, predicted, sample_weight=weight), rel=1e-14
    )
    matrix = confusion(scores, labels, weight=weight)
    assert (matrix == theirs.confusion_matrix(labels, predicted, sample_weight=weight, labels=range(4))).all()
    assert matrix.dtype == (np.float64 if weighted else np.int64)
    for average in ("macro", "weighted", None):
        expected = theirs.f1_score(labels, predicted, average=average, sample_weight=weight)
        np.testing.assert_allclose(f1(scores, labels, average, weight), expected, rtol=1e-14)
        np.testing.assert_allclose(f1(predicted, labels, average, weight), expected, rtol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_as_scikit_learn(k, weighted):
    rng = np.random.default_rng(1)
    scores, labels = rng.normal(size=(80, 4)), rng.integers(0, 4, 80)
    weight = rng.random(80) if weighted else None
    expected = theirs.top_k_accuracy_score(labels, scores, k=k, sample_weight=weight)
    assert top_k(scores, labels, k, weight) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_top_1_is_accuracy_also_where_scores_are_equal(seed):
    scores, labels, weight = scored(seed=seed)
    assert top_k(scores, labels, 1, weight) == accuracy(scores, labels, weight)
    assert top_k(scores, labels, 4) == 1.0
    flat = np.zeros_like(scores)
    assert [top_k(flat, labels, k) for k in (1, 2, 3)] == [np.mean(labels < k) for k in (1, 2, 3)]


@pytest.mark.parametrize("columns", [(), (1,), (3,), (2, 2)])
@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_as_scikit_learn(columns, weighted):
    output, target, weight = numbers(columns=columns)
    weight = weight if weighted else None
    flat = [part.reshape(len(part), -1) for part in (target, output)]
    assert r2(output, target, weight) == pytest.approx(theirs.r2_score(*flat, sample_weight=weight), rel=1e-12)
    assert mae(output, target, weight) == pytest.approx(
        theirs.mean_absolute_error(*flat, sample_weight=weight), rel=1e-13
    )
    squared = theirs.mean_squared_error(*flat, sample_weight=weight)
    assert rmse(output, target, weight) == pytest.approx(squared**0.5, rel=1e-13)


def test_f1_by_its_definition():
    scores, labels, weight = scored(seed=3)
    predicted = scores.argmax(axis=1)
    each = []
    for c in range(4):
        hits, wrong, missed = (
            sum(w for p, t, w in zip(predicted, labels, weight, strict=True) if ((p == c), (t == c)) == case)
            for case in ((True, True), (True, False), (False, True))
        )
        each.append(2 * hits / (2 * hits + wrong + missed))
    np.testing.assert_allclose(f1(scores, labels, None, weight), each, rtol=1e-14)


def test_f1_of_a_pass_is_no_mean_of_batches():
    scores, labels = np.eye(2)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])
    assert f1(scores, labels) == 1.0
    scores, labels = np.eye(2)[[0, 1, 1, 1]], np.array([0, 0, 1, 1])
    assert f1(scores, labels) != np.mean([f1(scores[:2], labels[:2]), f1(scores[2:], labels[2:])])


def test_classes_that_do_not_occur():
    scores, labels = np.eye(4)[[0, 1, 1]], np.array([0, 0, 1])
    np.testing.assert_array_equal(f1(scores, labels, None), [2 / 3, 2 / 3, np.nan, np.nan])
    assert f1(scores, labels) == f1(scores, labels, "weighted") == pytest.approx(2 / 3)
    assert f1(np.eye(3)[[2, 2]], np.array([1, 1])) == 0.0


@pytest.mark.parametrize("metric", OF_CLASSES)
def test_positions_of_an_image_count_like_samples(metric):
    rng = np.random.default_rng(2)
    scores, labels, weight = rng.normal(size=(3, 4, 2, 5)), rng.integers(0, 4, (3, 2, 5)), np.array([1.0, 0.0, 2.5])
    rows = scores.transpose(0, 2, 3, 1).reshape(-1, 4)
    np.testing.assert_array_equal(metric(scores, labels), metric(rows, labels.ravel()))
    flat = metric(rows, labels.ravel(), weight=np.repeat(weight, 10))
    np.testing.assert_array_equal(metric(scores, labels, weight=weight), flat)


@pytest.mark.parametrize("metric", OF_CLASSES)
def test_labels_that_losses_pass_over_do_not_count(metric):
    scores, labels, weight = scored()
    some = labels.copy()
    some[::3] = -100
    kept = some >= 0
    expected = metric(scores[kept], labels[kept], weight=weight[kept])
    np.testing.assert_array_equal(metric(scores, some, weight=weight), expected)


@pytest.mark.parametrize("metric", OF_CLASSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int64, np.uint8, np.float16])
def test_scores_of_other_types_orders_and_tensors(metric, dtype):
    scores, labels, _ = scored(dtype=dtype)
    expected = metric(*scored()[:2])
    wide = np.zeros((60, 8), dtype)
    wide[:, ::2] = scores
    frozen = scores.copy()
    frozen.flags.writeable = False
    for given in (scores, np.asfortranarray(scores), wide[:, ::2], frozen, scores.tolist()):
        for kind in (np.int64, np.uint8, np.int32):
            np.testing.assert_array_equal(metric(given, labels.astype(kind)), expected)
    if dtype in (np.float32, np.float64):
        tensor = fnn.tensor(scores, requires_grad=True) * 2
        np.testing.assert_array_equal(metric(tensor, fnn.tensor(labels)), expected)
    assert (scores == scored(dtype=dtype)[0]).all()


def test_labels_of_two_classes_may_be_booleans():
    scores, labels = np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([True, True])
    assert [metric(scores, labels) for metric in (accuracy, f1)] == [0.5, pytest.approx(1 / 3)]
    assert (confusion(scores[:, 1] > 0.5, labels) == [[0, 0], [1, 1]]).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(31,), (31, 1), (31, 3)])
def test_binary_accuracy_is_that_of_each_yes_or_no(seed, shape):
    rng = np.random.default_rng(seed)
    scores, target = rng.normal(size=shape).astype(np.float32), rng.integers(0, 2, shape).astype(np.float32)
    weight = rng.integers(0, 3, len(scores))
    columns = zip(scores.reshape(31, -1).T, target.reshape(31, -1).T, strict=True)
    expected = np.mean([theirs.accuracy_score(t, s > 0, sample_weight=weight) for s, t in columns])
    assert binary_accuracy(scores, target, weight) == pytest.approx(expected, rel=1e-14)
    assert binary_accuracy(1 / (1 + np.exp(-scores)), target, weight, 0.5) == pytest.approx(expected, rel=1e-14)
    if len(shape) == 1:
        two = np.stack([np.zeros_like(scores), scores], axis=1)
        assert binary_accuracy(scores, target, weight) == accuracy(two, target.astype(int), weight)


def test_binary_accuracy_of_what_is_odd():
    assert binary_accuracy(np.array([np.nan, np.nan, np.inf, -np.inf, 0.0]), np.array([0, 1, 1, 0, 0])) == 0.6
    assert np.isnan(binary_accuracy(np.ones((0, 1)), np.ones((0, 1))))
    assert np.isnan(binary_accuracy(np.ones(2), np.ones(2), weight=np.zeros(2)))
    with pytest.raises(ValueError, match=r"^binary_accuracy: output and target must have one shape"):
        binary_accuracy(np.ones((4, 1)), np.ones(4))
    with pytest.raises(TypeError, match=r"^binary_accuracy: threshold"):
        binary_accuracy(np.ones(4), np.ones(4), threshold="0")


def test_a_sample_with_nan_has_no_prediction():
    scores, labels = np.array([[np.nan, 1.0], [0.0, np.nan], [2.0, 1.0], [0.0, np.inf]]), np.array([0, 1, 0, 1])
    assert accuracy(scores, labels) == top_k(scores, labels, 2) == 0.5
    assert (confusion(scores, labels) == [[1, 0], [0, 1]]).all()
    np.testing.assert_array_equal(f1(scores, labels, None), [2 / 3, 2 / 3])
    assert accuracy(np.full((3, 2), np.nan), np.zeros(3, int)) == 0.0
    assert f1(np.full((3, 2), np.nan), np.zeros(3, int)) == 0.0
    assert accuracy(np.array([[-np.inf, -np.inf]]), np.array([0])) == 1.0


@pytest.mark.parametrize("weight", [None, "empty", "zeros"])
def test_where_nothing_counts_the_result_is_nan(weight):
    n = 2 if weight == "zeros" else 0
    given = None if weight is None else np.zeros(n)
    scores, labels = np.ones((n, 3)), np.ones(n, int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for metric in (accuracy, functools.partial(top_k, k=2), f1):
            assert np.isnan(metric(scores, labels, weight=given))
        assert f1(scores, labels, None, given).shape == (3,)
        assert not confusion(scores, labels, weight=given).any()
        assert confusion(scores, labels, weight=given).shape == (3, 3)
        for metric, columns in itertools.product(OF_NUMBERS, [(), (2,), (0,)]):
            assert np.isnan(metric(np.ones((n, *columns)), np.ones((n, *columns)), weight=given))
    assert np.isnan(accuracy(np.ones((2, 3)), np.full(2, -100)))


@pytest.mark.parametrize("metric", OF_NUMBERS)
def test_numbers_of_other_types_orders_and_tensors(metric):
    output, target = np.array([[1, 2], [3, 5], [7, 1]]), np.array([[1, 3], [200, 5], [7, 100]])
    expected = metric(output.astype(float), target.astype(float))
    for a, b in itertools.product([np.float32, np.int16, np.uint8], [np.float64, np.uint8]):
        assert metric(output.astype(a), np.asfortranarray(target.astype(b))) == expected
    assert metric(fnn.tensor(output.astype(np.float32), requires_grad=True) * 1, target.tolist()) == expected
    assert metric(output[::2], target[::2]) == metric(output[::2].copy(), target[::2].copy())


def test_a_weight_of_zero_leaves_a_sample_out_whatever_it_holds():
    output, target = np.array([1.0, 2.0, np.nan, 4.0]), np.array([1.5, 2.0, 1.0, np.inf])
    for metric in OF_NUMBERS:
        assert metric(output, target, weight=[1, 1, 0, 0]) == metric(output[:2], target[:2])
    assert accuracy(np.array([[0.0, 1.0], [np.nan, 0.0]]), np.array([1, 0]), weight=np.array([2, 0])) == 1.0


@pytest.mark.parametrize("metric", OF_NUMBERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(metric, value):
    output, target = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])
    wrong = output.copy()
    wrong[1] = value
    bad = {"r2": -np.inf, "mae": np.inf, "rmse": np.inf}[metric.__name__]
    np.testing.assert_equal(metric(wrong, target), np.nan if np.isnan(value) else bad)
    assert not np.isfinite(metric(output, wrong))
    assert np.isnan(r2(np.array([[value, 1], [2, 2]]), np.array([[np.nan, 1], [2, 2]])))


def test_r2_of_constants_and_few_samples():
    constant = np.full(7, 0.1)
    assert r2(constant, constant) == 1.0
    assert r2(constant + 1e-9, constant) == r2(np.arange(7.0), constant) == 0.0
    assert np.isnan(r2(np.array([1.0, np.nan]), np.zeros(2)))
    two = np.stack([constant, np.arange(7.0)], axis=1)
    assert r2(two, two) == 1.0
    assert r2(two + 1, two) == pytest.approx((0 + 1 - 7 / 28) / 2)
    assert np.isnan(r2(np.ones(1), np.ones(1)))
    assert np.isnan(r2(np.ones(3), np.arange(3.0), weight=[1, 0, 0]))


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1.0, 1e30, 1e200, 1e307])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_numbers_of_any_size(scale, offset):
    output, target, weight = numbers()
    if offset and scale > 1e300:
        pytest.skip("beyond the range")
    expected = [metric(output, target, weight) for metric in OF_NUMBERS]
    found = [metric(scale * (output + offset) / 10, scale * (target + offset) / 10, weight) for metric in OF_NUMBERS]
    rtol = 1e-9 if offset else 1e-12
    np.testing.assert_allclose(found[0], expected[0], rtol=rtol)
    np.testing.assert_allclose(np.array(found[1:]) / scale * 10, expected[1:], rtol=rtol)


def test_predictions_of_classes_in_the_place_of_scores():
    assert (confusion([0, 2, 2], [0, 1, 2]) == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]).all()
    assert confusion([0, 1], [0, -100], classes=4).shape == (4, 4)
    assert confusion(np.zeros((0,), int), np.zeros((0,), int)).shape == (0, 0)
    assert confusion(np.ones((2, 3)), [0, 1], classes=5).shape == (5, 5)


@pytest.mark.parametrize("metric", OF_CLASSES)
@pytest.mark.parametrize(
    ("scores", "labels", "weight", "error", "text"),
    [
        (np.ones((2, 3)), np.zeros((2, 1), int), None, ValueError, r"scores \(2, 3\) and labels \(2, 1\)"),
        (np.ones((2, 3)), np.zeros(3, int), None, ValueError, r"scores \(2, 3\) and labels \(3,\)"),
        (np.ones((2, 3)), np.zeros((), int), None, ValueError, "the shape of the scores without their axis 1"),
        (np.ones(3), np.zeros(3, int), None, ValueError, "the shape of the scores without their axis 1"),
        (np.ones((2, 3)), np.eye(3, dtype=int)[:2], None, ValueError, r"labels \(2, 3\)"),
        (
            np.ones((2, 3)),
            np.zeros(2),
            None,
            TypeError,
            "labels must be integers, which are classes, got dtype float64",
        ),
        (np.ones((2, 3)), np.array(["a", "b"]), None, TypeError, "labels must be integers"),
        (np.ones((2, 3)), np.array([0, 3]), None, ValueError, "labels hold 3, expected 0 to 2, or -100 for no class"),
        (np.ones((2, 3)), np.array([0, -1]), None, ValueError, "labels hold -1, expected 0 to 2"),
        (
            np.ones((2, 3)) * 1j,
            np.zeros(2, int),
            None,
            TypeError,
            "scores must hold real numbers, got dtype complex128",
        ),
        (np.ma.ones((2, 3)), np.zeros(2, int), None, TypeError, "scores is a masked array"),
        (np.ones((2, 3)), np.ma.zeros(2, int), None, TypeError, "labels is a masked array"),
        (
            np.ones((2, 3)),
            np.zeros(2, int),
            np.ones(3),
            ValueError,
            r"weight must have shape \(2,\), one per sample, got \(3,\)",
        ),
        (np.ones((2, 3)), np.zeros(2, int), np.ones((2, 1)), ValueError, r"got \(2, 1\)"),
        (np.ones((2, 3)), np.zeros(2, int), 1.0, ValueError, r"got \(\)"),
        (np.ones((2, 3)), np.zeros(2, int), [1, -1], ValueError, r"weight must be finite and at least 0, got -1.0"),
        (np.ones((2, 3)), np.zeros(2, int), [1, np.nan], ValueError, "at least 0, got nan"),
        (np.ones((2, 3)), np.zeros(2, int), [1, np.inf], ValueError, "at least 0, got inf"),
        (np.ones((2, 3)), np.zeros(2, int), ["a", "b"], TypeError, "weight must hold real numbers"),
    ],
)
def test_refused_of_classes(metric, scores, labels, weight, error, text):
    name = getattr(metric, "func", metric).__name__
    with pytest.raises(error, match=f"^{name}: .*{text}"):
        metric(scores, labels, weight=weight)


@pytest.mark.parametrize("metric", OF_NUMBERS)
@pytest.mark.parametrize(
    ("output", "target", "weight", "error", "text"),
    [
        (np.ones((3, 1)), np.ones(3), None, ValueError, r"one shape \(N, ...\), got \(3, 1\) and \(3,\)"),
        (np.ones((3, 2)), np.ones((3, 1)), None, ValueError, r"got \(3, 2\) and \(3, 1\)"),
        (np.ones(()), np.ones(()), None, ValueError, r"got \(\) and \(\)"),
        (np.ones(3), np.array(["a"] * 3), None, TypeError, "target must hold real numbers"),
        (np.ones(3) * 1j, np.ones(3), None, TypeError, "output must hold real numbers, got dtype complex128"),
        (np.ones(3), np.ma.ones(3), None, TypeError, "target is a masked array"),
        (np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)), ValueError, r"weight must have shape \(3,\)"),
        (np.ones(3), np.ones(3), [1, 1, -0.5], ValueError, "at least 0, got -0.5"),
    ],
)
def test_refused_of_numbers(metric, output, target, weight, error, text):
    with pytest.raises(error, match=f"^{metric.__name__}: .*{text}"):
        metric(output, target, weight)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: top_k(np.ones((2, 3)), [0, 1]), ValueError, "top_k: k must be 1 to 3, the number of classes, got 5"),
        (
            lambda: top_k(np.ones((2, 3)), [0, 1], 0),
            ValueError,
            "top_k: k must be 1 to 3, the number of classes, got 0",
        ),
        (lambda: top_k(np.ones((2, 3)), [0, 1], 1.5), TypeError, "top_k: k must be an int, got 1.5"),
        (lambda: confusion(np.ones((2, 3)), [0, 2], 2), ValueError, "confusion: class 2 occurs, expected 0 to 1"),
        (lambda: confusion([0, 5], [0, 1], 2), ValueError, "confusion: class 5 occurs, expected 0 to 1"),
        (lambda: confusion([0, 0], [0, 3], 2), ValueError, "confusion: labels hold 3, expected 0 to 1"),
        (lambda: confusion([0, -1], [0, 1]), ValueError, "confusion: predictions hold -1, expected at least 0"),
        (lambda: confusion([0, 1], [0, -1]), ValueError, "confusion: labels hold -1, expected at least 0"),
        (lambda: confusion([0, 1], [0, 1], 0), ValueError, "confusion: classes must be at least 1, got 0"),
        (
            lambda: f1([0, 1], [0, 1], "micro"),
            ValueError,
            """f1: average must be "macro", "weighted" or None, got 'micro'""",
        ),
    ],
)
def test_refused_options(call, error, text):
    with pytest.raises(error, match=f"^{text}"):
        call()
