"""Data of one's own in Python: recognised, parted, trained on by a recipe, and reviewed."""

import os

import numpy as np
import pytest

import fastnn as fnn
from fastnn.data import write_idx
from fastnn.data.named_arrays import read_pairs
from fastnn.data.review import review
from fastnn.data.source import Dataset, Part, default_side, parted, read_dataset, recognise
from fastnn.training.networks import image_network, table_network
from fastnn.training.own_data import OwnTraining, least_squares, regressed
from fastnn.training.predictor import Predictor
from fastnn.training.recipe import model_for, recipes_for
from fastnn.training.selection import selected


def table(n=100, classes=None, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * [1, 100, 1e-3] + [0, 1e6, 5]
    score = (x[:, 1] - 1e6) / 100 + x[:, 0]
    y = (score > 0).astype(np.int64) if classes else 40 + 7 * score
    return Dataset("t", "csv", {"train": Part(x, y)}, classes)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def pictures(folder, classes=("cat", "dog"), size=(8, 8), n=6, colour=True, seed=0):
    image_module = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(seed)
    for i, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for j in range(n):
            pixels = rng.integers(0, 100, (*size, 3)) + 120 * i
            if not colour:
                pixels[:] = pixels[..., :1]
            image_module.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{j}.png")
    return str(folder)


# ---- what is at a path ----------------------------------------------------------------------------------------------------


def test_recognised_by_content(tmp_path):
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "arrays", x=np.ones(3))
    np.save(tmp_path / "array.npy", np.ones(3))
    write_idx(tmp_path / "one", np.ones(3, np.uint8))
    (tmp_path / "pdf").write_bytes(b"%PDF-1.4")
    cifar = tmp_path / "c"
    cifar.mkdir()
    np.zeros(3073, np.uint8).tofile(cifar / "data_batch_1.bin")
    mnist = tmp_path / "m"
    mnist.mkdir()
    write_idx(mnist / "train-images-idx3-ubyte.gz", np.zeros((1, 8, 8), np.uint8))
    found = {name: recognise(tmp_path / name) for name in ("arrays.npz", "array.npy", "one", "c", "m")}
    assert found == {
        "arrays.npz": "arrays",
        "array.npy": "arrays",
        "one": "idx",
        "c": "cifar folder",
        "m": "idx folder",
    }
    assert recognise(write(tmp_path / "t.dat", "a;b\n1;2\n")) == "csv"
    assert recognise(pictures(tmp_path / "p")) == "image folder"
    pictures(tmp_path / "q" / "train")
    assert recognise(tmp_path / "q") == "parts folder"
    for name, text in (("empty", "holds nothing; expected IDX"), ("pdf", "is a PDF document; expected a CSV")):
        with pytest.raises(ValueError, match=text):
            recognise(tmp_path / name)


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("images", "labels"), ["train"]),
        (("X", "y"), ["train"]),
        (("data", "target"), ["train"]),
        (("x_train", "y_train", "x_test", "y_test"), ["train", "test"]),
        (("test_images", "test_labels", "train_images", "train_labels"), ["train", "test"]),
        (("x_train", "y_train", "x_val", "y_val", "mean"), ["train", "validation"]),
    ],
)
def test_names_of_arrays(tmp_path, names, parts):
    arrays = {
        n: np.zeros((4, 3))
        if n.lower().strip("_tesravlin") in ("x", "image", "d") or "data" in n or "images" in n
        else np.zeros((4, 1))
        for n in names
    }
    np.savez(tmp_path / "a.npz", **arrays)
    pairs = read_pairs(tmp_path / "a.npz")
    assert list(pairs) == parts
    assert all(x.shape == (4, 3) and y.shape == (4,) for x, y in pairs.values())


def test_other_arrays_are_named(tmp_path):
    def fault(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(ValueError) as caught:
            read_dataset(tmp_path / "a.npz")
        return str(caught.value)

    assert "holds the arrays 'p', 'q'; expected images and labels" in fault(p=np.ones(1), q=np.ones(1))
    assert "'x' and 'data' could both be meant" in fault(x=np.ones((1, 1)), data=np.ones((1, 1)))
    assert "has no targets for 'train'" in fault(x=np.ones((3, 1)), z=np.ones(3))
    assert "expected one real number for each of its 3 samples" in fault(x=np.ones((3, 1)), y=np.ones(4))
    assert "has no training part, only 'test'" in fault(x_test=np.ones((3, 1)), y_test=np.ones(3))
    assert "hold 1 that are not finite" in fault(x=np.ones((3, 1)), y=np.array([1, 2, np.nan]))
    assert "dtype 'object' is not supported" in fault(x=np.array([[{}]]), y=np.ones(1))
    assert "expected 1 or 3 channels" in fault(x=np.ones((2, 5, 8, 8)), y=np.ones(2, int))
    assert "have the shapes" in fault(x_train=np.ones((2, 3)), y_train=[1.0, 2], x_test=np.ones((1, 2)), y_test=[1.0])


def test_arrays_become_samples(tmp_path):
    grey = np.full((6, 8, 9), 255, np.uint8)
    np.savez(tmp_path / "a.npz", images=grey, labels=np.array([3, 1, 3, 1, 3, 7]))
    data = read_dataset(tmp_path / "a.npz")
    assert data.images
    assert data.classes == ("1", "3", "7")
    assert data.parts["train"].x.shape == (6, 1, 8, 9)
    assert data.parts["train"].x.max() == 1
    assert data.parts["train"].y.tolist() == [1, 0, 1, 0, 1, 2]
    for dtype in (np.float32, np.int64):
        np.savez(tmp_path / "f.npz", images=grey.astype(dtype), labels=np.arange(6) % 2)
        assert (read_dataset(tmp_path / "f.npz").parts["train"].x == data.parts["train"].x).all()
    np.savez(tmp_path / "f.npz", images=np.full((6, 8, 8), 300.0), labels=np.arange(6) % 2)
    assert read_dataset(tmp_path / "f.npz").parts["train"].x.max() == 300
    np.savez(tmp_path / "b.npz", x=np.ones((6, 8, 9, 3), np.float32), y=np.arange(6) / 2)
    data = read_dataset(tmp_path / "b.npz")
    assert data.classes is None
    assert data.parts["train"].x.shape == (6, 3, 8, 9)
    np.savez(tmp_path / "c.npz", x=np.ones((6, 2)), y=np.arange(6))
    assert read_dataset(tmp_path / "c.npz").classes is None
    assert read_dataset(tmp_path / "c.npz", kind="regression").classes is None
    np.savez(tmp_path / "d.npz", x=np.ones((6, 2)), y=np.array([True, False] * 3))
    assert read_dataset(tmp_path / "d.npz").classes == ("0", "1")
    with pytest.raises(ValueError, match="too many for classes"):
        read_dataset(tmp_path / "c.npz", kind="classification")


def test_a_target_must_be_named(tmp_path):
    path = write(tmp_path / "a.csv", "a,b\n1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"has the columns 'a', 'b': which is to be predicted\? --target NAME"):
        read_dataset(path)
    with pytest.raises(ValueError, match="its columns are 'a', 'b'"):
        read_dataset(path, target="c")
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    with pytest.raises(ValueError, match="is no CSV file"):
        read_dataset(tmp_path / "a.npy", target="a")
    with pytest.raises(ValueError, match="is no folder of pictures"):
        read_dataset(tmp_path / "a.npy", size=8)


def test_pictures_keep_a_usual_size_and_lose_colour_that_they_do_not_have(tmp_path):
    assert read_dataset(pictures(tmp_path / "a")).parts["train"].x.shape == (12, 3, 8, 8)
    assert read_dataset(pictures(tmp_path / "b", size=(10, 12), colour=False)).parts["train"].x.shape == (12, 1, 10, 12)
    large = pictures(tmp_path / "c", size=(70, 12))
    assert read_dataset(large).parts["train"].x.shape == (12, 3, 32, 32)
    assert read_dataset(large, size=16).parts["train"].x.shape == (12, 3, 16, 16)
    for part, n in (("train", 4), ("test", 2)):
        pictures(tmp_path / "d" / part, n=n)
    data = read_dataset(tmp_path / "d")
    assert {name: len(part.x) for name, part in data.parts.items()} == {"train": 8, "test": 4}
    (tmp_path / "a" / "cat" / "x.png").write_text("no picture")
    (tmp_path / "a" / ".ipynb_checkpoints").mkdir()
    assert any("x.png" in note and ".ipynb_checkpoints" in note for note in read_dataset(tmp_path / "a").notes)
    assert default_side(tmp_path / "c") == 32


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


# ---- reviews --------------------------------------------------------------------------------------------------------------


def findings(path, **options):
    return "\n".join(review(path, **options).findings)


def test_nothing_wrong_with_good_data(tmp_path):
    rng = np.random.default_rng(0)
    rows = "".join(
        f"{a:.3f},{'xy'[b]},{'no' if a + b < 0.5 else 'yes'}\n"
        for a, b in zip(rng.normal(size=80), rng.integers(0, 2, 80), strict=True)
    )
    path = write(tmp_path / "a.csv", "size,kind,big\n" + rows)
    found = review(path, target="big")
    assert found.findings == []
    text = "\n".join(found.facts)
    assert "80 rows of 3 columns" in text
    assert "column kind: text, 2 different: " in text
    assert "class no: " in text


def test_what_looks_wrong_in_a_table(tmp_path):
    lines = [f"{i},{i % 7},5,{i % 3},{'' if i < 4 else i * 0.5},{'x' if i == 9 else i},{i % 3}" for i in range(40)]
    lines += [lines[0], lines[0].replace("0,0,5,0", "0,0,5,1", 1)]
    path = write(tmp_path / "a.csv", "id,a,same,copy,gaps,mixed,label\n" + "\n".join(lines) + "\n")
    text = findings(path)
    assert "column 'same' is constant, '5'" in text
    assert "column 'gaps' lacks 6 of 42 values" in text
    assert "column 'mixed' holds numbers and 1 text, the first 'x' in line 11" in text
    assert "1 row is there before" in text
    assert "columns 'copy' and 'label' are equal" not in text
    lines = [f"{i},{i % 7},{i % 3},{i % 3}" for i in range(40)]
    path = write(tmp_path / "b.csv", "id,a,copy,label\n" + "\n".join(lines) + "\n")
    text = findings(path, target="label")
    assert "column 'id' has another value in each row: it seems to name the rows" in text
    assert "columns 'copy' and 'label' are equal: it gives the target away" in text
    assert "columns that give the target away: 'copy'" in text
    path = write(
        tmp_path / "c.csv", "a,label\n" + "".join(f"{i * 0.37 % 1},{1 + i % 2 * 2}\n" for i in range(40)) + "0.5,9\n"
    )
    text = findings(path, target="label")
    assert "labels" not in text
    facts = review(path, target="label").facts
    assert "note: labels begin at 1, not at 0; here the classes are numbered from 0 on" in facts
    assert "note: labels leave gaps: there is no 2, 4, 5, 6, 7, 8; here the classes are numbered from 0 on" in facts
    assert "classes with fewer than 5 samples: '9'" in text
    path = write(tmp_path / "d.csv", "a,label\n1,\n2,3\n")
    assert "`fastnn train` refuses it: read_csv:" in findings(path, target="label")
    path = write(tmp_path / "e.csv", "a,price\n" + "".join(f"{i * 0.5},{i * 1.5 + 2}\n" for i in range(40)))
    assert "columns that give the target away: 'a'" in findings(path, target="price")


def test_what_looks_wrong_in_images(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 8, 8), np.uint8)
    labels = (1 + np.arange(60) % 2 * 2).astype(np.uint8)
    images[3] = 7
    images[4] = images[5]
    folder = tmp_path / "m"
    folder.mkdir()
    for name, rows in (("train", slice(0, 50)), ("t10k", slice(50, 60))):
        part, of = images[rows].copy(), labels[rows].copy()
        if name == "t10k":
            part[0] = images[20]
            of[3] = 6
        write_idx(folder / f"{name}-images-idx3-ubyte", part)
        write_idx(folder / f"{name}-labels-idx1-ubyte", of)
    text = findings(folder)
    assert "train: 1 image of a single value: number 4" in text
    assert "train: 1 sample is there before" in text
    assert "test: 1 sample is also in train, so that a test is of what was learnt" in text
    assert "1 sample is there before with another target" in text
    assert "labels begin at 1, not at 0" in text
    assert "labels leave gaps: there is no 2, 4, 5" in text
    assert "test: classes that the training part lacks: '6'" in text
    rng.shuffle(labels)
    np.savez(tmp_path / "b.npz", x=rng.random((60, 8, 8)), y=labels)
    found = review(tmp_path / "b.npz")
    assert found.findings == []
    assert [fact.partition(";")[0] for fact in found.facts[-2:]] == [
        "note: labels begin at 1, not at 0",
        "note: labels leave gaps: there is no 2",
    ]
    np.savez(tmp_path / "a.npz", x=np.full((9, 8, 8), np.nan), y=np.zeros(9, int))
    text = findings(tmp_path / "a.npz")
    assert "train: 576 values are not finite" in text
    assert "there is only one class" in text


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
