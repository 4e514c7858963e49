"""The words of verdicts on made-up curves: each word and its borders, and their order."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fastnn.training import History
from fastnn.training import verdict_rules as rules
from fastnn.training.constant import Baseline
from made_histories import BASELINE, FLAT_GOOD, B, curve, made, word

# ---- each word, and its borders ------------------------------------------------------------------------------------------------


def test_what_falls_from_above_the_baseline_is_not_to_be_trained_faster():
    falling = made([14.0, 7.2], [14.0, 7.2]).verdict()
    assert falling.word == "still improving"
    assert "a lower learning rate" in falling.advice
    assert "a larger learning rate" in made([1.8, 1.2], [1.8, 1.2]).verdict().advice


def test_good():
    verdict = made(FLAT_GOOD, curve(0.9, 0.15, 0.12, 0.12, 0.12)).verdict()
    assert verdict.word == "good"
    assert verdict.validation_loss == pytest.approx(0.12)
    assert str(verdict).startswith(
        "good: the validation loss 0.12 (±0.02) is 6 % of that of a prediction that knows nothing\n"
    )


@pytest.mark.parametrize("name", ["train_loss", "training_loss", "validation_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_loss_that_is_not_finite(name, value):
    history = made(FLAT_GOOD, FLAT_GOOD)
    history.records[11][name] = value
    verdict = history.verdict()
    assert (verdict.word, verdict.since) == ("diverged", 12)
    assert "epoch 12" in verdict.message


def test_diverged_repeats_what_the_trainer_found():
    history = History([{"epoch": 3, "train_loss": math.nan}])
    history.stopped = "stopped in epoch 3 at batch 2 (step 9): the loss is nan; layer '1' (_Log) gives nan"
    assert str(history.verdict()).startswith(f"diverged: {history.stopped}\n")


def test_huge_losses():
    just, beyond = 0.99 * rules.HUGE * B, 1.01 * rules.HUGE * B
    blown_up = curve(1.0, 0.5, 0.5, beyond, beyond)
    verdict = made(blown_up, blown_up).verdict()
    assert verdict.word == "diverged"
    assert verdict.since == next(i for i, t in enumerate(blown_up, 1) if t > rules.HUGE * B)
    assert word(curve(1.0, 0.5, 0.5, just, just), curve(1.0, 0.5, 0.5, just, just)) == "underfitting"
    assert word(FLAT_GOOD, curve(900, 800)) == "diverged", "validation that never came near the baseline"
    assert word(FLAT_GOOD, curve(1.0, 30.0)) == "overfitting", "validation that did"
    assert word([beyond]) == "diverged", "one epoch, without validation"


def test_what_was_huge_and_learned_nothing_has_diverged():
    noise = [2.3, 2.4, 2.2, 2.5, 2.1] * 4
    assert word([1e4, *noise], [3.0, *noise]) == "diverged"
    assert word([3.0, *noise], [3.0, *noise]) == "not learning"
    assert word([1e4, *curve(3.0, 0.05, 0.05)], [3.0, *curve(2.0, 0.1, 0.1)]) == "good", "recovered"
    steadily = curve(8.0, 2.6, epochs=8)
    assert word([1e4, *steadily], [9.0, *steadily]) == "still improving", "is about to"


def test_still_improving():
    falling = curve(2.0, 1.0, epochs=10)
    verdict = made(falling, falling).verdict()
    assert (verdict.word, verdict.since) == ("still improving", 8)
    assert verdict.message == "the validation loss fell from 1.222 to 1 (±0.02) in the last 2 epochs"
    assert word(falling) == "still improving", "without validation"
    assert word(falling, [*falling[:-1], falling[-3]]) != "still improving", "the last one is no better"
    low = curve(0.3, 0.9 * rules.LOW * B, epochs=10)
    assert word(low, low) == "good", "what falls is small"


def test_still_improving_needs_a_fall_that_matters():
    plateau, window = [1.0] * 20, rules.LEAST_WINDOW
    for fall, expected in ((1.05 * rules.GAIN * B, "still improving"), (0.95 * rules.GAIN * B, "underfitting")):
        losses = [*plateau, *curve(1.0, 1.0 - fall, epochs=window + 1)[1:]]
        assert word(losses, losses) == expected


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5])
def test_short_runs(epochs):
    falling = curve(1.5, 1.0, epochs=epochs) if epochs > 1 else [1.2]
    assert word(falling, falling) == "still improving"
    nothing = [2.1, 2.05, 2.02, 2.01, 2.005][:epochs]
    assert word(nothing, nothing) == ("not learning" if epochs > 1 else "unknown"), "one epoch is too short to tell"
    good = [0.1, 0.08, 0.07, 0.065, 0.06][:epochs]
    assert word(good, good) == "good"
    slowly = [1.94, 1.92, 1.90, 1.88, 1.86][:epochs]
    assert word(slowly, slowly, se=0.001) == "still improving", "little was learned, much of it in the end"


def test_not_learning():
    assert word([2.0] * 10, curve(2.1, 2.0), se=0.0) == "not learning"
    border = B - rules.LEARNED * B
    level = [border + 0.01] * 9 + [border + 0.011]
    assert word(level, [1.9, *level[1:]], se=0.05) == "not learning"
    below = [border - 0.01] * 9 + [border - 0.011]
    assert word(below, [1.9, *below[1:]], se=0.01) == "underfitting"
    assert word(below, [1.9, *below[1:]], se=0.1) == "not learning", "by accident"
    surely = [B - 1.1 * rules.SURELY * B] * 9 + [B - 1.2 * rules.SURELY * B]
    assert word(surely, surely, se=0.001) == "underfitting", "little, but no accident"


def test_a_rate_that_is_too_small():
    moves = [1.3 - 1e-6 * i for i in range(20)]
    verdict = made(moves, moves).verdict()
    assert verdict.word == "not learning"
    assert verdict.advice.startswith("a larger learning rate")
    assert word(moves, moves, baseline=None) == "not learning"
    done = [0.1 - 1e-6 * i for i in range(20)]
    assert word(done, done) == "good", "what is good already need not move"


def test_slow_but_steady_above_the_baseline_is_on_its_way():
    falling = curve(3.4, 2.6)
    verdict = made(falling, falling).verdict()
    assert (verdict.word, verdict.since) == ("still improving", 1)
    assert "in each of the last 4 epochs" in verdict.message
    assert word(curve(3.4, 3.2), curve(3.4, 3.2)) == "not learning", "too slow"
    assert word(falling, [*falling[:-2], falling[-3], falling[-3]]) == "not learning", "it stands"


def test_one_target_and_one_sample_tell_nothing():
    falling = curve(1e-3, 1e-6)
    constant = replace(BASELINE, loss=0.0)
    assert word(falling, falling, baseline=constant) == "unknown"
    for samples, expected in ((1, "unknown"), (rules.FEWEST - 1, "unknown"), (rules.FEWEST, "good")):
        few = replace(BASELINE, validation_loss=B, validation_accuracy=0.5, validation_samples=samples)
        assert word(FLAT_GOOD, curve(0.9, 0.1, 0.1), baseline=few) == expected


def test_shuffled_labels_are_both():
    verdict = made(curve(2.0, 0.1), curve(2.05, 4.0)).verdict()
    assert (verdict.word, verdict.also) == ("not learning", ("overfitting",))
    assert "not learning" in str(verdict).splitlines()[0]
    assert "overfitting too" in str(verdict).splitlines()[0]


def test_validation_has_a_baseline_of_its_own():
    harder = replace(BASELINE, validation_loss=4.0)
    losses = curve(2.5, 2.1, 2.1)
    assert word(FLAT_GOOD, losses) == "not learning"
    assert word(curve(2.5, 1.0, 1.0), losses, baseline=harder) == "overfitting", (
        "learned, though above the other baseline"
    )


def test_accuracy_tells_wrong_labels_from_shuffled_ones():
    known = replace(BASELINE, validation_loss=B, validation_accuracy=0.5, validation_samples=400)
    sure_of_what_is_wrong = curve(0.9, 0.01), curve(2.1, 4.0)
    error = math.sqrt(0.25 / 400)
    for accuracy, expected in ((0.5 + 2.9 * error, "not learning"), (0.5 + 3.1 * error, "overfitting")):
        assert word(*sure_of_what_is_wrong, baseline=known, validation_accuracy=[accuracy] * 30) == expected


def test_overfitting_by_a_rise():
    falling = curve(1.0, 0.1)
    for rise, expected in ((1.1, "overfitting"), (0.9, "good")):
        for se, least in ((0.001, rules.RISEN * B), (0.05, 2 * 0.05)):
            validation = curve(0.5, 0.3, 0.3 + rise * least)
            verdict = made(falling, validation, se=se).verdict()
            assert verdict.word == expected
            if expected == "overfitting":
                assert verdict.since == int(np.argmin(validation)) + 1
    assert word(curve(0.1, 1.0), curve(0.5, 0.3, 0.6)) != "overfitting", "training's rose as well"


def test_overfitting_by_a_gap():
    for gap, expected in ((1.05 * rules.GAP, "overfitting"), (0.95 * rules.GAP, "good")):
        assert word(curve(1.0, 0.001, 0.001), curve(1.0, gap * B, gap * B)) == expected
    t = 0.2
    for gap, expected in ((1.05 * rules.WIDE, "overfitting"), (0.95 * rules.WIDE, "good")):
        assert word(curve(1.0, t, t), curve(1.0, t + gap * B, t + gap * B)) == expected
    assert word(curve(1.0, 0.001, 0.001), curve(1.0, 0.3, 0.3), se=0.2) == "good", "it may be an accident"


def test_overfitting_by_an_accuracy_that_falls():
    """As with wrong labels in the training part alone, where the loss on right ones stays where it is."""
    falling, steady = curve(1.0, 0.2), curve(0.6, 0.4, 0.4)
    for samples, least in ((10_000, rules.WORSE), (100, rules.ACCURACY_ERRORS * math.sqrt((0.09 + 0.21) / 100))):
        known = replace(BASELINE, validation_loss=B, validation_accuracy=0.1, validation_samples=samples)
        for fall, expected in ((1.2 * least, "overfitting"), (0.8 * least, "good")):
            accuracy = curve(0.8, 0.9, 0.9 - fall)
            assert word(falling, steady, baseline=known, validation_accuracy=accuracy) == expected
    known = replace(BASELINE, validation_loss=B, validation_accuracy=0.1, validation_samples=10_000)
    verdict = made(falling, steady, baseline=known, validation_accuracy=curve(0.8, 0.9, 0.7)).verdict()
    assert "the validation accuracy fell from 89.7 % to 70.0 %" in str(verdict)
    assert verdict.since in (15, 16)
    assert word(curve(0.2, 0.4), steady, baseline=known, validation_accuracy=curve(0.9, 0.7)) == "good", (
        "training's loss rose as well"
    )
    assert word(falling, steady, baseline=known, validation_accuracy=[math.nan, *curve(0.9, 0.7, epochs=29)]) == "good"


def test_nothing_above_the_baseline_is_good():
    history = made(FLAT_GOOD, curve(0.9, 0.5, 0.5, 900.0))
    history[-1]["validation_loss_se"] = 1000.0
    verdict = history.verdict()
    assert verdict.word == "overfitting"
    assert "above that of a prediction that knows nothing, 2" in verdict.message


def test_underfitting():
    for share, expected in ((1.02 * rules.HIGH, "underfitting"), (0.98 * rules.HIGH, "good")):
        losses = curve(1.5, share * B, share * B)
        assert word(losses, losses) == expected
    verdict = made(curve(1.9, 1.5, 1.5), curve(1.9, 1.5, 1.5)).verdict()
    assert 10 < verdict.since <= 15
    assert word(curve(1.9, 1.5, 1.5)) == "underfitting", "without validation"


def test_dropout_makes_no_underfitting():
    """The loss of the batches is far above that in evaluation mode, but validation's is not."""
    assert word(curve(1.9, 1.2, 1.2), curve(1.0, 0.2, 0.2)) == "good"
    evaluated = curve(1.0, 0.15, 0.15)
    verdict = made(curve(1.9, 1.2, 1.2), curve(1.0, 0.2, 0.2), training_loss=evaluated).verdict()
    assert (verdict.word, verdict.training_loss, verdict.evaluated) == ("good", pytest.approx(0.15), True)
    assert "training loss 0.15" in str(verdict)
    assert "(of the batches)" in str(made(FLAT_GOOD, FLAT_GOOD).verdict())


def test_the_judged_epoch_is_the_one_whose_weights_the_model_has():
    history = made(curve(1.0, 0.01, epochs=21), curve(1.0, 0.3, 0.9, epochs=21))
    assert history.verdict().word == "overfitting"
    history.restored = 11
    verdict = history.verdict()
    assert (verdict.word, verdict.epoch, verdict.validation_loss) == ("good", 11, pytest.approx(0.3))
    history = made(curve(1.0, 0.001, 0.001, epochs=21), curve(1.0, 0.8, 1.9, epochs=21))
    history.restored = 11
    assert history.verdict().word == "overfitting"
    assert not history.verdict().advice.startswith("stop"), "that was done"


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (History(), "there is no epoch with a loss"),
        (History([{"epoch": 1, "lr": 0.1}]), "there is no epoch with a loss"),
        (made(FLAT_GOOD, FLAT_GOOD, baseline=None), "the loss function tells no baseline"),
        (made(FLAT_GOOD, FLAT_GOOD, baseline=Baseline(0.0, "always the mean")), "all targets are the same"),
        (made(FLAT_GOOD), "without a validation part"),
    ],
)
def test_unknown_has_a_reason(history, message):
    verdict = history.verdict()
    assert verdict.word == "unknown"
    assert message in verdict.message
    assert str(verdict).startswith("unknown: ")


# ---- the order -----------------------------------------------------------------------------------------------------------------


def test_order():
    falling = curve(3.0, 2.2, epochs=10)
    assert word(falling, falling) == "still improving", "before not learning"
    beyond = curve(40.0, 30.0, epochs=10)
    assert word(beyond, beyond) == "diverged", "before still improving"
    assert word([*beyond[:-1], math.nan], beyond) == "diverged"
    assert made([*beyond[:-1], math.nan], beyond).verdict().since == 10
    both = curve(1.0, 0.8, 0.8), curve(1.0, 0.9, 1.8)
    assert word(*both) == "overfitting", "before underfitting"
