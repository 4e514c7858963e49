"""Batches, splits, augmentation, and reading digits from arrays and pictures."""

import io
import os
import sys
import zipfile

import numpy as np
import pytest

from fastnn.data import Batches, MissingExtraError, load_digits, random_noise, random_shift, stratified_split
from fastnn.data.digit_images import digit_images, read_digits


def test_batches_cover_everything_once():
    x = np.arange(10)
    seen = [b for (b,) in Batches(x, batch_size=4, shuffle=True, rng=1)]
    assert [len(b) for b in seen] == [4, 4, 2]
    assert sorted(np.concatenate(seen)) == list(x)


def test_batches_in_order_without_shuffling():
    assert [b.tolist() for (b,) in Batches(range(5), batch_size=2)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(("drop_last", "length"), [(False, 3), (True, 2)])
def test_drop_last(drop_last, length):
    batches = Batches(np.arange(10), batch_size=4, drop_last=drop_last)
    assert len(batches) == len(list(batches)) == length


def test_arrays_stay_together_and_orders_differ():
    x = np.arange(100)
    batches = Batches(x, x * 2, batch_size=10, shuffle=True, rng=3)
    first, second = ([np.concatenate(part) for part in zip(*batches, strict=True)] for _ in range(2))
    for a, b in (first, second):
        assert (b == 2 * a).all()
    assert (first[0] != second[0]).any()


def test_one_seed_one_sequence_and_state_resumes():
    def make():
        return Batches(np.arange(20.0), batch_size=7, shuffle=True, transform=lambda x, rng: x + rng.random(), rng=9)

    a, b = make(), make()
    for (x,), (y,) in zip(a, b, strict=True):
        assert (x == y).all()
    resumed = make()
    resumed.rng.bit_generator.state = a.rng.bit_generator.state
    for (x,), (y,) in zip(a, resumed, strict=True):
        assert (x == y).all()


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_may_be_changed_in_place(shuffle):
    def halve(batch, rng):
        batch *= 0.5
        return batch

    x, y = np.ones((5, 2)), np.ones(5)
    for a, b in Batches(x, y, batch_size=2, shuffle=shuffle, transform=halve):
        a *= 0.5
        b *= 0.5
        assert (a == 0.25).all()
        assert (b == 0.5).all()
    assert (x == 1).all()
    assert (y == 1).all()


def test_no_samples_no_batches():
    assert list(Batches(np.empty((0, 3)), batch_size=2)) == []


@pytest.mark.parametrize(
    ("arrays", "size", "error"),
    [
        ((), 1, ValueError),
        ((np.ones(3), np.ones(4)), 1, ValueError),
        ((np.float64(3),), 1, ValueError),
        ((np.ones(3),), 0, ValueError),
        ((np.ones(3),), -1, ValueError),
        ((np.ones(3),), 1.5, TypeError),
        ((np.ones(3), np.ma.array([1, 2, 3], mask=[0, 1, 0])), 1, TypeError),
    ],
)
def test_bad_batches(arrays, size, error):
    with pytest.raises(error):
        Batches(*arrays, batch_size=size)


def test_split_is_disjoint_complete_proportional_and_fixed():
    labels = np.random.default_rng(0).integers(0, 5, 500)
    parts = stratified_split(labels, [0.2, 0.1], seed=4)
    assert sorted(np.concatenate(parts)) == list(range(500))
    for label in range(5):
        count = (labels == label).sum()
        for share, part in zip([0.2, 0.1, 0.7], parts, strict=True):
            assert abs((labels[part] == label).sum() - share * count) <= 1
    for a, b in zip(parts, stratified_split(labels, [0.2, 0.1], seed=4), strict=True):
        assert (a == b).all()
    assert stratified_split([0, 0, 0, 0, 1, 1], [0.5], seed=0)[0].tolist() == [2, 3, 4]  # the stream of RandomState


@pytest.mark.parametrize(
    ("labels", "fractions"), [([[1]], [0.5]), ([1], [0.6, 0.6]), ([1], [-0.1]), ([1], [float("nan")])]
)
def test_bad_split(labels, fractions):
    with pytest.raises(ValueError, match=r"^stratified_split: "):
        stratified_split(labels, fractions, seed=0)


def test_split_of_nothing():
    assert [len(part) for part in stratified_split([], [0.5], seed=0)] == [0, 0]


def test_shift_moves_by_whole_pixels():
    images = np.zeros((200, 2, 5, 6), np.float32)
    images[:, :, 2, 3] = 1
    before = images.copy()
    shifted = random_shift(images, np.random.default_rng(0), pixels=1)
    assert (images == before).all()
    assert shifted.dtype == np.float32
    assert shifted.flags.c_contiguous
    assert (shifted.sum(axis=(2, 3)) == 1).all()
    rows, columns = np.divmod(shifted.reshape(200, 2, -1).argmax(axis=2), 6)
    assert (rows[:, 0] == rows[:, 1]).all()
    assert set(zip(rows[:, 0] - 2, columns[:, 0] - 3, strict=True)) == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}


def test_shift_share():
    images = np.zeros((1000, 1, 3, 3))
    images[:, 0, 1, 1] = 1
    still = random_shift(images, np.random.default_rng(0), share=0.5)[:, 0, 1, 1].mean()
    assert abs(still - (0.5 + 0.5 / 9)) < 0.05
    assert (random_shift(images, np.random.default_rng(0), share=0.0) == images).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise(dtype):
    images = np.ones((100, 1, 8, 8), dtype)
    noisy = random_noise(images, np.random.default_rng(0), 0.1)
    assert noisy.dtype == dtype
    assert (images == 1).all()
    assert abs(noisy.std() - 0.1) < 0.01


def test_noise_refuses_integers():
    with pytest.raises(TypeError, match="random_noise: images must be of a float dtype, got uint8"):
        random_noise(np.zeros((2, 1, 8, 8), np.uint8), np.random.default_rng(0), 0.1)


def test_digits():
    pytest.importorskip("sklearn")
    data = load_digits()
    assert [len(part.labels) for part in data] == [1258, 180, 359]
    for images, labels in data:
        assert images.dtype == np.float32
        assert images.shape[1:] == (1, 8, 8)
        assert labels.dtype == np.int64
        assert images.min() == 0
        assert images.max() == 1
        assert np.ptp(np.bincount(labels)) <= 6
    rows = np.concatenate([part.images for part in data]).reshape(-1, 64)
    assert len(rows) == 1797


def test_missing_scikit_learn_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"scikit-learn: pip install 'fastnn\[demo\]'"):
        load_digits()


def seven(side=8, background=0.0, ink=1.0):
    """A seven whose strokes are an eighth of the side wide."""
    image = np.zeros((8, 8))
    image[0, 2:7] = 1
    for row in range(1, 8):
        image[row, 6 - row // 2] = 1
    image = np.kron(image, np.ones((side // 8, side // 8)))
    return background + (ink - background) * image


@pytest.mark.parametrize(
    ("scale", "dtype"), [(1, np.float32), (1, bool), (16, np.uint8), (16, np.float64), (255, np.uint8)]
)
@pytest.mark.parametrize("dark", [False, True])
def test_scales_and_polarities(scale, dtype, dark):
    array = (abs(dark - seven()) * scale).astype(dtype)
    before = array.copy()
    found = digit_images(array)
    assert (array == before).all()
    assert found.images.dtype == np.float32
    assert found.images.shape == (1, 1, 8, 8)
    assert (found.images[0, 0] == seven()).all()
    assert (found.scale, found.inverted, found.shape) == (scale, dark, (8, 8))


@pytest.mark.parametrize(
    ("shape", "count"),
    [((8, 8), 1), ((5, 8, 8), 5), ((5, 1, 8, 8), 5), ((64,), 1), ((5, 64), 5), ((1, 64), 1), ((0, 8, 8), 0)],
)
def test_shapes(shape, count):
    array = np.random.default_rng(0).integers(0, 17, shape)
    images = digit_images(array, ink="light", scale=16).images
    assert images.shape == (count, 1, 8, 8)
    assert (images.reshape(-1) == array.reshape(-1).astype(np.float32) / 16).all()


@pytest.mark.parametrize("shape", [(), (3,), (0, 0), (0, 5), (64, 64), (2, 3, 8, 8), (1, 1, 1, 8, 8), (3, 0, 8)])
def test_shapes_that_are_refused(shape):
    with pytest.raises(ValueError, match=r"^digit_images: "):
        digit_images(np.zeros(shape))


def test_explicit_scale_and_ink_win():
    assert digit_images(np.ones((8, 8)), scale=16, ink="light").images.max() == np.float32(1 / 16)
    assert digit_images(seven(), ink="dark").images[0, 0, 0, 3] == 0


@pytest.mark.parametrize(
    ("array", "options", "error"),
    [
        (np.full((8, 8), -1), {}, ValueError),
        (np.full((8, 8), 256), {}, ValueError),
        (np.full((8, 8), np.nan), {}, ValueError),
        (np.full((8, 8), np.inf), {}, ValueError),
        (np.full((8, 8), 17), {"scale": 16}, ValueError),
        (np.full((8, 8), 1), {"scale": 3}, ValueError),
        (np.full((8, 8), 1j), {}, TypeError),
        (np.full((8, 8), "a"), {}, TypeError),
        (np.full((8, 8), None), {}, TypeError),
    ],
)
def test_pixels_that_are_refused(array, options, error):
    with pytest.raises(error, match=r"^digit_images: "):
        digit_images(array, **options)


def test_other_sizes_are_fitted_around_the_ink():
    page = np.full((100, 150), 230, np.uint8)
    page[20:68, 70:118] = seven(48, 230, 30)
    fitted = digit_images(page)
    assert fitted.inverted == 1
    # The ink's box is 8 cells high and 5 wide; it is centred, half a cell to the left of where `seven` has it.
    assert (fitted.images[0, 0, :, 0] == 0).all()
    assert fitted.images[0, 0].max() == 1
    assert fitted.images[0, 0, 0].max() > 0.9
    assert fitted.images[0, 0, 7].max() > 0.4
    small = digit_images(seven(8)[None, :, 2:7])  # 8×5: enlarged in nothing, centred
    np.testing.assert_allclose(small.images, fitted.images, atol=1e-6)


def test_blank_images():
    assert not digit_images(np.zeros((2, 20, 20))).images.any()
    assert not digit_images(np.ones((2, 20, 20))).images.any()
    assert not digit_images(np.zeros((2, 8, 8))).images.any()


def test_npy_and_npz(tmp_path):
    images = np.array([seven() * 16, seven()])
    np.save(tmp_path / "a.npy", images)
    np.savez(tmp_path / "one.npz", anything=images)
    np.savez_compressed(tmp_path / "many.npz", images=images, labels=np.arange(2))
    for name in ("a.npy", "one.npz", "many.npz"):
        assert (read_digits(str(tmp_path / name)).images[:, 0] * 16 == images).all()
    assert read_digits(str(tmp_path / "many.npz"), name="images").scale == 16
    with pytest.raises(ValueError, match="no 'x'"):
        read_digits(str(tmp_path / "many.npz"), name="x")
    np.savez(tmp_path / "other.npz", a=images, b=images)
    with pytest.raises(ValueError, match="holds a, b; name the array"):
        read_digits(str(tmp_path / "other.npz"))


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("ran",))


def hostile_files():
    pickled = io.BytesIO()
    np.save(pickled, np.array([Bomb()]), allow_pickle=True)
    plain = io.BytesIO()
    np.save(plain, np.zeros((3, 8, 8)))
    huge = plain.getvalue().replace(b"(3, 8, 8), }      ", b"(3000000000, 8, 8)")[:-500]
    packed = {}
    for name, data in {"pickled": pickled.getvalue(), "huge": huge, "nothing": b"", "text": b"hello"}.items():
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("images.npy", data)
        packed[f"{name} in npz"] = archive.getvalue()
    return packed | {
        "empty": b"",
        "pickled": pickled.getvalue(),
        "truncated": plain.getvalue()[:-1],
        "header only": plain.getvalue()[:20],
        "huge": huge,
        "zip cut": packed["huge in npz"][:-10],
        "empty zip": b"PK\x05\x06" + bytes(18),
        "text": b"no picture either",
        "png cut": b"\x89PNG\r\n\x1a\n" + bytes(30),
    }


@pytest.mark.parametrize("kind", hostile_files())
def test_bad_files_are_refused(tmp_path, monkeypatch, kind):
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").write_bytes(hostile_files()[kind])
    with pytest.raises(ValueError, match="bad"):
        read_digits(str(tmp_path / "bad"))
    assert not os.path.exists("ran")


def picture(mode):
    image = pytest.importorskip("PIL.Image")
    grey = np.zeros((40, 40))
    grey[4:36, 4:36] = seven(32)
    light = (255 - 255 * grey).astype(np.uint8)
    if mode == "dark on light":
        return image.fromarray(light)
    if mode == "light on dark":
        return image.fromarray(255 - light)
    if mode == "colour":
        return image.fromarray(np.stack([light, light, np.full_like(light, 255)], axis=2))
    if mode == "palette":
        return image.fromarray(light).convert("P")
    if mode == "one bit":
        return image.fromarray(light).convert("1")
    if mode == "sixteen bits":
        return image.fromarray(light.astype(np.uint16) * 257)
    return image.fromarray(np.stack([light * 0] * 3 + [255 - light], axis=2))  # black ink on a transparent ground


@pytest.mark.parametrize(
    "mode", ["dark on light", "light on dark", "colour", "palette", "one bit", "sixteen bits", "transparent"]
)
def test_pictures(tmp_path, mode):
    picture(mode).save(tmp_path / "seven.png")
    read = read_digits(str(tmp_path / "seven.png"))
    expected = digit_images(seven()[:, 1:]).images
    assert read.scale == 255
    assert read.inverted == (mode != "light on dark")
    np.testing.assert_allclose(read.images, expected, atol=0.02)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "mode"), [("png", "dark on light"), ("png", "sixteen bits"), ("tif", "sixteen bits")])
def test_pictures_are_turned_as_they_say(tmp_path, orientation, kind, mode):
    """Which rows and columns of the file are which of the picture, by the table of the EXIF standard."""
    image = pytest.importorskip("PIL.Image")
    upright = np.asarray(picture(mode))
    stored = upright.T if orientation > 4 else upright
    if orientation in (2, 3, 7, 8):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 6, 7):
        stored = stored[::-1]
    exif = image.Exif()
    exif[0x0112] = orientation
    image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a.{kind}", exif=exif)
    np.testing.assert_allclose(
        read_digits(str(tmp_path / f"a.{kind}")).images, digit_images(seven()[:, 1:]).images, atol=0.02
    )


def test_damaged_exif_data_are_passed_over(tmp_path):
    picture("dark on light").save(tmp_path / "a.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff", quality=95)
    assert read_digits(str(tmp_path / "a.jpg")).images.shape == (1, 1, 8, 8)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pictures_of_32_bits_are_refused(tmp_path, dtype):
    image = pytest.importorskip("PIL.Image")
    image.fromarray((255 * seven(32)).astype(dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif.*of 32 bits, whose full brightness is not known"):
        read_digits(str(tmp_path / "a.tif"))


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_and_pgm_of_16_bits(tmp_path, order):
    pytest.importorskip("PIL.Image")
    grey = np.zeros((40, 40), np.uint16)
    grey[4:36, 4:36] = seven(32) * 65535
    (tmp_path / "a.pgm").write_bytes(b"P5 40 40 65535\n" + grey.astype(">u2").tobytes())
    # A TIFF file by hand: width, height, bits, no compression, black is 0, one strip at 8, one sample, its length.
    tags = {256: 40, 257: 40, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: 40, 279: grey.nbytes}
    entries = b"".join(
        np.array([tag, 4], order + "u2").tobytes() + np.array([1, value], order + "u4").tobytes()
        for tag, value in tags.items()
    )
    head = (
        (b"II" if order == "<" else b"MM")
        + np.array([42], order + "u2").tobytes()
        + np.array([8 + grey.nbytes], order + "u4").tobytes()
    )
    table = np.array([len(tags)], order + "u2").tobytes() + entries + bytes(4)
    (tmp_path / "a.tif").write_bytes(head + grey.astype(order + "u2").tobytes() + table)
    expected = digit_images(seven()[:, 1:]).images
    for name in ("a.pgm", "a.tif"):
        np.testing.assert_allclose(read_digits(str(tmp_path / name)).images, expected, atol=0.02)


def test_jpeg(tmp_path):
    picture("dark on light").save(tmp_path / "seven.jpg")
    assert read_digits(str(tmp_path / "seven.jpg")).images.shape == (1, 1, 8, 8)


def test_missing_pillow_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError, match=r"Pillow: pip install 'fastnn\[images\]'"):
        read_digits(str(tmp_path / "a.png"))
