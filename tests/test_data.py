"""Reading digits from arrays and pictures."""

import io
import os
import sys
import zipfile

import numpy as np
import pytest

from fastnn.data import MissingExtraError, load_digits
from fastnn.data.digit_images import digit_images, read_digits


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
