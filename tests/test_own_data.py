"""Data of one's own in Python: parted, and trained on by a recipe."""

import os

import numpy as np
import pytest

import fastnn as fnn
from fastnn.data.source import Dataset, Part, parted, read_dataset
from fastnn.training.networks import image_network, table_network
from fastnn.training.own_data import OwnTraining, least_squares, regressed
from fastnn.training.predictor import Predictor
from fastnn.training.recipe import model_for, recipes_for
from fastnn.training.selection import selected
from own_files import pictures, table, write

# ---- parts ----------------------------------------------------------------------------------------------------------------


def test_parts_are_disjoint_and_keep_proportions():
    data = parted(table(200, ("no", "yes")))
    rows = np.concatenate([part.x for part in data.parts.values()])
    assert len(np.unique(rows, axis=0)) == 200
    assert list(data.parts) == ["train", "test"]
    assert list(parted(table(1250)).parts) == ["train", "validation", "test"]
    whole = table(200, ("no", "yes")).parts["train"].y.mean()
    assert abs(data.parts["test"].y.mean() - whole) < 0.02
    again = parted(table(200, ("no", "yes")))
    assert (again.parts["test"].x == data.parts["test"].x).all()


def test_parts_that_are_there_stay():
    x, y, _ = table().parts["train"]
    data = Dataset("t", "arrays", {"train": Part(x[:80], y[:80]), "test": Part(x[80:], y[80:])}, None)
    assert (parted(data).parts["test"].x == x[80:]).all()
    assert len(parted(data, validation=True).parts["train"].x) == 72
    assert "validation" not in parted(data).parts


def test_small_classes_do_not_stop_it():
    x = np.arange(30.0)[:, None]
    y = np.array([0] * 15 + [1] * 14 + [2])
    data = parted(Dataset("t", "csv", {"train": Part(x, y)}, ("a", "b", "rare")), validation=True)
    assert data.notes == ("classes with a single sample: 'rare'",)
    every = parted(Dataset("t", "csv", {"train": Part(x, np.arange(30))}, tuple(map(str, range(30)))))
    assert sum(len(part.x) for part in every.parts.values()) == 30
    with pytest.raises(ValueError, match="has 2 samples, too few to hold some out"):
        parted(Dataset("t", "csv", {"train": Part(x[:2], y[:2])}, ("a", "b", "rare")))


# ---- networks and recipes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (8, 8), (16, 16), (28, 28), (64, 40), (3, 100)])
@pytest.mark.parametrize("channels", [1, 3])
def test_image_networks_take_any_size(size, channels):
    network = image_network(channels, size, 4, rng=0)
    assert network(np.zeros((2, channels, *size), np.float32)).shape == (2, 4)
    assert network[-1].in_features <= 2048


def test_table_networks_begin_at_zero():
    for hidden in ((64,), (8, 4)):
        network = table_network(5, 3, hidden, rng=0)
        assert not network(np.ones((2, 5))).numpy().any()


def test_models_have_their_statistics_from_the_training_part():
    x = np.array([[1.0, 5.0], [np.nan, 5.0], [3.0, 5.0], [8.0, 5.0]])
    data = Dataset("t", "csv", {"train": Part(x, np.array([0.0, 1, 2, 3])), "test": Part(x * 100, np.ones(4))}, None)
    model = model_for(data, rng=0)
    np.testing.assert_array_equal(model[0].values, [3.0, 5.0])
    np.testing.assert_allclose(model[1].mean, [3.75, 5.0])
    np.testing.assert_allclose(model(x).numpy(), np.full((4, 1), 1.5))  # the mean, before any training


def test_recipes_by_kind():
    images = np.zeros((50, 1, 28, 28), np.float32)

    def recipe(form, x, n=1):
        parts = {"train": Part(np.tile(x, (n, *[1] * (x.ndim - 1))), None)}
        return recipes_for(Dataset("a", form, parts, ("a", "b")))[-1]

    assert recipe("idx folder", images).epochs == 30
    assert recipe("idx folder", images, 100).epochs == 6
    assert recipe("csv", np.zeros((9, 3))).batch_size == 9
    assert recipe("csv", np.zeros((9, 3))).augment is None
    few, many = (Dataset("a", "csv", {"train": Part(np.ones((n, 3)), np.zeros(n))}, None) for n in (999, 1000))
    assert len(recipes_for(few)) == 2
    assert len(recipes_for(many)) == 1
    assert len(list(model_for(many).parameters())) == len(list(model_for(few).parameters())) + 2
    judged = Dataset("a", "csv", many.parts | {"validation": Part(np.ones((200, 3)), np.zeros(200))}, None)
    assert recipes_for(judged)[0].patience == 15
    left = np.zeros((200, 3, 16, 16), np.float32)
    left[..., :4] = 1
    for form, channels, flips in (
        ("image folder", 3, True),
        ("cifar folder", 3, True),
        ("image folder", 1, False),
        ("idx folder", 1, False),
        ("arrays", 3, False),
        ("digits", 1, False),
    ):
        x = left[:, :channels]
        augmented = recipe(form, x).augment(x, np.random.default_rng(0))
        mirrored = augmented[..., -3:].mean() > 0.1
        assert mirrored == flips, form
        assert augmented.shape == x.shape
        assert (augmented != x).any()


# ---- trainings ------------------------------------------------------------------------------------------------------------


def test_a_regression_in_the_units_of_the_target(tmp_path):
    data = parted(table(300))
    training = OwnTraining(data, seed=1)
    training.fit(progress=False)
    result = training.test()
    assert result.r2 > 0.98
    assert result.linear_r2 > 0.99
    assert result.rmse < 0.2 * result.mean_rmse
    assert str(result).startswith("test RMSE ")
    training.save(tmp_path / "a.npz")
    # Whoever loads the model needs neither scaler nor mean.
    predicted = fnn.load_model(tmp_path / "a.npz")(data.parts["test"].x).numpy()[:, 0]
    assert np.abs(predicted - data.parts["test"].y).mean() < 3


def test_results_against_their_definition():
    rng = np.random.default_rng(0)
    train, test = (Part(rng.normal(size=(n, 2)), rng.normal(size=n)) for n in (20, 10))
    design = np.c_[train.x, np.ones(20)]
    expected = np.c_[test.x, np.ones(10)] @ np.linalg.lstsq(design, train.y)[0]
    np.testing.assert_allclose(least_squares(train, test.x), expected)
    result = regressed(np.zeros(10), test, train)
    assert result.rmse == pytest.approx(np.sqrt(np.mean(test.y**2)))
    assert result.mean_rmse == pytest.approx(np.sqrt(np.mean((test.y - train.y.mean()) ** 2)))
    constant = Part(np.ones((20, 2)), train.y)
    np.testing.assert_allclose(least_squares(constant, test.x), train.y.mean())


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_floors_of_small_tables(name):
    """Wine 95 %, diabetes within 0.03 of ridge regression's R², each as the mean of five seeds."""
    datasets = pytest.importorskip("sklearn.datasets")
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    classes = ("0", "1", "2") if name == "wine" else None
    data = parted(Dataset(name, "csv", {"train": Part(x, y)}, classes))
    results = []
    recipe, _ = selected(data, recipes_for(data))
    for seed in range(5):
        training = OwnTraining(data, recipe, seed=seed)
        training.fit(progress=False)
        results.append(training.test())
    if classes:
        assert np.mean([result.right / result.total for result in results]) >= 0.95
        return
    ridge = linear_model.RidgeCV(np.logspace(-4, 2, 13)).fit(*data.parts["train"][:2])
    assert np.mean([result.r2 for result in results]) >= ridge.score(*data.parts["test"][:2]) - 0.03


def test_images_with_numbers_as_targets():
    rng = np.random.default_rng(0)
    x = rng.random((120, 1, 8, 8)).astype(np.float32) * rng.random((120, 1, 1, 1)).astype(np.float32)
    data = parted(Dataset("a", "arrays", {"train": Part(x, 10 * x.mean(axis=(1, 2, 3), dtype=np.float64))}, None))
    training = OwnTraining(data)
    training.fit(progress=False)
    result = training.test()
    assert result.r2 > 0.5
    assert result.linear_rmse is None


def test_batches_larger_than_the_data_are_refused():
    from dataclasses import replace

    data = parted(table())
    with pytest.raises(ValueError, match="batches of 81 are more than the 80 samples"):
        OwnTraining(data, replace(recipes_for(data)[0], batch_size=81))


# ---- predictors -----------------------------------------------------------------------------------------------------------


def test_a_predictor_of_images_reads_whatever_holds_images(tmp_path):
    folder = pictures(tmp_path / "p", n=12)
    training = OwnTraining(parted(read_dataset(folder)))
    training.fit(progress=False)
    assert training.test().right == training.test().total
    training.save(tmp_path / "a.npz")
    predictor = Predictor(tmp_path / "a.npz")
    whole = predictor.read(folder)
    assert (predictor.predict(whole.x).argmax(axis=1) == whole.y).all()
    assert whole.names[0].endswith("0.png")
    one = predictor.read(os.path.join(folder, "dog", "3.png"))
    assert predictor.classes[predictor.predict(one.x)[0].argmax()] == "dog"
    assert one.y is None
    several = predictor.read(os.path.join(folder, "dog"))
    assert len(several.x) == 12
    np.savez(tmp_path / "x.npz", images=(whole.x * 255).round().astype(np.uint8))
    np.testing.assert_allclose(predictor.read(tmp_path / "x.npz").x, whole.x, atol=1e-6)
    np.save(tmp_path / "y.npy", np.zeros((3, 9, 9)))
    with pytest.raises(ValueError, match=r"has samples of shape \(1, 9, 9\); the model was trained on \(3, 8, 8\)"):
        predictor.read(tmp_path / "y.npy")
    with pytest.raises(ValueError, match="is a table, but the model was trained on images"):
        predictor.read(write(tmp_path / "a.csv", "a,b\n1,2\n"))
    pictures(tmp_path / "q", classes=("cat", "emu"))
    with pytest.raises(ValueError, match="the classes 'emu' are none of the model's, 'cat', 'dog'"):
        predictor.read(tmp_path / "q")


# ---- selection ------------------------------------------------------------------------------------------------------------


def test_cross_validation_takes_what_suits_the_data():
    """A law that is not linear wants the higher rate; noise the cautious recipe. The test part has no part in it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    for y, rate in ((3 * np.abs(x[:, 0]), 1e-2), (x[:, 0] + 3 * rng.normal(size=200), 3e-3)):
        data = parted(Dataset("t", "csv", {"train": Part(x, y)}, None))
        recipe, why = selected(data, recipes_for(data))
        assert recipe.lr == rate
        assert why.startswith("3-fold cross-validation: loss ")
        other = Dataset("t", "csv", data.parts | {"test": Part(x[:5] * 1e9, y[:5])}, None)
        assert selected(other, recipes_for(other))[0] == recipe
    classes = parted(table(60, ("no", "yes")))
    assert selected(classes, recipes_for(classes))[0] in recipes_for(classes)
    assert selected(classes, recipes_for(classes)[:1] * 2)[1] == ""


def test_pictures_with_the_other_ground_are_inverted(tmp_path):
    """Digits of MNIST are light on dark, what people write is dark on light."""
    image_module = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    images = np.zeros((40, 12, 12), np.uint8)
    labels = np.arange(40) % 2
    for image, label in zip(images, labels, strict=True):
        image[3:9, 5:7] = rng.integers(180, 256)
        if label:
            image[5:7, 3:9] = 220
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    training = OwnTraining(parted(read_dataset(tmp_path / "a.npz")))
    training.fit(progress=False)
    training.save(tmp_path / "m.npz")
    predictor = Predictor(tmp_path / "m.npz")
    for i in range(4):
        image_module.fromarray(255 - images[i]).save(tmp_path / "x.png")
        samples = predictor.read(tmp_path / "x.png")
        assert samples.notes == ("1 of 1 with light ground, other than the model knows it: inverted",)
        np.testing.assert_allclose(samples.x[0, 0], images[i] / 255, atol=1e-6)
        assert predictor.predict(samples.x).argmax() == labels[i]
    image_module.fromarray(images[0]).save(tmp_path / "x.png")
    assert predictor.read(tmp_path / "x.png").notes == ()
