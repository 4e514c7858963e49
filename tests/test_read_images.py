"""Folders of pictures: classes, what is skipped, sizes, and pictures as viewers show them."""

import os
import sys
import warnings

import numpy as np
import pytest

from fastnn.data import LabelledImages, MissingExtraError, read_image, read_image_folder, read_image_parts

image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 8, 10, 3), np.uint8)


@pytest.fixture
def photos(tmp_path):
    """Two classes of three pictures."""
    return fill(tmp_path / "photos", {"cat": PIXELS[:3], "dog": PIXELS[3:]})


def fill(folder, classes, ending="png"):
    for name, pictures in classes.items():
        (folder / name).mkdir(parents=True)
        for i, pixels in enumerate(pictures):
            image.fromarray(pixels).save(folder / name / f"{i}.{ending}")
    return folder


def channels_first(pixels):
    return np.moveaxis(pixels, -1, 1).astype(np.float32) / 255


def fault(call, path):
    with pytest.raises(ValueError) as info:
        call()
    text = str(info.value)
    assert text.startswith(("read_image_folder: ", "read_image_parts: "))
    assert repr(str(path))[:-1] in text
    return text


def test_a_class_for_each_folder(photos):
    data = read_image_folder(photos)
    np.testing.assert_array_equal(data.images, channels_first(PIXELS), strict=True)
    np.testing.assert_array_equal(data.labels, np.repeat([0, 1], 3).astype(np.int64), strict=True)
    assert data.classes == ("cat", "dog")
    assert data.files == tuple(os.path.join(photos, name, f"{i}.png") for name in data.classes for i in range(3))
    assert data.skipped == ()
    assert data.images.flags.c_contiguous


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["1", "10", "2"], ["1", "2", "10"]),
        (["-1", "+1", "0"], ["-1", "0", "+1"]),
        (["b10", "b9", "a"], ["a", "b9", "b10"]),
        (["x", "10", "9"], ["9", "10", "x"]),
        (["Zebra", "ant"], ["ant", "Zebra"]),
        (["a1", "a", "A", "a1b", "1a", "01a"], ["01a", "1a", "A", "a", "a1", "a1b"]),
        (["9" * 30, "9", "x" + "9" * 30], ["9", "9" * 30, "x" + "9" * 30]),
    ],
)
def test_the_order_of_classes(tmp_path, names, order):
    pixels = {name: PIXELS[i : i + 1] for i, name in enumerate(names)}
    data = read_image_folder(fill(tmp_path, pixels))
    assert list(data.classes) == order
    for row, label in zip(data.images, data.labels, strict=True):
        assert (row == channels_first(pixels[data.classes[label]])[0]).all()


def test_files_in_natural_order(tmp_path):
    read = read_image_folder(fill(tmp_path, {"a": np.repeat(PIXELS[:1], 11, axis=0)}))
    assert [os.path.basename(name) for name in read.files] == [f"{i}.png" for i in range(11)]


def test_what_systems_leave_is_skipped_and_named(photos):
    left = [".DS_Store", "cat/.DS_Store", "cat/._0.png", "cat/Thumbs.db", "dog/desktop.ini", "labels.csv"]
    for folder in (".ipynb_checkpoints", "__MACOSX", "cat/.ipynb_checkpoints"):
        (photos / folder).mkdir()
        (photos / folder / "0.png").write_bytes(b"whatever")
        left.append(folder)
    for name in left:
        if not (photos / name).exists():
            (photos / name).write_bytes(b"whatever")
    data = read_image_folder(photos)
    np.testing.assert_array_equal(data.images, channels_first(PIXELS))
    assert set(data.skipped) == {os.path.join(photos, name) for name in left}


BROKEN = {
    "empty.png": (b"", "is empty"),
    "html.jpg": (b"<!DOCTYPE html><html>", "is an HTML page, perhaps of a download that failed"),
    "lfs.png": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "cut.png": (b"\x89PNG\r\n\x1a\n" + bytes(30), "is a PNG picture that is damaged or cannot be read"),
    "notes.txt": (b"my cats", "is text that begins with 'my cats'"),
    "zip.png": (b"PK\x03\x04" + bytes(30), "is a zip archive"),
}


def test_broken_files_are_skipped_with_a_warning_that_names_all(photos):
    for name, (data, _) in BROKEN.items():
        (photos / "cat" / name).write_bytes(data)
    (photos / "cat" / "link.png").symlink_to(photos / "nowhere")
    with pytest.warns(UserWarning, match=r"^read_image_folder: 7 files skipped: ") as caught:
        data = read_image_folder(photos)
    np.testing.assert_array_equal(data.images, channels_first(PIXELS))
    assert data.images.base is None  # no room is kept for those that are not there
    text = str(caught[0].message)
    for name, (_, what) in BROKEN.items():
        assert f"{os.path.join(photos, 'cat', name)!r} {what}" in text
        assert any(name in why and what in why for why in data.skipped)
    assert "link.png" in text
    assert "cut.png' is a PNG" in fault(lambda: read_image_folder(photos, skip_broken=False), photos / "cat")


def test_cut_pictures_of_all_kinds(tmp_path):
    whole = np.kron(PIXELS[0], np.ones((8, 8, 1), np.uint8))
    for ending in ("png", "jpg", "gif", "bmp", "tif", "webp"):
        folder = fill(tmp_path / ending, {"a": [whole, whole]}, ending)
        file = folder / "a" / f"1.{ending}"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        with pytest.warns(UserWarning, match=rf"1 file skipped: .*1\.{ending}"):
            assert len(read_image_folder(folder).labels) == 1


def test_a_class_of_which_nothing_is_left(photos):
    (photos / "eel").mkdir()
    text = fault(lambda: read_image_folder(photos), photos / "eel")
    assert "the folder of a class, has no picture that can be read" in text
    (photos / "eel" / "a.png").write_bytes(b"")
    assert "a.png' is empty" in fault(lambda: read_image_folder(photos), photos / "eel")


def test_folders_that_are_something_else(tmp_path, photos):
    empty = tmp_path / "photos" / ".empty"
    empty.mkdir()
    assert "has no sub-folders, one for each class; it holds nothing" in fault(lambda: read_image_folder(empty), empty)
    assert "has folders in it, 'cat', 'dog'; expected pictures" in fault(lambda: read_image_folder(tmp_path), photos)
    assert "it holds '0.png', '1.png', '2.png'" in fault(lambda: read_image_folder(photos / "cat"), photos / "cat")
    with pytest.raises(NotADirectoryError):
        read_image_folder(photos / "cat" / "0.png")
    with pytest.raises(FileNotFoundError):
        read_image_folder(tmp_path / "no")


def test_classes_that_are_given(photos):
    data = read_image_folder(photos, classes=["dog", "eel", "cat"])
    assert data.classes == ("dog", "eel", "cat")
    assert data.labels.tolist() == [0] * 3 + [2] * 3
    assert data.files[0].endswith(os.path.join("dog", "0.png"))
    assert "has 'dog', which are none of the classes" in fault(
        lambda: read_image_folder(photos, classes=["cat"]), photos
    )


# ---- sizes --------------------------------------------------------------------------------------------------------------


def test_sizes_that_differ(photos):
    image.fromarray(np.zeros((5, 7, 3), np.uint8)).save(photos / "dog" / "9.png")
    text = fault(lambda: read_image_folder(photos), photos / "dog" / "9.png")
    assert "has 5×7 pixels (height×width)" in text
    assert "8×10; pass size=" in text
    assert read_image_folder(photos, 4).images.shape == (7, 3, 4, 4)
    assert read_image_folder(photos, (4, 6)).images.shape == (7, 3, 4, 6)


@pytest.mark.parametrize("size", [0, -1, (3, 0), (1, 2, 3), 2.5, "8", True])
def test_wrong_sizes(photos, size):
    with pytest.raises((ValueError, TypeError), match=r"^read_image_folder: size"):
        read_image_folder(photos, size)


def test_wrong_mode(photos):
    with pytest.raises(ValueError, match=r"^read_image_folder: mode must be 'RGB' or 'L', got 'CMYK'"):
        read_image_folder(photos, mode="CMYK")


@pytest.mark.parametrize(("size", "factor"), [((8, 10), 1), ((16, 20), 2)])
def test_constant_blocks_keep_their_levels(tmp_path, size, factor):
    """Enlarged, each pixel stays within its neighbours; of the same size, all bits stay."""
    data = read_image_folder(fill(tmp_path, {"a": PIXELS[:1]}), size)
    if factor == 1:
        np.testing.assert_array_equal(data.images, channels_first(PIXELS[:1]))
    assert data.images.min() >= PIXELS[0].min() / 255 - 1e-6
    assert data.images.max() <= PIXELS[0].max() / 255 + 1e-6


def test_reduced_pixels_are_means_and_none_is_left_out(tmp_path):
    """Stripes of one pixel become grey instead of one of the two colours."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    reduced = read_image_folder(fill(tmp_path, {"a": [stripes]}), 8).images
    np.testing.assert_allclose(reduced, 0.5, atol=0.07)


# ---- pictures as viewers show them ----------------------------------------------------------------------------------------


def save(folder, picture, name="0.png", **options):
    (folder / "a").mkdir(exist_ok=True)
    picture.save(folder / "a" / name, **options)
    return read_image_folder(folder), read_image_folder(folder, mode="L")


def test_grey_and_colour(tmp_path):
    grey = PIXELS[0, :, :, 0]
    colour, single = save(tmp_path, image.fromarray(grey))
    assert single.images.shape == (1, 1, 8, 10)
    np.testing.assert_array_equal(single.images[0, 0], grey.astype(np.float32) / 255)
    np.testing.assert_array_equal(colour.images[0], np.repeat(single.images[0], 3, axis=0))


@pytest.mark.parametrize("mode", ["1", "P", "LA", "CMYK", "YCbCr", "RGBA"])
def test_other_modes(tmp_path, mode):
    picture = image.fromarray(PIXELS[0]).convert(mode)
    colour, _ = save(tmp_path, picture, "0.tif")
    np.testing.assert_array_equal(colour.images[0], channels_first(np.asarray(picture.convert("RGB"))[None])[0])


def test_transparency_is_white(tmp_path):
    pixels = np.zeros((8, 10, 4), np.uint8)
    pixels[:, 5:, 3] = 255  # opaque black on the right
    colour, single = save(tmp_path, image.fromarray(pixels))
    assert (colour.images[..., :5] == 1).all()
    assert (colour.images[..., 5:] == 0).all()
    assert (single.images == colour.images[:, :1]).all()


def test_sixteen_bits(tmp_path):
    levels = (PIXELS[0, :, :, 0].astype(np.uint16) << 8) + 77
    _, single = save(tmp_path, image.fromarray(levels))
    np.testing.assert_array_equal(single.images[0, 0], PIXELS[0, :, :, 0].astype(np.float32) / 255)


def test_pictures_are_turned_as_they_say(tmp_path):
    exif = image.Exif()
    exif[0x0112] = 6  # the first row is on the right
    colour, _ = save(tmp_path, image.fromarray(np.ascontiguousarray(np.rot90(PIXELS[0]))), exif=exif)
    np.testing.assert_array_equal(colour.images, channels_first(PIXELS[:1]))


def test_warnings_about_damaged_metadata_are_not_the_users(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(tmp_path, image.fromarray(PIXELS[0]), "0.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fastnn.data.pictures._MAX_PIXELS", 79)
    folder = fill(tmp_path, {"a": PIXELS[:1]})
    assert "10 x 8 pixels are too many" in fault(lambda: read_image_folder(folder), folder / "a")


def test_memory_that_is_not_there(photos, monkeypatch):
    def refuse(*args, **options):
        raise MemoryError

    monkeypatch.setattr(np, "empty", refuse)
    text = "6 pictures of 8×10 pixels take more memory than there is, 5 760 bytes; pass "
    for size, advice in ((None, "size="), ((8, 10), "a smaller size=")):
        with pytest.raises(ValueError, match=rf"^read_image_folder: {text}{advice}"):
            read_image_folder(photos, size)


def test_missing_pillow_is_named(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError, match=r"reading pictures needs Pillow: pip install 'fastnn\[images\]'"):
        read_image_folder(photos)


# ---- parts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("train", "val", "test"), [("train", "val", "test"), ("Training", None, "testing")])
def test_parts(tmp_path, train, val, test):
    fill(tmp_path / train, {"b": PIXELS[:2], "a": PIXELS[2:3], "c": PIXELS[3:4]})
    fill(tmp_path / test, {"b": PIXELS[4:5], "c": PIXELS[5:]})
    if val:
        fill(tmp_path / val, {"c": PIXELS[:1]})
    (tmp_path / "README").write_text("beside")
    sets = read_image_parts(tmp_path, mode="L")
    assert sets.train.labels.tolist() == [0, 1, 1, 2]
    assert sets.test.labels.tolist() == [1, 2]
    assert sets.test.classes == sets.train.classes == ("a", "b", "c")
    assert sets.test.images.shape == (2, 1, 8, 10)
    assert (sets.validation.labels.tolist() == [2]) if val else (sets.validation is None)
    assert "has the parts" in fault(lambda: read_image_folder(tmp_path), tmp_path)


def test_parts_that_do_not_fit(tmp_path, photos):
    assert "has no folder train" in fault(lambda: read_image_parts(photos), photos)
    fill(tmp_path / "p" / "train", {"a": PIXELS[:1]})
    fill(tmp_path / "p" / "test", {"b": PIXELS[:1]})
    assert "has 'b', which are none of the classes" in fault(lambda: read_image_parts(tmp_path / "p"), tmp_path / "p")
    (tmp_path / "p" / "training").mkdir()
    assert "one part under several names" in fault(lambda: read_image_parts(tmp_path / "p"), tmp_path / "p")


@pytest.mark.parametrize("size", [None, 4, (5, 3)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_one_picture_is_read_as_those_of_a_folder(photos, size, mode):
    data = read_image_folder(photos, size, mode)
    for file, expected in zip(data.files, data.images, strict=True):
        found = read_image(file, size, mode)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_one_picture_that_is_none(tmp_path, photos):
    (tmp_path / "text.png").write_text("nothing")
    with pytest.raises(ValueError, match=r"^read_image: '.*text\.png' is text that .*; expected a picture"):
        read_image(tmp_path / "text.png")
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "missing.png")
    with pytest.raises(ValueError, match=r"^read_image: mode must be"):
        read_image(photos / "cat" / "0.png", mode="rgb")
    with pytest.raises(ValueError, match=r"^read_image: size"):
        read_image(photos / "cat" / "0.png", 0)


def test_the_repr_is_short(photos):
    data = read_image_folder(photos)
    assert repr(data) == "LabelledImages(float32 of shape (6, 3, 8, 10), classes 'cat', 'dog')"
    assert repr(data._replace(skipped=("a", "b"))).endswith("'dog', 2 skipped)")
    assert isinstance(data, LabelledImages)
