"""Augmentation: each image by itself, the input untouched, the same generator the same batch."""

import pickle
from functools import partial

import numpy as np
import pytest

from fastnn.data import Batches, compose, drop_values, random_crop, random_flip, random_noise, random_shift

FUNCTIONS = {
    "flip": random_flip,
    "flip rows": partial(random_flip, p=0.3, axis=-2),
    "crop": partial(random_crop, padding=2),
    "crop, reflected": partial(random_crop, padding=(1, 2), size=(5, 4), mode="reflect"),
    "shift": partial(random_shift, pixels=2),
    "shift some": partial(random_shift, pixels=(0, 3), share=0.5),
    "noise": partial(random_noise, std=0.2),
    "gaps": partial(drop_values, share=0.3, fill=0.0),
}
FUNCTIONS["all"] = compose(*FUNCTIONS.values())


def generator(seed=0):
    return np.random.default_rng(seed)


def images(n=6, shape=(2, 5, 6), dtype=np.float32):
    return generator(9).uniform(1, 100, (n, *shape)).astype(dtype)


DTYPES = [np.float32, np.float64, np.float16, ">f4", np.uint8, np.int64, bool]
FLOATS_ONLY = {"noise", "gaps", "all"}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(n, t) for n in FUNCTIONS for t in DTYPES if n not in FLOATS_ONLY or np.dtype(t).kind == "f"],
)
def test_dtype_stays_and_the_batch_is_not_changed(name, dtype):
    x = images(dtype=dtype)
    before = x.copy()
    x.flags.writeable = False
    y = FUNCTIONS[name](x, generator())
    assert (x == before).all()
    assert y.dtype == x.dtype
    assert y.flags.c_contiguous
    assert y.flags.writeable
    assert not np.may_share_memory(x, y)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_generator_decides_everything(name):
    x = images(50)
    first, again, other = (FUNCTIONS[name](x, generator(seed)) for seed in (3, 3, 4))
    assert (first == again).all()
    assert first.shape == other.shape
    assert (first != other).any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_images_of_one_batch_get_different_draws(name):
    x = np.repeat(images(1), 100, axis=0)
    y = FUNCTIONS[name](x, generator())
    assert len(np.unique(y, axis=0)) > 1


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("n", [0, 1])
def test_few_images(name, n):
    y = FUNCTIONS[name](images(n), generator())
    assert y.shape[:2] == (n, 2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_memory_order_does_not_matter(name):
    x = images(10)
    strided = np.repeat(x, 2, axis=-1)[..., ::2]
    for other in (np.asfortranarray(x), strided, x[::-1][::-1]):
        assert (FUNCTIONS[name](other, generator()) == FUNCTIONS[name](x, generator())).all()


def test_flip_by_definition():
    x = images(300)
    y = random_flip(x, generator(), p=0.3)
    flipped = generator().random(300) < 0.3
    for one, before, mirrored in zip(y, x, flipped, strict=True):
        assert (one == (before[..., ::-1] if mirrored else before)).all()
    assert (random_flip(x, generator(), p=1) == x[..., ::-1]).all()
    assert (random_flip(x, generator(), p=0) == x).all()
    assert (random_flip(x, generator(), p=1, axis=2) == x[:, :, ::-1]).all()


def test_signals_and_rows_can_be_flipped():
    x = generator().random((40, 3, 7))
    assert (random_flip(x, generator(), p=1.0) == x[..., ::-1]).all()
    assert (random_flip(x[:, 0], generator(), p=1.0) == x[:, 0, ::-1]).all()


def by_definition(x, rows, columns, size, padding, mode):
    padded = [np.pad(one, ((0, 0), (padding[0],) * 2, (padding[1],) * 2), mode=mode) for one in x]
    return [p[:, r : r + size[0], c : c + size[1]] for p, r, c in zip(padded, rows, columns, strict=True)]


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
@pytest.mark.parametrize(("padding", "size"), [(4, None), (0, 3), ((1, 0), (7, 2)), (9, (1, 24)), (0, None)])
def test_crop_by_definition(mode, padding, size):
    x = images(200)
    y = random_crop(x, generator(), padding=padding, size=size, mode=mode)
    padding, size = np.broadcast_to(padding, 2), np.broadcast_to((5, 6) if size is None else size, 2)
    rng = generator()
    places = np.array([5, 6]) + 2 * padding - size + 1
    rows, columns = (rng.integers(0, n, 200) for n in places)
    expected = by_definition(x, rows, columns, size, padding, "constant" if mode == "zeros" else mode)
    assert (y == np.array(expected)).all()
    assert len(set(zip(rows, columns, strict=True))) > min(places.prod() - 1, 60)


def test_crop_of_images_that_are_one_pixel_wide():
    x = images(20, (1, 1, 1))
    assert (random_crop(x, generator(), padding=3, mode="reflect") == x).all()


def test_shift_moves_by_whole_pixels():
    x = np.zeros((200, 2, 5, 6), np.float32)
    x[:, :, 2, 3] = 1
    shifted = random_shift(x, generator(), pixels=1)
    assert (shifted.sum(axis=(2, 3)) == 1).all()
    rows, columns = np.divmod(shifted.reshape(200, 2, -1).argmax(axis=2), 6)
    assert (rows[:, 0] == rows[:, 1]).all()
    assert set(zip(rows[:, 0] - 2, columns[:, 0] - 3, strict=True)) == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}


def test_shift_share():
    x = np.zeros((1000, 1, 3, 3))
    x[:, 0, 1, 1] = 1
    still = random_shift(x, generator(), share=0.5)[:, 0, 1, 1].mean()
    assert abs(still - (0.5 + 0.5 / 9)) < 0.05
    assert (random_shift(x, generator(), share=0.0) == x).all()
    assert (random_shift(x, generator(), pixels=0) == x).all()


def moved(image, right):
    """By some pixels, with zeros where nothing comes from."""
    out = np.zeros_like(image)
    for column in range(image.shape[-1]):
        if 0 <= column - right < image.shape[-1]:
            out[..., column] = image[..., column - right]
    return out


def test_shift_along_one_axis_and_out_of_the_image():
    x = images(200)
    y = random_shift(x, generator(), pixels=(0, 9))
    found = [[s for s in range(-6, 7) if (one == moved(before, s)).all()] for before, one in zip(x, y, strict=True)]
    assert {tuple(shifts) for shifts in found} == {(s,) for s in range(-5, 6)} | {(-6, 6)}


def test_a_shift_is_a_crop_of_the_same_size():
    x = images(50)
    shifts, crops = ({one.tobytes() for one in f(x, generator())} for f in (
        partial(random_shift, pixels=1), partial(random_crop, padding=1)
    ))  # fmt: skip
    assert len(shifts & crops) > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise(dtype):
    x = np.ones((1000, 1, 8, 8), dtype)
    noisy = random_noise(x, generator(), std=0.1)
    assert abs(noisy.std() - 0.1) < 0.001
    assert abs(noisy.mean() - 1) < 0.001
    assert (random_noise(x, generator(), std=0) == x).all()


def test_noise_of_its_own_size_for_each_value():
    std = np.array([[[0.0, 0.5], [1.0, 2.0]]])
    noisy = random_noise(np.zeros((5000, 1, 2, 2)), generator(), std=std)
    np.testing.assert_allclose(noisy.std(axis=0), std, rtol=0.05)
    whole = random_noise(np.zeros((5000, 1, 2, 2)), generator(), std=1.0)
    np.testing.assert_allclose(noisy, whole * std)


def test_compose_applies_in_order_and_draws_from_one_generator():
    x = images(20)
    rng = generator(5)
    expected = random_shift(random_flip(x, rng, p=0.4), rng, pixels=2)
    both = compose(partial(random_flip, p=0.4), partial(random_shift, pixels=2))
    assert (both(x, generator(5)) == expected).all()
    assert (compose(random_flip, compose())(x, generator(1)) == random_flip(x, generator(1))).all()
    assert compose()(x, generator()) is x
    assert "random_flip" in repr(both)


def test_compose_can_be_pickled():
    x = images(20)
    again = pickle.loads(pickle.dumps(FUNCTIONS["all"]))
    assert (again(x, generator()) == FUNCTIONS["all"](x, generator())).all()


def test_in_batches():
    """Labels stay with their images, and the seed decides."""
    x = np.arange(50, dtype=np.float32)[:, None, None, None] + np.zeros((1, 6, 6), np.float32) + 1
    augment = compose(partial(random_flip, p=0.5), partial(random_crop, padding=1, mode="reflect"))

    def make():
        return Batches(x, np.arange(50), batch_size=16, shuffle=True, transform=augment, rng=1)

    for (a, labels), (b, _) in zip(make(), make(), strict=True):
        assert (a == labels[:, None, None, None] + 1).all()
        assert (a == b).all()


def test_compose_refuses():
    with pytest.raises(TypeError, match=r"^compose: function 1 must be callable, got 0\.5"):
        compose(random_flip, 0.5)
    with pytest.raises(TypeError, match=r"^compose: .*lambda.* returned None"):
        compose(lambda x, rng: None)(images(), generator())


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (random_flip, {"p": 1.5}, r"p must be in \[0, 1\], got 1.5"),
        (random_flip, {"p": float("nan")}, "p must be finite"),
        (random_flip, {"axis": 0}, r"axis must be one of an image's, got 0 for shape \(6, 2, 5, 6\)"),
        (random_flip, {"axis": -4}, "axis must be one of an image's, got -4"),
        (random_flip, {"axis": 4}, "axis must be one of an image's, got 4"),
        (random_crop, {"padding": -1}, "padding must be at least 0"),
        (random_crop, {"padding": 1, "size": 8}, r"size \(8, 8\) is larger than images of shape \(5, 6\)"),
        (random_crop, {"size": 0}, "size must be at least 1"),
        (random_crop, {"mode": "wrap"}, "mode must be 'zeros' or 'reflect', got 'wrap'"),
        (random_crop, {"padding": 10**9}, "the padded batch would have shape"),
        (random_shift, {"pixels": -1}, "pixels must be at least 0"),
        (random_shift, {"share": 2}, r"share must be in \[0, 1\], got 2"),
        (random_noise, {"std": -0.1}, "std must be in"),
        (random_noise, {"std": np.inf}, "std must be finite"),
        (random_noise, {"std": [1.0, -1.0, 1.0, 1.0, 1.0, 1.0]}, "std must be finite and at least 0, got -1"),
        (random_noise, {"std": np.ones(5)}, r"std of shape \(5,\) does not fit samples of shape \(2, 5, 6\)"),
    ],
)
def test_bad_values(function, options, message):
    with pytest.raises(ValueError, match=f"^{function.__name__}: {message}"):
        function(images(), generator(), **options)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_seed_is_no_generator(name):
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random.Generator.*got 0; a seed would"):
        FUNCTIONS[name](images(), 0)


@pytest.mark.parametrize("function", [random_crop, random_shift])
def test_other_shapes(function):
    with pytest.raises(ValueError, match=r"must have shape \(N, C, H, W\), got \(6, 5, 6\); add .* images\[:, None\]"):
        function(images()[:, 0], generator())
    with pytest.raises(ValueError, match=r"got \(6, 5\)$"):
        function(images()[:, 0, 0, :5], generator())
    with pytest.raises(ValueError, match="must have an axis of samples"):
        function(np.float32(1), generator())


def test_noise_refuses_integers():
    with pytest.raises(TypeError, match="random_noise: images must be of a float dtype, got uint8"):
        random_noise(images(dtype=np.uint8), generator(), std=0.1)


def test_settings_are_the_same_in_another_process():
    """A training that resumes compares them; an address would make them differ."""
    for transform in (
        random_flip,
        partial(random_crop, padding=1),
        compose(random_flip, partial(random_shift, pixels=2)),
    ):
        shown = Batches(images(), batch_size=2, transform=transform).settings()["transform"]
        assert "0x" not in shown
        assert transform is random_flip or "=" in shown
